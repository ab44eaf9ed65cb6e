/**
 * The frames of zstd data, found without decompressing: where each begins and ends. node:zlib
 * decodes truncated data to a part of the content without an error, and each frame can be decoded
 * on its own.
 *
 * https://datatracker.ietf.org/doc/html/rfc8878#section-3.1
 */

/** One frame of content. */
export interface ZstdFrame {
  readonly bytes: Uint8Array;
  /** It can be decoded only with a dictionary. */
  readonly dictionary: boolean;
}

const MAGIC = 0xfd2fb528;
/** Frames that hold no content have one of sixteen magic numbers. */
const SKIPPABLE = 0x184d2a50;
/** The bytes of the dictionary's and of the content's size, by what the descriptor says. */
const DICTIONARY_BYTES = [0, 1, 2, 4];
const SIZE_BYTES = [0, 2, 4, 8];
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/**
 * The frames with content, in order.
 *
 * @throws {Error} When the bytes are not whole frames to the last.
 */
export function framesOf(bytes: Uint8Array): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const magic = view.getUint32(at, true);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      at = within(bytes, at + 8 + view.getUint32(at + 4, true));
      continue;
    }
    if (magic !== MAGIC) throw new Error(`No frame begins at byte ${at}`);
    const descriptor = view.getUint8(at + 4);
    const end = within(bytes, endOfFrame(view, at, descriptor));
    frames.push({ bytes: bytes.subarray(at, end), dictionary: (descriptor & 3) !== 0 });
    at = end;
  }
  return frames;
}

function endOfFrame(view: DataView, start: number, descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  // A single segment has a size of one byte at least, and no byte for its window.
  let at = start + 5 + (single ? 0 : 1) + DICTIONARY_BYTES[descriptor & 3] +
    (sizeFlag === 0 && single ? 1 : SIZE_BYTES[sizeFlag]);
  for (let last = false; !last;) {
    const header = view.getUint16(at, true) | view.getUint8(at + 2) << 16;
    last = (header & 1) === 1;
    const type = header >> 1 & 3;
    if (type === RESERVED_BLOCK) throw new Error(`No block begins at byte ${at}`);
    at += 3 + (type === RLE_BLOCK ? 1 : header >>> 3);
  }
  return at + (descriptor & 4);
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new Error("The last frame is cut off");
  return end;
}
