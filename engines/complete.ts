import { DecodeError } from "../codec/errors.ts";
import { batches, each, mapped } from "./each.ts";
import type {
  Awaitable,
  Bus,
  DropListener,
  Engine,
  EngineCheck,
  EngineCheckOptions,
  EngineOperation,
  EngineProblem,
  EngineSupports,
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
  StoreUsage,
  Usage,
} from "./engine.ts";
import { EngineError, engineError, messageOf, unreadable, UsageError } from "./errors.ts";
import { type Hold, SharedResources } from "./shared.ts";
import { Tally, utf8Length } from "./tally.ts";

/**
 * An engine with every method, none of which takes a prefix but `keys` and `entries`: what a stash
 * works on. Decorators are stores, too.
 */
export interface Store extends
  Required<
    Omit<
      Engine,
      | "explain"
      | "watchDrops"
      | "size"
      | "clear"
      | "prune"
      | "byteSize"
      | "getText"
      | "setText"
    >
  > {
  /** The store of the same entries by their texts, where the engine keeps texts. */
  readonly texts?: Texts;
  /** How many live entries there are. */
  size(): Awaitable<number>;
  /** Removes all entries, with `deep` also those of nested stores. */
  clear(deep?: boolean): Awaitable<void>;
  /** Drops what has expired; how many. */
  prune(): Awaitable<number>;
  /** Bytes on disk or in the server. */
  byteSize(): Awaitable<number>;
  /** How much it holds: counted, unless whoever stands around it has kept count. */
  usage(): Awaitable<Usage>;
  /** A guard on an entry of this store, as its engine knows it: without what stands around that. */
  guardOn(key: string, expected: Entry): Guard;
}

/** What keeps texts. */
export type Texts = Required<Pick<Engine, "getText" | "setText">>;

/**
 * Told of a write that has ended.
 *
 * @param isChange Whether it may have changed something.
 * @param entries What it has put under the keys, in their order; absent: nothing, or nobody knows.
 */
export type WriteEnd = (isChange: boolean, entries?: readonly NewEntry[]) => void;

/** Told of what this process writes to a store, whoever does it. */
export interface WriteWatch {
  /**
   * A write begins.
   *
   * @param keys What it is about; `undefined`: all keys of the store.
   * @param deep Whether it is about those of nested stores, too.
   * @returns To be called when it has ended; `undefined`: nobody is interested.
   */
  begin(keys: string | readonly string[] | undefined, deep?: boolean): WriteEnd | undefined;
}

/** Which part of an engine a `CompleteEngine` is, and who is told of what it writes. */
export interface CompleteOptions {
  /** Only the keys that begin so, without it: `""`, all of them, by default. */
  prefix?: string;
  /** How the keys of the stores nested in this part begin: for `clear(true)` and `stores`. */
  nestedPrefix?: string;
  /**
   * What stands behind `nestedPrefix` in a key: the dbname of a nested store, and the key in it;
   * `undefined` when it is none. Without it `stores` tells of this part alone.
   */
  nestedKey?: (rest: string) => [dbname: string, key: string] | undefined;
  /** Told of the entries of this part that the engine drops by itself, where it says which. */
  onDrop?: DropListener;
  /** Is told of each write. */
  writes?: WriteWatch;
}

/** What stores values: a `RangeError` of theirs says that one is more than the engine takes. */
const STORING: readonly EngineOperation[] = ["set", "setMany", "compareAndSet"];

/** What `explain` may give that the caller gets as it is. */
const MEANT = [EngineError, TypeError, RangeError];

/** How many entries a derived iteration reads at once. */
const PAGE = 128;
/** How many keys are removed at once. */
const BATCH = 256;

/**
 * Engine objects in use: one that several stashes share is opened by the first and closed by the
 * last.
 */
const opened = new SharedResources<Engine, Engine>((engine) => engine.close());

/** Who is told of what an engine drops: each of the parts that are made of it and open. */
const dropListeners = new WeakMap<Engine, Set<DropListener>>();

function listenersOf(engine: Engine): Set<DropListener> {
  let listeners = dropListeners.get(engine);
  if (listeners === undefined) {
    const all = listeners = new Set<DropListener>();
    dropListeners.set(engine, all);
    engine.watchDrops?.((key, why) => {
      for (const listener of all) listener(key, why);
    });
  }
  return listeners;
}

/**
 * An engine with every method of the interface: those that it lacks are made of those it has. It
 * refuses calls before `open` and after `close`, and puts what goes wrong into words: what the engine
 * throws becomes an `EngineError`. With a prefix it is the part of the engine that has the keys with
 * it, as a store of its own.
 *
 * A stash does this with every engine it is given; who builds one on another engine does it himself.
 *
 * @param engine The engine; several may be made of one, and it is open as long as one of them is.
 * @param options Which part of it.
 *
 * @example
 * ```ts
 * import { complete } from "@hashstash/hashstash/engines";
 * import { memory } from "@hashstash/hashstash/engines/memory";
 *
 * const engine = memory({ name: "my_cache", dbname: "main" });
 * const users = complete(engine, { prefix: "user:" });
 * await users.open();
 * await users.set("7", { value: new Uint8Array([1]), timestamp: Date.now() });
 * console.log(engine.has?.("user:7"), await users.size()); // true 1
 * await users.close();
 * ```
 */
export function complete(engine: Engine, options?: CompleteOptions): Store {
  return new CompleteEngine(engine, options);
}

/**
 * The one wrapper around an engine. It makes the methods that the engine lacks of those it has,
 * shows the part of it under a prefix as a store of its own, refuses calls before `open` and after
 * `close`, and puts what goes wrong into words.
 */
export class CompleteEngine implements Store {
  readonly texts?: Texts;
  readonly #engine: Engine;
  readonly #prefix: string;
  readonly #nestedPrefix: string | undefined;
  readonly #nestedKey: CompleteOptions["nestedKey"];
  /** What the methods that may be about a part are given; the whole engine needs no prefix. */
  readonly #part: string | undefined;
  readonly #writes: WriteWatch | undefined;
  readonly #onDrop: DropListener | undefined;
  /** This one's share of the engine, from the first `open` to `close`. */
  #hold: Promise<Hold<Engine>> | undefined;
  #isOpen = false;

  constructor(
    engine: Engine,
    { prefix = "", nestedPrefix, nestedKey, onDrop, writes }: CompleteOptions = {},
  ) {
    this.#engine = engine;
    // Not as methods: what is made of this store would take it for an engine that keeps texts.
    if (engine.getText !== undefined && engine.setText !== undefined) {
      this.texts = {
        getText: (key) => this.#getText(key),
        setText: (key, text, times) => this.#setText(key, text, times),
      };
    }
    this.#writes = writes;
    this.#prefix = prefix;
    this.#nestedPrefix = nestedPrefix;
    this.#nestedKey = nestedKey;
    this.#part = prefix === "" ? undefined : prefix;
    this.#onDrop = onDrop && ((key, why) => {
      if (key.startsWith(prefix)) onDrop(this.#own(key), why);
    });
  }

  get name(): string {
    return this.#engine.name;
  }

  get path(): string {
    return this.#engine.path;
  }

  get supports(): EngineSupports {
    const { supports } = this.#engine;
    if (this.#part !== undefined) {
      return { ...supports, prefix: false, stores: this.#nestedKey !== undefined };
    }
    // The methods of this one take no prefix.
    return supports.prefix === true ? { ...supports, prefix: false } : supports;
  }

  get evictions(): number {
    return this.#engine.evictions ?? 0;
  }

  async open(): Promise<void> {
    const hold = this.#hold ??= opened.acquire(this.#engine, async () => {
      await this.#engine.open();
      return this.#engine;
    });
    try {
      await hold;
      // Not if it was closed meanwhile.
      if (this.#hold !== hold) return;
      if (this.#onDrop !== undefined) listenersOf(this.#engine).add(this.#onDrop);
      this.#isOpen = true;
    } catch (error) {
      if (this.#hold === hold) this.#hold = undefined;
      // There is nothing to release where it could not be opened.
      await (await hold.catch(() => undefined))?.release();
      throw this.#worded(error, "open");
    }
  }

  async close(): Promise<void> {
    if (this.#onDrop !== undefined) listenersOf(this.#engine).delete(this.#onDrop);
    this.#isOpen = false;
    const hold = this.#hold;
    this.#hold = undefined;
    // What could not be opened need not be closed: who opens is told.
    const held = await hold?.catch(() => undefined);
    try {
      await held?.release();
    } catch (error) {
      throw this.#worded(error, "close");
    }
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#call("get", () => this.#engine.get(this.#prefix + key), key);
  }

  // As #call, without a function to be made for each read: it shows in a read of a microsecond.
  getValue(key: string): Awaitable<EntryValue | undefined> {
    const engine = this.#engine;
    try {
      if (!this.#isOpen) throw notOpen(engine);
      const found = engine.getValue === undefined
        ? engine.get(this.#prefix + key)
        : engine.getValue(this.#prefix + key);
      return found instanceof Promise
        ? found.catch((error) => {
          throw this.#worded(error, "get", key);
        })
        : found;
    } catch (error) {
      throw this.#worded(error, "get", key);
    }
  }

  // Likewise.
  set(key: string, entry: NewEntry): Awaitable<void> {
    const engine = this.#engine;
    const end = this.#writes?.begin(key);
    try {
      if (!this.#isOpen) throw notOpen(engine);
      const done = engine.set(this.#prefix + key, entry);
      if (done instanceof Promise) {
        return done.then(() => this.#ended(end, key, true, [entry]), (error) => {
          end?.(true);
          throw this.#worded(error, "set", key);
        });
      }
      if (this.#writes !== undefined) this.#ended(end, key, true, [entry]);
    } catch (error) {
      end?.(true);
      throw this.#worded(error, "set", key);
    }
  }

  #getText(key: string): string | undefined {
    try {
      if (!this.#isOpen) throw notOpen(this.#engine);
      return this.#engine.getText!(this.#prefix + key);
    } catch (error) {
      throw this.#worded(error, "get", key);
    }
  }

  #setText(key: string, text: string, times: Omit<NewEntry, "value" | "tag">): void {
    const end = this.#writes?.begin(key);
    try {
      if (!this.#isOpen) throw notOpen(this.#engine);
      this.#engine.setText!(this.#prefix + key, text, times);
      if (this.#writes !== undefined) this.#ended(end, key, true);
    } catch (error) {
      end?.(true);
      throw this.#worded(error, "set", key);
    }
  }

  has(key: string): Awaitable<boolean> {
    const engine = this.#engine;
    return this.#call("has", () => {
      if (engine.has !== undefined) return engine.has(this.#prefix + key);
      const found = engine.get(this.#prefix + key);
      return found instanceof Promise
        ? found.then((entry) => entry !== undefined)
        : found !== undefined;
    }, key);
  }

  delete(key: string): Awaitable<boolean> {
    return this.#write("delete", key, () => this.#engine.delete(this.#prefix + key));
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    const write = () => {
      const own = this.#prefix + key;
      return guard === undefined
        ? this.#engine.compareAndSet(own, expected, next)
        : this.#engine.compareAndSet(own, expected, next, bare(guard));
    };
    return this.#write("compareAndSet", key, write, {
      isChange: (done) => done,
      entries: next && [next],
    });
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#call("getMany", () => this.#getMany("getMany", this.#full(keys)));
  }

  getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    return this.#call("getMany", () => {
      const full = this.#full(keys);
      return this.#engine.getValues?.(full) ?? this.#getMany("getMany", full);
    });
  }

  setMany(pairs: [string, NewEntry][]): Awaitable<void> {
    const engine = this.#engine;
    const keys = pairs.map(([key]) => key);
    const entries = pairs.map(([, entry]) => entry);
    return this.#write("setMany", keys, () => {
      const own: [string, NewEntry][] = this.#part === undefined
        ? pairs
        : pairs.map(([key, entry]) => [this.#prefix + key, entry]);
      if (engine.setMany !== undefined) return engine.setMany(own);
      // In flight together, the earlier pair of a key could land last.
      return each([...new Map(own)], ([key, entry]) => engine.set(key, entry))
        .then(() => undefined);
    }, { entries });
  }

  deleteMany(keys: string[]): Awaitable<number> {
    return this.#write("deleteMany", keys, () => this.#deleteMany(this.#full(keys)));
  }

  deleteUnchanged(entries: [key: string, expected: Entry][]): Awaitable<boolean[]> {
    if (entries.length === 0) return [];
    const engine = this.#engine;
    const keys = entries.map(([key]) => key);
    return this.#write("deleteUnchanged", keys, () => {
      const own: [string, Entry][] = this.#part === undefined
        ? entries
        : entries.map(([key, expected]) => [this.#prefix + key, expected]);
      return engine.deleteUnchanged?.(own) ??
        each(own, ([key, expected]) => engine.compareAndSet(key, expected, undefined));
    }, { isChange: (removed) => removed.includes(true) });
  }

  keys(prefix = ""): AsyncIterable<string> {
    const keys = this.#each("keys", () => this.#engine.keys(this.#prefix + prefix));
    return this.#part === undefined ? keys : mapped(keys, (key) => this.#own(key));
  }

  entries(prefix = ""): AsyncIterable<[string, Entry]> {
    const entries = this.#each("entries", () => this.#entries("entries", this.#prefix + prefix));
    if (this.#part === undefined) return entries;
    return mapped(entries, ([key, entry]) => [this.#own(key), entry]);
  }

  size(): Awaitable<number> {
    return this.#call("size", async () => {
      if (this.#isWhole) return await this.#engine.size(this.#part);
      let count = 0;
      for await (const _ of this.#engine.keys(this.#prefix)) count++;
      return count;
    });
  }

  clear(deep = false): Awaitable<void> {
    return this.#write("clear", undefined, async () => {
      if (this.#part === undefined) return await this.#engine.clear(deep);
      const parts = deep && this.#nestedPrefix !== undefined
        ? [this.#part, this.#nestedPrefix]
        : [this.#part];
      for (const part of parts) {
        if (this.#isWhole) await this.#engine.clear(false, part);
        else {
          for await (const keys of batches(this.#engine.keys(part), BATCH)) {
            await this.#deleteMany(keys);
          }
        }
      }
    }, { deep });
  }

  prune(): Awaitable<number> {
    // What has expired is in no listing: of a part only the engine itself can drop it.
    return this.#call("prune", () => {
      return (this.#isWhole ? this.#engine.prune?.(this.#part) : undefined) ?? 0;
    });
  }

  check({ fix, signal }: Omit<EngineCheckOptions, "prefix">): Awaitable<EngineCheck> {
    const check = async () => {
      const engine = this.#engine;
      const report = this.#isWhole && engine.check !== undefined
        ? await engine.check({ fix, prefix: this.#part, signal })
        : await this.#check(fix, signal);
      if (this.#part === undefined) return report;
      const problems = report.problems.map((problem) =>
        problem.key === undefined ? problem : { ...problem, key: this.#own(problem.key) }
      );
      return { checked: report.checked, problems };
    };
    return fix ? this.#write("check", undefined, check) : this.#call("check", check);
  }

  byteSize(): Awaitable<number> {
    return this.#call("byteSize", async () => {
      const engine = this.#engine;
      if (this.#isWhole && engine.byteSize !== undefined) return await engine.byteSize(this.#part);
      return (await this.#usage("byteSize")).bytes;
    });
  }

  async usage(): Promise<Usage> {
    for await (const { dbname, usage } of this.stores(true)) {
      if (dbname !== "" || usage === undefined) continue;
      const { entries, bytes } = usage;
      return { entries, bytes, exact: true };
    }
    return { entries: 0, bytes: 0, exact: true };
  }

  stores(counted: boolean): AsyncIterable<FoundStore> {
    return this.#each("stores", () => {
      if (this.#part !== undefined) return this.#storesOfPart(counted);
      return this.#engine.stores?.(counted) ?? this.#storeAlone(counted);
    });
  }

  bus(): Bus | undefined {
    return this.#engine.bus?.();
  }

  guardOn(key: string, expected: Entry): Guard {
    return bare({ engine: this.#engine, key: this.#prefix + key, expected });
  }

  /** Whether the engine's own methods are about no more than this part. */
  get #isWhole(): boolean {
    return this.#part === undefined || this.#engine.supports.prefix === true;
  }

  #full(keys: string[]): string[] {
    return this.#part === undefined ? keys : keys.map((key) => this.#prefix + key);
  }

  #own(key: string): string {
    return key.slice(this.#prefix.length);
  }

  #getMany(operation: EngineOperation, keys: string[]): Awaitable<(Entry | undefined)[]> {
    const engine = this.#engine;
    return engine.getMany?.(keys) ??
      each(keys, (key) => this.#attempt(operation, () => engine.get(key), this.#own(key)));
  }

  #deleteMany(keys: string[]): Awaitable<number> {
    const engine = this.#engine;
    if (engine.deleteMany !== undefined) return engine.deleteMany(keys);
    return each([...new Set(keys)], (key) => engine.delete(key))
      .then((removed) => removed.filter((was) => was).length);
  }

  #entries(
    operation: EngineOperation,
    prefix: string,
  ): Iterable<[string, Entry]> | AsyncIterable<[string, Entry]> {
    return this.#engine.entries?.(prefix) ?? this.#pages(operation, prefix);
  }

  async *#pages(operation: EngineOperation, prefix: string): AsyncGenerator<[string, Entry]> {
    for await (const keys of batches(this.#engine.keys(prefix), PAGE)) {
      const found = await this.#getMany(operation, keys);
      for (const [i, entry] of found.entries()) {
        if (entry !== undefined) yield [keys[i], entry];
      }
    }
  }

  async #usage(operation: EngineOperation): Promise<StoreUsage> {
    const tally = new Tally();
    for await (const [key, { value, timestamp }] of this.#entries(operation, this.#prefix)) {
      tally.add(utf8Length(this.#own(key)) + value.byteLength, timestamp);
    }
    return tally.usage;
  }

  async *#storeAlone(counted: boolean): AsyncGenerator<FoundStore> {
    yield { dbname: "", usage: counted ? await this.#usage("stores") : undefined };
  }

  /** What a part can tell by its keys. */
  async *#storesOfPart(counted: boolean): AsyncGenerator<FoundStore> {
    yield* this.#storeAlone(counted);
    const start = this.#nestedPrefix;
    if (start === undefined) return;
    const tallies = new Map<string, Tally>();
    const count = (key: string, entry?: Entry) => {
      const found = this.#nestedKey?.(key.slice(start.length));
      if (found === undefined) return;
      const [dbname, own] = found;
      let tally = tallies.get(dbname);
      if (tally === undefined) tallies.set(dbname, tally = new Tally());
      if (entry !== undefined) tally.add(utf8Length(own) + entry.value.byteLength, entry.timestamp);
    };
    if (counted) { for await (const pair of this.#entries("stores", start)) count(...pair); }
    else for await (const key of this.#engine.keys(start)) count(key);
    for (const [dbname, { usage }] of tallies) yield { dbname, usage: counted ? usage : undefined };
  }

  async #check(fix: boolean, signal?: AbortSignal): Promise<EngineCheck> {
    const engine = this.#engine;
    const problems: EngineProblem[] = [];
    let checked = 0;
    for await (const key of engine.keys(this.#prefix)) {
      if (signal?.aborted) break;
      checked++;
      try {
        await engine.get(key);
      } catch (error) {
        // Of what the engine throws, it alone may know that it means damage.
        const explained = this.#explained(error, "check", this.#own(key));
        const found = explained instanceof Error ? explained : error;
        if (!(found instanceof DecodeError)) throw error;
        const fixed = fix && found.kind === "damaged" && await engine.delete(key);
        problems.push({ kind: found.kind, key, detail: found.message, fixed });
      }
    }
    return { checked, problems };
  }

  /** As #call, for what writes: who watches is told. */
  #write<T>(
    operation: EngineOperation,
    keys: string | readonly string[] | undefined,
    body: () => Awaitable<T>,
    { isChange = () => true, entries, deep }: {
      isChange?: (value: T) => boolean;
      entries?: readonly NewEntry[];
      deep?: boolean;
    } = {},
  ): Awaitable<T> {
    const end = this.#writes?.begin(keys, deep);
    const ended = (value: T) => {
      this.#ended(end, keys, isChange(value), entries, deep);
      return value;
    };
    try {
      const key = typeof keys === "string" ? keys : undefined;
      const result = this.#call(operation, body, key);
      if (this.#writes === undefined) return result;
      if (!(result instanceof Promise)) return ended(result);
      return result.then(ended, (error) => {
        end?.(true);
        throw error;
      });
    } catch (error) {
      end?.(true);
      throw error;
    }
  }

  /** A write has ended: also for who has begun to watch since it began. */
  #ended(
    end: WriteEnd | undefined,
    keys: string | readonly string[] | undefined,
    isChange: boolean,
    entries?: readonly NewEntry[],
    deep?: boolean,
  ): void {
    if (end !== undefined) end(isChange, entries);
    else this.#writes?.begin(keys, deep)?.(isChange);
  }

  #call<T>(operation: EngineOperation, body: () => Awaitable<T>, key?: string): Awaitable<T> {
    if (!this.#isOpen) throw this.#worded(notOpen(this.#engine), operation, key);
    return this.#attempt(operation, body, key);
  }

  /** Puts what goes wrong in a part of an operation into words. */
  #attempt<T>(operation: EngineOperation, body: () => Awaitable<T>, key?: string): Awaitable<T> {
    try {
      const result = body();
      return result instanceof Promise
        ? result.catch((error) => {
          throw this.#worded(error, operation, key);
        })
        : result;
    } catch (error) {
      throw this.#worded(error, operation, key);
    }
  }

  async *#each<T>(
    operation: EngineOperation,
    items: () => Iterable<T> | AsyncIterable<T>,
  ): AsyncGenerator<T> {
    let iterator: Iterator<T> | AsyncIterator<T>;
    try {
      if (!this.#isOpen) throw notOpen(this.#engine);
      const iterable = items();
      iterator = Symbol.asyncIterator in iterable
        ? iterable[Symbol.asyncIterator]()
        : iterable[Symbol.iterator]();
    } catch (error) {
      throw this.#worded(error, operation);
    }
    // By hand, so that an error of the consumer is not taken for one of the engine.
    let ended = false;
    try {
      while (true) {
        let result: IteratorResult<T>;
        try {
          result = await iterator.next();
        } catch (error) {
          ended = true;
          throw this.#worded(error, operation);
        }
        if (result.done) {
          ended = true;
          return;
        }
        yield result.value;
      }
    } finally {
      if (!ended) await iterator.return?.();
    }
  }

  /**
   * What the engine says of an error; what it says wrongly must not hide the error itself. It knows
   * the keys with the prefix.
   */
  #explained(error: unknown, operation: EngineOperation, key?: string): string | Error | undefined {
    try {
      return this.#engine.explain?.(error, operation, key === undefined ? key : this.#prefix + key);
    } catch {
      return undefined;
    }
  }

  /**
   * What the caller is told: that he has used the engine wrongly, or that it can't take a value,
   * passes as it is, and so does the error that `explain` gives; damaged bytes are a `DecodeError`
   * with engine and key; everything else is an `EngineError`. So is a `TypeError`: it is what a
   * mistake in an engine throws, and a `fetch` that reaches no server.
   */
  #worded(error: unknown, operation: EngineOperation, key?: string): unknown {
    const engine = this.#engine;
    if (error instanceof EngineError) return error;
    // Of one entry among many, and named already.
    if (key === undefined && error instanceof DecodeError && error.engine !== undefined) {
      return error;
    }
    const explained = this.#explained(error, operation, key);
    if (explained instanceof Error) error = explained;
    if (error instanceof DecodeError) {
      if (key === undefined && typeof error.key === "string" && error.engine === undefined) {
        key = this.#own(error.key);
      }
      return key === undefined ? error : unreadable(error, engine.name, key);
    }
    const isMeant = explained instanceof Error
      ? MEANT.some((type) => error instanceof type)
      : error instanceof UsageError || error instanceof RangeError && STORING.includes(operation);
    if (isMeant) return error;
    const because = typeof explained === "string" ? explained : messageOf(error);
    return engineError(engine.name, operation, because, error);
  }
}

/** The guard as the engine knows it. */
function bare(guard: Guard): Guard {
  const { engine, key, expected } = guard;
  return isStore(engine) ? engine.guardOn(key, expected) : guard;
}

function isStore(engine: Engine): engine is Store {
  return "guardOn" in engine;
}

function notOpen({ name }: Engine): UsageError {
  return new UsageError(`Engine "${name}" is not open`);
}
