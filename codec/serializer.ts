import type { CustomSerializer } from "./custom.ts";
import { layerOf, type SerializerName, type ValueFormat } from "./format.ts";
import { checkBytes, formatOf } from "./options.ts";
import { deserializeContent } from "./serializers/mod.ts";

/**
 * Values to bytes, without compression or base64.
 *
 * @example
 * ```ts
 * import { Deserializer, Serializer } from "@hashstash/hashstash/codec";
 *
 * const bytes = await new Serializer("msgpack").serialize({ a: 1 });
 * console.log(await new Deserializer().deserialize(bytes)); // { a: 1 }
 * ```
 */
export class Serializer {
  /** The serializer's name. */
  readonly name: string;
  /** What was given: a built-in name, or a serializer of your own. */
  readonly given: SerializerName | CustomSerializer;
  readonly #format: ValueFormat;

  /**
   * Checks the name, and loads nothing.
   *
   * @param serializer A built-in name, or a serializer of your own.
   * @throws {TypeError} When there is none of that name; the message lists the valid ones.
   */
  constructor(serializer: SerializerName | CustomSerializer = "hashstash") {
    this.#format = formatOf(serializer);
    this.given = serializer;
    this.name = this.#format.name;
  }

  /**
   * The bytes of a value; rejects with a `TypeError` that names the part which cannot be
   * serialized.
   *
   * @param value Any value that the serializer gives back exactly.
   */
  async serialize(value: unknown): Promise<Uint8Array> {
    return await this.#format.serialize(value);
  }
}

/** Bytes of any serializer to values: bytes say what they are. */
export class Deserializer {
  readonly #own: CustomSerializer | undefined;

  /**
   * A deserializer of all formats.
   *
   * @param serializer A serializer of your own that is to be known; the built-in ones are.
   */
  constructor(serializer?: SerializerName | CustomSerializer) {
    if (serializer !== undefined) formatOf(serializer);
    if (typeof serializer === "object") this.#own = serializer;
  }

  /**
   * The value of serialized bytes; rejects with a `DecodeError` when they are damaged.
   *
   * @param bytes What a `Serializer` returned. They are not changed.
   */
  async deserialize(bytes: Uint8Array): Promise<unknown> {
    const content = checkBytes("deserialize", bytes);
    return await deserializeContent(content, layerOf(content), this.#own);
  }
}

/**
 * As {@linkcode Serializer}, in one call.
 *
 * @param value Any value that the serializer gives back exactly.
 * @param serializer Default: `"hashstash"`.
 *
 * @example
 * ```ts
 * import { deserialize, serialize } from "@hashstash/hashstash/codec";
 *
 * const bytes = await serialize({ a: [1, 2] });
 * console.log(new TextDecoder().decode(bytes)); // {"a":[1,2]}
 * console.log(await deserialize(bytes)); // { a: [ 1, 2 ] }
 * ```
 */
export async function serialize(
  value: unknown,
  serializer?: SerializerName | CustomSerializer,
): Promise<Uint8Array> {
  return await new Serializer(serializer).serialize(value);
}

/**
 * As {@linkcode Deserializer}, in one call.
 *
 * @param bytes What a serializer returned.
 */
export function deserialize(bytes: Uint8Array): Promise<unknown> {
  return new Deserializer().deserialize(bytes);
}
