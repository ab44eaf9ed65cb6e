import { typeOf } from "../store/options.ts";

/** How many tags an entry may have. */
const MOST = 100;

/**
 * Checks tags, and drops those that come twice.
 *
 * @throws {TypeError} When they are no list of texts, or one is empty.
 * @throws {RangeError} When they are more than an entry may have.
 */
export function checkTags(tags: unknown): string[] {
  if (!Array.isArray(tags)) {
    throw new TypeError(`Expected tags to be an array of strings, got ${typeOf(tags)}`);
  }
  for (const tag of tags) {
    if (typeof tag !== "string") {
      throw new TypeError(`Expected tags to be an array of strings, got ${typeOf(tag)} in it`);
    }
    if (tag === "") throw new TypeError("Expected tags that are not empty");
  }
  const distinct = [...new Set<string>(tags)];
  if (distinct.length > MOST) {
    throw new RangeError(`Expected no more than ${MOST} tags, got ${distinct.length}`);
  }
  return distinct;
}
