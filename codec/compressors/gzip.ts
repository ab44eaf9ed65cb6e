import { nodeCompression, zlib } from "./node_zlib.ts";

/** Level 6. */
export const gzip = nodeCompression("gzip", () => {
  const { createGzip, gzipSync } = zlib();
  return { sync: gzipSync, stream: createGzip, options: {} };
}, () => {
  const { createGunzip, gunzipSync } = zlib();
  return { sync: gunzipSync, stream: createGunzip, options: {} };
});
