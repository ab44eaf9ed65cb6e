import { DecodeError } from "./errors.ts";

/** Standard base64 text with padding, of exactly these bytes. */
export function toBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

/**
 * The bytes of standard base64 text.
 *
 * @throws {DecodeError} When the text is not what `toBase64` writes, to the last bit: no white
 * space, no missing padding, no bits set behind the end.
 */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch (cause) {
    throw new DecodeError("Cannot decode base64: the text is damaged", { cause });
  }
  // The native decoder passes over white space, into which a flipped bit turns some letters.
  if (Math.ceil(bytes.length / 3) * 4 !== text.length) {
    throw new DecodeError("Cannot decode base64: the text is damaged");
  }
  return bytes;
}
