/** A request and its response, as they are stored. */
import { concat } from "@std/bytes/concat";

/** A response as it is stored, with its request. */
export interface StoredResponse {
  /** The request's URL, as it was given. */
  url: string;
  /** The request's headers, without the credentials that the response doesn't vary by. */
  requestHeaders: [name: string, value: string][];
  /** The headers that `Vary` names, and their values in the request. */
  vary: [name: string, value: string | null][];
  /** Its place among others: ms since the epoch, with fractions. */
  order: number;
  /** The URL that the response came from; empty for one that a program made. */
  responseUrl: string;
  /** Whether it came by way of others. */
  redirected: boolean;
  /** Of what sort it is: `"basic"` when it was fetched. */
  type: ResponseType;
  /** The status code; 0 for a network error. */
  status: number;
  /** The status text. */
  statusText: string;
  /** The headers, without cookies. */
  headers: [name: string, value: string][];
  /** The body; `null` when there was none. */
  body: Uint8Array | null;
}

/** Statuses of which `Response` takes no body. */
const WITHOUT_BODY = [101, 204, 205, 304];

/** Headers of a response that no program is shown by the Fetch standard. */
const COOKIES = ["set-cookie", "set-cookie2"];

const CREDENTIALS = ["authorization", "cookie", "proxy-authorization"];

/** Whether a value of the stash is one, and not something that others keep there. */
export function isStored(value: unknown): value is StoredResponse {
  return typeof value === "object" && value !== null && "vary" in value && "order" in value &&
    "requestHeaders" in value && "body" in value;
}

let last = 0;

/** A place after all others of this process, and by the clock among those of others. */
function nextOrder(): number {
  last = Math.max(last + 0.001, performance.timeOrigin + performance.now());
  return last;
}

/** What is stored of a response, its body read. */
export function storedOf(
  request: Request,
  response: Response,
  names: string[],
  body: Uint8Array | null,
): StoredResponse {
  return {
    url: request.url,
    requestHeaders: [...request.headers].filter(([name]) =>
      !CREDENTIALS.includes(name) || names.includes(name)
    ),
    vary: names.map((name) => [name, request.headers.get(name)]),
    order: nextOrder(),
    responseUrl: response.url,
    redirected: response.redirected,
    type: response.type,
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers].filter(([name]) => !COOKIES.includes(name)),
    body,
  };
}

/** What the key says of a response that can't be read: its request. */
export function unreadableOf(url: string, vary: StoredResponse["vary"] = []): StoredResponse {
  return {
    url,
    requestHeaders: vary.flatMap(([name, value]) => value === null ? [] : [[name, value]]),
    vary,
    order: 0,
    responseUrl: "",
    redirected: false,
    type: "error",
    status: 0,
    statusText: "",
    headers: [],
    body: null,
  };
}

/**
 * The body, read to its end; the response stays locked.
 *
 * @throws {TypeError} When a piece of it is not bytes: a stream that a program made has any.
 */
export async function readBody(response: Response): Promise<Uint8Array | null> {
  if (response.body === null) return null;
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(chunks);
    if (!(value instanceof Uint8Array)) {
      const error = new TypeError(
        "Cannot read the response's body: it has pieces that are not bytes",
      );
      // Whoever makes it needn't go on; how that ends is theirs.
      reader.cancel(error).catch(() => {});
      throw error;
    }
    chunks.push(value);
  }
}

/** Leaves the body unread, as used as if it had been. */
export async function discardBody(response: Response): Promise<void> {
  await response.body?.getReader().cancel();
}

/** A response that came from somewhere: `Response` can't be made with a URL or a type. */
class FetchedResponse extends Response {
  readonly #stored: StoredResponse;

  constructor(stored: StoredResponse, body: BodyInit | null) {
    const { status, statusText, headers } = stored;
    super(body, { status, statusText, headers });
    this.#stored = stored;
  }

  override get url(): string {
    return this.#stored.responseUrl.replace(/#.*$/s, "");
  }

  override get redirected(): boolean {
    return this.#stored.redirected;
  }

  override get type(): ResponseType {
    return this.#stored.type;
  }

  override clone(): Response {
    // Headers are the response's own, which a program may have changed.
    const { headers, body } = super.clone();
    return new FetchedResponse({ ...this.#stored, headers: [...headers] }, body);
  }
}

/** The response. */
export function responseOf(stored: StoredResponse): Response {
  if (stored.type === "error") return Response.error();
  const body = WITHOUT_BODY.includes(stored.status) ? null : stored.body as BodyInit | null;
  return new FetchedResponse(stored, body);
}

/** The request. */
export function requestOf(stored: StoredResponse): Request {
  return new Request(stored.url, { headers: stored.requestHeaders });
}

/** The headers that a response varies by, in one order; `"*"` among them when by everything. */
export function varyNames(headers: Headers): string[] {
  const names = headers.get("vary")?.toLowerCase().split(",") ?? [];
  return [...new Set(names.map((name) => name.trim()).filter((name) => name !== ""))].sort();
}

/** Whether a request has the headers that a stored response varies by. */
export function accepts(vary: StoredResponse["vary"], request: Request): boolean {
  return vary.every(([name, value]) => request.headers.get(name) === value);
}
