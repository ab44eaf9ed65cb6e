/**
 * Values and keys to bytes and back.
 *
 * @module
 */
export { Codec, type CodecOptions } from "./codec.ts";
export { registerClass, type RegisterClassOptions } from "./classes.ts";
export { DecodeError, type DecodeErrorOptions } from "./errors.ts";
export { decodeKey, encodeKey } from "./key.ts";
