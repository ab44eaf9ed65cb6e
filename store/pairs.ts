import { encodeKey } from "../codec/mod.ts";
import { typeOf } from "./options.ts";

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
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return asyncPairs(source);
    if (Symbol.iterator in source) return pairs(source);
    if (isPlainObject(source)) return Object.entries(source) as unknown as [K, V][];
  }
  // Of other objects nothing would be stored, or not what was meant: of a promise that nobody
  // awaited, of a Date.
  throw new TypeError(
    `Expected a Map, an iterable of pairs, a plain object or a stash, got ${described(source)}`,
  );
}

/** Whether it is an object that a literal could be. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * The canonical texts of keys.
 *
 * @throws {TypeError} When they are no iterable of keys, or one is no key. A string is none: its
 * characters are hardly meant.
 */
export function keyTexts(keys: Iterable<unknown>): string[] {
  if (typeof keys !== "object" || keys === null || !(Symbol.iterator in keys)) {
    throw new TypeError(`Expected an iterable of keys, got ${described(keys)}`);
  }
  return Array.from(keys, (key) => encodeKey(key));
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

function described(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeOf(value);
  return Deno.inspect(value, { depth: 0, strAbbreviateSize: 60 });
}

/**
 * Groups items into arrays of at most `count` items and, but for single larger ones, `bytes` in
 * all.
 */
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
