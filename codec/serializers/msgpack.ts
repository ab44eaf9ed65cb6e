import { concat } from "@std/bytes/concat";
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import { loadLibrary } from "../../platform/library.ts";
import { DecodeError } from "../errors.ts";
import { hasViewExtras } from "../extras.ts";
import type { ValueFormat } from "../format.ts";
import { isBytes, isReadable } from "../leaves.ts";
import { hashstash, snapshot } from "./hashstash.ts";
import { checkMessagePack } from "./msgpack_check.ts";
import { isNative, type NativeFormat } from "./native.ts";

/** The byte that MessagePack never uses. */
const MARK = new Uint8Array([0xc1]);

/**
 * JSON's types, bytes, NaN and infinities. The library's extensions are not used: they lack some of
 * the types that we store, and reading them looks up classes.
 */
const NATIVE: NativeFormat = {
  number: (value) => !Object.is(value, -0),
  text: (value) => value.isWellFormed(),
  primitive: () => false,
  leaf: (value) => isBytes(value) && isReadable(value) && !hasViewExtras(value),
  graphs: false,
};

// Written out: even the types of a module put its packages into the graph of every program.
interface Packr {
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

const library = loadLibrary<{ Packr: new (options: Record<string, boolean>) => Packr }>(
  "MessagePack",
  // The library without its native extension, which asks for `--allow-ffi` and `--allow-env`.
  { name: "msgpackr", versions: "^2.1.0", path: "/pack" },
);
let packr: Packr | undefined;

function loadPackr(): Awaitable<Packr> {
  return packr ?? whenReady(library(), ({ Packr }) =>
    packr = new Packr({
      useRecords: false,
      mapsAsObjects: true,
      variableMapSize: true,
      copyBuffers: true,
      useToJSON: false,
    }));
}

/** MessagePack behind 0xC1. */
export const msgpack: ValueFormat = {
  name: "msgpack",
  serialize: (value) => {
    if (isBytes(value) || !isNative(value, NATIVE)) return hashstash.serialize(value);
    const packr = loadPackr();
    if (!(packr instanceof Promise)) return pack(packr, value);
    // The value may change while the library is loaded.
    const copy = snapshot(value);
    return packr.then((packr) => pack(packr, copy));
  },
  deserialize: (bytes) => {
    const packed = bytes.subarray(MARK.length);
    checkMessagePack(packed);
    const packr = loadPackr();
    if (!(packr instanceof Promise)) return unpack(packr, packed);
    const copy = new Uint8Array(packed);
    return packr.then((packr) => unpack(packr, copy));
  },
};

function pack(packr: Packr, value: unknown): Uint8Array {
  let packed: Uint8Array;
  try {
    packed = packr.pack(value);
  } catch {
    // What the library does not take "hashstash" may, and else its error names the place.
    return hashstash.serialize(value) as Uint8Array;
  }
  return concat([MARK, packed]);
}

function unpack(packr: Packr, packed: Uint8Array): unknown {
  try {
    return packr.unpack(packed);
  } catch (cause) {
    throw new DecodeError("Cannot decode value: its MessagePack is damaged", { cause });
  }
}
