import { refuseDetached } from "../leaves.ts";

/** The layer of a value that is bytes: 0x00 and the bytes. */
export function serializeBytes(value: Uint8Array): Uint8Array {
  refuseDetached(value);
  const bytes = new Uint8Array(value.length + 1);
  bytes.set(value, 1);
  return bytes;
}

/** The bytes behind 0x00: a copy, since the reader may write to them. */
export function deserializeBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.subarray(1));
}
