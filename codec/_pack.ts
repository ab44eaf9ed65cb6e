/** The layers around serialized bytes: compression and base64. */
import { attempt } from "./_attempt.ts";
import { type Awaitable, whenReady } from "./_awaitable.ts";
import { fromBase64, toBase64 } from "./_base64.ts";
import { MAX_CONTENT } from "./compressors/_pieces.ts";
import type { Compression } from "./compressors/_types.ts";
import { brotli } from "./compressors/brotli.ts";
import { gzip } from "./compressors/gzip.ts";
import { lz4 } from "./compressors/lz4.ts";
import { zlib } from "./compressors/zlib.ts";
import { zstd } from "./compressors/zstd.ts";
import { type Compressor, decompressCustom } from "./custom.ts";
import { DecodeError } from "./errors.ts";
import { layerOf } from "./format.ts";
import type { CompressorName } from "./names.ts";
import { seal, unseal } from "./_seal.ts";
import { fromBytes, toBytes } from "./_text.ts";

/** The built-in compressors. */
export const COMPRESSIONS: Record<CompressorName, Compression> = { zstd, lz4, gzip, zlib, brotli };

/** The first byte of bytes that follow as they are. */
const ESCAPE = 0x01;

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
  const layer = layerOf(content[0]);
  const clear = layer === undefined ? !b64 : layer.kind === "content" && content[0] !== ESCAPE;
  return inBase64(clear ? content : escaped(content), b64);
}

function escaped(content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + 1);
  bytes[0] = ESCAPE;
  bytes.set(content, 1);
  return bytes;
}

function inBase64(bytes: Uint8Array, b64: boolean): Uint8Array {
  return b64 ? toBytes(toBase64(bytes)) : bytes;
}

function unwrap(bytes: Uint8Array, own: Compressor | undefined): Awaitable<Uint8Array> {
  const layer = layerOf(bytes[0]);
  if (layer?.kind === "compressed") return decompress(layer.name, bytes, own);
  return bytes[0] === ESCAPE ? bytes.subarray(1) : bytes;
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
