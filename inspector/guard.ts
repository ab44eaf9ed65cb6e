/**
 * Who may see the inspector. In this order: requests of other machines, requests in the name of
 * other sites, requests without the token. docs/security.md has the reasons.
 */
import { hash } from "../codec/hash.ts";
import { typeOf } from "../store/options.ts";

/** Whom the guard lets in. */
export interface GuardOptions {
  /** The secret that a request has to bring. */
  readonly token: string;
  /** Names besides those of this machine under which the page is reached. */
  readonly allowedHosts?: readonly string[];
  /** Whether other machines may connect. */
  readonly remote?: boolean;
}

/** Who connects, as `Deno.serve` tells its handler. */
export interface ConnectionInfo {
  /** The other end of the connection. */
  readonly remoteAddr?: { readonly transport: string; readonly hostname?: string };
}

/** A token of fewer characters can be guessed. */
const SHORTEST_TOKEN = 16;

/** Lets requests in, or says why not. */
export class Guard {
  readonly #token: string;
  readonly #cookie: { readonly name: string; readonly value: string };
  readonly #allowed: ReadonlySet<string>;
  readonly #isRemoteAllowed: boolean;

  /** @throws {TypeError} When there is no good token, or an option makes no sense. */
  constructor({ token, allowedHosts = [], remote = false }: GuardOptions) {
    this.#token = checkToken(token);
    // Cookies do not know ports: two inspectors on one machine have cookies of different names. And
    // the token itself is in none, as every server of the machine gets its cookies.
    const name = `hashstash_${hash(`name ${token}`).slice(0, 8)}`;
    this.#cookie = { name, value: hash(`cookie ${token}`) };
    this.#allowed = checkHosts(allowedHosts);
    if (typeof remote !== "boolean") {
      throw new TypeError(`Expected remote to be true or false, got ${typeOf(remote)}`);
    }
    this.#isRemoteAllowed = remote;
  }

  /** What a request is answered that is not let in; `undefined` for one that is. */
  answer(request: Request, info?: ConnectionInfo): Response | undefined {
    return this.#refuseAddress(info) ?? this.#refuseSite(request, info) ??
      this.#refuseToken(request);
  }

  #refuseAddress(info: ConnectionInfo | undefined): Response | undefined {
    if (
      this.#isRemoteAllowed || info?.remoteAddr === undefined || isOfThisMachine(info.remoteAddr)
    ) {
      return undefined;
    }
    return refusal(403, "Only this machine may connect: pass remote: true to let others in");
  }

  /** Another site's page, or a name that somebody has pointed at this machine. */
  #refuseSite(request: Request, info: ConnectionInfo | undefined): Response | undefined {
    const host = hostOf(request.headers.get("host") ?? new URL(request.url).host);
    // Without an address only the name can tell that nobody comes from elsewhere.
    const isKnown = this.#isRemoteAllowed || info?.remoteAddr !== undefined;
    const isAllowed = host !== undefined &&
      (LOOPBACK_NAMES.has(host.hostname) || isKnown && this.#allows(host));
    if (!isAllowed) {
      return refusal(403, "This Host is not allowed: pass its name in allowedHosts to allow it");
    }
    const origin = request.headers.get("origin");
    const from = origin === null ? host : hostOf(origin.replace(/^https?:\/\//, ""));
    if (from === undefined || from.host !== host.host && !this.#allows(from)) {
      return refusal(403, "This Origin is not allowed: only pages of the inspector may ask");
    }
    // What another page makes the browser load: an image, a frame, a fetch. Following a link is fine.
    const site = request.headers.get("sec-fetch-site") ?? "none";
    const isLink = request.method === "GET" &&
      request.headers.get("sec-fetch-mode") === "navigate" &&
      request.headers.get("sec-fetch-dest") === "document";
    if ((site === "cross-site" || site === "same-site") && !isLink) {
      return refusal(403, "Pages of other sites may only link here");
    }
  }

  #refuseToken(request: Request): Response | undefined {
    const url = new URL(request.url);
    if (request.method === "GET" && url.searchParams.has("token")) {
      const [token, ...more] = url.searchParams.getAll("token");
      if (more.length > 0 || !isSame(token, this.#token)) return unauthorized();
      return this.#signIn(url);
    }
    const authorization = request.headers.get("authorization");
    if (authorization !== null) {
      const [, token = ""] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
      return isSame(token, this.#token) ? undefined : unauthorized();
    }
    if (!this.#hasCookie(request)) return unauthorized();
    // A browser says where a change comes from; a cookie alone does not prove that it was meant.
    if (!isReading(request) && !request.headers.has("origin")) {
      return refusal(403, "A change needs an Origin, or the token as Authorization: Bearer");
    }
  }

  /** The token moves from the address, which others may see, into a cookie. */
  #signIn(url: URL): Response {
    url.searchParams.delete("token");
    const { name, value } = this.#cookie;
    const secure = url.protocol === "https:" ? "; Secure" : "";
    return new Response(null, {
      status: 303,
      headers: {
        // Two slashes would lead to another host.
        location: url.pathname.replace(/^[/\\]+/, "/") + url.search,
        "set-cookie": `${name}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}`,
      },
    });
  }

  #hasCookie(request: Request): boolean {
    const { name, value } = this.#cookie;
    const cookies = (request.headers.get("cookie") ?? "").split(";");
    return cookies.some((cookie) => {
      const [given, ...rest] = cookie.trim().split("=");
      return given === name && isSame(rest.join("="), value);
    });
  }

  /** A name that was allowed, on any port unless it was allowed with one. */
  #allows({ host, hostname }: Host): boolean {
    return this.#allowed.has(host) || this.#allowed.has(hostname);
  }
}

/** Whether a request is to change nothing. */
export function isReading({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

const NAMES = ["localhost", "127.0.0.1", "[::1]"];
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(NAMES);

function isOfThisMachine({ transport, hostname = "" }: NonNullable<ConnectionInfo["remoteAddr"]>) {
  return transport === "unix" || hostname === "::1" || hostname === "localhost" ||
    /^(::ffff:)?127\.\d+\.\d+\.\d+$/i.test(hostname);
}

/** A name with its port, and without. */
interface Host {
  readonly host: string;
  readonly hostname: string;
}

/** `undefined` when it is more, or less, than a name with or without a port. */
function hostOf(text: string): Host | undefined {
  if (!/^([\w.-]+|\[[\da-f:.]+\])(:\d+)?$/i.test(text)) return undefined;
  try {
    const { host, hostname } = new URL(`http://${text}`);
    return { host, hostname };
  } catch {
    return undefined;
  }
}

function checkToken(token: unknown): string {
  const how = "pass for instance crypto.randomUUID()";
  if (typeof token !== "string") {
    throw new TypeError(`Expected a token, text that only you know, got ${typeOf(token)}: ${how}`);
  }
  if (token.length < SHORTEST_TOKEN || !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError(
      `Expected a token of at least ${SHORTEST_TOKEN} letters, digits or signs of ASCII without blanks: ${how}`,
    );
  }
  return token;
}

function checkHosts(hosts: unknown): ReadonlySet<string> {
  if (!Array.isArray(hosts)) {
    throw new TypeError(`Expected allowedHosts to be an array of names, got ${typeOf(hosts)}`);
  }
  return new Set(hosts.map((name) => {
    const host = typeof name === "string" ? hostOf(name) : undefined;
    if (host !== undefined) return host.host;
    const got = JSON.stringify(name);
    throw new TypeError(
      `Expected allowedHosts to be names such as "cache.example.org", got ${got}`,
    );
  }));
}

/** In a time that tells nothing of the secret: hashes of one length, each character looked at. */
function isSame(given: string, secret: string): boolean {
  const [a, b] = [hash(given), hash(secret)];
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

/** Plain text: whoever is refused gets no page. */
function refusal(status: number, message: string): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

/**
 * A page with a link, as a browser does not send a strict cookie with the first request that another
 * site's link made: the link is followed from here.
 */
function unauthorized(): Response {
  const page = `<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Not signed in</title>
<h1>Not signed in</h1>
<p>Open the address with <code>?token=…</code> that was printed, or send
<code>Authorization: Bearer …</code>.</p>
<p>You came by a link and have done so? <a href="./">Go on</a>.</p>
`;
  return new Response(page, {
    status: 401,
    headers: { "content-type": "text/html; charset=utf-8", "www-authenticate": "Bearer" },
  });
}

/** What every response has, so that a browser runs, keeps and frames nothing. */
export const SECURE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** The response with these headers, unless it has stricter ones of its own. */
export function secured(response: Response): Response {
  for (const [name, value] of Object.entries(SECURE_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
}
