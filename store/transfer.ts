/**
 * Moving entries between stashes as they are stored: no value is decoded, so none can be changed or
 * lost.
 */
import { batches } from "../engines/each.ts";
import type { NewEntry } from "../engines/engine.ts";
import type { Handle } from "./handle.ts";

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
  handle: Handle,
  wanted: (keys: string[]) => Promise<string[]>,
): AsyncGenerator<StoredRecord> {
  for await (const batch of batches(handle.iterate("dump", (store) => store.keys()), BATCH)) {
    const keys = await wanted(batch);
    const heads = await handle.run("dump", (store) => store.getMany(keys));
    for (const [i, head] of heads.entries()) {
      if (head === undefined) continue;
      const key = keys[i];
      for await (const entry of handle.versions(key, head)) {
        const { value, header, expiresAt, timestamp } = entry;
        yield {
          key,
          value,
          version: header?.version ?? 1,
          timestamp: header?.timestamp ?? timestamp,
          expiresAt,
        };
      }
    }
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
  return await handle.run("load", async (store) => {
    let loaded = 0;
    let last: string | undefined;
    const sizeOf = ({ key, value }: StoredRecord) => key.length + value.length;
    for await (const batch of batches(records, BATCH, BATCH_BYTES, sizeOf)) {
      if (handle.options.appendMode) {
        const keys = [...new Set(batch.map(({ key }) => key))].filter((key) => key !== last);
        await store.deleteMany(keys);
      }
      await store.setMany(batch.map((record) => [record.key, entryOf(record)]));
      last = batch[batch.length - 1].key;
      loaded += batch.length;
    }
    return loaded;
  });
}

function entryOf({ value, expiresAt, timestamp }: StoredRecord): NewEntry {
  return { value, expiresAt, timestamp: timestamp ?? Date.now() };
}
