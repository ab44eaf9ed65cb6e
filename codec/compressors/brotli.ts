import { nodeCompression, zlib } from "./node_zlib.ts";
import type { Compression } from "./types.ts";
import { whenReady } from "../../platform/awaitable.ts";

/**
 * A brotli stream has no mark of its own to begin with; this is the one that its framing format
 * proposes.
 */
const MAGIC = new Uint8Array([0xce, 0xb2, 0xcf, 0x81]);

/** Quality 4: 11, brotli's default, takes 50 × as long. */
const stream = nodeCompression("brotli", (content) => {
  const { brotliCompressSync, constants, createBrotliCompress } = zlib();
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
  const { brotliDecompressSync, createBrotliDecompress } = zlib();
  return { sync: brotliDecompressSync, stream: createBrotliDecompress, options: {} };
});

/** The magic number and the stream. */
export const brotli: Compression = {
  name: "brotli",
  compress: (content) =>
    whenReady(stream.compress(content), (compressed) => {
      const frame = new Uint8Array(MAGIC.length + compressed.length);
      frame.set(MAGIC);
      frame.set(compressed, MAGIC.length);
      return frame;
    }),
  decompress: (frame, length) => stream.decompress(frame.subarray(MAGIC.length), length),
};
