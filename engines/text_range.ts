/**
 * What comes right after all texts that begin with the prefix, in the order of the code points, which
 * is that of UTF-8; `undefined` when nothing does.
 */
export function textAfter(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10FFFF) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  // Surrogates are no code points of their own.
  return String.fromCodePoint(...points, last === 0xD7FF ? 0xE000 : last + 1);
}
