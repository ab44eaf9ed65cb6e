/**
 * A stash behind the Web's [Cache](https://developer.mozilla.org/docs/Web/API/Cache) interface:
 * `match`, `put` and `delete` of `Response`s, with status, headers, body and `Vary`, on any engine.
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
import type { HashStash } from "../mod.ts";

/** How requests are compared. */
export interface WebCacheQueryOptions {
  /** Leaves the part of the URL after `?` out of the comparison: looks at all keys, O(entries). */
  ignoreSearch?: boolean;
  /** Takes requests of other methods than GET and HEAD for GET ones. */
  ignoreMethod?: boolean;
  /** Leaves the headers that `Vary` names out of the comparison. */
  ignoreVary?: boolean;
}

/** How long responses stay. */
export interface WebCacheOptions {
  /**
   * ms, or what makes them of a response; `Infinity`: forever; `undefined`: the stash's own `ttl`.
   */
  ttl?: number | ((response: Response) => number | undefined);
}

/** A response as it is stored, with the request headers that it varies by. */
export interface StoredResponse {
  /** The headers that `Vary` names, and their values in the request. */
  vary: [name: string, value: string | null][];
  /** The status code. */
  status: number;
  /** The status text. */
  statusText: string;
  /** The headers; `set-cookie` may come more than once. */
  headers: [name: string, value: string][];
  /** The body; `null` when there was none. */
  body: Uint8Array | null;
}

/** Statuses of which `Response` takes no body. */
const WITHOUT_BODY = [101, 204, 205, 304];

/**
 * The `Cache` interface over a stash whose keys are URLs. One URL's responses for different `Vary`
 * headers stand together under one key, changed atomically.
 */
export class WebCache {
  readonly #stash: HashStash<string, StoredResponse[]>;
  readonly #options: WebCacheOptions;

  /**
   * Makes the cache.
   *
   * @param stash Where the responses go.
   * @param options How long they stay.
   */
  constructor(stash: HashStash, options: WebCacheOptions = {}) {
    this.#stash = stash as HashStash<string, StoredResponse[]>;
    this.#options = options;
  }

  /**
   * The stored response for a request, or `undefined`.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   */
  async match(
    request: RequestInfo | URL,
    options: WebCacheQueryOptions = {},
  ): Promise<Response | undefined> {
    const asked = new Request(request);
    if (!isRead(asked) && !options.ignoreMethod) return undefined;
    for await (const key of this.#keysFor(asked, options)) {
      const stored = (await this.#stash.get(key))?.find((one) => accepts(one, asked, options));
      if (stored) return revive(stored);
    }
    return undefined;
  }

  /**
   * Stores a response, in the place of an earlier one for the same request. Its body is read to the
   * end.
   *
   * @param request The request, or its URL: GET, of `http:` or `https:`.
   * @param response The response.
   * @throws {TypeError} On other methods and schemes, status 206, `Vary: *`, and a body that was
   * read already.
   */
  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    const asked = new Request(request);
    const scheme = new URL(asked.url).protocol;
    if (scheme !== "http:" && scheme !== "https:") {
      throw new TypeError(
        `Cannot put response: the request's scheme is ${scheme}, not http: or https:`,
      );
    }
    if (asked.method !== "GET") {
      throw new TypeError(`Cannot put response: the request's method is ${asked.method}, not GET`);
    }
    if (response.status === 206) throw new TypeError("Cannot put response: it is partial (206)");
    if (response.bodyUsed || response.body?.locked) {
      throw new TypeError("Cannot put response: its body was read already");
    }
    const names = varyNames(response.headers);
    if (names.includes("*")) throw new TypeError("Cannot put response: it varies by everything");
    const { ttl } = this.#options;
    const lifetime = typeof ttl === "function" ? ttl(response) : ttl;
    const stored: StoredResponse = {
      vary: names.map((name) => [name, asked.headers.get(name)]),
      status: response.status,
      statusText: response.statusText,
      headers: [...response.headers],
      body: response.body === null ? null : new Uint8Array(await response.arrayBuffer()),
    };
    await this.#stash.modify(
      keyOf(asked),
      (others = []) => [...others.filter((other) => !accepts(other, asked, {})), stored],
      lifetime === undefined ? undefined : { ttl: lifetime },
    );
  }

  /**
   * Removes the response for a request.
   *
   * @param request The request, or its URL.
   * @param options How requests are compared.
   * @returns Whether there was one.
   */
  async delete(request: RequestInfo | URL, options: WebCacheQueryOptions = {}): Promise<boolean> {
    const asked = new Request(request);
    if (!isRead(asked) && !options.ignoreMethod) return false;
    let deleted = false;
    for await (const key of this.#keysFor(asked, options)) {
      let found = false;
      await this.#stash.modify(key, (stored) => {
        const rest = stored?.filter((one) => !accepts(one, asked, options));
        found = stored !== undefined && rest?.length !== stored.length;
        return rest?.length === 0 ? undefined : rest;
      });
      deleted ||= found;
    }
    return deleted;
  }

  async *#keysFor(
    request: Request,
    { ignoreSearch }: WebCacheQueryOptions,
  ): AsyncGenerator<string> {
    const wanted = keyOf(request);
    if (!ignoreSearch) {
      yield wanted;
      return;
    }
    for await (const key of this.#stash.keys()) {
      if (withoutSearch(key) === withoutSearch(wanted)) yield key;
    }
  }
}

function isRead(request: Request): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

/** The URL without its fragment. */
function keyOf(request: Request): string {
  const url = new URL(request.url);
  url.hash = "";
  return url.href;
}

function withoutSearch(href: string): string {
  const url = new URL(href);
  url.search = "";
  return url.href;
}

function varyNames(headers: Headers): string[] {
  const names = headers.get("vary")?.split(",") ?? [];
  return names.map((name) => name.trim().toLowerCase()).filter((name) => name !== "");
}

function accepts(
  stored: StoredResponse,
  request: Request,
  { ignoreVary }: WebCacheQueryOptions,
): boolean {
  return ignoreVary === true ||
    stored.vary.every(([name, value]) => request.headers.get(name) === value);
}

function revive({ status, statusText, headers, body }: StoredResponse): Response {
  const init = { status, statusText, headers };
  return new Response(WITHOUT_BODY.includes(status) ? null : body as BodyInit | null, init);
}
