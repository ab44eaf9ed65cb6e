import { RAW_MARK } from "../format.ts";
import { refuseDetached } from "../leaves.ts";

/** The layer of a value that is bytes: a mark and the bytes. */
export function serializeBytes(value: Uint8Array): Uint8Array {
  refuseDetached(value);
  const bytes = new Uint8Array(RAW_MARK.length + value.length);
  bytes.set(RAW_MARK);
  bytes.set(value, RAW_MARK.length);
  return bytes;
}

/** The bytes behind the mark: a copy, since the reader may write to them. */
export function deserializeBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.subarray(RAW_MARK.length));
}
