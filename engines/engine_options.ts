/**
 * What `engineOptions` takes, engine by engine; pairtree has none, and redis has its own in
 * redis/address.ts. Unknown names and bad values are refused when the stash is opened.
 */

import type { Kv } from "../platform/kv.ts";

/** Options of an engine whose store may be anywhere. */
export interface PathOption {
  /**
   * An existing store, or where to make one: a path or a `file:` URL. By default below `rootDir`.
   */
  path?: string | URL;
}

/** `engineOptions` of memory. */
export interface MemoryEngineOptions {
  /** Most entries; beyond it the least recently used go. Default: no limit. */
  maxEntries?: number;
  /** Most bytes of keys and values; beyond it the least recently used go. Default: no limit. */
  maxBytes?: number;
}

/**
 * `engineOptions` of sqlite.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import type { SqliteEngineOptions } from "@hashstash/hashstash/engines";
 *
 * const engineOptions: SqliteEngineOptions = { driver: "node:sqlite" };
 * const stash = new HashStash({ engine: "sqlite", engineOptions });
 * console.log(stash.engine); // "sqlite"
 * ```
 */
export interface SqliteEngineOptions extends PathOption {
  /**
   * `"auto"` (the default) takes `@db/sqlite` where FFI is already allowed and it loads, else
   * `node:sqlite`.
   */
  driver?: "auto" | "@db/sqlite" | "node:sqlite";
}

/** `engineOptions` of shelve. */
export interface ShelveEngineOptions {
  /**
   * A file, `":memory:"`, `"default"` (Deno's own place), or an `https:` URL of a KV Connect
   * server.
   */
  path?: string | URL;
  /** An open `Deno.Kv` in place of a path; it is not closed. */
  kv?: Kv;
}

/** `engineOptions` of pickledb: the JSON file. */
export type PickledbEngineOptions = PathOption;

/** `engineOptions` of diskcache. */
export interface DiskcacheEngineOptions extends PathOption {
  /** Bytes on disk beyond which entries are culled. Default: no limit. */
  sizeLimit?: number;
  /** How many entries are culled at once. Default: 10. */
  cullLimit?: number;
  /** Which entries go first. Default: `"least-recently-stored"`. */
  evictionPolicy?:
    | "least-recently-stored"
    | "least-recently-used"
    | "least-frequently-used"
    | "none";
  /** From how many bytes on a value has a file of its own. Default: 32,768. */
  minFileSize?: number;
}

/** `engineOptions` of lmdb. */
export interface LmdbEngineOptions extends PathOption {
  /** Bytes of the memory map at the start; it grows. */
  mapSize?: number;
  /** How many readers, over all processes, at the same time. */
  maxReaders?: number;
}
