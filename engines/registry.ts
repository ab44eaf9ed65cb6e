import type { EngineFactory, EngineLocation } from "./engine.ts";
import { messageOf } from "./errors.ts";
import { memory } from "./memory/mod.ts";
import { memoryPath, sharedPath, storePath } from "./paths.ts";
import { sourceOf } from "../platform/library.ts";
import { postgresPath } from "./postgres/address.ts";
import { redisPath } from "./redis/address.ts";
import { shelvePath } from "./shelve/address.ts";

/** The names of the built-in engines. */
export type EngineName =
  | "memory"
  | "pairtree"
  | "sqlite"
  | "shelve"
  | "redis"
  | "pickledb"
  | "diskcache"
  | "lmdb"
  | "postgres";

type Options = Record<string, unknown>;

/** What is known of an engine before its module is loaded. */
interface EngineFacts {
  /** Whether it keeps files below the root folder, unless its options name another place. */
  readonly keepsFiles: boolean;
  /** Where it keeps its data. */
  path(location: EngineLocation, options: Options): string;
  /** Loads its module. */
  load(): EngineFactory | Promise<EngineFactory>;
}

/**
 * How engines reach a program. memory needs nothing, and is loaded with every program. Those without
 * npm packages are in every program's graph by a literal `import()`, so that a program that was
 * cached, bundled or vendored has them, and are run only when they are opened. Those with npm packages have a computed address: a literal `import("./lmdb/mod.ts")`
 * would bring 24 MB of npm packages into every program's graph. A program that imports the factory
 * of `./engines/lmdb` itself has it in its graph.
 */
const ENGINES: Record<EngineName, EngineFacts> = {
  memory: { keepsFiles: false, path: memoryPath, load: () => memory },
  pairtree: {
    keepsFiles: true,
    path: (location, options) => storePath("pairtree", location, options),
    load: async () => (await import("./pairtree/mod.ts")).pairtree,
  },
  sqlite: {
    keepsFiles: true,
    path: (location, options) => sharedPath("sqlite.db", location, options),
    load: async () => (await import("./sqlite/mod.ts")).sqlite,
  },
  shelve: {
    keepsFiles: true,
    path: shelvePath,
    load: async () => (await import("./shelve/mod.ts")).shelve,
  },
  redis: { keepsFiles: false, path: redisPath, load: () => loadByAddress("redis") },
  pickledb: {
    keepsFiles: true,
    path: (location, options) => storePath("pickledb", location, options, ".json"),
    load: async () => (await import("./pickledb/mod.ts")).pickledb,
  },
  diskcache: {
    keepsFiles: true,
    path: (location, options) => storePath("diskcache", location, options),
    load: async () => (await import("./diskcache/mod.ts")).diskcache,
  },
  lmdb: {
    keepsFiles: true,
    path: (location, options) => sharedPath("lmdb", location, options),
    load: () => loadByAddress("lmdb"),
  },
  postgres: { keepsFiles: false, path: postgresPath, load: () => loadByAddress("postgres") },
};

/** The names of the built-in engines, for messages and loops. */
export const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[];

/** Whether it is the name of a built-in engine. */
export function isEngineName(name: string): name is EngineName {
  return Object.hasOwn(ENGINES, name);
}

/** Whether the engine keeps files below a root folder. */
export function keepsFiles(name: EngineName): boolean {
  return ENGINES[name].keepsFiles;
}

/** Where the engine keeps the data of this location; known without loading the engine. */
export function enginePath(name: EngineName, location: EngineLocation, options: Options): string {
  return ENGINES[name].path(location, options);
}

/** Loads an engine's module: the first time from disk or network, then from memory. */
export async function loadEngine(name: EngineName): Promise<EngineFactory> {
  return await ENGINES[name].load();
}

async function loadByAddress(name: EngineName): Promise<EngineFactory> {
  const address = sourceOf(new URL(`./${name}/mod`, import.meta.url));
  try {
    const module = await import(address);
    return module[name];
  } catch (cause) {
    const factory = `import { ${name} } from "@hashstash/hashstash/engines/${name}"`;
    throw new Error(
      `it is fetched at its first use unless it is part of the program: ${factory} ` +
        `and give \`engine: ${name}\` (${messageOf(cause)})`,
      { cause },
    );
  }
}
