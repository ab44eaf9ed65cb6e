/** What turns instances of a registered class into data and back. */
export interface RegisteredClass {
  /** The name in stored data. */
  readonly name: string;
  /** Instance to data. */
  readonly toJSON: (instance: object) => unknown;
  /** Data to instance. */
  readonly fromJSON: (data: unknown) => unknown;
}

/**
 * How instances of a class are stored. `D` is their data, by default whatever `JSON.parse` may
 * give.
 */
export interface RegisterClassOptions<T extends object, D = ReturnType<typeof JSON.parse>> {
  /** The name in stored data; default: the class's own. Keep it when you rename the class. */
  name?: string;
  /** Instance to data, anything that can be serialized; default: `instance.toJSON()`. */
  toJSON?: (instance: T) => D;
  /** Data to instance; default: `Class.fromJSON`. */
  fromJSON?: (data: D) => T;
}

/** A class as far as registering it goes: its constructor may be private. */
export type ClassOf<T extends object> = { readonly prototype: T; readonly name: string };

const byPrototype = new Map<object, RegisteredClass>();
const byName = new Map<string, RegisteredClass>();

/**
 * Makes instances of a class storable, as values and in keys. Only direct instances: a subclass is
 * registered on its own. Reading stored data makes instances of registered classes and of no
 * others.
 *
 * @param Class The class. Registering it again replaces how it is stored.
 * @param options Its name in stored data, and the functions to data and back.
 * @throws {TypeError} When there is no way to data or back, or another class has the name.
 *
 * @example
 * ```ts
 * import { decodeKey, deserialize, encodeKey, registerClass, serialize } from "@hashstash/hashstash/codec";
 *
 * class Point {
 *   constructor(readonly x: number, readonly y: number) {}
 * }
 * registerClass(Point, {
 *   toJSON: (point) => [point.x, point.y],
 *   fromJSON: ([x, y]) => new Point(x, y),
 * });
 *
 * const back = await deserialize(await serialize(new Point(1, 2)));
 * console.log(back instanceof Point); // true
 * console.log(decodeKey(encodeKey(new Point(1, 2)))); // Point { x: 1, y: 2 }
 * ```
 */
export function registerClass<T extends object, D = ReturnType<typeof JSON.parse>>(
  Class: ClassOf<T>,
  options: RegisterClassOptions<T, D> = {},
): void {
  if (typeof Class !== "function") {
    throw new TypeError(`Cannot register class: expected a class, got ${typeof Class}`);
  }
  const constructor: { prototype: T & { toJSON?: unknown }; name: string; fromJSON?: unknown } =
    Class;
  const given: unknown = options;
  if (typeof given !== "object" || given === null) {
    const got = given === null ? "null" : typeof given;
    throw new TypeError(
      `Cannot register class "${constructor.name}": expected an object of options, got ${got}`,
    );
  }
  const name = options.name ?? constructor.name;
  if (typeof name !== "string" || name === "") {
    throw new TypeError("Cannot register class: it has no name, pass options.name");
  }
  const toJSON = options.toJSON ?? methodOf(constructor.prototype);
  if (typeof toJSON !== "function") {
    throw new TypeError(
      `Cannot register class "${name}": it has no toJSON method, pass options.toJSON`,
    );
  }
  const fromJSON = options.fromJSON ??
    (typeof constructor.fromJSON === "function" ? constructor.fromJSON.bind(Class) : undefined);
  if (typeof fromJSON !== "function") {
    throw new TypeError(
      `Cannot register class "${name}": it has no static fromJSON method, pass options.fromJSON`,
    );
  }
  const earlier = byPrototype.get(constructor.prototype);
  const holder = byName.get(name);
  if (holder !== undefined && holder !== earlier) {
    throw new TypeError(
      `Cannot register class "${name}": another class has that name, pass options.name`,
    );
  }
  if (earlier !== undefined) byName.delete(earlier.name);
  const registered = { name, toJSON, fromJSON } as RegisteredClass;
  byPrototype.set(constructor.prototype, registered);
  byName.set(name, registered);
}

function methodOf(prototype: { toJSON?: unknown }): ((instance: object) => unknown) | undefined {
  if (typeof prototype.toJSON !== "function") return undefined;
  return (instance) => (instance as { toJSON(): unknown }).toJSON();
}

/** How objects with this prototype are stored, when their class is registered. */
export function classOfPrototype(prototype: object): RegisteredClass | undefined {
  return byPrototype.get(prototype);
}

/** The registered class with this name in stored data. */
export function classNamed(name: string): RegisteredClass | undefined {
  return byName.get(name);
}
