/**
 * The seal of gzip, in an extra field of its header, so that every reader takes the data for what
 * it is: RFC 1952 has such fields for this. A second, empty member at the end would do for most,
 * but `DecompressionStream` takes no second one.
 */
import { broken, type Sealed } from "./seal.ts";
import { nodeZlib } from "./compressors/zlib.ts";

/** The fixed bytes of a header with our field, by their places; others are the compressor's. */
const FIXED: readonly (readonly [number, number])[] = [
  [0, 0x1f],
  [1, 0x8b],
  [2, 8],
  // There are extra fields, and nothing else.
  [3, 4],
  // They take 12 bytes: a name of two, the length of its content, and that.
  [10, 12],
  [11, 0],
  [12, "H".charCodeAt(0)],
  [13, "S".charCodeAt(0)],
  [14, 8],
  [15, 0],
];
const HEADER = 10;
const LENGTH_AT = 16;
const CHECKSUM_AT = 20;
const END = 24;
/** So many of them may be damaged, as one letter of base64 can, for the field to be found. */
const DAMAGED = 2;

/** The data with its seal: the content's length, and the CRC-32 of all other bytes. */
export function sealGzip({ frame, length }: Sealed): Uint8Array {
  const bytes = new Uint8Array(frame.length + END - HEADER);
  bytes.set(frame.subarray(0, HEADER));
  bytes.set(frame.subarray(HEADER), END);
  for (const [at, byte] of FIXED) bytes[at] = byte;
  const numbers = new DataView(bytes.buffer);
  numbers.setUint32(LENGTH_AT, length, true);
  numbers.setUint32(CHECKSUM_AT, checksum(bytes), true);
  return bytes;
}

/** Whether bytes have the seal, whole or damaged. */
export function isGzipSealed(bytes: Uint8Array): boolean {
  let damaged = 0;
  for (const [at, byte] of FIXED) {
    if (bytes[at] !== byte && ++damaged > DAMAGED) return false;
  }
  return true;
}

/**
 * What the seal encloses.
 *
 * @param what The bytes as in messages.
 * @throws {DecodeError} When it is broken.
 */
export function unsealGzip(bytes: Uint8Array, what: string): Sealed {
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < END || numbers.getUint32(CHECKSUM_AT, true) !== checksum(bytes)) {
    throw broken(what);
  }
  return { frame: bytes, length: numbers.getUint32(LENGTH_AT, true) };
}

function checksum(bytes: Uint8Array): number {
  const { crc32 } = nodeZlib();
  return crc32(bytes.subarray(END), crc32(bytes.subarray(0, CHECKSUM_AT)));
}
