/**
 * A place for stashes of one engine: a root folder of its own and, for redis, a server of its own;
 * all gone at the end.
 */
import { HashStash, type HashStashOptions } from "../../mod.ts";
import type { EngineName } from "../../engines/registry.ts";
import { type RedisServer, startRedis } from "./redis_server.ts";

/** The engines, for tests that run on all. */
export const ENGINES: readonly EngineName[] = [
  "memory",
  "pairtree",
  "sqlite",
  "shelve",
  "redis",
  "pickledb",
  "diskcache",
  "lmdb",
];

/** Engines whose data outlives the process. */
export const PERSISTENT = ENGINES.filter((engine) => engine !== "memory");

let counter = 0;

/** Makes stashes of one engine. */
export class TestBed implements AsyncDisposable {
  readonly engine: EngineName;
  readonly root: string;
  readonly #server: RedisServer | undefined;

  private constructor(engine: EngineName, root: string, server: RedisServer | undefined) {
    this.engine = engine;
    this.root = root;
    this.#server = server;
  }

  static async create(engine: EngineName): Promise<TestBed> {
    const server = engine === "redis" ? await startRedis() : undefined;
    return new TestBed(engine, await Deno.makeTempDir({ prefix: `hashstash_${engine}_` }), server);
  }

  /** Options of a stash here; under a name of its own unless one is given. */
  options(overrides: HashStashOptions = {}): HashStashOptions {
    return {
      name: `stash_${++counter}`,
      engine: this.engine,
      rootDir: this.root,
      ...overrides,
      engineOptions: {
        ...(this.#server && { url: this.#server.url }),
        ...overrides.engineOptions,
      },
    };
  }

  /** A stash here. */
  // deno-lint-ignore no-explicit-any -- tests put all sorts of things in
  stash<K = any, V = any>(overrides?: HashStashOptions): HashStash<K, V> {
    return new HashStash<K, V>(this.options(overrides));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    await Deno.remove(this.root, { recursive: true });
  }
}

/** All of an async iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}
