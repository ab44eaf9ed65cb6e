/** What tags do to a store: an entry with a tag that has been invalidated is absent. */
import type { Store } from "../engines/complete.ts";
import { Decorator } from "../engines/decorator.ts";
import type {
  Awaitable,
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
  Usage,
} from "../engines/engine.ts";
import { whenReady } from "../platform/awaitable.ts";
import {
  given,
  hasHeader,
  openedIfWhole,
  type StoredEntry,
  taggedOf,
  withHeader,
} from "./header.ts";
import type { IndexedEntry, TagSpace } from "./tag_space.ts";

/** Entries of a listing that are judged in one step … */
const PAGE = 64;
/** … and bytes of them. */
const PAGE_BYTES = 1_000_000;

/** Finds the tags of a stash by its dbname. */
export type FindTagSpace = (dbname: string) => TagSpace;

/**
 * A store whose entries may have tags. To all others it does nothing, but for a look at the first
 * byte of what is read or stored.
 */
export class Tags extends Decorator {
  /** The dbname of the store. */
  readonly #dbname: string;
  readonly #space: TagSpace;
  readonly #find: FindTagSpace;
  readonly #isNear: boolean;

  /**
   * @param inner The store.
   * @param dbname Its dbname.
   * @param space The tags of the stash that it is a store of.
   * @param find Those of the stash that an entry was stored by: a function's store can be opened as
   * a stash of its own.
   * @param isNear Whether values of the store may come from a near tier.
   */
  constructor(
    inner: Store,
    dbname: string,
    space: TagSpace,
    find: FindTagSpace,
    isNear = false,
  ) {
    super(inner);
    this.#dbname = dbname;
    this.#space = space;
    this.#find = find;
    this.#isNear = isNear;
  }

  override get(key: string): Awaitable<StoredEntry | undefined> {
    return whenReady(this.inner.get(key), this.#judgeOne);
  }

  override getValue(key: string): Awaitable<EntryValue | undefined> {
    const found = this.inner.getValue(key) as Awaitable<Entry | undefined>;
    if (!this.#isNear) return whenReady(found, this.#judgeOne);
    if (found instanceof Promise) return found.then((entry) => this.#judgeNear(key, entry));
    return this.#judgeNear(key, found);
  }

  override getMany(keys: string[]): Awaitable<(StoredEntry | undefined)[]> {
    return whenReady(this.inner.getMany(keys), (entries) => this.#allLive(entries));
  }

  override getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    const found = this.inner.getValues(keys) as Awaitable<(Entry | undefined)[]>;
    return whenReady(found, (entries) => {
      const live = this.#allLive(entries, this.#isNear);
      return this.#isNear ? whenReady(live, (live) => this.#again(keys, entries, live)) : live;
    });
  }

  override entries(prefix?: string): AsyncIterable<[string, StoredEntry]> {
    // Of an invalidation that was cut off between two tags, half would be listed.
    return this.#liveEntries(() => this.#space.settle(), prefix);
  }

  /** Where nothing can be written: what has been invalidated is still there, and is passed over. */
  #unsettled(prefix?: string): AsyncIterable<[string, StoredEntry]> {
    return this.#liveEntries(() => false, prefix);
  }

  #liveEntries(
    settle: () => Awaitable<boolean>,
    prefix?: string,
  ): AsyncIterable<[string, StoredEntry]> {
    const begin = () => whenReady(settle(), () => iteratorOf(this.inner.entries(prefix)));
    const judge = (page: readonly [string, Entry][]) => this.#livePairs(page);
    return { [Symbol.asyncIterator]: () => new LiveEntries(begin, judge) };
  }

  override keys(prefix?: string): AsyncIterable<string> {
    return { [Symbol.asyncIterator]: () => this.#keys(prefix) };
  }

  /** The inner store's own where that is known at once: another one around it shows in each key. */
  #keys(prefix?: string): AsyncIterator<string> {
    const settled = this.#space.settle();
    if (settled !== true) return this.#settledKeys(settled, prefix);
    return iteratorOf(this.inner.keys(prefix));
  }

  async *#settledKeys(settled: Awaitable<boolean>, prefix?: string): AsyncGenerator<string> {
    if (await settled) yield* this.inner.keys(prefix);
    else for await (const [key] of this.#unsettled(prefix)) yield key;
  }

  override size(): Awaitable<number> {
    // Asked before: what is counted is what was there afterwards.
    const isPending = this.#space.isPending();
    const size = this.inner.size();
    if (isPending === false) return size;
    return Promise.all([isPending, size]).then(([isPending, size]) =>
      isPending ? this.#settledSize() : size
    );
  }

  async #settledSize(): Promise<number> {
    if (await this.#space.settle()) return await this.inner.size();
    let count = 0;
    for await (const _ of this.#unsettled()) count++;
    return count;
  }

  override async usage(): Promise<Usage> {
    // Where nothing can be written, what has been invalidated is still there.
    const isSettled = await this.#space.settle();
    const usage = await this.inner.usage();
    return isSettled ? usage : { ...usage, exact: false };
  }

  override async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    await this.#space.settle();
    yield* this.inner.stores(counted);
  }

  override has(key: string): Awaitable<boolean> {
    // Likewise.
    const isPending = this.#space.isPending();
    const found = this.inner.has(key);
    if (isPending === false) return found;
    return isPending instanceof Promise || found instanceof Promise
      ? Promise.all([isPending, found]).then((answers) => this.#has(key, answers))
      : this.#has(key, [isPending, found]);
  }

  #has(key: string, [isPending, found]: [boolean, boolean]): Awaitable<boolean> {
    if (!found || !isPending) return found;
    return whenReady(this.get(key), (entry) => entry !== undefined);
  }

  override set(key: string, entry: NewEntry): Awaitable<void> {
    const isPlain = taggedOf(entry) === undefined;
    return isPlain ? this.inner.set(key, entry) : this.#setTagged([[key, entry]]);
  }

  override setMany(pairs: [string, NewEntry][]): Awaitable<void> {
    const isPlain = pairs.every(([, entry]) => taggedOf(entry) === undefined);
    return isPlain ? this.inner.setMany(pairs) : this.#setTagged(pairs);
  }

  override compareAndSet(
    key: string,
    expected: StoredEntry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    const state = given(expected);
    if (next !== undefined && taggedOf(next) !== undefined) {
      return this.#replaceTagged(key, state, next, guard);
    }
    return whenReady(
      this.inner.compareAndSet(key, state, next, guard),
      (done) => done || state !== undefined ? done : this.#replaceGone(key, next, guard),
    );
  }

  override deleteUnchanged(
    entries: [key: string, expected: StoredEntry][],
  ): Awaitable<boolean[]> {
    return this.inner.deleteUnchanged(entries.map(([key, entry]) => [key, given(entry)]));
  }

  override guardOn(key: string, expected: StoredEntry): Guard {
    return super.guardOn(key, given(expected) ?? expected);
  }

  override async prune(): Promise<number> {
    const pruned = await this.inner.prune();
    // Once for all stores that have the same tags.
    if (this.#space.dbname === this.#dbname) await this.#space.prune();
    return pruned;
  }

  // One function for all reads: to make one for each would show in those from memory.
  readonly #judgeOne = (entry: Entry | undefined) => this.#live(entry);

  /** The entry, which may come from memory; when it is gone, what the engine has in its place. */
  #judgeNear(key: string, entry: Entry | undefined): Awaitable<StoredEntry | undefined> {
    if (entry === undefined || !hasHeader(entry)) return entry;
    return whenReady(this.#live(entry, true), (live) => live ?? this.get(key));
  }

  /**
   * The entry, unless one of its tags has been invalidated.
   *
   * @param isServed Whether it is only served, and may come from a near tier: then the marks may.
   */
  #live(entry: Entry | undefined, isServed = false): Awaitable<StoredEntry | undefined> {
    if (entry === undefined || !hasHeader(entry)) return entry;
    const read = openedIfWhole(entry);
    const tagged = taggedOf(read);
    if (tagged === undefined) return read;
    const isLive = this.#spaceOf(tagged).isLive(tagged, isServed);
    return isLive instanceof Promise
      ? isLive.then((isLive) => isLive ? read : undefined)
      : isLive
      ? read
      : undefined;
  }

  /** The same for many, with one look at the marks of all their tags. */
  #allLive(
    entries: readonly (Entry | undefined)[],
    isServed = false,
  ): Awaitable<(StoredEntry | undefined)[]> {
    if (!entries.some((entry) => entry !== undefined && hasHeader(entry))) return [...entries];
    return this.#judge(entries.map((entry) => entry && openedIfWhole(entry)), isServed);
  }

  /** Of what memory has and is gone, the engine may have newer ones. */
  #again(
    keys: readonly string[],
    entries: readonly (Entry | undefined)[],
    live: (StoredEntry | undefined)[],
  ): Awaitable<(StoredEntry | undefined)[]> {
    const gone = keys.flatMap((_, i) => entries[i] && live[i] === undefined ? [i] : []);
    if (gone.length === 0) return live;
    return whenReady(this.getMany(gone.map((i) => keys[i])), (found) => {
      for (const [j, i] of gone.entries()) live[i] = found[j];
      return live;
    });
  }

  async #livePairs(pairs: readonly [string, Entry][]): Promise<[string, StoredEntry][]> {
    const live = await this.#allLive(pairs.map(([, entry]) => entry));
    return pairs.flatMap(([key], i): [string, StoredEntry][] => {
      const entry = live[i];
      return entry === undefined ? [] : [[key, entry]];
    });
  }

  async #judge(
    entries: (StoredEntry | undefined)[],
    isServed: boolean,
  ): Promise<(StoredEntry | undefined)[]> {
    const tagged = entries.flatMap((entry, i) => {
      const header = entry && taggedOf(entry);
      return header === undefined ? [] : [{ ...header, i }];
    });
    for (const group of Map.groupBy(tagged, ({ space }) => space).values()) {
      const live = await this.#spaceOf(group[0]).areLive(group, isServed);
      for (const [j, { i }] of group.entries()) if (!live[j]) entries[i] = undefined;
    }
    return entries;
  }

  #spaceOf({ space = this.#dbname }: { readonly space?: string }): TagSpace {
    return space === this.#space.dbname ? this.#space : this.#find(space);
  }

  async #setTagged(pairs: readonly [string, NewEntry][]): Promise<void> {
    const { numbered, indexed } = await this.#index(pairs);
    if (numbered.length === 1) await this.inner.set(...numbered[0]);
    else await this.inner.setMany(numbered);
    for (const [space, entries] of indexed) await space.confirm(entries);
  }

  async #replaceTagged(
    key: string,
    expected: Entry | undefined,
    next: NewEntry,
    guard?: Guard,
  ): Promise<boolean> {
    const { numbered: [[, entry]], indexed } = await this.#index([[key, next]]);
    const done = await this.inner.compareAndSet(key, expected, entry, guard) ||
      expected === undefined && await this.#replaceGone(key, entry, guard);
    if (!done) await this.#restoreRows(key);
    else for (const [space, entries] of indexed) await space.confirm(entries);
    return done;
  }

  /** Where an entry that counts as absent is in the way. */
  async #replaceGone(key: string, next: NewEntry | undefined, guard?: Guard): Promise<boolean> {
    const entry = await this.inner.get(key);
    if (entry === undefined || await this.#live(entry) !== undefined) return false;
    await this.#space.remove(this.#dbname, key, entry);
    return await this.inner.compareAndSet(key, undefined, next, guard);
  }

  /** Gives the entry that could not be replaced the rows that were written over its own. */
  async #restoreRows(text: string): Promise<void> {
    const entry = await this.inner.get(text);
    const header = entry && taggedOf(entry);
    if (header === undefined) return;
    const { tags, row = "" } = header;
    const { expiresAt } = entry!;
    await this.#spaceOf(header).restore({ dbname: this.#dbname, text, tags, row, expiresAt });
  }

  /** The entries with their numbers, after the index has been told of those with tags. */
  async #index(
    pairs: readonly [string, NewEntry][],
  ): Promise<{ numbered: [string, NewEntry][]; indexed: Map<TagSpace, IndexedEntry[]> }> {
    const now = await this.#space.clock();
    const dbname = this.#dbname;
    const row = crypto.randomUUID().slice(-12);
    const indexed = new Map<TagSpace, IndexedEntry[]>();
    const numbered = pairs.map(([text, entry]): [string, NewEntry] => {
      const header = taggedOf(entry);
      if (header === undefined) return [text, entry];
      const { tags, seq = now } = header;
      // One that was stored before stays the tags' of the stash that stored it.
      const isKept = header.row !== undefined;
      const space = isKept ? this.#spaceOf(header) : this.#space;
      if (!indexed.has(space)) indexed.set(space, []);
      const { expiresAt } = entry;
      indexed.get(space)!.push({ dbname, text, tags, seq, row, isKept, expiresAt });
      const fields = { seq, row, space: space.dbname === dbname ? undefined : space.dbname };
      const tag = tags.length === 1 ? tags[0] : undefined;
      return [text, { ...entry, value: withHeader(entry.value, fields), tag }];
    });
    for (const [space, entries] of indexed) await space.index(entries);
    return { numbered, indexed };
  }
}

/**
 * The entries of a listing that are there: what has a header is judged a page at a time, and what
 * comes after it waits for it. Not a generator, which would show in a listing of entries without
 * tags.
 */
class LiveEntries implements AsyncIterator<[string, StoredEntry]> {
  readonly #begin: () => Awaitable<AsyncIterator<[string, Entry]>>;
  readonly #judge: (page: readonly [string, Entry][]) => Promise<[string, StoredEntry][]>;
  #beginning: Promise<AsyncIterator<[string, Entry]>> | undefined;
  #inner: AsyncIterator<[string, Entry]> | undefined;
  #page: [string, Entry][] = [];
  #bytes = 0;
  #live: Iterator<[string, StoredEntry]> | undefined;
  #isDone = false;

  /**
   * @param begin Begins to list what there is; called for the first one.
   * @param judge Which of them are there.
   */
  constructor(
    begin: () => Awaitable<AsyncIterator<[string, Entry]>>,
    judge: (page: readonly [string, Entry][]) => Promise<[string, StoredEntry][]>,
  ) {
    this.#begin = begin;
    this.#judge = judge;
  }

  next(): Promise<IteratorResult<[string, StoredEntry]>> {
    const ready = this.#live?.next();
    if (ready?.done === false) return Promise.resolve(ready);
    this.#live = undefined;
    if (this.#isDone) return Promise.resolve({ done: true, value: undefined });
    if (this.#inner !== undefined) return this.#inner.next().then(this.#take);
    return this.#first();
  }

  async #first(): Promise<IteratorResult<[string, StoredEntry]>> {
    try {
      const inner = await (this.#beginning ??= (async () => await this.#begin())());
      // It may have been ended meanwhile.
      if (this.#isDone) await inner.return?.();
      else this.#inner = inner;
    } catch (error) {
      this.#isDone = true;
      throw error;
    }
    return await this.next();
  }

  async return(): Promise<IteratorResult<[string, StoredEntry]>> {
    this.#isDone = true;
    await this.#inner?.return?.();
    return { done: true, value: undefined };
  }

  readonly #take = (
    result: IteratorResult<[string, Entry]>,
  ): Awaitable<IteratorResult<[string, StoredEntry]>> => {
    if (result.done) this.#isDone = true;
    else if (this.#page.length === 0 && !hasHeader(result.value[1])) return result;
    else {
      this.#page.push(result.value);
      this.#bytes += result.value[1].value.length;
      if (this.#page.length < PAGE && this.#bytes < PAGE_BYTES) return this.next();
    }
    const page = this.#page;
    this.#page = [];
    this.#bytes = 0;
    return this.#judged(page);
  };

  async #judged(
    page: readonly [string, Entry][],
  ): Promise<IteratorResult<[string, StoredEntry]>> {
    try {
      this.#live = (await this.#judge(page)).values();
    } catch (error) {
      // Whoever is told so goes on no more: what the listing holds is to be let go.
      if (!this.#isDone) await this.return();
      this.#isDone = true;
      throw error;
    }
    return await this.next();
  }
}

function iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): AsyncIterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : listed(items);
}

async function* listed<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
