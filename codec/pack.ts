/** The layers around serialized bytes: compression and base64. */
import { concat } from "@std/bytes/concat";
import { type Awaitable, whenReady } from "../platform/awaitable.ts";
import { FOREIGN } from "./compressors/foreign.ts";
import { lz4 } from "./compressors/lz4.ts";
import { MAX_CONTENT } from "./compressors/pieces.ts";
import { brotli, gzip, zlib } from "./compressors/zlib.ts";
import { zstd } from "./compressors/zstd.ts";
import { decompressCustom, isOfKnownCustom } from "./custom.ts";
import { attempt, DecodeError, unknownFormat } from "./errors.ts";
import {
  type Compression,
  type CompressorName,
  hasMagic,
  type Layer,
  layerOf,
  PROTECTED_MARK,
} from "./format.ts";
import { isGzipSealed, sealGzip, unsealGzip } from "./gzip_seal.ts";
import { checkLength, type ReadLimits } from "./limits.ts";
import { broken, isIntact, isSealed, seal, unseal } from "./seal.ts";
import { fromBase64, fromBytes, toBase64, toBytes } from "./text.ts";

/** The built-in compressors. */
export const COMPRESSIONS: Record<CompressorName, Compression> = { zstd, lz4, gzip, zlib, brotli };

/** Content with the layers around it. The compressed layer only where it saves something. */
export function pack(
  content: Uint8Array,
  compression: Compression | undefined,
  b64: boolean,
): Awaitable<Uint8Array> {
  if (compression === undefined || content.length > MAX_CONTENT) {
    return inBase64(withMark(content, b64), b64);
  }
  return whenReady(compression.compress(content), (frame) => {
    const given = { frame, length: content.length };
    const sealed = compression === gzip ? sealGzip(given) : seal(given);
    return inBase64(sealed.length < content.length ? sealed : withMark(content, b64), b64);
  });
}

/**
 * The content, protected by a mark and a seal when a reader would take it for another layer.
 */
function withMark(content: Uint8Array, b64: boolean): Uint8Array {
  const layer = layerOf(content);
  // The reader leaves unknown bytes as they are, but recognises base64 only of known layers.
  const mistaken = layer === undefined
    ? b64
    : layer.kind !== "content" || layer.name === "protected";
  if (!mistaken && (!hasSeal(content, layer) || isOwnSeal(content, layer))) return content;
  return seal({ frame: concat([PROTECTED_MARK, content]), length: content.length });
}

/** Whether the bytes were sealed, even if damage has changed what they begin with. */
function hasSeal(bytes: Uint8Array, layer: Layer | undefined): boolean {
  return isSealed(bytes) || (layer === undefined && isGzipSealed(bytes));
}

/** Whether the seal is part of the content: custom serializers seal theirs. */
function isOwnSeal(content: Uint8Array, layer: Layer | undefined): boolean {
  return layer?.name === "custom serializer" && isIntact(content);
}

function inBase64(bytes: Uint8Array, b64: boolean): Uint8Array {
  return b64 ? toBytes(toBase64(bytes)) : bytes;
}

/** Complete compressed data without a seal: another program wrote it. */
export class Foreign {
  /** @param content `undefined` when only a dictionary could tell. */
  constructor(readonly content: Uint8Array | undefined) {}
}

/**
 * The content without its layers; `bytes` itself when it has none.
 *
 * @param layer What the bytes are.
 * @throws {DecodeError} When a layer is damaged, or the content is longer than the limits allow.
 */
export function unpack(
  bytes: Uint8Array,
  layer: Layer | undefined,
  limits: ReadLimits,
): Awaitable<Uint8Array | Foreign> {
  switch (layer?.kind) {
    case "entry":
      throw new DecodeError(
        "Cannot decode bytes: they are an entry with a header, which only a stash reads",
        { kind: "unknown" },
      );
    case "base64": {
      const inner = fromBase64(fromBytes(bytes));
      const layer = layerOf(inner);
      if (layer?.kind === "content" || layer?.kind === "compressed") {
        return unpack(inner, layer, limits);
      }
      throw new DecodeError("Cannot decode bytes: there is no known layer in their base64", {
        kind: "foreign",
      });
    }
    case "compressed":
      return decompress(layer, bytes, limits);
  }
  checkLength("bytes", bytes.length, limits);
  if (layer?.name === "protected") {
    return unseal(bytes, "bytes").frame.subarray(PROTECTED_MARK.length);
  }
  if (hasSeal(bytes, layer)) {
    unseal(bytes, "bytes");
    if (layer?.name !== "custom serializer") {
      // It is whole: a later version of this package may know it.
      throw new DecodeError("Cannot decode bytes: their seal encloses no known layer", {
        kind: "unknown",
      });
    }
  }
  return bytes;
}

function decompress(
  layer: Layer,
  bytes: Uint8Array,
  limits: ReadLimits,
): Awaitable<Uint8Array | Foreign> {
  const { name } = layer;
  const what = `${name} data`;
  if (!(name === "gzip" ? isGzipSealed(bytes) : isSealed(bytes))) {
    // Without a seal a first byte proves nothing: text of others begins with "x" as zlib does.
    const isOurs = hasMagic(bytes, layer) || isOfKnownCustom(bytes, limits.compressor);
    const { message, kind } = isOurs ? broken(what) : unknownFormat();
    const read = FOREIGN[name];
    if (read === undefined) throw new DecodeError(message, { kind });
    const content = attempt(message, () => read(bytes, limits.maxValueBytes), kind);
    return whenReady(content, (content) => new Foreign(content));
  }
  const { frame, length } = name === "gzip" ? unsealGzip(bytes, what) : unseal(bytes, what);
  checkLength(what, length, limits);
  const compression = (COMPRESSIONS as Record<string, Compression>)[name];
  const content = attempt(
    `Cannot decode ${what}: decompressing failed`,
    () => compression?.decompress(frame, length) ?? decompressCustom(frame, limits.compressor),
    // The seal says that these are the bytes that were written: what fails is in this process.
    "unknown",
  );
  return whenReady(content, (content) => {
    if (content.length === length) return content;
    throw new DecodeError(
      `Cannot decode ${what}: the content has another length than its seal says`,
      { kind: "unknown" },
    );
  });
}
