/**
 * One Redis string per entry: the Redis key is `name:dbname:key`, the value is the stored bytes and
 * nothing else, so that `redis-cli GET my_cache:main:my_key` shows what a stash without compression
 * holds. `:` and `%` in the names are percent-encoded: no two stores share a beginning of their
 * keys.
 *
 * Deadlines are Redis' own, kept by the server's clock: where ours shows another time, the server is
 * told how much time is left (`PX`), else the deadline itself (`PXAT`). When a value was set is not kept.
 * What survives a crash or a restart of the server, and whether entries are evicted when its memory
 * is full, is up to its settings (`appendonly`, `save`, `maxmemory-policy`). Needs Redis 6.2,
 * Valkey, or what speaks like them and runs Lua scripts.
 *
 * @module
 */
import type {
  Bus,
  Engine,
  EngineCheck,
  EngineCheckOptions,
  EngineLocation,
  EngineOperation,
  EngineSupports,
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { builtIn } from "../built_in.ts";
import { guardStore } from "../guard.ts";
import type { Hold } from "../shared.ts";
import { type RedisAddress, redisAddress, type RedisEngineOptions } from "./address.ts";
import { busOn } from "./bus.ts";
import { checkRedis } from "./check.ts";
import { connect, type RedisConnection } from "./connection.ts";
import { explainRedis } from "./errors.ts";
import { RedisNames } from "./format.ts";
import { RedisStore } from "./store.ts";

class RedisEngine implements Engine {
  readonly name = "redis";
  readonly path: string;
  readonly supports: EngineSupports;
  readonly #address: RedisAddress;
  readonly #names: RedisNames;
  /** Set by `open`, before which no other method is called. */
  #hold!: Hold<RedisConnection>;
  #store!: RedisStore;

  constructor(location: EngineLocation, address: RedisAddress) {
    this.path = address.path;
    this.#address = address;
    this.#names = new RedisNames(location);
    // A script is about keys of one server.
    const guard = !address.isCluster || this.#names.areTogether;
    this.supports = {
      persistent: true,
      shared: true,
      prefix: true,
      guard,
      stores: true,
      ordered: true,
    };
  }

  async open(): Promise<void> {
    this.#hold = await connect(this.#address);
    this.#store = new RedisStore(this.#hold.resource, this.#names);
  }

  async close(): Promise<void> {
    await this.#hold.release();
  }

  explain(error: unknown, operation: EngineOperation): string | undefined {
    return explainRedis(error, operation, this.#address);
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#store.get(key);
  }

  getValue(key: string): Promise<EntryValue | undefined> {
    return this.#store.getValue(key);
  }

  getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return this.#store.getMany(keys);
  }

  getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    return this.#store.getValues(keys);
  }

  has(key: string): Promise<boolean> {
    return this.#store.has(key);
  }

  set(key: string, entry: NewEntry): Promise<void> {
    return this.#store.set(key, entry);
  }

  setMany(pairs: [string, NewEntry][]): Promise<void> {
    return this.#store.setMany(pairs);
  }

  delete(key: string): Promise<boolean> {
    return this.#store.delete(key);
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#store.deleteMany(keys);
  }

  deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    return this.#store.deleteUnchanged(entries);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    const other = guard &&
      guardStore(RedisEngine, guard).#store.guard(guard.key, guard.expected);
    return this.#store.compareAndSet(key, expected, next, other);
  }

  keys(prefix = ""): AsyncIterable<string> {
    return this.#store.keys(prefix);
  }

  entries(prefix = ""): AsyncIterable<[string, Entry]> {
    return this.#store.entries(prefix);
  }

  size(prefix = ""): Promise<number> {
    return this.#store.size(prefix);
  }

  clear(deep = false, prefix = ""): Promise<void> {
    return this.#store.clear(deep, prefix);
  }

  check(options: EngineCheckOptions): Promise<EngineCheck> {
    return checkRedis(this.#hold.resource, this.#names, this.#store, options);
  }

  byteSize(prefix = ""): Promise<number> {
    return this.#store.byteSize(prefix);
  }

  stores(counted: boolean): AsyncIterable<FoundStore> {
    return this.#store.stores(counted);
  }

  bus(): Bus {
    const { db, timeout } = this.#address;
    return busOn(this.#hold.resource, this.#names.channel(db), timeout);
  }
}

/**
 * Makes the engine "redis", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { redis } from "@hashstash/hashstash/engines/redis";
 *
 * const stash = new HashStash({
 *   name: "my_cache",
 *   engine: redis,
 *   engineOptions: { url: "redis://127.0.0.1:6379" },
 * });
 * console.log(stash.engine, stash.path); // redis redis://127.0.0.1:6379
 * ```
 */
export function redis(location: EngineLocation, engineOptions: RedisEngineOptions = {}): Engine {
  return new RedisEngine(location, redisAddress({ ...engineOptions }));
}

builtIn("redis", redis);

export type {
  /** `engineOptions` of redis. */
  RedisEngineOptions,
  /** The address of a node. */
  RedisNode,
} from "./address.ts";
