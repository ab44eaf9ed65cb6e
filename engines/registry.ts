import type { EngineFactory, EngineLocation } from "./engine.ts";
import { createEngine as createMemoryEngine, memoryPath } from "./memory/mod.ts";
import { createEngine as createShelveEngine } from "./shelve/mod.ts";
import { sharedPath, storePath } from "./paths.ts";
import { redisPath } from "./redis/address.ts";
import { shelvePath } from "./shelve/place.ts";

/** The names of the built-in engines. */
export type EngineName =
  | "memory"
  | "pairtree"
  | "sqlite"
  | "shelve"
  | "redis"
  | "pickledb"
  | "diskcache"
  | "lmdb";

type Options = Record<string, unknown>;

/** What is known of an engine before its module is loaded: where it keeps its data. */
const PATHS: Record<EngineName, (location: EngineLocation, options: Options) => string> = {
  memory: memoryPath,
  pairtree: (location, options) => storePath("pairtree", location, options),
  sqlite: (location, options) => sharedPath("sqlite.db", location, options),
  shelve: shelvePath,
  redis: redisPath,
  pickledb: (location, options) => storePath("pickledb", location, options, ".json"),
  diskcache: (location, options) => storePath("diskcache", location, options),
  lmdb: (location, options) => sharedPath("lmdb", location, options),
};

/** The names of the built-in engines, for messages and loops. */
export const ENGINE_NAMES = Object.keys(PATHS) as EngineName[];

/** Where the engine keeps the data of this location; known without loading the engine. */
export function enginePath(name: EngineName, location: EngineLocation, options: Options): string {
  return PATHS[name](location, options);
}

/**
 * Engines without third-party code: in every program's graph, so that loading them needs no
 * permission.
 */
const STATIC: Partial<Record<EngineName, EngineFactory>> = {
  memory: createMemoryEngine,
  shelve: createShelveEngine,
};

/**
 * Loads an engine's module: the first time from disk or network, then from memory.
 *
 * Its address is computed, so that a program downloads only the engines that it opens: a literal
 * `import("./lmdb/mod.ts")` would bring 24 MB of npm packages into every program's graph.
 */
export async function loadEngine(name: EngineName): Promise<EngineFactory> {
  const known = STATIC[name];
  if (known !== undefined) return known;
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const module = await import(new URL(`./${name}/mod${extension}`, import.meta.url).href);
  return module.createEngine;
}
