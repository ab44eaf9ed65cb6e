/**
 * A local stand-in for the functions of `jsr:@std/encoding` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
import { Buffer } from "node:buffer";

function bytesOf(data: Uint8Array | ArrayBuffer | string): Buffer {
  if (typeof data === "string") return Buffer.from(data, "utf8");
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** Bytes to lower-case hexadecimal text. */
export function encodeHex(src: string | Uint8Array | ArrayBuffer): string {
  return bytesOf(src).toString("hex");
}

/** Bytes to standard base64 text with padding. */
export function encodeBase64(data: ArrayBuffer | Uint8Array | string): string {
  return bytesOf(data).toString("base64");
}

/** Standard base64 text to bytes; throws a `TypeError` when the text is not base64. */
export function decodeBase64(b64: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(b64) || b64.replace(/=+$/, "").length % 4 === 1) {
    throw new TypeError("Invalid Base64");
  }
  return new Uint8Array(Buffer.from(b64, "base64"));
}
