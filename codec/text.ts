/** Text to bytes and back: UTF-8 and base64. */
import { decodeBase64, encodeBase64 } from "../platform/base64.ts";
import { DecodeError } from "./errors.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

const [ZERO, NINE] = encoder.encode("09");

/** Whether a character, by its code, is one of the digits 0 to 9. */
export function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** The length of the longest string. */
const MAX_CHARACTERS = 2 ** 29 - 24;

/** The UTF-8 bytes of a text. */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Up to so many characters a text is encoded sooner into a buffer that is there than into its own. */
const SHORT = 4_096;

/**
 * The same of many contents, of which some are texts: short ones get their bytes side by side in one
 * buffer, which takes half the time. It is in memory for as long as one of them is.
 */
export function toBytesTogether(contents: readonly (string | Uint8Array)[]): Uint8Array[] {
  const isShort = (content: string | Uint8Array) =>
    typeof content === "string" && content.length <= SHORT;
  const size = contents.reduce((sum, content) => isShort(content) ? sum + content.length : sum, 0);
  const buffer = new Uint8Array(size);
  let start = 0;
  return contents.map((content) => {
    if (typeof content !== "string") return content;
    if (!isShort(content)) return toBytes(content);
    const { read, written } = encoder.encodeInto(content, buffer.subarray(start));
    // There is room for ASCII.
    if (read < content.length) return toBytes(content);
    return buffer.subarray(start, start += written);
  });
}

/** The longest text that `isAscii` looks at, characters. */
export const LONGEST_ASCII = 131_072;

let scratch: Uint8Array<ArrayBuffer> | undefined;

/** Whether all characters of a text, which is no longer than `LONGEST_ASCII`, are ASCII. */
export function isAscii(text: string): boolean {
  // By encoding it: ten times as fast as a regular expression.
  const { read, written } = encoder.encodeInto(text, scratch ??= new Uint8Array(LONGEST_ASCII));
  return read === text.length && written === text.length;
}

/**
 * The text of UTF-8 bytes.
 *
 * @throws {DecodeError} When the bytes are not UTF-8.
 */
export function fromBytes(bytes: Uint8Array): string {
  // The lenient decoder is 4-8 × as fast, and marks what it could not read with U+FFFD: only a text
  // that has one is read again strictly. It takes no more bytes than a string has characters.
  if (bytes.length <= MAX_CHARACTERS) {
    const text = decoder.decode(bytes);
    if (!text.includes("\ufffd")) return text;
  }
  try {
    return strictDecoder.decode(bytes);
  } catch (cause) {
    throw new DecodeError("Cannot decode text: it is not UTF-8, or longer than a string can be", {
      cause,
      kind: "foreign",
    });
  }
}

/** Standard base64 text with padding, of exactly these bytes. */
export const toBase64: (bytes: Uint8Array) => string = encodeBase64;

/**
 * The bytes of standard base64 text.
 *
 * @throws {DecodeError} When the text is not what `toBase64` writes, to the last bit: no white
 * space, no missing padding, no bits set after the end.
 */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return decodeBase64(text);
  } catch (cause) {
    // Text that begins with one of these letters is more often somebody's than base64 of ours.
    throw new DecodeError("Cannot decode base64: the text is damaged", { cause, kind: "foreign" });
  }
}
