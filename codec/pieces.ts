/**
 * The text that `JSON.stringify` gives, for less. V8 has a quick way to write JSON, and begins anew
 * on a slow one, two to three times as long, once it meets an object that it keeps as a dictionary:
 * one of a hundred names and more, one to which twenty were added one by one, or one whose names
 * are integers, as records by their ids are. So what is beside such an object, and what is large in
 * it, is written by itself. How V8 keeps an object cannot be asked; one that only looks like a
 * dictionary costs some calls more.
 */

import { isDigit } from "./text.ts";

/** How many names a dictionary has at least. */
const WIDE = 20;
/** A list with more items is written whole: most often they are small. */
const FEW_ITEMS = 16;
/** How deep pieces are divided. */
const DEEPEST = 100;
/** From so many characters on a piece is worth a call of its own. */
const LARGE = 1_000;
/** A list of so many items is as large as that. */
const MANY_ITEMS = 100;
/** So many parts of a dictionary tell what the others are like. */
const SAMPLE = 100;

/**
 * Objects and lists of a value that may be written in pieces: on the `"way"` to a dictionary, a
 * dictionary of other `"objects"`, or one of `"leaves"` alone.
 */
export type Divisible = Map<object, "way" | "objects" | "leaves">;

/** Whether V8 may keep an object with so many names, and this one the first, as a dictionary. */
export function mayBeDictionary(names: number, first: string): boolean {
  // Names that are integers come first.
  return names >= WIDE || isDigit(first.charCodeAt(0));
}

/** The JSON text of plain data. */
export function jsonText(value: unknown, divisible: Divisible): string {
  return divisible.size === 0
    ? JSON.stringify(value)
    : new PieceWriter(divisible).write(value as object, 0);
}

class PieceWriter {
  readonly #divisible: Divisible;

  constructor(divisible: Divisible) {
    this.#divisible = divisible;
  }

  write(value: object, depth: number): string {
    const kind = this.#divisible.get(value);
    if (kind === undefined || kind === "leaves" || depth > DEEPEST) return JSON.stringify(value);
    if (Array.isArray(value)) {
      return value.length <= FEW_ITEMS ? this.#items(value, depth + 1) : JSON.stringify(value);
    }
    const names = Object.keys(value);
    return kind === "way" || this.#hasLargeParts(value, names)
      ? this.#properties(value, names, depth + 1)
      : JSON.stringify(value);
  }

  /** Whether parts of a dictionary are large: its records most often are like the first of them. */
  #hasLargeParts(value: object, names: readonly string[]): boolean {
    let isFirst = true;
    const sample = Math.min(names.length, SAMPLE);
    for (let i = 0; i < sample; i++) {
      const part = (value as Record<string, unknown>)[names[i]];
      if (typeof part !== "object" || part === null) continue;
      if (isFirst && JSON.stringify(part).length >= LARGE) return true;
      isFirst = false;
      if (Array.isArray(part) && part.length >= MANY_ITEMS) return true;
    }
    return false;
  }

  #properties(value: object, names: readonly string[], depth: number): string {
    const parts: string[] = [];
    for (const name of names) {
      const text = this.#part((value as Record<string, unknown>)[name], depth);
      if (text !== undefined) parts.push(`${JSON.stringify(name)}:${text}`);
    }
    return `{${parts.join()}}`;
  }

  #items(value: readonly unknown[], depth: number): string {
    return `[${value.map((item) => this.#part(item, depth) ?? "null").join()}]`;
  }

  /** `undefined` for what JSON has no text for, as a getter may give the second time. */
  #part(part: unknown, depth: number): string | undefined {
    return typeof part === "object" && part !== null
      ? this.write(part, depth)
      : JSON.stringify(part);
  }
}
