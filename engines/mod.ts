/**
 * The storage engines: the interface, the contract that proves one, and what the built-in ones are
 * made with.
 *
 * An engine of your own is a factory or an object for the option `engine` of a stash: it needs the
 * methods of {@linkcode Engine} that have no question mark.
 *
 * @example A stash whose entries are written down as they are set
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { complete, Decorator, type NewEntry } from "@hashstash/hashstash/engines";
 * import { memory } from "@hashstash/hashstash/engines/memory";
 *
 * class Logged extends Decorator {
 *   override set(key: string, entry: NewEntry) {
 *     console.log("set", key);
 *     return this.inner.set(key, entry);
 *   }
 * }
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: (location) => new Logged(complete(memory(location))),
 * });
 * await stash.set("key", "value"); // set key
 * ```
 *
 * @module
 */
export * from "./engine.ts";
export {
  complete,
  type CompleteOptions,
  type Store,
  type Texts,
  type WriteEnd,
  type WriteWatch,
} from "./complete.ts";
export { Decorator } from "./decorator.ts";
export {
  type ContractCase,
  type ContractHarness,
  type ContractLocation,
  engineContract,
} from "./contract/mod.ts";
export {
  /** A backend failed. */
  EngineError,
  /** What such an error is made with. */
  type EngineErrorOptions,
} from "./errors.ts";
export { explainFile } from "./file_failures.ts";
export { batches, each } from "./each.ts";
export { defaultRootDir, encodeSegment } from "./location.ts";
export { checkOptionNames, choiceOption, integerOption } from "./options.ts";
export { nestedFolder, sharedPath, storePath } from "./paths.ts";
export { type FileHold, type Hold, type Identify, SharedResources } from "./shared.ts";
export type { Kv } from "../platform/kv.ts";
export {
  ENGINE_NAMES,
  /** The names of the built-in engines. */
  type EngineName,
} from "./registry.ts";
export type {
  AnyEngineOptions,
  DiskcacheEngineOptions,
  EngineOptionsByName,
  /** The options of an engine. */
  EngineOptionsOf,
  LmdbEngineOptions,
  MemoryEngineOptions,
  ModeOption,
  PairtreeEngineOptions,
  PathOption,
  PickledbEngineOptions,
  ShelveEngineOptions,
  SqliteEngineOptions,
} from "./engine_options.ts";
export type { PostgresEngineOptions } from "./postgres/address.ts";
export type { RedisEngineOptions, RedisNode } from "./redis/address.ts";
