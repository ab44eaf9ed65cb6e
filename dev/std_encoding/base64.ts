const UTF8 = new TextEncoder();

/** The bytes (of a text: its UTF-8) as base64, padded. */
export function encodeBase64(data: ArrayBuffer | Uint8Array | string): string {
  if (data instanceof Uint8Array) return data.toBase64();
  return (typeof data === "string" ? UTF8.encode(data) : new Uint8Array(data)).toBase64();
}

/**
 * The bytes that the base64 stands for. The padding may be absent, and what bits are left in the
 * last character are ignored: `QR==` is `QQ==`.
 *
 * @throws {TypeError} if a character is not one of base64
 * @throws {RangeError} if a character is alone in the last group of four
 */
export function decodeBase64(b64: string): Uint8Array<ArrayBuffer> {
  const text = b64.length % 4 === 0 ? b64.replace(/={1,2}$/, "") : b64;
  // Before the native decoder, which skips white space.
  const other = /[^A-Za-z0-9+/]/.exec(text);
  if (other) throw new TypeError(`Cannot decode input as base64: Invalid character (${other[0]})`);
  if (text.length % 4 === 1) {
    throw new RangeError(
      `Cannot decode input as base64: Length (${text.length}), excluding padding, must not have a remainder of 1 when divided by 4`,
    );
  }
  return Uint8Array.fromBase64(text, { lastChunkHandling: "loose" });
}
