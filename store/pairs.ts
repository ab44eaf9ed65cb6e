import { encodeKey } from "../codec/key.ts";
import { inspect } from "../platform/system.ts";
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

/** The same with the canonical texts of the keys. */
export function textPairs(
  source: PairSource<unknown, unknown>,
): Iterable<readonly [string, unknown]> | AsyncIterable<readonly [string, unknown]> {
  const pairs = pairsOf(source);
  return Symbol.asyncIterator in pairs ? asyncTextPairs(pairs) : syncTextPairs(pairs);
}

async function* asyncTextPairs(
  pairs: AsyncIterable<readonly [unknown, unknown]>,
): AsyncGenerator<readonly [string, unknown]> {
  for await (const [key, value] of pairs) yield [encodeKey(key), value];
}

function* syncTextPairs(
  pairs: Iterable<readonly [unknown, unknown]>,
): Generator<readonly [string, unknown]> {
  for (const [key, value] of pairs) yield [encodeKey(key), value];
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
    `Expected pairs of key and value, got ${inspect(pair, { depth: 1 })}`,
  );
}

function described(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeOf(value);
  return inspect(value, { depth: 0, strAbbreviateSize: 60 });
}
