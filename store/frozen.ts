/** Values that readers share, as nobody can change them. */
/**
 * The values of stored bytes, frozen. As long as somebody holds the same bytes, be it the memory
 * engine or a near tier, their value is made once.
 */
export class FrozenValues {
  readonly #values = new WeakMap<Uint8Array, unknown>();

  /** The value of stored bytes, when it is known; they are told from others by their identity. */
  known(bytes: Uint8Array): unknown {
    return this.#values.get(bytes);
  }

  /** The value that was made of stored bytes, frozen; it is known from now on if it can be shared. */
  made(bytes: Uint8Array, value: unknown): unknown {
    if (freeze(value)) this.#values.set(bytes, value);
    return value;
  }
}

/**
 * Freezes plain objects and arrays, however deep.
 *
 * @returns Whether that is all there is in the value: a `Map` or a `Date` can be changed though it
 * is frozen, and what a class does with its instances is for it to say.
 */
export function freeze(value: unknown): boolean {
  let isWhole = true;
  const seen = new Set<object>();
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if (!isPlain(next)) {
      isWhole = false;
      continue;
    }
    Object.freeze(next);
    for (const part of Object.values(next)) if (typeof part === "object") left.push(part);
  }
  return isWhole;
}

function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
