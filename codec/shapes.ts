import { Refusal } from "./refusal.ts";

/**
 * The names of an object's own enumerable properties.
 *
 * @throws {Refusal} When it also has enumerable properties named by symbols: they would be lost.
 */
export function ownNames(value: object): string[] {
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) {
      throw new Refusal(`has a property named by a symbol, ${String(symbol)}, that would be lost`);
    }
  }
  return Object.keys(value);
}

/**
 * The indices of the items that an array has, as text, when it has holes; `undefined` when it has
 * none.
 *
 * @throws {Refusal} When it has properties besides its items: they would be lost.
 */
export function holeyIndices(array: unknown[]): string[] | undefined {
  const names = Object.keys(array);
  const last = names.at(-1);
  if (last !== undefined && !(Number(last) < array.length)) {
    throw new Refusal(`is an array with a property ${JSON.stringify(last)}, that would be lost`);
  }
  return names.length === array.length ? undefined : names;
}

/**
 * Whether an array is the result of a RegExp match: the one sort of array with properties besides
 * its items that programs meet. Looking for any such property costs as much as `JSON.stringify`, so
 * the fast paths look for this one only.
 */
export function isMatch(array: unknown[]): boolean {
  return (array as { index?: unknown }).index !== undefined;
}
