/**
 * Any value as a tree of plain JSON, and back. What JSON lacks is an object with one property whose
 * name begins with `$`: `{"$Date":"2026-01-01T00:00:00.000Z"}`. A user's own object of that shape
 * gets a second `$`.
 *
 * | tag | payload |
 * |---|---|
 * | `$` | `"undefined"`, `"NaN"`, `"Infinity"`, `"-Infinity"`, `"-0"` |
 * | `$bigint` | digits |
 * | `$Date` `$RegExp` `$URL` | ISO text or null; `[source, flags, lastIndex?]`; text |
 * | `$Uint8Array` … `$DataView` `$ArrayBuffer` | base64 of the bytes, little-endian |
 * | `$Map` `$Set` | `[[key, value], …]`; `[item, …]` |
 * | `$sparse` | an array with holes: `[length, [[index, value], …]]` |
 * | `$null` | an object without prototype: `[name, value, name, value, …]` |
 * | `$object` | an object with a property named `__proto__`: the same |
 * | `$Error` | `[class, [hidden name, value, …], [name, value, …]]` |
 * | `$class` | an instance of a registered class: `[name, data]` |
 * | `$id` `$ref` | `[n, value]`, the first place of a value that comes again; `n`, the others |
 */
import { quoted } from "./brief.ts";
import { classNamed, classOfPrototype } from "./classes.ts";
import { DecodeError } from "./errors.ts";
import { errorName, hiddenProperties, isHidden, makeError } from "./error_kinds.ts";
import { damaged, decodeLeaf, leafOf, list, refuseProperties, text } from "./leaves.ts";
import {
  holeyIndices,
  indexStep,
  located,
  MAX_DEPTH,
  ownNames,
  propertyStep,
  Refusal,
  refusalOf,
} from "./refusal.ts";

type Parent = Record<string | number, unknown> | unknown[];

/** The first place of an object in the tree. */
interface Place {
  readonly parent: Parent;
  readonly key: string | number;
  /** Its number, once it has come again. */
  id?: number;
  /** Its content is still being written. */
  open: boolean;
  /** An instance of a registered class: it is made from its data, which can't hold it. */
  readonly made: boolean;
}

/**
 * The value as a tree of plain JSON.
 *
 * @throws {Refusal} At a part that cannot be encoded.
 */
export function toTree(value: unknown): unknown {
  const root: unknown[] = [];
  new TreeWriter().put(value, root, 0);
  return root[0];
}

class TreeWriter {
  readonly #places = new Map<object, Place>();
  #ids = 0;
  #depth = 0;

  put(value: unknown, parent: Parent, key: string | number): void {
    (parent as Record<string | number, unknown>)[key] = typeof value === "object" && value !== null
      ? this.#object(value, parent, key)
      : primitive(value);
  }

  #object(value: object, parent: Parent, key: string | number): unknown {
    const earlier = this.#places.get(value);
    if (earlier !== undefined) return this.#again(earlier);
    const prototype: object | null = Object.getPrototypeOf(value);
    const place = {
      parent,
      key,
      id: undefined as number | undefined,
      open: true,
      made: prototype !== null && classOfPrototype(prototype) !== undefined,
    };
    this.#places.set(value, place);
    if (++this.#depth > MAX_DEPTH) throw new Refusal(`is nested deeper than ${MAX_DEPTH} levels`);
    const node = this.#content(value, prototype);
    this.#depth--;
    place.open = false;
    return place.id === undefined ? node : { $id: [place.id, node] };
  }

  #again(place: Place): unknown {
    if (place.made && place.open) {
      throw new Refusal("is part of a cycle through an instance of a registered class");
    }
    if (place.id === undefined) {
      place.id = ++this.#ids;
      if (!place.open) {
        const parent = place.parent as Record<string | number, unknown>;
        parent[place.key] = { $id: [place.id, parent[place.key]] };
      }
    }
    return { $ref: place.id };
  }

  #content(value: object, prototype: object | null): unknown {
    if (prototype === Object.prototype) return this.#plainObject(value);
    if (prototype === Array.prototype) return this.#array(value as unknown[]);
    if (prototype === null) return { $null: this.#properties(value, ownNames(value)) };
    const registered = classOfPrototype(prototype);
    if (registered !== undefined) {
      const node: unknown[] = [registered.name];
      this.put(registered.toJSON(value), node, 1);
      return { $class: node };
    }
    const leaf = leafOf(value, prototype);
    if (leaf !== undefined) return { [`$${leaf.tag}`]: leaf.encode(value) };
    if (prototype === Map.prototype) return { $Map: this.#map(value as Map<unknown, unknown>) };
    if (prototype === Set.prototype) return { $Set: this.#set(value as Set<unknown>) };
    const name = errorName(prototype);
    if (name !== undefined) {
      return {
        $Error: [
          name,
          this.#properties(value, hiddenProperties(value)),
          this.#properties(value, ownNames(value)),
        ],
      };
    }
    throw refusalOf(value);
  }

  #plainObject(value: object): unknown {
    const names = ownNames(value);
    if (names.includes("__proto__")) return { $object: this.#properties(value, names) };
    const node: Record<string, unknown> = {};
    const escape = names.length === 1 && names[0].startsWith("$") ? "$" : "";
    for (const name of names) this.#property(value, name, node, escape + name);
    return node;
  }

  #properties(value: object, names: string[]): unknown[] {
    const node: unknown[] = [];
    for (const name of names) {
      node.push(name);
      this.#property(value, name, node, node.length);
    }
    return node;
  }

  #property(value: object, name: string, node: Parent, key: string | number): void {
    try {
      this.put((value as Record<string, unknown>)[name], node, key);
    } catch (error) {
      throw located(error, propertyStep(name));
    }
  }

  #array(value: unknown[]): unknown {
    const indices = holeyIndices(value);
    if (indices === undefined) return this.#items(value, indexStep);
    const node: unknown[] = [];
    for (const index of indices.map(Number)) {
      const item: unknown[] = [index];
      this.#item(value[index], item, 1, indexStep(index));
      node.push(item);
    }
    return { $sparse: [value.length, node] };
  }

  #items(values: Iterable<unknown>, step: (index: number) => string): unknown[] {
    const node: unknown[] = [];
    for (const value of values) this.#item(value, node, node.length, step(node.length));
    return node;
  }

  #item(value: unknown, node: unknown[], key: number, step: string): void {
    try {
      this.put(value, node, key);
    } catch (error) {
      throw located(error, step);
    }
  }

  #map(value: Map<unknown, unknown>): unknown[] {
    refuseProperties(value);
    const node: unknown[] = [];
    for (const [key, item] of value) {
      const entry: unknown[] = [];
      this.#item(key, entry, 0, `.keys[${node.length}]`);
      this.#item(item, entry, 1, `.values[${node.length}]`);
      node.push(entry);
    }
    return node;
  }

  #set(value: Set<unknown>): unknown[] {
    refuseProperties(value);
    return this.#items(value, (index) => `.values[${index}]`);
  }
}

function primitive(value: unknown): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return { $: Object.is(value, -0) ? "-0" : String(value) };
    case "bigint":
      return { $bigint: String(value) };
    case "undefined":
      return { $: "undefined" };
    case "object":
      return null;
    default:
      throw refusalOf(value);
  }
}

/**
 * The value of a tree, fresh from `JSON.parse`. The tree is used up: its arrays and objects become
 * parts of the value.
 *
 * @throws {DecodeError} When the tree is none that `toTree` makes, or names a class that is not
 * registered.
 */
export function fromTree(tree: unknown): unknown {
  return new TreeReader().read(tree);
}

/** Turns trees into values. */
export class TreeReader {
  readonly #kept = new Map<unknown, unknown>();
  readonly #references: boolean;
  /** Whether an instance of a registered class was made. */
  made = false;

  /**
   * @param references Whether values may come again by `$ref`. In a key none does, and a key of
   * some hundred characters could stand for gigabytes of written out text.
   */
  constructor(references = true) {
    this.#references = references;
  }

  read(node: unknown, id?: number): unknown {
    if (typeof node !== "object" || node === null) return node;
    if (Array.isArray(node)) {
      this.#keep(id, node);
      for (let i = 0; i < node.length; i++) node[i] = this.read(node[i]);
      return node;
    }
    const names = Object.keys(node);
    const properties = node as Record<string, unknown>;
    if (names.length === 1 && names[0].startsWith("$")) {
      return this.#tagged(names[0].slice(1), properties[names[0]], id);
    }
    this.#keep(id, node);
    for (const name of names) {
      // Not even `__proto__` sets the prototype here: it is an own property already.
      properties[name] = this.read(properties[name]);
    }
    return node;
  }

  #keep<T>(id: number | undefined, value: T): T {
    if (id !== undefined) this.#kept.set(id, value);
    return value;
  }

  #tagged(tag: string, payload: unknown, id: number | undefined): unknown {
    if (tag.startsWith("$")) return define(this.#keep(id, {}), tag, this.read(payload));
    switch (tag) {
      case "id": {
        if (!this.#references) throw damaged(tag);
        const [number, node] = list(tag, payload);
        if (typeof number !== "number" || this.#kept.has(number) || id !== undefined) {
          throw damaged(tag);
        }
        return this.read(node, number);
      }
      case "ref":
        if (!this.#kept.has(payload)) throw damaged(tag);
        return this.#kept.get(payload);
      case "Map": {
        const map = this.#keep(id, new Map<unknown, unknown>());
        for (const entry of list(tag, payload)) {
          const [key, value] = list(tag, entry);
          map.set(this.read(key), this.read(value));
        }
        return map;
      }
      case "Set": {
        const set = this.#keep(id, new Set<unknown>());
        for (const item of list(tag, payload)) set.add(this.read(item));
        return set;
      }
      case "sparse":
        return this.#sparse(this.#keep(id, []), list(tag, payload));
      case "null":
        return this.#fill(this.#keep(id, Object.create(null)), list(tag, payload));
      case "object":
        return this.#fill(this.#keep(id, {}), list(tag, payload));
      case "Error":
        return this.#error(list(tag, payload), id);
      case "class":
        return this.#keep(id, this.#instance(list(tag, payload)));
      default:
        return this.#keep(
          id,
          decodeLeaf(tag, payload, () => {
            throw new DecodeError(`Cannot decode value: its tag ${quoted(tag)} is unknown`, {
              kind: "unknown",
            });
          }),
        );
    }
  }

  #fill<T extends object>(value: T, properties: unknown[], enumerable = true): T {
    if (properties.length % 2 !== 0) throw damaged("object");
    for (let i = 0; i < properties.length; i += 2) {
      define(value, text("object", properties[i]), this.read(properties[i + 1]), enumerable);
    }
    return value;
  }

  #sparse(array: unknown[], [length, items]: unknown[]): unknown[] {
    if (!isIndex(length)) throw damaged("sparse");
    const present = list("sparse", items);
    // V8 takes memory for every hole, unless the array has once been longer than it can do that for.
    if (length > DENSE_LENGTH + DENSE_LENGTH * present.length) array.length = MAX_LENGTH;
    array.length = length;
    for (const item of present) {
      const [index, value] = list("sparse", item);
      if (!isIndex(index) || index >= length) throw damaged("sparse");
      array[index] = this.read(value);
    }
    return array;
  }

  #error([name, hidden, own]: unknown[], id: number | undefined): Error {
    const properties = list("Error", hidden);
    if (!properties.every((part, i) => i % 2 !== 0 || isHidden(part))) throw damaged("Error");
    const at = properties.indexOf("message");
    const message = at % 2 === 0 ? properties[at + 1] : undefined;
    const error = makeError(
      text("Error", name),
      typeof message === "string" ? message : undefined,
    );
    if (error === undefined) {
      throw new DecodeError(
        `Cannot decode value: its error class ${quoted(String(name))} is unknown`,
        { kind: "unknown" },
      );
    }
    this.#keep(id, error);
    this.#fill(error, properties, false);
    return this.#fill(error, list("Error", own));
  }

  #instance([name, data]: unknown[]): unknown {
    const registered = classNamed(text("class", name));
    if (registered === undefined) {
      throw new DecodeError(
        `Cannot decode value: its class ${quoted(String(name))} is not known to registerClass`,
        { kind: "unknown" },
      );
    }
    this.made = true;
    const content = this.read(data);
    try {
      return registered.fromJSON(content);
    } catch (cause) {
      throw new DecodeError(`Cannot decode value: fromJSON of class "${name}" failed`, {
        cause,
        kind: "unknown",
      });
    }
  }
}

/** An array of this length, or this many times as long as what is in it, is dense enough. */
const DENSE_LENGTH = 8;
/** The length of the longest array. */
const MAX_LENGTH = 2 ** 32 - 1;

function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_LENGTH;
}

/** Sets an own property, whatever its name: assigning to `__proto__` would set the prototype. */
function define<T extends object>(target: T, name: string, value: unknown, enumerable = true): T {
  return Object.defineProperty(target, name, {
    value,
    enumerable,
    writable: true,
    configurable: true,
  });
}
