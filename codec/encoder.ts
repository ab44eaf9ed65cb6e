import type { Compressor } from "./custom.ts";
import { type Compression, type CompressorName, layerOf } from "./format.ts";
import { maxValueBytesOf, type ReadLimits } from "./limits.ts";
import { b64Of, checkBytes, compressionOf } from "./options.ts";
import { DecodeError } from "./errors.ts";
import { Foreign, pack, unpack } from "./pack.ts";

/** The layers that an {@linkcode Encoder} puts around bytes. */
export interface EncoderOptions {
  /** `true` means `"zstd"`. Default: `false`. */
  compress?: boolean | CompressorName | Compressor;
  /** Whether the result is base64 text. Default: `false`. */
  b64?: boolean;
}

/**
 * What a {@linkcode Decoder} knows and takes. Bytes say themselves whether they are base64 text: `b64`
 * changes nothing.
 */
export interface DecoderOptions extends EncoderOptions {
  /**
   * What decoded bytes may take; `Infinity` for no limit. More is a `DecodeError`, before the memory
   * for it is taken. Default: 1 GiB.
   */
  maxValueBytes?: number;
}

/**
 * Compresses bytes and puts them in base64. Any bytes at all come back from a {@linkcode Decoder}:
 * those that would look encoded although they are not get a mark in front.
 *
 * @example
 * ```ts
 * import { Decoder, Encoder } from "@hashstash/hashstash/codec";
 *
 * const text = new TextEncoder().encode("to be, or not to be, ".repeat(100));
 * const encoded = await new Encoder({ compress: "zstd", b64: true }).encode(text);
 * console.log(encoded.length < text.length); // true
 * console.log((await new Decoder().decode(encoded)).length); // 2100
 * ```
 */
export class Encoder {
  readonly #compression: Compression | undefined;
  readonly #b64: boolean;

  /**
   * Checks the options, and loads nothing.
   *
   * @param options The layers to put around bytes; default: none.
   * @throws {TypeError} When there is no such compressor; the message lists the valid ones.
   */
  constructor({ compress = false, b64 = false }: EncoderOptions = {}) {
    this.#compression = compressionOf(compress);
    this.#b64 = b64Of(b64);
  }

  /**
   * The encoded bytes: compressed only where that saves something.
   *
   * @param bytes What they are at the call. They are not changed; the result may be the same array.
   */
  async encode(bytes: Uint8Array): Promise<Uint8Array> {
    const content = checkBytes("encode", bytes);
    // Compressing may take several turns of the event loop, in which the bytes may change.
    const own = this.#compression === undefined ? content : new Uint8Array(content);
    return await pack(own, this.#compression, this.#b64);
  }
}

/** Encoded bytes back to what they were, without being told how they were encoded. */
export class Decoder {
  readonly #limits: ReadLimits;

  /**
   * A decoder of all layers.
   *
   * @param options A `compress` of your own that is to be known (the built-in ones are), and a limit.
   * @throws {TypeError} When there is no such compressor, or the limit is no number.
   * @throws {RangeError} When the limit is no positive integer.
   */
  constructor({ compress = false, maxValueBytes }: DecoderOptions = {}) {
    compressionOf(compress);
    this.#limits = {
      compressor: typeof compress === "object" ? compress : undefined,
      maxValueBytes: maxValueBytesOf(maxValueBytes),
    };
  }

  /**
   * The bytes that were encoded; rejects with a `DecodeError` when they are damaged.
   *
   * @param bytes What an `Encoder` returned. They are not changed; the result may be a part of
   * them.
   */
  async decode(bytes: Uint8Array): Promise<Uint8Array> {
    const content = await unpack(checkBytes("decode", bytes), layerOf(bytes), this.#limits);
    if (!(content instanceof Foreign)) return content;
    if (content.content !== undefined) return content.content;
    throw new DecodeError("Cannot decode bytes: a dictionary is needed to decompress them", {
      kind: "unknown",
    });
  }
}

/**
 * As {@linkcode Encoder}, in one call.
 *
 * @param bytes Any bytes.
 * @param options The layers to put around them.
 *
 * @example
 * ```ts
 * import { decode, encode } from "@hashstash/hashstash/codec";
 *
 * const encoded = await encode(new Uint8Array([1, 2, 3]), { b64: true });
 * console.log(new TextDecoder().decode(encoded)); // AQECAw==
 * console.log(await decode(encoded)); // Uint8Array(3) [ 1, 2, 3 ]
 * ```
 */
export async function encode(bytes: Uint8Array, options?: EncoderOptions): Promise<Uint8Array> {
  return await new Encoder(options).encode(bytes);
}

/**
 * As {@linkcode Decoder}, in one call.
 *
 * @param bytes What an encoder returned.
 */
export function decode(bytes: Uint8Array): Promise<Uint8Array> {
  return new Decoder().decode(bytes);
}
