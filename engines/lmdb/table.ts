import { DecodeError } from "../../codec/errors.ts";
import type { Awaitable, Entry, NewEntry } from "../engine.ts";
import type { LmdbDatabase, LmdbEnvironment, LmdbRange, LmdbStore } from "./environment.ts";
import {
  firstLmdbKey,
  type LmdbRecord,
  type PackedEntry,
  packEntries,
  readDeadlineKey,
  RecordError,
  textOfLmdbKey,
  toDeadlineKey,
  toLmdbKey,
  unpackRecord,
} from "./record.ts";
import { Turns } from "../../platform/timers.ts";

/** How many keys are read, or entries dropped, at once. */
const PAGE = 1_000;
/** How many entries are read at once, and about how many bytes of them. */
const ENTRY_PAGE = 128;
const PAGE_BYTES = 1024 * 1024;
/** How many entries, and bytes of values, share a commit at most. */
const BATCH_ENTRIES = 5_000;
const BATCH_BYTES = 32 * 1024 * 1024;
/**
 * After so many entries with a deadline, what has expired is dropped: what nobody asks for would
 * stay for ever.
 */
const TIMED_BETWEEN_PRUNES = 1_000;

const NOTHING = new Uint8Array(0);

/**
 * Versions: each write of this process takes the next, from a random one on, and none comes twice.
 */
const VERSIONS = 2 ** 52;
const STRIDE = 2_654_435_769;
let lastVersion = Math.floor(
  Number(crypto.getRandomValues(new BigUint64Array(1))[0]) / 2 ** 12,
);

/** An entry as it stands in the database. */
export interface RawEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
}

/** What is due in the index. */
interface Due {
  readonly deadlineKey: Uint8Array;
  readonly key: Uint8Array;
  /** The version of the entry that has expired; `undefined`: it has been replaced. */
  readonly version: number | undefined;
}

/** The entries of one dbname. */
export class LmdbTable {
  readonly #environment: LmdbEnvironment;
  readonly #entries: LmdbDatabase;
  readonly #deadlines: LmdbDatabase;
  #timed = 0;

  constructor(environment: LmdbEnvironment, { entries, deadlines }: LmdbStore) {
    this.#environment = environment;
    this.#entries = entries;
    this.#deadlines = deadlines;
  }

  get(key: string): Entry | undefined {
    const now = this.#environment.refresh();
    const lmdbKey = toLmdbKey(key);
    const record = this.read(lmdbKey);
    if (record === undefined) return undefined;
    const revision = this.#environment.lastVersion();
    const unpacked = unpack(lmdbKey, record, key);
    if (now >= unpacked.expiresAt) return undefined;
    return toEntry(unpacked, record.slice(unpacked.start), revision);
  }

  has(key: string): boolean {
    const now = this.#environment.refresh();
    const lmdbKey = toLmdbKey(key);
    const record = this.read(lmdbKey);
    return record !== undefined && now < unpack(lmdbKey, record, key).expiresAt;
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const turns = new Turns();
    const found = new Array<Entry | undefined>(keys.length);
    for (const [i, key] of keys.entries()) {
      found[i] = this.get(key);
      if (turns.due()) await turns.next();
    }
    return found;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.setMany([[key, entry]]);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (let start = 0, end = 0; start < pairs.length; start = end) {
      for (let bytes = 0; end < pairs.length && end - start < BATCH_ENTRIES; end++) {
        bytes += pairs[end][1].value.length;
        if (bytes > BATCH_BYTES && end > start) break;
      }
      // Writes without conditions that share a commit have one promise.
      const writes = new Set<Promise<boolean>>();
      for (const packed of packEntries(pairs.slice(start, end))) writes.add(this.#put(packed));
      await Promise.all(writes);
    }
    await this.#tidy();
  }

  async delete(key: string): Promise<boolean> {
    const lmdbKey = toLmdbKey(key);
    for (;;) {
      const now = this.#environment.refresh();
      const state = this.#stateOf(lmdbKey);
      if (state === undefined) return false;
      const live = now < state.expiresAt;
      if (await this.#write(this.#entries.remove(lmdbKey, state.version))) return live;
    }
  }

  async deleteMany(keys: string[]): Promise<number> {
    const distinct = [...new Set(keys)];
    let count = 0;
    for (let start = 0; start < distinct.length; start += BATCH_ENTRIES) {
      const batch = distinct.slice(start, start + BATCH_ENTRIES);
      const removed = await Promise.all(batch.map((key) => this.delete(key)));
      count += removed.filter((was) => was).length;
    }
    return count;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    const now = this.#environment.refresh();
    const lmdbKey = toLmdbKey(key);
    let version: number | null;
    if (expected === undefined) {
      const state = this.#stateOf(lmdbKey);
      if (state !== undefined && now < state.expiresAt) return false;
      if (next === undefined) return true;
      version = state?.version ?? null;
    } else {
      if (now >= (expected.expiresAt ?? Infinity)) return false;
      // Only an entry of this engine is a state of it.
      version = expected.revision as number;
      if (next === undefined) return await this.#write(this.#entries.remove(lmdbKey, version));
    }
    const [packed] = packEntries([[key, next]]);
    const done = await this.#put(packed, version);
    await this.#tidy();
    return done;
  }

  async *keys(prefix: string): AsyncGenerator<string> {
    const first = firstLmdbKey(prefix);
    const turns = new Turns();
    for (let range: LmdbRange = { start: first };;) {
      this.#environment.refresh();
      const page = [...this.#entries.getKeys({ ...range, limit: PAGE })];
      const deadline = this.#nextDeadline();
      for (const lmdbKey of page) {
        if (!startsWith(lmdbKey, first)) return;
        let text = textOf(lmdbKey);
        if (text === undefined || Date.now() >= deadline) {
          const now = this.#environment.refresh();
          const record = this.read(lmdbKey);
          if (record === undefined) continue;
          const unpacked = unpack(lmdbKey, record);
          if (now >= unpacked.expiresAt) continue;
          text ??= unpacked.key;
        }
        if (text?.startsWith(prefix)) yield text;
      }
      if (page.length < PAGE) return;
      range = { start: page[PAGE - 1], exclusiveStart: true };
      if (turns.due()) await turns.next();
    }
  }

  async *entries(prefix: string): AsyncGenerator<[string, Entry]> {
    const first = firstLmdbKey(prefix);
    for await (const { key, value, version } of this.raw(first)) {
      if (!startsWith(key, first)) return;
      const unpacked = unpack(key, value);
      const text = unpacked.key ?? textOf(key);
      if (Date.now() >= unpacked.expiresAt || !text?.startsWith(prefix)) continue;
      yield [text, toEntry(unpacked, value.subarray(unpacked.start), version)];
    }
  }

  /** All that stands in the database, from a key on. */
  async *raw(first: Uint8Array | undefined): AsyncGenerator<RawEntry> {
    const turns = new Turns();
    for (let range: LmdbRange = { start: first };;) {
      this.#environment.refresh();
      const page: RawEntry[] = [];
      let bytes = 0;
      for (
        const raw of this.#entries.getRange({ ...range, limit: ENTRY_PAGE, versions: true })
      ) {
        page.push({ ...raw, value: asBytes(raw.value) });
        bytes += raw.value.length;
        if (bytes > PAGE_BYTES) break;
      }
      const last = page.at(-1);
      if (last === undefined) return;
      yield* page;
      range = { start: last.key, exclusiveStart: true };
      if (turns.due()) await turns.next();
    }
  }

  size(): Awaitable<number> {
    const now = this.#environment.refresh();
    let expired = 0;
    let due = 0;
    for (const { version } of this.#due(now)) {
      if (++due > PAGE) return this.prune().then(() => this.size());
      if (version !== undefined) expired++;
    }
    return this.#entries.getStats().entryCount - expired;
  }

  async clear(): Promise<void> {
    await Promise.all([
      this.#write(this.#entries.clearAsync()),
      this.#write(this.#deadlines.clearAsync()),
    ]);
  }

  /** Drops what has expired, or so much of it; how many. */
  async prune(limit = Infinity): Promise<number> {
    let count = 0;
    for (let looked = 0; looked < limit;) {
      const page: Due[] = [];
      for (const due of this.#due(this.#environment.refresh())) {
        if (page.push(due) === PAGE) break;
      }
      looked += page.length;
      const removals = page.map(async ({ deadlineKey, key, version }) => {
        const [removed] = await Promise.all([
          version !== undefined && this.#write(this.#entries.remove(key, version)),
          this.#write(this.#deadlines.remove(deadlineKey)),
        ]);
        if (removed) count++;
      });
      await Promise.all(removals);
      if (page.length < PAGE) break;
    }
    return count;
  }

  byteSize(): number {
    this.#environment.refresh();
    const databases = [this.#entries, this.#deadlines].map((database) => database.getStats());
    return databases.reduce(
      (sum, { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages }) =>
        sum + pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages),
      0,
    );
  }

  /** The record under an LMDB key, in memory that the next read writes to again. */
  read(lmdbKey: Uint8Array): Uint8Array | undefined {
    const buffer = this.#entries.getBinaryFast(lmdbKey);
    return buffer && asBytes(buffer);
  }

  /** Removes an entry if it still is of that version. */
  async remove({ key, version }: RawEntry): Promise<boolean> {
    return await this.#write(this.#entries.remove(key, version));
  }

  /** Whether an entry still is of that version. */
  isCurrent({ key, version }: RawEntry): boolean {
    this.#environment.refresh();
    return this.#stateOf(key)?.version === version;
  }

  /** Whether the index has the deadline. */
  isIndexed(expiresAt: number, lmdbKey: Uint8Array): boolean {
    return this.#deadlines.getBinaryFast(toDeadlineKey(expiresAt, lmdbKey)) !== undefined;
  }

  /** Adds the deadline to the index. */
  async index(expiresAt: number, lmdbKey: Uint8Array): Promise<void> {
    await this.#write(this.#deadlines.put(toDeadlineKey(expiresAt, lmdbKey), NOTHING));
  }

  /**
   * Version and deadline of what is under a key. Of what is damaged the deadline is not known: it
   * stays.
   */
  #stateOf(lmdbKey: Uint8Array): { version: number; expiresAt: number } | undefined {
    const record = this.read(lmdbKey);
    if (record === undefined) return undefined;
    const version = this.#environment.lastVersion();
    try {
      return { version, expiresAt: unpackRecord(lmdbKey, record).expiresAt };
    } catch (error) {
      if (error instanceof RecordError) return { version, expiresAt: Infinity };
      throw error;
    }
  }

  #write(done: Promise<boolean>): Promise<boolean> {
    this.#environment.wrote();
    return done;
  }

  #put(
    { lmdbKey, record, expiresAt }: PackedEntry,
    ifVersion?: number | null,
  ): Promise<boolean> {
    lastVersion = (lastVersion + STRIDE) % VERSIONS;
    const put = this.#write(this.#entries.put(lmdbKey, record, lastVersion, ifVersion));
    if (expiresAt === Infinity) return put;
    this.#timed++;
    // In the same commit. Where the condition fails, the index has a deadline too many, which does
    // no harm.
    return Promise.all([put, this.index(expiresAt, lmdbKey)]).then(([done]) => done);
  }

  async #tidy(): Promise<void> {
    if (this.#timed < TIMED_BETWEEN_PRUNES) return;
    this.#timed = 0;
    try {
      await this.prune(2 * TIMED_BETWEEN_PRUNES);
    } catch {
      // What the caller wrote is written: it must not look as if it were not. The next ones try
      // again.
      this.#timed = TIMED_BETWEEN_PRUNES;
    }
  }

  *#due(now: number): Generator<Due> {
    for (const deadlineKey of this.#deadlines.getKeys({ start: undefined })) {
      const [deadline, key] = readDeadlineKey(deadlineKey);
      if (deadline > now) return;
      const state = this.#stateOf(key);
      const expired = state !== undefined && Math.max(0, state.expiresAt) === deadline;
      yield { deadlineKey, key, version: expired ? state.version : undefined };
    }
  }

  #nextDeadline(): number {
    for (const deadlineKey of this.#deadlines.getKeys({ start: undefined, limit: 1 })) {
      return readDeadlineKey(deadlineKey)[0];
    }
    return Infinity;
  }
}

/** The part of a buffer of npm:lmdb that is filled: it has a `length` of its own. */
function asBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function startsWith(bytes: Uint8Array, first: Uint8Array | undefined): boolean {
  return first === undefined || first.every((byte, i) => byte === bytes[i]);
}

/** Reads a record; `key` is the text that it must have, when that is known. */
function unpack(lmdbKey: Uint8Array, record: Uint8Array, key?: string): LmdbRecord {
  try {
    const unpacked = unpackRecord(lmdbKey, record);
    if (key === undefined || unpacked.key === undefined || unpacked.key === key) return unpacked;
    throw new RecordError("another key is in its place");
  } catch (cause) {
    throw damaged(cause, key);
  }
}

function textOf(lmdbKey: Uint8Array): string | undefined {
  try {
    return textOfLmdbKey(lmdbKey);
  } catch (cause) {
    throw damaged(cause);
  }
}

function damaged(cause: unknown, key?: string): unknown {
  if (!(cause instanceof RecordError)) return cause;
  return new DecodeError(`Cannot read entry in engine "lmdb": ${cause.message}`, {
    engine: "lmdb",
    key,
    cause,
  });
}

function toEntry(
  { timestamp, expiresAt }: LmdbRecord,
  value: Uint8Array,
  revision: number,
): Entry {
  return {
    value,
    timestamp,
    expiresAt: expiresAt === Infinity ? undefined : expiresAt,
    revision,
  };
}
