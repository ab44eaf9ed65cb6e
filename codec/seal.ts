import { nodeZlib } from "./compressors/zlib.ts";
import { DecodeError } from "./errors.ts";

/**
 * Compressed bytes end in a seal: a skippable frame, which zstd and LZ4 tools pass over, with the
 * content's length and the CRC-32 of everything before that number. Any flipped bit and any missing
 * byte shows before decompressing begins: checksums of the content cannot see the bits that do not
 * matter to it, and node:zlib in Deno decodes truncated zstd and brotli without an error.
 */
const HEAD = new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 0x08, 0x00, 0x00, 0x00]);
const LENGTH_AT = HEAD.length;
const CHECKSUM_AT = LENGTH_AT + 4;
/** Bytes of a seal. */
const SEAL = CHECKSUM_AT + 4;

/** What a seal encloses. */
export interface Sealed {
  readonly frame: Uint8Array;
  /** The length of the content in the frame. */
  readonly length: number;
}

/** The frame and its seal. */
export function seal({ frame, length }: Sealed): Uint8Array {
  const bytes = new Uint8Array(frame.length + SEAL);
  bytes.set(frame);
  bytes.set(HEAD, frame.length);
  const numbers = new DataView(bytes.buffer, frame.length);
  numbers.setUint32(LENGTH_AT, length, true);
  numbers.setUint32(CHECKSUM_AT, checksum(bytes), true);
  return bytes;
}

/** So many bytes of it may be damaged, as one letter of base64 can, for a seal to be found. */
const DAMAGED = 2;

/**
 * Whether the bytes end as sealed ones do. A damaged seal counts: without it what it enclosed could
 * be taken for what another program wrote.
 */
export function isSealed(bytes: Uint8Array): boolean {
  const at = bytes.length - SEAL;
  if (at <= 0) return false;
  // These decide for nearly all bytes, and every read of plain JSON asks.
  if (bytes[at] !== HEAD[0] && bytes[at + 1] !== HEAD[1] && bytes[at + 2] !== HEAD[2]) return false;
  let damaged = 0;
  for (let i = 0; i < HEAD.length; i++) if (bytes[at + i] !== HEAD[i]) damaged++;
  return damaged <= DAMAGED;
}

/** Whether the bytes end in a seal whose checksum is right. */
export function isIntact(bytes: Uint8Array): boolean {
  return isSealed(bytes) && numbersOf(bytes).getUint32(CHECKSUM_AT, true) === checksum(bytes);
}

/**
 * What the seal encloses.
 *
 * @param what The bytes as in messages.
 * @throws {DecodeError} When the seal is broken, or there is none.
 */
export function unseal(bytes: Uint8Array, what: string): Sealed {
  if (!isIntact(bytes)) throw broken(what);
  return {
    frame: bytes.subarray(0, bytes.length - SEAL),
    length: numbersOf(bytes).getUint32(LENGTH_AT, true),
  };
}

/** The error of a seal that is broken, or is not there. */
export function broken(what: string): DecodeError {
  return new DecodeError(`Cannot decode ${what}: the bytes are damaged or cut off`);
}

function numbersOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + bytes.length - SEAL);
}

/** The CRC-32 of sealed bytes up to the number itself. */
function checksum(bytes: Uint8Array): number {
  return nodeZlib().crc32(bytes.subarray(0, bytes.length - 4));
}
