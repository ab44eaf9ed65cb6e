import { decodeKey, encodeKey } from "../codec/key.ts";
import { checkBytes } from "../codec/options.ts";
import {
  type BatchOptions,
  type BatchResult,
  getOrSetMany,
  type GetOrSetManyOptions,
  stashedBatch,
} from "../functions/batch.ts";
import type { AnyFunction } from "../functions/function_key.ts";
import { getOrSet, type GetOrSetOptions } from "../functions/get_or_set.ts";
import { map, type MapOptions, mapped, type MappedReturn, type MapRun } from "../functions/map.ts";
import {
  type CallOptions,
  type Finish,
  type FunctionOptions,
  run,
  stashedResult,
  type StashedReturn,
  type StoredReturn,
} from "../functions/memoize.ts";
import type { ProfileOptions } from "../profile/plan.ts";
import type { Profile } from "../profile/result.ts";
import type { ArqueroTable } from "../store/arquero.ts";
import { KeyNotFoundError } from "../store/errors.ts";
import type { Awaitable } from "../engines/engine.ts";
import { showKey } from "../engines/errors.ts";
import type { StashEvents } from "../store/events.ts";
import { checkCheck } from "../store/check.ts";
import { ABSENT, Handle } from "../store/handle.ts";
import { openHeader } from "../store/header.ts";
import {
  flag,
  type HashStashJSON,
  type HashStashOptions,
  optionsJson,
  optionsOf,
  type SetOptions,
  type TouchOptions,
} from "../store/options.ts";
import { keyTexts, type Pairs, type PairSource, textPairs } from "../store/pairs.ts";
import {
  checkPredicates,
  type QueryPredicates,
  recordsOf,
  type RecordsOptions,
  recordsTable,
  type StashRecords,
} from "../store/records.ts";
import {
  checkInvalidate,
  checkSelection,
  type InvalidateOptions,
  type SelectOptions,
} from "../store/selection.ts";
import { dumpStore, loadStore, type StoredRecord } from "../store/transfer.ts";
import type { Usage } from "../engines/engine.ts";
import type { StoreInfo } from "../store/stores.ts";
import type {
  AnyArguments,
  CheckOptions,
  StashCheck,
  StashEntry,
  StashStats,
  Version,
} from "../store/types.ts";

/**
 * A function whose results are kept. Called as the function itself, it gives a promise of the
 * result: computed by the first call with equal arguments, then from the stash.
 *
 * @typeParam A The function's arguments.
 * @typeParam R What it returns.
 */
export interface StashedFunction<A extends unknown[], R> {
  /** The result, stored or computed. */
  (this: unknown, ...args: A): StashedReturn<R>;
  /**
   * The results: a stash inside the one that the function was given to. Its keys are the lists of
   * arguments, or what the option `key` made of them.
   */
  readonly stash: HashStash<A, StoredReturn<R>>;
  /** The key of a call. */
  key(...args: A): unknown;
  /** The stored result, without running the function; `undefined` when there is none. */
  peek(...args: A): Promise<Awaited<StashedReturn<R>> | undefined>;
  /** Runs the function and replaces the stored result. */
  force(...args: A): StashedReturn<R>;
  /** Removes the stored result; whether there was one. */
  forget(...args: A): Promise<boolean>;
  /**
   * Removes the stores that other sources and versions of this function's name have in its stash,
   * with all that is inside them: what earlier edits of it left behind. Other names, other stashes
   * and its own results stay; runs of the others that are under way store nothing any more.
   *
   * @returns How many stores with anything in them.
   * @throws {TypeError} When the function has no name, so that others without one can't be told from
   * its earlier sources; or when the engine is one of your own that does not list stores.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ name: "edited", engine: "memory" });
   * const before = stash.stashedResult(async function area(r: number) {
   *   return await Promise.resolve(3 * r * r);
   * });
   * await before(2);
   * const area = stash.stashedResult(function area(r: number) {
   *   return Math.PI * r * r;
   * });
   * await area(2);
   * console.log(await area.retire(), await before.peek(2)); // 1 undefined
   * ```
   */
  retire(): Promise<number>;
  /** The same function, for calls with an `AbortSignal` or on an object. */
  with(options: CallOptions): StashedFunction<A, R>;
}

/**
 * A function whose results are kept and which makes many of them in one call. It is asked for one;
 * calls that are made together are one batch.
 *
 * @typeParam I What a result is asked for by.
 * @typeParam R A result.
 */
export interface StashedBatch<I, R> {
  /** One result, stored or made together with others. */
  (id: I): Promise<R>;
  /**
   * Many results, in the order of the ids.
   *
   * @throws {AggregateError} When the function gave an `Error` in the place of some, or what can't
   * be stored: all of these errors, in the order of the ids. The others are stored. When a call of
   * the function failed as a whole, and nothing else did, what it threw.
   */
  many(ids: Iterable<I>): Promise<R[]>;
  /**
   * The results: a stash inside the one that the function was given to. Its keys are the lists of
   * one id, or what the option `key` made of it.
   */
  readonly stash: HashStash<[id: I], R>;
  /** The key of a result. */
  key(id: I): unknown;
  /** The stored result, without running the function; `undefined` when there is none. */
  peek(id: I): Promise<R | undefined>;
  /** Makes the result anew, together with others, and replaces the stored one. */
  force(id: I): Promise<R>;
  /** Removes the stored result; whether there was one. */
  forget(id: I): Promise<boolean>;
}

/** Keeps the results of a function or method: what `stashedResult` with options gives. */
export interface StashedResultDecorator {
  /** As the decorator of a method. */
  <This, A extends AnyArguments, R>(
    method: (this: This, ...args: A) => R,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => R>,
  ): (this: This, ...args: A) => StashedReturn<R>;
  /** As a function of functions. */
  <A extends AnyArguments, R>(fn: (...args: A) => R): StashedFunction<A, R>;
}

/** `stash.stashedResult`: around a function, as a decorator of methods, and with options either. */
export interface StashedResult {
  /** As the decorator of a method, without options. */
  <This, A extends AnyArguments, R>(
    method: (this: This, ...args: A) => R,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => R>,
  ): (this: This, ...args: A) => StashedReturn<R>;
  // `A` in a form that nothing is inferred from: a `key` that takes fewer arguments must not narrow
  // the function's. `NoInfer` is not taken apart as a list of arguments.
  /** Around a function. */
  <A extends AnyArguments, R>(
    fn: (...args: A) => R,
    options?: FunctionOptions<[A][A extends unknown ? 0 : never], Awaited<R>>,
  ): StashedFunction<A, R>;
  /** With options first: around a function, or as the decorator of a method. */
  (options?: FunctionOptions): StashedResultDecorator;
}

/** `stash.stashMapped` with options: makes of a function one that goes over many inputs. */
export interface StashMappedDecorator {
  /** The function over many inputs, with further options for each run. */
  <I, M extends AnyArguments, R>(fn: (item: I, ...more: M) => R): MappedFunction<I, M, R>;
}

/**
 * A function that goes over many inputs: see `stashMapped`.
 *
 * @typeParam I An object.
 * @typeParam M Further arguments.
 * @typeParam R What the function returns.
 */
export interface MappedFunction<I, M extends unknown[], R> {
  /** Starts a run. */
  (
    objects: Iterable<I> | AsyncIterable<I>,
    options?: Pick<MapOptions<M>, "options" | "force" | "signal" | "progress">,
  ): MapRun<[I, ...M], MappedReturn<R>>;
  /** Where the results are kept. */
  readonly stash: HashStash<[I, ...M], MappedReturn<R>>;
}

/**
 * The handle of a stash, for those of this package who look at what is stored as it is. Not part of
 * the public API: `mod.ts` does not pass it on.
 */
export let handleOf: (stash: HashStash) => Handle;

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
  readonly #handle: Handle;

  static {
    handleOf = (stash) => stash.#handle;
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
  constructor(nameOrOptions?: string | HashStashOptions | Handle, rest?: HashStashOptions) {
    // The handles that `sub`, `tmp` and functions make have been checked.
    this.#handle = nameOrOptions instanceof Handle
      ? nameOrOptions
      : new Handle(optionsOf(nameOrOptions, rest));
  }

  /** The stash's name. */
  get name(): string {
    return this.#handle.options.name;
  }

  /** The store inside the stash; `/` nests. */
  get dbname(): string {
    return this.#handle.options.dbname;
  }

  /** The engine's name. */
  get engine(): string {
    return this.#handle.engine;
  }

  /** The serializer's name. */
  get serializer(): string {
    return this.#handle.codec.serializer;
  }

  /** The compressor's name, or `false`. */
  get compress(): string | false {
    return this.#handle.codec.compress;
  }

  /** Whether stored bytes are base64 text. */
  get b64(): boolean {
    return this.#handle.codec.b64;
  }

  /** Whether every version of a key is kept. */
  get appendMode(): boolean {
    return this.#handle.options.appendMode;
  }

  /** Where the data lives: a path, or a URL without credentials. */
  get path(): string {
    return this.#handle.path;
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
    // Not async itself: the handle's promise is the only one.
    try {
      return this.#handle.get(encodeKey(key), defaultValue);
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
  set(key: K, value: V, options?: SetOptions): Promise<void> {
    // Not async itself: the handle's promise is the only one.
    try {
      return this.#handle.set(encodeKey(key), value, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Whether the key is there.
   *
   * @param key The key.
   */
  async has(key: K): Promise<boolean> {
    return await this.#handle.has(encodeKey(key));
  }

  /**
   * When the entry ends, ms since the epoch.
   *
   * @param key The key.
   * @returns `Infinity` when it stays forever; `undefined` when it is absent.
   */
  async expiresAt(key: K): Promise<number | undefined> {
    return await this.#handle.expiresAt(encodeKey(key));
  }

  /**
   * The value of a key with what is known of it: when it was set, when its `ttl` ends, when it
   * leaves the store, which version it is.
   *
   * @param key The key.
   * @returns `undefined` when it is absent.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "entries" });
   * await stash.set("k", 1, { ttl: 60_000 });
   * const entry = await stash.entry("k");
   * console.log(entry?.value, entry?.stale, entry?.version); // 1 false 1
   * ```
   */
  async entry(key: K): Promise<StashEntry<V> | undefined> {
    return await this.#handle.entry(encodeKey(key)) as StashEntry<V> | undefined;
  }

  /**
   * Moves the deadline of an entry and leaves its value alone; a stale one is fresh again. In
   * append mode it is the latest version's.
   *
   * @param key The key.
   * @param options When it ends; without them, by the stash's `ttl`.
   * @returns Whether the key was there.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "sessions" });
   * await stash.set("session", { user: 7 }, { ttl: 1_000 });
   * console.log(await stash.touch("session", { ttl: 60_000 })); // true
   * ```
   */
  async touch(key: K, options?: TouchOptions): Promise<boolean> {
    return await this.#handle.touch(encodeKey(key), options);
  }

  /**
   * Removes a key, in append mode with all its versions.
   *
   * @param key The key.
   * @returns Whether it was there.
   */
  async delete(key: K): Promise<boolean> {
    return await this.#handle.delete(encodeKey(key));
  }

  /** How many keys there are. */
  async size(): Promise<number> {
    return await this.#handle.size();
  }

  /**
   * How full the stash is: how many entries it has, and bytes of their keys and values, as
   * `maxEntries` and `maxBytes` count them (in append mode the latest versions).
   *
   * With limits it costs O(1), however much there is: what is known of the store anyway, and on
   * engines that processes share one read. Nothing is written for it. `exact` says whether a count
   * would find the same, as long as only handles with limits write; `false` is an estimate: other
   * processes write too, or one of them was killed a short while ago; entries have deadlines; calls
   * are under way, or two of them changed one key at the same time. `bytes` is absent with
   * `maxEntries` alone. Until somebody has written with limits, and without limits, every entry is
   * counted, as `stores()` does.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ name: "full", engine: "memory", maxBytes: 1_000_000 });
   * await stash.set("ada", { age: 36 });
   * console.log(await stash.usage()); // { entries: 1, bytes: 13, exact: true }
   * ```
   */
  async usage(): Promise<Usage> {
    return await this.#handle.usage();
  }

  /**
   * Removes all entries of this stash, and nothing of any other.
   *
   * @param options With `deep`, also those of the stashes inside it.
   */
  async clear(options: { deep?: boolean } = {}): Promise<void> {
    await this.#handle.clear(flag(options, "deep"));
  }

  /**
   * The keys, in the engine's order. Lazy: neither all of them in memory nor a lock kept while the
   * caller thinks. Keys that are not touched meanwhile come exactly once.
   *
   * @param options Only the keys that are strings and begin with `prefix`, or of entries with a
   * `tag`: then the cost is that of those, where the engine can list keys by how they begin.
   */
  async *keys(options: SelectOptions = {}): AsyncGenerator<K, void, void> {
    for await (const [, key] of this.#handle.keys(checkSelection(options))) yield key as K;
  }

  /**
   * The values, as lazily as the keys.
   *
   * @param options As for `keys`.
   */
  async *values(options: SelectOptions = {}): AsyncGenerator<V, void, void> {
    for await (const [, value] of this.entries(options)) yield value;
  }

  /**
   * The pairs of key and value, as lazily as the keys.
   *
   * @param options As for `keys`.
   */
  async *entries(options: SelectOptions = {}): AsyncGenerator<[K, V], void, void> {
    const selection = checkSelection(options);
    for await (const [text, key, entry] of this.#handle.entries("entries", selection)) {
      yield [key as K, await this.#handle.read(entry, text) as V];
    }
  }

  /** The same as `entries()`. */
  [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, void> {
    return this.entries();
  }

  /**
   * Stores all pairs, in batches, as `setMany` does.
   *
   * @param other A Map, an iterable or async iterable of pairs, a plain object, or another stash.
   */
  async update(other: Pairs<K, V>): Promise<void>;
  /** Stores all properties of a plain object. */
  async update(other: Readonly<Record<string, V>>): Promise<void>;
  async update(other: PairSource<K, V>): Promise<void> {
    await this.#handle.setMany(textPairs(other));
  }

  /**
   * The stored value, or the default, which is then stored: atomic across processes, so that all
   * agree on one.
   *
   * @param key The key.
   * @param defaultValue What to store when the key is absent; `null` by default.
   * @param options When the entry ends, if it is stored and not by the stash's `ttl`.
   */
  async setDefault<D = null>(key: K, defaultValue?: D, options?: SetOptions): Promise<V | D> {
    const value = arguments.length < 2 ? null : defaultValue;
    return await this.#handle.setDefault(encodeKey(key), value, options) as V | D;
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
    return await this.#handle.pop(encodeKey(key), defaultValue);
  }

  /**
   * Removes some entry and returns its pair, or `undefined` when there is none: atomic, as `pop`.
   */
  async popItem(): Promise<[K, V] | undefined> {
    return await this.#handle.popItem() as [K, V] | undefined;
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
   * @throws {TypeError} When `fn` itself sets, touches or modifies the same key, for which it would
   * wait, or another one whose `modify` waits for this one.
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
    return await this.#handle.modify(text, fn as (current: unknown) => unknown, options) as V;
  }

  /**
   * The values of many keys, in their order, `undefined` where absent: one round trip where the
   * engine has one.
   *
   * @param keys The keys.
   */
  async getMany(keys: Iterable<K>): Promise<(V | undefined)[]> {
    return await this.#handle.getMany(keyTexts(keys)) as (V | undefined)[];
  }

  /**
   * Stores many pairs: in one round trip or transaction a batch, where the engine has one. Of pairs
   * with one key the last wins; in append mode each is a version. What is in memory is stored as it
   * is at the call, before what is called later. What a generator or an async iterable yields is
   * stored when it has come, a batch at a time: no later call waits for it, as nobody knows its keys,
   * and it may wait for later calls itself.
   *
   * @param pairs A Map, an iterable or async iterable of pairs, a plain object, or another stash.
   * @param options When the entries end, if not by the stash's `ttl`.
   */
  async setMany(pairs: Pairs<K, V>, options?: SetOptions): Promise<void>;
  /** Stores all properties of a plain object. */
  async setMany(pairs: Readonly<Record<string, V>>, options?: SetOptions): Promise<void>;
  async setMany(pairs: PairSource<K, V>, options?: SetOptions): Promise<void> {
    await this.#handle.setMany(textPairs(pairs), options);
  }

  /**
   * Removes many keys.
   *
   * @param keys The keys.
   * @returns How many were there.
   */
  async deleteMany(keys: Iterable<K>): Promise<number> {
    return await this.#handle.deleteMany(keyTexts(keys));
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
    const versions = await this.#handle.getAll(encodeKey(key)) as Version<V>[];
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
    return faceOf(this.#handle.sub(dbname, options)) as HashStash<K2, V2>;
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
    return faceOf(this.#handle.tmp(options)) as HashStash<K2, V2>;
  }

  /**
   * The pairs that both predicates accept; a predicate that is absent accepts all.
   *
   * @param predicates May be async. `prefix` and `tag` choose as for `keys`, before they are asked.
   */
  async *query(predicates: QueryPredicates<K, V> = {}): AsyncGenerator<[K, V], void, void> {
    const selection = checkPredicates(predicates);
    const { key: acceptsKey, value: acceptsValue } = predicates;
    for await (const [text, key, entry] of this.#handle.entries("query", selection)) {
      if (acceptsKey && !await acceptsKey(key as K)) continue;
      const value = await this.#handle.read(entry, text) as V;
      if (!acceptsValue || await acceptsValue(value)) yield [key as K, value];
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
    options?: GetOrSetOptions<D, K>,
  ): Promise<unknown extends V ? D : V> {
    return await getOrSet(
      this.#handle,
      key,
      factory as (key: unknown) => unknown,
      options as GetOrSetOptions,
    ) as unknown extends V ? D : V;
  }

  /**
   * The values of many keys: the stored ones, and what `fn` makes of all keys that are missing, in
   * one call, which are then stored. What others are making at the same time, in this process or
   * another one, is waited for and not made.
   *
   * @param keys The keys.
   * @param fn Makes the values of the distinct keys that are missing, in their order: an array of
   * as many, or a Map from key to value, whose missing keys are `undefined` and not stored. An
   * `Error` in the place of a value is about that key alone.
   * @param options How they are kept.
   * @returns The values in the order of the keys.
   * @throws {AggregateError} When there are errors in the place of values, or values that can't be
   * stored: all of these errors, in the order of the keys. The other values are stored.
   * @throws {TypeError} When what `fn` returns is neither an array of as many values nor a Map, and
   * on options that are about one value (`staleWhileRevalidate` and the like).
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash<string, number>({ engine: "memory", name: "lengths" });
   * await stash.set("a", 1);
   * const lengths = await stash.getOrSetMany(["a", "bb", "ccc", "bb"], (missing) => {
   *   console.log(missing); // ["bb", "ccc"]
   *   return missing.map((word) => word.length);
   * });
   * console.log(lengths); // [1, 2, 3, 2]
   * ```
   */
  async getOrSetMany<D extends V = V, I extends K = K>(
    keys: Iterable<I>,
    fn: (missing: I[]) => Awaitable<readonly (D | Error)[]>,
    options?: GetOrSetManyOptions<D, I>,
  ): Promise<(unknown extends V ? D : V)[]>;
  /** The same with a Map, which may lack keys. */
  async getOrSetMany<D extends V = V, I extends K = K>(
    keys: Iterable<I>,
    fn: (missing: I[]) => BatchResult<I, D>,
    options?: GetOrSetManyOptions<D, I>,
  ): Promise<((unknown extends V ? D : V) | undefined)[]>;
  async getOrSetMany(
    keys: Iterable<K>,
    fn: (missing: K[]) => unknown,
    options?: object,
  ): Promise<unknown[]> {
    return await getOrSetMany(this.#handle, keys, fn, options as GetOrSetManyOptions);
  }

  /**
   * Keeps the results of a function that makes many of them in one call. Calls for one result that
   * are made together are gathered: what is stored is read at once, and the function is called with
   * the distinct ids whose results are missing and that nobody is at, in this process or another
   * one, in the order in which they were asked for.
   *
   * @param fn Makes the results of some ids: an array of as many, or a Map from id to result, whose
   * missing ids are `undefined` and not stored. An `Error` in the place of a result rejects that one
   * alone and is not stored; what it throws rejects all of the call. `computation()` inside is about
   * the whole call, and so is the option `timeout`.
   * @param options How calls are gathered, and how results are kept.
   * @throws {TypeError | RangeError} On options that make no sense, also those that are about one
   * result (`staleWhileRevalidate` and the like).
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory", name: "users" });
   * const user = stash.stashedBatch((ids: number[]) => {
   *   console.log("asked for", ids); // asked for [7, 8]
   *   return ids.map((id) => ({ id, name: `user ${id}` }));
   * }, { name: "user", ttl: 60_000 });
   * await Promise.all([user(7), user(8), user(7)]);
   * console.log(await user.many([8, 7])); // both from the stash
   * ```
   */
  stashedBatch<I, R>(
    fn: (ids: I[]) => Awaitable<readonly (R | Error)[]>,
    options?: BatchOptions<NoInfer<I>, NoInfer<R>>,
  ): StashedBatch<I, R>;
  /** The same with a Map, which may lack ids. */
  stashedBatch<I, R>(
    fn: (ids: I[]) => BatchResult<I, R>,
    options?: BatchOptions<NoInfer<I>, NoInfer<R>>,
  ): StashedBatch<I, R | undefined>;
  stashedBatch(fn: unknown, options?: object): StashedBatch<unknown, unknown> {
    const { batch, results } = stashedBatch(this.#handle, fn, options as BatchOptions);
    return Object.assign(batch, { stash: faceOf(results) as HashStash<[id: unknown]> });
  }

  /**
   * Calls a function, or gives the result of an earlier equal call: the same as
   * `stashedResult(fn)(...args)`.
   *
   * @param fn The function.
   * @param args Its arguments.
   */
  run<A extends AnyArguments, R>(fn: (...args: A) => R, ...args: A): StashedReturn<R> {
    return run(this.#handle, fn as AnyFunction, args) as StashedReturn<R>;
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
    return ((first: unknown = {}, second: unknown = {}) =>
      stashedResult(this.#handle, first, second, addStash)) as StashedResult;
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
    return map(this.#handle, fn as AnyFunction, objects, options as MapOptions) as MapRun<
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
  stashMapped(first: unknown = {}, second: unknown = {}): unknown {
    const make = (fn: AnyFunction, options: MapOptions) => {
      const { handle, start } = mapped(this.#handle, fn, options);
      return Object.assign(start, { stash: faceOf(handle) });
    };
    if (typeof first === "function") return make(first as AnyFunction, second as MapOptions);
    return (fn: AnyFunction) => make(fn, first as MapOptions);
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
    return recordsOf(this.#handle, options);
  }

  /**
   * The rows of `records` as an Arquero table, for grouping, joining, and writing as CSV or Arrow.
   * Cells that a row does not have are `undefined`.
   *
   * @param options Which rows, and of what columns.
   */
  async table(options?: RecordsOptions): Promise<ArqueroTable> {
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
    const { profile } = await import("../profile/mod.ts");
    return await profile(this, options);
  }

  /**
   * Removes the entries that have one of the tags, of this stash and its functions, or those of this
   * stash whose key is a string that begins with the prefix. When it resolves, no process is served
   * one of them any more, whatever its clock says; what was computed from before, and ends later, is
   * given to its callers and not kept. Where the process is killed in the middle, all entries with a
   * tag are gone or none; what it has not come to is done by whoever invalidates, lists or counts
   * next.
   *
   * Cost: that of the entries that go, where the engine can list keys by how they begin (pairtree
   * and pickledb go through all tagged entries, redis through the names of all). The first one of a stash takes 75 ms,
   * until all processes know that there are any.
   *
   * @param what Up to 100 tags, or a prefix that is not empty.
   * @returns How many entries it removed.
   * @throws {TypeError} On neither tags nor a prefix, on both, or ones that are not strings or empty.
   * An empty list of tags removes nothing.
   * @throws {RangeError} On more than 100 tags.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory" });
   * await stash.set("profile:7", { name: "Ada" }, { tags: ["user:7"] });
   * await stash.set("orders:7", [1, 2], { tags: ["user:7", "orders"] });
   * console.log(await stash.invalidate({ tags: ["user:7"] }), await stash.size()); // 2 0
   * ```
   */
  async invalidate(what: InvalidateOptions): Promise<number> {
    return await this.#handle.invalidate(checkInvalidate(what));
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
    yield* dumpStore(this.#handle, options.wanted);
  }

  /**
   * Stores what `dump` yielded: in append mode every version, else the latest of each key. The
   * versions of a key take the place of those that are there in one step, once all of them have come;
   * until then they are held in memory.
   *
   * @param records The records; those of one key follow each other.
   * @returns How many were stored.
   */
  async load(records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>): Promise<number> {
    return await loadStore(this.#handle, records);
  }

  /**
   * What happens in the stash, and in the functions that keep their results in it: `"hit"`,
   * `"miss"`, `"set"`, … as {@linkcode StashEventType} says. A listener that throws or rejects harms
   * nobody, and without listeners an event is not made.
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ engine: "memory" });
   * stash.events.addEventListener("set", ({ detail }) => console.log(detail.key, detail.bytes));
   * await stash.set("key", "value"); // key 7
   * ```
   */
  get events(): StashEvents {
    return this.#handle.events;
  }

  /** What this handle has done so far. */
  stats(): StashStats {
    const { stats, evictions, nearHits } = this.#handle;
    return { ...stats, evictions, ...(nearHits === undefined ? {} : { nearHits }) };
  }

  /**
   * Drops what has expired, in append mode also the earlier versions of keys that have.
   *
   * @returns How many entries.
   */
  async prune(): Promise<number> {
    return await this.#handle.prune();
  }

  /**
   * Looks at everything stored: damaged or undecodable entries, leftovers of crashes, orphans.
   * Reads every entry: O(bytes stored).
   *
   * @param options With `fix`, repairs what can be repaired and removes what can't; a `signal` ends
   * it early, `onEntry` tells how far it is.
   */
  async check(options: CheckOptions = {}): Promise<StashCheck> {
    return await this.#handle.check(checkCheck(options));
  }

  /** Bytes on disk or in the server. */
  async byteSize(): Promise<number> {
    return await this.#handle.byteSize();
  }

  /**
   * What this store and all inside it hold, by name: the stores that `sub` makes, and those of
   * functions' results, also those that nobody has open. Of those inside, the ones that have entries.
   * An engine of your own that does not list stores tells of this one alone.
   *
   * Counts every entry: O(entries), and with lmdb, or an engine given as an object, O(bytes stored).
   *
   * @example
   * ```ts
   * import { HashStash } from "@hashstash/hashstash";
   *
   * await using stash = new HashStash({ name: "many", engine: "memory" });
   * await using users = stash.sub("users");
   * await users.set("ada", { age: 36 });
   * for (const { dbname, kind, entries, bytes } of await stash.stores()) {
   *   console.log(dbname, kind, entries, bytes);
   * }
   * // main stash 0 0
   * // main/users stash 1 13
   * ```
   */
  async stores(): Promise<StoreInfo[]> {
    return await this.#handle.stores();
  }

  /** Opens the engine; without it the first operation does. Idempotent. */
  async open(): Promise<this> {
    await this.#handle.open();
    return this;
  }

  /**
   * Waits for the operations under way and releases what this handle holds. Idempotent; a closed
   * stash stays closed.
   */
  async close(): Promise<void> {
    await this.#handle.close();
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
    return await this.#handle.codec.encode(value);
  }

  /**
   * The value in stored bytes, whatever codec options wrote them.
   *
   * @param bytes What `encodeValue` returned.
   */
  async decodeValue(bytes: Uint8Array): Promise<V> {
    const { value } = openHeader(checkBytes("decode", bytes));
    return await this.#handle.codec.decode(value) as V;
  }

  /** The options as plain data: `fromJSON` makes an equal stash of it. */
  toJSON(): HashStashJSON {
    const { serializer, compress, b64 } = this;
    return optionsJson(this.#handle.options, { serializer, compress, b64 });
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
}

const faces = new WeakMap<Handle, HashStash>();

/** The stash of a handle that a stash or a function made: the same one for all who ask. */
function faceOf(handle: Handle): HashStash {
  let face = faces.get(handle);
  if (face === undefined) faces.set(handle, face = new HashStash(handle as never));
  return face;
}

const addStash: Finish = (wrapped, results) => {
  Object.defineProperty(wrapped, "stash", {
    get: () => faceOf(results()),
    enumerable: true,
    configurable: true,
  });
};
