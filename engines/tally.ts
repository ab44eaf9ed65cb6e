import type { StoreUsage } from "./engine.ts";

const encoder = new TextEncoder();

/** A longer text is encoded faster than it is looked through. */
const SHORT = 200;

/** How many bytes a text has in UTF-8. */
export function utf8Length(text: string): number {
  // Most keys are short and of ASCII: to encode one to see its length shows in a set of 5 µs.
  for (let i = 0; i < text.length; i++) {
    if (i === SHORT || text.charCodeAt(i) > 0x7f) return encoder.encode(text).byteLength;
  }
  return text.length;
}

/** Adds up what a store holds, entry by entry. */
export class Tally {
  #entries = 0;
  #bytes = 0;
  #lastWrite: number | undefined;

  /**
   * Counts entries.
   *
   * @param bytes Of their keys and values.
   * @param timestamp When the latest of them was set; absent where that is not kept.
   * @param entries How many they are.
   */
  add(bytes: number, timestamp?: number, entries = 1): void {
    this.#entries += entries;
    this.#bytes += bytes;
    if (timestamp === undefined || timestamp < (this.#lastWrite ?? -Infinity)) return;
    this.#lastWrite = timestamp;
  }

  /** What has been counted. */
  get usage(): StoreUsage {
    const counts = { entries: this.#entries, bytes: this.#bytes };
    return this.#lastWrite === undefined ? counts : { ...counts, lastWrite: this.#lastWrite };
  }
}
