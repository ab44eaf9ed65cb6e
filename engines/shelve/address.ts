/** Which database a store is in: known before the engine, and what it imports, is loaded. */
import type { KvDatabase } from "../../platform/kv.ts";
import type { EngineLocation } from "../engine.ts";
import { type NamedPath, sharedNames } from "../names.ts";
import { type EngineOptions, modeOption } from "../options.ts";
import { sharedPath } from "../paths.ts";

/** Which database a store is in. */
export interface Place {
  readonly kind: "file" | "memory" | "default" | "server" | "given";
  /** As `stash.path` shows it. */
  readonly path: string;
  /** Of the file that is made. */
  readonly mode: number;
  /** What hashes in the path of a file stand for. */
  readonly names: readonly NamedPath[];
  /** The caller's own database. */
  readonly kv?: KvDatabase;
}

/**
 * Reads `path` and `kv`.
 *
 * @throws {TypeError} When they are no place.
 */
export function placeOf(location: EngineLocation, options: EngineOptions): Place {
  const { path, kv } = options;
  const mode = modeOption("shelve", options);
  const names: readonly NamedPath[] = [];
  if (kv !== undefined) {
    if (!isKv(kv)) throw new TypeError('Option "kv" of engine "shelve" must be an open Deno.Kv');
    if (path === undefined) return { kind: "given", path: "kv:", kv, mode, names };
    throw new TypeError('Options "kv" and "path" of engine "shelve" exclude each other');
  }
  if (path === ":memory:") return { kind: "memory", path, mode, names };
  if (path === "default") return { kind: "default", path, mode, names };
  if (/^https?:/i.test(String(path))) {
    return { kind: "server", path: serverUrl(String(path)), mode, names };
  }
  return {
    kind: "file",
    path: sharedPath("shelve.kv", location, options),
    mode,
    names: sharedNames(location, options),
  };
}

/** Where a location's data lives, as `stash.path` shows it. */
export function shelvePath(location: EngineLocation, options: EngineOptions): string {
  return placeOf(location, options).path;
}

function isKv(value: unknown): value is KvDatabase {
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
