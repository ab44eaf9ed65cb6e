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
export type { Awaitable } from "../platform/awaitable.ts";
export { type ClassOf, registerClass, type RegisterClassOptions } from "./classes.ts";
export { Codec, type CodecOptions } from "./codec.ts";
export type { Compressor, CustomSerializer } from "./custom.ts";
export {
  decode,
  Decoder,
  type DecoderOptions,
  encode,
  Encoder,
  type EncoderOptions,
} from "./encoder.ts";
export { DecodeError, type DecodeErrorKind, type DecodeErrorOptions } from "./errors.ts";
export { type CompressorName, type Layer, LAYERS, type SerializerName } from "./format.ts";
export { hash } from "./hash.ts";
export { decodeKey, encodeKey } from "./key.ts";
export { deserialize, Deserializer, serialize, Serializer } from "./serializer.ts";
