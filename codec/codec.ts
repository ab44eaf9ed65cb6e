import type { Awaitable } from "./_awaitable.ts";
import { DecodeError } from "./errors.ts";
import { layerOf } from "./format.ts";
import { deserializeBytes } from "./serializers/_bytes.ts";
import type { Format } from "./serializers/_types.ts";
import { hashstash } from "./serializers/hashstash.ts";
import { json } from "./serializers/json.ts";

const FORMATS: Record<string, Format> = { hashstash, json };

/** How values become stored bytes. */
export interface CodecOptions {
  /** Default: `"hashstash"`. */
  serializer?: string;
  /** Default: `false`. */
  compress?: boolean | string;
  /** Default: `false`. */
  b64?: boolean;
}

/** Values to stored bytes and back. First version: "hashstash" and "json", without compression. */
export class Codec {
  /** The name of the serializer. */
  readonly serializer: string;
  /** The name of the compressor, or `false`. */
  readonly compress: false | string;
  /** Whether stored bytes are base64 text. */
  readonly b64: boolean;
  readonly #format: Format;

  /** @throws {TypeError} When an option is none of the valid ones. */
  constructor(options: CodecOptions = {}) {
    const { serializer = "hashstash", compress = false, b64 = false } = options;
    if (!Object.hasOwn(FORMATS, serializer)) {
      const names = Object.keys(FORMATS).join(", ");
      throw new TypeError(`Unknown serializer "${serializer}", expected one of: ${names}`);
    }
    this.#format = FORMATS[serializer];
    this.serializer = serializer;
    this.compress = compress === true ? "zstd" : compress;
    this.b64 = b64;
  }

  /**
   * The stored bytes of a value.
   *
   * @throws {TypeError} When a part of the value cannot be serialized; it names the part.
   */
  encode(value: unknown): Awaitable<Uint8Array> {
    return this.#format.serialize(value);
  }

  /**
   * The value of stored bytes, whatever the options of the codec that wrote them.
   *
   * @throws {DecodeError} When the bytes are damaged or none of ours.
   */
  decode(bytes: Uint8Array): Awaitable<unknown> {
    switch (layerOf(bytes[0])?.name) {
      case "json":
        return json.deserialize(bytes);
      case "bytes":
        return deserializeBytes(bytes);
      default:
        throw new DecodeError("Cannot decode value: its bytes are none of the known layers");
    }
  }
}
