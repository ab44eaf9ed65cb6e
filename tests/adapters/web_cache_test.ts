/** The Web's cache over a stash. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WebCache } from "../../adapters/web_cache.ts";
import { later, onEngines } from "../support/adapters.ts";

/** What the platform's own cache answers is what ours must answer. */
onEngines("web cache: agrees with the platform's own", async (bed) => {
  await using stash = bed.stash();
  const name = crypto.randomUUID();
  const caches_ = [new WebCache(stash), await caches.open(name)];
  const url = "https://example.com/a?b=1";
  for (const cache of caches_) {
    assertEquals(await cache.match(url), undefined);
    await cache.put(
      url,
      new Response("one", { status: 201, statusText: "Made", headers: { "x-a": "1" } }),
    );
    const response = await cache.match(new Request(`${url}#fragment`));
    assertEquals(
      [
        response?.status,
        response?.statusText,
        response?.headers.get("x-a"),
        await response?.text(),
      ],
      [201, "Made", "1", "one"],
    );
    await cache.put(url, new Response(new Uint8Array([0, 255])));
    assertEquals(await (await cache.match(url))?.bytes(), new Uint8Array([0, 255]));
    assertEquals(await cache.match("https://example.com/a?b=2"), undefined);
    await assertRejects(
      () => cache.put(new Request(url, { method: "POST" }), new Response()),
      TypeError,
    );
    await assertRejects(() => cache.put("ftp://example.com/", new Response()), TypeError);
    await assertRejects(
      () => cache.put(url, new Response("", { headers: { vary: "*" } })),
      TypeError,
    );
    await assertRejects(() => cache.put(url, new Response("", { status: 206 })), TypeError);
    const used = new Response("x");
    await used.text();
    await assertRejects(() => cache.put(url, used), TypeError);
    assertEquals([await cache.delete(url), await cache.delete(url)], [true, false]);
    assertEquals(await cache.match(url), undefined);
  }
  await caches.delete(name);
});

onEngines("web cache: Vary, empty bodies, cookies, options, ttl", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash, {
    ttl: (response) => Number(response.headers.get("x-ttl") ?? Infinity),
  });
  const url = "https://example.com/page";
  const ask = (language: string) => new Request(url, { headers: { "accept-language": language } });
  const vary = { headers: { vary: "Accept-Language" } };
  await cache.put(ask("en"), new Response("hello", vary));
  await cache.put(ask("de"), new Response("hallo", vary));
  await cache.put(ask("de"), new Response("guten Tag", vary));
  assertEquals(await (await cache.match(ask("en")))?.text(), "hello");
  assertEquals(await (await cache.match(ask("de")))?.text(), "guten Tag");
  assertEquals(await cache.match(ask("fr")), undefined);
  assert(await cache.match(ask("fr"), { ignoreVary: true }));
  assertEquals(await cache.delete(ask("de")), true);
  assert(await cache.match(ask("en")));
  assertEquals(
    await (await cache.match(`${url}?q`, { ignoreSearch: true, ignoreVary: true }))?.text(),
    "hello",
  );
  assertEquals(
    await cache.match(new Request(url, { method: "DELETE" }), { ignoreVary: true }),
    undefined,
  );
  const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
  await cache.put("https://example.com/none", new Response(null, { status: 204, headers }));
  const none = await cache.match("https://example.com/none");
  assertEquals([none?.status, none?.body, none?.headers.getSetCookie()], [204, null, [
    "a=1",
    "b=2",
  ]]);
  await cache.put("https://example.com/short", new Response("x", { headers: { "x-ttl": "30" } }));
  await later(45);
  assertEquals(await cache.match("https://example.com/short"), undefined);
});
