import { concat } from "@std/bytes/concat";
import { RAW_MARK, type ValueFormat } from "../format.ts";
import { isBytes, refuseExtras, refuseUnreadable } from "../leaves.ts";
import { plainText } from "../plain.ts";
import { refusalError } from "../refusal.ts";
import { toBytes } from "../text.ts";
import { deserializeJson, richText } from "./json_text.ts";

/** Plain JSON where that is exact, bytes as they are, and else a tagged tree in JSON. */
export const hashstash: ValueFormat = {
  name: "hashstash",
  serialize: (value) => {
    try {
      return isBytes(value) ? serializeBytes(value) : toBytes(textOf(value));
    } catch (error) {
      throw refusalError("Cannot serialize value", error);
    }
  },
  text: (value) => {
    try {
      return isBytes(value) ? undefined : textOf(value);
    } catch (error) {
      throw refusalError("Cannot serialize value", error);
    }
  },
  deserialize: deserializeJson,
};

function textOf(value: unknown): string {
  return plainText(value) ?? richText(value);
}

/**
 * What the value is now, in objects of its own: it was `value` when this was called, whatever
 * becomes of that. Parts come back as they do from storage.
 *
 * @throws {TypeError} When a part of the value cannot be serialized.
 */
export function snapshot(value: unknown): unknown {
  const bytes = hashstash.serialize(value) as Uint8Array;
  return isBytes(value) ? deserializeBytes(bytes) : deserializeJson(bytes);
}

/** Raw bytes: their mark and the bytes. */
function serializeBytes(value: Uint8Array): Uint8Array {
  refuseUnreadable(value);
  refuseExtras(value);
  return concat([RAW_MARK, value]);
}

/** The value of raw bytes: a copy, since the reader may write to it. */
export function deserializeBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.subarray(RAW_MARK.length));
}
