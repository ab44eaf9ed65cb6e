/** The built-in serializers, and which of them reads what. */
import { attempt } from "./attempt.ts";
import type { Awaitable } from "../platform/awaitable.ts";
import { type CustomSerializer, deserializeCustom } from "./custom.ts";
import { DecodeError } from "./errors.ts";
import { layerOf } from "./format.ts";
import type { SerializerName } from "./names.ts";
import { deserializeBytes } from "./serializers/bytes.ts";
import type { Format } from "./serializers/types.ts";
import { hashstash } from "./serializers/hashstash.ts";
import { json } from "./serializers/json.ts";
import { msgpack } from "./serializers/msgpack.ts";
import { v8 } from "./serializers/v8.ts";

/** The built-in serializers. */
export const FORMATS: Record<SerializerName, Format> = { hashstash, json, msgpack, v8 };

/**
 * The value of serialized bytes.
 *
 * @param own The custom serializer to prefer, when the bytes name it.
 * @throws {DecodeError} When they are damaged or none of ours.
 */
export function deserializeContent(
  content: Uint8Array,
  own?: CustomSerializer,
): Awaitable<unknown> {
  const name = layerOf(content)?.name;
  switch (name) {
    case "json":
    case "msgpack":
    case "v8":
      return attempt(
        "Cannot decode value: it is damaged",
        () => FORMATS[name].deserialize(content),
      );
    case "bytes":
      return deserializeBytes(content);
    case "custom serializer":
      return deserializeCustom(content, own);
    default:
      throw new DecodeError("Cannot decode value: its bytes are none of the known formats");
  }
}
