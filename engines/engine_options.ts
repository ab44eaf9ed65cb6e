/**
 * What `engineOptions` takes, engine by engine; those of redis are in redis/address.ts. The compiler
 * refuses unknown names and bad values where it knows the engine, and the engine does when it is
 * made.
 */
import type { Kv } from "../platform/kv.ts";
import type { Engine, EngineLocation } from "./engine.ts";
import type { RedisEngineOptions } from "./redis/address.ts";

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
  /**
   * Most bytes that the entries take in memory; beyond it the least recently used go. One value that
   * is larger is a `RangeError`. Default: no limit.
   */
  maxBytes?: number;
}

/** Options of an engine that makes files. */
export interface ModeOption {
  /**
   * The mode of files that the engine makes, as in `chmod`; folders get execute where it has read.
   * Default: 0o600, so that only the user reads what is stored. No effect on Windows.
   */
  mode?: number;
}

/** `engineOptions` of pairtree. */
export interface PairtreeEngineOptions extends ModeOption {
  /**
   * Whether each entry is flushed to the disk before `set` resolves: then no power loss takes it
   * away either. Default: false.
   */
  sync?: boolean;
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
export interface SqliteEngineOptions extends PathOption, ModeOption {
  /**
   * `"auto"` (the default) takes `@db/sqlite` where FFI is already allowed and it loads, else
   * `node:sqlite`.
   */
  driver?: "auto" | "@db/sqlite" | "node:sqlite";
}

/** `engineOptions` of shelve. */
export interface ShelveEngineOptions extends ModeOption {
  /**
   * A file, `":memory:"`, `"default"` (Deno's own place), or an `https:` URL of a KV Connect
   * server.
   */
  path?: string | URL;
  /** An open `Deno.Kv` in place of a path; it is not closed. */
  kv?: Kv;
}

/** `engineOptions` of pickledb: the JSON file. */
export type PickledbEngineOptions = PathOption & ModeOption;

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
export interface LmdbEngineOptions extends PathOption, ModeOption {
  /** Bytes of the memory map at the start; it grows. */
  mapSize?: number;
  /** How many readers, over all processes, at the same time. */
  maxReaders?: number;
}

/** The options of each built-in engine, by its name. */
export interface EngineOptionsByName {
  /** Of the engine "memory". */
  memory: MemoryEngineOptions;
  /** Of the engine "pairtree". */
  pairtree: PairtreeEngineOptions;
  /** Of the engine "sqlite". */
  sqlite: SqliteEngineOptions;
  /** Of the engine "shelve". */
  shelve: ShelveEngineOptions;
  /** Of the engine "redis". */
  redis: RedisEngineOptions;
  /** Of the engine "pickledb". */
  pickledb: PickledbEngineOptions;
  /** Of the engine "diskcache". */
  diskcache: DiskcacheEngineOptions;
  /** Of the engine "lmdb". */
  lmdb: LmdbEngineOptions;
}

/**
 * The options of an engine: by the name of a built-in one, or by the type of a factory.
 *
 * @typeParam E A name, or the type of a factory.
 *
 * @example
 * ```ts
 * import type { EngineOptionsOf } from "@hashstash/hashstash/engines";
 *
 * const options: EngineOptionsOf<"sqlite"> = { driver: "node:sqlite" };
 * console.log(options.driver); // "node:sqlite"
 * ```
 */
export type EngineOptionsOf<E> = E extends keyof EngineOptionsByName ? EngineOptionsByName[E]
  : E extends (location: EngineLocation, options: infer Options) => Engine ? NonNullable<Options>
  : object;

/**
 * Options of an engine that the compiler doesn't know: any object but a literal with properties,
 * which is checked against the options of the engines by name instead.
 */
export type AnyEngineOptions = object & { readonly [Symbol.toStringTag]?: string };
