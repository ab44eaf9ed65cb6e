import type { Awaitable } from "../platform/awaitable.ts";
import { Turns } from "../platform/timers.ts";

/** How many calls are in flight at once. */
const IN_FLIGHT = 32;

/**
 * Calls `fn` with each item, a bounded number in flight, and lets timers and I/O run in between. When
 * one call fails no more are made.
 *
 * @param items What to call it with.
 * @param fn What to do with an item.
 * @returns The results, in the order of the items.
 *
 * @example
 * ```ts
 * import { each } from "@hashstash/hashstash/engines";
 *
 * console.log(await each([1, 2, 3], async (x) => await x * x)); // [ 1, 4, 9 ]
 * ```
 */
export async function each<T, R>(
  items: readonly T[],
  fn: (item: T, index: number) => Awaitable<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const turns = new Turns();
  let next = 0;
  async function work(): Promise<void> {
    while (next < items.length) {
      if (turns.due()) {
        await turns.next();
        continue;
      }
      const i = next++;
      const result = fn(items[i], i);
      // A synchronous engine answers at once: a turn of the event loop for each would cost more
      // than the answer.
      results[i] = result instanceof Promise ? await result : result;
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, items.length) }, work));
  } finally {
    next = items.length;
  }
  return results;
}

/**
 * Groups items into arrays of at most `count` items and, but for single larger ones, `weight` in
 * all.
 *
 * @param items What to group.
 * @param count The most items of a group.
 * @param weight The most that a group may weigh.
 * @param weigh What an item weighs: its bytes, say.
 *
 * @example
 * ```ts
 * import { batches } from "@hashstash/hashstash/engines";
 *
 * console.log(await Array.fromAsync(batches([1, 2, 3, 4, 5], 2))); // [ [ 1, 2 ], [ 3, 4 ], [ 5 ] ]
 * ```
 */
export async function* batches<T>(
  items: AsyncIterable<T> | Iterable<T>,
  count: number,
  weight: number = Infinity,
  weigh: (item: T) => number = () => 0,
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let size = 0;
  for await (const item of items) {
    const own = weigh(item);
    if (batch.length > 0 && (batch.length === count || size + own > weight)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(item);
    size += own;
  }
  if (batch.length > 0) yield batch;
}

/** As `batches`, of what is in memory already: without a promise for each. */
export function groupsOf<T>(
  items: readonly T[],
  count: number,
  weight: number = Infinity,
  weigh: (item: T) => number = () => 0,
): T[][] {
  const groups: T[][] = [];
  let start = 0;
  let sum = 0;
  for (let i = 0; i < items.length; i++) {
    const own = weigh(items[i]);
    if (i > start && (i - start === count || sum + own > weight)) {
      groups.push(items.slice(start, i));
      start = i;
      sum = 0;
    }
    sum += own;
  }
  if (start < items.length) groups.push(items.slice(start));
  return groups;
}

/** What `fn` makes of each item, lazily. */
export async function* mapped<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T) => R,
): AsyncGenerator<R> {
  for await (const item of items) yield fn(item);
}
