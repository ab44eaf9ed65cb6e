/**
 * The storage engines: the interface, its errors, the registry.
 *
 * @module
 */
export * from "./engine.ts";
export {
  type ContractCase,
  type ContractHarness,
  type ContractLocation,
  engineContract,
} from "./contract/mod.ts";
export { EngineError, type EngineErrorOptions } from "./errors.ts";
export type { Kv } from "../platform/kv.ts";
export { ENGINE_NAMES, type EngineName } from "./registry.ts";
export type {
  AnyEngineOptions,
  DiskcacheEngineOptions,
  EngineOptionsByName,
  EngineOptionsOf,
  LmdbEngineOptions,
  MemoryEngineOptions,
  PairtreeEngineOptions,
  PathOption,
  PickledbEngineOptions,
  ShelveEngineOptions,
  SqliteEngineOptions,
} from "./engine_options.ts";
export type { RedisEngineOptions, RedisNode } from "./redis/address.ts";
