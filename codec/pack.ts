/** The layers around serialized bytes: compression and base64. */
import { attempt } from "./attempt.ts";
import { type Awaitable, whenReady } from "../platform/awaitable.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { MAX_CONTENT } from "./compressors/pieces.ts";
import type { Compression } from "./compressors/types.ts";
import { brotli } from "./compressors/brotli.ts";
import { gzip } from "./compressors/gzip.ts";
import { lz4 } from "./compressors/lz4.ts";
import { zlib } from "./compressors/zlib.ts";
import { zstd } from "./compressors/zstd.ts";
import { type Compressor, decompressCustom } from "./custom.ts";
import { DecodeError } from "./errors.ts";
import { layerOf } from "./format.ts";
import type { CompressorName } from "./names.ts";
import { isSealed, seal, unseal } from "./seal.ts";
import { fromBytes, toBytes } from "./text.ts";

/** The built-in compressors. */
export const COMPRESSIONS: Record<CompressorName, Compression> = { zstd, lz4, gzip, zlib, brotli };

/** The first byte of bytes that follow as they are. */
const ESCAPE = 0x01;
/** The first byte of a custom serializer's bytes, which see to their seal themselves. */
const CUSTOM = 0x02;

/** Content with the layers around it. The compressed layer only where it saves something. */
export function pack(
  content: Uint8Array,
  compression: Compression | undefined,
  b64: boolean,
): Awaitable<Uint8Array> {
  if (compression === undefined || content.length > MAX_CONTENT) return wrap(content, b64);
  return whenReady(compression.compress(content), (frame) => {
    const sealed = seal({ frame, length: content.length });
    return sealed.length < content.length ? inBase64(sealed, b64) : wrap(content, b64);
  });
}

/**
 * The content without its layers.
 *
 * @param own The custom compressor to prefer, when the bytes name it.
 * @throws {DecodeError} When a layer is damaged.
 */
export function unpack(bytes: Uint8Array, own?: Compressor): Awaitable<Uint8Array> {
  const outer = layerOf(bytes[0]);
  if (outer?.kind === "versions") {
    throw new DecodeError("Cannot decode bytes: they hold versions, which only a stash reads");
  }
  if (outer?.kind !== "base64") return unwrap(bytes, own);
  const inner = fromBase64(fromBytes(bytes));
  const kind = layerOf(inner[0])?.kind;
  if (kind !== "content" && kind !== "compressed") {
    throw new DecodeError("Cannot decode bytes: there is no known layer in their base64");
  }
  return unwrap(inner, own);
}

function wrap(content: Uint8Array, b64: boolean): Awaitable<Uint8Array> {
  return inBase64(isClear(content, b64) ? content : escape(content), b64);
}

/** Whether the content, as it is, is taken for what it is. */
function isClear(content: Uint8Array, b64: boolean): boolean {
  const layer = layerOf(content[0]);
  if (layer === undefined) return !b64 && !isSealed(content);
  if (layer.kind !== "content" || content[0] === ESCAPE) return false;
  return content[0] === CUSTOM || !isSealed(content);
}

/** The content behind a mark; in a seal when it ends as if it had one. */
function escape(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(content.length + 1);
  frame[0] = ESCAPE;
  frame.set(content, 1);
  return isSealed(content) ? seal({ frame, length: content.length }) : frame;
}

function inBase64(bytes: Uint8Array, b64: boolean): Uint8Array {
  return b64 ? toBytes(toBase64(bytes)) : bytes;
}

function unwrap(bytes: Uint8Array, own: Compressor | undefined): Awaitable<Uint8Array> {
  const layer = layerOf(bytes[0]);
  if (layer?.kind === "compressed") return decompress(layer.name, bytes, own);
  // What ends in a seal is sealed, whatever its first byte has become.
  const sealed = bytes[0] !== CUSTOM && isSealed(bytes);
  const { frame } = sealed ? unseal(bytes, "bytes") : { frame: bytes };
  if (bytes[0] === ESCAPE) return frame.subarray(1);
  if (sealed) throw new DecodeError("Cannot decode bytes: their seal encloses no known layer");
  return bytes;
}

function decompress(
  name: string,
  bytes: Uint8Array,
  own: Compressor | undefined,
): Awaitable<Uint8Array> {
  const what = `${name} data`;
  const { frame, length } = unseal(bytes, what);
  if (length > MAX_CONTENT) {
    throw new DecodeError(`Cannot decode ${what}: the content is longer than ${MAX_CONTENT} bytes`);
  }
  const compression = (COMPRESSIONS as Record<string, Compression>)[name];
  const content = attempt(
    `Cannot decode ${what}: decompressing failed`,
    () => compression?.decompress(frame, length) ?? decompressCustom(frame, own),
  );
  return whenReady(content, (content) => {
    if (content.length === length) return content;
    throw new DecodeError(
      `Cannot decode ${what}: the content has another length than its seal says`,
    );
  });
}
