// Its own file, so that the address from which it is imported can be computed: see lz4.ts.
export { compress, decompress } from "lz4-wasm-nodejs";
