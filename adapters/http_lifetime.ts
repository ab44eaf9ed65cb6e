/** What HTTP's own headers say about keeping a response (RFC 9111). */

/** The part that is used of `http-cache-semantics`, which brings no types of its own. */
type Policy = new (
  request: { method: string; url: string; headers: Record<string, string> },
  response: { status: number; headers: Record<string, string> },
  options: { shared: boolean; cacheHeuristic: number },
) => {
  /** Whether it may be kept. */
  storable(): boolean;
  /** For how long it is fresh, s. */
  maxAge(): number;
  /** How old it was when it came, s. */
  age(): number;
};

let loading: Promise<Policy> | undefined;

function loadPolicy(): Promise<Policy> {
  return loading ??= import("http-cache-semantics").then(
    (module) => module.default as unknown as Policy,
    (error) => {
      loading = undefined;
      throw error;
    },
  );
}

/** What says for how long; `s-maxage` says it to shared caches alone. */
const EXPLICIT = {
  shared: /(^|[,\s])(s-maxage|max-age|no-cache)\b/i,
  private: /(^|[,\s])(max-age|no-cache)\b/i,
};

/**
 * For how long a response is fresh by its headers, ms.
 *
 * @param shared Whether the cache serves several users.
 * @returns 0 when it may not be kept, or is not fresh without asking the server again; `undefined`
 * when nothing is said.
 */
export async function httpLifetime(
  request: Request,
  response: Response,
  shared: boolean,
): Promise<number | undefined> {
  const { headers } = response;
  const control = headers.get("cache-control");
  const forbidding = shared && (request.headers.has("authorization") || headers.has("set-cookie"));
  const said = forbidding || control !== null || headers.has("expires") || headers.has("pragma") ||
    /no-store/i.test(request.headers.get("cache-control") ?? "");
  // Most say nothing: the library isn't loaded for them.
  if (!said) return undefined;
  const Policy = await loadPolicy();
  const policy = new Policy(
    { method: "GET", url: request.url, headers: plain(request.headers) },
    // The Web's cache takes every status; what a proxy would make of one by default is not asked.
    { status: 200, headers: plain(headers) },
    // A guess from `last-modified` is no order.
    { shared, cacheHeuristic: 0 },
  );
  if (!policy.storable()) return 0;
  const fresh = policy.maxAge();
  if (fresh > 0) return Math.max(0, (fresh - policy.age()) * 1_000);
  const explicit = EXPLICIT[shared ? "shared" : "private"].test(control ?? "") ||
    headers.has("expires") ||
    control === null && /no-cache/i.test(headers.get("pragma") ?? "");
  const cookies = shared && headers.has("set-cookie") &&
    !/(^|[,\s])(public|immutable)\b/i.test(control ?? "");
  return explicit || cookies ? 0 : undefined;
}

/** As the library takes them; it compares directives as lower case, which HTTP does not ask for. */
function plain(headers: Headers): Record<string, string> {
  const entries = Object.fromEntries(headers);
  const control = entries["cache-control"];
  return control === undefined ? entries : { ...entries, "cache-control": control.toLowerCase() };
}
