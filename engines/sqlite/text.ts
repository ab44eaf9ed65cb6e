import type { SqlValue } from "./driver.ts";

/**
 * What comes right after all texts that begin with the prefix, in SQLite's order: that of the code
 * points, and any blob after any text.
 */
export function firstAfter(prefix: string): SqlValue {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10FFFF) points.pop();
  const last = points.pop();
  if (last === undefined) return new Uint8Array(0);
  // Surrogates are no code points of their own.
  return String.fromCodePoint(...points, last === 0xD7FF ? 0xE000 : last + 1);
}
