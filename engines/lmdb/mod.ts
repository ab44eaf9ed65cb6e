/**
 * One LMDB environment for each name, with two databases for each dbname: the entries, and an index
 * of their deadlines.
 *
 * Reads are synchronous and cost some microseconds. Writes of one turn of the event loop share a
 * commit, in a thread of npm:lmdb's own, and a lock between processes. Conditions are checked in the
 * commit, against the version that each write gives its entry anew.
 *
 * @module
 */
import { DecodeError } from "../../codec/errors.ts";
import type {
  Awaitable,
  Engine,
  EngineCheck,
  EngineLocation,
  EngineOperation,
  Entry,
  NewEntry,
} from "../engine.ts";
import { groupsOf } from "../each.ts";
import { builtIn } from "../built_in.ts";
import type { LmdbEngineOptions } from "../engine_options.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";
import { sharedPath } from "../paths.ts";
import type { Hold } from "../shared.ts";
import { Turns } from "../../platform/timers.ts";
import { checkStore } from "./check.ts";
import { explain, type LmdbEnvironment, type LmdbOptions, openEnvironment } from "./environment.ts";
import {
  firstLmdbKey,
  type LmdbRecord,
  packEntries,
  RecordError,
  textOfLmdbKey,
  toLmdbKey,
  unpackRecord,
} from "./format.ts";
import { LmdbStore } from "./store.ts";

/** How many keys are read at once. */
const PAGE = 1_000;
/** How many entries, and bytes of values, share a commit at most. */
const BATCH_ENTRIES = 5_000;
const BATCH_BYTES = 32 * 1024 * 1024;
/**
 * After so many entries with a deadline, what has expired is dropped: what nobody asks for would
 * stay for ever.
 */
const TIMED_BETWEEN_PRUNES = 1_000;

class LmdbEngine implements Engine {
  readonly name = "lmdb";
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #dbname: string;
  readonly #options: LmdbOptions;
  #hold!: Hold<LmdbEnvironment>;
  #store!: LmdbStore;
  #timed = 0;

  constructor(path: string, dbname: string, options: LmdbOptions) {
    this.path = path;
    this.#dbname = dbname;
    this.#options = options;
  }

  async open(): Promise<void> {
    const hold = await openEnvironment(this.path, this.#options);
    try {
      this.#store = new LmdbStore(hold.resource, await hold.resource.databases(this.#dbname));
    } catch (error) {
      await hold.release();
      throw error;
    }
    this.#hold = hold;
  }

  async close(): Promise<void> {
    await this.#hold.release();
  }

  get(key: string): Entry | undefined {
    const lmdbKey = toLmdbKey(key);
    const record = this.#store.read(lmdbKey);
    if (record === undefined) return undefined;
    const { version } = this.#store;
    const unpacked = unpack(lmdbKey, record, key);
    if (Date.now() >= unpacked.expiresAt) return undefined;
    return toEntry(unpacked, record.slice(unpacked.start), version);
  }

  has(key: string): boolean {
    const lmdbKey = toLmdbKey(key);
    const record = this.#store.read(lmdbKey);
    return record !== undefined && Date.now() < unpack(lmdbKey, record, key).expiresAt;
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const turns = new Turns();
    const found = new Array<Entry | undefined>(keys.length);
    for (const [i, key] of keys.entries()) {
      found[i] = this.get(key);
      if (turns.due()) await turns.next();
    }
    return found;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.setMany([[key, entry]]);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (let start = 0, end = 0; start < pairs.length; start = end) {
      for (let bytes = 0; end < pairs.length && end - start < BATCH_ENTRIES; end++) {
        bytes += pairs[end][1].value.length;
        if (bytes > BATCH_BYTES && end > start) break;
      }
      const batch = packEntries(pairs.slice(start, end));
      await this.#store.write(() => {
        // Writes that share a commit have one promise.
        const writes = new Set<Promise<boolean>>();
        for (const packed of batch) {
          if (packed.expiresAt !== Infinity) this.#timed++;
          writes.add(this.#store.put(packed));
        }
        return Promise.all(writes);
      });
    }
    await this.#tidy();
  }

  async delete(key: string): Promise<boolean> {
    const lmdbKey = toLmdbKey(key);
    if (this.#store.read(lmdbKey) === undefined) return false;
    return await this.#store.write(() => this.#remove(lmdbKey));
  }

  async deleteMany(keys: string[]): Promise<number> {
    const distinct = [...new Set(keys)].map(toLmdbKey);
    let count = 0;
    for (const batch of groupsOf(distinct, BATCH_ENTRIES)) {
      const removed = await this.#store.write(() =>
        Promise.all(batch.map((lmdbKey) => this.#remove(lmdbKey)))
      );
      count += removed.filter((was) => was).length;
    }
    return count;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    const store = this.#store;
    const lmdbKey = toLmdbKey(key);
    /** The version in whose place it goes, `null` for nothing; `undefined`: it is not as expected. */
    const versionNow = (): number | null | undefined => {
      const state = store.stateOf(lmdbKey);
      const isLive = state !== undefined && Date.now() < state.expiresAt;
      if (expected === undefined) return isLive ? undefined : state?.version ?? null;
      return isLive && state.version === expected.revision ? state.version : undefined;
    };
    // Without the lock, which others may have, when that is all there is to say.
    if (versionNow() === undefined) return false;
    if (expected === undefined && next === undefined) return true;
    const done = await store.write(async () => {
      const version = versionNow();
      if (version === undefined) return false;
      if (next === undefined) return version === null || await store.remove(lmdbKey, version);
      const [packed] = packEntries([[key, next]]);
      if (packed.expiresAt !== Infinity) this.#timed++;
      return await store.put(packed, version);
    });
    await this.#tidy();
    return done;
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    const store = this.#store;
    const first = firstLmdbKey(prefix);
    const turns = new Turns();
    let after: Uint8Array | undefined;
    for (;;) {
      const { page, deadline } = store.keys(
        after === undefined
          ? { start: first, limit: PAGE }
          : { start: after, exclusiveStart: true, limit: PAGE },
      );
      for (const lmdbKey of page) {
        if (!startsWith(lmdbKey, first)) return;
        let text = textOf(lmdbKey);
        if (text === undefined || Date.now() >= deadline) {
          const record = store.read(lmdbKey);
          if (record === undefined) continue;
          const unpacked = unpack(lmdbKey, record);
          if (Date.now() >= unpacked.expiresAt) continue;
          text ??= unpacked.key;
        }
        if (text?.startsWith(prefix)) yield text;
      }
      if (page.length < PAGE) return;
      after = page[PAGE - 1];
      if (turns.due()) await turns.next();
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    const first = firstLmdbKey(prefix);
    for await (const { key, value, version } of this.#store.raw(first)) {
      if (!startsWith(key, first)) return;
      const unpacked = unpack(key, value);
      const text = unpacked.key ?? textOf(key);
      if (Date.now() >= unpacked.expiresAt || !text?.startsWith(prefix)) continue;
      yield [text, toEntry(unpacked, value.subarray(unpacked.start), version)];
    }
  }

  size(): Awaitable<number> {
    return this.#store.size() ?? this.#store.prune().then(() => this.size());
  }

  async clear(deep = false): Promise<void> {
    const stores = [this.#store];
    if (deep) {
      const environment = this.#hold.resource;
      for (const nested of await environment.nested(this.#dbname)) {
        stores.push(new LmdbStore(environment, nested));
      }
    }
    await Promise.all(stores.map((store) => store.clear()));
  }

  prune(): Promise<number> {
    return this.#store.prune();
  }

  check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    return checkStore(this.#hold.resource.file, this.#store, fix);
  }

  byteSize(): number {
    return this.#store.byteSize();
  }

  explain(error: unknown, operation: EngineOperation): string | undefined {
    return explain(error, operation, this.path);
  }

  /** Removes an entry; whether a live one was there. To be called in `write`. */
  async #remove(lmdbKey: Uint8Array): Promise<boolean> {
    for (;;) {
      const state = this.#store.stateOf(lmdbKey);
      if (state === undefined) return false;
      const isLive = Date.now() < state.expiresAt;
      // Another call of this process may have been faster.
      if (await this.#store.remove(lmdbKey, state.version)) return isLive;
    }
  }

  async #tidy(): Promise<void> {
    if (this.#timed < TIMED_BETWEEN_PRUNES) return;
    this.#timed = 0;
    try {
      await this.#store.prune(2 * TIMED_BETWEEN_PRUNES);
    } catch {
      // What the caller wrote is written: it must not look as if it were not. The next ones try
      // again.
      this.#timed = TIMED_BETWEEN_PRUNES;
    }
  }
}

/**
 * Makes the engine "lmdb", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { lmdb } from "@hashstash/hashstash/engines/lmdb";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: lmdb,
 *   engineOptions: { mapSize: 100_000_000 },
 *   rootDir: await Deno.makeTempDir(),
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // lmdb { any: "value" }
 * ```
 */
export function lmdb(location: EngineLocation, engineOptions: LmdbEngineOptions = {}): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames("lmdb", options, ["path", "mapSize", "maxReaders"]);
  return new LmdbEngine(sharedPath("lmdb", location, options), location.dbname, {
    mapSize: integerOption("lmdb", options, "mapSize"),
    maxReaders: integerOption("lmdb", options, "maxReaders"),
  });
}

builtIn("lmdb", lmdb);

export type { LmdbEngineOptions };

function startsWith(bytes: Uint8Array, first: Uint8Array | undefined): boolean {
  return first === undefined || first.every((byte, i) => byte === bytes[i]);
}

/** Reads a record; `key` is the text that it must have, when that is known. */
function unpack(lmdbKey: Uint8Array, record: Uint8Array, key?: string): LmdbRecord {
  try {
    const unpacked = unpackRecord(lmdbKey, record);
    if (key === undefined || unpacked.key === undefined || unpacked.key === key) return unpacked;
    throw new RecordError("another key is in its place");
  } catch (cause) {
    throw damaged(cause, key ?? textIn(lmdbKey));
  }
}

function textOf(lmdbKey: Uint8Array): string | undefined {
  try {
    return textOfLmdbKey(lmdbKey);
  } catch (cause) {
    throw damaged(cause);
  }
}

function textIn(lmdbKey: Uint8Array): string | undefined {
  try {
    return textOfLmdbKey(lmdbKey);
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

function damaged(cause: unknown, key?: string): unknown {
  return cause instanceof RecordError ? new DecodeError(cause.message, { key, cause }) : cause;
}

function toEntry(
  { timestamp, expiresAt }: LmdbRecord,
  value: Uint8Array,
  revision: number,
): Entry {
  return {
    value,
    timestamp,
    expiresAt: expiresAt === Infinity ? undefined : expiresAt,
    revision,
  };
}
