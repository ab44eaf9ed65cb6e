/**
 * How much is in a store that has limits: what all handles of this process on it know in common.
 *
 * A count of a store may cost a look at each entry, so a process counts when it begins, and then
 * now and then, and adds up what it writes and removes in between. Where several processes use a
 * store, they add what they have done to one entry of a side store: before each write that would
 * exceed the share of the process, and once a second. The shares of all processes together are no
 * more than the store may have beyond its limits, so nobody has to ask the others for each entry.
 */
import type { Store } from "../engines/complete.ts";
import type { Entry } from "../engines/engine.ts";
import { now, startTimer, stopTimer, type Timer, unrefTimer } from "../platform/timers.ts";
import { backoff } from "./contention.ts";
import type { EvictPolicy } from "./options.ts";
import { addUse, addUses, type Use, Uses, usesToBytes } from "./uses.ts";

/** How often what others have done is taken in, ms, … */
const PUBLISH_EVERY = 1_000;
/** … and how often the store is counted: a few times in the 10 s that are promised. */
const COUNT_EVERY = 4_000;
/** Counting takes no more than this part of the time. */
const COUNTING_SHARE = 0.1;
/** A count that takes longer than this, ms, is not waited for. */
const LONG_COUNT = 100;
/** After so long, ms, a process of which nothing is heard has no share any more. */
const SILENCE = 60_000;
/** How often uses are written down, ms, … */
const TELL_EVERY = 60_000;
/** … or when so many keys have been used. */
const TELL_KEYS = 1_000;
/** How often what others have used is looked at, ms. */
const LEARN_EVERY = 60_000;

/** The most entries that are removed ahead of need. */
const MOST_AHEAD = 64;

/**
 * Where several processes write, the part of what there may be that each writes at once: what others
 * are just writing, nobody can remove to make room.
 */
const AT_ONCE = 1 / 8;
/** Up to this part, so many entries are not too much. */
const LARGEST_AT_ONCE = 1 / 4;
const FEW_AT_ONCE = 16;
/** The part for who is alone, as others may be about to come. */
const ALONE_AT_ONCE = 1 / 2;

/** The keys of the common counts in the side store: without bytes, and with them. */
const COUNTS = { entries: "n", bytes: "b" };
/** Uses stand in so many entries, one of which is rewritten each time. */
const SLOTS = Array.from({ length: 16 }, (_, i) => `u${i}`);
/** The most keys of one of them. */
const MOST_IN_SLOT = 4_096;

/** How much there is, or may be. */
export interface Amount {
  /** How many entries. */
  readonly entries: number;
  /** Bytes of their keys and values. */
  readonly bytes: number;
}

/** How much there is, and whether that is certain. */
export interface Estimate extends Amount {
  /** Whether a count would find the same. */
  readonly exact: boolean;
}

/** The limits of a handle. */
export interface Limits {
  /** The most entries; `Infinity`: any number. */
  readonly maxEntries: number;
  /** The most bytes of keys and values; `Infinity`: any number. */
  readonly maxBytes: number;
}

/** What others have to know of a process that writes: its share is how much it need not tell. */
interface Share extends Amount {
  /** How much it has told of that it has not written yet, or is to remove and write again. */
  lag: Amount;
  /** When it was heard of, ms since the epoch. */
  at: number;
}

/** The common count as it is stored. */
interface Common extends Amount {
  /** How much has been added and removed since the beginning, both taken together. */
  churn: Amount;
  /** How often the store has been counted. */
  counts: number;
  /** How long that took, ms. */
  took: number;
  /** Each process that writes. */
  shares: Record<string, Share>;
  /** Whether no entry with a deadline has come since the store was empty. */
  lasting?: boolean;
  /** Whether nobody knows how much there is: all was removed while others wrote. */
  lost?: true;
}

/** What others are told of. */
interface Told extends Amount {
  readonly churn: Amount;
}

/** What was known when a count began. */
interface Begun {
  readonly common: Common | undefined;
  /** What had been added and removed, and what was about to be. */
  readonly churn: Amount;
}

/** What an `Occupancy` is made with. */
export interface OccupancyOptions {
  /** Which entries go first. */
  readonly policy: EvictPolicy;
  /** Whether bytes are counted. */
  readonly hasBytes: boolean;
  /** Whether other processes can use the store. */
  readonly isShared: boolean;
  /** Whether what is counted are the bytes that were handed over. */
  readonly isVerbatim: boolean;
  /** Whether an entry's time may be that of the whole file. */
  readonly hasFileTimes: boolean;
  /** Opens the side store, which the occupancy closes. */
  openSide(): Promise<Store>;
}

/** Counts the store of a handle, after what has expired has been dropped. */
export type Count = () => Promise<Amount>;

const NOTHING: Amount = { entries: 0, bytes: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the handles of this process know of a store. */
export class Occupancy {
  /** The uses of its keys. */
  readonly uses: Uses;
  /** Keys that are being changed, and by how many: what is under them is no victim. */
  readonly busy = new Map<string, number>();
  readonly #id = crypto.randomUUID().slice(0, 8);
  readonly #openSide: () => Promise<Store>;
  readonly #countKey: string;
  readonly #isShared: boolean;
  readonly #hasFileTimes: boolean;
  /** How much there is, as far as is known, with what is being written. */
  #entries = 0;
  #bytes = 0;
  /** What others have not been told of, … */
  #ownEntries = 0;
  #ownBytes = 0;
  /** … and all that came and went for it. */
  #ownChurnEntries = 0;
  #ownChurnBytes = 0;
  /** How much of that there may be. */
  #shareEntries = 0;
  #shareBytes = 0;
  #isCounted = false;
  /** How often that has become unknown. */
  #unsettled = 0;
  /** Whether what is added up has always been what a count found. */
  #isVerbatim: boolean;
  /** Whether nothing has made uncertain how much there is since it was counted. */
  #isSure = false;
  /** Whether nothing of what was there when it was counted has a deadline, … */
  #isLasting = false;
  /** … and none that came since. */
  #hasDeadlines = false;
  /** What stands in the common count, if nobody else has replaced it. */
  #written: Uint8Array | undefined;
  /** The writes under way, and how much room they have taken. */
  #writing = 0;
  #pendingEntries = 0;
  #pendingBytes = 0;
  #whenWritten: (() => void) | undefined;
  #countedAt = -Infinity;
  #counts = 0;
  #hasCounted = false;
  #measures = 0;
  #changes = 0;
  #took = 0;
  #publishedAt = -Infinity;
  /** When to look again, and when that was said; ms since the epoch. */
  #lookAt = -Infinity;
  #lookedAt = -Infinity;
  /** Whether no other process has a share. */
  #isAlone = false;
  /** Whether all that is there was written here. */
  #knowsAll = false;
  /** The earliest deadline of what was set since the last count, ms since the epoch. */
  #earliest = Infinity;
  #learnedAt = -Infinity;
  /** With how many untold keys uses are written down. */
  #tellFrom = TELL_KEYS;
  #side: Promise<Store> | undefined;
  #turn: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  /** What goes on besides: `close` waits for it. */
  readonly #background = new Set<Promise<void>>();

  constructor(
    { policy, hasBytes, isShared, isVerbatim, hasFileTimes, openSide }: OccupancyOptions,
  ) {
    this.uses = new Uses(policy);
    this.#isVerbatim = isVerbatim || !hasBytes;
    this.#hasFileTimes = hasFileTimes;
    this.#countKey = hasBytes ? COUNTS.bytes : COUNTS.entries;
    this.#isShared = isShared;
    this.#isAlone = !isShared;
    this.#openSide = openSide;
  }

  /** Whether nothing has to be looked at before a write. */
  get isKnown(): boolean {
    if (!this.#isCounted) return false;
    const time = Date.now();
    // Clocks can be set back.
    return time < this.#lookAt && time >= this.#lookedAt;
  }

  /**
   * Bytes of the entry of a key without a look at the store, if that is known: `null` when the key
   * is not there, `undefined` when nothing is known.
   *
   * While no other process writes, only what this one does changes a store, but for the expiry of
   * entries. What a handle without limits does is noticed by a count.
   */
  known(key: string): number | null | undefined {
    if (!this.#isAlone) return undefined;
    const size = this.uses.sizeOf(key);
    if (size !== null) return size;
    return this.#knowsAll && this.uses.forgotten === 0 ? null : undefined;
  }

  /** Whether no other process writes, as far as is known. */
  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** How much there is, as far as is known. */
  get amount(): Amount {
    return { entries: this.#entries, bytes: this.#bytes };
  }

  /** How often it turned out that others have changed something. */
  get changes(): number {
    return this.#changes;
  }

  /** How much there would be beyond the limits. */
  excess({ entries, bytes }: Amount, { maxEntries, maxBytes }: Limits): Amount {
    return {
      entries: Math.max(0, this.#entries + entries - maxEntries),
      bytes: Math.max(0, this.#bytes + bytes - maxBytes),
    };
  }

  /** Takes room for a write, if there is some; `done` is to be called when that has ended. */
  take(more: Amount, limits: Limits, expiresAt: number | undefined): boolean {
    const { entries, bytes } = more;
    if (this.#entries + entries > limits.maxEntries) return false;
    if (this.#bytes + bytes > limits.maxBytes) return false;
    // Should this process be killed, nobody would know that there is one.
    if (this.#isShared && this.#isLasting && isDeadline(expiresAt)) return false;
    if (this.#isShared && (entries > 0 || bytes > 0)) {
      if (this.#ownEntries + entries > this.#shareEntries) return false;
      if (this.#ownBytes + bytes > this.#shareBytes) return false;
      // Others have to know of room that was made here, or they make more.
      const ahead = aheadOf(limits, this.amount);
      if (this.#ownEntries + entries < -ahead.entries) return false;
      if (this.#ownBytes + bytes < -2 * ahead.bytes - bytes) return false;
    }
    this.force(more, expiresAt);
    return true;
  }

  /** The same whether or not there is room. */
  force(more: Amount, expiresAt: number | undefined): void {
    this.add(more);
    this.#begins(more, expiresAt);
  }

  /** The same for what others have to be told of first: more than the share, the first deadline. */
  async takeTold(more: Amount, limits: Limits, expiresAt: number | undefined): Promise<boolean> {
    const excess = this.excess(more, limits);
    if (!this.#isShared || excess.entries > 0 || excess.bytes > 0) return false;
    let isTold = false;
    if (isDeadline(expiresAt)) this.#hasDeadlines = true;
    this.add(more);
    try {
      isTold = await this.#publish(limits, more) &&
        this.#entries <= limits.maxEntries && this.#bytes <= limits.maxBytes;
    } finally {
      if (!isTold) this.add({ entries: -more.entries, bytes: -more.bytes });
    }
    if (isTold) this.#begins(more, expiresAt);
    return isTold;
  }

  /** A write has ended that room was taken for. */
  done({ entries, bytes }: Amount): void {
    this.#pendingEntries -= entries;
    this.#pendingBytes -= bytes;
    if (--this.#writing === 0) this.#whenWritten?.();
  }

  /** So much more is there, or less. */
  add({ entries, bytes }: Amount): void {
    this.#entries += entries;
    this.#bytes += bytes;
    this.#ownEntries += entries;
    this.#ownBytes += bytes;
    this.#ownChurnEntries += Math.abs(entries);
    this.#ownChurnBytes += Math.abs(bytes);
  }

  /** How much there is may be another number than is believed, until it is counted again. */
  doubt(): void {
    this.#isSure = false;
  }

  /** How often the store has been counted here: what was being removed meanwhile may be in it or not. */
  get counted(): number {
    return this.#measures;
  }

  /**
   * A key is about to be changed. Where somebody else is just at it, what each of them takes for what
   * was under the key need not be that.
   */
  touch(key: string): void {
    if (this.busy.size > 0 && this.busy.has(key)) this.doubt();
  }

  /** A key is being changed, until `release` is called. */
  hold(key: string): void {
    this.busy.set(key, (this.busy.get(key) ?? 0) + 1);
  }

  /** A key is no longer being changed. */
  release(key: string): void {
    const count = this.busy.get(key)! - 1;
    if (count === 0) this.busy.delete(key);
    else this.busy.set(key, count);
  }

  /** How much there is, without a look at the store; `undefined` when nobody has counted it. */
  async estimate(): Promise<Estimate | undefined> {
    // Nothing is changed here: whoever only looks takes no share from those who write.
    const side = this.#isShared ? await this.#opened() : undefined;
    const entry = await side?.get(this.#countKey);
    if (this.#isCounted && this.#isAsWritten(entry)) {
      const isIdle = this.busy.size === 0 && this.#writing === 0;
      return { ...this.amount, exact: this.#isCertain && isIdle };
    }
    const common = commonOf(entry);
    if (common === undefined || common.lost) return undefined;
    return {
      entries: Math.max(0, common.entries + this.#ownEntries),
      bytes: Math.max(0, common.bytes + this.#ownBytes),
      exact: false,
    };
  }

  /** How much may be written at once; a single entry always may. */
  atOnce({ maxEntries, maxBytes }: Limits): Amount {
    if (!this.#isShared) return { entries: maxEntries, bytes: maxBytes };
    if (this.#isAlone) {
      return { entries: maxEntries * ALONE_AT_ONCE, bytes: maxBytes * ALONE_AT_ONCE };
    }
    const part = (most: number, few: number) =>
      Math.max(most * AT_ONCE, Math.min(most * LARGEST_AT_ONCE, few));
    const average = this.#bytes / Math.max(1, this.#entries);
    return {
      entries: part(maxEntries, FEW_AT_ONCE),
      bytes: part(maxBytes, FEW_AT_ONCE * average),
    };
  }

  /** Whether that would be too much, with what is just being written. */
  isTooMuchAtOnce({ entries, bytes }: Amount, limits: Limits): boolean {
    if (this.#writing === 0) return false;
    const most = this.atOnce(limits);
    return this.#pendingEntries + entries > most.entries || this.#pendingBytes + bytes > most.bytes;
  }

  /** It has become unknown how much there is. */
  unsettle(): void {
    this.#isCounted = false;
    this.#unsettled++;
  }

  /** Everything has been removed. */
  async clear(): Promise<void> {
    this.unsettle();
    this.doubt();
    this.uses.clear();
    this.#knowsAll = false;
    const side = await this.#opened();
    try {
      if (this.#isShared) await this.#forgetCounts(side);
    } catch {
      // What can't be read says nothing of anybody.
      return await side.clear();
    }
    if (this.#isShared) await side.deleteMany(SLOTS);
    else await side.clear();
  }

  /** Does what changes the whole, one at a time. */
  async inTurn<T>(body: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return await body();
    } finally {
      resolve();
    }
  }

  /** Looks at what has to be looked at before a write; only in turn. */
  async look(limits: Limits, count: Count): Promise<void> {
    if (this.isKnown) return;
    if (this.#isShared && !await this.#publish(limits)) return await this.recount(limits, count);
    if (this.#isCounted && Date.now() < this.#nextCount) return this.#lookLater();
    if (this.#took < LONG_COUNT) return await this.recount(limits, count);
    // What others have counted, perhaps long ago, has to do until then.
    const begun = await this.#begin();
    this.#isCounted = true;
    this.#countedAt = Date.now();
    this.#lookLater();
    this.inBackground(async () => {
      const found = await this.#measured(count);
      await this.inTurn(() => this.#end(limits, begun, found));
    });
  }

  /**
   * Looks closer where there seems to be no room, but something has expired that was set since the
   * last count; only in turn.
   *
   * @returns Whether it did.
   */
  async lookCloser(limits: Limits, count: Count): Promise<boolean> {
    if (this.#earliest > Date.now() || !this.mayRecount) return false;
    await this.recount(limits, count);
    return true;
  }

  /** Whether counting would not take too much of the time. */
  get mayRecount(): boolean {
    return Math.abs(Date.now() - this.#countedAt) >= this.#took / COUNTING_SHARE;
  }

  /** Waits until nobody of this process writes; only in turn. */
  async quiet(): Promise<void> {
    if (this.#writing === 0) return;
    const wasCounted = this.#isCounted;
    // Who comes now waits for its turn.
    this.unsettle();
    const unsettled = this.#unsettled;
    await new Promise<void>((resolve) => this.#whenWritten = resolve);
    if (this.#unsettled === unsettled) this.#isCounted = wasCounted;
  }

  /**
   * Tells others before much is removed to write as much again: who counts in between must not take
   * that for room. Only in turn.
   */
  async announce(excess: Amount, limits: Limits): Promise<void> {
    const ahead = aheadOf(limits, this.amount);
    const isMuch = excess.entries > ahead.entries + 1 ||
      excess.bytes > 2 * (ahead.bytes + this.#bytes / Math.max(1, this.#entries));
    if (this.#isShared && isMuch) await this.#publish(limits, excess);
  }

  /** Whether anybody of this process writes. */
  get isWriting(): boolean {
    return this.#writing > 0;
  }

  /** Counts while nobody of this process writes; only in turn. */
  async recount(limits: Limits, count: Count): Promise<void> {
    await this.quiet();
    this.unsettle();
    const begun = await this.#begin();
    const found = await this.#measured(count);
    await this.#end(limits, begun, found);
    if (found.entries === 0 && this.#isAlone) this.#knowsAll = true;
    this.#isCounted = true;
  }

  /**
   * A key has been used.
   *
   * @param size Bytes of its entry, if that has no deadline; `null`: they are as they were.
   */
  use(key: string, size: number | undefined | null = null): void {
    this.uses.note(key, this.#isAlone ? size : undefined);
    if (this.#isShared && this.uses.untold >= this.#tellFrom) this.inBackground(() => this.#tell());
    else if (this.#timer === undefined) {
      // Also of who does nothing afterwards. It is no reason for the program to go on.
      this.#timer = startTimer(() => this.inBackground(() => this.#tell()), TELL_EVERY);
      unrefTimer(this.#timer);
    }
  }

  /** Makes a key known that was found in the store, with the time when its entry was set. */
  meet(key: string, { timestamp }: Entry): void {
    // The first count is a change, too. Where there was no other, nobody else has written: it is
    // older than all that was used here.
    if (this.#isAlone && this.#changes <= 1) this.uses.meet(key, timestamp, 0);
    // Else the file's time would make it later than all that was used before the last write.
    else this.uses.meet(key, this.#hasFileTimes ? undefined : timestamp, TELL_EVERY);
  }

  /** Takes in what others have noted, unless that was done not long ago; whether it was. */
  async learn(): Promise<boolean> {
    const time = Date.now();
    if (time < this.#learnedAt + LEARN_EVERY) return false;
    this.#learnedAt = time;
    const side = await this.#opened();
    const uses = new Map<string, Use>();
    for (const entry of await side.getValues(SLOTS)) {
      if (entry !== undefined) addUses(uses, entry.value);
    }
    this.uses.learn(uses);
    return true;
  }

  /** Does something besides. What fails is tried again when it is due again. */
  inBackground(work: () => Promise<void>): void {
    const done = work().catch(() => undefined).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }

  /** Waits for what goes on besides. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  /** Notes down what has not been, and closes the side store. */
  async close(): Promise<void> {
    await this.settled();
    stopTimer(this.#timer);
    try {
      // Of an empty store nothing need be known.
      if (!this.#isCounted || this.#entries > 0) await this.#tell();
      if (this.#side !== undefined && this.#isShared) await this.#leave(await this.#side);
    } catch {
      // A store that can only be read can be closed, too.
    } finally {
      await (await this.#side?.catch(() => undefined))?.close();
    }
  }

  /** Whether a count would find what is believed, but for what is just being changed. */
  get #isCertain(): boolean {
    return this.#isSure && this.#isVerbatim && this.#isLasting && !this.#hasDeadlines;
  }

  get #told(): Told {
    const churn = { entries: this.#ownChurnEntries, bytes: this.#ownChurnBytes };
    return { entries: this.#ownEntries, bytes: this.#ownBytes, churn };
  }

  /** All that came and went, as far as is known. */
  #churn(common: Common | undefined): Amount {
    return {
      entries: (common?.churn.entries ?? 0) + this.#ownChurnEntries,
      bytes: (common?.churn.bytes ?? 0) + this.#ownChurnBytes,
    };
  }

  /** The shares of other processes. */
  #others({ shares }: Common): [id: string, Share][] {
    const time = Date.now();
    return Object.entries(shares)
      // Clocks differ, and can be set back.
      .filter(([id, { at }]) => id !== this.#id && Math.abs(time - at) < SILENCE);
  }

  get #nextCount(): number {
    return this.#countedAt + Math.max(COUNT_EVERY, this.#took / COUNTING_SHARE);
  }

  /**
   * Has the store counted anew, and keeps what processes have told of that they may be about to
   * write.
   */
  async #forgetCounts(side: Store): Promise<void> {
    for (const key of Object.values(COUNTS)) {
      for (let attempt = 0;; attempt++) {
        const entry = await side.get(key);
        if (entry === undefined) break;
        const common = commonOf(entry);
        const isInUse = common !== undefined &&
          (this.#others(common).length > 0 || this.#writing > 0);
        const next = isInUse
          ? {
            value: encoder.encode(JSON.stringify({ ...common, lost: true })),
            timestamp: Date.now(),
          }
          : undefined;
        if (await side.compareAndSet(key, entry, next)) break;
        await backoff(attempt);
      }
    }
  }

  #lookLater(): void {
    this.#lookedAt = Date.now();
    this.#lookAt = this.#isShared
      ? Math.min(this.#publishedAt + PUBLISH_EVERY, this.#nextCount)
      : this.#nextCount;
  }

  #begins({ entries, bytes }: Amount, expiresAt: number | undefined): void {
    this.#pendingEntries += entries;
    this.#pendingBytes += bytes;
    this.#writing++;
    if (!isDeadline(expiresAt)) return;
    this.#hasDeadlines = true;
    if (expiresAt < this.#earliest) this.#earliest = expiresAt;
  }

  /**
   * Tells others what was done here, takes in what they have done, and gets a new share.
   *
   * @returns `false` when there is no common count: nobody has counted, or somebody has removed
   * everything.
   */
  async #publish(limits: Limits, lag?: Amount): Promise<boolean> {
    const side = await this.#opened();
    for (let attempt = 0;; attempt++) {
      const entry = await side.get(this.#countKey);
      const common = commonOf(entry);
      if (common === undefined || common.lost) return false;
      if (!this.#isAsWritten(entry)) this.doubt();
      const told = this.#told;
      const next = {
        ...common,
        churn: this.#churn(common),
        entries: Math.max(0, common.entries + told.entries),
        bytes: Math.max(0, common.bytes + told.bytes),
      };
      if (await this.#replace(side, entry, next, told, limits, lag)) return true;
      await backoff(attempt);
    }
  }

  async #opened(): Promise<Store> {
    const opening = this.#side ??= this.#openSide();
    try {
      return await opening;
    } catch (error) {
      if (this.#side === opening) this.#side = undefined;
      throw error;
    }
  }

  /** What is known before a count begins. */
  async #begin(): Promise<Begun> {
    const common = this.#isShared
      ? commonOf(await (await this.#opened()).get(this.#countKey))
      : undefined;
    this.#earliest = Infinity;
    const { entries, bytes } = this.#churn(common);
    return {
      common,
      // What is being written may be counted or not, too.
      churn: { entries: entries - this.#pendingEntries, bytes: bytes - this.#pendingBytes },
    };
  }

  async #measured(count: Count): Promise<Amount> {
    const start = now();
    const found = await count();
    this.#took = now() - start;
    this.#countedAt = Date.now();
    this.#measures++;
    return found;
  }

  /** Makes what was counted known; only in turn. */
  async #end(limits: Limits, begun: Begun, found: Amount): Promise<void> {
    const side = this.#isShared ? await this.#opened() : undefined;
    for (let attempt = 0;; attempt++) {
      const entry = await side?.get(this.#countKey);
      const common = commonOf(entry);
      const told = this.#told;
      const churn = this.#churn(common);
      const ahead = aheadOf(limits, found);
      const others = common === undefined ? [] : this.#others(common);
      const average = { entries: 1, bytes: found.bytes / Math.max(1, found.entries) };
      // One that was made anew since begins anew.
      const isSame = (common?.counts ?? 0) >= (begun.common?.counts ?? 0);
      const whileCounted = (name: keyof Amount) =>
        Math.max(0, churn[name] - (isSame ? begun.churn[name] : 0));
      const isUndisturbed = others.length === 0 && whileCounted("entries") === 0 &&
        whileCounted("bytes") === 0;
      // A decorator may store more than it was handed, others may write without limits: what has been
      // wrong once is an estimate from then on.
      const isAsBelieved = this.#entries === found.entries && this.#bytes === found.bytes;
      if (isUndisturbed && this.#isCertain && !isAsBelieved) this.#isVerbatim = false;
      const isEmpty = isUndisturbed && found.entries === 0;
      if (isEmpty) this.#hasDeadlines = false;
      // What had been told before may have been written behind the count, by one who has since told
      // of something else, or left.
      const earlier = begun.common === undefined ? [] : this.#others(begun.common);
      const lagOf = (name: keyof Amount) => {
        const lags: Record<string, number> = {};
        for (const [id, { lag }] of [...earlier, ...others]) {
          lags[id] = Math.max(lags[id] ?? 0, lag[name]);
        }
        return Object.values(lags).reduce((sum, lag) => sum + lag, 0);
      };
      // Nobody knows what of that which came or went meanwhile has been counted: what was believed
      // stands as far as it may be true.
      const settle = (name: keyof Amount) => {
        const meanwhile = whileCounted(name);
        const least = found[name] - meanwhile;
        // Others are about to write what they have taken room for, told or not, and may use room
        // that they have made without asking.
        const most = others.reduce(
          (sum, [, share]) => sum + 2 * (ahead[name] + average[name]) + share[name],
          found[name] + meanwhile + lagOf(name),
        );
        const believed = this.#isShared
          ? common && !common.lost ? common[name] + told[name] : undefined
          : this.#hasCounted
          ? this.amount[name]
          : undefined;
        return believed === undefined ? most : Math.min(most, Math.max(least, believed));
      };
      const next: Common = {
        entries: settle("entries"),
        bytes: settle("bytes"),
        churn,
        counts: (common?.counts ?? 0) + 1,
        took: this.#took,
        shares: common?.shares ?? {},
        lasting: isEmpty || (side === undefined ? this.#isLasting : common?.lasting === true),
      };
      this.#hasCounted = true;
      if (side === undefined) {
        this.#isLasting = next.lasting === true;
        this.#adopt(next, told);
        this.#lookLater();
      } else if (!await this.#replace(side, entry, next, told, limits)) {
        await backoff(attempt);
        continue;
      }
      this.#isSure = isUndisturbed;
      return;
    }
  }

  /** Replaces the common count by one that knows what was done here; whether it was as read. */
  async #replace(
    side: Store,
    entry: Entry | undefined,
    common: Common,
    told: Told,
    { maxEntries, maxBytes }: Limits,
    lag: Amount = NOTHING,
  ): Promise<boolean> {
    const at = Date.now();
    const shares = this.#others(common);
    const taken = (name: keyof Amount) => shares.reduce((sum, [, share]) => sum + share[name], 0);
    // Half of what is left: there may be others to come.
    const half = (most: number, others: number) => Math.max(0, Math.floor((most - others) / 2));
    const average = common.entries === 0 ? 0 : common.bytes / common.entries;
    const share: Share = {
      // JSON has no Infinity.
      entries: maxEntries === Infinity
        ? Number.MAX_SAFE_INTEGER
        : half(Math.floor(maxEntries / 100) + 16, taken("entries")),
      bytes: maxBytes === Infinity
        ? Number.MAX_SAFE_INTEGER
        : half(maxBytes / 100 + 16 * average, taken("bytes")),
      lag: {
        entries: Math.max(0, this.#pendingEntries) + lag.entries,
        bytes: Math.max(0, this.#pendingBytes) + lag.bytes,
      },
      at,
    };
    const ids = new Set([this.#id, ...shares.map(([id]) => id)]);
    // Who has fallen silent may not have told all.
    const isAnyLost = Object.keys(common.shares).some((id) => !ids.has(id));
    const lasting = common.lasting === true && !this.#hasDeadlines;
    const next = { ...common, shares: Object.fromEntries([...shares, [this.#id, share]]), lasting };
    const value = encoder.encode(JSON.stringify(next));
    if (!await side.compareAndSet(this.#countKey, entry, { value, timestamp: at })) return false;
    this.#written = value;
    this.#isLasting = lasting;
    if (shares.length > 0 || isAnyLost) this.doubt();
    this.#publishedAt = at;
    this.#isAlone = shares.length === 0;
    this.#shareEntries = share.entries;
    this.#shareBytes = share.bytes;
    if (common.counts !== this.#counts) {
      // The first one that is met may be of long ago.
      if (this.#counts > 0) this.#countedAt = at;
      this.#took = common.took;
    }
    this.#counts = common.counts;
    this.#adopt(common, told);
    this.#lookLater();
    return true;
  }

  /** Whether the common count is as this process has left it; where none is needed, it is. */
  #isAsWritten(entry: Entry | undefined): boolean {
    if (!this.#isShared) return true;
    const [value, written] = [entry?.value, this.#written];
    return value !== undefined && written !== undefined && value.length === written.length &&
      value.every((byte, i) => byte === written[i]);
  }

  /** Takes a count over that has in it what was told; what was done since comes on top. */
  #adopt(count: Amount, told: Told): void {
    this.#ownEntries -= told.entries;
    this.#ownBytes -= told.bytes;
    this.#ownChurnEntries -= told.churn.entries;
    this.#ownChurnBytes -= told.churn.bytes;
    const isChanged = this.#entries !== count.entries + this.#ownEntries;
    if (isChanged) this.#changes++;
    if (isChanged || !this.#isAlone) {
      this.uses.forgetSizes();
      this.#knowsAll = false;
    }
    this.#entries = count.entries + this.#ownEntries;
    this.#bytes = count.bytes + this.#ownBytes;
  }

  async #tell(): Promise<void> {
    stopTimer(this.#timer);
    this.#timer = undefined;
    if (this.uses.untold === 0) return;
    // Not again by each use meanwhile.
    this.#tellFrom = Infinity;
    let told: ReadonlyMap<string, Use> | undefined;
    try {
      const side = await this.#opened();
      told = this.uses.tell();
      await this.#writeDown(side, told);
    } catch (error) {
      if (told !== undefined) this.uses.giveBack(told);
      throw error;
    } finally {
      this.#tellFrom = this.uses.untold + TELL_KEYS;
    }
  }

  async #writeDown(side: Store, told: ReadonlyMap<string, Use>): Promise<void> {
    // Any of them: so two processes seldom write the same at a time, and each has what is recent.
    const slot = SLOTS[Math.floor(Math.random() * SLOTS.length)];
    for (let attempt = 0;; attempt++) {
      const entry = await side.get(slot);
      const uses = new Map<string, Use>();
      if (entry !== undefined) addUses(uses, entry.value);
      for (const [key, use] of told) addUse(uses, key, use);
      const value = usesToBytes(uses, MOST_IN_SLOT);
      if (await side.compareAndSet(slot, entry, { value, timestamp: Date.now() })) return;
      await backoff(attempt);
    }
  }

  /** Gives the share back, and tells what was done. */
  async #leave(side: Store): Promise<void> {
    for (let attempt = 0;; attempt++) {
      const entry = await side.get(this.#countKey);
      const common = commonOf(entry);
      if (common?.shares[this.#id] === undefined) return;
      const { [this.#id]: _, ...shares } = common.shares;
      const next: Common = {
        ...common,
        churn: this.#churn(common),
        entries: Math.max(0, common.entries + this.#ownEntries),
        bytes: Math.max(0, common.bytes + this.#ownBytes),
        shares,
        lasting: common.lasting === true && !this.#hasDeadlines,
      };
      const value = encoder.encode(JSON.stringify(next));
      if (await side.compareAndSet(this.#countKey, entry, { value, timestamp: Date.now() })) return;
      await backoff(attempt);
    }
  }
}

/** Of many entries the earliest deadline is `Infinity` when none has one. */
function isDeadline(expiresAt: number | undefined): expiresAt is number {
  return expiresAt !== undefined && expiresAt !== Infinity;
}

/** How much room is made ahead of need: many entries at once cost less than one by one. */
export function aheadOf({ maxEntries, maxBytes }: Limits, { entries, bytes }: Amount): Amount {
  const average = bytes / Math.max(1, entries);
  return {
    entries: Math.min(MOST_AHEAD, Math.floor(maxEntries / 100)),
    // No room for one of them is none.
    bytes: Math.max(0, Math.min(maxBytes / 100, MOST_AHEAD * average) - average),
  };
}

/** The common count that an entry has; `undefined` when it is none. */
function commonOf(entry: Entry | undefined): Common | undefined {
  if (entry === undefined) return undefined;
  try {
    const common = JSON.parse(decoder.decode(entry.value)) as Common;
    const { entries, bytes, counts, took, churn, shares } = common;
    const numbers = [entries, bytes, counts, took, churn?.entries, churn?.bytes];
    const isWhole = numbers.every(Number.isFinite) && typeof shares === "object" && shares !== null;
    return isWhole ? common : undefined;
  } catch {
    return undefined;
  }
}
