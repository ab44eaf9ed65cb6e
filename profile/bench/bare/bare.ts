/**
 * What the benches measure an engine against: its backend, used as a program without a stash would
 * use it, with `JSON.stringify` and `JSON.parse` for values.
 */

/**
 * A backend with JSON. Synchronous backends return plain values, so that nobody waits for nothing.
 */
export interface Bare {
  /** `engineOptions` for a stash on the same backend, where it needs some: the server's address. */
  readonly engineOptions?: Record<string, unknown>;
  /** The value of a key that is there. */
  get(key: string): unknown;
  /** Stores a value as durably as the engine does. */
  set(key: string, value: unknown): unknown;
  /**
   * The values of keys that are there, in the backend's own way for many; absent where it has none.
   */
  getMany?(keys: string[]): unknown;
  /** Stores many in the backend's own way; absent where it has none. */
  setMany?(pairs: [string, unknown][]): unknown;
  /** Lets go of everything. */
  close(): unknown;
}

/** Opens a backend in a folder of its own, which is empty. */
export type OpenBare = (folder: string) => Bare | Promise<Bare>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A value as bytes of JSON. */
export function toJSON(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(JSON.stringify(value));
}

/** The value of bytes of JSON. */
export function fromJSON(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes));
}
