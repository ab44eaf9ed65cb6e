import type { Awaitable } from "../../platform/awaitable.ts";

/**
 * Bytes to fewer bytes and back; plain values when it is quick, promises when it has to yield or to
 * load.
 */
export interface Compression {
  readonly name: string;
  compress(content: Uint8Array): Awaitable<Uint8Array>;
  /**
   * `length` is that of the content: the result has exactly as many bytes, or there is an error.
   */
  decompress(frame: Uint8Array, length: number): Awaitable<Uint8Array>;
}
