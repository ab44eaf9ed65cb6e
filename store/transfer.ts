/**
 * Moving entries between stashes as they are stored: no value is decoded, so none can be changed or
 * lost.
 */
import type { CompleteEngine } from "../engines/complete.ts";
import type { NewEntry } from "../engines/engine.ts";
import { batches } from "./pairs.ts";
import { append, earlierVersions, openEnvelope } from "./versions.ts";

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
}

/** Records handed to an engine at once. */
const BATCH = 200;
const BATCH_BYTES = 4_000_000;

/**
 * Every version of every key that `wanted` accepts: a key's versions follow each other, oldest
 * first.
 */
export async function* dumpStore(
  store: CompleteEngine,
  archive: () => Promise<CompleteEngine>,
  wanted: (keys: string[]) => Promise<string[]>,
): AsyncGenerator<StoredRecord> {
  for await (const batch of batches(store.keys(), BATCH)) {
    const keys = await wanted(batch);
    for (const [i, head] of (await store.getMany(keys)).entries()) {
      if (head === undefined) continue;
      const key = keys[i];
      const { header, value } = openEnvelope(head.value);
      if (header !== undefined && header.version > 1) {
        for await (const earlier of earlierVersions(await archive(), key, header)) {
          const { header, value } = openEnvelope(earlier.value);
          yield {
            key,
            value,
            version: header?.version ?? 1,
            timestamp: header?.timestamp ?? earlier.timestamp,
            expiresAt: earlier.expiresAt,
          };
        }
      }
      yield {
        key,
        value,
        version: header?.version ?? 1,
        timestamp: header?.timestamp ?? head.timestamp,
        expiresAt: head.expiresAt,
      };
    }
  }
}

/** Stores records, a later one of a key in the place of an earlier one; how many. */
export async function loadStore(
  store: CompleteEngine,
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
): Promise<number> {
  let loaded = 0;
  const sizeOf = ({ key, value }: StoredRecord) => key.length + value.length;
  for await (const batch of batches(records, BATCH, BATCH_BYTES, sizeOf)) {
    await store.setMany(batch.map((record) => [record.key, entryOf(record)]));
    loaded += batch.length;
  }
  return loaded;
}

/**
 * Stores records as versions, those of a key in the place of what was there; how many.
 *
 * @param remove Removes a key with all its versions.
 */
export async function loadVersions(
  store: CompleteEngine,
  archive: CompleteEngine,
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
  remove: (key: string) => Promise<unknown>,
): Promise<number> {
  let loaded = 0;
  let current: string | undefined;
  for await (const record of records) {
    if (record.key !== current) await remove(record.key);
    current = record.key;
    await append(store, archive, record.key, entryOf(record));
    loaded++;
  }
  return loaded;
}

function entryOf({ value, expiresAt, timestamp }: StoredRecord): NewEntry {
  return { value, expiresAt, timestamp: timestamp ?? Date.now() };
}
