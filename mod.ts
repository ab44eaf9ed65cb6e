/**
 * HashStash: an async, dictionary-like cache over many storage engines.
 *
 * @module
 */
export { DecodeError, type DecodeErrorOptions } from "./codec/mod.ts";
export { EngineError, type EngineErrorOptions } from "./engines/mod.ts";
