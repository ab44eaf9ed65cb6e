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
import { type Layer, layerOf, PROTECTED_MARK } from "./format.ts";
import type { CompressorName } from "./names.ts";
import { isIntact, isSealed, seal, unseal } from "./seal.ts";
import { fromBytes, toBytes } from "./text.ts";

/** The built-in compressors. */
export const COMPRESSIONS: Record<CompressorName, Compression> = { zstd, lz4, gzip, zlib, brotli };

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
  const outer = layerOf(bytes);
  if (outer?.kind === "entry") {
    throw new DecodeError(
      "Cannot decode bytes: they are an entry with a header, which only a stash reads",
    );
  }
  if (outer?.kind !== "base64") return unwrap(bytes, outer, own);
  const inner = fromBase64(fromBytes(bytes));
  const layer = layerOf(inner);
  if (layer?.kind !== "content" && layer?.kind !== "compressed") {
    throw new DecodeError("Cannot decode bytes: there is no known layer in their base64");
  }
  return unwrap(inner, layer, own);
}

function wrap(content: Uint8Array, b64: boolean): Uint8Array {
  return inBase64(isClear(content, b64) ? content : protect(content), b64);
}

/** Whether the content, as it is, is taken for what it is. */
function isClear(content: Uint8Array, b64: boolean): boolean {
  const layer = layerOf(content);
  if (layer === undefined ? b64 : layer.kind !== "content" || layer.name === "protected") {
    return false;
  }
  return !isSealed(content) || layer?.name === "custom serializer" && isIntact(content);
}

/** The content behind a mark, in a seal. */
function protect(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PROTECTED_MARK.length + content.length);
  frame.set(PROTECTED_MARK);
  frame.set(content, PROTECTED_MARK.length);
  return seal({ frame, length: content.length });
}

function inBase64(bytes: Uint8Array, b64: boolean): Uint8Array {
  return b64 ? toBytes(toBase64(bytes)) : bytes;
}

function unwrap(
  bytes: Uint8Array,
  layer: Layer | undefined,
  own: Compressor | undefined,
): Awaitable<Uint8Array> {
  if (layer?.kind === "compressed") return decompress(layer.name, bytes, own);
  if (layer?.name === "protected") {
    return unseal(bytes, "bytes").frame.subarray(PROTECTED_MARK.length);
  }
  // What ends in a seal is sealed, whatever its first byte has become.
  if (isSealed(bytes)) {
    unseal(bytes, "bytes");
    if (layer?.name !== "custom serializer") {
      throw new DecodeError("Cannot decode bytes: their seal encloses no known layer");
    }
  }
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
