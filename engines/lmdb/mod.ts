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
  EngineCheckOptions,
  EngineLocation,
  EngineOperation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { groupsOf } from "../each.ts";
import { builtIn } from "../built_in.ts";
import type { LmdbEngineOptions } from "../engine_options.ts";
import { guardStore } from "../guard.ts";
import { nameInside } from "../nested.ts";
import { holdNames, type NamedPath, sharedNames } from "../names.ts";
import { checkOptionNames, type EngineOptions, integerOption, modeOption } from "../options.ts";
import { sharedPath } from "../paths.ts";
import type { FileHold } from "../shared.ts";
import { Turns } from "../../platform/timers.ts";
import { checkStore } from "./check.ts";
import {
  explain,
  type LmdbEnvironment,
  type LmdbOptions,
  openEnvironment,
  OutdatedError,
} from "./environment.ts";
import {
  firstLmdbKey,
  type LmdbRecord,
  type PackedEntry,
  packEntries,
  RecordError,
  textOfLmdbKey,
  toLmdbKey,
  unpackRecord,
} from "./format.ts";
import { type Need, NoRoomError } from "./room.ts";
import { DUE_PAGE, LmdbStore } from "./store.ts";

/** How many keys are read at once. */
const PAGE = 1_000;
/**
 * How many bytes are read without a look at the clock, which takes a tenth of a read; and how many it
 * would be that take as long as a read itself.
 */
const LOOK_EVERY = 64 * 1024;
const READ = 4 * 1024;
/** How many entries, and bytes of values, share a commit at most. */
const BATCH_ENTRIES = 5_000;
const BATCH_BYTES = 32 * 1024 * 1024;
/** How many that are looked at before do. */
const REMOVED_ENTRIES = 1_000;
/**
 * After so many entries with a deadline, what has expired is dropped: what nobody asks for would
 * stay for ever.
 */
const TIMED_BETWEEN_PRUNES = 1_000;

class LmdbEngine implements Engine {
  readonly name = "lmdb";
  readonly path: string;
  readonly supports = { persistent: true, shared: true, guard: true, stores: true };
  readonly #dbname: string;
  readonly #names: readonly NamedPath[];
  readonly #options: LmdbOptions;
  #hold!: FileHold<LmdbEnvironment>;
  #store!: LmdbStore;
  #following: Promise<void> | undefined;
  #timed = 0;

  constructor(
    path: string,
    dbname: string,
    options: LmdbOptions,
    names: readonly NamedPath[] = [],
  ) {
    this.path = path;
    this.#names = names;
    this.#dbname = dbname;
    this.#options = options;
  }

  async open(): Promise<void> {
    await holdNames(this.#names, this.path, this.#options.mode);
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

  get(key: string): Awaitable<Entry | undefined> {
    if (this.#hold.isOutdated()) return this.#follow().then(() => this.get(key));
    return this.#get(key);
  }

  has(key: string): Awaitable<boolean> {
    if (this.#hold.isOutdated()) return this.#follow().then(() => this.has(key));
    const lmdbKey = toLmdbKey(key);
    const record = this.#store.read(lmdbKey);
    return record !== undefined && Date.now() < unpack(lmdbKey, record, key).expiresAt;
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const turns = new Turns();
    const found = new Array<Entry | undefined>(keys.length);
    let left = 0;
    for (let i = 0; i < keys.length; i++) {
      if (left <= 0) {
        if (turns.due()) await turns.next();
        if (this.#hold.isOutdated()) await this.#follow();
        left = LOOK_EVERY;
      }
      const entry = found[i] = this.#get(keys[i]);
      left -= READ + (entry?.value.length ?? 0);
    }
    return found;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.setMany([[key, entry]]);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (const group of groupsOf(pairs, BATCH_ENTRIES, BATCH_BYTES, bytesOf)) {
      const batch = packEntries(group);
      await this.#write((store) => {
        // Writes that share a commit have one promise.
        const writes = new Set<Promise<boolean>>();
        for (const packed of batch) {
          if (packed.expiresAt !== Infinity) this.#timed++;
          writes.add(store.put(packed));
        }
        return Promise.all(writes);
      }, needOf(batch));
    }
    await this.#tidy();
  }

  async delete(key: string): Promise<boolean> {
    const lmdbKey = toLmdbKey(key);
    const store = await this.#current();
    if (store.read(lmdbKey) === undefined) return false;
    return (await this.#removeEach([{ lmdbKey }], remove))[0];
  }

  async deleteMany(keys: string[]): Promise<number> {
    const distinct = Array.from(new Set(keys), (key) => ({ lmdbKey: toLmdbKey(key) }));
    let count = 0;
    for (const batch of groupsOf(distinct, BATCH_ENTRIES)) {
      count += (await this.#removeEach(batch, remove)).filter((was) => was).length;
    }
    return count;
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const removed: boolean[] = [];
    // To look at an entry takes time with its size: its checksum is that of all its bytes.
    const weigh = ([, { value }]: [string, Entry]) => value.byteLength;
    for (const group of groupsOf(entries, REMOVED_ENTRIES, BATCH_BYTES, weigh)) {
      const all = group.map(([key, { revision }]) => ({ lmdbKey: toLmdbKey(key), revision }));
      const outcomes = await this.#removeEach(all, async (store, { lmdbKey, revision }) => {
        const state = store.stateOf(lmdbKey);
        const isUnchanged = state?.version === revision && Date.now() < (state?.expiresAt ?? 0);
        return isUnchanged && await store.remove(lmdbKey, revision as number);
      });
      removed.push(...outcomes);
    }
    return removed;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    const lmdbKey = toLmdbKey(key);
    /** The version in whose place it goes, `null` for nothing; `undefined`: it is not as expected. */
    const versionIn = (store: LmdbStore): number | null | undefined => {
      const state = store.stateOf(lmdbKey);
      const isLive = state !== undefined && Date.now() < state.expiresAt;
      if (expected === undefined) return isLive ? undefined : state?.version ?? null;
      return isLive && state.version === expected.revision ? state.version : undefined;
    };
    const [packed] = next === undefined ? [] : packEntries([[key, next]]);
    const change = async (store: LmdbStore, version: number | null, ifVersion?: number | null) => {
      if (packed === undefined) return version === null || await store.remove(lmdbKey, version);
      if (packed.expiresAt !== Infinity) this.#timed++;
      return await store.put(packed, ifVersion);
    };
    // Without the lock, which others may have, when that is all there is to say.
    if (versionIn(await this.#current()) === undefined) return false;
    if (expected === undefined && next === undefined) {
      return guard === undefined || this.#guarding(guard) !== undefined;
    }
    const done = await this.#write(async (store) => {
      const version = versionIn(store);
      if (version === undefined) return false;
      if (guard === undefined) return await change(store, version, version);
      const other = this.#guarding(guard);
      if (other === undefined) return false;
      return await store.writeIf({ lmdbKey, version }, other, () => change(store, version));
    }, packed === undefined ? this.#removal([lmdbKey]) : needOf([packed]));
    await this.#tidy();
    return done;
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    const first = firstLmdbKey(prefix);
    const turns = new Turns();
    let after: Uint8Array | undefined;
    for (;;) {
      const store = await this.#current();
      const { page, deadline } = store.keys(
        after === undefined
          ? { start: first, limit: PAGE }
          : { start: after, exclusiveStart: true, limit: PAGE },
      );
      for (const lmdbKey of page) {
        if (!startsWith(lmdbKey, first)) return;
        // What has no text is under no key: only `check` can name it.
        let text = optional(() => textOfLmdbKey(lmdbKey));
        if (text === undefined || Date.now() >= deadline) {
          const record = store.read(lmdbKey);
          if (record === undefined) continue;
          const unpacked = optional(() => unpackRecord(lmdbKey, record));
          // What is damaged has no deadline that counts.
          if (unpacked !== undefined && Date.now() >= unpacked.expiresAt) continue;
          text ??= unpacked?.key;
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
    const store = await this.#current();
    for await (const { key, value, version } of store.raw(first)) {
      if (!startsWith(key, first)) return;
      const text = optional(() => textOfLmdbKey(key) ?? unpackRecord(key, value).key);
      if (!text?.startsWith(prefix)) continue;
      const unpacked = unpack(key, value, text);
      if (Date.now() >= unpacked.expiresAt) continue;
      yield [text, toEntry(unpacked, unpacked.body.subarray(unpacked.start), version)];
    }
  }

  async size(): Promise<number> {
    for (;;) {
      const size = (await this.#current()).size();
      if (size !== undefined) return size;
      await this.prune();
    }
  }

  async clear(deep = false): Promise<void> {
    try {
      await this.#clear(deep);
    } catch (error) {
      if (!(error instanceof NoRoomError)) throw error;
      // That so many pages are free takes room too: a part of the entries at a time there is.
      for await (const { key } of (await this.#current()).raw()) {
        await this.#removeEach([{ lmdbKey: key }], remove);
      }
      await this.#clear(deep);
    }
  }

  async #clear(deep: boolean): Promise<void> {
    const stores = () => {
      const environment = this.#hold.resource;
      const nested = deep ? environment.nested(this.#dbname) : [];
      return [this.#store, ...nested.map((databases) => new LmdbStore(environment, databases))];
    };
    await this.#write(() => Promise.all(stores().map((store) => store.clear())), {
      entries: 4,
      removed: () => stores().reduce((sum, store) => sum + store.byteSize(), 0),
    });
  }

  async prune(): Promise<number> {
    let count = 0;
    for (;;) {
      const { looked, removed } = await this.#prune();
      count += removed;
      if (looked === 0) return count;
    }
  }

  async check({ fix, signal }: EngineCheckOptions): Promise<EngineCheck> {
    const store = await this.#current();
    return await checkStore(this.#hold.resource.file, store, fix, signal);
  }

  async byteSize(): Promise<number> {
    return (await this.#current()).byteSize();
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    const own = await this.#current();
    yield { dbname: "", usage: counted ? await own.usage() : undefined };
    const environment = this.#hold.resource;
    for (const whole of await environment.nestedDbnames(this.#dbname)) {
      const dbname = nameInside(this.#dbname, whole);
      if (!dbname) continue;
      const usage = counted
        ? await new LmdbStore(environment, await environment.existing(whole)).usage()
        : undefined;
      yield { dbname, usage };
    }
  }

  explain(error: unknown, operation: EngineOperation): string | undefined {
    return explain(error, operation, this.path);
  }

  #get(key: string): Entry | undefined {
    const lmdbKey = toLmdbKey(key);
    const record = this.#store.read(lmdbKey);
    if (record === undefined) return undefined;
    const { version } = this.#store;
    const unpacked = unpack(lmdbKey, record, key);
    if (Date.now() >= unpacked.expiresAt) return undefined;
    return toEntry(unpacked, unpacked.body.slice(unpacked.start), version);
  }

  /** Where the guard's entry is; `undefined` when it is not in its state. */
  #guarding(guard: Guard): { store: LmdbStore; lmdbKey: Uint8Array; version: number } | undefined {
    const store = guardStore(LmdbEngine, guard).#store;
    const lmdbKey = toLmdbKey(guard.key);
    const state = store.stateOf(lmdbKey);
    if (state === undefined || state.version !== guard.expected.revision) return undefined;
    return Date.now() < state.expiresAt ? { store, lmdbKey, version: state.version } : undefined;
  }

  /** The store that is at the path now. */
  async #current(): Promise<LmdbStore> {
    if (this.#hold.isOutdated()) await this.#follow();
    return this.#store;
  }

  /** Removes entries, in as many commits as there is room for; what `remove` says of each. */
  async #removeEach<T extends { readonly lmdbKey: Uint8Array }>(
    items: T[],
    remove: (store: LmdbStore, item: T) => Promise<boolean>,
  ): Promise<boolean[]> {
    try {
      return await this.#write(
        (store) => Promise.all(items.map((item) => remove(store, item))),
        this.#removal(items.map(({ lmdbKey }) => lmdbKey)),
      );
    } catch (error) {
      if (!(error instanceof NoRoomError) || items.length === 1) throw error;
      const half = items.length >> 1;
      const first = await this.#removeEach(items.slice(0, half), remove);
      return [...first, ...await this.#removeEach(items.slice(half), remove)];
    }
  }

  #removal(lmdbKeys: Uint8Array[]): Need {
    const removed = () => lmdbKeys.reduce((sum, key) => sum + this.#store.lengthOf(key), 0);
    return { entries: lmdbKeys.length, removed };
  }

  /** Drops some of what has expired, as much as there is room for. */
  async #prune(limit = DUE_PAGE): Promise<{ looked: number; removed: number }> {
    try {
      return await this.#write((store) => store.prune(limit), {
        entries: 2 * limit,
        removed: () => this.#store.dueBytes(limit),
      });
    } catch (error) {
      if (!(error instanceof NoRoomError) || limit === 1) throw error;
      return await this.#prune(limit >> 1);
    }
  }

  /**
   * Does something that writes to the store that is at the path and takes so much, while no other
   * process writes.
   */
  async #write<T>(action: (store: LmdbStore) => Awaitable<T>, need: Need): Promise<T> {
    for (;;) {
      const store = this.#store;
      try {
        return await store.write(() => action(store), need);
      } catch (error) {
        if (!(error instanceof OutdatedError)) throw error;
        await this.#follow(store);
      }
    }
  }

  /** Opens what is at the path, in the place of what is not any more. */
  async #follow(outdated = this.#store): Promise<void> {
    if (outdated !== this.#store) return;
    const hold = this.#hold;
    this.#following ??= this.open()
      .then(() => hold.release())
      .finally(() => this.#following = undefined);
    await this.#following;
  }

  /** Drops some of what has expired, when there may be much of it. */
  async #tidy(): Promise<void> {
    if (this.#timed < TIMED_BETWEEN_PRUNES) return;
    this.#timed = 0;
    try {
      for (let looked = 0, page = 1; page > 0 && looked < 2 * TIMED_BETWEEN_PRUNES;) {
        ({ looked: page } = await this.#prune());
        looked += page;
      }
    } catch {
      // What the caller wrote is written: it must not look as if it were not. The next ones try
      // again.
      this.#timed = TIMED_BETWEEN_PRUNES;
    }
  }
}

/** What it takes to store entries, and their deadlines. */
function needOf(batch: readonly PackedEntry[]): Need {
  const timed = batch.filter(({ expiresAt }) => expiresAt !== Infinity).length;
  return { entries: batch.length + timed, lengths: batch.map(({ record }) => record.length) };
}

/** Removes an entry; whether a live one was there. */
async function remove(
  store: LmdbStore,
  { lmdbKey }: { readonly lmdbKey: Uint8Array },
): Promise<boolean> {
  for (;;) {
    const state = store.stateOf(lmdbKey);
    if (state === undefined) return false;
    const isLive = Date.now() < state.expiresAt;
    // Another call of this process may have been faster.
    if (await store.remove(lmdbKey, state.version)) return isLive;
  }
}

function bytesOf([, { value }]: [string, NewEntry]): number {
  return value.byteLength;
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
  checkOptionNames("lmdb", options, ["path", "mapSize", "maxReaders", "mode"]);
  return new LmdbEngine(sharedPath("lmdb", location, options), location.dbname, {
    mapSize: integerOption("lmdb", options, "mapSize"),
    maxReaders: integerOption("lmdb", options, "maxReaders"),
    mode: modeOption("lmdb", options),
  }, sharedNames(location, options));
}

builtIn("lmdb", lmdb);

export type {
  /** `engineOptions` of lmdb. */
  LmdbEngineOptions,
};

function startsWith(bytes: Uint8Array, first: Uint8Array | undefined): boolean {
  return first === undefined || first.every((byte, i) => byte === bytes[i]);
}

/** Reads the record of a key with this text. */
function unpack(lmdbKey: Uint8Array, record: Uint8Array, key: string): LmdbRecord {
  try {
    const unpacked = unpackRecord(lmdbKey, record);
    if (unpacked.key === undefined || unpacked.key === key) return unpacked;
    throw new RecordError("another key is in its place");
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause;
    throw new DecodeError(cause.message, { key, cause });
  }
}

/** What can be read; `undefined` when it is damaged. */
function optional<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
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
