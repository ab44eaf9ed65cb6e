import { dirname } from "node:path";
import type { EngineLocation } from "../engine.ts";
import { messageOf } from "../errors.ts";
import type { EngineOptions } from "../options.ts";
import { sharedPath } from "../paths.ts";
import { type Hold, SharedResources } from "../shared.ts";
import { answerOf, attempt, KvClient } from "./client.ts";
import { makeFolder } from "../../platform/files.ts";
import { type Kv, nativeOpenKv, type OpenKv } from "../../platform/kv.ts";

/** Which database a store is in. */
export interface Place {
  readonly kind: "file" | "memory" | "default" | "server" | "given";
  /** As `stash.path` shows it. */
  readonly path: string;
  /** The caller's own database. */
  readonly kv?: Kv;
}

/**
 * Reads `path` and `kv`.
 *
 * @throws {TypeError} When they are no place.
 */
export function placeOf(location: EngineLocation, options: EngineOptions): Place {
  const { path, kv } = options;
  if (kv !== undefined) {
    if (!isKv(kv)) throw new TypeError('Option "kv" of engine "shelve" must be an open Deno.Kv');
    if (path === undefined) return { kind: "given", path: "kv:", kv };
    throw new TypeError('Options "kv" and "path" of engine "shelve" exclude each other');
  }
  if (path === ":memory:") return { kind: "memory", path };
  if (path === "default") return { kind: "default", path };
  if (/^https?:/i.test(String(path))) return { kind: "server", path: serverUrl(String(path)) };
  return { kind: "file", path: sharedPath("shelve.kv", location, options) };
}

/** Where a location's data lives, as `stash.path` shows it. */
export function shelvePath(location: EngineLocation, options: EngineOptions): string {
  return placeOf(location, options).path;
}

/** Databases that handles in this process share. */
const DATABASES = new SharedResources<Kv>((kv) => kv.close());

/** Opens the database of a place, or takes part in the one that is open. */
export async function openPlace(place: Place, location: EngineLocation): Promise<Hold<KvClient>> {
  const { kind, path, kv } = place;
  if (kv !== undefined) return { resource: new KvClient(kv), release: () => Promise.resolve() };
  // What is in memory has no path to tell it apart by.
  const key = kind === "memory" ? `${path}${location.rootDir ?? ""}` : `${kind}:${path}`;
  const { resource, release } = await DATABASES.acquire(key, () => openDatabase(kind, path));
  return { resource: new KvClient(resource, kind === "server"), release };
}

async function openDatabase(kind: Place["kind"], path: string): Promise<Kv> {
  const openKv = findOpenKv(kind);
  if (kind === "file") return await openFile(openKv, path);
  if (kind === "default") return await attempt(() => openKv());
  if (kind === "server") return await answerOf(() => openKv(path));
  return await attempt(() => openKv(path));
}

async function openFile(openKv: OpenKv, path: string): Promise<Kv> {
  try {
    return await attempt(() => openKv(path));
  } catch (error) {
    if (!/unable to open database file/.test(String(error))) throw error;
    // Only now, because it takes a permission for more than the file.
    await makeFolder(dirname(path));
    return await attempt(() => openKv(path));
  }
}

/**
 * The library that opens the same files where Deno itself doesn't: not in the graph of a program
 * that doesn't need it.
 */
const PACKAGE = "npm:@deno/kv@^0.14.0";

/** Deno's `openKv`, or the library's. */
function findOpenKv(kind: Place["kind"]): OpenKv {
  const native = nativeOpenKv();
  if (native !== undefined) return native;
  const missing = "Deno.openKv is missing: run with --unstable-kv";
  if (kind === "default") throw new Error(missing);
  return async (path) => {
    try {
      const { openKv } = await import(PACKAGE);
      // It has no ":memory:", but no path means that.
      return await openKv(kind === "memory" ? undefined : path);
    } catch (cause) {
      const failed = `${PACKAGE} can't take its place: ${messageOf(cause)}`;
      throw new Error(`${missing} (${failed})`, { cause });
    }
  };
}

function isKv(value: unknown): value is Kv {
  const { get, getMany, list, atomic } = Object(value);
  return [get, getMany, list, atomic].every((method) => typeof method === "function");
}

/** A server's URL without what may be secret: the token comes from DENO_KV_ACCESS_TOKEN alone. */
function serverUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new TypeError('Option "path" of engine "shelve" is no valid URL', { cause });
  }
  return `${url.origin}${url.pathname}`;
}
