import { type Awaitable, whenReady } from "../platform/awaitable.ts";
import type { Compressor, CustomSerializer } from "./custom.ts";
import { DecodeError, unknownFormat } from "./errors.ts";
import { foreignValue, isOurs } from "./foreign.ts";
import {
  type Compression,
  type CompressorName,
  layerOf,
  type SerializerName,
  type ValueFormat,
} from "./format.ts";
import { checkLength, maxValueBytesOf, type ReadLimits } from "./limits.ts";
import { b64Of, compressionOf, formatOf } from "./options.ts";
import { Foreign, pack, unpack } from "./pack.ts";
import { Serializer } from "./serializer.ts";
import { deserializeText } from "./serializers/json_text.ts";
import { deserializeContent } from "./serializers/mod.ts";

/** How values become stored bytes. */
export interface CodecOptions {
  /** How values become bytes. Default: `"hashstash"`. */
  serializer?: SerializerName | CustomSerializer | Serializer;
  /** How bytes become fewer; `true` means `"zstd"`. Default: `false`. */
  compress?: boolean | CompressorName | Compressor;
  /** Whether stored bytes are base64 text. Default: `false`. */
  b64?: boolean;
  /**
   * What one stored value may take when it is decoded, bytes of its serialized content; `Infinity`
   * for no limit. Decoding more is a `DecodeError`, before the memory for it is taken: some hundred
   * bytes may say that they are gigabytes of one letter. Default: 1 GiB.
   */
  maxValueBytes?: number;
}

/**
 * Values to stored bytes and back. The options matter for encoding only: bytes say what they are,
 * and every codec decodes what any other encoded.
 *
 * Of an object, its own enumerable properties with string names are stored: getters are read, and
 * whether it was frozen is not kept. Objects and arrays that come twice in a value, or hold
 * themselves, come back as such.
 *
 * Both methods answer at once where they can, and with a promise where a library is loaded for the
 * first time, a custom part gives one, or more than 256 KiB are compressed or decompressed: that is
 * done in pieces, and the event loop has its turn in between.
 *
 * @example
 * ```ts
 * import { Codec } from "@hashstash/hashstash/codec";
 *
 * const codec = new Codec({ compress: "gzip", b64: true });
 * const stored = await codec.encode({ when: new Date(0), tags: new Set(["a"]) });
 * console.log(await new Codec().decode(stored)); // { when: 1970-01-01T00:00:00.000Z, tags: Set(1) { "a" } }
 * ```
 */
export class Codec {
  /** The name of the serializer. */
  readonly serializer: string;
  /** The name of the compressor, or `false`. */
  readonly compress: false | string;
  /** Whether stored bytes are base64 text. */
  readonly b64: boolean;
  /** What one stored value may take when it is decoded, bytes. */
  readonly maxValueBytes: number;
  readonly #format: ValueFormat;
  readonly #compression: Compression | undefined;
  readonly #ownSerializer: CustomSerializer | undefined;
  readonly #limits: ReadLimits;

  /**
   * Checks the options, and loads nothing.
   *
   * @throws {TypeError} When an option is not valid; the message lists the valid ones.
   * @throws {RangeError} When `maxValueBytes` is no positive integer.
   */
  constructor(options: CodecOptions = {}) {
    const { compress = false, b64 = false } = options;
    const { serializer: option = "hashstash" } = options;
    const serializer = option instanceof Serializer ? option.given : option;
    this.#format = formatOf(serializer);
    this.#compression = compressionOf(compress);
    if (typeof serializer === "object") this.#ownSerializer = serializer;
    this.serializer = this.#format.name;
    this.compress = this.#compression?.name ?? false;
    this.b64 = b64Of(b64);
    this.maxValueBytes = maxValueBytesOf(options.maxValueBytes);
    this.#limits = {
      compressor: typeof compress === "object" ? compress : undefined,
      maxValueBytes: this.maxValueBytes,
    };
  }

  /**
   * The stored bytes of a value.
   *
   * @throws {TypeError} When a part of the value cannot be serialized; it names the part.
   */
  encode(value: unknown): Awaitable<Uint8Array> {
    // By hand, without whenReady: a small value takes less than a microsecond in all.
    const content = this.#format.serialize(value);
    return content instanceof Promise
      ? content.then((content) => pack(content, this.#compression, this.b64))
      : pack(content, this.#compression, this.b64);
  }

  /**
   * The text whose UTF-8 `encode` gives, for engines that keep text; `undefined` where the bytes are
   * no mere JSON.
   *
   * @throws {TypeError} When a part of the value cannot be serialized; it names the part.
   */
  encodeText(value: unknown): string | undefined {
    return this.#compression === undefined && !this.b64 ? this.#format.text?.(value) : undefined;
  }

  /**
   * The value of what `encodeText` gave.
   *
   * @throws {DecodeError} When it holds more than `maxValueBytes`, or names a class that is not
   * known.
   */
  decodeText(text: string): unknown {
    checkLength("text", text.length, this.#limits);
    return deserializeText(text);
  }

  /**
   * The value of stored bytes.
   *
   * @param bytes They are not changed, and the value does not change with them.
   * @throws {DecodeError} When the bytes are damaged, are of no known format, hold more than
   * `maxValueBytes`, or name a class, serializer or compressor that is not known.
   */
  decode(bytes: Uint8Array): Awaitable<unknown> {
    const layer = layerOf(bytes);
    const content = unpack(bytes, layer, this.#limits);
    // Nearly all entries have one layer, which has been looked at.
    if (content === bytes) return deserializeContent(bytes, layer, this.#ownSerializer);
    return whenReady(
      content,
      (content) =>
        content instanceof Foreign
          ? foreignValue(content, bytes, this.#ownSerializer)
          : layer?.kind === "base64"
          ? this.#decodeInner(content)
          : deserializeContent(content, layerOf(content), this.#ownSerializer),
    );
  }

  /** The value of content that was in base64, as many a word of others is. */
  #decodeInner(content: Uint8Array): Awaitable<unknown> {
    const fail = (error: unknown): never => {
      if (!(error instanceof DecodeError) || error.kind !== "damaged" || isOurs(content)) {
        throw error;
      }
      throw unknownFormat();
    };
    try {
      const value = deserializeContent(content, layerOf(content), this.#ownSerializer);
      return value instanceof Promise ? value.catch(fail) : value;
    } catch (error) {
      return fail(error);
    }
  }
}
