import { nodeCompression, zlib as node } from "./node_zlib.ts";

/** Level 6. */
export const zlib = nodeCompression("zlib", () => {
  const { createDeflate, deflateSync } = node();
  return { sync: deflateSync, stream: createDeflate, options: {} };
}, () => {
  const { createInflate, inflateSync } = node();
  return { sync: inflateSync, stream: createInflate, options: {} };
});
