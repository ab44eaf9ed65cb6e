/**
 * One table for all stores, a row per entry: `store` (`name:dbname`), `key`, `value` (bytea),
 * `timestamp` and `expires_at` (ms since the epoch; NULL: forever), `revision` (a random mark of each
 * write), and `long_key`, the whole of a key that the index has no room for.
 *
 * `value` is the stored bytes and nothing else, so that SQL reads what a stash without compression
 * holds: `SELECT key, convert_from(value, 'UTF8')::jsonb FROM hashstash WHERE store = 'my_cache:main'`.
 * Rows that were added by hand, with `store`, `key` and `value` alone, are entries like all others. `:`
 * and `%` in the names are percent-encoded: no two stores have one text.
 *
 * Deadlines are compared with the server's clock: where ours shows another time, the server is told
 * how much time is left. Needs PostgreSQL 12, or what speaks and stores as it does.
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
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { builtIn } from "../built_in.ts";
import { UsageError } from "../errors.ts";
import { guardStore } from "../guard.ts";
import type { Hold } from "../shared.ts";
import { type PostgresAddress, postgresAddress, type PostgresEngineOptions } from "./address.ts";
import { busOn } from "./bus.ts";
import { checkPostgres } from "./check.ts";
import { connect, type PostgresConnection } from "./connection.ts";
import { explainPostgres } from "./errors.ts";
import { storeText } from "./format.ts";
import { PostgresStore } from "./store.ts";

class PostgresEngine implements Engine {
  readonly name = "postgres";
  readonly path: string;
  readonly supports = { persistent: true, shared: true, prefix: true, guard: true, stores: true };
  readonly #address: PostgresAddress;
  readonly #name: string;
  readonly #storeText: string;
  /** Set by `open`, before which no other method is called. */
  #hold!: Hold<PostgresConnection>;
  #store!: PostgresStore;

  constructor(location: EngineLocation, address: PostgresAddress) {
    this.path = address.path;
    this.#address = address;
    this.#name = location.name;
    this.#storeText = storeText(location);
  }

  async open(): Promise<void> {
    this.#hold = await connect(this.#address);
    this.#store = new PostgresStore(this.#hold.resource, this.#storeText);
  }

  async close(): Promise<void> {
    await this.#hold.release();
  }

  explain(error: unknown, operation: EngineOperation): string | undefined {
    return explainPostgres(error, operation, this.#address);
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

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    if (guard === undefined) return await this.#store.compareAndSet(key, expected, next);
    const other = guardStore(PostgresEngine, guard);
    if (other.path !== this.path) {
      throw new UsageError(
        "The guard of compareAndSet is in another table; it must be in the same one",
      );
    }
    const state = other.#store.guard(guard.key, guard.expected);
    return await this.#store.compareAndSet(key, expected, next, state);
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

  prune(prefix = ""): Promise<number> {
    return this.#store.prune(prefix);
  }

  check(options: EngineCheckOptions): Promise<EngineCheck> {
    return checkPostgres(this.#hold.resource, this.#storeText, options);
  }

  byteSize(prefix = ""): Promise<number> {
    return this.#store.byteSize(prefix);
  }

  stores(counted: boolean): AsyncIterable<FoundStore> {
    return this.#store.stores(counted);
  }

  bus(): Bus | undefined {
    return busOn(this.#hold.resource, this.#name, this.#address);
  }
}

/**
 * Makes the engine "postgres", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value, when no server is
 * named, or when name and dbname together are longer than 1,000 bytes.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { postgres } from "@hashstash/hashstash/engines/postgres";
 *
 * const stash = new HashStash({
 *   name: "my_cache",
 *   engine: postgres,
 *   engineOptions: { url: "postgres://user:password@127.0.0.1:5432/database" },
 * });
 * console.log(stash.engine, stash.path); // postgres postgres://127.0.0.1:5432/database
 * ```
 */
export function postgres(
  location: EngineLocation,
  engineOptions: PostgresEngineOptions = {},
): Engine {
  return new PostgresEngine(location, postgresAddress({ ...engineOptions }));
}

builtIn("postgres", postgres);

export type {
  /** `engineOptions` of postgres. */
  PostgresEngineOptions,
} from "./address.ts";
