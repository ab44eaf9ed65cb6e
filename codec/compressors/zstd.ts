import { nodeCompression, zlib } from "./node_zlib.ts";

/** Level 1, with the content's size and checksum in the frame. */
export const zstd = nodeCompression("zstd", (content) => {
  const { constants, createZstdCompress, zstdCompressSync } = zlib();
  return {
    sync: zstdCompressSync,
    stream: createZstdCompress,
    options: {
      params: {
        [constants.ZSTD_c_compressionLevel]: 1,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
      pledgedSrcSize: content.length,
    },
  };
}, () => {
  const { createZstdDecompress, zstdDecompressSync } = zlib();
  return { sync: zstdDecompressSync, stream: createZstdDecompress, options: {} };
});
