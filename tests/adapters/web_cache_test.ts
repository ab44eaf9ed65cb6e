/** The Web's cache over a stash. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WebCache, type WebCacheOptions, WebCacheStorage } from "../../adapters/web_cache.ts";
import { DecodeError, HashStash } from "../../mod.ts";
import { damage, later, onEngines } from "../support/adapters.ts";
import { makeEngine, TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";

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

onEngines("web cache: Vary, empty bodies, options, ttl", async (bed) => {
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
  const other = new Request(url, { method: "DELETE" });
  assertEquals(await cache.match(other, { ignoreVary: true }), undefined);
  await cache.put("https://example.com/none", new Response(null, { status: 204 }));
  const none = await cache.match("https://example.com/none");
  assertEquals([none?.status, none?.body], [204, null]);
  await cache.put("https://example.com/short", new Response("x", { headers: { "x-ttl": "30" } }));
  await later(45);
  assertEquals(await cache.match("https://example.com/short"), undefined);
});

const URL_ = "https://example.com/page";
const asking = (headers: Record<string, string>) => new Request(URL_, { headers });

onEngines("web cache: each variant has its own deadline", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash, {
    ttl: (response) => Number(response.headers.get("x-ttl") ?? Infinity),
  });
  const put = (language: string, ttl: number) =>
    cache.put(
      asking({ "accept-language": language }),
      new Response(language, { headers: { vary: "accept-language", "x-ttl": String(ttl) } }),
    );
  const there = async () => {
    const found = await cache.matchAll(URL_, { ignoreVary: true });
    return await Promise.all(found.map((response) => response.text()));
  };
  await put("en", 60_000);
  await put("de", 1_000);
  await put("fr", Infinity);
  assertEquals(await there(), ["en", "de", "fr"]);
  await later(1_010);
  assertEquals(await there(), ["en", "fr"]);
  assertEquals(await cache.match(asking({ "accept-language": "de" })), undefined);
  // A later variant that ends sooner doesn't take the earlier ones with it.
  await put("it", 30);
  await later(50);
  assertEquals(await (await cache.match(asking({ "accept-language": "en" })))?.text(), "en");
  // One of a deadline each, that come one after the other.
  await using short = bed.stash({ ttl: 1_000 });
  const second = new WebCache(short);
  const vary = { headers: { vary: "accept-language" } };
  for (const language of ["a", "b", "c", "d"]) {
    const request = asking({ "accept-language": language });
    await second.put(request, new Response(language, vary));
    await later(400);
    assertEquals(await (await second.match(request))?.text(), language);
  }
});

onEngines("web cache: responses of one URL that vary by different headers", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  const put = (headers: Record<string, string>, vary: string, body: string) =>
    cache.put(asking(headers), new Response(body, { headers: vary ? { vary } : {} }));
  const text = async (headers: Record<string, string>) =>
    await (await cache.match(asking(headers)))?.text();
  await put({ "x-a": "1", "x-b": "1" }, "X-A", "by a");
  await put({ "x-a": "2", "x-b": "2" }, "x-b, x-b", "by b");
  await put({ "x-a": "3", "x-b": "3" }, "x-b, x-a", "by both");
  assertEquals(await text({ "x-a": "1", "x-b": "9" }), "by a");
  assertEquals(await text({ "x-a": "9", "x-b": "2" }), "by b");
  assertEquals(await text({ "x-b": "3", "x-a": "3" }), "by both");
  assertEquals(await text({ "x-a": "9", "x-b": "9" }), undefined);
  assertEquals((await cache.keys(URL_, { ignoreVary: true })).length, 3);
  // What varies by nothing takes the place of those that its request would have got.
  await put({ "x-a": "1", "x-b": "2" }, "", "by nothing");
  assertEquals(await text({ "x-a": "1" }), "by nothing");
  assertEquals(await text({ "x-b": "2" }), "by nothing");
  assertEquals(await text({ "x-b": "3", "x-a": "3" }), "by both");
  // And the reverse.
  await put({ "x-a": "1" }, "x-a", "by a again");
  assertEquals([await text({ "x-a": "1" }), await text({})], ["by a again", undefined]);
});

Deno.test("web cache: 400 variants cost 400 times what one costs", async () => {
  await using bed = await TestBed.create("memory");
  const written: number[] = [];
  const engine = await makeEngine(bed.place, { name: "variants", dbname: "main" });
  const counting = new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: { value?: Uint8Array }[]) => {
        // `set(key, entry)` and `compareAndSet(key, expected, entry)`
        const entry = name === "set" ? args[1] : name === "compareAndSet" ? args[2] : undefined;
        if (entry?.value) written.push(entry.value.length);
        return value.apply(target, args);
      };
    },
  });
  await using stash = new HashStash({ engine: counting });
  const cache = new WebCache(stash);
  const body = "x".repeat(10_000);
  for (let i = 0; i < 400; i++) {
    const response = new Response(body, { headers: { vary: "x-variant" } });
    await cache.put(asking({ "x-variant": String(i) }), response);
  }
  assertEquals((await cache.matchAll(URL_, { ignoreVary: true })).length, 400);
  assert(written.length <= 401, `${written.length} writes`);
  const bytes = written.reduce((sum, length) => sum + length, 0);
  assert(bytes < 400 * 20_000, `${bytes} bytes`);
});

onEngines("web cache: keys that are not its own", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  await cache.put(`${URL_}?a`, new Response("hello"));
  for (const key of ["no url", "/relative", { a: 1 }, ["no url", []], [URL_, "no list"], 7, null]) {
    await stash.set(key, "mine");
  }
  await stash.set(`${URL_}?mine`, "mine");
  const all = { ignoreSearch: true, ignoreVary: true };
  assertEquals((await cache.matchAll(URL_, all)).length, 1);
  assertEquals((await cache.keys()).map(({ url }) => url), [`${URL_}?a`]);
  assertEquals(await cache.match(`${URL_}?mine`), undefined);
  assertEquals(await cache.delete(URL_, all), true);
  assertEquals([await stash.size(), await cache.delete(URL_, all)], [8, false]);
});

onEngines("web cache: a request with a body is not used up", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  const request = new Request(URL_, { method: "POST", body: "abc" });
  await cache.match(request, { ignoreMethod: true });
  await cache.delete(request, { ignoreMethod: true });
  assertEquals([request.bodyUsed, await request.text()], [false, "abc"]);
});

/** What is kept, in a shared cache and in a private one. */
const HEADERS: [
  what: string,
  request: Record<string, string>,
  response: Record<string, string>,
  shared: boolean,
  isPrivate: boolean,
][] = [
  ["nothing said", {}, {}, true, true],
  ["max-age", {}, { "cache-control": "max-age=60" }, true, true],
  ["no-store", {}, { "cache-control": "no-store" }, false, false],
  ["No-Store among others", {}, { "cache-control": "public, No-Store, max-age=60" }, false, false],
  ["no-store of the request", { "cache-control": "no-store" }, {}, false, false],
  ["no-cache", {}, { "cache-control": "no-cache" }, false, false],
  ["max-age=0", {}, { "cache-control": "max-age=0, must-revalidate" }, false, false],
  ["max-age that is over", {}, { "cache-control": "max-age=60", age: "61" }, false, false],
  ["pragma", {}, { pragma: "no-cache" }, false, false],
  ["expires that is past", {}, { expires: new Date(0).toUTCString() }, false, false],
  ["expires: 0", {}, { expires: "0" }, false, false],
  [
    "expires that is to come",
    {},
    {
      expires: new Date(Date.now() + 60_000).toUTCString(),
    },
    true,
    true,
  ],
  ["private", {}, { "cache-control": "private, max-age=60" }, false, true],
  ["s-maxage=0", {}, { "cache-control": "s-maxage=0, max-age=60" }, false, true],
  ["s-maxage=0 alone", {}, { "cache-control": "s-maxage=0" }, false, true],
  ["s-maxage, age", {}, { "cache-control": "s-maxage=60", age: "61" }, false, true],
  ["s-maxage, no-cache", {}, { "cache-control": "s-maxage=60, no-cache" }, false, false],
  ["authorization", { authorization: "Bearer x" }, {}, false, true],
  [
    "authorization, max-age",
    { authorization: "Bearer x" },
    {
      "cache-control": "max-age=60",
    },
    false,
    true,
  ],
  [
    "authorization, public",
    { authorization: "Bearer x" },
    {
      "cache-control": "public, max-age=60",
    },
    true,
    true,
  ],
  ["cookies", {}, { "set-cookie": "id=1" }, false, true],
  ["cookies, max-age", {}, { "set-cookie": "id=1", "cache-control": "max-age=60" }, false, true],
  ["cookies, public", {}, { "set-cookie": "id=1", "cache-control": "public" }, true, true],
  ["last-modified", {}, { "last-modified": new Date(0).toUTCString() }, true, true],
];

onEngines("web cache: what the headers of HTTP let be kept", async (bed) => {
  for (const cacheControl of [undefined, "shared", "private", "ignore"] as const) {
    await using stash = bed.stash();
    const cache = new WebCache(stash, { cacheControl });
    for (const [what, request, headers, shared, isPrivate] of HEADERS) {
      const response = new Response("new", { headers });
      await cache.put(asking(request), response);
      const expected = cacheControl === "ignore" ||
        (cacheControl === "private" ? isPrivate : shared);
      const found = await cache.match(URL_);
      assertEquals(await found?.text(), expected ? "new" : undefined, `${cacheControl}: ${what}`);
      assertEquals(found?.headers.getSetCookie() ?? [], [], what);
      assert(response.bodyUsed, what);
      // What may not be kept is not there in an earlier form either.
      await cache.put(URL_, new Response("old"));
    }
  }
});

onEngines("web cache: for how long the headers of HTTP let it be kept", async (bed) => {
  await using stash = bed.stash({ ttl: 600_000 });
  const seconds = async (cache: WebCache, headers: Record<string, string>) => {
    await cache.put(URL_, new Response("x", { headers }));
    return Math.round(((await stash.expiresAt(URL_))! - Date.now()) / 1_000);
  };
  const near = (actual: number, expected: number) =>
    assert(actual <= expected && actual > expected - 10, `${actual} s, not ${expected}`);
  const shared = new WebCache(stash);
  const own = new WebCache(stash, { cacheControl: "private" });
  const control = (value: string, more = {}) => ({ "cache-control": value, ...more });
  near(await seconds(shared, control("max-age=60")), 60);
  near(await seconds(shared, control("max-age=60", { age: "20" })), 40);
  near(await seconds(shared, control("max-age=60, s-maxage=120")), 120);
  near(await seconds(own, control("max-age=60, s-maxage=120")), 60);
  near(await seconds(shared, control("s-maxage=120")), 120);
  near(await seconds(own, control("s-maxage=120")), 600);
  near(await seconds(shared, control("public")), 600);
  near(await seconds(shared, {}), 600);
  // The shorter of the two.
  near(await seconds(shared, control("max-age=6000")), 600);
  near(await seconds(new WebCache(stash, { ttl: 30_000 }), control("max-age=60")), 30);
  near(await seconds(new WebCache(stash, { ttl: 90_000 }), control("max-age=60")), 60);
  near(
    await seconds(
      new WebCache(stash, { ttl: 90_000, cacheControl: "ignore" }),
      control("no-store"),
    ),
    90,
  );
  const expires = new Date(Date.now() + 60_000).toUTCString();
  near(await seconds(shared, { expires }), 60);
});

onEngines("web cache: requests are stored without credentials", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash, { cacheControl: "private" });
  const headers = { authorization: "Bearer x", cookie: "a=1", "x-other": "y" };
  await cache.put(asking(headers), new Response("x"));
  const [key] = await cache.keys();
  assertEquals([...key.headers], [["x-other", "y"]]);
  await cache.put(asking(headers), new Response("x", { headers: { vary: "cookie" } }));
  const [varying] = await cache.keys();
  assertEquals([...varying.headers], [["cookie", "a=1"], ["x-other", "y"]]);
});

onEngines("web cache: a storage leaves nothing of deleted caches", async (bed) => {
  await using stash = bed.stash();
  {
    await using caches = new WebCacheStorage(stash);
    await using others = new WebCacheStorage(stash);
    const cache = await caches.open("v1");
    await cache.put(URL_, new Response("hello"));
    const same = await others.open("v1");
    assertEquals(await (await same.match(URL_))?.text(), "hello");
    assertEquals(await others.delete("v1"), true);
    assertEquals([await caches.has("v1"), await cache.match(URL_)], [false, undefined]);
    await cache.put(URL_, new Response("too late"));
    assertEquals(await caches.match(URL_), undefined);
    assertEquals(await (await others.open("v1")).match(URL_), undefined);
    await (await caches.open("v2")).put(URL_, new Response("stays"));
  }
  await using caches = new WebCacheStorage(stash);
  assertEquals(await caches.keys(), ["v1", "v2"]);
  assertEquals(await (await caches.match(URL_))?.text(), "stays");
  assertEquals(await stash.size(), 2);
});

onEngines(
  "web cache: a storage's caches outlive the stash's ttl, their responses don't",
  async (bed) => {
    await using stash = bed.stash({ ttl: 50 });
    await using caches = new WebCacheStorage(stash, {
      ttl: (response) => response.headers.has("x-stays") ? 60_000 : undefined,
    });
    const cache = await caches.open("v1");
    await cache.put(`${URL_}?stays`, new Response("stays", { headers: { "x-stays": "1" } }));
    await cache.put(URL_, new Response("ends"));
    await later(60);
    assertEquals([await caches.has("v1"), await caches.keys()], [true, ["v1"]]);
    assertEquals(await (await caches.match(`${URL_}?stays`))?.text(), "stays");
    const same = await caches.open("v1");
    assertEquals(await (await same.match(`${URL_}?stays`))?.text(), "stays");
    assertEquals(await same.match(URL_), undefined);
  },
);

onEngines("web cache: a body whose pieces are not bytes is refused", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  await cache.put(URL_, new Response("earlier"));
  for (const piece of ["text", [1, 2], new ArrayBuffer(2), new Uint16Array(2), 5]) {
    let cancelled: unknown;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array([65]));
        controller.enqueue(piece);
        controller.enqueue(new Uint8Array([66]));
      },
      pull(controller) {
        controller.close();
      },
      cancel(reason) {
        cancelled = reason;
      },
    });
    const error = await assertRejects(
      () => cache.put(URL_, new Response(body)),
      TypeError,
      "not bytes",
    );
    assertEquals(cancelled, error);
  }
  assertEquals(await (await cache.match(URL_))?.text(), "earlier");
  const pieces = ReadableStream.from(["a", "", "bc"]).pipeThrough(new TextEncoderStream());
  await cache.put(URL_, new Response(pieces));
  assertEquals(await (await cache.match(URL_))?.text(), "abc");
});

onEngines("web cache: a clone has the headers that the response has now", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  const headers = { "x-kept": "1", "x-gone": "1", "content-type": "text/plain" };
  await cache.put(URL_, new Response("hello", { status: 201, statusText: "Made", headers }));
  const response = await cache.match(URL_);
  assert(response !== undefined);
  response.headers.set("x-new", "2");
  response.headers.delete("x-gone");
  response.headers.delete("content-type");
  response.headers.append("set-cookie", "a=1");
  response.headers.append("set-cookie", "b=2");
  const clone = response.clone().clone();
  assertEquals([...clone.headers], [...response.headers]);
  assertEquals(clone.headers.getSetCookie(), ["a=1", "b=2"]);
  assertEquals([clone.status, clone.statusText, clone.url], [201, "Made", response.url]);
  assertEquals([await clone.text(), await response.text()], ["hello", "hello"]);
  // A clone's headers are its own, and the stored ones stay as they are.
  clone.headers.set("x-new", "3");
  assertEquals(response.headers.get("x-new"), "2");
  const stored = await cache.match(URL_);
  assertEquals([stored?.headers.get("x-gone"), stored?.headers.get("x-new")], ["1", null]);
});

onEngines("web cache: what can't be read can be replaced and removed", async (bed) => {
  await using stash = bed.stash();
  const cache = new WebCache(stash);
  const other = "https://example.com/other";
  const vary = { headers: { vary: "x-a, x-b" } };
  const [one, two] = [asking({ "x-a": "1" }), asking({ "x-a": "2" })];
  const text = async (request: Request | string) => await (await cache.match(request))?.text();
  const all = async () =>
    (await cache.keys()).map(({ url, headers }) => `${url} ${headers.get("x-a")}`);
  await cache.put(other, new Response("other"));

  // A response that varies by nothing.
  await damage(bed, stash, URL_);
  await assertRejects(() => cache.match(URL_), DecodeError);
  await assertRejects(() => cache.matchAll(), DecodeError);
  assertEquals(await all(), [`${URL_} null`, `${other} null`]);
  assertEquals((await cache.keys(URL_)).length, 1);
  await cache.put(URL_, new Response("replaced"));
  assertEquals(await text(URL_), "replaced");
  for (const options of [{}, { ignoreSearch: true }]) {
    await damage(bed, stash, URL_);
    assertEquals([await cache.delete(URL_, options), await cache.match(URL_)], [true, undefined]);
  }

  // One that varies.
  await cache.put(one, new Response("one", vary));
  await cache.put(two, new Response("two", vary));
  await damage(bed, stash, [URL_, [["x-a", "1"], ["x-b", null]]]);
  await assertRejects(() => cache.match(one), DecodeError);
  assertEquals(await text(two), "two");
  assertEquals(await all(), [`${URL_} 1`, `${other} null`, `${URL_} 2`]);
  await cache.put(one, new Response("one again", vary));
  assertEquals([await text(one), await text(two)], ["one again", "two"]);
  await damage(bed, stash, [URL_, [["x-a", "1"], ["x-b", null]]]);
  assertEquals([await cache.delete(one), await text(one)], [true, undefined]);
  assertEquals(await text(two), "two");

  // The index of those that vary: without it the others are not found.
  for (const remove of [() => cache.delete(one), () => cache.put(one, new Response("one", vary))]) {
    await cache.put(two, new Response("two", vary));
    await damage(bed, stash, [URL_]);
    await assertRejects(() => cache.match(two), DecodeError);
    assertEquals((await cache.keys(two)).map(({ headers }) => headers.get("x-a")), [null, "2"]);
    await remove();
    assertEquals(await text(two), undefined);
  }
  assertEquals(await text(one), "one");
  assertEquals(await text(other), "other");
  // The response, its index and the other response.
  assertEquals(await stash.size(), 3);
});

onEngines("web cache: a storage's cache whose entry can't be read can be deleted", async (bed) => {
  await using stash = bed.stash();
  await using caches = new WebCacheStorage(stash);
  await damage(bed, stash, { cache: "v1" });
  await assertRejects(() => caches.open("v1"), DecodeError);
  assertEquals([await caches.delete("v1"), await caches.delete("v1")], [true, false]);
  await (await caches.open("v1")).put(URL_, new Response("hello"));
  assertEquals(await (await caches.match(URL_))?.text(), "hello");
});

Deno.test("web cache: an unknown cacheControl is refused", async () => {
  await using stash = new HashStash({ engine: "memory", name: "web_cache_options" });
  const options = { cacheControl: "public" } as unknown as WebCacheOptions;
  assertThrows(() => new WebCache(stash, options), TypeError, "shared, private, ignore");
});

// The web-platform tests' cases with relative URLs, which need a location.
Deno.test("web cache: relative URLs, in a program that has a location", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("a simple text file\n"),
  );
  const { success, stdout, stderr } = await runScript(
    `
    import { HashStash } from "./mod.ts";
    import { WebCache } from "./adapters/web_cache.ts";
    await using stash = new HashStash({ engine: "memory", name: "relative" });
    const cache = new WebCache(stash);
    await cache.add("resources/simple.txt");
    await cache.put(new Request("relative-url"), new Response("put"));
    console.log(JSON.stringify([
      await (await cache.match("resources/simple.txt"))?.text(),
      await (await cache.match(new URL("relative-url", location.href).href))?.text(),
      await cache.match("http") ?? null,
      await cache.matchAll("http"),
      await cache.keys("http"),
    ]));
    `,
    ["-A", `--location=http://127.0.0.1:${server.addr.port}/folder/`],
  );
  await server.shutdown();
  assert(success, stderr);
  assertEquals(JSON.parse(stdout), ["a simple text file\n", "put", null, [], []]);
});
