/**
 * A stash behind the Web's [Cache](https://developer.mozilla.org/docs/Web/API/Cache) interface:
 * `Response`s with status, headers, body and `Vary`, on any engine; and caches by name, as
 * `caches` has them.
 *
 * What the HTTP headers say is heeded, as a cache that serves several users has to (see
 * `cacheControl`): a browser's `Cache` leaves that to the page.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { WebCache } from "@hashstash/hashstash/adapters/web-cache";
 *
 * await using stash = new HashStash({ name: "responses", engine: "memory" });
 * const cache = new WebCache(stash);
 * await cache.put("https://example.com/a", new Response("hello", { headers: { "x-from": "origin" } }));
 * const response = await cache.match("https://example.com/a");
 * console.log(await response?.text()); // "hello"
 * ```
 *
 * @module
 */
import { DecodeError, type HashStash, type SetOptions } from "../mod.ts";
import { httpLifetime } from "./http_lifetime.ts";
import {
  accepts,
  discardBody,
  isStored,
  readBody,
  requestOf,
  responseOf,
  storedOf,
  type StoredResponse,
  unreadableOf,
  varyNames,
} from "./stored_response.ts";

export type { StoredResponse };

/** How requests are compared. */
export interface WebCacheQueryOptions {
  /** Leaves the part of the URL after `?` out of the comparison: looks at all keys, O(entries). */
  ignoreSearch?: boolean;
  /** Takes requests of other methods for GET ones. */
  ignoreMethod?: boolean;
  /**
   * Leaves the headers that `Vary` names out of the comparison: where a URL has responses that vary,
   * looks at all keys, O(entries).
   */
  ignoreVary?: boolean;
}

/** Which responses stay, and how long. */
export interface WebCacheOptions {
  /**
   * ms, or what makes them of a response; `Infinity`: forever; `undefined`: the stash's own `ttl`. A
   * response that is fresh for a shorter time by its headers stays for that.
   */
  ttl?: number | ((response: Response) => number | undefined);
  /**
   * What the headers of HTTP decide (RFC 9111): `Cache-Control`, `Expires`, `Age`, `Pragma`. What may
   * not be kept is not, nor what has to be asked for anew each time (`no-cache`, `max-age=0`); `put`
   * then resolves, and what was there for the request is gone.
   *
   * - `"shared"`, the default: also not what is `private`, what answers a request with
   *   `Authorization` (unless its headers allow it), and what sets cookies (unless `public`).
   * - `"private"`: the cache serves one user.
   * - `"ignore"`: everything is kept, as in a browser's `Cache`.
   */
  cacheControl?: "shared" | "private" | "ignore";
}

/** The `Vary` headers of a URL's responses, and until when there may be such responses. */
interface VaryIndex {
  lists: { names: string[]; until: number }[];
}

/** Another has changed the index meanwhile. */
const OVERTAKEN = new Error("Overtaken");

/** Found under a key. */
type Found = [key: unknown, stored: StoredResponse];

/** In the place of a value that can't be read. */
const UNREADABLE = Symbol("unreadable");

/**
 * The Web's `Cache` interface over a stash. Each response is an entry of its own, with its own
 * deadline: under the URL, or with those that vary under the URL and the values of these headers.
 */
export class WebCache {
  // Keys: `url`: the response that varies by nothing; `[url, [name, value][]]`: one that varies;
  // `[url]`: the index of a URL's `Vary` headers.
  readonly #stash: HashStash<unknown, unknown>;
  readonly #options: WebCacheOptions;

  /**
   * Makes the cache.
   *
   * @param stash Where the responses go.
   * @param options Which stay, and how long.
   * @throws {TypeError} On an unknown `cacheControl`.
   */
  constructor(stash: HashStash, options: WebCacheOptions = {}) {
    const { cacheControl = "shared" } = options;
    if (!["shared", "private", "ignore"].includes(cacheControl)) {
      throw new TypeError(
        `Expected cacheControl to be one of: shared, private, ignore; got "${cacheControl}"`,
      );
    }
    this.#stash = stash;
    this.#options = options;
  }

  /**
   * The stored response for a request, or `undefined`; of several the one that was stored first.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   */
  async match(
    request: RequestInfo | URL,
    options?: WebCacheQueryOptions,
  ): Promise<Response | undefined> {
    const [first] = await this.#find(toRequest(request), options);
    return first && responseOf(first[1]);
  }

  /**
   * All stored responses for a request, or all there are, in the order in which they were stored.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   */
  async matchAll(
    request?: RequestInfo | URL,
    options?: WebCacheQueryOptions,
  ): Promise<Response[]> {
    const found = request === undefined
      ? await this.#all()
      : await this.#find(toRequest(request), options);
    return found.map(([, stored]) => responseOf(stored));
  }

  /**
   * The requests that a request matches, or all there are, in the order in which their responses were
   * stored; without credentials, unless the response varies by them. Those of responses that can't be
   * read come first, so that they can be deleted.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   */
  async keys(request?: RequestInfo | URL, options?: WebCacheQueryOptions): Promise<Request[]> {
    const found = request === undefined
      ? await this.#scan(() => true, () => true, true)
      : await this.#find(toRequest(request), options, true);
    return found.map(([, stored]) => requestOf(stored));
  }

  /**
   * Fetches and stores.
   *
   * @param request The request, or its URL: GET, of `http:` or `https:`.
   * @throws {TypeError} As `put`, and when the response is not `ok`.
   */
  async add(request: RequestInfo | URL): Promise<void> {
    await this.addAll([request]);
  }

  /**
   * Fetches many and stores them when all have come; when one fails, none is.
   *
   * @param requests The requests, or their URLs.
   * @throws {TypeError} As `add`.
   * @throws {DOMException} `InvalidStateError` when one would take the place of another.
   */
  async addAll(requests: (RequestInfo | URL)[]): Promise<void> {
    const asked = Array.from(requests, toRequest);
    for (const request of asked) checkRequest(request, "add");
    const controller = new AbortController();
    try {
      const pairs = await Promise.all(asked.map(async (request) => {
        const signal = AbortSignal.any([request.signal, controller.signal]);
        const response = await fetch(request, { signal });
        if (!response.ok) {
          throw new TypeError(`Cannot add response: the status is ${response.status}`);
        }
        const names = checkResponse(response, "add");
        return { request, response, names, body: await readBody(response) };
      }));
      for (const [i, later] of pairs.entries()) {
        const isKnown = pairs.slice(0, i).some((earlier) =>
          urlOf(earlier.request) === urlOf(later.request) &&
          accepts(
            earlier.names.map((name) => [name, earlier.request.headers.get(name)]),
            later.request,
          )
        );
        if (isKnown) {
          throw new DOMException(
            `Cannot add responses: two of the requests are for ${urlOf(later.request)}`,
            "InvalidStateError",
          );
        }
      }
      for (const { request, response, names, body } of pairs) {
        await this.#put(request, response, names, () => Promise.resolve(body));
      }
    } catch (error) {
      // The others needn't come any more.
      controller.abort(error);
      throw error;
    }
  }

  /**
   * Stores a response, in the place of an earlier one for the same request. Its body is read to the
   * end, and cookies are not stored.
   *
   * @param request The request, or its URL: GET, of `http:` or `https:`.
   * @param response The response.
   * @throws {TypeError} On other methods and schemes, status 206, `Vary: *`, and a body that was
   * read already or is not bytes.
   */
  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    const asked = toRequest(request);
    checkRequest(asked, "put");
    const names = checkResponse(response, "put");
    await this.#put(asked, response, names, () => readBody(response));
  }

  /**
   * Removes the responses for a request, also those that can't be read.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   * @returns Whether there was one.
   */
  async delete(request: RequestInfo | URL, options?: WebCacheQueryOptions): Promise<boolean> {
    const found = await this.#find(toRequest(request), options, true);
    return await this.#stash.deleteMany(found.map(([key]) => key)) > 0;
  }

  async #put(
    request: Request,
    response: Response,
    names: string[],
    read: () => Promise<Uint8Array | null>,
  ): Promise<void> {
    const lifetime = await this.#lifetime(request, response);
    if (lifetime !== undefined && lifetime <= 0) {
      if (!response.body?.locked) await discardBody(response);
      await this.delete(request);
      return;
    }
    const body = await read();
    const stored = storedOf(request, response, names, body);
    const url = urlOf(request);
    const key = names.length === 0 ? url : [url, stored.vary];
    // First: after a crash in between there is none for the request rather than an earlier one.
    const earlier = (await this.#find(request, {}, true)).map(([key]) => key);
    await this.#stash.deleteMany(earlier.filter((other) => !isSame(other, key)));
    const ttl = lifetime ?? Infinity;
    if (names.length > 0) await this.#index(url, names, Date.now() + ttl);
    await this.#stash.set(key, stored, { ttl });
  }

  /** ms; `undefined`: forever. */
  async #lifetime(request: Request, response: Response): Promise<number | undefined> {
    const { ttl, cacheControl = "shared" } = this.#options;
    const own = (typeof ttl === "function" ? ttl(response) : ttl) ?? this.#stash.toJSON().ttl;
    if (cacheControl === "ignore") return own;
    const told = await httpLifetime(request, response, cacheControl === "shared");
    return told === undefined || own === undefined ? told ?? own : Math.min(told, own);
  }

  /** Notes that a URL has responses that vary by these headers, until then at least. */
  async #index(url: string, names: string[], until: number): Promise<void> {
    const key = [url];
    for (;;) {
      const now = Date.now();
      const current = await this.#stash.get(key) as VaryIndex | undefined;
      const known = current?.lists.find((list) => isSame(list.names, names));
      if (known !== undefined && known.until >= until) return;
      // Ahead, so that not every response of many moves it.
      const ahead = { names, until: now + 2 * (until - now) };
      const lists = [
        ...(current?.lists ?? []).filter((list) => list !== known && list.until > now),
        ahead,
      ];
      const end = Math.max(...lists.map((list) => list.until));
      const options: SetOptions = end === Infinity ? { ttl: Infinity } : { expiresAt: end };
      try {
        await this.#stash.modify(key, (found) => {
          // Its deadline may be a later one than this one's: not even written as it is.
          if (!isSame(found, current)) throw OVERTAKEN;
          return { lists };
        }, options);
        return;
      } catch (error) {
        if (error !== OVERTAKEN) throw error;
      }
    }
  }

  /**
   * What matches a request, in the order in which it was stored.
   *
   * @param isTolerant Whether what can't be read is found too, by its key: for whoever asks only
   * what is there.
   */
  async #find(
    request: Request,
    options: WebCacheQueryOptions = {},
    isTolerant = false,
  ): Promise<Found[]> {
    const { ignoreMethod = false, ignoreSearch = false, ignoreVary = false } = options;
    if (request.method !== "GET" && !ignoreMethod) return [];
    const url = urlOf(request);
    if (ignoreSearch) {
      const wanted = withoutSearch(url);
      return await this.#scan(
        (other) => withoutSearch(other) === wanted,
        (vary) => ignoreVary || accepts(vary, request),
        isTolerant,
      );
    }
    const [plain, index] = await this.#values([url, [url]], isTolerant);
    const found = foundOf(url, plain);
    if (index === UNREADABLE) {
      // Without it none of the URL's responses that vary is found any more: all of them match.
      const varying = await this.#scan((other) => other === url, (vary) => vary.length > 0, true);
      return sorted([[[url], unreadableOf(url)], ...found, ...varying]);
    }
    const lists = (index as VaryIndex | undefined)?.lists;
    if (!Array.isArray(lists)) return found;
    if (ignoreVary) return await this.#scan((other) => other === url, () => true, isTolerant);
    const keys = lists.map(({ names }) => [
      url,
      names.map((name) => [name, request.headers.get(name)]),
    ]);
    return sorted([...found, ...await this.#read(keys, isTolerant)]);
  }

  /** Goes over all keys. */
  async #scan(
    isUrl: (url: string) => boolean,
    isVary: (vary: StoredResponse["vary"]) => boolean,
    isTolerant: boolean,
  ): Promise<Found[]> {
    const keys: unknown[] = [];
    for await (const key of this.#stash.keys()) {
      const [url, vary] = partsOf(key);
      if (url !== undefined && URL.canParse(url) && isUrl(url) && isVary(vary)) keys.push(key);
    }
    return sorted(await this.#read(keys, isTolerant));
  }

  async #read(keys: unknown[], isTolerant: boolean): Promise<Found[]> {
    const values = await this.#values(keys, isTolerant);
    return keys.flatMap((key, i) => foundOf(key, values[i]));
  }

  /** The values of keys; `UNREADABLE` in the place of those that can't be read, when tolerant. */
  async #values(keys: unknown[], isTolerant: boolean): Promise<unknown[]> {
    try {
      return await this.#stash.getMany(keys);
    } catch (error) {
      if (!isTolerant || !(error instanceof DecodeError)) throw error;
    }
    // A batch doesn't tell which of them.
    const values: unknown[] = [];
    for (const key of keys) {
      try {
        values.push(await this.#stash.get(key));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        values.push(UNREADABLE);
      }
    }
    return values;
  }

  async #all(): Promise<Found[]> {
    const found: Found[] = [];
    for await (const [key, value] of this.#stash.entries()) {
      if (isStored(value)) found.push([key, value]);
    }
    return sorted(found);
  }
}

/** Which caches `WebCacheStorage.match` looks at, and how requests are compared. */
export interface WebCacheStorageQueryOptions extends WebCacheQueryOptions {
  /** The one cache that is looked at; by default all, in the order in which they were opened. */
  cacheName?: string;
}

/** A cache that is there, by its name. */
interface CacheEntry {
  /** The name of the stash of its responses: another one each time a name is opened anew. */
  store: string;
  /** When it was opened first, ms since the epoch, and for one millisecond by chance. */
  order: number;
}

/**
 * Caches by name: the Web's `CacheStorage` interface over a stash, each cache in a stash inside it.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { WebCacheStorage } from "@hashstash/hashstash/adapters/web-cache";
 *
 * await using stash = new HashStash({ name: "sites", engine: "memory" });
 * await using caches = new WebCacheStorage(stash);
 * const cache = await caches.open("v1");
 * await cache.put("https://example.com/a", new Response("hello"));
 * console.log(await (await caches.match("https://example.com/a"))?.text()); // "hello"
 * console.log(await caches.keys()); // ["v1"]
 * ```
 */
export class WebCacheStorage implements AsyncDisposable {
  readonly #stash: HashStash<unknown, CacheEntry>;
  readonly #options: WebCacheOptions;
  /** By the names of their stores. */
  readonly #opened = new Map<string, { name: string; stash: HashStash }>();

  /**
   * Makes the storage.
   *
   * @param stash Where the caches go; it stays open when the storage is closed.
   * @param options Which responses stay, and how long, in each cache.
   */
  constructor(stash: HashStash, options: WebCacheOptions = {}) {
    this.#stash = stash as HashStash<unknown, CacheEntry>;
    this.#options = options;
  }

  /**
   * The cache of a name, which is made where there is none.
   *
   * @param name Any text.
   */
  async open(name: string): Promise<WebCache> {
    const made = {
      store: `cache-${crypto.randomUUID()}`,
      order: performance.timeOrigin + performance.now(),
    };
    // The stash's ttl is for responses: without this entry those of the cache would be lost.
    const { store } = await this.#stash.setDefault(keyOf(name), made, { ttl: Infinity });
    return this.#cache(name, store);
  }

  /**
   * Whether there is a cache of this name.
   *
   * @param name The name.
   */
  async has(name: string): Promise<boolean> {
    return await this.#stash.has(keyOf(name));
  }

  /**
   * Removes a cache with its responses. Who has it open goes on with an empty one of their own. Of
   * one whose entry can't be read only the name goes: where its responses are is not known.
   *
   * @param name The name.
   * @returns Whether there was one.
   */
  async delete(name: string): Promise<boolean> {
    let entry: CacheEntry | undefined;
    try {
      entry = await this.#stash.pop(keyOf(name));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return await this.#stash.delete(keyOf(name));
    }
    if (entry === undefined) return false;
    await this.#stashOf(name, entry.store).clear();
    return true;
  }

  /** The names, in the order in which they were opened first. */
  async keys(): Promise<string[]> {
    const caches: [name: string, order: number][] = [];
    for await (const [key, { order }] of this.#stash.entries()) {
      const name = nameOf(key);
      if (name !== undefined) caches.push([name, order]);
    }
    return caches.sort(([, a], [, b]) => a - b).map(([name]) => name);
  }

  /**
   * The stored response for a request, of the first cache that has one, or `undefined`.
   *
   * @param request The request, or its URL.
   * @param options Which caches, and how requests are compared.
   */
  async match(
    request: RequestInfo | URL,
    options: WebCacheStorageQueryOptions = {},
  ): Promise<Response | undefined> {
    const { cacheName, ...query } = options;
    const asked = toRequest(request);
    for (const name of cacheName === undefined ? await this.keys() : [cacheName]) {
      const entry = await this.#stash.get(keyOf(name));
      const response = entry && await this.#cache(name, entry.store).match(asked, query);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  /** Closes the caches; what was stored in one after it had been deleted is removed. */
  async close(): Promise<void> {
    for (const [store, { name, stash }] of this.#opened) {
      if ((await this.#stash.get(keyOf(name)))?.store !== store) await stash.clear();
      await stash.close();
    }
    this.#opened.clear();
  }

  /** The same as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #cache(name: string, store: string): WebCache {
    return new WebCache(this.#stashOf(name, store), this.#options);
  }

  #stashOf(name: string, store: string): HashStash {
    let opened = this.#opened.get(store);
    if (opened === undefined) {
      opened = { name, stash: this.#stash.sub<unknown, unknown>(store) };
      this.#opened.set(store, opened);
    }
    return opened.stash;
  }
}

/** The key of a cache's name. @throws {TypeError} When it is no text. */
function keyOf(name: string): { cache: string } {
  if (typeof name !== "string") {
    throw new TypeError(`Expected the name of a cache, got ${typeof name}`);
  }
  return { cache: name };
}

function nameOf(key: unknown): string | undefined {
  const name = typeof key === "object" && key !== null && Reflect.get(key, "cache");
  return typeof name === "string" ? name : undefined;
}

// Not made anew: that would use the body of a request that has one.
function toRequest(request: RequestInfo | URL): Request {
  return request instanceof Request ? request : new Request(request);
}

function checkRequest(request: Request, operation: string): void {
  const { protocol } = new URL(request.url);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError(
      `Cannot ${operation} response: the request's scheme is ${protocol}, not http: or https:`,
    );
  }
  if (request.method !== "GET") {
    throw new TypeError(
      `Cannot ${operation} response: the request's method is ${request.method}, not GET`,
    );
  }
}

/** @returns The headers that it varies by. */
function checkResponse(response: Response, operation: string): string[] {
  if (!(response instanceof Response)) {
    throw new TypeError(`Cannot ${operation} response: it is no Response`);
  }
  if (response.status === 206) {
    throw new TypeError(`Cannot ${operation} response: it is partial (206)`);
  }
  if (response.bodyUsed || response.body?.locked) {
    throw new TypeError(`Cannot ${operation} response: its body was read already`);
  }
  const names = varyNames(response.headers);
  if (names.includes("*")) {
    throw new TypeError(`Cannot ${operation} response: it varies by everything`);
  }
  return names;
}

/** The URL without its fragment. */
function urlOf(request: Request): string {
  const url = new URL(request.url);
  url.hash = "";
  return url.href;
}

function withoutSearch(href: string): string {
  const url = new URL(href);
  url.search = "";
  return url.href;
}

/** The URL of the key of a response, and the headers that it varies by. */
function partsOf(key: unknown): [url: string | undefined, vary: StoredResponse["vary"]] {
  if (typeof key === "string") return [key, []];
  if (!Array.isArray(key) || key.length !== 2) return [undefined, []];
  const [url, vary] = key;
  return typeof url === "string" && Array.isArray(vary) ? [url, vary] : [undefined, []];
}

/** What a value under a key is, when it is a response or can't be read. */
function foundOf(key: unknown, value: unknown): Found[] {
  if (isStored(value)) return [[key, value]];
  const [url, vary] = partsOf(key);
  return value === UNREADABLE && url !== undefined ? [[key, unreadableOf(url, vary)]] : [];
}

function sorted(found: Found[]): Found[] {
  return found.sort(([, a], [, b]) => a.order - b.order);
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
