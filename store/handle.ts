import type { Codec } from "../codec/mod.ts";
import type { CompleteEngine } from "../engines/complete.ts";
import type { Awaitable, Entry, EntryValue, NewEntry } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { backoff } from "./backoff.ts";
import { safeDecodeKey, unreadable } from "./guard.ts";
import { storeIdentity } from "./identity.ts";
import { exclusive } from "./mutex.ts";
import { refuseWithin } from "./reentry.ts";
import { engineName, openStore, storePathOf } from "./open.ts";
import { append, appendTo, openEnvelope, removeEarlier } from "./versions.ts";
import type { HashStash } from "../stash/hash_stash.ts";
import { type CheckedOptions, needsRootDir, RESERVED_DBNAMES } from "./options.ts";
import type { StashStats, Version } from "./types.ts";

/**
 * What is behind one handle on a stash: the opened store and those beside it, the operations under
 * way, and what is done with entries by the canonical text of their key. `HashStash` is its face;
 * the other modules of this folder use it too.
 */
export class Session {
  readonly options: CheckedOptions;
  readonly codec: Codec;
  readonly stats: StashStats = { hits: 0, misses: 0, sets: 0, deletes: 0, evictions: 0 };
  /** Whether everything is removed when it is closed. */
  temporary = false;
  #store: CompleteEngine | undefined;
  #opening: Promise<CompleteEngine> | undefined;
  readonly #spaces = new Map<string, Promise<CompleteEngine>>();
  readonly #children = new Set<AsyncDisposable>();
  #place: string | undefined;
  #closing: Promise<void> | undefined;
  /** Operations under way: `close` waits for them. */
  #active = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: CheckedOptions, codec: Codec) {
    this.options = options;
    this.codec = codec;
  }

  /** The engine's name. */
  get engine(): string {
    return engineName(this.options.engine);
  }

  /** Where the data lives. */
  get path(): string {
    return this.#store?.path ?? storePathOf(this.options);
  }

  /** How many entries the engine dropped. */
  get evictions(): number {
    return this.#store?.evictions ?? 0;
  }

  /**
   * Runs an operation on the opened store; `close` waits for it. `before` is what the caller has
   * begun already: an encoding, made of the value as it was when the method was called.
   */
  async run<T, B = undefined>(
    operation: string,
    body: (store: CompleteEngine, before: B) => Awaitable<T>,
    before?: Awaitable<B>,
  ): Promise<T> {
    const closed = this.#closing !== undefined;
    this.#active++;
    try {
      const ready = (before instanceof Promise ? await before : before) as B;
      if (closed) this.#refuse(operation);
      return await body(this.#store ?? await this.#open(), ready);
    } finally {
      if (--this.#active === 0) this.#whenIdle?.();
    }
  }

  /** Goes over items of the opened store, until the stash is closed. */
  async *iterate<T>(
    operation: string,
    items: (store: CompleteEngine) => Iterable<T> | AsyncIterable<T>,
  ): AsyncGenerator<T> {
    if (this.#closing !== undefined) this.#refuse(operation);
    const store = this.#store ?? await this.#open();
    for await (const item of items(store)) {
      yield item;
      if (this.#closing !== undefined) this.#refuse(operation);
    }
  }

  /** A store that the stash keeps for itself, beside its own. */
  async space(name: string): Promise<CompleteEngine> {
    let opening = this.#spaces.get(name);
    if (opening === undefined) {
      opening = openStore(this.options, `${this.options.dbname}/${name}`);
      this.#spaces.set(name, opening);
      opening.catch(() => this.#spaces.delete(name));
    }
    return await opening;
  }

  /** The store of earlier versions. */
  archive(): Promise<CompleteEngine> {
    return this.space(RESERVED_DBNAMES.versions);
  }

  /** Drops what has expired from the stores beside that are open. */
  async pruneSpaces(): Promise<void> {
    for (const space of this.#spaces.values()) await (await space).prune();
  }

  /**
   * Disposes of the child when the stash is closed, before its stores are: at once if that has
   * been.
   */
  adopt(child: AsyncDisposable): void {
    this.#children.add(child);
    if (this.#closing !== undefined) void child[Symbol.asyncDispose]();
  }

  /** The child has been disposed of. */
  release(child: AsyncDisposable): void {
    this.#children.delete(child);
  }

  /** A name for one key of this store in this process; the stash has been opened. */
  identity(text: string): string {
    return (this.#place ??= storeIdentity(this.options, this.path)) + text;
  }

  /** The name of the operation that changes a key. */
  modifying(text: string): string {
    return `modify ${this.identity(text)}`;
  }

  /**
   * The value under a key, or the default. As `run`, but in one piece: at a microsecond or two for
   * a read from memory or LMDB, each further promise shows.
   */
  async get(text: string, defaultValue: unknown): Promise<unknown> {
    if (this.#closing !== undefined) this.#refuse("get entry");
    this.#active++;
    try {
      const store = this.#store ?? await this.#open();
      const found = store.getValue(text);
      const entry = found instanceof Promise ? await found : found;
      if (entry === undefined) {
        this.stats.misses++;
        return defaultValue;
      }
      const decoded = this.read(entry, text);
      const value = decoded instanceof Promise ? await decoded : decoded;
      this.stats.hits++;
      return value;
    } finally {
      if (--this.#active === 0) this.#whenIdle?.();
    }
  }

  /** The value of an entry. */
  read(entry: EntryValue, text: string): Awaitable<unknown> {
    try {
      const value = this.codec.decode(openEnvelope(entry.value).value);
      return value instanceof Promise
        ? value.catch((error) => {
          throw unreadable(error, this.engine, safeDecodeKey(text));
        })
        : value;
    } catch (error) {
      throw unreadable(error, this.engine, safeDecodeKey(text));
    }
  }

  /** The value of an entry with its version. */
  async version(entry: Entry, text: string): Promise<Version<unknown>> {
    const { header } = openEnvelope(entry.value);
    return {
      version: header?.version ?? 1,
      timestamp: header?.timestamp ?? entry.timestamp ?? 0,
      value: await this.read(entry, text),
    };
  }

  /** Stores; in append mode as a new version. */
  put(store: CompleteEngine, text: string, entry: NewEntry): Awaitable<void> {
    // The modify around it would find the entry changed, and run its function again, for ever.
    refuseWithin(() => this.modifying(text), "set entry inside the modify of its key");
    return this.options.appendMode ? this.#append(store, text, entry) : store.set(text, entry);
  }

  async #append(store: CompleteEngine, text: string, entry: NewEntry): Promise<void> {
    const archive = await this.archive();
    await exclusive(this.identity(text), () => append(store, archive, text, entry));
  }

  /**
   * Stores if the entry is still as `expected`; whether it did. In append mode as a new version.
   */
  async replace(
    store: CompleteEngine,
    text: string,
    expected: Entry | undefined,
    next: NewEntry,
  ): Promise<boolean> {
    if (!this.options.appendMode) return await store.compareAndSet(text, expected, next);
    return await appendTo(expected, store, await this.archive(), text, next);
  }

  /**
   * Removes an entry, with its versions, and hands it to this caller alone; `undefined` when there
   * is none. What `use` makes of it comes before: when it throws, the entry stays.
   */
  async take<T>(
    store: CompleteEngine,
    text: string,
    use?: (entry: Entry) => Awaitable<T>,
  ): Promise<{ result: T | undefined } | undefined> {
    for (let attempt = 0;; attempt++) {
      const entry = await store.get(text);
      if (entry === undefined) return undefined;
      const result = await use?.(entry);
      if (await store.compareAndSet(text, entry, undefined)) {
        const { header } = openEnvelope(entry.value);
        if (header !== undefined && header.version > 1) {
          await removeEarlier(await this.archive(), text, header);
        }
        return { result };
      }
      await backoff(attempt);
    }
  }

  /** Waits for the operations under way and releases what is held. */
  async close(): Promise<void> {
    refuseWithin(() => this.modifying(""), "close the stash inside the function of a modify");
    await (this.#closing ??= this.#close());
  }

  async #open(): Promise<CompleteEngine> {
    this.#opening ??= this.#openOnce();
    try {
      return await this.#opening;
    } catch (error) {
      // Not kept: the next operation tries again, as the server may be up by then.
      this.#opening = undefined;
      throw error;
    }
  }

  async #openOnce(): Promise<CompleteEngine> {
    const store = await openStore(this.options, this.options.dbname);
    if (this.options.clear) {
      await store.clear();
      if (this.options.appendMode) await (await this.archive()).clear();
    }
    this.#store = store;
    return store;
  }

  async #close(): Promise<void> {
    if (this.#active > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    const used = this.#store !== undefined || this.#children.size > 0;
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    try {
      if (this.temporary && used) await (this.#store ?? await this.#open()).clear(true);
    } finally {
      for (const space of this.#spaces.values()) await (await space).close();
      await this.#store?.close();
    }
    if (this.temporary && used) await this.#removeRoot();
  }

  /** Removes the folder that the engine of a temporary stash made. */
  async #removeRoot(): Promise<void> {
    if (!needsRootDir(this.options)) return;
    await Deno.remove(this.options.rootDir!, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  #refuse(operation: string): never {
    throw new EngineError(`Cannot ${operation}: the stash "${this.options.name}" is closed`, {
      engine: this.engine,
      operation,
    });
  }
}

/** The session of a stash: for the modules of this folder. */
export let sessionOf: (stash: HashStash) => Session;

/** Called once, by the class itself: only its own code reaches its private parts. */
export function shareSessions(access: (stash: HashStash) => Session): void {
  sessionOf = access;
}
