/**
 * A local stand-in for the functions of `jsr:@std/html` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** The text with `&`, `<`, `>`, `"` and `'` written as HTML entities. */
export function escape(str: string): string {
  return str.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);
}
