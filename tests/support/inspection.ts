/** An inspector on a stash, and requests to it as a browser or a program sends them. */
import type { HashStash } from "../../mod.ts";
import { inspector, type InspectorOptions } from "../../inspector/mod.ts";

/** A token that is long enough. */
export const TOKEN = "a-token-for-the-tests";

/** What a request is, unless it says otherwise: one with the token, from this machine. */
export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Who connects; `null`: nobody says. */
  from?: string | null;
  /** Without the token. */
  anonymous?: boolean;
}

/** Sends a request to an inspector; `path` with the query. */
export type Asker = (path: string, ask?: Ask) => Promise<Response>;

/** An inspector on a stash. */
export function inspect(
  // deno-lint-ignore no-explicit-any -- a stash of anything
  stash: HashStash<any, any>,
  options: Partial<InspectorOptions> = {},
): Asker {
  const handler = inspector(stash, { token: TOKEN, ...options });
  return (path, { method, headers = {}, body, from = "127.0.0.1", anonymous = false } = {}) => {
    const own: Record<string, string> = anonymous ? {} : { authorization: `Bearer ${TOKEN}` };
    const request = new Request(`http://127.0.0.1:8000${path}`, {
      method: method ?? "GET",
      headers: { ...own, ...headers },
      body,
    });
    return handler(
      request,
      from === null ? undefined : { remoteAddr: { transport: "tcp", hostname: from } },
    );
  };
}

/** The text of a page that must be there. */
export async function pageOf(ask: Asker, path: string, status = 200): Promise<string> {
  const response = await ask(path);
  const text = await response.text();
  if (response.status !== status) {
    throw new Error(
      `Expected ${status} for ${path}, got ${response.status}: ${text.slice(0, 2_000)}`,
    );
  }
  return text;
}

/** The labels of the keys on a page, as they are in the markup. */
export function keysOn(page: string): string[] {
  return [...page.matchAll(/<bdi class="key">(.*?)<\/bdi>/gs)].map(([, label]) => label);
}

/** The address behind a link of a page: `next`, `prev`. */
export function linkOn(page: string, rel: string): string | undefined {
  const [, address] = new RegExp(`<a rel="${rel}" href="\\./([^"]*)"`).exec(page) ?? [];
  return address === undefined ? undefined : `/${address.replaceAll("&amp;", "&")}`;
}

/** What the page would send to change an entry. */
export function changeOn(page: string): { store: string; key: string; was: string } {
  const read = (name: string) => {
    const [, text] = new RegExp(`data-${name}="([^"]*)"`).exec(page) ?? [];
    if (text === undefined) throw new Error(`No data-${name} on the page: ${page.slice(0, 2_000)}`);
    return text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  };
  return { store: read("store"), key: JSON.parse(read("key")), was: read("was") };
}

/** Sends a change as the page's script does. */
export function send(
  ask: Asker,
  action: "set" | "delete",
  body: object,
  headers: Record<string, string> = {},
): Promise<Response> {
  return ask(`/${action}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}
