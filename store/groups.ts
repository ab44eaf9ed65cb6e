/**
 * Many keys of a store at once, in groups of what an engine takes in one transaction or round trip;
 * one alone as if it were asked for by itself.
 */
import type { Store } from "../engines/complete.ts";
import { groupsOf } from "../engines/each.ts";
import type { Entry } from "../engines/engine.ts";

/** Keys of one group. */
const GROUP = 500;

/**
 * How many calls are in flight at once: an engine that writes what comes together in one transaction
 * is to get a batch in one piece, and nobody 10,000 open files.
 */
const IN_FLIGHT = 128;

/** A store, or another way to read from one. */
type Readable = Pick<Store, "get" | "getMany">;

/** Calls `fn` with each item, many in flight; the results, in the order of the items. */
export async function forEach<T, R>(
  items: readonly T[],
  fn: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  if (items.length <= IN_FLIGHT) return await Promise.all(items.map(fn));
  const results: R[] = [];
  for (const group of groupsOf(items, IN_FLIGHT)) {
    const begin = results.length;
    results.push(...await Promise.all(group.map((item, i) => fn(item, begin + i))));
  }
  return results;
}

/** The entries of the keys, in their order. */
export async function readAll(
  store: Readable,
  keys: readonly string[],
): Promise<(Entry | undefined)[]> {
  if (keys.length === 1) return [await store.get(keys[0])];
  const entries: (Entry | undefined)[] = [];
  for (const group of groupsOf(keys, GROUP)) entries.push(...await store.getMany(group));
  return entries;
}

/** The same, where an entry that can't be read keeps nobody from the others. */
export async function readEach(
  store: Readable,
  keys: readonly string[],
): Promise<PromiseSettledResult<Entry | undefined>[]> {
  try {
    const entries = await readAll(store, keys);
    return entries.map((value) => ({ status: "fulfilled", value }));
  } catch {
    return await forEach(keys, async (key) => {
      return (await Promise.allSettled([(async () => await store.get(key))()]))[0];
    });
  }
}

/** Removes the keys. */
export async function removeAll(store: Store, keys: readonly string[]): Promise<void> {
  if (keys.length === 1) await store.delete(keys[0]);
  else for (const group of groupsOf(keys, GROUP)) await store.deleteMany(group);
}

/** Removes the entries that are still in the state that was read; which of them. */
export async function removeUnchanged(
  store: Store,
  entries: readonly [key: string, expected: Entry][],
): Promise<boolean[]> {
  if (entries.length === 1) return [await store.compareAndSet(...entries[0], undefined)];
  const removed: boolean[] = [];
  for (const group of groupsOf(entries, GROUP)) {
    removed.push(...await store.deleteUnchanged(group));
  }
  return removed;
}
