import { Refusal } from "./refusal.ts";

/** Characters that may be written again. */
const MAX_COPIED = 2 ** 24;

/**
 * The texts of objects, for writers that have no references and write an object again wherever it
 * comes again. A few objects that hold each other twice would take forever, and all memory.
 */
export class SharedTexts {
  readonly #texts = new Map<object, string>();
  #copied = 0;

  /**
   * The text of an object that was written before.
   *
   * @throws {Refusal} When too much has been written again.
   */
  get(object: object): string | undefined {
    const text = this.#texts.get(object);
    if (text === undefined) return undefined;
    this.#copied += text.length;
    if (this.#copied > MAX_COPIED) {
      throw new Refusal("is part of a value whose shared parts are too long when written out");
    }
    return text;
  }

  /** Keeps the text of an object. */
  set(object: object, text: string): void {
    this.#texts.set(object, text);
  }
}
