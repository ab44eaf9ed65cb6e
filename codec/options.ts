/** Checks of the codec's options. */
import {
  type Compressor,
  customCompression,
  customFormat,
  type CustomSerializer,
} from "./custom.ts";
import type { Compression, ValueFormat } from "./format.ts";
import { COMPRESSIONS } from "./pack.ts";
import { SERIALIZERS } from "./serializers/mod.ts";
import { toBytes } from "./text.ts";

/** The serializer of an option: a built-in name, or an object. */
export function formatOf(option: unknown): ValueFormat {
  if (typeof option === "string" && Object.hasOwn(SERIALIZERS, option)) {
    return (SERIALIZERS as Record<string, ValueFormat>)[option];
  }
  const names = Object.keys(SERIALIZERS);
  if (!isCustom<CustomSerializer>(option, "serialize", "deserialize")) {
    throw unknownOption("serializer", option, names, "serialize and deserialize");
  }
  checkName("serializer", option.name, names);
  return customFormat(option);
}

/** The compressor of an option: a boolean, a built-in name, or an object; `undefined` for none. */
export function compressionOf(option: unknown): Compression | undefined {
  if (option === false) return undefined;
  if (option === true) return COMPRESSIONS.zstd;
  if (typeof option === "string" && Object.hasOwn(COMPRESSIONS, option)) {
    return (COMPRESSIONS as Record<string, Compression>)[option];
  }
  const names = Object.keys(COMPRESSIONS);
  if (!isCustom<Compressor>(option, "compress", "decompress")) {
    throw unknownOption("compressor", option, names, "compress and decompress");
  }
  checkName("compressor", option.name, names);
  return customCompression(option);
}

/** Whether stored bytes are base64 text. */
export function b64Of(option: unknown): boolean {
  if (typeof option === "boolean") return option;
  throw new TypeError(`Unknown b64 ${show(option)}, expected true or false`);
}

/** Bytes that somebody hands over. */
export function checkBytes(doing: string, bytes: unknown): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  throw new TypeError(
    `Cannot ${doing} bytes: expected a Uint8Array, got ${bytes === null ? "null" : typeof bytes}`,
  );
}

function isCustom<T extends { name: string }>(
  option: unknown,
  ...methods: (keyof T & string)[]
): option is T {
  return typeof option === "object" && option !== null &&
    methods.every((method) => typeof (option as Record<string, unknown>)[method] === "function");
}

function checkName(what: string, name: unknown, taken: string[]): void {
  const length = typeof name === "string" && name.isWellFormed() ? toBytes(name).length : 0;
  if (length === 0 || length > 255) {
    throw new TypeError(`A custom ${what} needs a name of 1-255 bytes, got ${show(name)}`);
  }
  if (taken.includes(name as string)) {
    throw new TypeError(`A custom ${what} needs a name of its own, "${name}" is a built-in one`);
  }
}

function unknownOption(what: string, option: unknown, names: string[], methods: string): TypeError {
  return new TypeError(
    `Unknown ${what} ${show(option)}, expected one of: ${
      names.map((name) => `"${name}"`).join(", ")
    }, or an object with name, ${methods}`,
  );
}

function show(option: unknown): string {
  return typeof option === "string" ? JSON.stringify(option) : String(option);
}
