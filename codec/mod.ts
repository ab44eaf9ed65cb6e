/**
 * Values and keys to bytes and text, and back: what a stash stores, usable on its own.
 *
 * ```ts
 * import { Codec, decodeKey, encodeKey } from "@hashstash/hashstash/codec";
 *
 * const codec = new Codec({ compress: true, b64: true });
 * const stored = await codec.encode({ name: "John", born: new Date(0), tags: new Set(["a"]) });
 * console.log(await codec.decode(stored)); // { name: "John", born: 1970-01-01T00:00:00.000Z, tags: Set(1) { "a" } }
 *
 * console.log(encodeKey({ b: 2, a: 1 }) === encodeKey({ a: 1, b: 2 })); // true
 * console.log(decodeKey(encodeKey(["user", 1]))); // [ "user", 1 ]
 * ```
 *
 * - {@linkcode encodeKey}, {@linkcode decodeKey}: which keys are equal, as canonical text.
 * - {@linkcode Codec}: values to stored bytes. Its halves are {@linkcode serialize} (values to
 *   bytes) and {@linkcode encode} (bytes
 *   to compressed bytes or base64), as functions and classes.
 * - {@linkcode registerClass}: makes instances of your classes storable.
 * - {@linkcode LAYERS}: what the beginning of stored bytes says.
 *
 * @module
 */
export type {
  /** A value, or a promise of it. */
  Awaitable,
} from "../platform/awaitable.ts";
export {
  /** The constructor of a class. */
  type ClassOf,
  /** Makes instances of a class storable. */
  registerClass,
  /** How instances become plain values, and back. */
  type RegisterClassOptions,
} from "./classes.ts";
export * from "./codec.ts";
export type {
  /** A compressor of your own. */
  Compressor,
  /** A serializer of your own. */
  CustomSerializer,
} from "./custom.ts";
export * from "./encoder.ts";
export {
  /** Stored bytes can't be read. */
  DecodeError,
  /** Why they can't. */
  type DecodeErrorKind,
  /** What such an error is made with. */
  type DecodeErrorOptions,
} from "./errors.ts";
export {
  /** The names of the compressors. */
  type CompressorName,
  /** A layer of stored bytes. */
  type Layer,
  /** What the beginning of stored bytes says. */
  LAYERS,
  /** The names of the serializers. */
  type SerializerName,
} from "./format.ts";
export * from "./hash.ts";
export {
  /** The key of a canonical text. */
  decodeKey,
  /** The canonical text of a key. */
  encodeKey,
} from "./key.ts";
export * from "./serializer.ts";
