/**
 * HashStash: an async, dictionary-like cache over many storage engines.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ name: "my_cache", engine: "memory" });
 * await stash.set("my_key", { name: "John", age: 30 });
 * console.log(await stash.get("my_key")); // { name: "John", age: 30 }
 * ```
 *
 * @module
 */
export * from "./codec/mod.ts";
export * from "./stash/mod.ts";
export {
  type Awaitable,
  type Engine,
  type EngineCheck,
  EngineError,
  type EngineErrorOptions,
  type EngineName,
  type EngineProblem,
  type EngineSupports,
  type Entry,
  type NewEntry,
} from "./engines/mod.ts";
