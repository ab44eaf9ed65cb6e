/**
 * The stored format: what the beginning of stored bytes says about the rest.
 *
 * @module
 */
import type { Awaitable } from "../platform/awaitable.ts";
import { encodeBase64 } from "../platform/base64.ts";

/** The names of the serializers. */
export type SerializerName = "hashstash" | "json" | "msgpack" | "v8";
/** The names of the compressors. */
export type CompressorName = "zstd" | "lz4" | "gzip" | "zlib" | "brotli";

/** Values to self-describing bytes and back. */
export interface ValueFormat {
  readonly name: string;
  serialize(value: unknown): Awaitable<Uint8Array>;
  /** The text whose UTF-8 `serialize` gives, of a value of which it gives text. */
  text?(value: unknown): string | undefined;
  /** Gets bytes whose beginning says that they are of this format. */
  deserialize(bytes: Uint8Array): Awaitable<unknown>;
}

/**
 * Bytes to fewer bytes and back; plain results when it is quick, promises when it has to yield or
 * to load a library.
 */
export interface Compression {
  readonly name: string;
  compress(content: Uint8Array): Awaitable<Uint8Array>;
  /**
   * `length` is that of the content: the result has exactly as many bytes, or there is an error.
   */
  decompress(frame: Uint8Array, length: number): Awaitable<Uint8Array>;
}

/** A kind of stored bytes, recognised by how they begin. */
export interface Layer {
  /** The name of a serializer or compressor, or of one of the other layers. */
  readonly name: string;
  /**
   * Its place: `base64` outermost, then `compressed`, then `content`; `entry` around all of them.
   */
  readonly kind: "content" | "compressed" | "base64" | "entry";
  /** The first bytes that it can have. Layers that share one differ in their `magic`. */
  readonly firstBytes: readonly number[];
  /**
   * All the bytes that it begins with, when that is more than one. zlib of other programs may have
   * another second byte.
   */
  readonly magic?: readonly number[];
}

/**
 * Marks of this package are a zero, `HS`, and a letter. No file format begins like that: images,
 * archives and media files that begin with a zero go on with another byte, and text has no zero. A
 * mark of a single byte was found in other programs' data.
 */
const [ZERO, H, S] = [0x00, 0x48, 0x53];

/** Begins raw bytes, the content of a `Uint8Array` value: `"\0HSR"`. */
export const RAW_MARK: Uint8Array = new Uint8Array([ZERO, H, S, 0x52]);
/** Begins protected bytes, which a reader would otherwise take for another layer: `"\0HSP"`. */
export const PROTECTED_MARK: Uint8Array = new Uint8Array([ZERO, H, S, 0x50]);
/** Begins an entry with a header, which the store writes and reads: `"\0HSE"`. */
export const ENTRY_MARK: Uint8Array = new Uint8Array([ZERO, H, S, 0x45]);

const INNER: Layer[] = [
  { name: "json", kind: "content", firstBytes: codes('"[{-0123456789tfn') },
  withMagic("bytes", "content", [...RAW_MARK]),
  withMagic("protected", "content", [...PROTECTED_MARK]),
  { name: "custom serializer", kind: "content", firstBytes: [0x02] },
  { name: "msgpack", kind: "content", firstBytes: [0xc1] },
  { name: "v8", kind: "content", firstBytes: [0xff] },
  { name: "custom compressor", kind: "compressed", firstBytes: [0x03] },
  withMagic("zstd", "compressed", [0x28, 0xb5, 0x2f, 0xfd]),
  withMagic("gzip", "compressed", [0x1f, 0x8b]),
  withMagic("zlib", "compressed", [0x78, 0x9c]),
  withMagic("lz4", "compressed", [0x04, 0x22, 0x4d, 0x18]),
  withMagic("brotli", "compressed", [0xce, 0xb2, 0xcf, 0x81]),
];

/**
 * Every layer of the stored format. A serialized value is `content`; compressing it puts a
 * `compressed` layer around, base64 a `base64` one around that. An entry of which the stash keeps
 * more than its value, such as the number of its version, is an `entry`: a header, then the stored
 * bytes of the value.
 *
 * @example
 * ```ts
 * import { encode, LAYERS } from "@hashstash/hashstash/codec";
 *
 * const [first] = await encode(new TextEncoder().encode("[1,2,3]"), { b64: true });
 * console.log(LAYERS.find((layer) => layer.firstBytes.includes(first))?.name); // base64
 * ```
 */
export const LAYERS: readonly Layer[] = [
  ...INNER,
  {
    name: "base64",
    kind: "base64",
    firstBytes: [...new Set(INNER.flatMap(({ firstBytes }) => firstBytes.map(base64Letter)))],
  },
  withMagic("entry", "entry", [...ENTRY_MARK]),
];

const byFirstByte: (Layer | undefined)[] = Array.from(
  { length: 256 },
  (_, byte) => LAYERS.find(({ firstBytes }) => firstBytes.includes(byte)),
);
const marked = LAYERS.filter(({ firstBytes }) => firstBytes.includes(ZERO));

/** The layer that the bytes begin with; `undefined` when they begin as none does. */
export function layerOf(bytes: Uint8Array): Layer | undefined {
  const first = bytes[0];
  if (first !== ZERO) return byFirstByte[first];
  return marked.find((layer) => hasMagic(bytes, layer));
}

/** Whether the bytes begin with all of the layer's magic; never where it has none. */
export function hasMagic(bytes: Uint8Array, { magic }: Layer): boolean {
  return magic !== undefined && magic.every((byte, i) => bytes[i] === byte);
}

function withMagic(name: string, kind: Layer["kind"], magic: readonly number[]): Layer {
  return { name, kind, firstBytes: [magic[0]], magic };
}

function codes(characters: string): number[] {
  return Array.from(characters, (character) => character.charCodeAt(0));
}

/** The letter that begins the base64 of bytes that begin with `byte`: its upper six bits decide. */
function base64Letter(byte: number): number {
  return encodeBase64(new Uint8Array([byte])).charCodeAt(0);
}
