/**
 * Moving entries between stashes as they are stored: no value is decoded, so none can be changed or
 * lost.
 */
import { DecodeError } from "../codec/errors.ts";
import type { Store } from "../engines/complete.ts";
import { batches, mapped } from "../engines/each.ts";
import type { NewEntry } from "../engines/engine.ts";
import { inspect } from "../platform/system.ts";
import type { Handle } from "./handle.ts";
import { type StoredEntry, withHeader } from "./header.ts";
import { checkFiniteTime, checkTags, deadline, typeOf } from "./options.ts";
import { isLazy } from "./pairs.ts";
import { hasRuns, overtakeRuns } from "./runs.ts";
import { Versions } from "./versions.ts";

/** One version of a key, as it is stored. */
export interface StoredRecord {
  /** The canonical text of the key. */
  key: string;
  /** The stored bytes, which say themselves how they are encoded. */
  value: Uint8Array;
  /** From 1; without append mode always 1. */
  version: number;
  /** When it was set, ms since the epoch; absent where the engine does not keep it. */
  timestamp?: number;
  /** Absolute deadline, ms since the epoch; absent: forever. */
  expiresAt?: number;
  /** For how long before its deadline it is a stale result, ms; absent: it never is. */
  stale?: number;
  /** Its tags; absent: it has none. */
  tags?: string[];
}

/** Records handed to an engine at once. */
const BATCH = 200;
const BATCH_BYTES = 4_000_000;

/**
 * Every version of every key, or of those that `wanted` accepts: a key's versions follow each other, oldest
 * first.
 */
export async function* dumpStore(
  handle: Handle,
  wanted?: (keys: string[]) => Promise<string[]>,
): AsyncGenerator<StoredRecord> {
  for await (const [key, head] of wanted ? chosen(handle, wanted) : all(handle)) {
    for await (const entry of handle.versions(key, head)) yield recordOf(key, entry);
  }
}

/** The latest of every key: as they are when they are listed, like `entries`. */
function all(handle: Handle): AsyncGenerator<[string, StoredEntry]> {
  const weigh = ([, { value }]: [string, StoredEntry]) => value.length;
  return handle.iterate("dump", (store) => store.entries(), weigh);
}

/** The latest of the keys that are wanted; of the others only the keys are read. */
async function* chosen(
  handle: Handle,
  wanted: (keys: string[]) => Promise<string[]>,
): AsyncGenerator<[string, StoredEntry]> {
  for await (const batch of batches(handle.iterate("dump", (store) => store.keys()), BATCH)) {
    const keys = await wanted(batch);
    const heads = await handle.run("dump", (store) => store.getMany(keys));
    for (const [i, head] of heads.entries()) if (head !== undefined) yield [keys[i], head];
  }
}

/**
 * Stores records; how many. In append mode each is a version, those of a key in the place of what
 * was there; else a later one of a key takes the place of an earlier one.
 */
export async function loadStore(
  handle: Handle,
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
): Promise<number> {
  const given: unknown = records;
  const isObject = typeof given === "object" && given !== null;
  if (!isObject || !(Symbol.iterator in given || Symbol.asyncIterator in given)) {
    throw new TypeError(
      `Expected an iterable or async iterable of records, as from dump(), got ${typeOf(given)}`,
    );
  }
  const loading = new Loading(handle);
  if (isLazy(records)) {
    return await handle.run("load", async () => {
      const inPlace = (keys: readonly string[], body: (store: Store) => Promise<void>) =>
        handle.onKeys("load", keys, "write", body, true);
      for await (const batch of batches(mapped(records, checked), BATCH, BATCH_BYTES, sizeOf)) {
        await inPlace(loading.keysWith(batch), (store) => loading.store(store, batch));
      }
      await inPlace(loading.keysWith([]), (store) => loading.end(store));
      return loading.count;
    });
  }
  // As they are now: whoever gave them may change them as soon as the call has been made.
  const all = Array.from(records as Iterable<StoredRecord>, checked);
  return await handle.onKeys("load", all.map(({ key }) => key), "write", async (store) => {
    for await (const batch of batches(all, BATCH, BATCH_BYTES, sizeOf)) {
      await loading.store(store, batch);
    }
    await loading.end(store);
    return loading.count;
  });
}

/** What one call of `load` has stored so far. */
class Loading {
  count = 0;
  readonly #handle: Handle;
  /** In append mode, the key whose versions come. */
  #key: string | undefined;
  /**
   * Where that key was there before, all that has come of it: until the last one nobody knows
   * whether they are another history, and they may be read from just what they are to replace.
   */
  #held: StoredRecord[] | undefined;

  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** The keys that it is about to store a batch of them. */
  keysWith(batch: readonly StoredRecord[]): string[] {
    const keys = batch.map(({ key }) => key);
    return this.#held === undefined ? keys : [this.#held[0].key, ...keys];
  }

  async store(store: Store, batch: readonly StoredRecord[]): Promise<void> {
    const handle = this.#handle;
    const keys = [...new Set(batch.map(({ key }) => key))];
    for (const key of keys) {
      handle.refuseInModify(key, "load entry inside the modify of its key");
    }
    if (handle.options.appendMode) {
      await handle.decideOtherwise(keys.filter((key) => key !== this.#key));
      for (const record of batch) await this.#append(store, record);
    } else await store.setMany(batch.map(pairOf));
    if (hasRuns()) { for (const key of keys) overtakeRuns(handle.place, key); }
    handle.stats.sets += batch.length;
    for (const { key, value } of batch) handle.watch.stored(key, value.length);
    this.count += batch.length;
  }

  /** Stores what is held: no more records come. */
  async end(store: Store): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || await this.#isStored(store, held)) return;
    const [{ key }] = held;
    // A run may have begun since the first of them came.
    await this.#handle.decideOtherwise([key]);
    // Only append mode holds records.
    if (!(store instanceof Versions)) throw new TypeError("Only a store of versions has histories");
    await store.replace(key, held.map(entryOf));
    if (hasRuns()) overtakeRuns(this.#handle.place, key);
  }

  async #append(store: Store, record: StoredRecord): Promise<void> {
    if (record.key !== this.#key) {
      await this.end(store);
      this.#key = record.key;
      this.#held = await store.has(record.key) ? [] : undefined;
    }
    if (this.#held === undefined) await store.set(...pairOf(record));
    else this.#held.push(record);
  }

  /** Whether the records are all that is stored under their key. */
  async #isStored(store: Store, records: readonly StoredRecord[]): Promise<boolean> {
    const [{ key }] = records;
    try {
      const head = await store.get(key);
      if (head === undefined) return false;
      let count = 0;
      for await (const entry of this.#handle.versions(key, head)) {
        const record = records.at(count++);
        if (record === undefined || !isSame(record, recordOf(key, entry))) return false;
      }
      return count === records.length;
    } catch (error) {
      // What is damaged is replaced.
      if (error instanceof DecodeError) return false;
      throw error;
    }
  }
}

function isSame(a: StoredRecord, b: StoredRecord): boolean {
  return a.timestamp === b.timestamp && a.stale === b.stale && endOf(a) === endOf(b) &&
    JSON.stringify(a.tags ?? []) === JSON.stringify(b.tags ?? []) &&
    a.value.length === b.value.length && a.value.every((byte, i) => byte === b.value[i]);
}

function recordOf(key: string, { value, header, expiresAt, timestamp }: StoredEntry): StoredRecord {
  return {
    key,
    value,
    version: header?.version ?? 1,
    timestamp: header?.timestamp ?? timestamp,
    expiresAt,
    stale: header?.stale,
    tags: header?.tags && [...header.tags],
  };
}

function pairOf(record: StoredRecord): [string, NewEntry] {
  return [record.key, entryOf(record)];
}

function sizeOf({ key, value }: StoredRecord): number {
  return key.length + value.length;
}

/**
 * Checks a record, before anything is stored of it: a time that is none would fail at some later
 * read.
 *
 * @throws {TypeError} When it is no record.
 * @throws {RangeError} When its times make no sense.
 */
function checked(record: StoredRecord): StoredRecord {
  if (typeof record?.key !== "string" || !(record.value instanceof Uint8Array)) {
    throw new TypeError(
      `Expected records with a key of text and a value of bytes, got ${
        inspect(record, { depth: 1 })
      }`,
    );
  }
  const { timestamp, stale } = record;
  for (const [name, time] of Object.entries({ timestamp, stale })) {
    if (time !== undefined) checkFiniteTime(name, time);
  }
  endOf(record);
  return { ...record, tags: checkTags(record.tags) };
}

function entryOf(record: StoredRecord): NewEntry {
  const { value, stale, timestamp = Date.now() } = record;
  const tags = record.tags?.length ? record.tags : undefined;
  const isPlain = stale === undefined && tags === undefined;
  return {
    value: isPlain ? value : withHeader(value, { stale, tags }),
    expiresAt: endOf(record),
    timestamp,
  };
}

function endOf({ expiresAt }: StoredRecord): number | undefined {
  return deadline({ expiresAt }, Infinity, 0);
}
