/**
 * The stash: the async Map, and what is built on it.
 *
 * @module
 */
export { KeyNotFoundError } from "./errors.ts";
export {
  HashStash,
  type StashCheck,
  type StashProblem,
  type StashStats,
  type Version,
} from "./hash_stash.ts";
export type { HashStashJSON, HashStashOptions, SetOptions } from "./options.ts";
export type { Pairs } from "./_pairs.ts";
export type { StoredRecord } from "./transfer.ts";
