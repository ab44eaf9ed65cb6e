/** Each adapter with the library in front that it is for, doing what that library documents. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createCache, KeyvAdapter } from "npm:cache-manager@^7.2.0";
import { Keyv as Keyv5 } from "npm:keyv@^5.5.0";
import { Keyv as Keyv6 } from "npm:keyv@^6.0.0";
import { createStorage, prefixStorage } from "npm:unstorage@^1.17.0";
import { CacheManagerStash } from "../adapters/cache_manager.ts";
import { KeyvStash } from "../adapters/keyv.ts";
import { stashDriver } from "../adapters/unstorage.ts";
import { WebCache } from "../adapters/web_cache.ts";
import type { EngineName } from "../engines/mod.ts";
import { TestBed } from "./support/bed.ts";

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function onEngines(name: string, run: (bed: TestBed) => Promise<void>): void {
  for (const engine of ["memory", "pairtree", "sqlite"] satisfies EngineName[]) {
    Deno.test(`${name} on ${engine}`, async () => {
      await using bed = await TestBed.create(engine);
      await run(bed);
    });
  }
}

for (const [version, Keyv] of [[6, Keyv6], [5, Keyv5]] as [number, typeof Keyv6][]) {
  onEngines(`keyv ${version}: values, deadlines, batches, namespaces, iteration`, async (bed) => {
    const stash = bed.stash();
    const users = new Keyv({ store: new KeyvStash(stash), namespace: "users" });
    const pages = new Keyv({ store: new KeyvStash(stash), namespace: "pages/of:it" });
    assertEquals(await users.get("absent"), undefined);
    assertEquals(await users.set("a", { n: 1 }), true);
    assertEquals(await users.get("a"), { n: 1 });
    assertEquals(await pages.get("a"), undefined);
    await pages.set("a", "page");
    await users.set("short", 1, 30);
    assertEquals(await users.has("short"), true);
    await later(45);
    assertEquals([await users.has("short"), await users.get("short")], [false, undefined]);
    await users.setMany([{ key: "b", value: 2 }, { key: "c", value: 3, ttl: 60_000 }]);
    assertEquals(await users.getMany(["a", "b", "c", "x"]), [{ n: 1 }, 2, 3, undefined]);
    assertEquals(await users.hasMany(["b", "x"]), [true, false]);
    await users.deleteMany(["b", "x"]);
    assertEquals(await users.delete("b"), false);
    // Keyv 5 iterates the stores that it knows by name alone.
    if (version === 6) {
      const seen = new Map<unknown, unknown>();
      for await (const [key, value] of users.iterator!()) seen.set(key, value);
      assertEquals(seen, new Map<unknown, unknown>([["a", { n: 1 }], ["c", 3]]));
    }
    await users.clear();
    assertEquals([await users.get("a"), await pages.get("a")], [undefined, "page"]);
    await users.disconnect();
    await pages.disconnect();
  });
}

onEngines(
  "keyv: a stored null and 0 are values; without a namespace clear takes all",
  async (bed) => {
    const keyv = new Keyv6({ store: new KeyvStash(bed.stash()) });
    await keyv.set("null", null);
    await keyv.set("zero", 0);
    assertEquals([await keyv.get("null"), await keyv.get("zero")], [null, 0]);
    assertEquals(await keyv.has("zero"), true);
    await keyv.clear();
    assertEquals(await keyv.has("zero"), false);
    await keyv.disconnect();
  },
);

onEngines("unstorage: items, raw items, meta, keys, clear", async (bed) => {
  const storage = createStorage({ driver: stashDriver(bed.stash()) });
  assertEquals(await storage.getItem("absent"), null);
  await storage.setItem("a:b", { c: 1 });
  await storage.setItem("zero", 0);
  assertEquals([await storage.getItem("a:b"), await storage.getItem("zero")], [{ c: 1 }, 0]);
  assertEquals(await storage.hasItem("a:b"), true);
  const bytes = new Uint8Array([0, 255, 7]);
  await storage.setItemRaw("raw", bytes);
  assertEquals(await storage.getItemRaw("raw"), bytes);
  await storage.setItem("short", "x", { ttl: 0.03 });
  assert(Number((await storage.getMeta("short")).ttl) <= 0.03);
  await later(45);
  assertEquals(await storage.getItem("short"), null);
  await storage.setItems([{ key: "m:1", value: "1" }, { key: "m:2", value: "2" }]);
  assertEquals(
    (await storage.getItems(["m:1", "m:2", "m:3"])).map(({ value }) => value),
    [1, 2, null],
  );
  assertEquals((await storage.getKeys()).sort(), ["a:b", "m:1", "m:2", "raw", "zero"]);
  assertEquals((await prefixStorage(storage, "m").getKeys()).sort(), ["1", "2"]);
  await storage.removeItem("m:1");
  await storage.removeItem("m:2");
  await storage.removeItem("raw");
  assertEquals((await storage.getKeys()).sort(), ["a:b", "zero"]);
  await storage.clear();
  assertEquals(await storage.getKeys(), []);
  await using other = bed.stash();
  storage.mount("other", stashDriver(other));
  await storage.setItem("other:a", 1);
  await storage.setItem("mine", 2);
  assertEquals(await other.get("a"), "1");
  await storage.clear("other");
  assertEquals([await other.size(), await storage.getItem("mine")], [0, 2]);
  await storage.dispose();
});

onEngines("cache-manager: get, set, wrap, batches, ttl, clear", async (bed) => {
  const store = new CacheManagerStash(bed.stash());
  const cache = createCache({ stores: [new Keyv5({ store: new KeyvAdapter(store) })] });
  assertEquals(await cache.get("absent"), undefined);
  await cache.set("a", { n: 1 });
  assertEquals(await cache.get("a"), { n: 1 });
  await cache.set("short", 1, 30);
  await later(45);
  assertEquals(await cache.get("short"), undefined);
  let runs = 0;
  const compute = () => ++runs;
  assertEquals([await cache.wrap("w", compute, 60_000), await cache.wrap("w", compute)], [1, 1]);
  await cache.mset([{ key: "m1", value: 1 }, { key: "m2", value: 2, ttl: 60_000 }]);
  assertEquals(await cache.mget(["m1", "m2", "x"]), [1, 2, undefined]);
  await cache.mdel(["m1"]);
  await cache.del("m2");
  assertEquals(await cache.mget(["m1", "m2"]), [undefined, undefined]);
  await store.set("t", 1, 50_000);
  assert(await store.ttl("t") > 40_000);
  assertEquals([await store.ttl("absent"), (await store.set("f", 1, 0), await store.ttl("f"))], [
    -2,
    -1,
  ]);
  await cache.clear();
  assertEquals(await store.keys(), []);
  await cache.disconnect();
});

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
