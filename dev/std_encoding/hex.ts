const UTF8 = new TextEncoder();

/** The bytes (of a text: its UTF-8) as lower-case hexadecimal digits. */
export function encodeHex(src: string | Uint8Array | ArrayBuffer): string {
  const bytes = typeof src === "string" ? UTF8.encode(src) : new Uint8Array(src);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The bytes that the hexadecimal digits, of either case, stand for.
 *
 * @throws {RangeError} if one digit is alone
 * @throws {TypeError} if there is something else than digits
 */
export function decodeHex(src: string): Uint8Array<ArrayBuffer> {
  if (src.length % 2 !== 0) {
    throw new RangeError(
      `Cannot decode input as hex: Length (${src.length}) must be divisible by 2`,
    );
  }
  const other = /[^0-9a-fA-F]/.exec(src);
  if (other) throw new TypeError(`Cannot decode input as hex: Invalid character (${other[0]})`);
  const pairs = src.match(/../g) ?? [];
  return Uint8Array.from(pairs, (digits) => Number.parseInt(digits, 16));
}
