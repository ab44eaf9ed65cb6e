import { DecodeError } from "./errors.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** The UTF-8 bytes of a text. */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/**
 * The text of UTF-8 bytes.
 *
 * @throws {DecodeError} When the bytes are not UTF-8.
 */
export function fromBytes(bytes: Uint8Array): string {
  // The lenient decoder is 4-8 × as fast, and marks what it could not read with U+FFFD: only a text
  // that has one is read again strictly.
  const text = decoder.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  try {
    return strictDecoder.decode(bytes);
  } catch (cause) {
    throw new DecodeError("Cannot decode text: it is not UTF-8", { cause });
  }
}
