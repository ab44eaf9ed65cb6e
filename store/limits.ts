/**
 * Limits of a store: room is made before something is written, so that no more is there at any time
 * than there may be. Who goes is found by the uses of the keys that this process knows, and by a
 * sample of those that it doesn't.
 */
import { DecodeError } from "../codec/errors.ts";
import type { Store } from "../engines/complete.ts";
import { Decorator } from "../engines/decorator.ts";
import { each } from "../engines/each.ts";
import type { Awaitable, Entry, EntryValue, Guard, NewEntry, Usage } from "../engines/engine.ts";
import { utf8Length } from "../engines/tally.ts";
import { whenReady } from "../platform/awaitable.ts";
import { removeUnchanged } from "./groups.ts";
import { Near } from "./near.ts";
import { aheadOf, type Amount, type Limits, Occupancy } from "./occupancy.ts";
import type { EvictPolicy } from "./options.ts";
import { SAMPLE } from "./uses.ts";

/** The most entries that are looked at in one step without need. */
const MOST_AT_ONCE = 256;

/** What the handles of this process on one store have in common, by the store and the policy. */
const occupancies = new Map<string, { occupancy: Occupancy; handles: number }>();

/** What a `Limited` is made with. */
export interface LimitedOptions extends Limits {
  /** Which entries go first. */
  readonly evict: EvictPolicy;
  /** A name for the store in this process. */
  readonly identity: string;
  /** Opens a side store, which whoever asked for it closes. */
  openSide(): Promise<Store>;
  /** The store with all that stands around it: what removes an entry has to go through that. */
  outermost(): Store;
  /** Is told of what was removed, and how many bytes its value had. */
  evicted(key: string, bytes: number): void;
}

/** A store that has no more than so many entries, or bytes. */
export class Limited extends Decorator {
  readonly #options: LimitedOptions;
  /** The store with values that come from the engine: others may have replaced what is near. */
  readonly #engine: Store;
  /** What its occupancy is known by. */
  readonly #name: string;
  readonly #occupancy: Occupancy;
  readonly #hasBytes: boolean;
  readonly #countsReads: boolean;
  #evictions = 0;
  /** Goes round the keys of the store, from one eviction to the next. */
  #round: AsyncGenerator<string> | undefined;
  /** Whether there was no key on the last whole round that nothing was known of. */
  #knowsAll = false;
  #metStranger = false;
  #changes = 0;
  #isClosed = false;

  constructor(inner: Store, options: LimitedOptions) {
    super(inner);
    this.#options = options;
    this.#engine = inner instanceof Near ? inner.direct : inner;
    this.#hasBytes = options.maxBytes !== Infinity;
    const { identity, evict } = options;
    // Where bytes don't matter none are counted: those who count them have a count of their own.
    this.#name = `${evict} ${this.#hasBytes} ${identity}`;
    let shared = occupancies.get(this.#name);
    if (shared === undefined) {
      const occupancy = new Occupancy({
        policy: evict,
        hasBytes: this.#hasBytes,
        isShared: inner.supports.shared,
        isVerbatim: inner.supports.ownForm !== true,
        hasFileTimes: inner.supports.fileTimes === true,
        openSide: () => options.openSide(),
      });
      occupancies.set(this.#name, shared = { occupancy, handles: 0 });
    }
    shared.handles++;
    this.#occupancy = shared.occupancy;
    this.#countsReads = shared.occupancy.uses.countsReads;
  }

  override get evictions(): number {
    return this.inner.evictions + this.#evictions;
  }

  override async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const shared = occupancies.get(this.#name)!;
    try {
      await this.#occupancy.settled();
      await this.#round?.return(undefined);
    } finally {
      try {
        if (--shared.handles === 0) {
          occupancies.delete(this.#name);
          await this.#occupancy.close();
        }
      } finally {
        await this.inner.close();
      }
    }
  }

  override get(key: string): Awaitable<Entry | undefined> {
    return this.#noted(key, this.inner.get(key));
  }

  override getValue(key: string): Awaitable<EntryValue | undefined> {
    return this.#noted(key, this.inner.getValue(key));
  }

  override getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#allNoted(keys, this.inner.getMany(keys));
  }

  override getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    return this.#allNoted(keys, this.inner.getValues(keys));
  }

  override set(key: string, entry: NewEntry): Awaitable<void> {
    const bytes = this.#weigh(key, entry.value);
    const occupancy = this.#occupancy;
    occupancy.touch(key);
    if (!occupancy.isKnown) return this.#setInTurn(key, entry, bytes);
    const before = this.#bytesUnder(key);
    if (!(before instanceof Promise)) {
      const more = moreOf(before, bytes);
      if (occupancy.take(more, this.#options, entry.expiresAt)) {
        return this.#set(key, entry, bytes, more);
      }
    } else if (this.inner.supports.ordered === true) {
      // As if it were new: what was under the key is known when it has been replaced.
      const more = { entries: 1, bytes };
      if (occupancy.take(more, this.#options, entry.expiresAt)) {
        return this.#setAndSee(key, entry, bytes, more, before);
      }
    }
    return this.#setInTurn(key, entry, bytes, before);
  }

  override async setMany(pairs: [string, NewEntry][]): Promise<void> {
    // A later pair of the same key wins.
    const left = [...new Map(pairs)];
    // Before any is stored.
    const weights = left.map(([key, { value }]) => this.#weigh(key, value));
    const { maxEntries, maxBytes } = this.#options;
    const all = { entries: maxEntries, bytes: maxBytes };
    for (let start = 0, end = 0; start < left.length; start = end) {
      // With the first of them it becomes known whether others write, too.
      end = endOfGroup(weights, start, this.#occupancy.atOnce(this.#options));
      // Where others write, they may leave nothing else to remove.
      const reach = this.#occupancy.isAlone ? endOfGroup(weights, start, all) : end;
      const toCome = left.slice(end, reach).map(([key]) => key);
      await this.#setGroup(left.slice(start, end), weights.slice(start, end), toCome);
    }
  }

  override compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    const before = expected === undefined ? undefined : this.#sizeOf(key, expected.value);
    if (next === undefined) {
      return this.#changing(
        [key],
        () =>
          whenReady(this.inner.compareAndSet(key, expected, undefined, guard), (did) => {
            if (did && before !== undefined) this.#removed(key, 1, before);
            return did;
          }),
      );
    }
    const bytes = this.#weigh(key, next.value);
    const more = moreOf(before, bytes);
    const occupancy = this.#occupancy;
    const write = () =>
      this.#written(more, () => this.inner.compareAndSet(key, expected, next, guard), (did) => {
        if (did) this.#use(key, next, bytes);
        return did;
      });
    if (occupancy.isKnown && occupancy.take(more, this.#options, next.expiresAt)) {
      return this.#changing([key], write);
    }
    return this.#exempt([key], [], async () => {
      await this.#makeRoom(more, next.expiresAt);
      return await write();
    });
  }

  override delete(key: string): Awaitable<boolean> {
    return this.#changing([key], () => {
      if (!this.#hasBytes) {
        return whenReady(this.inner.delete(key), (was) => this.#wasDeleted(key, was));
      }
      return whenReady(
        this.#bytesUnder(key),
        (bytes = 0) =>
          whenReady(this.inner.delete(key), (was) => this.#wasDeleted(key, was, bytes)),
      );
    });
  }

  override async deleteMany(keys: string[]): Promise<number> {
    const unique = [...new Set(keys)];
    return await this.#changing(unique, async () => {
      const sizes = this.#hasBytes ? await this.#bytesUnderMany(unique) : [];
      const removed = await this.inner.deleteMany(keys);
      const bytes = sizes.reduce<number>((sum, size = 0) => sum + size, 0);
      for (const key of unique) this.#occupancy.uses.delete(key);
      this.#occupancy.add({ entries: -removed, bytes: -bytes });
      return removed;
    });
  }

  override deleteUnchanged(entries: [key: string, expected: Entry][]): Awaitable<boolean[]> {
    const remove = () =>
      whenReady(this.inner.deleteUnchanged(entries), (removed) => {
        for (const [i, [key, { value }]] of entries.entries()) {
          if (removed[i]) this.#removed(key, 1, this.#sizeOf(key, value));
        }
        return removed;
      });
    return this.#changing(entries.map(([key]) => key), remove);
  }

  override async clear(deep?: boolean): Promise<void> {
    this.#occupancy.unsettle();
    this.#occupancy.doubt();
    try {
      await this.inner.clear(deep);
    } finally {
      await this.#occupancy.inTurn(() => this.#occupancy.clear());
    }
  }

  override prune(): Awaitable<number> {
    this.#occupancy.unsettle();
    this.#occupancy.doubt();
    return this.inner.prune();
  }

  /** How much there is, without a look at it once the store has been counted. */
  override async usage(): Promise<Usage> {
    const estimate = await this.#occupancy.estimate();
    if (estimate === undefined) return await this.inner.usage();
    const { entries, bytes, exact } = estimate;
    return this.#hasBytes ? { entries, bytes, exact } : { entries, exact };
  }

  #noted<T extends EntryValue>(
    key: string,
    found: Awaitable<T | undefined>,
  ): Awaitable<T | undefined> {
    if (!this.#countsReads) return found;
    if (found instanceof Promise) {
      return found.then((entry) => {
        if (entry !== undefined) this.#occupancy.use(key);
        return entry;
      });
    }
    if (found !== undefined) this.#occupancy.use(key);
    return found;
  }

  #allNoted<T extends EntryValue>(
    keys: string[],
    found: Awaitable<(T | undefined)[]>,
  ): Awaitable<(T | undefined)[]> {
    if (!this.#countsReads) return found;
    return whenReady(found, (entries) => {
      for (const [i, entry] of entries.entries()) {
        if (entry !== undefined) this.#occupancy.use(keys[i]);
      }
      return entries;
    });
  }

  /** Bytes of an entry, where they matter. */
  #sizeOf(key: string, value: Uint8Array): number {
    return this.#hasBytes ? utf8Length(key) + value.byteLength : 0;
  }

  /** The same of one that is to be stored: nothing else would be left beside a larger one. */
  #weigh(key: string, value: Uint8Array): number {
    const bytes = this.#sizeOf(key, value);
    const { maxBytes } = this.#options;
    if (bytes <= maxBytes) return bytes;
    throw new RangeError(
      `Cannot set entry in engine "${this.name}": its key and value have ${bytes} bytes, and ` +
        `maxBytes is ${maxBytes}; raise maxBytes, or store less under one key`,
    );
  }

  #use(key: string, { expiresAt }: NewEntry, bytes: number): void {
    this.#occupancy.use(key, expiresAt === undefined ? bytes : undefined);
  }

  /** Bytes of what is under a key; `undefined` when nothing is, 0 of what is damaged. */
  #bytesUnder(key: string): Awaitable<number | undefined> {
    const known = this.#occupancy.known(key);
    if (known !== undefined) return known ?? undefined;
    if (!this.#hasBytes) return whenReady(this.inner.has(key), (has) => has ? 0 : undefined);
    const sizeOf = (entry: EntryValue | undefined) => entry && this.#sizeOf(key, entry.value);
    try {
      const found = this.#engine.getValue(key);
      if (!(found instanceof Promise)) return sizeOf(found);
      return found.then(sizeOf, (error) => this.#passOver(error, 0));
    } catch (error) {
      return this.#passOver(error, 0);
    }
  }

  async #bytesUnderMany(keys: string[]): Promise<(number | undefined)[]> {
    const oneByOne = () => each(keys, async (key) => await this.#bytesUnder(key));
    if (!this.#hasBytes) return await oneByOne();
    try {
      const found = await this.#engine.getValues(keys);
      return found.map((entry, i) => entry && this.#sizeOf(keys[i], entry.value));
    } catch (error) {
      passOver(error, undefined);
      return await oneByOne();
    }
  }

  /** Nobody knows how much of a damaged entry has been counted. */
  #passOver<T>(error: unknown, instead: T): T {
    this.#occupancy.doubt();
    return passOver(error, instead);
  }

  /**
   * Changes keys: what else changes one of them meanwhile, or counts the store, makes uncertain how
   * much there is.
   */
  #changing<T>(keys: string[], change: () => Awaitable<T>): Awaitable<T> {
    const occupancy = this.#occupancy;
    for (const key of keys) occupancy.touch(key);
    const { counted } = occupancy;
    let result: Awaitable<T>;
    try {
      result = change();
    } catch (error) {
      occupancy.doubt();
      throw error;
    }
    if (!(result instanceof Promise)) return result;
    for (const key of keys) occupancy.hold(key);
    const end = () => {
      for (const key of keys) occupancy.release(key);
      if (occupancy.counted !== counted) occupancy.doubt();
    };
    return result.then((value) => {
      end();
      return value;
    }, (error) => {
      end();
      occupancy.doubt();
      throw error;
    });
  }

  #failed(more: Amount): void {
    // It may have been written all the same.
    this.#occupancy.doubt();
    this.#occupancy.done(more);
    this.#occupancy.add({ entries: -more.entries, bytes: -more.bytes });
  }

  /** Writes what room has been taken for, which is given back if that fails. */
  #written<T>(more: Amount, write: () => Awaitable<T>, then: (result: T) => T): Awaitable<T> {
    const occupancy = this.#occupancy;
    const end = (did: boolean) => {
      if (did) occupancy.done(more);
      else this.#failed(more);
    };
    let result: Awaitable<T>;
    try {
      result = write();
    } catch (error) {
      end(false);
      throw error;
    }
    if (result instanceof Promise) {
      return result.then((did) => {
        end(did !== false);
        return then(did);
      }, (error) => {
        end(false);
        throw error;
      });
    }
    end(result !== false);
    return then(result);
  }

  /** Stores an entry that room has been taken for. */
  #set(key: string, entry: NewEntry, bytes: number, more: Amount): Awaitable<void> {
    // As #written, without functions to be made for each write: they show in one of a microsecond.
    const occupancy = this.#occupancy;
    let done: Awaitable<void>;
    try {
      done = this.inner.set(key, entry);
    } catch (error) {
      this.#failed(more);
      throw error;
    }
    if (done instanceof Promise) {
      occupancy.hold(key);
      return done.then(() => {
        occupancy.release(key);
        occupancy.done(more);
        this.#use(key, entry, bytes);
      }, (error) => {
        occupancy.release(key);
        this.#failed(more);
        throw error;
      });
    }
    occupancy.done(more);
    this.#use(key, entry, bytes);
  }

  /** Stores while it is being asked what is under the key. */
  async #setAndSee(
    key: string,
    entry: NewEntry,
    bytes: number,
    more: Amount,
    before: Promise<number | undefined>,
  ): Promise<void> {
    // The write tells of what fails for both.
    const replaced = before.catch(() => undefined);
    await this.#set(key, entry, bytes, more);
    const replacedBytes = await replaced;
    if (replacedBytes !== undefined) this.#occupancy.add({ entries: -1, bytes: -replacedBytes });
  }

  async #setInTurn(
    key: string,
    entry: NewEntry,
    bytes: number,
    asked?: Awaitable<number | undefined>,
  ): Promise<void> {
    await this.#exempt([key], [], async () => {
      const before = asked ?? this.#bytesUnder(key);
      const more = moreOf(before instanceof Promise ? await before : before, bytes);
      await this.#makeRoom(more, entry.expiresAt);
      await this.#set(key, entry, bytes, more);
    });
  }

  async #setGroup(
    pairs: [string, NewEntry][],
    weights: number[],
    toCome: string[],
  ): Promise<void> {
    const keys = pairs.map(([key]) => key);
    await this.#exempt(keys, toCome, async () => {
      const before = await this.#bytesUnderMany(keys);
      let entries = 0, bytes = 0, expiresAt = Infinity;
      for (const [i, [, entry]] of pairs.entries()) {
        const more = moreOf(before[i], weights[i]);
        entries += more.entries;
        bytes += more.bytes;
        expiresAt = Math.min(expiresAt, entry.expiresAt ?? Infinity);
      }
      const more = { entries, bytes };
      await this.#makeRoom(more, expiresAt);
      await this.#written(more, () => this.inner.setMany(pairs), () => undefined);
      for (const [i, [key, entry]] of pairs.entries()) this.#use(key, entry, weights[i]);
    });
  }

  #wasDeleted(key: string, was: boolean, bytes = 0): boolean {
    if (was) this.#removed(key, 1, bytes);
    return was;
  }

  #removed(key: string, entries: number, bytes: number): void {
    this.#occupancy.uses.delete(key);
    this.#occupancy.add({ entries: -entries, bytes: -bytes });
  }

  /** What is under these keys, which are changed, and those to come is no victim meanwhile. */
  async #exempt<T>(keys: string[], toCome: string[], body: () => Promise<T>): Promise<T> {
    for (const key of keys) this.#occupancy.touch(key);
    const held = [...keys, ...toCome];
    for (const key of held) this.#occupancy.hold(key);
    try {
      return await body();
    } finally {
      for (const key of held) this.#occupancy.release(key);
    }
  }

  /** Takes room for a write; removes entries where there is none. */
  async #makeRoom(more: Amount, expiresAt: number | undefined): Promise<void> {
    const occupancy = this.#occupancy;
    const limits = this.#options;
    if (occupancy.isKnown && occupancy.take(more, limits, expiresAt)) return;
    await occupancy.inTurn(async () => {
      await occupancy.look(limits, this.#count);
      if (occupancy.isTooMuchAtOnce(more, limits)) await occupancy.quiet();
      let hasLookedAround = false;
      for (let looks = 0; !occupancy.take(more, limits, expiresAt);) {
        if (await occupancy.takeTold(more, limits, expiresAt)) return;
        if (looks === 0) {
          looks++;
          if (await occupancy.lookCloser(limits, this.#count)) continue;
        }
        await occupancy.announce(occupancy.excess(more, limits), limits);
        const excess = occupancy.excess(more, limits);
        if (excess.entries === 0 && excess.bytes === 0) {
          // Somebody has removed the common count, or it has changed meanwhile.
          occupancy.unsettle();
          await occupancy.look(limits, this.#count);
        } else if (await this.#evict(excess)) {
          // Only a look that finds nothing at all says that there is nothing.
          hasLookedAround = false;
        } else if (occupancy.isWriting) {
          // All that there is, or nearly, is just being written.
          await occupancy.quiet();
        } else if (!hasLookedAround) {
          hasLookedAround = true;
          await this.#lookAround();
        } else {
          // What was counted is gone, or can't be read: then it can't be chosen either.
          if (looks > 1 || !occupancy.mayRecount) return occupancy.force(more, expiresAt);
          looks++;
          await occupancy.recount(limits, this.#count);
        }
      }
    });
  }

  /** How much there is, once what has expired is gone. */
  readonly #count = async (): Promise<Amount> => {
    await this.inner.prune();
    if (!this.#hasBytes) return { entries: await this.inner.size(), bytes: 0 };
    const { entries, bytes = 0 } = await this.inner.usage();
    return { entries, bytes };
  };

  /** Removes the entries that go first, at least so many of them and bytes; whether any. */
  async #evict(excess: Amount): Promise<boolean> {
    const occupancy = this.#occupancy;
    // Others may have written what nothing is known of here, and what was known may be forgotten.
    const hasLearned = await occupancy.learn();
    const changes = occupancy.changes + occupancy.uses.forgotten;
    if (hasLearned || this.#changes !== changes) this.#knowsAll = false;
    this.#changes = changes;
    const { entries, bytes } = occupancy.amount;
    const ahead = aheadOf(this.#options, occupancy.amount);
    const wanted: Amount = {
      entries: excess.entries > 0 ? excess.entries + ahead.entries : 0,
      bytes: excess.bytes > 0 ? excess.bytes + ahead.bytes : 0,
    };
    // About so many have so many bytes: of those that are found no more go than need be.
    const few = Math.ceil(1.5 * wanted.bytes / Math.max(1, bytes / Math.max(1, entries)));
    const count = Math.max(1, wanted.entries, few);
    for (let tries = 0; tries < 1_000; tries++) {
      await this.#meetStrangers(count);
      // More each time: many of those that uses are known of may be gone.
      const more = Math.min(count * 2 ** Math.min(tries, 8), Math.max(count, MOST_AT_ONCE));
      const keys = occupancy.uses.first(more, (key) => occupancy.busy.has(key));
      if (keys.length === 0 && this.#knowsAll) return false;
      if (await this.#remove(keys, wanted) > 0) return true;
    }
    return false;
  }

  /** Removes entries, no more than are wanted; how many. */
  async #remove(keys: string[], wanted: Amount): Promise<number> {
    const victims: [string, Entry][] = [];
    let bytes = 0;
    for (const [i, entry] of (await this.#read(keys)).entries()) {
      const key = keys[i];
      // Gone, or damaged: for whoever reads it to be told.
      if (entry === undefined) this.#occupancy.uses.delete(key);
      else if (victims.length < wanted.entries || bytes < wanted.bytes) {
        victims.push([key, entry]);
        bytes += this.#sizeOf(key, entry.value);
      }
    }
    // They stay when they have been set anew since they were read.
    const removed = await removeUnchanged(this.#options.outermost(), victims);
    for (const [i, [key, entry]] of victims.entries()) {
      if (!removed[i]) this.#occupancy.uses.delete(key);
      else {
        this.#evictions++;
        this.#options.evicted(key, entry.value.byteLength);
      }
    }
    return removed.filter((did) => did).length;
  }

  async #read(keys: string[]): Promise<(Entry | undefined)[]> {
    try {
      return await this.inner.getMany(keys);
    } catch (error) {
      passOver(error, undefined);
      return await each(keys, async (key) => {
        try {
          return await this.inner.get(key);
        } catch (error) {
          return passOver(error, undefined);
        }
      });
    }
  }

  /**
   * Goes round all keys from the beginning: others may have written as many as they removed, which
   * no count shows.
   */
  async #lookAround(): Promise<void> {
    this.#knowsAll = this.#metStranger = false;
    const round = this.#round;
    this.#round = undefined;
    await round?.return(undefined);
  }

  /** Goes on round the store, for keys that nothing is known of. */
  async #meetStrangers(count: number): Promise<void> {
    const { uses } = this.#occupancy;
    if (this.#knowsAll || uses.wantedStrangers(count) <= 0) return;
    const found: string[] = [];
    for (
      let left = count * SAMPLE;
      left > 0 && found.length < uses.wantedStrangers(count);
      left--
    ) {
      this.#round ??= iteratorOf(this.inner.keys());
      const { done, value } = await this.#round.next();
      if (done) {
        this.#round = undefined;
        this.#knowsAll = !this.#metStranger;
        this.#metStranger = false;
        break;
      }
      if (!uses.isStrange(value)) continue;
      found.push(value);
    }
    for (const [i, entry] of (await this.#read(found)).entries()) {
      if (entry === undefined) continue;
      this.#occupancy.meet(found[i], entry);
      this.#metStranger = true;
    }
  }
}

/** What a damaged entry counts as: whoever writes need not be able to read what was there. */
function passOver<T>(error: unknown, instead: T): T {
  if (error instanceof DecodeError) return instead;
  throw error;
}

/** Where a group ends that begins here: one entry at least, else no more than that. */
function endOfGroup(weights: readonly number[], start: number, most: Amount): number {
  let end = start;
  for (let bytes = 0; end < weights.length && end - start < most.entries; end++) {
    bytes += weights[end];
    if (bytes > most.bytes && end > start) break;
  }
  return end;
}

/** How many more entries and bytes there are when what was there has been replaced. */
function moreOf(before: number | undefined, bytes: number): Amount {
  return before === undefined ? { entries: 1, bytes } : { entries: 0, bytes: bytes - before };
}

async function* iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items;
}
