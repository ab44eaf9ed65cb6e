import process from "node:process";
import { DecodeError } from "../errors.ts";
import { isBytes } from "../leaves.ts";
import { refusing } from "../refusal.ts";
import { hashstash } from "./hashstash.ts";
import { isNative, type NativeFormat } from "./native.ts";
import type { Format } from "./types.ts";

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
    if (Object.keys(value).length > 0) return false;
    if (prototype === RegExp.prototype) return (value as RegExp).lastIndex === 0;
    return prototype === Date.prototype;
  },
  graphs: true,
};

/**
 * V8's structured clone, whose first byte is 0xFF: bytes that newer versions of V8 read, and older
 * ones may not.
 */
export const v8: Format = {
  name: "v8",
  serialize: (value) => {
    if (isBytes(value) || !isNative(value, NATIVE)) return hashstash.serialize(value);
    return refusing("Cannot serialize value", () => {
      const { buffer, byteOffset, byteLength } = process.getBuiltinModule("node:v8").serialize(
        value,
      );
      return new Uint8Array(buffer, byteOffset, byteLength);
    });
  },
  deserialize: (bytes) => {
    try {
      return process.getBuiltinModule("node:v8").deserialize(bytes);
    } catch (cause) {
      throw new DecodeError("Cannot decode value: its V8 structured clone is damaged", { cause });
    }
  },
};
