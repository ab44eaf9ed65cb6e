// Its own file, so that the address from which it is imported can be computed: see msgpack.ts. The
// subpath is the library without its native extension, which asks for `--allow-ffi` and
// `--allow-env`.
export { Packr } from "msgpackr/pack";
