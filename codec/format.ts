/**
 * The stored format: what the first byte of stored bytes says about the rest.
 *
 * @module
 */

/** One thing that stored bytes can be, told by their first byte. */
export interface Layer {
  /** What it is: the name of a serializer or compressor, or of one of the other layers. */
  readonly name: string;
  /**
   * Where it stands: `base64` outside, then `compressed`, then `content`; `versions` around all.
   */
  readonly kind: "content" | "compressed" | "base64" | "versions";
  /** The first bytes that it can have; no two layers share one. */
  readonly firstBytes: readonly number[];
  /** What the bytes begin with, where that is more than one byte. */
  readonly magic?: readonly number[];
}

const INNER: Layer[] = [
  { name: "json", kind: "content", firstBytes: codes('"[{-0123456789tfn') },
  { name: "bytes", kind: "content", firstBytes: [0x00] },
  { name: "escaped", kind: "content", firstBytes: [0x01] },
  { name: "custom serializer", kind: "content", firstBytes: [0x02] },
  { name: "msgpack", kind: "content", firstBytes: [0xc1] },
  { name: "v8", kind: "content", firstBytes: [0xff] },
  { name: "custom compressor", kind: "compressed", firstBytes: [0x03] },
  compressed("zstd", [0x28, 0xb5, 0x2f, 0xfd]),
  compressed("gzip", [0x1f, 0x8b]),
  compressed("zlib", [0x78]),
  compressed("lz4", [0x04, 0x22, 0x4d, 0x18]),
  compressed("brotli", [0xce, 0xb2, 0xcf, 0x81]),
];

/**
 * Every layer of the stored format. A serialized value is `content`; compressing it puts a
 * `compressed` layer around, base64 a `base64` one around that. The stash's append mode puts
 * `versions` around all: `V`, one line of JSON, and the value.
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
  { name: "versions", kind: "versions", firstBytes: codes("V") },
];

const byFirstByte: (Layer | undefined)[] = Array.from(
  { length: 256 },
  (_, byte) => LAYERS.find(({ firstBytes }) => firstBytes.includes(byte)),
);

/** What bytes with this first byte are; `undefined` when they are none of ours. */
export function layerOf(firstByte: number): Layer | undefined {
  return byFirstByte[firstByte];
}

function compressed(name: string, magic: number[]): Layer {
  return { name, kind: "compressed", firstBytes: [magic[0]], magic };
}

function codes(characters: string): number[] {
  return Array.from(characters, (character) => character.charCodeAt(0));
}

/** The letter that begins the base64 of bytes that begin with `byte`: its upper six bits decide. */
function base64Letter(byte: number): number {
  return new Uint8Array([byte]).toBase64().charCodeAt(0);
}
