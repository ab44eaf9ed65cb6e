import { encodeKey } from "../codec/key.ts";
import { mapped } from "../engines/each.ts";
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

/** Pairs with the canonical texts of the keys: all of them now, or one after the other. */
export type TextPairs =
  | { readonly snapshot: readonly (readonly [string, unknown])[] }
  | { readonly lazy: AsyncIterable<readonly [string, unknown]> };

/**
 * Pairs as they are now: whoever gave them may change the array or Map as soon as the call has been
 * made. Only what makes its pairs one after the other (a generator, an async iterable) is read as
 * they are needed, as it may have more of them than the memory holds.
 *
 * @throws {TypeError} When they are no pairs, or a key is no key.
 */
export function textPairs(source: PairSource<unknown, unknown>): TextPairs {
  const pairs = pairsOf(source);
  const withText = ([key, value]: readonly [unknown, unknown]) => [encodeKey(key), value] as const;
  if (Symbol.asyncIterator in pairs || isLazy(source)) return { lazy: mapped(pairs, withText) };
  return { snapshot: Array.from(pairs, withText) };
}

/** Whether it makes its items one after the other: a generator, an async iterable. */
export function isLazy(source: object): boolean {
  return Symbol.asyncIterator in source ||
    Object.prototype.toString.call(source) === "[object Generator]";
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
  return Array.from(checkIterable(keys), (key) => encodeKey(key));
}

/** Refuses what is no iterable of keys. */
export function checkIterable<T>(keys: Iterable<T>): Iterable<T> {
  if (typeof keys === "object" && keys !== null && Symbol.iterator in keys) return keys;
  throw new TypeError(`Expected an iterable of keys, got ${described(keys)}`);
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
