/**
 * Values that JSON lacks and that hold no other values: each is a tag and a payload of plain JSON.
 * Keys and values share them.
 */
import { builtinModule } from "../platform/system.ts";
import { quoted } from "./brief.ts";
import { DecodeError } from "./errors.ts";
import { hasViewExtras } from "./extras.ts";
import { ownNames, Refusal } from "./refusal.ts";
import { fromBase64, toBase64 } from "./text.ts";

interface Leaf {
  readonly tag: string;
  readonly encode: (value: object) => unknown;
  readonly decode: (payload: unknown) => unknown;
}

/** The payloads of the tag `$`, and what they stand for. */
const CONSTANTS: ReadonlyMap<unknown, undefined | number> = new Map([
  ["undefined", undefined],
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0],
]);

type BytesClass = {
  readonly name: string;
  readonly prototype: object;
  new (buffer: ArrayBuffer): object;
};

const VIEWS: BytesClass[] = [
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  // Node 22 has none.
  ...typeof Float16Array === "undefined" ? [] : [Float16Array],
  Float32Array,
  Float64Array,
  DataView,
];

const LEAVES: Leaf[] = [
  {
    tag: "Date",
    encode: (value) => {
      const date = value as Date;
      return Number.isNaN(date.getTime()) ? null : date.toISOString();
    },
    decode: (payload) => {
      if (payload === null) return new Date(NaN);
      const date = new Date(text("Date", payload));
      if (Number.isNaN(date.getTime())) throw damaged("Date");
      return date;
    },
  },
  {
    tag: "RegExp",
    encode: (value) => {
      const { source, flags, lastIndex } = value as RegExp;
      return lastIndex === 0 ? [source, flags] : [source, flags, lastIndex];
    },
    decode: (payload) => {
      const [source, flags, lastIndex = 0] = list("RegExp", payload);
      const regexp = build(
        "RegExp",
        () => new RegExp(text("RegExp", source), text("RegExp", flags)),
      );
      if (typeof lastIndex !== "number") throw damaged("RegExp");
      regexp.lastIndex = lastIndex;
      return regexp;
    },
  },
  {
    tag: "URL",
    encode: (value) => (value as URL).href,
    decode: (payload) => build("URL", () => new URL(text("URL", payload))),
  },
  {
    tag: "ArrayBuffer",
    encode: (value) => {
      const buffer = value as ArrayBuffer;
      if (buffer.resizable) {
        throw new Refusal("is a resizable ArrayBuffer, pass a copy of its bytes");
      }
      if (buffer.detached) throw new Refusal("is a detached ArrayBuffer");
      return toBase64(new Uint8Array(buffer));
    },
    decode: (payload) => bytesOf("ArrayBuffer", payload).buffer,
  },
  ...VIEWS.map((View): Leaf => ({
    tag: View.name,
    encode: (value) => {
      refuseUnreadable(value as ArrayBufferView);
      const { buffer, byteOffset, byteLength } = value as ArrayBufferView;
      return toBase64(new Uint8Array(buffer, byteOffset, byteLength));
    },
    decode: (payload) => {
      const { buffer } = bytesOf(View.name, payload);
      return build(View.name, () => new View(buffer));
    },
  })),
];

const byPrototype = new Map<object, Leaf>(
  [Date, RegExp, URL, ArrayBuffer, ...VIEWS].map((Class) => [
    Class.prototype,
    LEAVES.find(({ tag }) => tag === Class.name) as Leaf,
  ]),
);
const byTag = new Map<string, Leaf>(LEAVES.map((leaf) => [leaf.tag, leaf]));

/**
 * How an object that holds no others is stored, by its prototype; `undefined` for other objects.
 *
 * @throws {Refusal} When the object has properties of its own besides.
 */
export function leafOf(value: object, prototype: object): Leaf | undefined {
  const leaf = byPrototype.get(prototype) ??
    (isBufferPrototype(prototype) ? byPrototype.get(Uint8Array.prototype) : undefined);
  if (leaf === undefined) return undefined;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    refuseExtras(value as Uint8Array);
  } else if (prototype !== URL.prototype || Object.keys(value).length > 0) {
    // A URL of the runtime's has a property of its own that a symbol names.
    refuseProperties(value);
  }
  return leaf;
}

/**
 * Refuses a view whose bytes are gone, since some ways of reading it throw and others see no bytes:
 * those of its buffer were transferred, or the buffer was made shorter.
 */
export function refuseUnreadable(view: ArrayBufferView): void {
  if (isReadable(view)) return;
  const { buffer } = view;
  throw new Refusal(
    buffer instanceof ArrayBuffer && buffer.detached
      ? `is a ${view.constructor.name} on a detached ArrayBuffer`
      : `is a ${view.constructor.name} out of the bounds of its ArrayBuffer`,
  );
}

/** Whether the bytes of a view are there. */
export function isReadable(view: ArrayBufferView): boolean {
  const { buffer } = view;
  if (!(buffer instanceof ArrayBuffer)) return true;
  if (buffer.detached) return false;
  if (!buffer.resizable) return true;
  try {
    // No property of a typed array tells; its methods throw, and a DataView's length does.
    if (view instanceof DataView) return view.byteLength >= 0;
    Uint8Array.prototype.at.call(view as Uint8Array, 0);
    return true;
  } catch {
    return false;
  }
}

/** Refuses properties that somebody hung onto a built-in object: they would be lost. */
export function refuseProperties(value: object): void {
  const [name] = ownNames(value);
  if (name !== undefined) throw lost(name);
}

/** Refuses properties beside the items of a typed array. */
export function refuseExtras(view: Uint8Array): void {
  const name = hasViewExtras(view) ? ownNames(view)[view.length] : undefined;
  if (name !== undefined) throw lost(name);
}

function lost(name: string): Refusal {
  return new Refusal(`has a property of its own, ${quoted(name)}, that would be lost`);
}

/** The value of a leaf's tag and payload; calls `otherwise` when no leaf has the tag. */
export function decodeLeaf(tag: string, payload: unknown, otherwise: () => unknown): unknown {
  if (tag === "bigint") return build("bigint", () => exactBigint(payload));
  if (tag === "") {
    if (!CONSTANTS.has(payload)) throw damaged("$");
    return CONSTANTS.get(payload);
  }
  const leaf = byTag.get(tag);
  return leaf === undefined ? otherwise() : leaf.decode(payload);
}

/** Whether the value is a `Uint8Array`, or the `Buffer` that comes back as one. */
export function isBytes(value: unknown): value is Uint8Array {
  if (!(value instanceof Uint8Array)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Uint8Array.prototype || isBufferPrototype(prototype);
}

function isBufferPrototype(prototype: object): boolean {
  return prototype instanceof Uint8Array &&
    prototype === builtinModule("node:buffer").Buffer.prototype;
}

/** The error of a tag whose payload is not what the encoder writes. */
export function damaged(tag: string): DecodeError {
  return new DecodeError(`Cannot decode value: the content of its tag "${tag}" is damaged`);
}

/** Checks that a payload is a list. */
export function list(tag: string, payload: unknown): unknown[] {
  if (!Array.isArray(payload)) throw damaged(tag);
  return payload;
}

/** Checks that a payload is a text. */
export function text(tag: string, payload: unknown): string {
  if (typeof payload !== "string") throw damaged(tag);
  return payload;
}

function exactBigint(payload: unknown): bigint {
  const digits = text("bigint", payload);
  if (!/^(0|-?[1-9]\d*)$/.test(digits)) throw damaged("bigint");
  return BigInt(digits);
}

function bytesOf(tag: string, payload: unknown): Uint8Array<ArrayBuffer> {
  return fromBase64(text(tag, payload));
}

function build<T>(tag: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof DecodeError) throw cause;
    throw new DecodeError(`Cannot decode value: the content of its tag "${tag}" is damaged`, {
      cause,
    });
  }
}
