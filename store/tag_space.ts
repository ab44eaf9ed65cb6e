/**
 * Tags: which entries of a stash, and of its functions, have one, and which of those have been
 * invalidated. Not by time, as the clocks of several machines disagree, but by a count: each
 * invalidation has a number, an entry has the number of the last one that came before what it was
 * made of was read, and it is there as long as none of its tags has been invalidated since.
 *
 * All of it stands in one side store of the stash, made by the first tagged entry or invalidation:
 *
 * - `c`: the number of the last invalidation. It begins with the time, so that it goes on above its
 *   earlier numbers where it is lost. While not all may know yet that there is one, it says `new`.
 * - `t/TAG`: the number of the tag's last invalidation, from which on it counts.
 * - `i/TAG/STORE/KEY`: an entry that has the tag, until the entry's own deadline: written before the
 *   entry. It goes after it when the tag is invalidated; that of an entry which was removed, evicted
 *   or given other tags is left to `prune`. What it says the entry says too, so that who removes an
 *   entry removes no row that another has written for the next one.
 * - `p`: the invalidations under way, so that one that is cut off is brought to its end, whoever
 *   comes across it first.
 * - `f`: what is stored for the first time with a number below it can't be judged any more, as marks
 *   have been dropped.
 */
import { decodeKey, encodeKey } from "../codec/key.ts";
import type { Store } from "../engines/complete.ts";
import { batches, each, groupsOf } from "../engines/each.ts";
import type { Awaitable, Entry, EntryValue, NewEntry } from "../engines/engine.ts";
import { isDiskFull } from "../engines/file_failures.ts";
import { whenReady } from "../platform/awaitable.ts";
import { delay, now } from "../platform/timers.ts";
import { backoff } from "./contention.ts";
import { taggedOf } from "./header.ts";
import { Near } from "./near.ts";

/** After so long, ms, nobody writes any more what was begun before. */
const KEPT = 86_400_000;
/**
 * For so long, ms, a row of the index stays without its entry: it may be about to be stored. Who
 * takes longer writes it again.
 */
const ROW_KEPT = 60_000;
/**
 * For so long, ms, a process goes by having seen that nothing was ever invalidated: where tags are not
 * used, nothing is asked for them. The first who invalidates waits until all look again.
 */
const UNUSED = 50;
const UNTIL_ALL_LOOK = 1.5 * UNUSED;
/** How often it may have been the first, in this process. */
let firsts = 0;

/** Rows of the index that are taken in one step. */
const PAGE = 256;

const ZERO = 0x30;
const CLOCK = "c";
const PENDING = "p";
const FLOOR = "f";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The header of an entry that has tags. */
type TaggedHeader = NonNullable<ReturnType<typeof taggedOf>>;

/** An entry that has a tag, as the index has it. */
interface Row {
  /** The key of the row. */
  readonly key: string;
  readonly tag: string;
  /** The dbname of the entry's store. */
  readonly dbname: string;
  /** The canonical text of the entry's key. */
  readonly text: string;
}

/** An entry with tags, as far as it is to be judged. */
export interface TaggedEntry {
  readonly tags: readonly string[];
  /** The number of the last invalidation before what it was made of was read; absent: 0. */
  readonly seq?: number;
}

/** An entry that is being stored. */
export interface IndexedEntry extends TaggedEntry {
  /** The dbname of its store. */
  readonly dbname: string;
  /** The canonical text of its key. */
  readonly text: string;
  /** What it and the rows of the index that are written for it have in common. */
  readonly row: string;
  /**
   * Whether it is one that was there, with another deadline or value: its number is as old as it is,
   * and when it was read it was judged by the marks that may have been dropped since.
   */
  readonly isKept?: boolean;
  /** Its deadline, ms since the epoch. */
  readonly expiresAt?: number;
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
  /** The side store for those who only serve entries: it may have a near tier. */
  #near: Store | undefined;
  /** Whether anything has ever been invalidated; and until when, if not, that need not be asked. */
  #isUsed = false;
  #unusedUntil = -Infinity;
  /** What `firsts` was when it was asked, where no other process can be the first. */
  #unusedAt: number | undefined;

  /** @param dbname The dbname of the stash that they are of. */
  constructor(dbname: string, options: TagSpaceOptions) {
    this.dbname = dbname;
    this.#options = options;
  }

  /** The number of the last invalidation; 0 when there has been none. */
  clock(): Awaitable<number> {
    return this.#whereUsed(0, () => this.#read(CLOCK, 0, numberOf));
  }

  /** The number of the last invalidation of any of these tags. */
  lastOf(tags: readonly string[]): Awaitable<number> {
    return whenReady(this.#known(), (side) => side === undefined ? 0 : lastIn(side, tags));
  }

  /**
   * Whether the entry is there: none of its tags has been invalidated since its number.
   *
   * @param isServed Whether it is only served, so that the marks may come from a near tier.
   */
  isLive({ tags, seq = 0 }: TaggedEntry, isServed = false): Awaitable<boolean> {
    // As lastOf, without a function to be made for each read: it shows in one of a microsecond.
    const side = isServed ? this.#near : this.#side;
    const last = side === undefined ? this.lastOf(tags) : lastIn(side, tags);
    return last instanceof Promise ? last.then((last) => last <= seq) : last <= seq;
  }

  /** Which of the entries are there, with one look at the marks of all their tags. */
  async areLive(entries: readonly TaggedEntry[], isServed = false): Promise<boolean[]> {
    const known = await this.#known();
    if (known === undefined) return entries.map(() => true);
    const side = isServed ? this.#near! : known;
    const tags = [...new Set(entries.flatMap(({ tags }) => tags))];
    const found = await side.getValues(tags.map(markKey));
    const last = new Map(tags.map((tag, i) => [tag, numberOf(found[i])]));
    return entries.map(({ tags, seq = 0 }) => tags.every((tag) => last.get(tag)! <= seq));
  }

  /** Writes that entries have tags, before they are stored. */
  async index(entries: readonly IndexedEntry[]): Promise<void> {
    const side = await this.#make();
    const rows = entries.flatMap((entry) => {
      const row = newRow(entry);
      return this.#rowKeys(entry).map((key): [string, NewEntry] => [key, row]);
    });
    if (rows.length === 1) await side.set(...rows[0]);
    else await side.setMany(rows);
  }

  /**
   * Looks, after entries have been stored, at what others did meanwhile: those that were invalidated
   * are removed again, the rows of the others are there for as long as they are.
   */
  async confirm(entries: readonly IndexedEntry[]): Promise<void> {
    const side = await this.#make();
    const tags = [...new Set(entries.flatMap(({ tags }) => tags))];
    const rowKeys = entries.map((entry) => this.#rowKeys(entry));
    const [first, ...found] = await side.getMany([FLOOR, ...tags.map(markKey), ...rowKeys.flat()]);
    const floor = numberOf(first);
    const last = new Map(tags.map((tag, i) => [tag, numberOf(found[i])]));
    const rows = new Map(rowKeys.flat().map((key, i) => [key, found[tags.length + i]]));
    const isOvertaken = ({ tags, seq = 0, isKept }: IndexedEntry) =>
      !isKept && seq < floor || tags.some((tag) => last.get(tag)! > seq);
    const overtaken = entries.filter(isOvertaken);
    if (overtaken.length > 0) {
      // Where the count was lost, as the server evicted it, it has to go on above the marks.
      const most = Math.max(floor, ...last.values());
      await this.#raise(side, CLOCK, (number) => number < most ? most : undefined);
      await each(overtaken, (entry) => this.#takeBack(entry));
    }
    for (const [i, entry] of entries.entries()) {
      // Of two who store the same key, the one whose entry ends first may have written its row last.
      const short = rowKeys[i].filter((key) => !lastsFor(rows.get(key), entry));
      if (short.length > 0 && !isOvertaken(entry)) await this.#prolong(side, short, entry);
    }
  }

  /**
   * Has the rows of an entry last as long as it does: who wanted to store another one in its place,
   * and could not, has left his.
   */
  async restore(entry: IndexedEntry): Promise<void> {
    await this.#prolong(await this.#make(), this.#rowKeys(entry), entry);
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
    if (tags.length === 0) return 0;
    const side = await this.#make();
    await this.#use(side);
    // Taken before it counts, so that what is read from here on may be kept.
    const number = await this.#raise(side, CLOCK, (last) => (last || Date.now()) + 1);
    // Said before it counts: whoever lists entries brings one that is cut off to its end, all tags.
    let pending: Record<string, number> = {};
    await this.#change(side, PENDING, (entry) => {
      pending = pendingOf(entry);
      for (const tag of tags) pending[tag] = Math.max(pending[tag] ?? 0, number);
      return JSON.stringify(pending);
    });
    // Those of others too, that none of them is left half done where nobody lists anything.
    await this.#mark(side, pending);
    return await this.#finish(side, Object.fromEntries(tags.map((tag) => [tag, number])));
  }

  /** Removes an entry that has been invalidated, if it is still as it was, with what hangs on it. */
  async remove(dbname: string, text: string, entry: Entry): Promise<boolean> {
    const { store } = await this.#options.storeOf(dbname);
    return await store.compareAndSet(text, entry, undefined);
  }

  /**
   * Brings invalidations that are under way to their end; whether that was possible: where nothing
   * can be written, it is not.
   */
  settle(): Awaitable<boolean> {
    return this.#whereUsed(true, () =>
      this.#read(PENDING, true, (entry, side) => {
        if (entry === undefined) return true;
        return this.#complete(side, pendingOf(entry)).then(() => true, () => false);
      }));
  }

  /** Whether an invalidation is under way. */
  isPending(): Awaitable<boolean> {
    return this.#whereUsed(
      false,
      () => this.#read(PENDING, false, (entry) => entry !== undefined),
    );
  }

  /**
   * Drops the rows of entries that are gone or have other tags, and the marks that are so old that
   * nobody writes any more what was begun before them.
   */
  async prune(): Promise<void> {
    const side = await this.#known();
    if (side === undefined) return;
    const pending = await side.getValue(PENDING);
    if (pending !== undefined) await this.#complete(side, pendingOf(pending));
    const end = Date.now() - KEPT;
    let floor = 0;
    const old: string[] = [];
    for await (const keys of batches(side.keys("t/"), PAGE)) {
      const marks = await side.getValues(keys);
      for (const [i, key] of keys.entries()) {
        const [number, at] = numbersOf(marks[i]);
        if (at >= end) continue;
        old.push(key);
        floor = Math.max(floor, number);
      }
    }
    if (old.length > 0) await this.#raise(side, FLOOR, (last) => last < floor ? floor : undefined);
    for (const key of old) await this.#finishTag(side, unescape(key.slice(2)));
    for (const keys of groupsOf(old, PAGE)) {
      await removeWhere(side, keys, (mark) => numberOf(mark) <= floor);
    }
    for await (const rows of this.#pages(side, "i/")) {
      const states = await side.getMany(rows.map(({ key }) => key));
      const aged = rows.flatMap((row, i) => {
        const state = states[i];
        return state === undefined || numberOf(state) >= Date.now() - ROW_KEPT
          ? []
          : [{ ...row, state }];
      });
      for (const [dbname, ofStore] of Map.groupBy(aged, ({ dbname }) => dbname)) {
        const { plain } = await this.#options.storeOf(dbname);
        const entries = await plain.getMany(ofStore.map(({ text }) => text));
        const needless = ofStore.filter(({ tag }, i) => {
          const entry = entries[i];
          return entry === undefined || !this.#tagged(entry, dbname)?.tags.includes(tag);
        });
        await side.deleteUnchanged(needless.map(({ key, state }) => [key, state]));
      }
    }
  }

  /** Lets invalidations count, from which moment on nobody is served what they are about. */
  async #mark(side: Store, pending: Readonly<Record<string, number>>): Promise<void> {
    await each(
      Object.entries(pending),
      ([tag, number]) =>
        this.#change(
          side,
          markKey(tag),
          (entry) => numberOf(entry) < number ? `${number} ${Date.now()}` : undefined,
        ),
    );
  }

  /** Brings to its end what another may have been cut off in: all its tags, then what they are of. */
  async #complete(side: Store, pending: Readonly<Record<string, number>>): Promise<void> {
    await this.#mark(side, pending);
    await this.#finish(side, pending);
  }

  /** Removes what invalidations have overtaken, and says that they are under way no more. */
  async #finish(side: Store, pending: Readonly<Record<string, number>>): Promise<number> {
    let removed = 0;
    for (const tag of Object.keys(pending)) removed += await this.#finishTag(side, tag);
    await this.#change(side, PENDING, (entry) => {
      const left = pendingOf(entry);
      // One that began meanwhile has a higher number.
      for (const [tag, number] of Object.entries(pending)) {
        if (left[tag] <= number) delete left[tag];
      }
      return Object.keys(left).length === 0 ? null : JSON.stringify(left);
    });
    return removed;
  }

  /** Removes the entries with a tag that have been overtaken, and their rows; how many. */
  async #finishTag(side: Store, tag: string): Promise<number> {
    let removed = 0;
    for await (const rows of this.rows(tag)) {
      for (const [dbname, ofStore] of Map.groupBy(rows, ({ dbname }) => dbname)) {
        removed += await this.#removeEntries(side, dbname, tag, ofStore);
      }
    }
    return removed;
  }

  async #removeEntries(
    side: Store,
    dbname: string,
    tag: string,
    rows: readonly Row[],
  ): Promise<number> {
    const { plain, store } = await this.#options.storeOf(dbname);
    const entries = await plain.getMany(rows.map(({ text }) => text));
    const tagged = entries.map((entry) => entry && this.#tagged(entry, dbname));
    const live = await this.areLive(tagged.filter((header) => header !== undefined));
    let next = 0;
    const isLive = tagged.map((header) => header !== undefined && live[next++]);
    /** Rows that may go, with what they say if they are those of an entry that is gone. */
    const needless = new Map<string, string | undefined>();
    const overtaken: { text: string; entry: Entry; header: TaggedHeader }[] = [];
    for (const [i, { key, text }] of rows.entries()) {
      const [entry, header] = [entries[i], tagged[i]];
      if (entry !== undefined && header !== undefined && !isLive[i]) {
        overtaken.push({ text, entry, header });
      } else if (!header?.tags.includes(tag)) needless.set(key, undefined);
    }
    const removed = await store.deleteUnchanged(overtaken.map(({ text, entry }) => [text, entry]));
    const gone = overtaken.filter((_, i) => removed[i]);
    for (const { text, header: { tags, row } } of gone) {
      for (const key of this.#rowKeys({ dbname, text, tags })) needless.set(key, row);
    }
    await this.#dropRows(side, needless);
    return gone.length;
  }

  /**
   * Removes rows that no entry needs. One may have been written for an entry that is about to be
   * stored: unless it is that of an entry that is gone, it stays for a while.
   */
  async #dropRows(side: Store, needless: ReadonlyMap<string, string | undefined>): Promise<void> {
    const end = Date.now() - ROW_KEPT;
    for (const keys of groupsOf([...needless.keys()], PAGE)) {
      await removeWhere(side, keys, (state, key) => {
        const isOfGone = rowOf(state) === (needless.get(key) ?? null);
        return isOfGone || numberOf(state) < end;
      });
    }
  }

  /** Removes an entry that was overtaken while it was being stored. */
  async #takeBack({ dbname, text, row }: IndexedEntry): Promise<void> {
    const { plain } = await this.#options.storeOf(dbname);
    const entry = await plain.get(text);
    // What somebody else has stored meanwhile is for him to take back.
    if (entry !== undefined && taggedOf(entry)?.row === row) await this.remove(dbname, text, entry);
  }

  /** Has rows last at least as long as their entry. */
  async #prolong(side: Store, keys: readonly string[], entry: IndexedEntry): Promise<void> {
    await each(keys, async (key) => {
      for (let attempt = 0;; attempt++) {
        const state = await side.get(key);
        if (lastsFor(state, entry)) return;
        if (await side.compareAndSet(key, state, newRow(entry))) return;
        await backoff(attempt);
      }
    });
  }

  /** The header of an entry of a store that has tags of this space. */
  #tagged(entry: Entry, dbname: string): TaggedHeader | undefined {
    const header = taggedOf(entry);
    return header !== undefined && (header.space ?? dbname) === this.dbname ? header : undefined;
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

  #rowKeys({ dbname, text, tags }: Pick<IndexedEntry, "dbname" | "text" | "tags">): string[] {
    return tags.map((tag) => this.#rowKey(tag, dbname, text));
  }

  #rowKey(tag: string, dbname: string, text: string): string {
    return `i/${escape(tag)}/${escape(dbname.slice(this.dbname.length))}/${text}`;
  }

  #row(key: string): Row | undefined {
    const match = /^i\/([^/]*)\/([^/]*)\/(.*)$/s.exec(key);
    if (match === null) return undefined;
    const [, tag, dbname, text] = match;
    return { key, tag: unescape(tag), dbname: this.dbname + unescape(dbname), text };
  }

  /** What is said where there have been invalidations; `absent` where there has been none. */
  #whereUsed<T>(absent: T, say: () => Awaitable<T>): Awaitable<T> {
    if (this.#isUsed) return say();
    if (this.#unusedAt === firsts) return absent;
    const asked = now();
    if (asked < this.#unusedUntil) return absent;
    const before = firsts;
    return whenReady(this.#known(), (side) =>
      whenReady(side?.getValue(CLOCK), (clock) => {
        if (clock !== undefined) {
          this.#isUsed = true;
          return say();
        }
        if (side?.supports.shared === false) this.#unusedAt = before;
        else this.#unusedUntil = asked + UNUSED;
        return absent;
      }));
  }

  /** Makes it known that there are invalidations, and waits until nobody goes by there being none. */
  async #use(side: Store): Promise<void> {
    let isNew = false;
    if (!this.#isUsed) firsts++;
    await this.#change(side, CLOCK, (entry) => {
      isNew = entry === undefined || textOf(entry).endsWith(" new");
      return entry === undefined ? `${Date.now()} new` : undefined;
    });
    this.#isUsed = true;
    if (isNew && side.supports.shared) await delay(UNTIL_ALL_LOOK);
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
    return this.#options.mayBeThere() ? this.#makeIfThereIsRoom() : undefined;
  }

  /** Where the disk has no room to make it, nobody has; and what is removed must go all the same. */
  async #makeIfThereIsRoom(): Promise<Store | undefined> {
    try {
      return await this.#make();
    } catch (error) {
      if (isDiskFull(error)) return undefined;
      throw error;
    }
  }

  async #make(): Promise<Store> {
    const opened = await this.#options.open();
    this.#near = opened;
    return this.#side ??= opened instanceof Near ? opened.direct : opened;
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

/** Removes those entries that a look finds needless, unless they change after it. */
async function removeWhere(
  side: Store,
  keys: string[],
  isNeedless: (state: Entry, key: string) => boolean,
): Promise<void> {
  const states = await side.getMany(keys);
  const needless = keys.flatMap((key, i): [string, Entry][] => {
    const state = states[i];
    return state !== undefined && isNeedless(state, key) ? [[key, state]] : [];
  });
  await side.deleteUnchanged(needless);
}

/** The number of the last invalidation of any of these tags, in a side store. */
function lastIn(side: Store, tags: readonly string[]): Awaitable<number> {
  if (tags.length > 1) {
    return whenReady(
      side.getValues(tags.map(markKey)),
      (marks) => Math.max(...marks.map(numberOf)),
    );
  }
  const mark = side.getValue(markKey(tags[0]));
  return mark instanceof Promise ? mark.then(numberOf) : numberOf(mark);
}

/** The keys of the marks of tags that were asked for of late: each read of a tagged entry asks. */
const markKeys = new Map<string, string>();
const MARK_KEYS = 1_000;

function markKey(tag: string): string {
  let key = markKeys.get(tag);
  if (key === undefined) {
    if (markKeys.size === MARK_KEYS) markKeys.clear();
    markKeys.set(tag, key = `t/${escape(tag)}`);
  }
  return key;
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

/** The two numbers that a text begins with. */
function numbersOf(entry: EntryValue | undefined): [number, number] {
  const [first, second] = textOf(entry).split(" ").map(Number);
  return [first || 0, second || 0];
}

/** The first of them; by its digits, as this is done at each read of a tagged entry. */
function numberOf(entry: EntryValue | undefined): number {
  let number = 0;
  if (entry === undefined) return number;
  for (const byte of entry.value) {
    if (byte < ZERO || byte > ZERO + 9) break;
    number = 10 * number + byte - ZERO;
  }
  return number;
}

/** The row of an entry. */
function newRow({ row, expiresAt }: IndexedEntry): NewEntry {
  const timestamp = Date.now();
  return { value: encoder.encode(`${timestamp} ${row}`), timestamp, expiresAt };
}

/** What a row has in common with the entry that it was written for. */
function rowOf(state: EntryValue): string {
  return textOf(state).split(" ")[1];
}

/** Whether a row is there for as long as an entry is. */
function lastsFor(row: Entry | undefined, { expiresAt = Infinity }: IndexedEntry): boolean {
  return row !== undefined && (row.expiresAt ?? Infinity) >= expiresAt;
}

/** The invalidations under way: the number of each by its tag. */
function pendingOf(entry: EntryValue | undefined): Record<string, number> {
  return Object.assign(Object.create(null), entry === undefined ? {} : JSON.parse(textOf(entry)));
}
