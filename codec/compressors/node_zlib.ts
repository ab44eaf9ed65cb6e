import process from "node:process";
import type { Transform } from "node:stream";
import type { BrotliOptions, ZlibOptions, ZstdOptions } from "node:zlib";
import { Content, type Gathering, Pieces, Slices, SYNC_CONTENT } from "./pieces.ts";
import type { Compression } from "./types.ts";

/** The compressors of `node:zlib`: loaded at their first use, since loading costs 27 ms. */
export function zlib(): typeof import("node:zlib") {
  return process.getBuiltinModule("node:zlib");
}

type Options = ZlibOptions & BrotliOptions & ZstdOptions;

/** One direction of one of node:zlib's formats. */
interface Direction {
  /** All at once. */
  sync: (input: Uint8Array, options: Options) => Uint8Array;
  /** In pieces. */
  stream: (options: Options) => Transform;
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
export function nodeCompression(
  name: string,
  compression: (content: Uint8Array) => Direction,
  decompression: () => Direction,
): Compression {
  return {
    name,
    compress: (content) => {
      const { sync, stream, options } = compression(content);
      if (content.length <= SYNC_CONTENT) return owned(sync(content, options));
      return streamed(stream({ ...options, chunkSize: OUTPUT }), content, STEP, new Pieces());
    },
    decompress: (frame, length) => {
      const { sync, stream, options } = decompression();
      if (length <= SYNC_CONTENT) {
        return owned(sync(frame, { ...options, maxOutputLength: length }));
      }
      // A few bytes of a frame may be a thousand times as many of content.
      const step = Math.ceil(frame.length * STEP / length);
      return streamed(
        stream({ ...options, chunkSize: OUTPUT }),
        frame,
        step,
        new Content(length),
      );
    },
  };
}

/**
 * A copy: node:zlib's results are parts of buffers of 16 KiB and more, which they would keep alive.
 */
function owned(result: Uint8Array): Uint8Array {
  return new Uint8Array(result);
}

/**
 * Feeds a stream piece by piece and gathers what comes out. node:zlib's own asynchronous calls hold
 * the event loop in Deno for as long as the synchronous ones do, so the pieces are what lets others
 * have a turn.
 */
function streamed(
  stream: Transform,
  input: Uint8Array,
  step: number,
  output: Gathering,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("end", () => resolve(output.whole()));
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
  const slices = new Slices();
  for (let at = 0; at < input.length && !stream.destroyed; at += step) {
    await new Promise((resolve) => stream.write(input.subarray(at, at + step), resolve));
    await slices.pause();
  }
  stream.end();
}
