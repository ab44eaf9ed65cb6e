import { join, sep as SEPARATOR } from "node:path";
import { Codec } from "../codec/codec.ts";
import { textPrefixes } from "../codec/key.ts";
import { toBytes, toBytesTogether } from "../codec/text.ts";
import type { Store, Texts } from "../engines/complete.ts";
import { batches, each, groupsOf } from "../engines/each.ts";
import type { Awaitable, Entry, EntryValue, NewEntry, Usage } from "../engines/engine.ts";
import { EngineError, unreadable } from "../engines/errors.ts";
import { isDiskFull } from "../engines/file_failures.ts";
import { whenReady } from "../platform/awaitable.ts";
import { isNotFound } from "../platform/errors.ts";
import { removeTree } from "../platform/files.ts";
import { Bypass } from "./bypass.ts";
import { checkStore } from "./check.ts";
import { backoff, exclusive, Operation, refuseWithin } from "./contention.ts";
import type { StashEvents } from "./events.ts";
import { FrozenValues } from "./frozen.ts";
import {
  freshUntil,
  given,
  hasHeader,
  type Header,
  opened,
  type StoredEntry,
  valueOf,
  withHeader,
} from "./header.ts";
import { pruneLeases, revokeAllLeases, revokeLeases, revokeLeasesOf } from "./leases.ts";
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
  checkDeadline,
  type CheckedOptions,
  type CheckedSetOptions,
  checkOptions,
  checkSetOptions,
  checkTags,
  deadline,
  engineName,
  type HashStashOptions,
  needsRootDir,
  RESERVED_DBNAMES,
  rootDirOf,
  type SetOptions,
  TEMPORARY,
  type TouchOptions,
  withoutFilePath,
} from "./options.ts";
import { type Access, type Call, Order } from "./order.ts";
import { findTelemetry, since } from "./telemetry.ts";
import { hasRuns, overtakeRuns, overtakeRunsOf } from "./runs.ts";
import type { TextPairs } from "./pairs.ts";
import {
  beginsWith,
  keyOf,
  selectedEntries,
  selectedKeys,
  type SelectOptions,
} from "./selection.ts";
import { type StoreInfo, storesIn } from "./stores.ts";
import { type TaggedStore, TagSpace } from "./tag_space.ts";
import type { CheckOptions, StashCheck, StashEntry, StashStats, Version } from "./types.ts";
import { Versions, versionsOf } from "./versions.ts";
import { Watch } from "./watch.ts";

/** Entries handed to an engine at once: enough to amortise a transaction or a round trip … */
const BATCH = 500;
/** … and bytes: little enough to hold in memory. */
const BATCH_BYTES = 4_000_000;
/** How many values of a generator are encoded at once: in memory besides those of a batch. */
const ENCODED_AT_ONCE = 4;

/** Items of a listing that are taken in one step … */
const PAGE = 64;
/** … and bytes of them. */
const PAGE_BYTES = 1_000_000;

/** Told apart from every value that can be stored. */
export const ABSENT: unique symbol = Symbol("absent");

/** What a value is read from. */
type StoredValue = Pick<StoredEntry, "value" | "header" | "given">;

/** What is stored of a value: a text where the engine keeps texts, else bytes. */
type Content = Awaitable<string | Uint8Array>;

/** What is not an option of the user's. */
interface HandleSettings {
  kind?: "stash" | "function";
  temporary?: boolean;
  parent?: Handle;
}

/**
 * One handle on a store: opens and closes it, and does what a stash does by the canonical text of a
 * key. `HashStash` is its public face; functions, records and transfers work on it too.
 */
export class Handle implements AsyncDisposable {
  readonly options: CheckedOptions;
  readonly codec: Codec;
  /** Where values come back frozen. */
  readonly #frozen: FrozenValues | undefined;
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
  #store: Store | undefined;
  /** The store with the latest version of each key only. */
  #latest: Store | undefined;
  /** The store as its engine has it. */
  #plain: Store | undefined;
  /** The store by texts, where its engine keeps them and nothing that wants bytes is around it. */
  #texts: Texts | undefined;
  #opening: Promise<Store> | undefined;
  /** Stores besides its own, by their dbnames. */
  readonly #others = new Map<string, Promise<Store>>();
  readonly #tagSpaces = new Map<string, TagSpace>();
  /** Whether there may be stores inside, which go with a temporary one. */
  #hasInside = false;
  readonly #children = new Set<AsyncDisposable>();
  readonly #order = new Order();
  /** The handle that the store of a function is in. */
  readonly #parent: Handle | undefined;
  #place: string | undefined;
  /** Where the data will live, as the engine says before it is opened. */
  #pathBefore: string | undefined;
  /** How many entries that had ended the engine has named as it dropped them. */
  #expired = 0;
  #closing: Promise<void> | undefined;
  /** Whether its stores have been closed, or are just being. */
  #isClosed = false;
  /** Operations under way: `close` waits for them. */
  #active = 0;
  #whenIdle: (() => void) | undefined;

  /** @throws {TypeError | RangeError} When an option makes no sense. */
  constructor(
    options: HashStashOptions,
    { kind = "stash", temporary = false, parent }: HandleSettings = {},
  ) {
    this.options = checkOptions(options);
    const { serializer, compress, b64, maxValueBytes } = this.options;
    this.codec = new Codec({ serializer, compress, b64, maxValueBytes });
    if (this.options.frozen) this.#frozen = new FrozenValues();
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
    return this.#store?.path ?? (this.#pathBefore ??= storePathOf(this.options));
  }

  /** What came from a near tier, where the options ask for one. */
  get nearHits(): number | undefined {
    return this.options.near === undefined ? undefined : this.#near.hits;
  }

  /** How many entries the engine dropped. */
  get evictions(): number {
    return this.#store?.evictions ?? 0;
  }

  /**
   * Begins what consists of several operations: `close` waits until it has been left, and those
   * that are said to be inside are not refused meanwhile.
   *
   * @param isInside Whether it is part of what has been entered.
   */
  enter(operation: string, isInside = false): void {
    if (this.#closing !== undefined && !isInside) this.#refuse(operation);
    this.#active++;
  }

  /** Ends what `enter` began. */
  leave(): void {
    if (--this.#active === 0) this.#whenIdle?.();
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
      return await body(this.#store ?? await this.#open());
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
    const open = async () => this.#store ?? await this.#open();
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
    const page = await this.#onAll(operation, async (store) => {
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
        if (this.#closing !== undefined) this.#refuse(operation);
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
   * The canonical texts and the keys. What is under a text that no key has, as another program
   * wrote it, is passed over: `check` names it.
   */
  async *keys(selection: SelectOptions): AsyncGenerator<[text: string, key: unknown]> {
    const { options: { dbname } } = this;
    const texts = this.iterate(
      "keys",
      (store) => selectedKeys(store, selection, this.tagSpace(), dbname),
    );
    for await (const text of texts) {
      const key = keyOf(text);
      if (key !== undefined) yield [text, key.key];
    }
  }

  /** The same with the entries. */
  async *entries(
    operation: string,
    selection: SelectOptions = {},
  ): AsyncGenerator<[string, unknown, StoredEntry]> {
    const { options: { dbname } } = this;
    const entries = this.iterate<[string, StoredEntry]>(
      operation,
      (store) => selectedEntries(store, selection, this.tagSpace(), dbname),
      ([, { value }]) => value.length,
    );
    for await (const [text, entry] of entries) {
      const key = keyOf(text);
      if (key !== undefined) yield [text, key.key, entry];
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
    if (this.#isClosed) this.#refuse("open");
    let opening = this.#others.get(dbname);
    if (opening === undefined) {
      const near = { keepsAbsence, report: this.#reportNear };
      opening = openStore(this.options, dbname, { near: hasNear ? near : undefined }).then(around);
      this.#others.set(dbname, opening);
      opening.catch(() => this.#others.delete(dbname));
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
      const store = this.#store ?? await this.#open();
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

  /** A handle on a store inside this one, with the same options but for `changes`. */
  sub(dbname: string, changes: HashStashOptions = {}, kind?: Handle["kind"]): Handle {
    this.#hasInside = true;
    const options = {
      ...this.#derivedOptions(changes),
      dbname: `${this.options.dbname}/${dbname}`,
    };
    return new Handle(options, { kind, parent: kind === "function" ? this : undefined });
  }

  /** A handle on a store of its own with the same options, removed when it is closed. */
  tmp(changes: HashStashOptions): Handle {
    const name = TEMPORARY + crypto.randomUUID();
    const merged = this.#derivedOptions({ name, ...changes });
    merged.engineOptions = withoutFilePath(merged.engineOptions);
    const checked = checkOptions(merged);
    // In a folder of its parent's root: the permissions are there, and so is the disk that is
    // measured.
    const rootDir = needsRootDir(checked) ? join(rootDirOf(checked)!, name) : name;
    return new Handle({ ...merged, rootDir }, { temporary: true });
  }

  /**
   * Disposes of the child when the handle is closed, before its stores are: at once if that has
   * been.
   */
  adopt(child: AsyncDisposable): void {
    this.#children.add(child);
    if (this.#closing !== undefined && this.#active === 0) void child[Symbol.asyncDispose]();
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
    if (this.#store === undefined) return storeIdentity(this.options, this.path);
    return this.#place ??= storeIdentity(this.options, this.path);
  }

  /** The side store of leases; `undefined` where no other process can use the store. */
  async leases(): Promise<Store | undefined> {
    return (this.#store ?? await this.#open()).supports.shared
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

  // In one piece, as set is: at a microsecond or two for a read from memory or LMDB, each further
  // promise shows. For the same reason a call enters the order only when it may have to wait, or
  // others for it.
  /**
   * The value under a key, or the default.
   *
   * @param readHeaded Reads an entry with a header in the place of `read`; when it gives `ABSENT`,
   * the entry counts as absent.
   */
  async get(
    text: string,
    defaultValue: unknown,
    readHeaded?: (handle: Handle, entry: EntryValue, text: string) => Awaitable<unknown>,
  ): Promise<unknown> {
    this.enter("get");
    const begin = this.watch.beginGet();
    let call: Call | undefined;
    try {
      if (this.#store === undefined || !this.#order.isFree(text, "read")) {
        const ahead = this.#order.ahead(text, "read");
        call = this.#order.enter(text, "read");
        if (ahead !== undefined) await ahead;
        if (this.#store === undefined) await this.#open();
      }
      const kept = this.#texts?.getText(text);
      if (kept !== undefined) {
        const value = this.#decode(kept, text);
        this.stats.hits++;
        if (begin !== 0) this.watch.looked("hit", text, since(begin), kept.length);
        return value;
      }
      const found = this.#store!.getValue(text);
      if (found instanceof Promise) call ??= this.#order.enter(text, "read");
      const entry = found instanceof Promise ? await found : found;
      if (call !== undefined) call = this.#leave(text, call);
      if (entry === undefined) {
        this.stats.misses++;
        if (begin !== 0) this.watch.looked("miss", text, since(begin));
        return defaultValue;
      }
      const decoded = readHeaded !== undefined && hasHeader(entry)
        ? readHeaded(this, entry, text)
        : this.read(entry, text);
      const value = decoded instanceof Promise ? await decoded : decoded;
      if (value === ABSENT) {
        this.stats.misses++;
        if (begin !== 0) this.watch.looked("miss", text, since(begin));
        return defaultValue;
      }
      this.stats.hits++;
      if (begin !== 0) this.watch.looked("hit", text, since(begin), entry.value.length);
      return value;
    } catch (thrown) {
      if (begin !== 0) this.watch.count("get", begin, { thrown });
      throw thrown;
    } finally {
      if (call !== undefined) this.#leave(text, call);
      this.leave();
    }
  }

  /** The entry under a key, with its deadline: to be served, and not to decide anything by. */
  async getEntry(text: string): Promise<Entry | undefined> {
    return await this.onKeys("get", [text], "read", (store) => this.servedEntry(store, text));
  }

  /** The same, of the opened store. */
  servedEntry(store: Store, text: string): Awaitable<Entry | undefined> {
    // A near tier has the whole entry with the value.
    if (this.options.near === undefined) return store.get(text);
    return store.getValue(text) as Awaitable<Entry | undefined>;
  }

  /** The entries under many keys, likewise. */
  servedEntries(store: Store, texts: string[]): Awaitable<(Entry | undefined)[]> {
    if (this.options.near === undefined) return store.getMany(texts);
    return store.getValues(texts) as Awaitable<(Entry | undefined)[]>;
  }

  /**
   * Changes fields of the header of an entry, if it is still as it was read, and nothing else of
   * it: in append mode that makes no version. Whether it did.
   */
  async amend(text: string, entry: StoredEntry, fields: Header): Promise<boolean> {
    const { value, expiresAt, timestamp = Date.now() } = given(entry);
    const next = { value: withHeader(value, fields), expiresAt, timestamp };
    return await this.run("amend", () => this.#latest!.compareAndSet(text, entry, next), true);
  }

  /** Stores the value as it is now. */
  async set(text: string, value: unknown, options?: SetOptions): Promise<void> {
    const timestamp = Date.now();
    const expiresAt = deadline(options, this.options.ttl, timestamp);
    const tags = checkTags(options?.tags);
    // Before anything is awaited: the caller may change the value once set has been called.
    const encoding = this.#encode(value, tags);
    if (this.#closing !== undefined) {
      await encoding;
      this.#refuse("set");
    }
    this.#active++;
    const begin = this.watch.beginSet();
    let call: Call | undefined;
    try {
      const isLater = encoding instanceof Promise;
      if (isLater || this.#store === undefined || !this.#order.isFree(text, "write")) {
        const ahead = this.#order.ahead(text, "write");
        call = this.#order.enter(text, "write");
        // One that fails before it is its turn is told then: who comes behind it relies on its
        // waiting for those ahead of it.
        if (isLater) encoding.catch(() => undefined);
        if (ahead !== undefined) await ahead;
        if (this.#store === undefined) await this.#open();
      }
      const content = isLater ? await encoding : encoding;
      // The modify around it would find the entry changed, and run its function again, for ever.
      this.refuseInModify(text, "set entry inside the modify of its key");
      const done = typeof content === "string"
        ? this.#texts!.setText(text, content, { expiresAt, timestamp })
        : this.#store!.set(text, { value: withTags(content, tags), expiresAt, timestamp });
      if (done instanceof Promise) {
        call ??= this.#order.enter(text, "write");
        await done;
      }
      if (hasRuns()) overtakeRuns(this.place, text);
      this.stats.sets++;
      if (begin !== 0) this.watch.stored(text, content.length, begin);
    } catch (thrown) {
      if (begin !== 0) this.watch.count("set", begin, { thrown });
      throw thrown;
    } finally {
      if (call !== undefined) this.#leave(text, call);
      this.leave();
    }
  }

  /** Whether the key is there. */
  async has(text: string): Promise<boolean> {
    return await this.onKeys("has", [text], "read", (store) => store.has(text));
  }

  /** When the entry ends, ms since the epoch; `Infinity`: never; `undefined`: it is absent. */
  async expiresAt(text: string): Promise<number | undefined> {
    return await this.onKeys("expiresAt", [text], "read", async (store) => {
      const entry = await store.get(text);
      return entry && (entry.expiresAt ?? Infinity);
    });
  }

  /** The value under a key with what is known of it. */
  async entry(text: string): Promise<StashEntry<unknown> | undefined> {
    const found = await this.onKeys("entry", [text], "read", (store) => store.get(text));
    if (found === undefined) return undefined;
    const { expiresAt } = found;
    const fresh = freshUntil(found);
    const { value, timestamp, version } = await this.version(found, text);
    return {
      value,
      ...(timestamp === 0 ? {} : { timestamp }),
      ...(expiresAt === undefined ? {} : { expiresAt, freshUntil: fresh }),
      stale: Date.now() >= fresh,
      tags: [...opened(found).header?.tags ?? []],
      version,
    };
  }

  /** Moves the deadline of an entry, in append mode of the latest; whether it was there. */
  async touch(text: string, options?: TouchOptions): Promise<boolean> {
    const { ttl } = this.options;
    checkDeadline(options);
    return await this.onKeys("touch", [text], "write", async () => {
      // The modify around it would find the entry changed, and run its function again, for ever.
      this.refuseInModify(text, "touch entry inside the modify of its key");
      for (let attempt = 0;; attempt++) {
        const entry: StoredEntry | undefined = await this.#latest!.get(text);
        if (entry === undefined) return false;
        const now = Date.now();
        const fresh = deadline(options, ttl, now);
        // It is kept for as long after its new end as it would have been after the old one.
        const expiresAt = fresh && fresh + (opened(entry).header?.stale ?? 0);
        const next = { value: given(entry).value, expiresAt, timestamp: entry.timestamp ?? now };
        if (await this.#latest!.compareAndSet(text, entry, next)) return true;
        await backoff(attempt);
      }
    });
  }

  /** Removes a key; whether it was there. */
  async delete(text: string): Promise<boolean> {
    return await this.onKeys("delete", [text], "write", async (store) => {
      await this.decideOtherwise([text]);
      const deleted = await store.delete(text);
      if (deleted) this.#deleted(text);
      return deleted;
    });
  }

  /**
   * Removes a key in the state in which it is read now; whether nobody changed it meanwhile.
   *
   * @param check Throws where that is not what was to be removed.
   */
  async deleteUnchanged(text: string, check: (entry: StoredEntry) => void): Promise<boolean> {
    return await this.onKeys("delete", [text], "write", async (store) => {
      const entry = await store.get(text);
      if (entry === undefined) return false;
      check(entry);
      await this.decideOtherwise([text]);
      const [deleted] = await store.deleteUnchanged([[text, entry]]);
      if (deleted) this.#deleted(text);
      return deleted;
    });
  }

  /** The stored value, or the default just stored. */
  async setDefault(text: string, value: unknown, options?: SetOptions): Promise<unknown> {
    const { tags, ...times } = checkSetOptions(options);
    const [, encoding] = this.#encoded([text, value]);
    return await this.onKeys("setDefault", [text], "write", async (store) => {
      const bytes = withTags(await encoding, tags);
      for (let attempt = 0;; attempt++) {
        const entry = await store.get(text);
        if (entry !== undefined) {
          this.stats.hits++;
          const value = await this.read(entry, text);
          this.watch.looked("hit", text, undefined, entry.value.length);
          return value;
        }
        const timestamp = Date.now();
        const expiresAt = deadline(times, this.options.ttl, timestamp);
        if (await store.compareAndSet(text, undefined, { value: bytes, expiresAt, timestamp })) {
          if (hasRuns()) overtakeRuns(this.place, text);
          this.stats.misses++;
          this.stats.sets++;
          this.watch.looked("miss", text);
          this.watch.stored(text, bytes.length);
          return this.#frozen === undefined ? value : await this.read({ value: bytes }, text);
        }
        await backoff(attempt);
      }
    });
  }

  /** Removes a key and gives its value to this caller alone; the default when it is absent. */
  async pop(text: string, defaultValue: unknown): Promise<unknown> {
    return await this.onKeys("pop", [text], "write", (store) => {
      return this.#pop(store, text, defaultValue);
    });
  }

  /** Removes some key and gives it with its value to this caller alone. */
  async popItem(): Promise<[key: unknown, value: unknown] | undefined> {
    // In one step: a `set` that is called after it must not be what it takes.
    return await this.#onAll("popItem", async (store) => {
      for await (const text of store.keys()) {
        const key = keyOf(text);
        if (key === undefined) continue;
        const value = await this.#pop(store, text, ABSENT);
        if (value !== ABSENT) return [key.key, value];
      }
    });
  }

  /** Reads, changes and stores a value. */
  async modify(
    text: string,
    fn: (current: unknown) => unknown,
    options?: SetOptions,
  ): Promise<unknown> {
    const checked = checkSetOptions(options);
    return await this.watch.counting("modify", () => this.#modify(text, fn, checked));
  }

  async #modify(
    text: string,
    fn: (current: unknown) => unknown,
    checked: CheckedSetOptions,
  ): Promise<unknown> {
    return await this.run("modify", async (store) => {
      this.refuseInModify(text, "modify entry inside the modify of its key");
      // Only its reads and writes are in the order of calls: the function may take its time.
      return await exclusive(this.place + text, "modify the entry", async (turn) => {
        for (let attempt = 0;; attempt++) {
          // Before the entry: what is invalidated while the function runs has been read by it.
          const seq = checked.tags === undefined ? undefined : await this.tagSpace().clock();
          const entry = await this.#order.onKeys([text], "read", () => store.get(text));
          const current = entry && await this.read(entry, text);
          const operation = new Operation(this.place, `modify ${text}`, this);
          turn.waitsFor.add(operation);
          const next = await operation.run(() => fn(current));
          turn.waitsFor.delete(operation);
          if (await this.#modifyOnce(store, text, entry, next, { ...checked, seq })) {
            return this.#frozen === undefined ? next : await this.#asStored(next, text);
          }
          await backoff(attempt);
        }
      });
    });
  }

  /** The values of many keys in their order, `undefined` where absent. */
  async getMany(texts: string[]): Promise<unknown[]> {
    return await this.onKeys("getMany", texts, "read", async (store) => {
      const isWatched = this.watch.wants("hit") || this.watch.wants("miss");
      const values: unknown[] = [];
      for (const group of groupsOf(texts, BATCH)) {
        for (const entry of await this.#contentsOf(store, group)) {
          const text = texts[values.length];
          const value = typeof entry === "string"
            ? this.#decode(entry, text)
            : entry && this.read(entry, text);
          // Most are there at once; to wait for each nevertheless would show in the time of a batch.
          values.push(value instanceof Promise ? await value : value);
          if (entry) this.stats.hits++;
          else this.stats.misses++;
          if (isWatched) {
            const bytes = typeof entry === "string" ? entry.length : entry?.value.length;
            this.watch.looked(entry ? "hit" : "miss", text, undefined, bytes);
          }
        }
      }
      return values;
    });
  }

  /** What is under the keys: texts, where they are kept as such, and the values of entries. */
  #contentsOf(
    store: Store,
    keys: string[],
  ): Awaitable<readonly (string | EntryValue | undefined)[]> {
    const texts = this.#texts;
    if (texts === undefined) return store.getValues(keys);
    const contents = keys.map((key): string | EntryValue | undefined => texts.getText(key));
    const others = keys.filter((_, i) => contents[i] === undefined);
    if (others.length === 0) return contents;
    return whenReady(store.getValues(others), (found) => {
      let next = 0;
      return contents.map((content) => content ?? found[next++]);
    });
  }

  /**
   * Stores many pairs of canonical text and value, in batches: what is in memory already as it is
   * now, what comes from a generator as it is when it comes.
   */
  async setMany(source: TextPairs, options?: SetOptions): Promise<void> {
    const checked = checkSetOptions(options);
    if ("snapshot" in source) {
      const pairs = source.snapshot.map(([text, value]): [string, Content] => {
        return [text, handled(this.#encode(value, checked.tags, true))];
      });
      const texts = pairs.map(([text]) => text);
      await this.onKeys(
        "setMany",
        texts,
        "write",
        (store) => this.#setPairs(store, pairs, checked),
      );
    } else {
      const setAll = async (store: Store) => {
        const encoded = this.#encodedInTurn(source.lazy);
        for await (const batch of batches(encoded, BATCH, BATCH_BYTES, sizeOf)) {
          const texts = batch.map(([text]) => text);
          await this.#order.onKeys(texts, "write", () => this.#setPairs(store, batch, checked));
        }
      };
      await this.watch.counting("setMany", () => this.run("setMany", setAll));
    }
  }

  /** Removes many keys; how many were there. */
  async deleteMany(texts: string[]): Promise<number> {
    return await this.onKeys("deleteMany", texts, "write", async (store) => {
      let deleted = 0;
      for (const batch of groupsOf(texts, BATCH)) {
        await this.decideOtherwise(batch);
        const there = this.watch.wants("delete") ? await thoseThere(store, batch) : [];
        deleted += await store.deleteMany(batch);
        for (const text of there) this.watch.tell("delete", text);
      }
      this.stats.deletes += deleted;
      return deleted;
    });
  }

  /** Every version of a key, oldest first; without append mode the one there is. */
  async getAll(text: string): Promise<Version<unknown>[]> {
    return await this.onKeys("getAll", [text], "read", async (store) => {
      const head = await store.get(text);
      if (head === undefined) return [];
      const versions = await Array.fromAsync(this.versions(text, head));
      return await Promise.all(versions.map((entry) => this.version(entry, text)));
    });
  }

  /** Every version of a key from its latest one, oldest first, as they are stored. */
  async *versions(text: string, head: Entry): AsyncGenerator<StoredEntry> {
    try {
      yield* versionsOf(text, head, () => this.side(RESERVED_DBNAMES.versions));
    } catch (error) {
      throw unreadable(error, this.engine, text);
    }
  }

  /** A value as it would come from the store. */
  async #asStored(value: unknown, text: string): Promise<unknown> {
    return await this.read({ value: await this.codec.encode(value) }, text);
  }

  /** The value of an entry. */
  read(entry: StoredValue, text: string): Awaitable<unknown> {
    const frozen = this.#frozen;
    if (frozen === undefined) return this.#decode(entry, text);
    const { value: bytes } = entry.given ?? entry;
    return frozen.known(bytes) ??
      whenReady(this.#decode(entry, text), (value) => frozen.made(bytes, value));
  }

  #decode(entry: StoredValue | string, text: string): Awaitable<unknown> {
    try {
      if (typeof entry === "string") return this.codec.decodeText(entry);
      const value = this.codec.decode(valueOf(entry));
      return value instanceof Promise
        ? value.catch((error) => {
          throw unreadable(error, this.engine, text);
        })
        : value;
    } catch (error) {
      throw unreadable(error, this.engine, text);
    }
  }

  /** The value of an entry with its version. */
  async version(entry: StoredEntry, text: string): Promise<Version<unknown>> {
    const value = await this.read(entry, text);
    const { header } = opened(entry);
    return {
      version: header?.version ?? 1,
      timestamp: header?.timestamp ?? entry.timestamp ?? 0,
      value,
    };
  }

  /** Removes all entries, with `deep` also those of the stores inside. */
  async clear(deep: boolean): Promise<void> {
    await this.#onAll("clear", (store) => this.#clear(store, deep));
  }

  /** Removes the entries that have one of the tags, or whose key is a text and begins so. */
  async invalidate(what: { tags: string[] } | { prefix: string }): Promise<number> {
    return await this.#onAll("invalidate", async (store) => {
      const removed = "tags" in what
        ? await this.tagSpace().invalidate(what.tags)
        : await this.#removePrefix(store, what.prefix);
      this.stats.deletes += removed;
      this.watch.tell("invalidate", undefined, { count: removed });
      return removed;
    });
  }

  async #removePrefix(store: Store, prefix: string): Promise<number> {
    const isMeant = (text: string) => beginsWith(text, prefix);
    if (hasRuns()) overtakeRuns(this.place, isMeant);
    const leases = await this.#knownLeases(store);
    let removed = 0;
    for (const start of textPrefixes(prefix)) {
      if (leases !== undefined) await revokeLeasesOf(leases, start, isMeant);
      for await (const batch of batches(store.keys(start), BATCH)) {
        const texts = batch.filter(isMeant);
        if (texts.length === 0) continue;
        await this.decideOtherwise(texts);
        removed += await store.deleteMany(texts);
      }
    }
    return removed;
  }

  /** Drops what has expired; how many entries. */
  async prune(): Promise<number> {
    return await this.#onAll("prune", async (store) => {
      const named = this.#expired;
      const pruned = await store.prune();
      const count = pruned - (this.#expired - named);
      if (count > 0) this.watch.tell("expire", undefined, { count });
      for (const side of this.#others.values()) await (await side).prune();
      await this.#pruneLeases(store);
      return pruned;
    });
  }

  /** Looks at everything that is stored. */
  async check(options: CheckOptions): Promise<StashCheck> {
    return await this.#onAll("check", async (store) => {
      const { appendMode } = this.options;
      if (options.fix) await this.#pruneLeases(store);
      const earlier = appendMode ? await this.side(RESERVED_DBNAMES.versions) : undefined;
      return await checkStore(this, store, options, earlier);
    });
  }

  /** Opens the store; without it the first operation does. */
  async open(): Promise<void> {
    await this.run("open", () => undefined);
  }

  /** Waits for the operations under way and releases what is held. */
  async close(): Promise<void> {
    if (this.#store !== undefined) {
      // Another handle on the store does not wait for it, and can be closed.
      const isHere = ({ owner }: Operation) =>
        owner === this || owner !== undefined && this.#children.has(owner as AsyncDisposable);
      refuseWithin(isHere, "close the stash inside a function that it waits for");
    }
    await (this.#closing ??= this.#close());
  }

  /** The same as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** How many entries there are. */
  async size(): Promise<number> {
    return await this.#onAll("size", (store) => store.size());
  }

  /** Bytes on disk or in the server. */
  async byteSize(): Promise<number> {
    return await this.#onAll("byteSize", (store) => store.byteSize());
  }

  /** How much this store holds, by what is known of it if it has limits. */
  async usage(): Promise<Usage> {
    return await this.#onAll("usage", (store) => store.usage());
  }

  /** What this store and those inside it hold. */
  async stores(): Promise<StoreInfo[]> {
    const { kind, options: { dbname } } = this;
    return await this.#onAll("stores", (store) => storesIn(store, dbname, kind === "function"));
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
        this.#order.onKeys(
          texts,
          access,
          async () => await body(this.#store ?? await this.#open()),
        );
      return await this.watch.counting(operation, placed);
    } finally {
      this.leave();
    }
  }

  /** As `run`, in the place of a call about all keys. */
  async #onAll<T>(operation: string, body: (store: Store) => Awaitable<T>): Promise<T> {
    this.enter(operation);
    try {
      const placed = () =>
        this.#order.onAll(async () => await body(this.#store ?? await this.#open()));
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
    const leases = await this.#knownLeases(this.#store ?? await this.#open());
    if (leases !== undefined) await revokeLeases(leases, texts);
  }

  /**
   * The leases of those who may be computing. Where the disk has no room to make the side store of
   * them, nobody has made it; and what is being removed must go all the same, to make room.
   */
  async #knownLeases(store: Pick<Store, "supports">): Promise<Store | undefined> {
    if (!store.supports.shared) return undefined;
    try {
      return await this.side(RESERVED_DBNAMES.leases);
    } catch (error) {
      if (isDiskFull(error)) return undefined;
      throw error;
    }
  }

  /** Drops the leases of processes that were killed. */
  async #pruneLeases(store: Store): Promise<void> {
    const { options } = this;
    if (!mayBeThere(options, `${options.dbname}/${RESERVED_DBNAMES.leases}`)) return;
    try {
      const leases = await this.#knownLeases(store);
      if (leases !== undefined) await pruneLeases(leases);
    } catch (error) {
      // Where nothing may be written nobody can have left one; and after a day they go by themselves.
      if (!(error instanceof EngineError)) throw error;
    }
  }

  async #pop(store: Store, text: string, defaultValue: unknown): Promise<unknown> {
    for (let attempt = 0;; attempt++) {
      await this.decideOtherwise([text]);
      const entry = await store.get(text);
      if (entry === undefined) {
        this.watch.looked("miss", text);
        return defaultValue;
      }
      // Decoded before it is removed: a value that can't be read must not be lost.
      const value = await this.read(entry, text);
      if (await store.compareAndSet(text, entry, undefined)) {
        this.watch.looked("hit", text, undefined, entry.value.length);
        this.#deleted(text);
        return value;
      }
      await backoff(attempt);
    }
  }

  #deleted(text: string): void {
    this.stats.deletes++;
    this.watch.tell("delete", text);
  }

  /** The engine has dropped an entry by itself. */
  readonly #dropped = (text: string, why: "evict" | "expire"): void => {
    if (why === "expire") this.#expired++;
    this.watch.tell(why, text);
  };

  /**
   * What is stored of a value, as it is now.
   *
   * @param asText Whether a text is welcome.
   */
  #encode(
    value: unknown,
    tags: readonly string[] | undefined,
    asText = this.#texts !== undefined,
  ): Content {
    // Tags stand before the bytes.
    const text = asText && tags === undefined ? this.codec.encodeText(value) : undefined;
    return text ?? this.codec.encode(value);
  }

  #encoded([text, value]: readonly [string, unknown]): [string, Awaitable<Uint8Array>] {
    return [text, handled(this.codec.encode(value))];
  }

  /** Pairs with encoded values: how many bytes one has is known only when it has been encoded. */
  async *#encodedInTurn(
    pairs: AsyncIterable<readonly [string, unknown]>,
  ): AsyncGenerator<[string, Uint8Array]> {
    const begun: [string, Awaitable<Uint8Array>][] = [];
    const first = async (): Promise<[string, Uint8Array]> => {
      const [text, encoding] = begun.shift()!;
      return [text, encoding instanceof Promise ? await encoding : encoding];
    };
    for await (const pair of pairs) {
      begun.push(this.#encoded(pair));
      if (begun.length === ENCODED_AT_ONCE) yield await first();
    }
    while (begun.length > 0) yield await first();
  }

  /** Stores pairs in batches of what an engine takes at once. */
  async #setPairs(
    store: Store,
    pairs: readonly [string, Content][],
    { tags, ...times }: CheckedSetOptions,
  ): Promise<void> {
    const batch: [string, string | Uint8Array][] = [];
    let size = 0;
    // Looked at once for all that is there at once, as looking takes longer than the rest.
    const clock = () => {
      const timestamp = Date.now();
      return { timestamp, expiresAt: deadline(times, this.options.ttl, timestamp) };
    };
    let time = clock();
    const flush = async () => {
      const texts = batch.every(isText) ? this.#texts : undefined;
      if (texts !== undefined) {
        for (const [text, content] of batch) texts.setText(text, content as string, time);
      } else {
        const contents = batch.map(([, content]) => content);
        // Who keeps bytes in memory would keep those of the whole batch for the sake of one.
        const isKept = !store.supports.persistent || this.options.near !== undefined;
        const values = isKept ? contents.map(asBytes) : toBytesTogether(contents);
        for (let i = 0; i < batch.length; i++) batch[i][1] = values[i];
        await store.setMany(batch.map(([text], i): [string, NewEntry] => {
          return [text, { value: withTags(values[i], tags), ...time }];
        }));
      }
      if (hasRuns()) { for (const [text] of batch) overtakeRuns(this.place, text); }
      this.stats.sets += batch.length;
      if (this.watch.wants("set")) {
        for (const [text, { length }] of batch) this.watch.stored(text, length);
      }
      batch.length = size = 0;
    };
    for (const [text, encoding] of pairs) {
      this.refuseInModify(text, "set entry inside the modify of its key");
      // Most are there at once; to wait for each nevertheless would show in the time of a batch.
      const content = encoding instanceof Promise ? await encoding : encoding;
      const own = sizeOf([text, content]);
      if (batch.length === BATCH || batch.length > 0 && size + own > BATCH_BYTES) await flush();
      if (batch.length === 0) time = clock();
      batch.push([text, content]);
      size += own;
    }
    if (batch.length > 0) await flush();
  }

  /** Refuses what the function of a modify of the key, however indirectly, does to the same key. */
  refuseInModify(text: string, what: string): void {
    refuseWithin(({ subject }) => subject === `${this.place}modify ${text}`, what);
  }

  /** One try of `modify`; whether the entry was still as it was read. */
  async #modifyOnce(
    store: Store,
    text: string,
    entry: Entry | undefined,
    value: unknown,
    { tags, seq, ...times }: CheckedSetOptions & { readonly seq?: number },
  ): Promise<boolean> {
    if (value === undefined) {
      return await this.#order.onKeys([text], "write", async () => {
        // Also of a key that is absent, as `delete` does: who computes it must not store it.
        await this.decideOtherwise([text]);
        if (entry === undefined) return true;
        const isDone = await store.compareAndSet(text, entry, undefined);
        if (isDone) this.#deleted(text);
        return isDone;
      });
    }
    const timestamp = Date.now();
    const { ttl } = this.options;
    const isOwn = times.ttl !== undefined || times.expiresAt !== undefined || ttl !== Infinity;
    const expiresAt = isOwn ? deadline(times, ttl, timestamp) : entry?.expiresAt;
    const before = entry && opened(entry).header;
    const fields: Header = {
      // With the deadline stays what part of its time is that of a stale result.
      stale: expiresAt === entry?.expiresAt ? before?.stale : undefined,
      // All that belongs to its tags stays: whose they are, and since when they have counted.
      ...(tags === undefined
        ? { tags: before?.tags, seq: before?.seq, row: before?.row, space: before?.space }
        : tags.length > 0
        ? { tags, seq }
        : {}),
    };
    const encoded = await this.codec.encode(value);
    const isPlain = Object.values(fields).every((field) => field === undefined);
    const bytes = isPlain ? encoded : withHeader(encoded, fields);
    const next = { value: bytes, expiresAt, timestamp };
    return await this.#order.onKeys([text], "write", async () => {
      if (!await store.compareAndSet(text, entry, next)) return false;
      if (hasRuns()) overtakeRuns(this.place, text);
      this.stats.sets++;
      this.watch.stored(text, bytes.length);
      return true;
    });
  }

  /**
   * The options of a handle made from this one: the same but for `changes`; another engine has
   * options of its own.
   */
  #derivedOptions(changes: HashStashOptions): HashStashOptions {
    const { engine } = this.options;
    const same = changes.engine === undefined || changes.engine === engine;
    return {
      ...this.options,
      clear: false,
      ...(same ? {} : { engineOptions: undefined }),
      ...changes,
    };
  }

  async #open(): Promise<Store> {
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
        await this.#clear(store, false);
      } catch (error) {
        await store.close();
        throw error;
      }
    }
    this.#plain = plain;
    this.#latest = latest;
    const wantsBytes = this.#frozen !== undefined || options.appendMode ||
      options.maxEntries !== undefined || options.maxBytes !== undefined;
    if (!wantsBytes) this.#texts = plain.texts;
    this.#store = store;
    return store;
  }

  async #clear(store: Store, deep: boolean): Promise<void> {
    // The handle may be opening: then its own `place` is not to be asked for.
    const place = storeIdentity(this.options, store.path);
    if (hasRuns()) overtakeRuns(place);
    const leases = await this.#knownLeases(store);
    if (leases !== undefined) await revokeAllLeases(leases);
    await store.clear(deep);
    this.watch.tell("clear");
    if (!hasRuns()) return;
    overtakeRuns(place);
    if (deep) overtakeRunsOf((other) => isInside(other, place));
  }

  async #close(): Promise<void> {
    if (this.#active > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    const used = this.#store !== undefined || this.#hasInside;
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    try {
      if (this.#isTemporary && used) await (this.#store ?? await this.#open()).clear(true);
    } finally {
      this.#isClosed = true;
      for (const side of this.#others.values()) await (await side).close();
      await this.#store?.close();
    }
    // The folder that the engine of a temporary store made.
    const { rootDir } = this.options;
    if (this.#isTemporary && used && rootDir && this.path.startsWith(`${rootDir}${SEPARATOR}`)) {
      await removeTree(rootDir).catch((error) => {
        if (!isNotFound(error)) throw error;
      });
    }
  }

  #leave(text: string, call: Call): undefined {
    this.#order.leave(text, call);
  }

  #refuse(operation: string): never {
    throw new EngineError(`Cannot call ${operation}: the stash "${this.options.name}" is closed`, {
      engine: this.engine,
      operation,
    });
  }
}

/** Stored bytes that say which tags they have; as they are, without any. */
function withTags(bytes: Uint8Array, tags: readonly string[] = []): Uint8Array {
  return tags.length === 0 ? bytes : withHeader(bytes, { tags });
}

/** Those of the keys that are there. */
async function thoseThere(store: Store, texts: readonly string[]): Promise<string[]> {
  const unique = [...new Set(texts)];
  const isThere = await each(unique, (text) => store.has(text));
  return unique.filter((_, i) => isThere[i]);
}

/** One that fails before it is its turn is told then. */
function handled<T>(work: Awaitable<T>): Awaitable<T> {
  if (work instanceof Promise) work.catch(() => undefined);
  return work;
}

function isText([, content]: readonly [string, string | Uint8Array]): boolean {
  return typeof content === "string";
}

function asBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? toBytes(content) : content;
}

function sizeOf([text, value]: readonly [string, string | Uint8Array]): number {
  return text.length + value.length;
}
