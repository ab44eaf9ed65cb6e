import { join } from "node:path";
import type { ColumnTable } from "arquero";
import { loadLibrary } from "../platform/library.ts";
import { Codec, decodeKey, encodeKey } from "../codec/mod.ts";
import type { CompleteEngine } from "../engines/complete.ts";
import type { Entry, NewEntry } from "../engines/engine.ts";
import type { Profile, ProfileOptions } from "../profile/mod.ts";
import { backoff } from "../store/backoff.ts";
import { checkStash } from "../store/check.ts";
import type { AnyFunction } from "../functions/function_key.ts";
import { exclusive } from "../store/mutex.ts";
import { keyTexts, type Pairs, pairsOf, type PairSource } from "../store/pairs.ts";
import { refuseWithin, within } from "../store/reentry.ts";
import { Session, shareSessions } from "../store/handle.ts";
import { checkVersions, earlierVersions, openEnvelope } from "../store/versions.ts";
import { KeyNotFoundError, showKey } from "../store/errors.ts";
import { getOrSet, type GetOrSetOptions } from "../functions/get_or_set.ts";
import {
  map,
  type MapOptions,
  type MappedFunction,
  type MappedReturn,
  type MapRun,
  stashMapped,
  type StashMappedDecorator,
} from "../functions/map.ts";
import {
  run,
  type StashedResult,
  stashedResult,
  type StashedReturn,
} from "../functions/memoize.ts";
import {
  checkNames,
  checkOptions,
  deadline,
  flag,
  type HashStashJSON,
  type HashStashOptions,
  needsRootDir,
  plainOptions,
  rootDirOf,
  type SetOptions,
  typeOf,
  withoutFilePath,
} from "../store/options.ts";
import { type RecordsOptions, recordsTable, StashRecords } from "../store/records.ts";
import { dumpStore, loadStore, loadVersions, type StoredRecord } from "../store/transfer.ts";
import type { AnyArguments, StashCheck, StashStats, Version } from "../store/types.ts";

/**
 * Entries handed to an engine at once: enough to amortise a transaction, little enough to hold in
 * memory.
 */
const BATCH = 500;
const BATCH_BYTES = 4_000_000;

const loadProfiler = loadLibrary<
  { profile(stash: HashStash, options?: ProfileOptions): Promise<Profile> }
>("profiler", new URL("../profile/mod", import.meta.url));

/** Told apart from every value that can be stored. */
const ABSENT = Symbol("absent");

/**
 * An async, dictionary-like cache over a storage engine: a `Map` whose methods return promises and
 * whose entries outlive the program.
 *
 * Keys and values are anything that can be serialized; key equality is by meaning, so
 * `{ a: 1, b: 2 }` and `{ b: 2, a: 1 }` are one key. Every method that takes a key rejects with a
 * `TypeError` on one that can't be serialized, with an `EngineError` when the backend fails, and
 * after `close`; those that read, with a `DecodeError` when what is stored is damaged.
 *
 * @typeParam K The type of the keys.
 * @typeParam V The type of the values.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ name: "my_cache", engine: "memory", compress: true });
 * await stash.set("my_key", { name: "John", age: 30 });
 * console.log(await stash.get("my_key")); // { name: "John", age: 30 }
 * console.log(await stash.get("no such key", "default")); // "default"
 * ```
 */
export class HashStash<K = unknown, V = unknown> implements AsyncDisposable, AsyncIterable<[K, V]> {
  readonly #session: Session;

  static {
    shareSessions((stash) => stash.#session);
  }

  /**
   * Checks the options; opens nothing and needs no permission.
   *
   * @param options What to keep where, and how.
   * @throws {TypeError} On an unknown option, engine, serializer or compressor, or a bad name; the
   * message lists the valid ones.
   * @throws {RangeError} On a number out of range.
   */
  constructor(options?: HashStashOptions);
  /**
   * The same, with the name apart.
   *
   * @param name The stash's name.
   * @param options What to keep where, and how.
   */
  constructor(name: string, options?: HashStashOptions);
  constructor(nameOrOptions?: string | HashStashOptions, rest?: HashStashOptions) {
    const options = checkOptions(nameOrOptions, rest);
    const { serializer, compress, b64 } = options;
    this.#session = new Session(options, new Codec({ serializer, compress, b64 }));
  }

  /** The stash's name. */
  get name(): string {
    return this.#session.options.name;
  }

  /** The store inside the stash; `/` nests. */
  get dbname(): string {
    return this.#session.options.dbname;
  }

  /** The engine's name. */
  get engine(): string {
    return this.#session.engine;
  }

  /** The serializer's name. */
  get serializer(): string {
    return this.#session.codec.serializer;
  }

  /** The compressor's name, or `false`. */
  get compress(): string | false {
    return this.#session.codec.compress;
  }

  /** Whether stored bytes are base64 text. */
  get b64(): boolean {
    return this.#session.codec.b64;
  }

  /** Whether every version of a key is kept. */
  get appendMode(): boolean {
    return this.#session.options.appendMode;
  }

  /** Where the data lives: a path, or a URL without credentials. */
  get path(): string {
    return this.#session.path;
  }

  /**
   * The value, or the default when the key is absent.
   *
   * A stored `null`, `undefined`, `false`, `0` or `""` is a value, not absence.
   *
   * @param key The key.
   * @param defaultValue What to return when it is absent.
   */
  get(key: K): Promise<V | undefined>;
  /** The value, or the default when the key is absent. */
  get<D>(key: K, defaultValue: D): Promise<V | D>;
  get(key: K, defaultValue?: unknown): Promise<unknown> {
    // Not async itself: see Session.get.
    try {
      return this.#session.get(encodeKey(key), defaultValue);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The value of a key that must be there.
   *
   * @param key The key.
   * @throws {KeyNotFoundError} When it is absent.
   */
  async getOrThrow(key: K): Promise<V> {
    const value = await this.get(key, ABSENT);
    if (value !== ABSENT) return value as V;
    throw new KeyNotFoundError(`No key ${showKey(key)} in stash "${this.name}"`, key);
  }

  /**
   * Stores a value. When it resolves, other processes can see the value and a crash of this one
   * can't lose it; when it rejects, the earlier value is still there.
   *
   * @param key The key.
   * @param value The value.
   * @param options When the entry ends, if not by the stash's `ttl`.
   * @throws {TypeError} When the value can't be serialized; the message names the place (`$.a[2]`).
   */
  async set(key: K, value: V, options?: SetOptions): Promise<void> {
    const text = encodeKey(key);
    const timestamp = Date.now();
    const expiresAt = deadline(options, this.#session.options.ttl, timestamp);
    // Encoded before anything is awaited: the caller may change the value once set has been called.
    const encoding = this.#session.codec.encode(value);
    await this.#session.run("set entry", async (store, bytes) => {
      const entry = { value: bytes, expiresAt, timestamp };
      await this.#session.put(store, text, entry);
      this.#session.stats.sets++;
    }, encoding);
  }

  /**
   * Whether the key is there.
   *
   * @param key The key.
   */
  async has(key: K): Promise<boolean> {
    const text = encodeKey(key);
    return await this.#session.run("look up entry", (store) => store.has(text));
  }

  /**
   * When the entry ends, ms since the epoch.
   *
   * @param key The key.
   * @returns `Infinity` when it stays forever; `undefined` when it is absent.
   */
  async expiresAt(key: K): Promise<number | undefined> {
    const text = encodeKey(key);
    return await this.#session.run("look up entry", async (store) => {
      const entry = await store.get(text);
      return entry && (entry.expiresAt ?? Infinity);
    });
  }

  /**
   * Removes a key, in append mode with all its versions.
   *
   * @param key The key.
   * @returns Whether it was there.
   */
  async delete(key: K): Promise<boolean> {
    const text = encodeKey(key);
    return await this.#session.run("delete entry", async (store) => {
      const deleted = this.appendMode
        ? await this.#session.take(store, text) !== undefined
        : await store.delete(text);
      if (deleted) this.#session.stats.deletes++;
      return deleted;
    });
  }

  /** How many keys there are. */
  async size(): Promise<number> {
    return await this.#session.run("count entries", (store) => store.size());
  }

  /**
   * Removes all entries of this stash, and nothing of any other.
   *
   * @param options With `deep`, also those of the stashes inside it.
   */
  async clear(options: { deep?: boolean } = {}): Promise<void> {
    const deep = flag(options, "deep");
    await this.#session.run("clear", async (store) => {
      await store.clear(deep);
      if (this.appendMode) await (await this.#session.archive()).clear();
    });
  }

  /**
   * The keys, in the engine's order. Lazy: neither all of them in memory nor a lock kept while the
   * caller thinks. Keys that are not touched meanwhile come exactly once.
   */
  async *keys(): AsyncGenerator<K, void, void> {
    for await (const text of this.#session.iterate("list keys", (store) => store.keys())) {
      yield decodeKey(text) as K;
    }
  }

  /** The values, as lazily as the keys. */
  async *values(): AsyncGenerator<V, void, void> {
    for await (const [, value] of this.entries()) yield value;
  }

  /** The pairs of key and value, as lazily as the keys. */
  async *entries(): AsyncGenerator<[K, V], void, void> {
    for await (
      const [text, entry] of this.#session.iterate("list entries", (store) => store.entries())
    ) {
      const key = decodeKey(text) as K;
      yield [key, await this.#session.read(entry, text) as V];
    }
  }

  /** The same as `entries()`. */
  [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, void> {
    return this.entries();
  }

  /**
   * Stores all pairs, in batches.
   *
   * @param other A Map, an iterable or async iterable of pairs, a plain object, or another stash.
   */
  async update(other: Pairs<K, V>): Promise<void>;
  /** Stores all properties of a plain object. */
  async update(other: Readonly<Record<string, V>>): Promise<void>;
  async update(other: PairSource<K, V>): Promise<void> {
    await this.#setAll(other);
  }

  /**
   * The stored value, or the default, which is then stored: atomic across processes, so that all
   * agree on one.
   *
   * @param key The key.
   * @param defaultValue What to store when the key is absent; `null` by default.
   */
  async setDefault<D = null>(key: K, defaultValue?: D): Promise<V | D> {
    const text = encodeKey(key);
    const value = arguments.length < 2 ? null : defaultValue;
    return await this.#session.run("set default", async (store, bytes) => {
      for (let attempt = 0;; attempt++) {
        const entry = await store.get(text);
        if (entry !== undefined) {
          this.#session.stats.hits++;
          return await this.#session.read(entry, text) as V;
        }
        const timestamp = Date.now();
        const next = {
          value: bytes,
          expiresAt: deadline(undefined, this.#session.options.ttl, timestamp),
          timestamp,
        };
        if (await this.#session.replace(store, text, undefined, next)) {
          this.#session.stats.misses++;
          this.#session.stats.sets++;
          return value as D;
        }
        await backoff(attempt);
      }
    }, this.#session.codec.encode(value));
  }

  /**
   * Removes a key and returns its value: atomic, each value is handed to one caller only.
   *
   * @param key The key.
   * @param defaultValue What to return when it is absent.
   */
  async pop(key: K): Promise<V | undefined>;
  /** Removes a key and returns its value, or the default when it is absent. */
  async pop<D>(key: K, defaultValue: D): Promise<V | D>;
  async pop(key: K, defaultValue?: unknown): Promise<unknown> {
    const text = encodeKey(key);
    return await this.#session.run("pop entry", async (store) => {
      // Decoded before it is removed: a value that can't be read must not be lost.
      const taken = await this.#session.take(
        store,
        text,
        (entry) => this.#session.read(entry, text),
      );
      if (taken === undefined) return defaultValue;
      this.#session.stats.deletes++;
      return taken.result;
    });
  }

  /**
   * Removes some entry and returns its pair, or `undefined` when there is none: atomic, as `pop`.
   */
  async popItem(): Promise<[K, V] | undefined> {
    for await (const key of this.keys()) {
      const value = await this.pop(key, ABSENT);
      if (value !== ABSENT) return [key, value as V];
    }
    return undefined;
  }

  /**
   * Reads, changes and stores a value: atomic across processes.
   *
   * @param key The key.
   * @param fn Makes the next value of the current one (`undefined` when the key is absent); when it
   * makes `undefined`, the key is removed. It may run again when another process has changed the
   * value meanwhile: keep it free of side effects.
   * @param options When the entry ends; by default by the stash's `ttl`, and without one when it
   * would have ended before.
   * @returns The next value.
   * @throws {TypeError} When `fn` itself sets or modifies the same key, for which it would wait.
   */
  async modify(
    key: K,
    fn: (current: V | undefined) => V | undefined | PromiseLike<V | undefined>,
    options?: SetOptions,
  ): Promise<V | undefined> {
    const text = encodeKey(key);
    if (typeof fn !== "function") {
      throw new TypeError("Expected a function that makes the next value");
    }
    return await this.#session.run("modify entry", async (store) => {
      const operation = this.#session.modifying(text);
      refuseWithin(() => operation, "modify entry inside the modify of its key");
      return await exclusive(this.#session.identity(text), async () => {
        for (let attempt = 0;; attempt++) {
          const entry = await store.get(text);
          const current = entry && await this.#session.read(entry, text) as V;
          const next = await within(operation, () => fn(current));
          if (await this.#modifyOnce(store, text, entry, next, options)) return next;
          await backoff(attempt);
        }
      });
    });
  }

  /**
   * The values of many keys, in their order, `undefined` where absent: one round trip where the
   * engine has one.
   *
   * @param keys The keys.
   */
  async getMany(keys: Iterable<K>): Promise<(V | undefined)[]> {
    const texts = keyTexts(keys);
    return await this.#session.run("get entries", async (store) => {
      const values: (V | undefined)[] = [];
      for (let from = 0; from < texts.length; from += BATCH) {
        for (const entry of await store.getValues(texts.slice(from, from + BATCH))) {
          const text = texts[values.length];
          values.push(entry && await this.#session.read(entry, text) as V);
          if (entry) this.#session.stats.hits++;
          else this.#session.stats.misses++;
        }
      }
      return values;
    });
  }

  /**
   * Stores many pairs: in one round trip or transaction a batch, where the engine has one. Of pairs
   * with one key the last wins; in append mode each is a version.
   *
   * @param pairs A Map, an iterable or async iterable of pairs, a plain object, or another stash.
   * @param options When the entries end, if not by the stash's `ttl`.
   */
  async setMany(pairs: Pairs<K, V>, options?: SetOptions): Promise<void>;
  /** Stores all properties of a plain object. */
  async setMany(pairs: Readonly<Record<string, V>>, options?: SetOptions): Promise<void>;
  async setMany(pairs: PairSource<K, V>, options?: SetOptions): Promise<void> {
    await this.#setAll(pairs, options);
  }

  async #setAll(pairs: PairSource<K, V>, options?: SetOptions): Promise<void> {
    const { ttl } = this.#session.options;
    deadline(options, ttl, 0);
    const { codec, stats } = this.#session;
    await this.#session.run("set entries", async (store) => {
      let batch: [string, NewEntry][] = [];
      let size = 0;
      const flush = async () => {
        if (this.appendMode) {
          for (const [text, entry] of batch) await this.#session.put(store, text, entry);
        } else await store.setMany(batch);
        stats.sets += batch.length;
        batch = [];
        size = 0;
      };
      for await (const [key, value] of pairsOf(pairs)) {
        const text = encodeKey(key);
        const timestamp = Date.now();
        const expiresAt = deadline(options, ttl, timestamp);
        const encoding = codec.encode(value);
        // Most are there at once; to wait for each nevertheless would show in the time of a batch.
        const stored = encoding instanceof Promise ? await encoding : encoding;
        const own = text.length + stored.length;
        if (batch.length === BATCH || batch.length > 0 && size + own > BATCH_BYTES) await flush();
        batch.push([text, { value: stored, expiresAt, timestamp }]);
        size += own;
      }
      if (batch.length > 0) await flush();
    });
  }

  /**
   * Removes many keys.
   *
   * @param keys The keys.
   * @returns How many were there.
   */
  async deleteMany(keys: Iterable<K>): Promise<number> {
    const texts = keyTexts(keys);
    return await this.#session.run("delete entries", async (store) => {
      let deleted = 0;
      if (this.appendMode) {
        for (const text of texts) if (await this.#session.take(store, text)) deleted++;
      } else {
        for (let from = 0; from < texts.length; from += BATCH) {
          deleted += await store.deleteMany(texts.slice(from, from + BATCH));
        }
      }
      this.#session.stats.deletes += deleted;
      return deleted;
    });
  }

  /** A plain in-memory copy that later writes do not change. */
  async toMap(): Promise<Map<K, V>> {
    const map = new Map<K, V>();
    for await (const [key, value] of this.entries()) map.set(key, value);
    return map;
  }

  /**
   * Every version of a key, oldest first; without append mode the one there is.
   *
   * @param key The key.
   */
  async getAll(key: K): Promise<V[]>;
  /** Every version with its number and time. */
  async getAll(key: K, options: { withMetadata: true }): Promise<Version<V>[]>;
  /** Every version, with or without its number and time. */
  async getAll(key: K, options?: { withMetadata?: boolean }): Promise<V[] | Version<V>[]>;
  async getAll(key: K, options: { withMetadata?: boolean } = {}): Promise<V[] | Version<V>[]> {
    const withMetadata = flag(options, "withMetadata");
    const text = encodeKey(key);
    const versions = await this.#session.run("get versions", async (store) => {
      const head = await store.get(text);
      if (head === undefined) return [];
      const stored: Entry[] = [];
      const { header } = openEnvelope(head.value);
      if (header !== undefined && header.version > 1) {
        const archive = await this.#session.archive();
        for await (const entry of earlierVersions(archive, text, header)) stored.push(entry);
      }
      stored.push(head);
      const versions = stored.map((entry) => this.#session.version(entry, text));
      return await Promise.all(versions) as Version<V>[];
    });
    return withMetadata ? versions : versions.map(({ value }) => value);
  }

  /**
   * A stash inside this one, with the same options: its entries are not this one's, and the
   * reverse. It is closed on its own.
   *
   * @param dbname Its name inside this one.
   * @param options What is different in it.
   */
  sub<K2 = K, V2 = V>(dbname: string, options: HashStashOptions = {}): HashStash<K2, V2> {
    if (typeof dbname !== "string") throw new TypeError("Expected the dbname of the stash inside");
    return new HashStash<K2, V2>({
      ...this.#derivedOptions(options),
      dbname: `${this.dbname}/${dbname}`,
    });
  }

  /**
   * A temporary stash with a root of its own and the same options, removed when it is disposed of,
   * also when the body throws.
   *
   * @param options What is different in it.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * const stash = new HashStash({ engine: "memory" });
   * {
   *   await using scratch = stash.tmp();
   *   await scratch.set("a", 1);
   * } // gone
   * console.log(await stash.size()); // 0
   * ```
   */
  tmp<K2 = K, V2 = V>(options: HashStashOptions = {}): HashStash<K2, V2> {
    const name = `.tmp-${crypto.randomUUID()}`;
    const merged = this.#derivedOptions({ name, ...options });
    merged.engineOptions = withoutFilePath(merged.engineOptions);
    const checked = checkOptions(merged, undefined);
    // In a folder of its parent's root: the permissions are there, and so is the disk that is
    // measured.
    const rootDir = needsRootDir(checked) ? join(rootDirOf(checked)!, name) : name;
    const stash = new HashStash<K2, V2>({ ...merged, rootDir });
    stash.#session.temporary = true;
    return stash;
  }

  /**
   * The pairs that both predicates accept; a predicate that is absent accepts all.
   *
   * @param predicates May be async.
   */
  async *query(predicates: {
    key?: (key: K) => boolean | PromiseLike<boolean>;
    value?: (value: V) => boolean | PromiseLike<boolean>;
  } = {}): AsyncGenerator<[K, V], void, void> {
    checkNames(predicates, ["key", "value"]);
    const { key: acceptsKey, value: acceptsValue } = predicates;
    for (const [name, predicate] of Object.entries(predicates)) {
      if (predicate !== undefined && typeof predicate !== "function") {
        throw new TypeError(`Expected ${name} to be a predicate, got ${typeOf(predicate)}`);
      }
    }
    for await (const [text, entry] of this.#session.iterate("query", (store) => store.entries())) {
      const key = decodeKey(text) as K;
      if (acceptsKey && !await acceptsKey(key)) continue;
      const value = await this.#session.read(entry, text) as V;
      if (!acceptsValue || await acceptsValue(value)) yield [key, value];
    }
  }

  /**
   * The stored value, or what `factory` makes of the key, which is then stored. Equal calls at the
   * same time share one run of the factory, in this process and with others that use the store: see
   * `lock`. When it throws, all of this process that wait for it get the error, and nothing is
   * stored.
   *
   * @param key The key.
   * @param factory Makes the value.
   * @param options How it is kept.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory" });
   * const get = () => stash.getOrSet("answer", () => 6 * 7, { ttl: 60_000 });
   * console.log(await get(), await get()); // 42 42, multiplied once
   * ```
   */
  async getOrSet<D extends V = V>(
    key: K,
    factory: (key: K) => D | PromiseLike<D>,
    options?: GetOrSetOptions<D>,
  ): Promise<unknown extends V ? D : V> {
    return await getOrSet(
      this as HashStash,
      key,
      factory as (key: unknown) => unknown,
      options as GetOrSetOptions,
    ) as unknown extends V ? D : V;
  }

  /**
   * Calls a function, or gives the result of an earlier equal call: the same as
   * `stashedResult(fn)(...args)`.
   *
   * @param fn The function.
   * @param args Its arguments.
   */
  run<A extends AnyArguments, R>(fn: (...args: A) => R, ...args: A): StashedReturn<R> {
    return run(this as HashStash, fn as AnyFunction, args) as StashedReturn<R>;
  }

  /**
   * Keeps the results of a function or method in a stash inside this one, so that equal calls run
   * it once.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * const stash = new HashStash({ engine: "memory" });
   * const square = stash.stashedResult((x: number) => x * x);
   * console.log(await square(3), await square(3)); // 9 9, computed once
   *
   * class Api {
   *   constructor(readonly url: string) {}
   *
   *   @stash.stashedResult({ ttl: 60_000 })
   *   async user(id: string) {
   *     return await Promise.resolve(`${this.url}/${id}`);
   *   }
   * }
   * console.log(await new Api("https://example.org").user("ann"));
   * ```
   */
  get stashedResult(): StashedResult {
    return ((...args: unknown[]) => stashedResult(this as HashStash, ...args)) as StashedResult;
  }

  /**
   * Calls a function with each of many objects, a bounded number at a time. It starts at once,
   * stores each result as `stashedResult(fn)` does, and computes only what is missing: a second run
   * over the same objects, or one after a crash, goes on where the first was.
   *
   * One failing call doesn't stop the others.
   *
   * @param fn The function, also one that `stashedResult` gave.
   * @param objects Its first arguments: an iterable or async iterable.
   * @param options How many at a time, further arguments, workers, progress …
   * @throws {RangeError} When there are not as many `options` as objects.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "squares" });
   * const run = stash.map((x: number) => x * x, [1, 2, 3, 4], { concurrency: 2 });
   * for await (const square of run) console.log(square); // 1 4 9 16
   * console.log(await run.results()); // [1, 4, 9, 16]
   * ```
   */
  map<I, M extends AnyArguments, R>(
    fn: (item: I, ...more: M) => R,
    objects: Iterable<I> | AsyncIterable<I>,
    options?: MapOptions<M, [item: I, ...more: M], Awaited<R>>,
  ): MapRun<[I, ...M], MappedReturn<R>> {
    return map(this as HashStash, fn as AnyFunction, objects, options as MapOptions) as MapRun<
      [I, ...M],
      MappedReturn<R>
    >;
  }

  /**
   * Makes of a function one that goes over many objects, as `map` does.
   *
   * @param fn The function.
   * @param options The options of each run.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "cubes" });
   * const cubes = stash.stashMapped({ concurrency: 2 })((x: number) => x ** 3);
   * console.log(await cubes([1, 2, 3]).results()); // [1, 8, 27]
   * ```
   */
  stashMapped<I, M extends AnyArguments, R>(
    fn: (item: I, ...more: M) => R,
    options?: MapOptions<M, [item: I, ...more: M], Awaited<R>>,
  ): MappedFunction<I, M, R>;
  /** The same with the options first. */
  stashMapped(options?: MapOptions): StashMappedDecorator;
  stashMapped(...args: unknown[]): unknown {
    return stashMapped(this as HashStash, ...args);
  }

  /**
   * What is stored, as rows: nested objects in columns with dotted names, lists as one row per
   * item. `await` gives an array,
   * `for await` one row after the other.
   *
   * @param options Which rows, and of what columns.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "pets" });
   * await stash.set("cats", [{ name: "Tom" }, { name: "Kit", home: { city: "Leeds" } }]);
   * console.log(await stash.records());
   * // [{ _key: "cats", name: "Tom" }, { _key: "cats", name: "Kit", "home.city": "Leeds" }]
   * ```
   */
  records(options?: RecordsOptions): StashRecords {
    return new StashRecords(this as HashStash, options);
  }

  /**
   * The rows of `records` as an Arquero table, for grouping, joining, and writing as CSV or Arrow.
   * Cells that a row does not have are `undefined`.
   *
   * @param options Which rows, and of what columns.
   */
  async table(options?: RecordsOptions): Promise<ColumnTable> {
    return await recordsTable(this.records(options));
  }

  /**
   * Times reads, writes and the codec on other engines, codecs and sizes of data, all in temporary
   * stashes: nothing is left behind. An engine that can't run here has rows that say why.
   *
   * @param options What to profile; by default every built-in engine with and without compression
   * and base64.
   * @throws {TypeError | RangeError} On options that make no sense.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * const stash = new HashStash({ engine: "memory" });
   * const profile = await stash.profile({ engine: "memory", size: 1_000, iterations: 3 });
   * console.log(profile.best({ operation: "read" }).verdict);
   * ```
   */
  async profile(options?: ProfileOptions): Promise<Profile> {
    const { profile } = await loadProfiler();
    return await profile(this, options);
  }

  /**
   * Every version of every key as it is stored, for a copy in another stash: values are not
   * decoded.
   *
   * @param options `wanted` takes a batch of canonical key texts and returns those to go on with.
   */
  async *dump(
    options: { wanted?: (keys: string[]) => Promise<string[]> } = {},
  ): AsyncGenerator<StoredRecord, void, void> {
    const { wanted = (keys) => Promise.resolve(keys) } = options;
    const archive = () => this.#session.archive();
    yield* this.#session.iterate("dump", (store) => dumpStore(store, archive, wanted));
  }

  /**
   * Stores what `dump` yielded: in append mode every version, else the latest of each key.
   *
   * @param records The records; those of one key follow each other.
   * @returns How many were stored.
   */
  async load(records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>): Promise<number> {
    return await this.#session.run("load", async (store) => {
      if (!this.appendMode) return await loadStore(store, records);
      const archive = await this.#session.archive();
      return await loadVersions(store, archive, records, (key) => this.#session.take(store, key));
    });
  }

  /** What this handle has done so far. */
  stats(): StashStats {
    return { ...this.#session.stats, evictions: this.#session.evictions };
  }

  /**
   * Drops what has expired, in append mode also the earlier versions of keys that have.
   *
   * @returns How many entries.
   */
  async prune(): Promise<number> {
    return await this.#session.run("prune", async (store) => {
      const pruned = await store.prune();
      if (this.appendMode) await checkVersions(store, await this.#session.archive(), true);
      await this.#session.pruneSpaces();
      return pruned;
    });
  }

  /**
   * Looks at everything stored: damaged or undecodable entries, leftovers of crashes, orphans.
   * Reads every entry: O(bytes stored).
   *
   * @param options With `fix`, repairs what can be repaired and removes what can't.
   */
  async check(options: { fix?: boolean } = {}): Promise<StashCheck> {
    const fix = flag(options, "fix");
    return await this.#session.run("check", (store) => checkStash(this.#session, store, fix));
  }

  /** Bytes on disk or in the server. */
  async byteSize(): Promise<number> {
    return await this.#session.run("measure", async (store) => {
      const bytes = await store.byteSize();
      if (!this.appendMode) return bytes;
      const archive = await this.#session.archive();
      // Engines that keep all stores in one file count it whole for each.
      return archive.path === store.path ? bytes : bytes + await archive.byteSize();
    });
  }

  /** Opens the engine; without it the first operation does. Idempotent. */
  async open(): Promise<this> {
    await this.#session.run("open", () => undefined);
    return this;
  }

  /**
   * Waits for the operations under way and releases what this handle holds. Idempotent; a closed
   * stash stays closed.
   */
  async close(): Promise<void> {
    await this.#session.close();
  }

  /** The same as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * The canonical text of a key, under which the engine keeps it. A string is itself; it does not
   * depend on the codec.
   *
   * @param key The key.
   */
  encodeKey(key: K): string {
    return encodeKey(key);
  }

  /**
   * The key of a canonical text.
   *
   * @param text What `encodeKey` returned.
   */
  decodeKey(text: string): K {
    return decodeKey(text) as K;
  }

  /**
   * A value as the bytes that would be stored.
   *
   * @param value The value.
   */
  async encodeValue(value: V): Promise<Uint8Array> {
    return await this.#session.codec.encode(value);
  }

  /**
   * The value in stored bytes, whatever codec options wrote them.
   *
   * @param bytes What `encodeValue` returned.
   */
  async decodeValue(bytes: Uint8Array): Promise<V> {
    return await this.#session.codec.decode(openEnvelope(bytes).value) as V;
  }

  /** The options as plain data: `fromJSON` makes an equal stash of it. */
  toJSON(): HashStashJSON {
    const { name, dbname, appendMode, ttl } = this.#session.options;
    const engineOptions = plainOptions(this.#session.options.engineOptions);
    return {
      name,
      dbname,
      engine: this.engine,
      rootDir: rootDirOf(this.#session.options),
      serializer: this.serializer,
      compress: this.compress,
      b64: this.b64,
      appendMode,
      ...(ttl === Infinity ? {} : { ttl }),
      ...(Object.keys(engineOptions).length === 0 ? {} : { engineOptions }),
    };
  }

  /**
   * A stash with the options that `toJSON` gave, on the same data.
   *
   * @param json The options, as an object or as JSON text.
   */
  static fromJSON<K = unknown, V = unknown>(json: HashStashJSON | string): HashStash<K, V> {
    return new HashStash<K, V>(
      (typeof json === "string" ? JSON.parse(json) : json) as HashStashOptions,
    );
  }

  /** One try of `modify`; whether the entry was still as it was read. */
  async #modifyOnce(
    store: CompleteEngine,
    text: string,
    entry: Entry | undefined,
    value: V | undefined,
    options: SetOptions | undefined,
  ): Promise<boolean> {
    if (value === undefined) {
      return entry === undefined || await store.compareAndSet(text, entry, undefined);
    }
    const timestamp = Date.now();
    const own = options?.ttl !== undefined || options?.expiresAt !== undefined ||
      this.#session.options.ttl !== Infinity;
    const expiresAt = own
      ? deadline(options, this.#session.options.ttl, timestamp)
      : entry?.expiresAt;
    const next = { value: await this.#session.codec.encode(value), expiresAt, timestamp };
    if (!await this.#session.replace(store, text, entry, next)) return false;
    this.#session.stats.sets++;
    return true;
  }

  /**
   * The options of a stash made from this one: the same but for `changes`; another engine has
   * options of its own.
   */
  #derivedOptions(changes: HashStashOptions): HashStashOptions {
    const { engine } = this.#session.options;
    const same = changes.engine === undefined || changes.engine === engine;
    return {
      ...this.#session.options,
      clear: false,
      ...(same ? {} : { engineOptions: undefined }),
      ...changes,
    };
  }
}
