/**
 * The stash: the async Map, and what is built on it.
 *
 * @module
 */
export { type RecordsOptions, type StashRecord, StashRecords } from "./records.ts";
export { KeyNotFoundError } from "./errors.ts";
export { HashStash } from "./hash_stash.ts";
export type { AnyArguments, StashCheck, StashProblem, StashStats, Version } from "./types.ts";
export type { FlightOptions } from "./functions/flight_options.ts";
export type { GetOrSetOptions } from "./functions/get_or_set.ts";
export type { WorkerOptions } from "./functions/worker_pool.ts";
export type {
  MapError,
  MapOptions,
  MappedFunction,
  MappedReturn,
  MapRun,
  StashMappedDecorator,
} from "./functions/map.ts";
export type {
  CallOptions,
  FunctionOptions,
  StashedFunction,
  StashedResult,
  StashedResultDecorator,
  StashedReturn,
  StoredReturn,
} from "./functions/memoize.ts";
export type { StoredGenerator } from "./functions/replay.ts";
export {
  stashedResult,
  type StashedResultIn,
  type StashedResultOptions,
} from "./functions/stashed_result.ts";
export type { HashStashJSON, HashStashOptions, SetOptions } from "./options.ts";
export type { Pairs } from "./_pairs.ts";
export type { StoredRecord } from "./transfer.ts";
