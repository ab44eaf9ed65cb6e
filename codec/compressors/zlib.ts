/** The compressors of `node:zlib` that stream: brotli, gzip and zlib; see zstd.ts for the other. */
import { concat } from "@std/bytes/concat";
import type { Transform } from "node:stream";
import type { BrotliOptions, Zlib, ZlibOptions, ZstdOptions } from "node:zlib";
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import { builtinModule } from "../../platform/system.ts";
import { Turns } from "../../platform/timers.ts";
import type { Compression } from "../format.ts";
import { Content, type Gathering, Pieces, SYNC_CONTENT } from "./pieces.ts";

/** `node:zlib`, loaded at its first use: that costs 27 ms. */
export function nodeZlib(): typeof import("node:zlib") {
  return builtinModule("node:zlib");
}

/** A compressor or decompressor that is fed bit by bit. */
export type ZlibStream = Transform & Zlib;

type Options = ZlibOptions & BrotliOptions & ZstdOptions;

/** One direction of one of node:zlib's formats. */
export interface Direction {
  /** All at once. */
  sync: (input: Uint8Array, options: Options) => Uint8Array;
  /** In pieces. */
  stream: (options: Options) => ZlibStream;
  options: Options;
}

/**
 * Bytes of content that are compressed or decompressed at once: some 3 ms of work for the slowest
 * compressor.
 */
const STEP = 128 * 1024;
/** Bytes that a stream puts out at once. */
const OUTPUT = 64 * 1024;

/**
 * A compressor of node:zlib. Its directions are functions, so that nothing is loaded before it is
 * used.
 */
function nodeCompression(
  name: string,
  compression: (content: Uint8Array) => Direction,
  decompression: () => Direction,
): Compression {
  return {
    name,
    compress: (content) => compressed(content, compression(content)),
    decompress: (frame, length) => {
      const { sync, stream, options } = decompression();
      if (length <= SYNC_CONTENT) {
        return owned(sync(frame, { ...options, maxOutputLength: length }));
      }
      // A few bytes of a frame may be a thousand times as many of content.
      const step = Math.ceil(frame.length * STEP / length);
      // A copy: the frame may change meanwhile.
      const input = owned(frame);
      return streamed(stream({ ...options, chunkSize: OUTPUT }), input, step, new Content(length))
        .then(({ content }) => content);
    },
  };
}

/** The compressed content: at once, or in pieces when it is long. */
export function compressed(
  content: Uint8Array,
  { sync, stream, options }: Direction,
): Awaitable<Uint8Array> {
  if (content.length <= SYNC_CONTENT) return owned(sync(content, options));
  const made = streamed(stream({ ...options, chunkSize: OUTPUT }), content, STEP, new Pieces());
  return made.then(({ content }) => content);
}

/**
 * A copy: node:zlib's results are parts of buffers of 16 KiB and more, which they would keep alive.
 */
export function owned(result: Uint8Array): Uint8Array {
  return new Uint8Array(result);
}

/**
 * Feeds a stream piece by piece and gathers what comes out, and how much of the input that took. In Deno, node:zlib's own asynchronous
 * calls block the event loop as long as the synchronous ones do; between pieces others get a turn.
 */
export function streamed(
  stream: ZlibStream,
  input: Uint8Array,
  step: number,
  output: Gathering,
): Promise<{ content: Uint8Array; consumed: number }> {
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("end", () => {
      try {
        resolve({ content: output.whole(), consumed: stream.bytesWritten });
      } catch (error) {
        reject(error);
      }
    });
    stream.on("data", (piece: Uint8Array) => {
      try {
        output.add(piece);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
    feed(stream, input, step).catch(reject);
  });
}

async function feed(stream: Transform, input: Uint8Array, step: number): Promise<void> {
  const turns = new Turns();
  for (let at = 0; at < input.length && !stream.destroyed; at += step) {
    // Before a piece and never after the last one: the output may be complete by then, and the
    // timer would outlive the work.
    if (turns.due()) await turns.next();
    await new Promise((resolve) => stream.write(input.subarray(at, at + step), resolve));
  }
  stream.end();
}

/** Level 6. */
export const gzip: Compression = nodeCompression("gzip", () => {
  const { createGzip, gzipSync } = nodeZlib();
  return { sync: gzipSync, stream: createGzip, options: {} };
}, () => {
  const { createGunzip, gunzipSync } = nodeZlib();
  return { sync: gunzipSync, stream: createGunzip, options: {} };
});

/** Level 6. */
export const zlib: Compression = nodeCompression("zlib", () => {
  const { createDeflate, deflateSync } = nodeZlib();
  return { sync: deflateSync, stream: createDeflate, options: {} };
}, () => {
  const { createInflate, inflateSync } = nodeZlib();
  return { sync: inflateSync, stream: createInflate, options: {} };
});

/** Quality 4: 11, brotli's default, takes 50 × as long. */
const brotliStream = nodeCompression("brotli", (content) => {
  const { brotliCompressSync, constants, createBrotliCompress } = nodeZlib();
  return {
    sync: brotliCompressSync,
    stream: createBrotliCompress,
    options: {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 4,
        [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
      },
    },
  };
}, () => {
  const { brotliDecompressSync, createBrotliDecompress } = nodeZlib();
  return { sync: brotliDecompressSync, stream: createBrotliDecompress, options: {} };
});

/**
 * A brotli stream has no mark of its own to begin with; this is the one that its framing format
 * proposes.
 */
const BROTLI_MAGIC = new Uint8Array([0xce, 0xb2, 0xcf, 0x81]);

/** The magic number and the stream. */
export const brotli: Compression = {
  name: "brotli",
  compress: (content) =>
    whenReady(brotliStream.compress(content), (compressed) => concat([BROTLI_MAGIC, compressed])),
  decompress: (frame, length) =>
    brotliStream.decompress(frame.subarray(BROTLI_MAGIC.length), length),
};
