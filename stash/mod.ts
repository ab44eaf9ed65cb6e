/**
 * The stash: the async Map, and what is built on it.
 *
 * @module
 */
export { type RecordsOptions, type StashRecord, StashRecords } from "./records.ts";
export { KeyNotFoundError } from "./errors.ts";
export { HashStash } from "./hash_stash.ts";
export type { AnyArguments, StashCheck, StashProblem, StashStats, Version } from "./types.ts";
export type { FlightOptions } from "./_flight_options.ts";
export type { GetOrSetOptions } from "./get_or_set.ts";
export type { WorkerOptions } from "./_worker_pool.ts";
export type {
  MapError,
  MapOptions,
  MappedFunction,
  MappedReturn,
  MapRun,
  StashMappedDecorator,
} from "./map.ts";
export type {
  CallOptions,
  FunctionOptions,
  StashedFunction,
  StashedResult,
  StashedResultDecorator,
  StashedReturn,
  StoredReturn,
} from "./memoize.ts";
export type { StoredGenerator } from "./_replay.ts";
export {
  stashedResult,
  type StashedResultIn,
  type StashedResultOptions,
} from "./stashed_result.ts";
export type { HashStashJSON, HashStashOptions, SetOptions } from "./options.ts";
export type { Pairs } from "./_pairs.ts";
export type { StoredRecord } from "./transfer.ts";
