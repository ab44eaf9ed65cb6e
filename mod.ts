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
import "./platform/oldest.ts";

export * from "./codec/mod.ts";
export type {
  QueryPredicates,
  RecordsOptions,
  StashRecord,
  StashRecords,
} from "./store/records.ts";
export type * from "./store/arquero.ts";
export { KeyNotFoundError } from "./store/errors.ts";
export {
  HashStash,
  type MappedFunction,
  type StashedBatch,
  type StashedFunction,
  type StashedResult,
  type StashedResultDecorator,
  type StashMappedDecorator,
} from "./stash/hash_stash.ts";
export type {
  AnyArguments,
  CheckOptions,
  StashCheck,
  StashEntry,
  StashProblem,
  StashStats,
  Version,
} from "./store/types.ts";
export type { StoreInfo } from "./store/stores.ts";
export type {
  StashEvent,
  StashEventDetail,
  StashEventListener,
  StashEventMessage,
  StashEvents,
  StashEventType,
} from "./store/events.ts";
export { type Computation, computation, type KeepOptions } from "./functions/computation.ts";
export type { FlightOptions } from "./functions/options.ts";
export type { BatchOptions, BatchResult, GetOrSetManyOptions } from "./functions/batch.ts";
export type { GetOrSetOptions } from "./functions/get_or_set.ts";
export type { WorkerOptions } from "./functions/worker_pool.ts";
export type { MapError, MapOptions, MappedReturn, MapRun } from "./functions/map.ts";
export type {
  CallOptions,
  FunctionOptions,
  StashedReturn,
  StoredReturn,
} from "./functions/memoize.ts";
export type { StoredGenerator } from "./functions/replay.ts";
export {
  stashedResult,
  type StashedResultIn,
  type StashedResultOptions,
} from "./stash/stashed_result.ts";
export type {
  EngineWithOptions,
  EvictPolicy,
  HashStashBaseOptions,
  HashStashJSON,
  HashStashOptions,
  NearJSON,
  NearOptions,
  SetOptions,
  TelemetryOptions,
  TouchOptions,
} from "./store/options.ts";
export type { InvalidateOptions, SelectOptions } from "./store/selection.ts";
export type { Pairs } from "./store/pairs.ts";
export type { StoredRecord } from "./store/transfer.ts";
export { EngineError, type EngineErrorOptions } from "./engines/errors.ts";
export type * from "./engines/engine.ts";
export type { EngineOptionsOf } from "./engines/engine_options.ts";
export type { EngineName } from "./engines/registry.ts";
