/**
 * A page to look into a stash: its stores, keys a page at a time, decoded values, deadlines, tags,
 * versions and their differences, sizes, events as they happen, and `/metrics` for Prometheus.
 * docs/inspector.md shows what is on it, docs/security.md who may see it.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { inspector } from "@hashstash/hashstash/inspector";
 *
 * await using stash = new HashStash({ name: "looked_into", engine: "memory" });
 * await stash.set("greeting", { text: "hello" });
 *
 * const token = crypto.randomUUID();
 * const handler = inspector(stash, { token });
 * const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
 * const address = `http://127.0.0.1:${server.addr.port}/`;
 * // A browser: `${address}?token=${token}`
 * const response = await fetch(address, { headers: { authorization: `Bearer ${token}` } });
 * console.log(response.status, (await response.text()).includes("greeting")); // 200 true
 * await server.shutdown();
 * ```
 *
 * @module
 */
import { EngineError, type HashStash } from "../mod.ts";
import { DecodeError } from "../codec/errors.ts";
import { messageOf } from "../engines/errors.ts";
import { checkNames, typeOf } from "../store/options.ts";
import { change } from "./changes.ts";
import { EventStreams } from "./events.ts";
import { type ConnectionInfo, Guard, isReading, secured } from "./guard.ts";
import { pictureType } from "./hex.ts";
import type { Html } from "./html.ts";
import { Inspected, look } from "./inspected.ts";
import { metricsText } from "./metrics.ts";
import { type Answer, browse, message, storesPane } from "./page.ts";
import { BadAddress, keyOf, placeOf } from "./place.ts";
import { ICON, SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";
import { bytesOf } from "./texts.ts";

export type { ConnectionInfo };

/** Who may see an inspector, and what it may do. */
export interface InspectorOptions {
  /**
   * The secret that every request has to bring: as `Authorization: Bearer`, or once as `?token=` in
   * the address, which a cookie then stands for. At least 16 characters of ASCII without blanks.
   */
  token: string;
  /** Whether values may be edited and keys deleted; `false`. */
  write?: boolean;
  /**
   * Names under which the page is reached besides `localhost`, `127.0.0.1` and `[::1]`: a browser
   * asks with them as `Host`. With a port (`"cache.example.org:8443"`) on that one only.
   */
  allowedHosts?: readonly string[];
  /** Whether other machines may connect; `false`. Their requests need a name in `allowedHosts`. */
  remote?: boolean;
}

/**
 * Answers requests. `Deno.serve` passes the address of the other end as the second argument;
 * without it only the names of this machine are served.
 */
export type InspectorHandler = (request: Request, info?: ConnectionInfo) => Promise<Response>;

/**
 * Makes the handler of a page to look into a stash, for `Deno.serve`. It opens nothing by itself.
 * Closing the stash ends what it shows.
 *
 * @param stash The stash. Its events are those of this process; what other processes do is seen in
 * the stores.
 * @param options Who may see it. There is no page without a token.
 * @returns The handler. It refuses, in this order: other machines and other sites' names and pages
 * (403), requests without the token (401), unknown paths (404), other methods (405).
 * @throws {TypeError} When there is no token or a short one, on options that make no sense, and when
 * the stash is none.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { inspector } from "@hashstash/hashstash/inspector";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * const handler = inspector(stash, { token: crypto.randomUUID() });
 * const response = await handler(new Request("http://localhost/"));
 * console.log(response.status); // 401
 * ```
 */
export function inspector(stash: HashStash, options: InspectorOptions): InspectorHandler {
  // One of another copy of this package is one too.
  if (typeof (stash as Partial<HashStash> | undefined | null)?.stores !== "function") {
    throw new TypeError(`Expected a HashStash to look into, got ${typeOf(stash)}`);
  }
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Expected options with a token, got ${typeOf(options)}: pass { token: crypto.randomUUID() }`,
    );
  }
  checkNames(options, ["token", "write", "allowedHosts", "remote"]);
  const { write = false } = options;
  if (typeof write !== "boolean") {
    throw new TypeError(`Expected write to be true or false, got ${typeOf(write)}`);
  }
  const guard = new Guard(options);
  const inspected = new Inspected(stash);
  const streams = new EventStreams(stash);
  return async (request, info) => {
    const response = guard.answer(request, info) ??
      await respond({ inspected, streams, write }, request);
    // The head of what a GET gives: it is small, and the same code makes it.
    if (request.method === "HEAD") await response.body?.cancel();
    return secured(request.method === "HEAD" ? new Response(null, response) : response);
  };
}

interface Inspection {
  readonly inspected: Inspected;
  readonly streams: EventStreams;
  readonly write: boolean;
}

async function respond(inspection: Inspection, request: Request): Promise<Response> {
  const { inspected: { stash } } = inspection;
  try {
    return await route(inspection, request);
  } catch (error) {
    const problem = messageOf(error);
    if (error instanceof BadAddress) return page(message(stash, 400, "Not an address", problem));
    if (error instanceof EngineError || error instanceof DecodeError) {
      return page(message(stash, 502, "The store does not answer", problem));
    }
    return page(message(stash, 500, "This went wrong", problem));
  }
}

async function route(
  { inspected, streams, write }: Inspection,
  request: Request,
): Promise<Response> {
  const { pathname, searchParams: params } = new URL(request.url);
  const { stash } = inspected;
  if (pathname === "/set" || pathname === "/delete") {
    if (request.method !== "POST") return refuseMethod("POST");
    if (!write) {
      return plain("This inspector is read-only: pass write: true to change values\n", 403);
    }
    return await change(inspected, pathname === "/set" ? "set" : "delete", request);
  }
  if (!isReading(request)) return refuseMethod("GET, HEAD");
  switch (pathname) {
    case "/":
      return page(await browse(inspected, placeOf(params, inspected.dbname), write));
    case "/stores":
      return html(storesPane(inspected, await inspected.count(), params.get("store") ?? ""));
    case "/picture":
    case "/bytes":
      return await bytesResponse(inspected, pathname, params);
    case "/events":
      return request.method === "HEAD" ? plain("", 200) : streams.response();
    case "/metrics":
      return plain(
        metricsText(stash, await inspected.recentCount(), await inspected.fullness()),
        200,
        "; version=0.0.4",
      );
    case "/style.css":
      return new Response(STYLE, { headers: { "content-type": "text/css; charset=utf-8" } });
    case "/script.js":
      return new Response(SCRIPT, {
        headers: { "content-type": "text/javascript; charset=utf-8" },
      });
    case "/icon.svg":
      return new Response(ICON, { headers: { "content-type": "image/svg+xml" } });
    default:
      return page(message(stash, 404, "No such page", "There is nothing at this address"));
  }
}

/** Stored bytes, which a browser shows as a picture or saves, and takes for nothing else. */
async function bytesResponse(
  inspected: Inspected,
  pathname: "/picture" | "/bytes",
  params: URLSearchParams,
): Promise<Response> {
  const key = keyOf(params);
  const store = await inspected.store(params.get("store") ?? inspected.dbname);
  const seen = key === undefined || store === undefined ? undefined : await look(store.reader, key);
  if (seen === undefined) return plain("There is no such entry\n", 404);
  const { facts, decoded } = seen;
  const headers = {
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
  };
  if (pathname === "/bytes") {
    return new Response(facts.bytes as Uint8Array<ArrayBuffer>, {
      headers: {
        ...headers,
        "content-type": "application/octet-stream",
        "content-disposition": 'attachment; filename="value.bin"',
      },
    });
  }
  const bytes = "value" in decoded ? bytesOf(decoded.value) : undefined;
  const type = bytes && pictureType(bytes);
  if (bytes === undefined || type === undefined) return plain("It is no picture\n", 415);
  return new Response(bytes as Uint8Array<ArrayBuffer>, {
    headers: { ...headers, "content-type": type },
  });
}

function page({ status, page }: Answer): Response {
  return html(page, status);
}

function html({ text }: Html, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "text/html; charset=utf-8" } });
}

function plain(text: string, status: number, parameters = ""): Response {
  const type = `text/plain${parameters}; charset=utf-8`;
  return new Response(text, { status, headers: { "content-type": type } });
}

function refuseMethod(allow: string): Response {
  const response = plain(`This is asked for with ${allow}\n`, 405);
  response.headers.set("allow", allow);
  return response;
}
