/** The built-in serializers, and which of them reads what. */
import type { Awaitable } from "../../platform/awaitable.ts";
import { type CustomSerializer, deserializeCustom } from "../custom.ts";
import { unknownFormat } from "../errors.ts";
import type { Layer, SerializerName, ValueFormat } from "../format.ts";
import { deserializeBytes, hashstash } from "./hashstash.ts";
import { json } from "./json.ts";
import { msgpack } from "./msgpack.ts";
import { v8 } from "./v8.ts";

/** The built-in serializers. */
export const SERIALIZERS: Record<SerializerName, ValueFormat> = { hashstash, json, msgpack, v8 };

/**
 * The value of serialized bytes.
 *
 * @param layer What the bytes are.
 * @param own The custom serializer to prefer, when the bytes name it.
 * @throws {DecodeError} When they are damaged, or no serializer's.
 */
export function deserializeContent(
  content: Uint8Array,
  layer: Layer | undefined,
  own?: CustomSerializer,
): Awaitable<unknown> {
  switch (layer?.name) {
    case "json":
      return json.deserialize(content);
    case "msgpack":
      return msgpack.deserialize(content);
    case "v8":
      return v8.deserialize(content);
    case "bytes":
      return deserializeBytes(content);
    case "custom serializer":
      return deserializeCustom(content, own);
    default:
      throw unknownFormat();
  }
}
