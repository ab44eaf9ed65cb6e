/**
 * The Web's caches as the web-platform tests' folder service-workers/cache-storage has them: each of
 * its cases in the words of this project. A browser's cache serves one user, so that these do.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WebCache, WebCacheStorage } from "../../adapters/web_cache.ts";
import type { TestBed } from "../support/bed.ts";
import { later } from "../support/adapters.ts";
import { suiteOnEngines } from "../support/suite.ts";

interface Context {
  readonly caches: WebCacheStorage;
  /** A cache of the storage. */
  readonly cache: WebCache;
  /** The address of a server that answers as the test asks it to. */
  readonly base: string;
  stop(): Promise<void>;
}

/**
 * Answers by the search: with a `status`, varying by `vary` (by `vary-if` where the request has
 * `x-vary: if`), with a `header`, as a `mime`; or `slow`, with a body that has no end.
 */
function answer(request: Request): Response {
  const search = new URL(request.url).searchParams;
  const headers = new Headers({ "content-type": search.get("mime") ?? "text/plain" });
  const vary = request.headers.get("x-vary") === "if" ? search.get("vary-if") : search.get("vary");
  if (vary !== null) headers.set("vary", vary);
  for (const header of search.getAll("header")) {
    const [name, value] = header.split(":");
    headers.append(name, value);
  }
  if (search.has("slow")) {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("begin")),
    });
    return new Response(body, { headers });
  }
  return new Response("a simple text file\n", {
    status: Number(search.get("status") ?? 200),
    headers,
  });
}

function contextOn(bed: TestBed): Promise<Context> {
  const stash = bed.stash();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  const caches = new WebCacheStorage(stash, { cacheControl: "private" });
  return caches.open("first").then((cache) => ({
    caches,
    cache,
    base: `http://127.0.0.1:${server.addr.port}/file`,
    async stop() {
      await caches.close();
      await server.shutdown();
    },
  }));
}

const at = (path: string) => new Request(`http://example.com/${path}`);
const HEAD = { method: "HEAD" };

/** What many cases find in the cache. */
const SIMPLE = {
  a: { request: at("a"), response: new Response("") },
  b: { request: at("b"), response: new Response("") },
  aWithQuery: { request: at("a?q=r"), response: new Response("") },
  A: { request: at("A"), response: new Response("") },
  aHttps: { request: new Request("https://example.com/a"), response: new Response("") },
  aOrg: { request: new Request("http://example.org/a"), response: new Response("") },
  cat: { request: at("cat"), response: new Response("") },
  catmandu: { request: at("catmandu"), response: new Response("") },
  catNumLives: { request: at("cat?lives=9"), response: new Response("") },
  catInTheHat: { request: at("cat/in/the/hat"), response: new Response("") },
  non2xx: {
    request: at("non2xx"),
    response: new Response("", { status: 404, statusText: "nope" }),
  },
  error: { request: at("error"), response: Response.error() },
};

const varying = (cookies?: string) => ({
  request: new Request("http://example.com/c", { headers: cookies ? { cookies } : {} }),
  response: new Response("", { headers: { vary: "Cookies" } }),
});

const VARY = {
  isCookie: varying("is-for-cookie"),
  isGood: varying("is-good-enough-for-me"),
  absent: varying(),
};

type Entries = Record<string, { request: Request; response: Response }>;

/** Puts the entries, each with an `x-entry` that tells it apart. */
async function fill(cache: WebCache, entries: Entries): Promise<void> {
  for (const [name, { request, response }] of Object.entries(entries)) {
    await cache.put(request.clone(), marked(name, response));
  }
}

/** A network error takes no header. */
function marked(name: string, response: Response): Response {
  if (response.type === "error") return response.clone();
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  headers.set("x-entry", name);
  return new Response("", { status, statusText, headers });
}

const entryOf = (response: Response | undefined) =>
  response?.type === "error" ? "error" : response?.headers.get("x-entry");
const entriesOf = (responses: Response[]) => responses.map(entryOf);
const urlsOf = (requests: Request[]) => requests.map(({ url }) => url);

/** What is compared of two responses. */
const facts = (response: Response | undefined) =>
  response && {
    type: response.type,
    url: response.url,
    status: response.status,
    ok: response.ok,
    statusText: response.statusText,
    headers: [...response.headers],
  };

const rejects = (promise: Promise<unknown>) => assertRejects(() => promise, TypeError);
async function rejectsAs(name: string, promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => promise);
  assertEquals((error as Error).name, name);
}

/** For calls without an argument that the types ask for. */
const untyped = (cache: WebCache | WebCacheStorage) =>
  cache as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;

const ADD: Record<string, (context: Context) => Promise<void>> = {
  "add: no arguments": ({ cache }) => rejects(untyped(cache).add()).then(() => {}),
  async "add: a URL as a string"({ cache, base }) {
    assertEquals(await cache.add(base), undefined);
    assertEquals(await (await cache.match(base))?.text(), "a simple text file\n");
  },
  "add: a URL that is not of HTTP": ({ cache }) =>
    rejects(cache.add("javascript://this-is-not-http-mmkay")).then(() => {}),
  async "add: a Request"({ cache, base }) {
    assertEquals(await cache.add(new Request(base)), undefined);
  },
  async "add: a POST Request"({ cache, base }) {
    await rejects(cache.add(new Request(base, { method: "POST", body: "This is a body." })));
  },
  async "add: the same Request twice"({ cache, base }) {
    const request = new Request(base);
    await cache.add(request);
    assertEquals(await cache.add(request), undefined);
  },
  async "add: a Request whose body of null was read"({ cache, base }) {
    const request = new Request(base);
    await request.text();
    assertEquals(request.bodyUsed, false);
    await cache.add(request);
  },
  "add: a partial response": ({ cache, base }) =>
    rejects(cache.add(`${base}?status=206`)).then(() => {}),
  "addAll: a partial response": ({ cache, base }) =>
    rejects(cache.addAll([`${base}?status=206`, `${base}?status=200`])).then(() => {}),
  "add: status 404": ({ cache, base }) => rejects(cache.add(`${base}?status=404`)).then(() => {}),
  "add: status 500": ({ cache, base }) => rejects(cache.add(`${base}?status=500`)).then(() => {}),
  "addAll: no arguments": ({ cache }) => rejects(untyped(cache).addAll()).then(() => {}),
  async "addAll: undefined among others"({ cache, base }) {
    await rejects(untyped(cache).addAll([base, undefined, `${base}?2`]));
  },
  async "addAll: an empty list"({ cache }) {
    assertEquals(await cache.addAll([]), undefined);
    assertEquals(await cache.keys(), []);
  },
  async "addAll: strings"({ cache, base }) {
    const urls = [base, `${base}?2`, `${base}?3`];
    assertEquals(await cache.addAll(urls), undefined);
    for (const url of urls) {
      assertEquals(await (await cache.match(url))?.text(), "a simple text file\n");
    }
  },
  async "addAll: Requests"({ cache, base }) {
    const requests = [base, `${base}?2`, `${base}?3`].map((url) => new Request(url));
    assertEquals(await cache.addAll(requests), undefined);
    for (const request of requests) {
      assertEquals(await (await cache.match(request))?.text(), "a simple text file\n");
    }
  },
  async "addAll: when one fails, none is stored"({ cache, base }) {
    const urls = [base, `${base}?status=404`, `${base}?3`];
    await rejects(cache.addAll(urls.map((url) => new Request(url))));
    for (const url of urls) assertEquals(await cache.match(url), undefined);
  },
  async "addAll: the same Request twice"({ cache, base }) {
    const request = new Request(base);
    await rejectsAs("InvalidStateError", cache.addAll([request, request]));
  },
  async "addAll: two that differ only by fragment"({ cache, base }) {
    const requests = [new Request(`${base}#one`), new Request(`${base}#two`)];
    await rejectsAs("InvalidStateError", cache.addAll(requests));
  },
  async "addAll: two that differ by what the response varies by"({ cache, base }) {
    const requests = ["circle", "square"].map((shape) =>
      new Request(`${base}?vary=x-shape`, { headers: { "x-shape": shape } })
    );
    assertEquals(await cache.addAll(requests), undefined);
  },
  async "addAll: two that are alike in what the response varies by"({ cache, base }) {
    const requests = [1, 2].map(() =>
      new Request(`${base}?vary=x-shape`, { headers: { "x-shape": "circle" } })
    );
    await rejectsAs("InvalidStateError", cache.addAll(requests));
  },
  async "addAll: one that is like an earlier only by its own Vary"({ cache, base }) {
    assertEquals(await cache.addAll(asymmetric(base)), undefined);
  },
  async "addAll: one that is like an earlier by the earlier's Vary"({ cache, base }) {
    await rejectsAs("InvalidStateError", cache.addAll(asymmetric(base).reverse()));
  },
};

/** Of one URL: the first varies by shape, the second by size. */
function asymmetric(base: string): Request[] {
  const url = `${base}?vary=x-size&vary-if=x-shape`;
  const shape = { "x-shape": "circle", "x-size": "big", "x-vary": "if" };
  const size = { "x-shape": "square", "x-size": "big" };
  return [new Request(url, { headers: shape }), new Request(url, { headers: size })];
}

const STORING: Record<string, (cache: WebCache, request: Request) => Promise<void>> = {
  put: async (cache, request) => cache.put(request, await fetch(request)),
  add: (cache, request) => cache.add(request),
  addAll: (cache, request) => cache.addAll([request]),
};

const ABORT = Object.fromEntries(
  Object.entries(STORING).flatMap(([name, store]) => [
    [`abort: ${name} of a request that was aborted`, ({ cache, base }: Context) =>
      rejectsAs(
        "AbortError",
        store(cache, new Request(base, { signal: AbortSignal.abort() })),
      )],
    [`abort: ${name} of a request that is aborted at once`, ({ cache, base }: Context) => {
      const controller = new AbortController();
      const promise = store(cache, new Request(base, { signal: controller.signal }));
      controller.abort();
      return rejectsAs("AbortError", promise);
    }],
    [`abort: ${name} of a request that is aborted in the body`, async (context: Context) => {
      const { cache, base } = context;
      const controller = new AbortController();
      const promise = store(cache, new Request(`${base}?slow`, { signal: controller.signal }));
      const rejected = rejectsAs("AbortError", promise);
      await later(50);
      controller.abort();
      await rejected;
    }],
  ]),
);

const DELETE: Record<string, (context: Context) => Promise<void>> = {
  "delete: no arguments": ({ cache }) => rejects(untyped(cache).delete()).then(() => {}),
  async "delete: a URL as a string"({ cache }) {
    await cache.put(at("a"), new Response("Hello"));
    assertEquals(await cache.delete(at("a").url), true);
    assertEquals(await cache.match(at("a")), undefined);
  },
  async "delete: a Request"({ cache }) {
    await cache.put(at("a"), new Response("Hello"));
    assertEquals(await cache.delete(at("a")), true);
  },
  async "delete: a HEAD request"({ cache }) {
    await cache.put(at("a"), new Response("Hello"));
    assertEquals(await cache.delete(new Request(at("a"), HEAD)), false);
    assertEquals(await (await cache.match(at("a")))?.text(), "Hello");
    assertEquals(await cache.delete(new Request(at("a"), HEAD), { ignoreMethod: true }), true);
  },
  async "delete: ignoreVary"({ cache }) {
    await fill(cache, { isCookie: VARY.isCookie });
    assertEquals(await cache.delete(at("c")), false);
    assertEquals(await cache.delete(at("c"), { ignoreVary: true }), true);
  },
  async "delete: what is absent"({ cache }) {
    assertEquals(await cache.delete(at("a")), false);
  },
  async "delete: ignoreSearch"({ cache }) {
    await fill(cache, SIMPLE);
    const all = { ignoreSearch: true };
    assertEquals(entriesOf(await cache.matchAll(at("a?q=r"), all)), ["a", "aWithQuery"]);
    await cache.delete(at("a?q=r"), all);
    assertEquals(await cache.matchAll(at("a?q=r"), all), []);
  },
  async "delete: ignoreSearch that is false"({ cache }) {
    await fill(cache, SIMPLE);
    await cache.delete(at("a?q=r"), { ignoreSearch: false });
    assertEquals(entriesOf(await cache.matchAll(at("a?q=r"), { ignoreSearch: true })), ["a"]);
  },
};

const ALL_URLS = Object.values(SIMPLE).map(({ request }) => request.url);

const KEYS: Record<string, (context: Context) => Promise<void>> = {
  async "keys: of an empty cache"({ cache }) {
    assertEquals(await cache.keys(), []);
  },
  async "keys: none that matches"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.keys(at("not-present-in-the-cache")), []);
  },
  async "keys: by URL"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys(at("a").url)), [at("a").url]);
  },
  async "keys: by Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys(SIMPLE.a.request)), [at("a").url]);
  },
  async "keys: by another Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys(at("a"))), [at("a").url]);
  },
  async "keys: ignoreSearch, of a request without search"({ cache }) {
    await fill(cache, SIMPLE);
    const keys = await cache.keys(at("a"), { ignoreSearch: true });
    assertEquals(urlsOf(keys), [at("a").url, at("a?q=r").url]);
  },
  async "keys: ignoreSearch, of a request with search"({ cache }) {
    await fill(cache, SIMPLE);
    const keys = await cache.keys(at("a?q=r"), { ignoreSearch: true });
    assertEquals(urlsOf(keys), [at("a").url, at("a?q=r").url]);
  },
  async "keys: ignoreMethod"({ cache }) {
    await cache.put(at(""), new Response("foo"));
    assertEquals(await cache.keys(new Request(at(""), HEAD)), []);
    const keys = await cache.keys(new Request(at(""), HEAD), { ignoreMethod: true });
    assertEquals([urlsOf(keys), keys[0].method], [[at("").url], "GET"]);
  },
  async "keys: ignoreVary"({ cache }) {
    await fill(cache, { isCookie: VARY.isCookie });
    assertEquals(await cache.keys(at("c")), []);
    const [key] = await cache.keys(at("c"), { ignoreVary: true });
    assertEquals([key.url, key.headers.get("cookies")], [at("c").url, "is-for-cookie"]);
  },
  async "keys: a URL with a fragment"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys(`${at("cat").url}#mouse`)), [at("cat").url]);
  },
  async "keys: all"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys()), ALL_URLS);
  },
  async "keys: of undefined"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(urlsOf(await cache.keys(undefined)), ALL_URLS);
  },
  async "keys: of undefined with empty options"({ cache }) {
    assertEquals(await cache.keys(undefined, {}), []);
  },
  async "keys: all that vary"({ cache }) {
    await fill(cache, VARY);
    assertEquals((await cache.keys()).map(({ headers }) => headers.get("cookies")), [
      "is-for-cookie",
      "is-good-enough-for-me",
      null,
    ]);
  },
  async "keys: of a HEAD Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.keys(new Request(at("cat"), HEAD)), []);
  },
};

const MATCH: Record<string, (context: Context) => Promise<void>> = {
  async "match: none"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.match(at("not-present-in-the-cache")), undefined);
  },
  async "match: by URL"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entryOf(await cache.match(at("a").url)), "a");
  },
  async "match: by Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entryOf(await cache.match(SIMPLE.a.request)), "a");
  },
  async "match: what another cache has is not taken"({ cache, caches }) {
    await fill(cache, SIMPLE);
    await (await caches.open("second")).put(at("a"), new Response("", { status: 201 }));
    assertEquals((await cache.match(at("a")))?.status, 200);
  },
  async "match: by another Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entryOf(await cache.match(at("a"))), "a");
  },
  async "match: HEAD"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.match(new Request(at("a"), HEAD)), undefined);
  },
  async "match: ignoreSearch, of a request without search"({ cache }) {
    await fill(cache, SIMPLE);
    const found = entryOf(await cache.match(at("a"), { ignoreSearch: true }));
    assert(found === "a" || found === "aWithQuery");
  },
  async "match: ignoreSearch, of a request with search"({ cache }) {
    await fill(cache, SIMPLE);
    const found = entryOf(await cache.match(at("a?q=r"), { ignoreSearch: true }));
    assert(found === "a" || found === "aWithQuery");
  },
  async "match: ignoreMethod"({ cache }) {
    await cache.put(at(""), new Response("foo"));
    assertEquals(await cache.match(new Request(at(""), HEAD)), undefined);
    const response = await cache.match(new Request(at(""), HEAD), { ignoreMethod: true });
    assertEquals(await response?.text(), "foo");
  },
  async "match: ignoreVary"({ cache }) {
    await fill(cache, { isCookie: VARY.isCookie });
    assertEquals(await cache.match(at("c")), undefined);
    assertEquals(entryOf(await cache.match(at("c"), { ignoreVary: true })), "isCookie");
  },
  async "match: no option cacheName"({ cache }) {
    let isRead = false;
    const options = {
      get cacheName() {
        isRead = true;
        return undefined;
      },
    };
    await untyped(cache).match(at("bar"), options);
    assertEquals(isRead, false);
  },
  async "match: a URL with a fragment"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entryOf(await cache.match(`${at("cat").url}#mouse`)), "cat");
  },
  async "match: responses that vary"({ cache }) {
    await fill(cache, VARY);
    assertEquals(entryOf(await cache.match(at("c"))), "absent");
  },
  async "match: a response from another URL"({ cache, base }) {
    const response = await fetch(base);
    assertEquals(response.url, base);
    await cache.put(at("x"), response.clone());
    assertEquals(facts(await cache.match(at("x"))), facts(response));
    assertEquals(facts((await cache.match(at("x")))?.clone()), facts(response));
    assertEquals(await cache.match(response.url), undefined);
    await response.body?.cancel();
  },
  async "match: again and again"({ cache, base }) {
    await cache.put(base, await fetch(base));
    for (let i = 0; i < 2; i++) {
      assertEquals(await (await cache.match(base))?.text(), "a simple text file\n");
    }
  },
  async "match: slices of a blob"({ cache, base }) {
    await cache.put(base, await fetch(base));
    const blob = await (await cache.match(base))!.blob();
    const reader = new FileReader();
    const ended = new Promise((resolve) => reader.onloadend = resolve);
    reader.readAsText(blob.slice(2, 8));
    await ended;
    assertEquals(reader.result, "simple");
  },
  async "match: POST"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.match(new Request(at("a"), { method: "POST" })), undefined);
  },
  async "match: a status other than 200"({ cache }) {
    await cache.put(at("non2xx"), SIMPLE.non2xx.response.clone());
    assertEquals(facts(await cache.match(at("non2xx"))), facts(SIMPLE.non2xx.response));
  },
  async "match: a network error"({ cache }) {
    await cache.put(at("error"), Response.error());
    assertEquals(facts(await cache.match(at("error"))), facts(Response.error()));
  },
  async "match: one side of a clone of a large response"({ cache }) {
    const text = "F".repeat(80 * 1024);
    await cache.put(at(""), new Response(text));
    const response = (await cache.match(at("")))!;
    assertEquals(await response.clone().text(), text);
    await response.body?.cancel();
  },
  async "match: headers, but no cookies"({ cache, base }) {
    const url = `${base}?header=access-control-expose-headers:*&header=foo:bar&header=set-cookie:X`;
    await cache.put(url, await fetch(url));
    const headers = (await cache.match(url))!.headers;
    assertEquals(headers.get("access-control-expose-headers"), "*");
    assertEquals([headers.get("foo"), headers.get("set-cookie")], ["bar", null]);
  },
  async "match: the type of a response that was fetched"({ cache, base }) {
    const url = `${base}?mime=text/html`;
    const type = (await (await fetch(url)).blob()).type;
    await cache.add(url);
    assertEquals((await (await cache.match(url))!.blob()).type, type);
  },
  async "match: the type that the header has at last"({ cache }) {
    const response = new Response("hello", { headers: { "content-type": "text/html" } });
    response.headers.set("content-type", "text/plain");
    await cache.put(at(""), response);
    assertEquals((await (await cache.match(at("")))!.blob()).type, "text/plain");
  },
};

const ALL_ENTRIES = Object.keys(SIMPLE);

const MATCH_ALL: Record<string, (context: Context) => Promise<void>> = {
  async "matchAll: none"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.matchAll(at("not-present-in-the-cache")), []);
  },
  async "matchAll: by URL"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(at("a").url)), ["a"]);
  },
  async "matchAll: by Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(SIMPLE.a.request)), ["a"]);
  },
  async "matchAll: by another Request"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(at("a"))), ["a"]);
  },
  async "matchAll: HEAD"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(await cache.matchAll(new Request(at("a"), HEAD), { ignoreSearch: true }), []);
  },
  async "matchAll: ignoreSearch, of a request without search"({ cache }) {
    await fill(cache, SIMPLE);
    const found = await cache.matchAll(at("a"), { ignoreSearch: true });
    assertEquals(entriesOf(found), ["a", "aWithQuery"]);
  },
  async "matchAll: ignoreSearch, of a request with search"({ cache }) {
    await fill(cache, SIMPLE);
    const found = await cache.matchAll(at("a?q=r"), { ignoreSearch: true });
    assertEquals(entriesOf(found), ["a", "aWithQuery"]);
  },
  async "matchAll: ignoreMethod"({ cache }) {
    await cache.put(at(""), new Response("foo"));
    assertEquals(await cache.matchAll(new Request(at(""), HEAD)), []);
    const [response] = await cache.matchAll(new Request(at(""), HEAD), { ignoreMethod: true });
    assertEquals(await response.text(), "foo");
  },
  async "matchAll: ignoreVary"({ cache }) {
    await fill(cache, { isCookie: VARY.isCookie });
    assertEquals(await cache.matchAll(at("c")), []);
    assertEquals(entriesOf(await cache.matchAll(at("c"), { ignoreVary: true })), ["isCookie"]);
  },
  async "matchAll: a URL with a fragment"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(`${at("cat").url}#mouse`)), ["cat"]);
  },
  async "matchAll: all"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll()), ALL_ENTRIES);
  },
  async "matchAll: of undefined"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(undefined)), ALL_ENTRIES);
  },
  async "matchAll: of undefined with empty options"({ cache }) {
    await fill(cache, SIMPLE);
    assertEquals(entriesOf(await cache.matchAll(undefined, {})), ALL_ENTRIES);
  },
  async "matchAll: responses that vary"({ cache }) {
    await fill(cache, VARY);
    const ask = (cookies: string) => new Request(at("c"), { headers: { cookies } });
    assertEquals(entriesOf(await cache.matchAll(at("c"))), ["absent"]);
    assertEquals(await cache.matchAll(ask("none-of-the-above")), []);
    assertEquals(entriesOf(await cache.matchAll(ask("is-for-cookie"))), ["isCookie"]);
  },
  async "matchAll: all variants"({ cache }) {
    await fill(cache, VARY);
    const found = await cache.matchAll(at("c"), { ignoreVary: true });
    assertEquals(entriesOf(found), ["isCookie", "isGood", "absent"]);
  },
};

const PUT: Record<string, (context: Context) => Promise<void>> = {
  async "put: a request and a response"({ cache }) {
    assertEquals(await cache.put(at("foo"), new Response("Hello world!")), undefined);
  },
  async "put: a response that was fetched"({ cache, base }) {
    const response = await fetch(base);
    const expected = facts(response);
    await cache.put(new Request(base), response);
    const found = await cache.match(base);
    assertEquals([facts(found), await found?.text()], [expected, "a simple text file\n"]);
  },
  async "put: a request without a body stays unused"({ cache }) {
    const request = at("foo");
    await cache.put(request, new Response("Hello world!"));
    assertEquals(request.bodyUsed, false);
  },
  async "put: a response without a body stays unused"({ cache }) {
    const response = new Response();
    await cache.put(at("foo"), response);
    assertEquals(response.bodyUsed, false);
  },
  async "put: a response with an empty URL"({ cache }) {
    const response = new Response("Hello world!");
    await cache.put(at("foo"), response.clone());
    assertEquals(facts(await cache.match(at("foo"))), facts(response));
    await response.text();
  },
  async "put: an empty body"({ cache }) {
    await cache.put(at("foo"), new Response("", { headers: { "content-type": "text/plain" } }));
    const found = (await cache.match(at("foo")))!;
    assertEquals([found.status, found.headers.get("content-type")], [200, "text/plain"]);
    assertEquals(await found.text(), "");
  },
  "put: status 206 of a program": ({ cache }) =>
    rejects(cache.put(at("foo"), new Response("", { status: 206 }))).then(() => {}),
  async "put: status 206 of a server"({ cache, base }) {
    const response = await fetch(`${base}?status=206`);
    await rejects(cache.put(base, response));
    await response.body?.cancel();
  },
  async "put: status 500"({ cache, base }) {
    const response = await fetch(`${base}?status=500`);
    const expected = facts(response);
    await cache.put(base, response);
    assertEquals(facts(await cache.match(base)), expected);
  },
  async "put: twice"({ cache }) {
    await cache.put(at("foo"), new Response("Old body", { statusText: "Old status" }));
    await cache.put(at("foo"), new Response("New body", { statusText: "New status" }));
    const found = await cache.match(at("foo"));
    assertEquals([found?.statusText, await found?.text()], ["New status", "New body"]);
  },
  async "put: URLs that differ by fragment are one, and the latest is kept"({ cache }) {
    await cache.put(at("foo"), new Response("Old body"));
    await cache.put(at("foo#(O_o)"), new Response("New body"));
    assertEquals(await (await cache.match(at("foo")))?.text(), "New body");
    await cache.put(at("foo#fragment"), new Response("New body"));
    assertEquals(urlsOf(await cache.keys()), [at("foo#fragment").url]);
  },
  async "put: a URL as a string"({ cache }) {
    await cache.put(at("foo").url, new Response("some body"));
    assertEquals(await (await cache.match(at("foo").url))?.text(), "some body");
  },
  "put: what is no Response": ({ cache }) =>
    rejects(untyped(cache).put(at("foo"), "Hello world!")).then(() => {}),
  "put: a URL that is not of HTTP": ({ cache }) =>
    rejects(cache.put(new Request("file:///etc/passwd"), new Response("x"))).then(() => {}),
  "put: HEAD": ({ cache }) =>
    rejects(cache.put(new Request(at("foo"), HEAD), new Response("x"))).then(() => {}),
  "put: null": ({ cache }) => rejects(untyped(cache).put(at("foo"), null)).then(() => {}),
  async "put: POST"({ cache }) {
    const request = new Request(at("foo"), { method: "POST", body: "Hello world!" });
    await rejects(cache.put(request, new Response("x")));
  },
  async "put: a body that was read"({ cache }) {
    const response = new Response("Hello world!");
    assertEquals(response.bodyUsed, false);
    await response.text();
    assertEquals(response.bodyUsed, true);
    await rejects(cache.put(at("foo"), response));
  },
  async "put: locks the body"({ cache }) {
    const response = new Response("Hello world!");
    await cache.put(at("foo"), response);
    assertThrows(() => response.body!.getReader(), TypeError);
  },
  "put: Vary: *": ({ cache }) =>
    rejects(cache.put(at("foo"), new Response("x", { headers: { VARY: "*" } }))).then(() => {}),
  async "put: * among others in Vary"({ cache }) {
    const headers = { VARY: "Accept-Language,*" };
    await rejects(cache.put(at("foo"), new Response("x", { headers })));
  },
  async "put: a redirection"({ cache }) {
    const response = Response.redirect("http://example.com/foo-bar.html");
    await cache.put(at("foo.html"), response.clone());
    const found = await cache.match(at("foo.html"));
    assertEquals(facts(found), facts(response));
    assertEquals(found?.headers.get("location"), "http://example.com/foo-bar.html");
  },
  async "put: a blob"({ cache }) {
    await cache.put(at("foo"), new Response(new Blob(["Hello world!"])));
    assertEquals(await (await cache.match(at("foo")))?.text(), "Hello world!");
  },
  async "put: a form"({ cache }) {
    const form = new FormData();
    form.append("name", "value");
    await cache.put(at("foo"), new Response(form));
    const found = (await cache.match(at("foo")))!;
    assert((await found.text()).includes('name="name"\r\n\r\nvalue'));
  },
};

const STORAGE: Record<string, (context: Context) => Promise<void>> = {
  async "caches: open"({ caches }) {
    assert(await caches.open("cache-storage/foo") instanceof WebCache);
  },
  async "caches: a deleted one goes on for who has it open"({ caches, base }) {
    const first = await caches.open("bar");
    await caches.delete("bar");
    await first.add(base);
    assertEquals((await caches.keys()).includes("bar"), false);
    const second = await caches.open("bar");
    assertEquals(await second.keys(), []);
    assertEquals(urlsOf(await first.keys()), [base]);
  },
  async "caches: an empty name"({ caches }) {
    assert(await caches.open("") instanceof WebCache);
    assertEquals(await caches.has(""), true);
  },
  "caches: open without a name": ({ caches }) => rejects(untyped(caches).open()).then(() => {}),
  async "caches: names are compared exactly"({ caches }) {
    const others: Record<string, string[]> = {
      "s/lowercase": ["s/Lowercase", " s/lowercase", "s/lowercase "],
      "s/has a space": ["s/has"],
      "s/has\0_in_the_name": ["s/has", "s/has_in_the_name"],
    };
    for (const [name, unlike] of Object.entries(others)) {
      await caches.open(name);
      assertEquals(await caches.has(name), true);
      for (const other of unlike) assertEquals(await caches.has(other), false, other);
      await caches.delete(name);
    }
  },
  async "caches: has of one that is absent"({ caches }) {
    assertEquals(await caches.has("cheezburger"), false);
  },
  async "caches: opened twice, it is another object of one store"({ caches, base }) {
    const cache = await caches.open("open");
    await cache.add(base);
    const again = await caches.open("open");
    assert(again !== cache);
    assertEquals(urlsOf(await again.keys()), urlsOf(await cache.keys()));
  },
  async "caches: delete"({ caches }) {
    await caches.open("delete");
    assertEquals(await caches.delete("delete"), true);
    assertEquals(await caches.has("delete"), false);
  },
  async "caches: delete of one that is absent"({ caches }) {
    assertEquals(await caches.delete("cheezburger"), false);
  },
  async "caches: names may have lone surrogates"({ caches }) {
    await caches.open("unpaired\uD800");
    assert((await caches.keys()).includes("unpaired\uD800"));
    assertEquals(await caches.has("unpaired\uD800"), true);
    assertEquals(await caches.has("unpaired\uFFFD"), false);
  },
  async "caches: keys, in the order of opening"({ caches }) {
    for (const name of await caches.keys()) await caches.delete(name);
    const names = ["", "example", "Another cache name", "A", "a", "ex ample"];
    for (const name of names) await caches.open(name);
    assertEquals(await caches.keys(), names);
  },
  async "caches.match: of any"({ caches, cache }) {
    await cache.put(at("1"), new Response("hello"));
    assertEquals(await (await caches.match(at("1")))?.text(), "hello");
  },
  async "caches.match: of one of many"({ caches, cache }) {
    await cache.put(at("1"), new Response("hello"));
    for (const name of ["a", "b", "c"]) await caches.open(name);
    assertEquals(await (await caches.match(at("1")))?.text(), "hello");
  },
  async "caches.match: by name"({ caches }) {
    for (const name of ["x", "y", "z"]) await caches.open(name);
    await (await caches.open("x")).put(at("1"), new Response("hello"));
    assertEquals(await (await caches.match(at("1"), { cacheName: "x" }))?.text(), "hello");
    assertEquals(await caches.match(at("1"), { cacheName: "y" }), undefined);
  },
  async "caches.match: a string"({ caches, cache }) {
    await cache.put(at("1").url, new Response("hello"));
    assertEquals(await (await caches.match(at("1").url))?.text(), "hello");
  },
  async "caches.match: HEAD"({ caches, cache }) {
    await cache.put(at("1"), new Response("hello"));
    assertEquals(await caches.match(new Request(at("1"), HEAD)), undefined);
  },
  async "caches.match: none"({ caches }) {
    assertEquals(await caches.match(at("1")), undefined);
  },
  async "caches.match: a name without a cache makes none"({ caches }) {
    assertEquals(await caches.match(at("1"), { cacheName: "foo" }), undefined);
    assertEquals(await caches.has("foo"), false);
  },
  async "caches.match: an empty name"({ caches, cache }) {
    await cache.put(at("1"), new Response("hello"));
    assertEquals(await caches.match(at("1"), { cacheName: "" }), undefined);
    await (await caches.open("")).put(at("1"), new Response("hello"));
    assertEquals(await (await caches.match(at("1"), { cacheName: "" }))?.text(), "hello");
  },
  async "caches.match: ignoreSearch"({ caches, cache }) {
    await cache.put(at("?foo"), new Response("foo"));
    assertEquals(await caches.match(at("")), undefined);
    assertEquals(await (await caches.match(at(""), { ignoreSearch: true }))?.text(), "foo");
  },
  async "caches.match: ignoreMethod"({ caches, cache }) {
    await cache.put(at(""), new Response("foo"));
    const request = new Request(at(""), HEAD);
    assertEquals(await caches.match(request), undefined);
    assertEquals(await (await caches.match(request, { ignoreMethod: true }))?.text(), "foo");
  },
  async "caches.match: ignoreVary"({ caches, cache }) {
    await fill(cache, { isCookie: VARY.isCookie });
    assertEquals(await caches.match(at("c")), undefined);
    assertEquals(entryOf(await caches.match(at("c"), { ignoreVary: true })), "isCookie");
  },
};

suiteOnEngines<Context>(
  "web cache: the web-platform tests' cases",
  contextOn,
  { ...ADD, ...ABORT, ...DELETE, ...KEYS, ...MATCH, ...MATCH_ALL, ...PUT, ...STORAGE },
  (context) => context.stop(),
);
