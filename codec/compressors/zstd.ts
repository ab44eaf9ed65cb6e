import type { ZstdOptions } from "node:zlib";
import { Turns } from "../../platform/timers.ts";
import type { Compression } from "../format.ts";
import { Content, Pieces, SYNC_CONTENT } from "./pieces.ts";
import { compressed, nodeZlib, owned } from "./zlib.ts";
import { framesOf } from "./zstd_frames.ts";

/** Bytes of content in a frame: it takes 2 to 3 ms to decode one. */
const FRAME = 4 * 1024 * 1024;
/** Bytes that are put out at once when a frame is decoded. */
const OUTPUT = 1024 * 1024;

/** Level 1, with the content's size and checksum in each frame. */
export const zstd: Compression = {
  name: "zstd",
  compress: (content) => content.length <= FRAME ? compressFrame(content) : compressFrames(content),
  decompress: (frames, length) =>
    length <= SYNC_CONTENT
      ? owned(decompressFrame(frames, { maxOutputLength: length }))
      : decompressFrames(owned(frames), length),
};

function compressFrame(content: Uint8Array): Uint8Array | Promise<Uint8Array> {
  const { constants, createZstdCompress, zstdCompressSync } = nodeZlib();
  const options = {
    params: {
      [constants.ZSTD_c_compressionLevel]: 1,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
    pledgedSrcSize: content.length,
  };
  return compressed(content, { sync: zstdCompressSync, stream: createZstdCompress, options });
}

async function compressFrames(content: Uint8Array): Promise<Uint8Array> {
  const frames = new Pieces();
  // One for all frames: each of them may end within its own.
  const turns = new Turns();
  for (let at = 0; at < content.length; at += FRAME) {
    if (turns.due()) await turns.next();
    frames.add(await compressFrame(content.subarray(at, at + FRAME)));
  }
  return frames.whole();
}

/**
 * Each frame is decompressed at once, not by a stream: in Deno that of zstd throws an error that it
 * finds after its first output from a callback of its own, which ends the program.
 */
async function decompressFrames(frames: Uint8Array, length: number): Promise<Uint8Array> {
  const content = new Content(length);
  const turns = new Turns();
  for (const { bytes } of framesOf(frames)) {
    // One byte at least: node:zlib takes no smaller limit, and an empty frame needs none.
    const maxOutputLength = Math.max(1, content.left);
    content.add(decompressFrame(bytes, { maxOutputLength, chunkSize: OUTPUT }));
    if (turns.due()) await turns.next();
  }
  return content.whole();
}

function decompressFrame(frame: Uint8Array, options: ZstdOptions): Uint8Array {
  return nodeZlib().zstdDecompressSync(frame, options);
}
