import { concat } from "@std/bytes/concat";
import { type Awaitable, whenReady } from "../platform/awaitable.ts";
import { attempt, DecodeError, unknownFormat } from "./errors.ts";
import type { Compression, ValueFormat } from "./format.ts";
import { isSealed, seal, unseal } from "./seal.ts";
import { snapshot } from "./serializers/hashstash.ts";
import { fromBytes, toBytes } from "./text.ts";

/**
 * A serializer of your own, wherever the name of one can stand. Its bytes carry its name and a
 * checksum; they are read by any codec once one with this serializer was made in the process.
 *
 * @example
 * ```ts
 * import { Codec } from "@hashstash/hashstash/codec";
 *
 * const lines = {
 *   name: "lines",
 *   serialize: (value: unknown) => new TextEncoder().encode((value as string[]).join("\n")),
 *   deserialize: (bytes: Uint8Array) => new TextDecoder().decode(bytes).split("\n"),
 * };
 * const stored = await new Codec({ serializer: lines }).encode(["a", "b"]);
 * console.log(await new Codec().decode(stored)); // [ "a", "b" ]
 * ```
 */
export interface CustomSerializer {
  /** Its name in stored bytes: 1-255 bytes of UTF-8, and none of the built-in names. */
  readonly name: string;
  /**
   * The bytes of a value, as it is at the call. One that answers with a promise is given a copy of
   * the value, as `"hashstash"` gives it back, so that nobody can change it meanwhile; a value that
   * `"hashstash"` refuses is given as it is. Of such a serializer the very first call in a process
   * is made twice: what it answers with is not known before.
   */
  serialize(value: unknown): Awaitable<Uint8Array>;
  /** The value of bytes that `serialize` made. */
  deserialize(bytes: Uint8Array): unknown;
}

/**
 * A compressor of your own, wherever the name of one can stand. Its bytes carry its name and a
 * checksum; they are read by any codec once one with this compressor was made in the process.
 */
export interface Compressor {
  /** Its name in stored bytes: 1-255 bytes of UTF-8, and none of the built-in names. */
  readonly name: string;
  /** Fewer bytes. */
  compress(bytes: Uint8Array): Awaitable<Uint8Array>;
  /** The bytes that `compress` was given. */
  decompress(bytes: Uint8Array): Awaitable<Uint8Array>;
}

const SERIALIZER_MARK = 0x02;
const COMPRESSOR_MARK = 0x03;

const serializers = new Map<string, CustomSerializer>();
const compressors = new Map<string, Compressor>();

/** Makes a custom serializer known in this process, and gives its format. */
export function customFormat(serializer: CustomSerializer): ValueFormat {
  const { name } = serializer;
  serializers.set(name, serializer);
  return {
    name,
    serialize: (value) =>
      whenReady(serializeNow(serializer, value), (bytes) => {
        checkBytes(bytes, `serializer "${name}"`);
        return seal({ frame: named(SERIALIZER_MARK, name, bytes), length: bytes.length });
      }),
    deserialize: (bytes) => deserializeCustom(bytes, serializer),
  };
}

/** Serializers that have answered with a promise. */
const asynchronous = new WeakSet<CustomSerializer>();

function serializeNow(serializer: CustomSerializer, value: unknown): Awaitable<Uint8Array> {
  if (asynchronous.has(serializer)) return serializer.serialize(snapshotIfPossible(value));
  const bytes = serializer.serialize(value);
  if (!(bytes instanceof Promise)) return bytes;
  asynchronous.add(serializer);
  // What comes of the value itself is not wanted: it may have changed by then.
  bytes.catch(() => {});
  return serializer.serialize(snapshotIfPossible(value));
}

function snapshotIfPossible(value: unknown): unknown {
  try {
    return snapshot(value);
  } catch {
    return value;
  }
}

/**
 * The value of the bytes of a custom serializer.
 *
 * @param own The one to prefer, when it has the name.
 */
export function deserializeCustom(bytes: Uint8Array, own?: CustomSerializer): Awaitable<unknown> {
  if (!isSealed(bytes) && !isOfKnownCustom(bytes, own)) throw unknownFormat();
  const { name, content } = readNamed(unseal(bytes, "value").frame);
  const serializer = own?.name === name ? own : serializers.get(name);
  if (serializer === undefined) throw unknown("serializer", name);
  return attempt(
    `Cannot decode value: serializer "${name}" failed`,
    () => serializer.deserialize(content),
    // The seal says that these are the bytes that were written: what fails is the serializer.
    "unknown",
  );
}

/** Makes a custom compressor known in this process, and gives its compression. */
export function customCompression(compressor: Compressor): Compression {
  const { name } = compressor;
  compressors.set(name, compressor);
  return {
    name,
    compress: (content) =>
      whenReady(compressor.compress(content), (bytes) => {
        checkBytes(bytes, `compressor "${name}"`);
        return named(COMPRESSOR_MARK, name, bytes);
      }),
    decompress: (frame) => decompressCustom(frame, compressor),
  };
}

/**
 * The content of a frame of a custom compressor; `own` is the one to prefer, when it has the name.
 */
export function decompressCustom(frame: Uint8Array, own?: Compressor): Awaitable<Uint8Array> {
  const { name, content } = readNamed(frame);
  const compressor = own?.name === name ? own : compressors.get(name);
  if (compressor === undefined) throw unknown("compressor", name);
  return compressor.decompress(content);
}

/** The mark, the length of the name, the name, and the content. */
function named(mark: number, name: string, content: Uint8Array): Uint8Array {
  const text = toBytes(name);
  return concat([new Uint8Array([mark, text.length]), text, content]);
}

function readNamed(bytes: Uint8Array): { name: string; content: Uint8Array } {
  const end = 2 + bytes[1];
  if (!(end <= bytes.length)) throw new DecodeError("Cannot decode value: its name is cut off");
  // A copy: what is made from it may be kept, and the stored bytes must not change with it.
  return { name: fromBytes(bytes.subarray(2, end)), content: bytes.slice(end) };
}

/**
 * Whether the bytes begin as those of a serializer or compressor that this process knows: what
 * tells our own bytes that were cut off from another program's.
 */
export function isOfKnownCustom(
  bytes: Uint8Array,
  own?: CustomSerializer | Compressor,
): boolean {
  if (bytes[0] !== SERIALIZER_MARK && bytes[0] !== COMPRESSOR_MARK) return false;
  const known = bytes[0] === SERIALIZER_MARK ? serializers : compressors;
  try {
    const { name } = readNamed(bytes);
    return own?.name === name || known.has(name);
  } catch {
    // Its name is cut off or no text.
    return false;
  }
}

function checkBytes(bytes: unknown, whose: string): asserts bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`Cannot encode value: ${whose} gave no Uint8Array`);
  }
}

function unknown(what: string, name: string): DecodeError {
  return new DecodeError(
    `Cannot decode value: it was written by the custom ${what} ${
      JSON.stringify(name)
    }, pass it as an option`,
    { kind: "unknown" },
  );
}
