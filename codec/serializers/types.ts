import type { Awaitable } from "../../platform/awaitable.ts";

/**
 * Values to self-describing bytes and back. `deserialize` gets bytes whose first byte says that
 * they are its own.
 */
export interface Format {
  readonly name: string;
  serialize(value: unknown): Awaitable<Uint8Array>;
  deserialize(bytes: Uint8Array): Awaitable<unknown>;
}
