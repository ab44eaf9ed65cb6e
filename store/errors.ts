/**
 * The key is not in the stash; only `getOrThrow` throws it.
 *
 * @example
 * ```ts
 * import { HashStash, KeyNotFoundError } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * const error = await stash.getOrThrow("no such key").catch((error) => error);
 * console.log(error instanceof KeyNotFoundError); // true
 * ```
 */
export class KeyNotFoundError extends Error {
  /** `"KeyNotFoundError"`. */
  override readonly name = "KeyNotFoundError";
  /** The key that was asked for. */
  readonly key: unknown;

  /**
   * Makes the error.
   *
   * @param message What was looked for, and where.
   * @param key The key that was asked for.
   */
  constructor(message: string, key: unknown) {
    super(message);
    this.key = key;
  }
}
