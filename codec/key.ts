/**
 * Canonical key text: which keys are equal is decided here and nowhere else.
 *
 * @module
 */
import { DecodeError } from "./errors.ts";
import { classOfPrototype } from "./classes.ts";
import { hasExtras } from "./extras.ts";
import { errorName, hiddenProperties } from "./error_kinds.ts";
import { leafOf, refuseProperties } from "./leaves.ts";
import { hasToJson } from "./plain.ts";
import {
  holeyIndices,
  located,
  MAX_DEPTH,
  ownNames,
  propertyStep,
  Refusal,
  refusalError,
  refusalOf,
  refuseInheritedToJson,
} from "./refusal.ts";
import { SharedTexts } from "./shared_texts.ts";
import { TreeReader } from "./tree.ts";

/** The first character of the text of every key that is not its own text. */
const MARK = "\u0001";

/**
 * The canonical text of a key: equal keys, and no others, have the same. A string is its own text;
 * anything else is U+0001 and tagged JSON with sorted properties, Sets and Maps. So is a string
 * that begins with U+0001, has a NUL or a lone surrogate: the text is well-formed Unicode without
 * NUL.
 *
 * It depends on no codec option. Cost: linear in the size of the key; sorting where there is
 * something to sort.
 *
 * @param key Anything that can be serialized, without cycles.
 * @throws {TypeError} When a part of the key cannot be serialized; it names the part.
 *
 * @example
 * ```ts
 * import { encodeKey } from "@hashstash/hashstash/codec";
 *
 * console.log(encodeKey("my_key")); // my_key
 * console.log(encodeKey({ b: 2, a: 1 }) === encodeKey({ a: 1, b: 2 })); // true
 * console.log(encodeKey(1) === encodeKey("1")); // false
 * ```
 */
export function encodeKey(key: unknown): string {
  if (typeof key === "string") {
    return isOwnText(key) ? key : MARK + JSON.stringify(key);
  }
  try {
    if (isQuick(key)) return MARK + JSON.stringify(key);
    refuseInheritedToJson();
    return MARK + new KeyWriter().write(key);
  } catch (error) {
    throw refusalError("Cannot encode key", error);
  }
}

/**
 * The key of a canonical text. A text without the mark is a string key: itself.
 *
 * @param text What `encodeKey` returned, or any string.
 * @throws {DecodeError} When the text has the mark, but `encodeKey` never returns it.
 * @throws {TypeError} When it is no text.
 *
 * @example
 * ```ts
 * import { decodeKey, encodeKey } from "@hashstash/hashstash/codec";
 *
 * console.log(decodeKey(encodeKey(["a", 1]))); // [ "a", 1 ]
 * ```
 */
export function decodeKey(text: string): unknown {
  if (typeof text !== "string") {
    throw new TypeError(`Cannot decode key: expected its text, got ${typeof text}`);
  }
  if (!text.startsWith(MARK)) return text;
  const reader = new TreeReader(false);
  try {
    const key = reader.read(JSON.parse(text.slice(1)));
    // A text that is not canonical would be listed and then not found. How an instance is encoded
    // is its class's matter, and may change.
    if (reader.made || encodeKey(key) === text) return key;
  } catch (cause) {
    throw new DecodeError("Cannot decode key: its text is damaged", {
      cause,
      key: text,
      // It has no checksum: another program may have written it.
      kind: "foreign",
    });
  }
  throw new DecodeError("Cannot decode key: its text is not canonical", {
    key: text,
    kind: "foreign",
  });
}

/**
 * How the canonical texts begin of string keys that begin with `prefix`: none of such a key begins
 * otherwise, but others may begin so.
 */
export function textPrefixes(prefix: string): string[] {
  // Half of a character at the end may be a whole one in the key.
  const whole = prefix.replace(/[\ud800-\udbff]$/, "");
  if (whole === "") return [""];
  const marked = MARK + JSON.stringify(whole).slice(0, -1);
  return isOwnText(whole) ? [whole, marked] : [marked];
}

function isOwnText(key: string): boolean {
  return key.charCodeAt(0) !== 1 && key.isWellFormed() && !key.includes("\0");
}

/** Levels to which a key is looked at before it is left to the `KeyWriter`, which knows cycles. */
const SHALLOW = 16;
/** Objects that are looked at before it is left to the `KeyWriter`, which knows those it has met. */
const MANY = 100_000;
/** How many more are. */
let left = MANY;

/**
 * Whether `JSON.stringify` writes what the `KeyWriter` would, in a tenth of the time: plain data
 * whose properties are in order already.
 */
function isQuick(key: unknown): boolean {
  left = MANY;
  try {
    return isCanonical(key, 0);
  } catch {
    return false; // A getter threw: it will again in the writer, whose error names the place.
  }
}

function isCanonical(part: unknown, level: number): boolean {
  switch (typeof part) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(part);
    case "object":
      break;
    default:
      return false;
  }
  if (part === null) return true;
  if (level > SHALLOW || --left < 0 || hasToJson(part)) return false;
  const prototype: object | null = Object.getPrototypeOf(part);
  if (!Array.isArray(part)) {
    return prototype === Object.prototype && isSorted(part as Record<string, unknown>, level + 1);
  }
  if (prototype !== Array.prototype) return false;
  for (let i = 0; i < part.length; i++) {
    if (!isCanonical(part[i], level + 1)) return false;
  }
  return !hasExtras(part);
}

function isSorted(object: Record<string, unknown>, level: number): boolean {
  if (Object.getOwnPropertySymbols(object).length > 0) return false;
  let previous = "";
  for (const name in object) {
    // Integers come first in JavaScript's order, and the name of a tag needs its second `$`.
    if (name <= previous || name < ":" || name.startsWith("$") || name === "__proto__") {
      return false;
    }
    if (!isCanonical(object[name], level)) return false;
    previous = name;
  }
  return true;
}

/** Writes the tagged JSON of `tree.ts`, sorted, without identity: references are written out. */
class KeyWriter {
  readonly #ancestors: object[] = [];
  readonly #texts = new SharedTexts();

  write(value: unknown): string {
    switch (typeof value) {
      case "string":
      case "boolean":
        return JSON.stringify(value);
      case "number":
        return Number.isFinite(value) ? JSON.stringify(value) : `{"$":"${value}"}`;
      case "undefined":
        return '{"$":"undefined"}';
      case "bigint":
        return `{"$bigint":"${value}"}`;
      case "object":
        return value === null ? "null" : this.#object(value);
      default:
        throw refusalOf(value);
    }
  }

  #object(value: object): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    if (this.#ancestors.includes(value)) throw new Refusal("is part of a cycle");
    if (this.#ancestors.push(value) > MAX_DEPTH) {
      throw new Refusal(`is nested deeper than ${MAX_DEPTH} levels`);
    }
    const text = this.#content(value, Object.getPrototypeOf(value));
    this.#ancestors.pop();
    this.#texts.set(value, text);
    return text;
  }

  #content(value: object, prototype: object | null): string {
    if (prototype === Object.prototype) return this.#plainObject(value);
    if (prototype === Array.prototype) return this.#array(value as unknown[]);
    if (prototype === null) return `{"$null":${this.#properties(value, ownNames(value))}}`;
    const registered = classOfPrototype(prototype);
    if (registered !== undefined) {
      return `{"$class":[${JSON.stringify(registered.name)},${
        this.write(registered.toJSON(value))
      }]}`;
    }
    const leaf = leafOf(value, prototype);
    if (leaf !== undefined) {
      return `{"$${leaf.tag}":${JSON.stringify(leaf.encode(value))}}`;
    }
    if (prototype === Map.prototype) return this.#map(value as Map<unknown, unknown>);
    if (prototype === Set.prototype) return this.#set(value as Set<unknown>);
    const name = errorName(prototype);
    if (name !== undefined) {
      const hidden = this.#properties(value, hiddenProperties(value));
      return `{"$Error":["${name}",${hidden},${this.#properties(value, ownNames(value))}]}`;
    }
    throw refusalOf(value);
  }

  #plainObject(value: object): string {
    const names = ownNames(value);
    if (names.includes("__proto__")) return `{"$object":${this.#properties(value, names)}}`;
    const escape = names.length === 1 && names[0].startsWith("$") ? "$" : "";
    return `{${this.#named(value, names, ":", escape)}}`;
  }

  #properties(value: object, names: string[]): string {
    return `[${this.#named(value, names, ",")}]`;
  }

  /** Names and values, sorted by name, with a separator between a name and its value. */
  #named(value: object, names: string[], separator: string, escape = ""): string {
    let text = "";
    let name = "";
    try {
      for (name of names.sort()) {
        if (text !== "") text += ",";
        const part = (value as Record<string, unknown>)[name];
        text += JSON.stringify(escape + name) + separator + this.write(part);
      }
    } catch (error) {
      throw located(error, propertyStep(name));
    }
    return text;
  }

  #array(value: unknown[]): string {
    const indices = holeyIndices(value);
    if (indices === undefined) return `[${this.#items(value, "").join()}]`;
    const items = this.#items(indices.map((index) => value[Number(index)]), "", indices);
    return `{"$sparse":[${value.length},[${
      items.map((item, i) => `[${indices[i]},${item}]`).join()
    }]]}`;
  }

  #map(value: Map<unknown, unknown>): string {
    refuseProperties(value);
    const keys = this.#items(value.keys(), ".keys");
    const values = this.#items(value.values(), ".values");
    return `{"$Map":[${keys.map((key, i) => `[${key},${values[i]}]`).sort().join()}]}`;
  }

  #set(value: Set<unknown>): string {
    refuseProperties(value);
    return `{"$Set":[${this.#items(value, ".values").sort().join()}]}`;
  }

  /** The texts of items. Errors locate an item by `place` and its index, or the one in `indices`. */
  #items(values: Iterable<unknown>, place: string, indices?: string[]): string[] {
    const texts: string[] = [];
    try {
      for (const value of values) texts.push(this.write(value));
    } catch (error) {
      const index = indices?.[texts.length] ?? texts.length;
      throw located(error, `${place}[${index}]`);
    }
    return texts;
  }
}
