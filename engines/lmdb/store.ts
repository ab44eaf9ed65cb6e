/** How entries are kept in LMDB: reading, writing and listing records of one dbname. */
import type { Awaitable, StoreUsage } from "../engine.ts";
import type { LmdbDatabase, LmdbDatabases, LmdbEnvironment, LmdbRange } from "./environment.ts";
import {
  type PackedEntry,
  readDeadlineKey,
  RecordError,
  textOfLmdbKey,
  toDeadlineKey,
  unpackRecord,
} from "./format.ts";
import type { Need } from "./room.ts";
import { Tally, utf8Length } from "../tally.ts";
import { Turns } from "../../platform/timers.ts";

/** How many entries are read at once, and about how many bytes of them. */
const ENTRY_PAGE = 128;
const PAGE_BYTES = 1024 * 1024;
/** How many deadlines are looked at, and entries dropped, at once. */
export const DUE_PAGE = 1_000;

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

/** What is known of an entry without reading its value. */
export interface EntryState {
  readonly version: number;
  /** Of what is damaged the deadline is not known: it stays. */
  readonly expiresAt: number;
}

/** What is due in the index. */
interface Due {
  readonly deadlineKey: Uint8Array;
  readonly key: Uint8Array;
  /** The version of the entry that has expired; `undefined`: it has been replaced. */
  readonly version: number | undefined;
}

/** The entries of one dbname, and the index of their deadlines. */
export class LmdbStore {
  readonly #environment: LmdbEnvironment;
  readonly #entries: LmdbDatabase;
  readonly #deadlines: LmdbDatabase;

  constructor(environment: LmdbEnvironment, { entries, deadlines }: LmdbDatabases) {
    this.#environment = environment;
    this.#entries = entries;
    this.#deadlines = deadlines;
  }

  /** Does something that writes and takes so much, while no other process writes. */
  write<T>(action: () => Awaitable<T>, need: Need): Promise<T> {
    return this.#environment.write(action, need);
  }

  /**
   * The record under an LMDB key, for `unpackRecord`: in memory that the next read writes to again,
   * with a `length` of its own.
   */
  read(lmdbKey: Uint8Array): Uint8Array | undefined {
    return this.#environment.read(this.#entries, lmdbKey);
  }

  /** The version of the record that was read last. */
  get version(): number {
    return this.#environment.lastVersion;
  }

  /** Version and deadline of what is under a key. */
  stateOf(lmdbKey: Uint8Array): EntryState | undefined {
    const record = this.read(lmdbKey);
    if (record === undefined) return undefined;
    const { version } = this;
    try {
      return { version, expiresAt: unpackRecord(lmdbKey, record).expiresAt };
    } catch (error) {
      if (error instanceof RecordError) return { version, expiresAt: Infinity };
      throw error;
    }
  }

  /**
   * Stores an entry; with a condition, only in the place of that version, `null` for nothing. To be
   * called in `write`, as all that writes.
   */
  put(
    { lmdbKey, record, expiresAt }: PackedEntry,
    ifVersion?: number | null,
  ): Promise<boolean> {
    lastVersion = (lastVersion + STRIDE) % VERSIONS;
    const put = this.#environment.committed(
      this.#entries.put(lmdbKey, record, lastVersion, ifVersion),
    );
    if (expiresAt === Infinity) return put;
    // In the same commit. Where the condition fails, the index has a deadline too many, which does
    // no harm.
    return Promise.all([put, this.index(expiresAt, lmdbKey)]).then(([done]) => done);
  }

  /** Removes an entry if it still is of that version. */
  remove(lmdbKey: Uint8Array, version: number): Promise<boolean> {
    return this.#environment.committed(this.#entries.remove(lmdbKey, version));
  }

  /**
   * Writes if an entry here has this version, `null` for absent, and one of another store still that
   * in which it is expected: all in one commit. Whether it did.
   */
  async writeIf(
    { lmdbKey, version }: { lmdbKey: Uint8Array; version: number | null },
    guard: { store: LmdbStore; lmdbKey: Uint8Array; version: number },
    write: () => Promise<unknown>,
  ): Promise<boolean> {
    const { store } = guard;
    // Of another environment: what one of them is in is not at its path any more.
    if (store.#environment !== this.#environment) return false;
    const parts: Promise<unknown>[] = [];
    let done = Promise.resolve(false);
    const outer = this.#entries.ifVersion(lmdbKey, version, () => {
      done = this.#environment.committed(
        store.#entries.ifVersion(guard.lmdbKey, guard.version, () => parts.push(write())),
      );
    });
    await Promise.all([this.#environment.committed(outer), done, ...parts]);
    return await done;
  }

  /** The keys in a range, and from when on one of all that the store has may have expired. */
  keys(range: LmdbRange): { page: Uint8Array[]; deadline: number } {
    this.#environment.refresh();
    const page = [...this.#entries.getKeys(range)];
    for (const first of this.#deadlines.getKeys({ start: undefined, limit: 1 })) {
      return { page, deadline: readDeadlineKey(first)[0] };
    }
    return { page, deadline: Infinity };
  }

  /** All that stands in the database, from a key on. */
  async *raw(first?: Uint8Array): AsyncGenerator<RawEntry> {
    for await (const page of this.#pages(first)) yield* page;
  }

  /** All that stands in the database, and whether it is found by its key, which a page leads to. */
  async *lookedUp(): AsyncGenerator<RawEntry & { isFound: boolean }> {
    for await (const page of this.#pages()) {
      // In the state in which they were listed, which npm:lmdb shows for the rest of this turn.
      const found = page.map(({ key, version }) =>
        this.#entries.getBinaryFast(key) !== undefined && this.version === version
      );
      for (const [i, raw] of page.entries()) yield { ...raw, isFound: found[i] };
    }
  }

  async *#pages(first?: Uint8Array): AsyncGenerator<RawEntry[]> {
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
      yield page;
      range = { start: last.key, exclusiveStart: true };
      if (turns.due()) await turns.next();
    }
  }

  /**
   * How many live entries there are; `undefined` when so many have expired that it takes long, and
   * they can be dropped first.
   */
  size(): number | undefined {
    let expired = 0;
    let due = 0;
    for (const { version } of this.#due()) {
      if (++due > DUE_PAGE && !this.#environment.isOnlyRead) return undefined;
      if (version !== undefined) expired++;
    }
    return this.#entries.getStats().entryCount - expired;
  }

  /** Bytes of the pages that the store takes. */
  byteSize(): number {
    this.#environment.refresh();
    const databases = [this.#entries, this.#deadlines].map((database) => database.getStats());
    return databases.reduce(
      (sum, { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages }) =>
        sum + pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages),
      0,
    );
  }

  /** What it holds: looks at every entry. */
  async usage(): Promise<StoreUsage> {
    const tally = new Tally();
    for await (const { key, value } of this.raw()) {
      try {
        const { timestamp, expiresAt, body, start, key: text = textOfLmdbKey(key) ?? "" } =
          unpackRecord(key, value);
        if (Date.now() < expiresAt) tally.add(utf8Length(text) + body.length - start, timestamp);
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        // It is listed, as a rule, and nobody knows how much of it there is.
        tally.add(key.length);
      }
    }
    return tally.usage;
  }

  /** Removes all entries. */
  async clear(): Promise<void> {
    await Promise.all([
      this.#environment.committed(this.#entries.clearAsync()),
      this.#environment.committed(this.#deadlines.clearAsync()),
    ]);
  }

  /**
   * Drops some of what has expired; how many deadlines it looked at, and what it removed.
   *
   * @param limit The most of them.
   */
  async prune(limit = DUE_PAGE): Promise<{ looked: number; removed: number }> {
    const page: Due[] = [];
    for (const due of this.#due()) if (page.push(due) === limit) break;
    const removals = page.map(async ({ deadlineKey, key, version }) => {
      const [removed] = await Promise.all([
        version !== undefined && this.remove(key, version),
        this.#environment.committed(this.#deadlines.remove(deadlineKey)),
      ]);
      return removed;
    });
    const removed = (await Promise.all(removals)).filter((was) => was).length;
    return { looked: page.length, removed };
  }

  /** How many bytes `prune` removes at most. */
  dueBytes(limit: number): number {
    let bytes = 0;
    for (const { key, version } of this.#due()) {
      if (version !== undefined) bytes += this.lengthOf(key);
      if (--limit === 0) break;
    }
    return bytes;
  }

  /** How long the record under a key is. */
  lengthOf(lmdbKey: Uint8Array): number {
    return this.read(lmdbKey)?.length ?? 0;
  }

  /** Whether the index has the deadline. */
  isIndexed(expiresAt: number, lmdbKey: Uint8Array): boolean {
    const deadlineKey = toDeadlineKey(expiresAt, lmdbKey);
    return this.#environment.read(this.#deadlines, deadlineKey) !== undefined;
  }

  /**
   * Adds the deadline to the index. It says where to look, the entry itself what holds: replaced
   * entries leave theirs behind, until it is due.
   */
  index(expiresAt: number, lmdbKey: Uint8Array): Promise<boolean> {
    return this.#environment.committed(
      this.#deadlines.put(toDeadlineKey(expiresAt, lmdbKey), NOTHING),
    );
  }

  *#due(): Generator<Due> {
    this.#environment.refresh();
    const now = Date.now();
    for (const deadlineKey of this.#deadlines.getKeys({ start: undefined })) {
      const [deadline, key] = readDeadlineKey(deadlineKey);
      if (deadline > now) return;
      // LMDB takes no key of no bytes: such a deadline belongs to nothing.
      const state = key.length === 0 ? undefined : this.stateOf(key);
      const expired = state !== undefined && Math.max(0, state.expiresAt) === deadline;
      yield { deadlineKey, key, version: expired ? state.version : undefined };
    }
  }
}

/** The part of a buffer of npm:lmdb that is filled: it has a `length` of its own. */
function asBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
