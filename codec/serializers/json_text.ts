import { DecodeError } from "../errors.ts";
import { looksRich, RICH } from "../plain.ts";
import { refuseInheritedToJson } from "../refusal.ts";
import { fromBytes, isDigit } from "../text.ts";
import { fromTree, toTree } from "../tree.ts";

const [MINUS] = codes("-");
/**
 * `JSON.parse` with the third argument of its reviver, which TypeScript's library does not know
 * yet.
 */
const parseWithSource = JSON.parse as (text: string, reviver: typeof exactInteger) => unknown;
const STARTS = codes('[{"');
/** What a number can stand behind, and before. */
const BEFORE = codes("[,:- \n\r\t");
const AFTER = codes(",]} \n\r\t");
/** JavaScript prints integers of up to 15 digits exactly. */
const SURE_DIGITS = 15;
/** Any 16 digits in a row have five together that begin at a multiple of it, less one. */
const STRIDE = 12;

/**
 * The text of a tagged tree.
 *
 * @throws {Refusal} At a part of the value that cannot be encoded.
 */
export function richText(value: unknown): string {
  refuseInheritedToJson();
  return JSON.stringify({ [RICH]: toTree(value) });
}

/**
 * The value of JSON text, whether plain or a tagged tree. Integers that no number prints the same
 * way become bigints.
 *
 * @throws {DecodeError} When the text is damaged.
 */
export function deserializeJson(bytes: Uint8Array): unknown {
  try {
    const text = fromBytes(bytes);
    return fromParsed(
      text,
      hasLongInteger(bytes) ? parseWithSource(text, exactInteger) : JSON.parse(text),
    );
  } catch (cause) {
    if (cause instanceof DecodeError && cause.kind !== "foreign") throw cause;
    // What begins as an object, list or string hardly is anything else; other text may be
    // anybody's.
    const kind = STARTS.includes(bytes[0]) ? "damaged" : "foreign";
    const message = cause instanceof DecodeError
      ? cause.message
      : "Cannot decode value: its JSON text is damaged";
    throw new DecodeError(message, { cause, kind });
  }
}

/** The same of text that was written here: it has no integers that are no numbers. */
export function deserializeText(text: string): unknown {
  return fromParsed(text, JSON.parse(text));
}

/** The parsed value, or what the tagged tree stands for that it is. */
function fromParsed(text: string, value: unknown): unknown {
  return text.startsWith(`{"${RICH}":`) && looksRich(value as object)
    ? fromTree((value as { [RICH]: unknown })[RICH])
    : value;
}

/**
 * Whether the text has an integer that JavaScript numbers cannot hold exactly. It looks at five
 * bytes in 12, and closer where all of them are digits, as those of most numbers are not; it may be
 * wrong about digits inside of strings, which costs time and nothing else.
 */
function hasLongInteger(bytes: Uint8Array): boolean {
  for (let i = STRIDE - 1; i < bytes.length - 4; i += STRIDE) {
    if (!areDigits(bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3], bytes[i + 4])) continue;
    let start = i;
    while (start > 0 && isDigit(bytes[start - 1])) start--;
    // Most numbers are shorter.
    if (!isDigit(bytes[start + SURE_DIGITS])) continue;
    let end = i;
    while (end < bytes.length && isDigit(bytes[end])) end++;
    if (
      end - start > SURE_DIGITS && isInteger(bytes[start - 1], bytes[end]) &&
      !isNumber(fromBytes(bytes.subarray(start, end)))
    ) return true;
    // The next bytes to look at stay five of every 12.
    while (i + STRIDE < end) i += STRIDE;
  }
  return false;
}

/**
 * Whether five bytes are digits, or one of the six characters behind the digits: without a branch
 * for each byte, which the processor would guess wrongly at every fourth of a text with numbers.
 */
function areDigits(a: number, b: number, c: number, d: number, e: number): boolean {
  return (a & b & c & d & e & 0x30) === 0x30 && ((a | b | c | d | e) & 0xc0) === 0;
}

/**
 * Whether digits between these bytes can be a JSON integer: no fraction, no exponent, and no whole
 * string, as the ids of many services are. To parse for the sake of such a string costs ten times
 * as much.
 */
function isInteger(before: number | undefined, after: number | undefined): boolean {
  return (before === undefined || BEFORE.includes(before)) &&
    (after === undefined || AFTER.includes(after));
}

/** Whether JavaScript prints the number of these digits the same way. */
function isNumber(digits: string): boolean {
  return String(Number(digits)) === digits;
}

function exactInteger(_name: string, value: unknown, { source }: { source: string }): unknown {
  if (typeof value !== "number" || source.length <= SURE_DIGITS) return value;
  const digits = source.charCodeAt(0) === MINUS ? source.slice(1) : source;
  return /^\d+$/.test(digits) && !isNumber(digits) ? BigInt(source) : value;
}

function codes(characters: string): number[] {
  return Array.from(characters, (character) => character.charCodeAt(0));
}
