import { sep as SEPARATOR } from "node:path";
import type { Store, Texts } from "../engines/complete.ts";
import type { Awaitable } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { isDiskFull } from "../engines/file_failures.ts";
import { isNotFound } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import { Bypass } from "./bypass.ts";
import { type Operation, refuseWithin } from "./contention.ts";
import type { StashEvents } from "./events.ts";
import { pruneLeases, revokeAllLeases, revokeLeases } from "./leases.ts";
import {
  decorated,
  isInside,
  limited,
  mayBeThere,
  openStore,
  storeIdentity,
  storePathOf,
} from "./open.ts";
import {
  type CheckedOptions,
  checkOptions,
  engineName,
  type HashStashOptions,
  RESERVED_DBNAMES,
} from "./options.ts";
import { type Access, Order } from "./order.ts";
import { findTelemetry } from "./telemetry.ts";
import { hasRuns, overtakeRuns, overtakeRunsOf } from "./runs.ts";
import { type TaggedStore, TagSpace } from "./tag_space.ts";
import type { StashStats } from "./types.ts";
import { Versions } from "./versions.ts";
import { Watch } from "./watch.ts";

/** Items of a listing that are taken in one step … */
const PAGE = 64;
/** … and bytes of them. */
const PAGE_BYTES = 1_000_000;

/** What is not an option of the user's. */
export interface SessionSettings {
  kind?: "stash" | "function";
  temporary?: boolean;
  parent?: Session;
}

/**
 * A store as one handle uses it: opens it with the first operation, keeps the calls in their order,
 * counts those under way and closes it behind them, with the stores beside it. What is done with its
 * entries is `Handle`.
 */
export class Session implements AsyncDisposable {
  readonly options: CheckedOptions;
  readonly stats: StashStats = { hits: 0, misses: 0, sets: 0, deletes: 0, evictions: 0 };
  readonly #near = { hits: 0 };
  /** What its keys are: any, or the lists of a function's arguments. */
  readonly kind: "stash" | "function";
  /** Who is told of what happens in it. */
  readonly watch: Watch;
  /** What is known of its store's failures, where functions go on without it. */
  readonly bypass: Bypass | undefined;
  /** Whether everything is removed when it is closed. */
  readonly #isTemporary: boolean;
  protected store: Store | undefined;
  /** The store with the latest version of each key only. */
  protected latest: Store | undefined;
  /** The store as its engine has it. */
  #plain: Store | undefined;
  /** The store by texts, where its engine keeps them and nothing that wants bytes is around it. */
  protected texts: Texts | undefined;
  #opening: Promise<Store> | undefined;
  /** Stores besides its own, by their dbnames. */
  protected readonly others = new Map<string, Promise<Store>>();
  readonly #tagSpaces = new Map<string, TagSpace>();
  /** Whether there may be stores inside, which go with a temporary one. */
  protected hasInside = false;
  readonly #children = new Set<AsyncDisposable>();
  protected readonly order = new Order();
  /** That of the stash which a function's store is in. */
  readonly #parent: Session | undefined;
  #place: string | undefined;
  /** Where the data will live, as the engine says before it is opened. */
  #pathBefore: string | undefined;
  /** How many entries that had ended the engine has named as it dropped them. */
  protected expired = 0;
  protected closing: Promise<void> | undefined;
  /** Whether its stores have been closed, or are just being. */
  #isClosed = false;
  /** Operations under way: `close` waits for them. */
  protected active = 0;
  #whenIdle: (() => void) | undefined;

  /** @throws {TypeError | RangeError} When an option makes no sense. */
  constructor(
    options: HashStashOptions,
    { kind = "stash", temporary = false, parent }: SessionSettings = {},
  ) {
    this.options = checkOptions(options);
    this.kind = kind;
    this.#isTemporary = temporary;
    this.#parent = parent;
    this.watch = new Watch(this, parent?.watch);
    this.bypass = this.options.onEngineError === "bypass" ? new Bypass(parent?.bypass) : undefined;
  }

  /** The engine's name. */
  get engine(): string {
    return engineName(this.options.engine);
  }

  /** Where the data lives. */
  get path(): string {
    return this.store?.path ?? (this.#pathBefore ??= storePathOf(this.options));
  }

  /** What came from a near tier, where the options ask for one. */
  get nearHits(): number | undefined {
    return this.options.near === undefined ? undefined : this.#near.hits;
  }

  /** How many entries the engine dropped. */
  get evictions(): number {
    return this.store?.evictions ?? 0;
  }

  /**
   * Begins what consists of several operations: `close` waits until it has been left, and those
   * that are said to be inside are not refused meanwhile.
   *
   * @param isInside Whether it is part of what has been entered.
   */
  enter(operation: string, isInside = false): void {
    if (this.closing !== undefined && !isInside) this.refuse(operation);
    this.active++;
  }

  /** Ends what `enter` began. */
  leave(): void {
    if (--this.active === 0) this.#whenIdle?.();
  }

  /**
   * Runs an operation on the opened store; `close` waits for it.
   *
   * @param isInside Whether it is part of what has been entered.
   */
  async run<T>(
    operation: string,
    body: (store: Store) => Awaitable<T>,
    isInside = false,
  ): Promise<T> {
    this.enter(operation, isInside);
    try {
      return await body(this.store ?? await this.ensureOpen());
    } finally {
      this.leave();
    }
  }

  /**
   * As `run`, for what can do without the store (`onEngineError: "bypass"`): it is given none while
   * that fails.
   *
   * @param text The key that it is about.
   */
  runAnyway<T>(
    operation: string,
    text: string,
    body: (store: Store | undefined) => Awaitable<T>,
    isInside = true,
  ): Promise<T> {
    const { bypass } = this;
    if (bypass === undefined) return this.run(operation, body, isInside);
    const open = async () => this.store ?? await this.ensureOpen();
    return this.#within(operation, isInside, async () => {
      return await body(await bypass.read({ target: this, text }, open, undefined));
    });
  }

  /** As `open`, for what can do without the store. */
  async openAnyway(): Promise<void> {
    await this.runAnyway("open", "", () => undefined, false);
  }

  async #within<T>(operation: string, isInside: boolean, body: () => Promise<T>): Promise<T> {
    this.enter(operation, isInside);
    try {
      return await body();
    } finally {
      this.leave();
    }
  }

  /**
   * Goes over items of the opened store, until the handle is closed. From the first one asked for,
   * it comes after what was called before, and before what is called after: in one step as far as
   * a page of it goes, and lazily beyond.
   *
   * @param weigh How many bytes an item has: a page is no more than a megabyte.
   */
  async *iterate<T>(
    operation: string,
    items: (store: Store) => Iterable<T> | AsyncIterable<T>,
    weigh: (item: T) => number = () => 0,
  ): AsyncGenerator<T> {
    let iterator: Iterator<T> | AsyncIterator<T> | undefined;
    let isDone = false;
    const next = async (): Promise<IteratorResult<T>> => {
      // One that throws has ended.
      isDone = true;
      const result = await iterator!.next();
      isDone = result.done === true;
      return result;
    };
    const page = await this.onAll(operation, async (store) => {
      const iterable = items(store);
      iterator = Symbol.asyncIterator in iterable
        ? iterable[Symbol.asyncIterator]()
        : iterable[Symbol.iterator]();
      const first: T[] = [];
      for (let bytes = 0; first.length < PAGE && bytes < PAGE_BYTES;) {
        const { done, value } = await next();
        if (done) break;
        first.push(value);
        bytes += weigh(value);
      }
      return first;
    });
    try {
      for (const item of page) {
        yield item;
        if (this.closing !== undefined) this.refuse(operation);
      }
      while (!isDone) {
        this.enter(operation);
        let result: IteratorResult<T>;
        try {
          result = await next();
        } finally {
          this.leave();
        }
        if (result.done) return;
        yield result.value;
      }
    } finally {
      if (!isDone) await iterator!.return?.();
    }
  }

  /**
   * A side store: one that the handle keeps beside its own, for itself. What it says decides
   * something, so that it has no near tier.
   */
  async side(name: string): Promise<Store> {
    return await this.#other(`${this.options.dbname}/${name}`);
  }

  /**
   * Another store of the stash, which is closed with the handle.
   *
   * @param hasNear Whether it has a near tier, where the options ask for one.
   * @param keepsAbsence Whether that knows of keys that are absent, too.
   * @param around Makes a store around it.
   */
  async #other(
    dbname: string,
    hasNear = false,
    keepsAbsence = false,
    around: (store: Store) => Awaitable<Store> = (store) => store,
  ): Promise<Store> {
    // What goes on after the stash has been closed would open it for nobody to close.
    if (this.#isClosed) this.refuse("open");
    let opening = this.others.get(dbname);
    if (opening === undefined) {
      const near = { keepsAbsence, report: this.#reportNear };
      opening = openStore(this.options, dbname, { near: hasNear ? near : undefined }).then(around);
      this.others.set(dbname, opening);
      opening.catch(() => this.others.delete(dbname));
    }
    return await opening;
  }

  /** The tags of a stash, by its dbname; of this one, which a function has in common with it. */
  tagSpace(dbname?: string): TagSpace {
    if (this.kind === "function" && this.#parent !== undefined) {
      return this.#parent.tagSpace(dbname);
    }
    const { options } = this;
    const name = dbname ?? options.dbname;
    let space = this.#tagSpaces.get(name);
    if (space === undefined) {
      const side = `${name}/${RESERVED_DBNAMES.tags}`;
      space = new TagSpace(name, {
        open: () => this.#other(side, true, true),
        mayBeThere: () => mayBeThere(options, side),
        storeOf: (of) => this.#tagged(of),
      });
      this.#tagSpaces.set(name, space);
    }
    return space;
  }

  /** A store whose entries have this stash's tags. */
  async #tagged(dbname: string): Promise<TaggedStore> {
    if (dbname === this.options.dbname) {
      const store = this.store ?? await this.ensureOpen();
      return { plain: this.#plain!, store };
    }
    const options = { ...this.options, dbname };
    // With its limits, as to which what is removed is room. It removes only what it is told to.
    const plain = await this.#other(dbname, true, false, (store) => {
      return limited(store, options, { outermost: () => store, evicted: () => undefined });
    });
    if (!this.options.appendMode) return { plain, store: plain };
    const side = () => this.#other(`${dbname}/${RESERVED_DBNAMES.versions}`);
    return { plain, store: new Versions(plain, side, () => `${this.place}${dbname}`) };
  }

  /**
   * Disposes of the child when the handle is closed, before its stores are: at once if that has
   * been.
   */
  adopt(child: AsyncDisposable): void {
    this.#children.add(child);
    if (this.closing !== undefined && this.active === 0) void child[Symbol.asyncDispose]();
  }

  /** The child has been disposed of. */
  release(child: AsyncDisposable): void {
    this.#children.delete(child);
  }

  /**
   * A name for the store in this process, to which a key is added. It has been opened, but for those
   * who do without it.
   */
  get place(): string {
    if (this.store === undefined) return storeIdentity(this.options, this.path);
    return this.#place ??= storeIdentity(this.options, this.path);
  }

  /** The side store of leases; `undefined` where no other process can use the store. */
  async leases(): Promise<Store | undefined> {
    return (this.store ?? await this.ensureOpen()).supports.shared
      ? await this.side(RESERVED_DBNAMES.leases)
      : undefined;
  }

  /** The events of the handle. */
  get events(): StashEvents {
    return this.watch.events;
  }

  readonly #reportNear = (thrown: unknown, text?: string) => this.report(thrown, text);

  /**
   * Tells who listens, here and at the stash that a function's store is in, of an error; of a key,
   * where it is about one.
   */
  report(thrown: unknown, text?: string): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    this.watch.tell("error", text, { error });
  }

  /** Opens the store; without it the first operation does. */
  async open(): Promise<void> {
    await this.run("open", () => undefined);
  }

  /** Waits for the operations under way and releases what is held. */
  async close(): Promise<void> {
    if (this.store !== undefined) {
      // Another handle on the store does not wait for it, and can be closed.
      const isHere = ({ owner }: Operation) =>
        owner === this || owner !== undefined && this.#children.has(owner as AsyncDisposable);
      refuseWithin(isHere, "close the stash inside a function that it waits for");
    }
    await (this.closing ??= this.#close());
  }

  /** The same as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** As `run`, in the place of a call on these keys. */
  async onKeys<T>(
    operation: string,
    texts: readonly string[],
    access: Access,
    body: (store: Store) => Awaitable<T>,
    isInside = false,
  ): Promise<T> {
    this.enter(operation, isInside);
    try {
      // The place is taken before anything is awaited, be it the opening.
      const placed = () =>
        this.order.onKeys(
          texts,
          access,
          async () => await body(this.store ?? await this.ensureOpen()),
        );
      return await this.watch.counting(operation, placed);
    } finally {
      this.leave();
    }
  }

  /** As `run`, in the place of a call about all keys. */
  protected async onAll<T>(operation: string, body: (store: Store) => Awaitable<T>): Promise<T> {
    this.enter(operation);
    try {
      const placed = () =>
        this.order.onAll(async () => await body(this.store ?? await this.ensureOpen()));
      return await this.watch.counting(operation, placed);
    } finally {
      this.leave();
    }
  }

  /**
   * Takes from those who compute the results of these keys, in any process, the right to store
   * them.
   */
  async decideOtherwise(texts: readonly string[]): Promise<void> {
    if (hasRuns()) { for (const text of texts) overtakeRuns(this.place, text); }
    const leases = await this.knownLeases(this.store ?? await this.ensureOpen());
    if (leases !== undefined) await revokeLeases(leases, texts);
  }

  /**
   * The leases of those who may be computing. Where the disk has no room to make the side store of
   * them, nobody has made it; and what is being removed must go all the same, to make room.
   */
  protected async knownLeases(store: Pick<Store, "supports">): Promise<Store | undefined> {
    if (!store.supports.shared) return undefined;
    try {
      return await this.side(RESERVED_DBNAMES.leases);
    } catch (error) {
      if (isDiskFull(error)) return undefined;
      throw error;
    }
  }

  /** Drops the leases of processes that were killed. */
  protected async pruneLeases(store: Store): Promise<void> {
    const { options } = this;
    if (!mayBeThere(options, `${options.dbname}/${RESERVED_DBNAMES.leases}`)) return;
    try {
      const leases = await this.knownLeases(store);
      if (leases !== undefined) await pruneLeases(leases);
    } catch (error) {
      // Where nothing may be written nobody can have left one; and after a day they go by themselves.
      if (!(error instanceof EngineError)) throw error;
    }
  }

  /** The engine has dropped an entry by itself. */
  readonly #dropped = (text: string, why: "evict" | "expire"): void => {
    if (why === "expire") this.expired++;
    this.watch.tell(why, text);
  };

  protected async ensureOpen(): Promise<Store> {
    this.#opening ??= this.#openOnce();
    try {
      return await this.#opening;
    } catch (error) {
      // Not kept: the next operation tries again, as the server may be up by then.
      this.#opening = undefined;
      throw error;
    }
  }

  async #openOnce(): Promise<Store> {
    const { options } = this;
    findTelemetry();
    const near = { keepsAbsence: false, counts: this.#near, report: this.#reportNear };
    const plain = await openStore(options, options.dbname, { onDrop: this.#dropped, near });
    const { store, latest } = await decorated(plain, options, this);
    if (options.clear) {
      try {
        await this.clearStore(store, false);
      } catch (error) {
        await store.close();
        throw error;
      }
    }
    this.#plain = plain;
    this.latest = latest;
    const wantsBytes = options.frozen || options.appendMode ||
      options.maxEntries !== undefined || options.maxBytes !== undefined;
    if (!wantsBytes) this.texts = plain.texts;
    this.store = store;
    return store;
  }

  protected async clearStore(store: Store, deep: boolean): Promise<void> {
    // The handle may be opening: then its own `place` is not to be asked for.
    const place = storeIdentity(this.options, store.path);
    if (hasRuns()) overtakeRuns(place);
    const leases = await this.knownLeases(store);
    if (leases !== undefined) await revokeAllLeases(leases);
    await store.clear(deep);
    this.watch.tell("clear");
    if (!hasRuns()) return;
    overtakeRuns(place);
    if (deep) overtakeRunsOf((other) => isInside(other, place));
  }

  async #close(): Promise<void> {
    if (this.active > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    const used = this.store !== undefined || this.hasInside;
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    try {
      if (this.#isTemporary && used) await (this.store ?? await this.ensureOpen()).clear(true);
    } finally {
      this.#isClosed = true;
      for (const side of this.others.values()) await (await side).close();
      await this.store?.close();
    }
    // The folder that the engine of a temporary store made.
    const { rootDir } = this.options;
    if (this.#isTemporary && used && rootDir && this.path.startsWith(`${rootDir}${SEPARATOR}`)) {
      await removeTree(rootDir).catch((error) => {
        if (!isNotFound(error)) throw error;
      });
    }
  }

  protected refuse(operation: string): never {
    throw new EngineError(`Cannot call ${operation}: the stash "${this.options.name}" is closed`, {
      engine: this.engine,
      operation,
    });
  }
}
