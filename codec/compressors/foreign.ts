/**
 * Compressed data without a seal: another program wrote it, and says nothing of how long its
 * content is. It must be complete, to its last byte.
 */
import type { ZlibOptions } from "node:zlib";
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import { Turns } from "../../platform/timers.ts";
import { tooLong } from "../limits.ts";
import { LimitedPieces, SYNC_CONTENT } from "./pieces.ts";
import { nodeZlib, owned, streamed, type ZlibStream } from "./zlib.ts";
import { framesOf } from "./zstd_frames.ts";

/** Data up to this length is tried at once. */
const FEW_BYTES = 64 * 1024;
/** Bytes that are decompressed in one step: they may be a thousand times as many of content. */
const STEP = 4 * 1024;
const OUTPUT = 64 * 1024;

/**
 * The content of complete data.
 *
 * @returns `undefined` when it is complete, and a dictionary is needed to decompress it.
 * @throws {DecodeError} When the content is longer than `max` bytes.
 * @throws {Error} When the data is damaged or cut off.
 */
export type ForeignReader = (data: Uint8Array, max: number) => Awaitable<Uint8Array | undefined>;

/** Readers by the names of their layers. The others have a mark of ours, or can't be checked. */
export const FOREIGN: { readonly [name: string]: ForeignReader | undefined } = {
  gzip: (data, max) => {
    const { createGunzip, gunzipSync } = nodeZlib();
    return whole(data, max, gunzipSync, createGunzip);
  },
  zlib: (data, max) => {
    const { createInflate, inflateSync } = nodeZlib();
    if ((data[0] << 8 | data[1]) % 31 !== 0) throw new Error("It has no header of zlib's");
    return whole(data, max, inflateSync, createInflate);
  },
  zstd: readFrames,
};

function whole(
  data: Uint8Array,
  max: number,
  sync: (data: Uint8Array, options: ZlibOptions) => Uint8Array,
  stream: (options: ZlibOptions) => ZlibStream,
): Awaitable<Uint8Array> {
  const ended = ({ content, consumed }: { content: Uint8Array; consumed: number }) => {
    // The last bytes of a tape's block may be zeros.
    if (data.subarray(consumed).every((byte) => byte === 0)) return content;
    throw new Error("There are other bytes behind its end");
  };
  if (data.length <= FEW_BYTES) {
    try {
      // The types don't know what `info` does to the result.
      const { buffer, engine } = sync(data, {
        info: true,
        maxOutputLength: Math.min(max, SYNC_CONTENT),
      }) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } };
      return ended({ content: owned(buffer), consumed: engine.bytesWritten });
    } catch (error) {
      if (!isTooLong(error)) throw error;
    }
  }
  data = owned(data);
  const limited = new LimitedPieces(max, () => tooLong("bytes", { maxValueBytes: max }));
  return whenReady(streamed(stream({ chunkSize: OUTPUT }), data, STEP, limited), ended);
}

async function readFrames(data: Uint8Array, max: number): Promise<Uint8Array | undefined> {
  const { zstdDecompressSync } = nodeZlib();
  const frames = framesOf(owned(data));
  if (frames.some(({ dictionary }) => dictionary)) return undefined;
  const content = new LimitedPieces(max, () => tooLong("bytes", { maxValueBytes: max }));
  const turns = new Turns();
  for (const { bytes } of frames) {
    const maxOutputLength = Math.max(1, Math.min(content.left, Number.MAX_SAFE_INTEGER));
    try {
      content.add(zstdDecompressSync(bytes, { maxOutputLength }));
    } catch (error) {
      throw isTooLong(error) ? tooLong("bytes", { maxValueBytes: max }) : error;
    }
    if (turns.due()) await turns.next();
  }
  return content.whole();
}

function isTooLong(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
}
