/** Pairs of key and value: a Map, an array of pairs, another stash, … */
export type Pairs<K, V> = Iterable<readonly [K, V]> | AsyncIterable<readonly [K, V]>;

/** What `update` and `setMany` take. */
export type PairSource<K, V> = Pairs<K, V> | Readonly<Record<string, V>>;

/**
 * The pairs of a Map, another stash, an iterable or async iterable of pairs, or a plain object.
 *
 * @throws {TypeError} When it is none of these.
 */
export function pairsOf<K, V>(source: PairSource<K, V>): Pairs<K, V> {
  if (typeof source !== "object" || source === null) {
    throw new TypeError(
      `Expected a Map, an iterable of pairs, an object or a stash, got ${
        source === null ? "null" : typeof source
      }`,
    );
  }
  if (Symbol.asyncIterator in source) return asyncPairs(source);
  if (Symbol.iterator in source) return pairs(source);
  return Object.entries(source) as unknown as [K, V][];
}

async function* asyncPairs<K, V>(
  source: AsyncIterable<readonly [K, V]>,
): AsyncGenerator<readonly [K, V]> {
  for await (const pair of source) yield checkPair(pair);
}

function* pairs<K, V>(source: Iterable<readonly [K, V]>): Generator<readonly [K, V]> {
  for (const pair of source) yield checkPair(pair);
}

function checkPair<K, V>(pair: readonly [K, V]): readonly [K, V] {
  if (Array.isArray(pair) && pair.length === 2) return pair;
  throw new TypeError(
    `Expected pairs of key and value, got ${Deno.inspect(pair, { depth: 1 })}`,
  );
}

/** Groups items into arrays of at most `count` items and, but for single larger ones, `bytes` in all. */
export async function* batches<T>(
  items: AsyncIterable<T> | Iterable<T>,
  count: number,
  bytes = Infinity,
  sizeOf: (item: T) => number = () => 0,
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let size = 0;
  for await (const item of items) {
    const itemSize = sizeOf(item);
    if (batch.length > 0 && (batch.length === count || size + itemSize > bytes)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(item);
    size += itemSize;
  }
  if (batch.length > 0) yield batch;
}
