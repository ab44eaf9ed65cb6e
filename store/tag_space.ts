/**
 * Tags: which entries of a stash, and of its functions, have one, and which of those have been
 * invalidated. Not by time, as the clocks of several machines disagree, but by a count: each
 * invalidation has a number, an entry has the number of the last one that came before what it was
 * made of was read, and it is there as long as none of its tags has been invalidated since.
 *
 * All of it stands in one side store of the stash, made by the first tagged entry or invalidation:
 *
 * - `c`: the number of the last invalidation. It begins with the time, so that it goes on above its
 *   earlier numbers where it is lost.
 * - `t/TAG`: the number of the tag's last invalidation, from which on it counts.
 * - `i/TAG/STORE/KEY`: an entry that has the tag, with the entry's own deadline: written before the
 *   entry, and removed after it.
 * - `p`: the invalidations under way, so that one that is cut off is brought to its end.
 * - `f`: entries with a number below it can't be judged any more, as marks have been dropped.
 */
import { decodeKey, encodeKey } from "../codec/key.ts";
import type { Store } from "../engines/complete.ts";
import { each } from "../engines/each.ts";
import type { Awaitable, Entry, EntryValue, NewEntry } from "../engines/engine.ts";
import { whenReady } from "../platform/awaitable.ts";
import { backoff } from "./contention.ts";
import { taggedOf } from "./header.ts";

/** After so long, ms, nobody writes any more what was begun before. */
const KEPT = 86_400_000;
/** Rows of the index that are taken in one step. */
const PAGE = 256;

const CLOCK = "c";
const PENDING = "p";
const FLOOR = "f";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An entry that has a tag, as the index has it. */
export interface Row {
  /** The key of the row. */
  readonly key: string;
  /** The dbname of the entry's store. */
  readonly dbname: string;
  /** The canonical text of the entry's key. */
  readonly text: string;
}

/** An entry that is about to be stored. */
export interface IndexEntry extends Omit<Row, "key"> {
  readonly tags: readonly string[];
  /** Its deadline, ms since the epoch. */
  readonly expiresAt?: number;
}

/** An entry with tags, as far as it is to be judged. */
export interface TaggedEntry {
  readonly tags: readonly string[];
  /** The number of the last invalidation before what it was made of was read; absent: 0. */
  readonly seq?: number;
}

/** A store whose entries have the stash's tags. */
export interface TaggedStore {
  /** As its engine has it. */
  readonly plain: Store;
  /** With what stands around it: what removes an entry removes its earlier versions too. */
  readonly store: Store;
}

/** What is wanted of the stash that the tags are of. */
export interface TagSpaceOptions {
  /** Opens the side store. */
  open(): Promise<Store>;
  /** Whether it may have been made already; asked as long as it has not been opened. */
  mayBeThere(): boolean;
  /** Opens a store of the stash, its own or that of a function. */
  storeOf(dbname: string): Promise<TaggedStore>;
}

/** The tags of one stash. */
export class TagSpace {
  /** The dbname of the stash that they are of. */
  readonly dbname: string;
  readonly #options: TagSpaceOptions;
  #side: Store | undefined;

  /** @param dbname The dbname of the stash that they are of. */
  constructor(dbname: string, options: TagSpaceOptions) {
    this.dbname = dbname;
    this.#options = options;
  }

  /** The number of the last invalidation; 0 when there has been none. */
  clock(): Awaitable<number> {
    return this.#read(CLOCK, 0, numberOf);
  }

  /** The number of the last invalidation of any of these tags. */
  lastOf(tags: readonly string[]): Awaitable<number> {
    if (tags.length === 1) return this.#read(markKey(tags[0]), 0, numberOf);
    return whenReady(this.#known(), (side) => {
      if (side === undefined) return 0;
      const found = side.getValues(tags.map(markKey));
      return whenReady(found, (marks) => Math.max(...marks.map(numberOf)));
    });
  }

  /** Which of the entries are there: none of their tags has been invalidated since their number. */
  areLive(entries: readonly TaggedEntry[]): Awaitable<boolean[]> {
    if (entries.length === 1) {
      const [{ tags, seq = 0 }] = entries;
      return whenReady(this.lastOf(tags), (last) => [last <= seq]);
    }
    return whenReady(this.#known(), (side) => {
      if (side === undefined) return entries.map(() => true);
      const tags = [...new Set(entries.flatMap(({ tags }) => tags))];
      return whenReady(side.getValues(tags.map(markKey)), (found) => {
        const last = new Map(tags.map((tag, i) => [tag, numberOf(found[i])]));
        return entries.map(({ tags, seq = 0 }) => tags.every((tag) => last.get(tag)! <= seq));
      });
    });
  }

  /** Writes that entries have tags, before they are stored. */
  async index(entries: readonly IndexEntry[]): Promise<void> {
    const side = await this.#make();
    const timestamp = Date.now();
    // Something of its own in each: who removes a row must not remove one that was written since.
    const value = encoder.encode(`${timestamp} ${crypto.randomUUID()}`);
    const rows = entries.flatMap(({ dbname, text, tags, expiresAt }) =>
      tags.map((tag): [string, NewEntry] => [
        this.#rowKey(tag, dbname, text),
        { value, timestamp, expiresAt },
      ])
    );
    if (rows.length === 1) await side.set(...rows[0]);
    else await side.setMany(rows);
  }

  /**
   * Which of the entries, which have been stored, were invalidated while they were: they are to be
   * removed again.
   */
  async areOvertaken(entries: readonly TaggedEntry[]): Promise<boolean[]> {
    const side = await this.#make();
    const tags = [...new Set(entries.flatMap(({ tags }) => tags))];
    const [floor, ...marks] = (await side.getValues([FLOOR, ...tags.map(markKey)])).map(numberOf);
    const last = new Map(tags.map((tag, i) => [tag, marks[i]]));
    const overtaken = entries.map(({ tags, seq = 0 }) =>
      seq < floor || tags.some((tag) => last.get(tag)! > seq)
    );
    if (overtaken.includes(true)) {
      // Where the count was lost, as the server evicted it, it has to go on above the marks.
      const most = Math.max(floor, ...marks);
      await this.#raise(side, CLOCK, (number) => number < most ? most : undefined);
    }
    return overtaken;
  }

  /** The rows of a tag, a page at a time; of one store, and keys that begin so, where given. */
  async *rows(tag: string, dbname?: string, prefix = ""): AsyncGenerator<Row[]> {
    const side = await this.#known();
    if (side === undefined) return;
    const start = dbname === undefined ? `i/${escape(tag)}/` : this.#rowKey(tag, dbname, prefix);
    yield* this.#pages(side, start);
  }

  /**
   * Invalidates tags: when it resolves, nobody is served an entry that had one of them, and the
   * entries are gone.
   *
   * @returns How many entries it removed.
   */
  async invalidate(tags: readonly string[]): Promise<number> {
    const side = await this.#make();
    const token = crypto.randomUUID();
    // Said before it counts: whoever lists entries brings one that is cut off to its end.
    await this.#change(side, PENDING, (entry) => {
      const pending = pendingOf(entry);
      for (const tag of tags) pending[tag] = token;
      return JSON.stringify(pending);
    });
    // Taken before it counts, so that what is read from here on may be kept.
    const number = await this.#raise(side, CLOCK, (last) => last === 0 ? Date.now() : last + 1);
    await each(
      tags,
      (tag) =>
        this.#change(
          side,
          markKey(tag),
          (entry) => numberOf(entry) < number ? `${number} ${Date.now()}` : undefined,
        ),
    );
    return await this.#finish(side, Object.fromEntries(tags.map((tag) => [tag, token])));
  }

  /** Brings invalidations that are under way to their end; whether there were any. */
  settle(): Awaitable<boolean> {
    return this.#read(PENDING, false, (entry, side) => {
      if (entry === undefined) return false;
      return this.#finish(side, pendingOf(entry)).then(() => true);
    });
  }

  /** Whether an invalidation is under way. */
  isPending(): Awaitable<boolean> {
    return this.#read(PENDING, false, (entry) => entry !== undefined);
  }

  /**
   * Drops the rows of entries that are gone, and the marks that no entry needs, where both are so
   * old that nobody writes any more what was begun before them.
   *
   * @param isThere Which of the entries of rows are there.
   */
  async prune(): Promise<void> {
    const side = await this.#known();
    if (side === undefined) return;
    await this.settle();
    const end = Date.now() - KEPT;
    let floor = 0;
    const old: string[] = [];
    for await (const key of side.keys("t/")) {
      const [number, at] = numbersOf(await side.getValue(key));
      if (at >= end) continue;
      old.push(key);
      floor = Math.max(floor, number);
    }
    if (old.length > 0) await this.#raise(side, FLOOR, (last) => last < floor ? floor : undefined);
    for (const key of old) await this.#finishTag(side, unescape(key.slice(2)));
    for (const key of old) {
      const entry = await side.get(key);
      if (entry !== undefined && numberOf(entry) <= floor) {
        await side.compareAndSet(key, entry, undefined);
      }
    }
    for await (const rows of this.#pages(side, "i/")) {
      const gone: Row[] = [];
      for (const [dbname, ofStore] of Map.groupBy(rows, ({ dbname }) => dbname)) {
        const { plain } = await this.#options.storeOf(dbname);
        const there = await each(ofStore, ({ text }) => plain.has(text));
        gone.push(...ofStore.filter((_, i) => !there[i]));
      }
      const found = await side.getMany(gone.map(({ key }) => key));
      await each(found, (entry, i) =>
        entry !== undefined && numbersOf(entry)[0] < end &&
        side.compareAndSet(gone[i].key, entry, undefined));
    }
  }

  /** Removes what invalidations have overtaken, and the note that they are under way. */
  async #finish(side: Store, pending: Readonly<Record<string, string>>): Promise<number> {
    let removed = 0;
    for (const tag of Object.keys(pending)) removed += await this.#finishTag(side, tag);
    await this.#change(side, PENDING, (entry) => {
      const left = pendingOf(entry);
      // One that began meanwhile has a token of its own.
      for (const [tag, token] of Object.entries(pending)) if (left[tag] === token) delete left[tag];
      return Object.keys(left).length === 0 ? null : JSON.stringify(left);
    });
    return removed;
  }

  /** Removes the entries with a tag that have been overtaken, and their rows; how many. */
  async #finishTag(side: Store, tag: string): Promise<number> {
    let removed = 0;
    for await (const rows of this.rows(tag)) {
      const states = await side.getMany(rows.map(({ key }) => key));
      const stateOf = new Map(rows.map(({ key }, i) => [key, states[i]]));
      for (const [dbname, ofStore] of Map.groupBy(rows, ({ dbname }) => dbname)) {
        const opened = await this.#options.storeOf(dbname);
        removed += await this.#removeEntries(side, opened, tag, ofStore, stateOf);
      }
    }
    return removed;
  }

  async #removeEntries(
    side: Store,
    { plain, store }: TaggedStore,
    tag: string,
    rows: readonly Row[],
    stateOf: ReadonlyMap<string, Entry | undefined>,
  ): Promise<number> {
    const entries = await plain.getMany(rows.map(({ text }) => text));
    const tagged = entries.map((entry) => entry && taggedOf(entry));
    const live = await this.areLive(tagged.filter((header) => header !== undefined));
    let next = 0;
    const isLive = tagged.map((header) => header !== undefined && live[next++]);
    let removed = 0;
    await each(rows, async ({ key, text }, i) => {
      const [entry, header, state] = [entries[i], tagged[i], stateOf.get(key)];
      if (isLive[i] && header!.tags.includes(tag)) return;
      if (entry !== undefined && header !== undefined && !isLive[i]) {
        if (!await store.compareAndSet(text, entry, undefined)) return;
        removed++;
      }
      // Only as it was before the entry was looked at: it may have been written anew.
      if (state !== undefined) await side.compareAndSet(key, state, undefined);
    });
    return removed;
  }

  async *#pages(side: Store, start: string): AsyncGenerator<Row[]> {
    let page: Row[] = [];
    for await (const key of side.keys(start)) {
      const row = this.#row(key);
      if (row === undefined) continue;
      page.push(row);
      if (page.length < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  #rowKey(tag: string, dbname: string, text: string): string {
    return `i/${escape(tag)}/${escape(dbname.slice(this.dbname.length))}/${text}`;
  }

  #row(key: string): Row | undefined {
    const match = /^i\/[^/]*\/([^/]*)\/(.*)$/s.exec(key);
    if (match === null) return undefined;
    return { key, dbname: this.dbname + unescape(match[1]), text: match[2] };
  }

  /** What an entry of the side store says; `absent` where there is no side store. */
  #read<T>(
    key: string,
    absent: T,
    say: (entry: EntryValue | undefined, side: Store) => Awaitable<T>,
  ): Awaitable<T> {
    return whenReady(this.#known(), (side) => {
      if (side === undefined) return absent;
      return whenReady(side.getValue(key), (entry) => say(entry, side));
    });
  }

  /** The side store, unless nobody has made it. */
  #known(): Awaitable<Store | undefined> {
    if (this.#side !== undefined) return this.#side;
    return this.#options.mayBeThere() ? this.#make() : undefined;
  }

  async #make(): Promise<Store> {
    return this.#side = await this.#options.open();
  }

  /** Raises a number, unless `next` has none that is higher; what it is then. */
  async #raise(
    side: Store,
    key: string,
    next: (number: number) => number | undefined,
  ): Promise<number> {
    let number = 0;
    await this.#change(side, key, (entry) => {
      const last = numberOf(entry);
      const raised = next(last);
      number = raised ?? last;
      return raised === undefined ? undefined : String(raised);
    });
    return number;
  }

  /** Changes an entry of the side store; `undefined`: it stays, `null`: it goes. */
  async #change(
    side: Store,
    key: string,
    next: (entry: Entry | undefined) => string | null | undefined,
  ): Promise<void> {
    for (let attempt = 0;; attempt++) {
      const entry = await side.get(key);
      const text = next(entry);
      if (text === undefined || text === null && entry === undefined) return;
      const value = text === null
        ? undefined
        : { value: encoder.encode(text), timestamp: Date.now() };
      if (await side.compareAndSet(key, entry, value)) return;
      await backoff(attempt);
    }
  }
}

function markKey(tag: string): string {
  return `t/${escape(tag)}`;
}

/** A part of a key that has no slash, and nothing that an engine could not keep in a key. */
function escape(text: string): string {
  return encodeKey(text).replace(/[%/]/g, encodeURIComponent);
}

function unescape(text: string): string {
  return decodeKey(text.replace(/%2F|%25/g, decodeURIComponent)) as string;
}

function textOf(entry: EntryValue | undefined): string {
  return entry === undefined ? "" : decoder.decode(entry.value);
}

/** The numbers that a text begins with. */
function numbersOf(entry: EntryValue | undefined): [number, number] {
  const [first, second] = textOf(entry).split(" ").map(Number);
  return [first || 0, second || 0];
}

function numberOf(entry: EntryValue | undefined): number {
  return numbersOf(entry)[0];
}

function pendingOf(entry: EntryValue | undefined): Record<string, string> {
  return Object.assign(Object.create(null), entry === undefined ? {} : JSON.parse(textOf(entry)));
}
