/**
 * LZ4 frames around the blocks of lz4-wasm-nodejs: nearly as fast as the native lz4-napi, and it
 * asks for `--allow-read` where that one asks for `--allow-ffi` and `--allow-env` as well. Blocks
 * stand alone, so that the event loop gets its turn between them.
 *
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import { loadLibrary } from "../../platform/library.ts";
import { Turns } from "../../platform/timers.ts";
import type { Compression } from "../format.ts";
import { Content, type Gathering, Pieces, SYNC_CONTENT } from "./pieces.ts";

// Written out: even the types of a module put its packages into the graph of every program.
interface Library {
  compress(content: Uint8Array): Uint8Array;
  decompress(sized: Uint8Array): Uint8Array;
}

/**
 * Magic number; version 1, independent blocks; of at most 256 KiB; the checksum of these two bytes.
 */
const HEADER = new Uint8Array([0x04, 0x22, 0x4d, 0x18, 0x60, 0x50, 0xfb]);
const BLOCK = 256 * 1024;
/** Added to the length of a block that is not compressed. */
const STORED = 2 ** 31;

const library = loadLibrary<Library>("LZ4", { name: "lz4-wasm-nodejs", versions: "^0.9.2" });

/** LZ4 frames. */
export const lz4: Compression = {
  name: "lz4",
  compress: (content) =>
    whenReady(
      library(),
      (loaded) => gather(compressed(loaded, content), new Pieces(), content.length),
    ),
  decompress: (frame, length) => {
    const loading = library();
    const late = loading instanceof Promise || length > SYNC_CONTENT;
    // The frame may change meanwhile.
    const own = late ? new Uint8Array(frame) : frame;
    return whenReady(
      loading,
      (loaded) => gather(decompressed(loaded, own, length), new Content(length), length),
    );
  },
};

function* compressed({ compress }: Library, content: Uint8Array): Generator<Uint8Array> {
  yield HEADER;
  for (let at = 0; at < content.length; at += BLOCK) {
    const block = content.subarray(at, at + BLOCK);
    // The library puts the content's length where a frame has the block's own.
    const sized = compress(block);
    const length = sized.length - 4;
    if (length < block.length) {
      writeNumber(sized, length);
      yield sized;
    } else {
      yield writeNumber(new Uint8Array(4), block.length + STORED);
      yield block;
    }
  }
  yield new Uint8Array(4);
}

function* decompressed(
  { decompress }: Library,
  frame: Uint8Array,
  length: number,
): Generator<Uint8Array> {
  if (HEADER.some((byte, i) => frame[i] !== byte)) throw new Error("The frame's header is another");
  const numbers = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = HEADER.length;
  for (let rest = length; rest > 0; rest -= BLOCK) {
    const mark = numbers.getUint32(at, true);
    const block = frame.subarray(at, at += 4 + mark % STORED);
    if (mark >= STORED) {
      yield block.subarray(4);
      continue;
    }
    const sized = new Uint8Array(block);
    yield decompress(writeNumber(sized, Math.min(BLOCK, rest)));
  }
  if (numbers.getUint32(at, true) !== 0) throw new Error("The frame has more content");
}

function writeNumber(bytes: Uint8Array, value: number): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, value, true);
  return bytes;
}

function gather(
  pieces: Iterable<Uint8Array>,
  all: Gathering,
  length: number,
): Awaitable<Uint8Array> {
  if (length > SYNC_CONTENT) return gatherInTurns(pieces, all);
  for (const piece of pieces) all.add(piece);
  return all.whole();
}

async function gatherInTurns(pieces: Iterable<Uint8Array>, all: Gathering): Promise<Uint8Array> {
  const turns = new Turns();
  for (const piece of pieces) {
    all.add(piece);
    if (turns.due()) await turns.next();
  }
  return all.whole();
}
