import { builtinModule, runtimeName } from "../../platform/system.ts";
import { DecodeError } from "../errors.ts";
import type { ValueFormat } from "../format.ts";
import { isBytes } from "../leaves.ts";
import { hashstash } from "./hashstash.ts";
import { hasProperties, isNative, type NativeFormat } from "./native.ts";
import { checkStructuredClone } from "./v8_check.ts";

/**
 * Typed arrays are left to "hashstash": those that node:v8 gives back are views of all the bytes
 * read. So are null prototypes, errors, URLs and classes, which structured clones lose.
 */
const NATIVE: NativeFormat = {
  number: () => true,
  text: () => true,
  primitive: (value) => value === undefined || typeof value === "bigint",
  leaf: (value) => {
    const prototype: object | null = Object.getPrototypeOf(value);
    if (hasProperties(value)) return false;
    if (prototype === RegExp.prototype) return (value as RegExp).lastIndex === 0;
    return prototype === Date.prototype;
  },
  graphs: true,
};

/** Bun has the module, and in it another format. */
const isElsewhere = runtimeName() === "Bun";
const REASON = 'Bun has no V8; use the serializer "hashstash" or "msgpack"';

/**
 * V8's structured clone, whose first byte is 0xFF: bytes that newer versions of V8 read, and older
 * ones may not.
 */
export const v8: ValueFormat = {
  name: "v8",
  serialize: (value) => {
    if (isElsewhere) throw new TypeError(`Cannot encode value by serializer "v8": ${REASON}`);
    if (isBytes(value) || !isNative(value, NATIVE)) return hashstash.serialize(value);
    try {
      const { serialize } = builtinModule("node:v8");
      const { buffer, byteOffset, byteLength } = serialize(value);
      return new Uint8Array(buffer, byteOffset, byteLength);
    } catch {
      // A Proxy, for example: "hashstash" reads it, and else its error names the place.
      return hashstash.serialize(value);
    }
  },
  deserialize: (bytes) => {
    if (isElsewhere) throw new DecodeError(`Cannot decode value: ${REASON}`, { kind: "unknown" });
    try {
      checkStructuredClone(bytes);
      return builtinModule("node:v8").deserialize(bytes);
    } catch (cause) {
      if (cause instanceof DecodeError && cause.kind !== "damaged") throw cause;
      // What a newer V8 wrote can't be judged by this one.
      const kind = bytes[1] > builtinModule("node:v8").serialize(0)[1] ? "unknown" : "damaged";
      throw new DecodeError("Cannot decode value: its V8 structured clone is damaged", {
        cause,
        kind,
      });
    }
  },
};
