/** Exact equality, beyond what `assertEquals` looks at. */
import { encodeHex } from "@std/encoding/hex";

/**
 * Says where two values differ, or `undefined` when nobody could tell them apart: types,
 * prototypes, `-0`, holes, order of properties, Maps and Sets, hidden properties of errors, and
 * which references are to one object.
 */
export function difference(actual: unknown, expected: unknown): string | undefined {
  return new Comparison().difference(actual, expected, "$");
}

class Comparison {
  readonly #pairs = new Map<object, object>();
  readonly #back = new Map<object, object>();

  difference(a: unknown, b: unknown, path: string): string | undefined {
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
      return Object.is(a, b) ? undefined : `${path}: ${String(a)} is not ${String(b)}`;
    }
    if (this.#pairs.has(a) || this.#back.has(b)) {
      const same = this.#pairs.get(a) === b && this.#back.get(b) === a;
      return same ? undefined : `${path}: another reference`;
    }
    this.#pairs.set(a, b);
    this.#back.set(b, a);
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return `${path}: another prototype`;
    if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) {
      return `${path}: another type`;
    }
    return this.#content(a, b, path) ?? this.#properties(a, b, path);
  }

  #content(a: object, b: object, path: string): string | undefined {
    if (a instanceof Date && b instanceof Date) {
      return this.difference(a.getTime(), b.getTime(), `${path}.getTime()`);
    }
    if (a instanceof RegExp && b instanceof RegExp) {
      return this.difference(String(a), String(b), `${path}.toString()`);
    }
    if (a instanceof URL && b instanceof URL) {
      return this.difference(a.href, b.href, `${path}.href`);
    }
    if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) {
      const left = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
      return this.difference(
        encodeHex(left),
        encodeHex(new Uint8Array(b.buffer, b.byteOffset, b.byteLength)),
        `${path} as bytes`,
      );
    }
    if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) {
      return this.#content(new Uint8Array(a), new Uint8Array(b), path);
    }
    if (a instanceof Map && b instanceof Map) return this.#lists([...a], [...b], `${path} entries`);
    if (a instanceof Set && b instanceof Set) return this.#lists([...a], [...b], `${path} items`);
    return undefined;
  }

  #lists(a: unknown[], b: unknown[], path: string): string | undefined {
    if (a.length !== b.length) return `${path}: ${a.length}, not ${b.length}`;
    for (const [i, item] of a.entries()) {
      const found = Array.isArray(item) && path.endsWith("entries")
        ? this.#lists(item, b[i] as unknown[], `${path}[${i}] pair`)
        : this.difference(item, b[i], `${path}[${i}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #properties(a: object, b: object, path: string): string | undefined {
    if (ArrayBuffer.isView(a)) return undefined;
    // An error's stack is where it was made; its other hidden properties come in any order.
    const names = (object: object) => {
      const own = Object.getOwnPropertyNames(object).filter((name) => name !== "stack");
      const [hidden, shown] = [false, true].map((wanted) =>
        own.filter((name) => Object.getOwnPropertyDescriptor(object, name)?.enumerable === wanted)
      );
      return [...hidden.sort(), ...shown];
    };
    const found = this.#lists(names(a), names(b), `${path} names`);
    if (found !== undefined) return found;
    for (const name of names(a)) {
      const left = Object.getOwnPropertyDescriptor(a, name);
      const right = Object.getOwnPropertyDescriptor(b, name);
      if (left?.enumerable !== right?.enumerable) return `${path}.${name}: enumerable or not`;
      const inner = this.difference(left?.value, right?.value, `${path}.${name}`);
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
}
