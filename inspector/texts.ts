/** Values as text: to search in, to compare line by line, to edit. */
import { isPlain } from "../codec/plain.ts";
import { fromTaggedJSON, parseJSON, toTaggedJSON } from "../codec/tagged_json.ts";
import { inspect } from "../platform/system.ts";
import { INSPECT, showText } from "../store/show.ts";
import { hexLines } from "./hex.ts";

const decoder = new TextDecoder();

/** Bytes that are compared or edited as text. */
const LONGEST = 256_000;

/** The bytes of a value that is binary as a whole. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
}

/** A value as text to search in; bytes as UTF-8. */
export function searchText(value: unknown): string {
  if (typeof value === "string") return value;
  const bytes = bytesOf(value);
  if (bytes !== undefined) return decoder.decode(bytes);
  return isPlain(value) ? JSON.stringify(value) : inspect(value, INSPECT);
}

/** The lines of a value, to compare with another one's. */
export function linesOf(value: unknown): string[] {
  const bytes = bytesOf(value);
  if (bytes !== undefined) return hexLines(bytes.subarray(0, LONGEST));
  const text = typeof value === "string"
    ? value
    : isPlain(value)
    ? JSON.stringify(value, null, 2)
    : inspect(value, { ...INSPECT, breakLength: 80 });
  return text.slice(0, LONGEST).split("\n").map(showText);
}

/**
 * The JSON by which a value can be edited, tagged where JSON alone would lose a type; `undefined`
 * for bytes and what is too long.
 */
export async function editText(value: unknown): Promise<string | undefined> {
  if (bytesOf(value) !== undefined) return undefined;
  const text = await toTaggedJSON(value);
  return text.length > LONGEST ? undefined : text;
}

/**
 * The value of edited JSON.
 *
 * @throws {SyntaxError | RangeError | DecodeError} When it is not JSON, has a number that is too
 * large, or tags that are none of ours.
 */
export async function valueOfText(text: string): Promise<unknown> {
  return await fromTaggedJSON(parseJSON(text));
}

/** JSON on several lines, for a person to change; every number as it is written. */
export function indented(json: string): string {
  const value: unknown = JSON.parse(json);
  // What JavaScript would write otherwise, such as long integers, stays as it is.
  return JSON.stringify(value) === json ? JSON.stringify(value, null, 2) : json;
}
