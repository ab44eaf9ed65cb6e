/**
 * Append mode: every version of a key. The latest stands under the key itself, with a header that
 * says which version it is; the ones before it stand in a side store, one entry each.
 *
 * Appending copies the latest to the side store and then replaces it with one `compareAndSet`: two
 * writes, at the thousandth version as at the first. A version never changes, so it does no harm
 * that several writers copy the same one, and a crash between the two writes leaves only a copy
 * that the next append makes again. A series (the life of a key from its first set to its delete)
 * has an identifier of its own, so that a new life never meets the remains of an earlier one.
 */
import { DecodeError } from "../codec/errors.ts";
import type { Store } from "../engines/complete.ts";
import { Decorator } from "../engines/decorator.ts";
import { groupsOf } from "../engines/each.ts";
import type {
  EngineCheck,
  EngineCheckOptions,
  Entry,
  EntryValue,
  Guard,
  NewEntry,
} from "../engines/engine.ts";
import { unreadable } from "../engines/errors.ts";
import { backoff, exclusive } from "./contention.ts";
import { given, type Header, opened, type StoredEntry, valueOf, withHeader } from "./header.ts";

/** Versions read at once: bounds memory, and amortises round trips. */
const BATCH = 256;
/** Keys that are removed at once: their latest versions are read before. */
const HEADS = 64;

/** Up to so many versions are asked for by their numbers; of more, those that are there are listed. */
const MOST_COUNTED = 10_000;

/** What the series of a history that was loaded begins with; of the others it is a digit or up to f. */
const LOADED = "z";
/** For so long, ms, its earlier versions stay without the latest: that may be about to be stored. */
const LOADING = 3_600_000;

const SIDE_KEY = /^([0-9a-z]+)\/([0-9]+)\/(.*)$/s;

/** Which version an entry is: what the header says of it. */
interface VersionHeader {
  readonly version: number;
  readonly series: string;
  readonly timestamp: number;
}

/** A store that keeps every version of a key. */
export class Versions extends Decorator {
  readonly #openSide: () => Promise<Store>;
  readonly #identity: () => string;

  /**
   * @param inner Where the latest version of each key is.
   * @param openSide Opens the side store, where the versions before it are; whoever gave it closes
   * it.
   * @param identity A name for the store in this process.
   */
  constructor(inner: Store, openSide: () => Promise<Store>, identity: () => string) {
    super(inner);
    this.#openSide = openSide;
    this.#identity = identity;
  }

  override async get(key: string): Promise<StoredEntry | undefined> {
    const entry = await this.inner.get(key);
    return entry && this.#opened(key, entry);
  }

  override async getValue(key: string): Promise<EntryValue | undefined> {
    const entry = await this.inner.getValue(key);
    // Of one that a near tier has, the whole entry is there.
    return entry && this.#opened(key, entry as Entry);
  }

  override async getMany(keys: string[]): Promise<(StoredEntry | undefined)[]> {
    const found = await this.inner.getMany(keys);
    return found.map((entry, i) => entry && this.#opened(keys[i], entry));
  }

  override async getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    const found = await this.inner.getValues(keys);
    return found.map((entry, i) => entry && this.#opened(keys[i], entry as Entry));
  }

  override async *entries(prefix?: string): AsyncGenerator<[string, StoredEntry]> {
    for await (const [key, entry] of this.inner.entries(prefix)) {
      yield [key, this.#opened(key, entry)];
    }
  }

  /** Adds a version; two writes. */
  override async set(key: string, entry: NewEntry): Promise<void> {
    // In turn: the callers of one process would only make each other's compareAndSet fail.
    // Under a name of its own: the function of a `modify` in progress must not be waited for.
    await exclusive(`append ${this.#identity()}${key}`, "set the entry", async () => {
      for (let attempt = 0;; attempt++) {
        if (await this.compareAndSet(key, await this.get(key), entry)) return;
        await backoff(attempt);
      }
    });
  }

  /** Adds a version for each pair, in their order. */
  override async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (const [key, entry] of pairs) await this.set(key, entry);
  }

  /** Removes a key with all its versions. */
  override async delete(key: string): Promise<boolean> {
    for (let attempt = 0;; attempt++) {
      const head = await this.inner.get(key);
      if (head === undefined) return false;
      if (await this.#remove(key, head)) return true;
      await backoff(attempt);
    }
  }

  override async deleteMany(keys: string[]): Promise<number> {
    let deleted = 0;
    for (const group of groupsOf([...new Set(keys)], HEADS)) {
      deleted += await this.#deleteAll(group);
    }
    return deleted;
  }

  async #deleteAll(keys: string[]): Promise<number> {
    let deleted = 0;
    for (let left = keys, attempt = 0;; attempt++) {
      const found = await this.inner.getMany(left);
      const heads = left.flatMap((key, i): [string, Entry][] => {
        const head = found[i];
        return head === undefined ? [] : [[key, head]];
      });
      const removed = await this.deleteUnchanged(heads);
      deleted += removed.filter((was) => was).length;
      left = heads.filter((_, i) => !removed[i]).map(([key]) => key);
      if (left.length === 0) return deleted;
      await backoff(attempt);
    }
  }

  /** Adds a version to the latest one as it was read, or removes the key with all its versions. */
  override async compareAndSet(
    key: string,
    expected: StoredEntry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    if (next !== undefined) return await this.#append(key, expected, next, guard);
    if (expected === undefined) {
      return await this.inner.compareAndSet(key, undefined, undefined, guard);
    }
    return await this.#remove(key, expected, guard);
  }

  /** Removes the keys whose latest version is still the one that was read, with all their versions. */
  override async deleteUnchanged(
    entries: [key: string, expected: StoredEntry][],
  ): Promise<boolean[]> {
    const removed = await this.inner.deleteUnchanged(
      entries.map(([key, head]) => [key, given(head)]),
    );
    await this.#removeBefore(
      entries.flatMap(([key, head], i) => removed[i] ? [{ key, head }] : []),
    );
    return removed;
  }

  override guardOn(key: string, expected: StoredEntry): Guard {
    return super.guardOn(key, given(expected) ?? expected);
  }

  override async clear(deep?: boolean): Promise<void> {
    await this.inner.clear(deep);
    await (await this.#openSide()).clear();
  }

  /**
   * Puts a history, oldest first, in the place of the one that is there: the versions before the
   * latest first, as nobody comes across them without it. Whoever reads the key has one of the two,
   * and a process that is killed leaves one.
   */
  async replace(key: string, history: readonly NewEntry[]): Promise<void> {
    const series = LOADED + newSeries();
    let timestamp = -Infinity;
    const entries = history.map((entry, i): NewEntry => {
      timestamp = Math.max(entry.timestamp, timestamp);
      // As an append leaves them: only the latest says what the key has besides.
      const value = i < history.length - 1 ? valueOf(entry) : entry.value;
      return { ...entry, value: withHeader(value, { version: i + 1, series, timestamp }) };
    });
    const latest = entries.pop()!;
    // It has ended: what there was before belongs to nobody.
    if ((latest.expiresAt ?? Infinity) <= Date.now()) return void await this.delete(key);
    if (entries.length > 0) {
      const side = await this.#openSide();
      await side.setMany(entries.map((entry, i) => [sideKey(key, series, i + 1), entry]));
    }
    for (let attempt = 0;; attempt++) {
      const head = await this.inner.get(key);
      if (await this.inner.compareAndSet(key, given(head), latest)) {
        if (head !== undefined) await this.#removeBefore([{ key, head }]);
        return;
      }
      await backoff(attempt);
    }
  }

  /** Drops what has expired, and the earlier versions of keys that have. */
  override async prune(): Promise<number> {
    const pruned = await this.inner.prune();
    const side = await this.#openSide();
    await side.prune();
    await this.#dropOrphans(side);
    return pruned;
  }

  /**
   * With `fix`, versions whose key is gone go as at `prune`. They are no problem that is named: of
   * most keys the deadline came, and nobody can tell those whose removal was cut off.
   */
  override async check(options: EngineCheckOptions): Promise<EngineCheck> {
    const report = await this.inner.check(options);
    if (options.fix) await this.#dropOrphans(await this.#openSide());
    return report;
  }

  override async byteSize(): Promise<number> {
    const bytes = await this.inner.byteSize();
    const side = await this.#openSide();
    // Engines that keep all stores in one file count it whole for each.
    return side.path === this.path ? bytes : bytes + await side.byteSize();
  }

  async #append(
    key: string,
    head: StoredEntry | undefined,
    entry: NewEntry,
    guard?: Guard,
  ): Promise<boolean> {
    const before = head && headerOf(head, entry.timestamp);
    if (head !== undefined && before !== undefined) {
      await (await this.#openSide()).set(sideKey(key, before.series, before.version), {
        value: withHeader(head.value, before),
        expiresAt: head.expiresAt,
        timestamp: before.timestamp,
      });
    }
    const header: VersionHeader = {
      version: (before?.version ?? 0) + 1,
      series: before?.series ?? newSeries(),
      timestamp: Math.max(entry.timestamp, before?.timestamp ?? -Infinity),
    };
    const value = withHeader(entry.value, header);
    if (await this.inner.compareAndSet(key, given(head), { ...entry, value }, guard)) return true;
    if (before !== undefined) await this.#dropCopy(key, before);
    return false;
  }

  /** Removes the copy of a version whose key was deleted meanwhile: nobody else would. */
  async #dropCopy(key: string, { series, version }: VersionHeader): Promise<void> {
    // Where the series goes on, whoever appended to it needs the same copy.
    const head = await this.get(key);
    if (head?.header?.series === series) return;
    await (await this.#openSide()).delete(sideKey(key, series, version));
  }

  async #remove(key: string, head: StoredEntry, guard?: Guard): Promise<boolean> {
    if (!await this.inner.compareAndSet(key, given(head), undefined, guard)) return false;
    await this.#removeBefore([{ key, head }]);
    return true;
  }

  /** Removes the versions before those that were the latest. */
  async #removeBefore(heads: readonly { key: string; head: StoredEntry }[]): Promise<void> {
    let gone: string[] = [];
    for (const { key, head } of heads) {
      // One that is damaged can be removed all the same, and names no others.
      const { version = 1, series } = readableHeader(head) ?? {};
      if (series === undefined || version === 1) continue;
      const side = await this.#openSide();
      for await (const keys of sideKeys(side, key, series, version)) {
        gone.push(...keys);
        if (gone.length < BATCH) continue;
        await side.deleteMany(gone);
        gone = [];
      }
    }
    if (gone.length > 0) await (await this.#openSide()).deleteMany(gone);
  }

  #opened(key: string, entry: Entry): StoredEntry {
    try {
      return opened(entry);
    } catch (error) {
      throw unreadable(error, this.name, key);
    }
  }

  /** Removes versions whose key is gone or lives another life: nobody can read them. */
  async #dropOrphans(side: Store): Promise<void> {
    for await (const text of side.keys()) {
      const parsed = parseSideKey(text);
      // What another program wrote belongs to nobody here.
      if (parsed === undefined) continue;
      const { series, version, key } = parsed;
      if (isLoading(series)) continue;
      try {
        const head = await this.get(key);
        // A copy of the latest itself is an append under way, or one that was cut off and is made
        // again.
        if (head?.header?.series === series && version <= (head.header.version ?? 0)) continue;
      } catch (error) {
        // The check of the entries names the damaged one; its earlier versions are still good.
        if (error instanceof DecodeError) continue;
        throw error;
      }
      await side.delete(text);
    }
  }
}

/**
 * Every version of a key from its latest one, oldest first; a batch at a time.
 *
 * @param openSide Opens the side store: only called when there are earlier versions, which are
 * there also for who reads without append mode.
 */
export async function* versionsOf(
  key: string,
  head: Entry,
  openSide: () => Promise<Store>,
): AsyncGenerator<StoredEntry> {
  const latest = opened(head);
  const { version = 1, series } = latest.header ?? {};
  if (series !== undefined && version > 1) {
    const side = await openSide();
    for await (const keys of sideKeys(side, key, series, version)) {
      for (const entry of await side.getMany(keys)) if (entry) yield opened(entry);
    }
  }
  yield latest;
}

/** The header of an entry; `undefined` when it has none, or a damaged one. */
function readableHeader(entry: StoredEntry): Header | undefined {
  try {
    return opened(entry).header;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** Which version an entry is; one that was set without append mode is the first of its series. */
function headerOf(entry: StoredEntry, now: number): VersionHeader {
  const { version, series, timestamp } = opened(entry).header ?? {};
  return {
    version: version ?? 1,
    series: series ?? newSeries(),
    timestamp: timestamp ?? entry.timestamp ?? now,
  };
}

function newSeries(): string {
  return crypto.randomUUID().slice(0, 8) + Date.now().toString(36);
}

/**
 * Whether a history may be about to be loaded, by a process whose clock is less than an hour from
 * ours: clocks differ, and can be set back.
 */
function isLoading(series: string): boolean {
  if (!series.startsWith(LOADED)) return false;
  return Math.abs(Date.now() - parseInt(series.slice(LOADED.length + 8), 36)) < LOADING;
}

/** The key of a version in the side store. */
function sideKey(key: string, series: string, version: number): string {
  return `${series}/${version}/${key}`;
}

/** The keys of the versions before `end` that may be there, in their order; a batch at a time. */
async function* sideKeys(
  side: Store,
  key: string,
  series: string,
  end: number,
): AsyncGenerator<string[]> {
  if (end > MOST_COUNTED) return yield* storedSideKeys(side, key, series, end);
  for (let first = 1; first < end; first += BATCH) {
    const length = Math.min(BATCH, end - first);
    yield Array.from({ length }, (_, i) => sideKey(key, series, first + i));
  }
}

/** The same by what is stored: a header may be damaged, and name a version that no clock reaches. */
async function* storedSideKeys(
  side: Store,
  key: string,
  series: string,
  end: number,
): AsyncGenerator<string[]> {
  const versions: number[] = [];
  for await (const text of side.keys(`${series}/`)) {
    const parsed = parseSideKey(text);
    if (parsed?.key === key && parsed.version < end) versions.push(parsed.version);
  }
  versions.sort((a, b) => a - b);
  for (const group of groupsOf(versions, BATCH)) {
    yield group.map((version) => sideKey(key, series, version));
  }
}

/** What a key of the side store stands for; `undefined` for one that no version has. */
export function parseSideKey(
  text: string,
): { series: string; version: number; key: string } | undefined {
  const match = SIDE_KEY.exec(text);
  if (match === null) return undefined;
  const [, series, version, key] = match;
  return { series, version: Number(version), key };
}
