/**
 * What `engineOptions` takes, engine by engine; those of redis and postgres are in their
 * address.ts. The compiler refuses unknown names and bad values where it knows the engine, and the engine does when it is
 * made.
 */
import type { Kv } from "../platform/kv.ts";
import type { Engine, EngineLocation } from "./engine.ts";
import type { PostgresEngineOptions } from "./postgres/address.ts";
import type { RedisEngineOptions } from "./redis/address.ts";

/** Options of an engine whose store may be anywhere. */
export interface PathOption {
  /**
   * An existing store, or where to make one: a path or a `file:` URL. By default below `rootDir`.
   * sqlite and lmdb keep all dbnames in it. pickledb and diskcache keep the dbname `main` there, and
   * others beside it: `<path>~<dbname>`, nested ones in `<path>+`.
   */
  path?: string | URL;
}

/** `engineOptions` of memory. */
export interface MemoryEngineOptions {
  /**
   * Most entries; beyond it the least recently used go, and `stats()` counts them as evictions. A
   * `get` is a use. Default: no limit.
   */
  maxEntries?: number;
  /**
   * Most bytes that the entries take in memory; beyond it the least recently used go. An entry counts
   * with its key, its value and about 640 bytes besides. One that is larger by itself is a
   * `RangeError`, and what was there stays. Default: no limit.
   *
   * Both limits are those of the handle that writes: handles on one store share the entries, and each
   * keeps to its own limits when it is opened and when it sets.
   */
  maxBytes?: number;
}

/** Options of an engine that makes files. */
export interface ModeOption {
  /**
   * The mode of files that the engine makes, as in `chmod`, whatever the umask; folders that it makes
   * get execute where it has read. From 0o600 to 0o777, with 0o600 in it. Default: 0o600, so that only
   * the user reads what is stored. What is there keeps its mode. No effect on Windows.
   */
  mode?: number;
}

/** `engineOptions` of pairtree. */
export interface PairtreeEngineOptions extends ModeOption {
  /**
   * Whether each change is flushed to the disk before it resolves: then no power loss takes it away
   * either. Default: false, and the file system decides when.
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
   * The SQLite library.
   *
   * - `"node:sqlite"` is part of Deno, Node and Bun.
   * - `"@db/sqlite"` is loaded from JSR, or the stash can't be opened. It takes the native library
   *   that the environment variable `DENO_SQLITE_PATH` names, or downloads one, within a minute and
   *   once for all processes that start together. Take it for a build of SQLite of your own: it is
   *   the slower one, and before version 3.51.3 processes that write one file at the same time can,
   *   rarely, damage it.
   * - `"auto"` (the default) is `"node:sqlite"`, but for a file that this process has open by the
   *   other one already.
   *
   * A process opens one file by one library: another driver for it is refused, but for `"auto"`, which
   * takes the one that is there.
   */
  driver?: "auto" | "@db/sqlite" | "node:sqlite";
}

/** `engineOptions` of shelve. `mode` is that of a file which it makes. */
export interface ShelveEngineOptions extends ModeOption {
  /**
   * A file (a path or a `file:` URL), `":memory:"`, `"default"` (Deno's own place), or the `http:` or
   * `https:` URL of a KV Connect server, whose token is in `DENO_KV_ACCESS_TOKEN`. By default a file
   * below `rootDir`.
   */
  path?: string | URL;
  /** An open `Deno.Kv`, without a `path`; it is not closed. */
  kv?: Kv;
  /**
   * How new what is served must be. `"strong"` (default): the newest. `"eventual"`: where the
   * database has copies in several places, what the nearest one has; that takes less time and may be
   * some seconds old, or removed since, also for the process that has done it. What a change or a
   * run rests on is always the newest, and an entry whose tags have been invalidated is never served.
   */
  consistency?: "strong" | "eventual";
}

/** `engineOptions` of pickledb: the JSON file. */
export type PickledbEngineOptions = PathOption & ModeOption;

/**
 * `engineOptions` of diskcache: its directory is the `path`. The others are settings of the directory,
 * which keeps them, for Python too; what is not given stays as it is there. Modes are as Python's, by
 * the umask.
 */
export interface DiskcacheEngineOptions extends PathOption {
  /**
   * Bytes on disk beyond which entries are culled; `Infinity` for no limit. Default: no limit in a new
   * directory.
   */
  sizeLimit?: number;
  /** How many entries are culled at once; 0: none ever are. Default: 10. */
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
  /** Bytes of the memory map at the start; it grows. Default: npm:lmdb's own, 128 KiB. */
  mapSize?: number;
  /**
   * How many threads, over all processes, may have the environment open at the same time. Default:
   * 126. Whoever makes LMDB's lock file decides.
   */
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
  /** Of the engine "postgres". */
  postgres: PostgresEngineOptions;
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
