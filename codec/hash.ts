import { builtinModule } from "../platform/system.ts";

/**
 * The SHA-256 of bytes, or of a text's UTF-8 bytes, as 64 lower-case hexadecimal digits.
 *
 * @param data Bytes or text; a lone surrogate counts as U+FFFD, as in all UTF-8.
 *
 * @example
 * ```ts
 * import { hash } from "@hashstash/hashstash/codec";
 *
 * console.log(hash("abc")); // ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
 * ```
 */
export function hash(data: string | Uint8Array): string {
  // 1 µs for a short text, where crypto.subtle takes 25 and a promise. It gives hexadecimal itself,
  // so that @std/encoding has nothing to do. Loaded here and not above: that costs 27 ms, and most
  // names and keys don't need it.
  return builtinModule("node:crypto").hash("sha256", data);
}
