import { hasExtras } from "../extras.ts";
import { looksRich } from "../plain.ts";
import { MAX_DEPTH } from "../refusal.ts";

/**
 * What a binary format gives back exactly, besides null, booleans and plain objects and arrays of
 * such parts.
 */
export interface NativeFormat {
  number(value: number): boolean;
  text(value: string): boolean;
  /** `undefined` and bigint. */
  primitive(value: unknown): boolean;
  /** Objects that hold no others. */
  leaf(value: object): boolean;
  /** Maps, Sets, shared references and cycles. */
  readonly graphs: boolean;
}

/**
 * Whether the format gives back exactly this value. Other values are stored in the format of
 * "hashstash".
 */
export function isNative(value: unknown, format: NativeFormat): boolean {
  try {
    if (typeof value === "object" && value !== null && looksRich(value)) return false;
    return new NativeCheck(format).passes(value, 0);
  } catch {
    return false; // A getter threw: it will again in "hashstash", whose error names the place.
  }
}

class NativeCheck {
  readonly #format: NativeFormat;
  readonly #met = new Set<object>();

  constructor(format: NativeFormat) {
    this.#format = format;
  }

  passes(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case "string":
        return this.#format.text(value);
      case "number":
        return this.#format.number(value);
      case "boolean":
        return true;
      case "object":
        return value === null || this.#object(value, depth);
      default:
        return this.#format.primitive(value);
    }
  }

  #object(value: object, depth: number): boolean {
    const before = this.#met.size;
    if (this.#met.add(value).size === before) return this.#format.graphs;
    if (depth > MAX_DEPTH) return false;
    const prototype: object | null = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return this.#plainObject(value, depth + 1);
    if (prototype === Array.prototype) return this.#array(value as unknown[], depth + 1);
    if (this.#format.leaf(value)) return true;
    if (!this.#format.graphs || hasProperties(value)) return false;
    if (prototype === Map.prototype) {
      return (value as Map<unknown, unknown>).entries().every((entry) =>
        this.passes(entry[0], depth + 1) && this.passes(entry[1], depth + 1)
      );
    }
    return prototype === Set.prototype &&
      (value as Set<unknown>).values().every((item) => this.passes(item, depth + 1));
  }

  #plainObject(value: object, depth: number): boolean {
    if (Object.getOwnPropertySymbols(value).length > 0) return false;
    // What a library may look at to tell what an object is, even where it is not enumerable.
    if (value.constructor !== Object || Array.isArray(value)) return false;
    for (const name in value) {
      if (!this.#format.text(name) || name === "__proto__") return false;
      if (!this.passes((value as Record<string, unknown>)[name], depth)) return false;
    }
    return true;
  }

  #array(value: unknown[], depth: number): boolean {
    if (value.constructor !== Array || !Array.isArray(value)) return false;
    for (let i = 0; i < value.length; i++) {
      const item = value[i];
      if (item === undefined && !(i in value)) return false;
      if (!this.passes(item, depth)) return false;
    }
    return !hasExtras(value);
  }
}

/** Whether an object has enumerable properties of its own, or any that symbols name. */
export function hasProperties(value: object): boolean {
  return Object.keys(value).length > 0 || Object.getOwnPropertySymbols(value).length > 0;
}
