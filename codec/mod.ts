/**
 * Values and keys to bytes and back.
 *
 * @module
 */
export { DecodeError, type DecodeErrorOptions } from "./errors.ts";
