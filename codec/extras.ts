/**
 * Properties that hang on an array or a typed array beside its items: every format would drop them.
 *
 * Asking for the names of all properties lists the items as well, and costs a quarter to a half of
 * what `JSON.stringify` takes of an array of numbers. So short arrays are asked for their values,
 * which makes no texts of the indices, and for others the functions are used that leave the items
 * out themselves.
 */
import { builtinModule, inspect } from "../platform/system.ts";

/** Up to here values cost no more than the other ways, which take the same for any length. */
const FEW_ITEMS = 2_000;
const FEW_BYTES = 64;

/** Whether an array without holes has enumerable properties beside its items. */
export function hasExtras(array: unknown[]): boolean {
  return Object.getOwnPropertySymbols(array).length > 0 ||
    (array.length > FEW_ITEMS && inspectTells()
      ? listed(array) !== listing(array.length)
      : Object.values(array).length !== array.length);
}

/** Whether a typed array has enumerable properties beside its items. */
export function hasViewExtras(view: Uint8Array): boolean {
  if (view.length > FEW_BYTES && equalityTells() && isEqual(view, view.subarray())) return false;
  return Object.getOwnPropertySymbols(view).length > 0 ||
    Object.values(view).length !== view.length;
}

/** An array as `inspect` shows it, none of its items: `[ ... 3 more items, name: 1 ]`. */
function listed(array: unknown[]): string {
  return inspect(array, { depth: 0, compact: true, iterableLimit: 0 });
}

function listing(length: number): string {
  return `[ ... ${length} more items ]`;
}

const isDeepStrictEqual = once(() => builtinModule("node:util").isDeepStrictEqual);

function isEqual(view: Uint8Array, other: Uint8Array): boolean {
  return isDeepStrictEqual()(view, other);
}

/** Both ways are tried on an array with a name first: they are not made for this. */
const inspectTells = once(() =>
  listed([1, 2]) === listing(2) && listed(Object.assign([1, 2], { name: 1 })) !== listing(2)
);
const equalityTells = once(() =>
  isEqual(new Uint8Array(2), new Uint8Array(2)) &&
  !isEqual(Object.assign(new Uint8Array(2), { name: 1 }), new Uint8Array(2))
);

function once<T>(ask: () => T): () => T {
  let answer: T | undefined;
  return () => answer ??= ask();
}
