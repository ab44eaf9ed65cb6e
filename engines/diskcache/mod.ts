/**
 * A directory of Python's DiskCache: both read and write it at the same time, each with its own
 * means.
 *
 * | Python | here |
 * |---|---|
 * | `bytes` | the stored bytes, small ones in the row, others in a file |
 * | `str`, `int`, `float` as a value | JSON of it, and JSON that says exactly that |
 * | a pickle as a value | there, and a `DecodeError` when read: reading it would run code |
 * | a pickle as a key | not there |
 * | `str`, `int`, `float`, `bytes` as a key | text, number or bigint, `Uint8Array` |
 *
 * It is always opened by `node:sqlite`: no other library is sure to take the quotes of Python's
 * triggers.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { whenReady } from "../../platform/awaitable.ts";
import { DecodeError } from "../../codec/errors.ts";
import { checkCache } from "./check.ts";
import {
  bytesOfRow,
  deadlineOf,
  fromSqlKey,
  keyRange,
  type NewRow,
  type NewValue,
  newValue,
  type Row,
  type SqlKey,
  timestampOf,
  toSqlKey,
} from "./format.ts";
import { look, MAX_BATCH, type NewFile, ValueFiles } from "./files.ts";
import {
  changeSettings,
  configureCache,
  DEFAULTS,
  EVICTION_POLICIES,
  makeCacheAnew,
  NO_LIMIT,
  readSettings,
  type SettingValues,
} from "./schema.ts";
import { CacheTable } from "./store.ts";
import type {
  Awaitable,
  DropListener,
  Engine,
  EngineCheck,
  EngineLocation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
  StoreUsage,
} from "../engine.ts";
import { messageOf } from "../errors.ts";
import { isDiskFull } from "../file_failures.ts";
import { builtIn } from "../built_in.ts";
import type { DiskcacheEngineOptions } from "../engine_options.ts";
import { guardStore } from "../guard.ts";
import { checkOptionNames, choiceOption, type EngineOptions, integerOption } from "../options.ts";
import { type NestedPlace, nestedStores } from "../nested.ts";
import { nestedFolder, pathOption, storePath } from "../paths.ts";
import { holdNames, type NamedPath, storeNames } from "../names.ts";
import { DatabaseHandle, type Step } from "../sqlite/database.ts";
import type { SqlValue } from "../sqlite/driver.ts";
import { countRows } from "../sqlite/usage.ts";
import { withoutGarbled } from "../sqlite/format.ts";
import { isSmallAndDamaged } from "../sqlite/rescue.ts";
import { explainSql, isDamaged, RefusedError, snapshot, transact } from "../sqlite/transaction.ts";
import { giveMode, makeFolderSync, statSync } from "../../platform/files.ts";
import { Turns } from "../../platform/timers.ts";

const NAME = "diskcache";
/** The file of the rows. */
const DATABASE = "cache.db";
/** How many keys are read at once. */
const PAGE = 1_000;
/** How many entries and bytes one transaction stores, and how many files it removes. */
const BATCH = { entries: 1_000, bytes: 32 * 1024 * 1024, removed: 100 };
/** What a small row takes besides its value. */
const ROW = 500;

/** An entry of another directory, as a rule, that a change depends on. */
interface CacheGuard {
  /** Whether it is in the state that is expected. */
  holds(): boolean;
  /** Does something while nobody writes to its directory. */
  whileLocked<R>(change: () => R): R;
}

class DiskcacheEngine implements Engine {
  readonly name = NAME;
  readonly path: string;
  readonly supports = {
    persistent: true,
    shared: true,
    guard: true,
    stores: true,
    // A text of JSON is one of SQLite, without quotes and escapes.
    ownForm: true,
  };
  readonly #files: ValueFiles;
  readonly #database: DatabaseHandle<CacheTable>;
  readonly #names: readonly NamedPath[];
  readonly #isPrivate: boolean;
  #onDrop: DropListener | undefined;
  #isSwept = false;

  constructor(
    path: string,
    changes: SettingValues,
    isPrivate: boolean,
    names: readonly NamedPath[] = [],
  ) {
    this.path = path;
    this.#names = names;
    this.#isPrivate = isPrivate;
    this.#files = new ValueFiles(path);
    this.#database = new DatabaseHandle({
      path: join(path, DATABASE),
      choice: "node:sqlite",
      makeFolder: () => this.#makeDirectory(),
      configure: configureCache,
      prepare: (connection, isReadOnly) => {
        // Of another directory at the same path, perhaps.
        this.#files.close();
        this.#isSwept = false;
        if (changes.size > 0 && !isReadOnly) {
          transact(connection, () => changeSettings(connection, changes));
        }
        const settings = readSettings(connection) ?? DEFAULTS;
        return new CacheTable(connection, settings, { evictions: this.evictions, isReadOnly });
      },
    });
  }

  get evictions(): number {
    return this.#database.table?.evictions ?? 0;
  }

  watchDrops(listener: DropListener): void {
    this.#onDrop = listener;
  }

  explain(error: unknown): string | undefined {
    return explainSql(error, join(this.path, DATABASE));
  }

  async open(): Promise<void> {
    if (look(join(this.path, "000", DATABASE)) !== undefined) {
      throw new RefusedError(
        `"${this.path}" is a FanoutCache of Python's DiskCache, whose entries are spread over the ` +
          `directories 000, 001, … in it; open one of these, or use another path`,
      );
    }
    const database = join(this.path, DATABASE);
    if (look(database)?.isFile === false) {
      throw new RefusedError(`"${database}" is a link or no file at all; move it away`);
    }
    await holdNames(this.#names, this.path, 0o600);
    await this.#database.open();
  }

  #makeDirectory(): void {
    if (look(this.path) !== undefined) return;
    // Of what is around the directory only its owner can do anything, as with other engines.
    if (this.#isPrivate) makeFolderSync(dirname(this.path), 0o700);
    makeFolderSync(this.path);
    const { mode } = statSync(this.path);
    // As Python makes it.
    if (mode !== null) giveMode(this.path, mode & 0o755);
  }

  async close(): Promise<void> {
    this.#files.close();
    await this.#database.close();
  }

  get(key: string): Awaitable<Entry | undefined> {
    const sqlKey = toSqlKey(key);
    return whenReady(this.#find([sqlKey]), ([row]) => row && this.#entry(sqlKey, row));
  }

  has(key: string): Awaitable<boolean> {
    const sqlKey = toSqlKey(key);
    return this.#database.run((table) => table.has(sqlKey, seconds()));
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    const sqlKey = toSqlKey(key);
    const done = this.#withRow(entry, (row) => this.#put(sqlKey, row));
    return done instanceof Promise ? done.then(() => undefined) : undefined;
  }

  delete(key: string): Awaitable<boolean> {
    const sqlKey = toSqlKey(key);
    return this.#change((table, garbage) => table.remove(sqlKey, seconds(), garbage));
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    const sqlKey = toSqlKey(key);
    // Only an entry of this engine is a state of it.
    const state = expected?.revision as Row | undefined;
    const other = guard && this.#guard(guard);
    const change = (row?: NewRow) =>
      this.#change(
        (table, garbage) => {
          const now = seconds();
          if (other?.holds() === false) return false;
          if (!isSame(table.find(sqlKey, now), state)) return false;
          if (row !== undefined) table.put([[sqlKey, row]], now, garbage);
          else table.remove(sqlKey, now, garbage);
          return true;
        },
        row && [row],
        other,
      );
    return next === undefined ? change() : this.#withRow(next, change);
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const sqlKeys = keys.map(toSqlKey);
    const rows = await this.#find(sqlKeys);
    const turns = new Turns();
    const entries = [];
    for (const [i, row] of rows.entries()) {
      entries.push(await (row && this.#listed(sqlKeys[i], row)));
      if (turns.due()) await turns.next();
    }
    return entries;
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    const turns = new Turns();
    for (const batch of this.#batches(pairs)) {
      await this.#setBatch(batch);
      if (turns.due()) await turns.next();
    }
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#removeAll(BATCH.entries, (table, garbage, limit, start) => {
      const sqlKeys = keys.slice(start, start + limit).map(toSqlKey);
      const now = seconds();
      const removed = sqlKeys.filter((key) => table.remove(key, now, garbage)).length;
      return { taken: sqlKeys.length, removed };
    });
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const removed = new Array<boolean>(entries.length).fill(false);
    await this.#removeAll(BATCH.removed, (table, garbage, limit, start) => {
      const some = entries.slice(start, start + limit);
      const now = seconds();
      for (const [i, [key, { revision }]] of some.entries()) {
        const sqlKey = toSqlKey(key);
        const isUnchanged = isSame(table.find(sqlKey, now), revision as Row);
        removed[start + i] = isUnchanged && table.remove(sqlKey, now, garbage);
      }
      return { taken: some.length, removed: 0 };
    });
    return removed;
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const page of this.#pages(prefix)) {
      for (const [key] of page) yield key;
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    const turns = new Turns();
    for await (const page of this.#pages(prefix)) {
      // One at a time: a page of large values could be more than the memory holds.
      for (const [key, sqlKey] of page) {
        const row = await this.#database.run((table) => table.find(sqlKey, seconds()));
        const entry = await (row && this.#listed(sqlKey, row));
        if (entry !== undefined) yield [key, entry];
        if (turns.due()) await turns.next();
      }
    }
  }

  size(): Awaitable<number> {
    return this.#database.run((table) => table.size(seconds()));
  }

  async clear(deep = false): Promise<void> {
    let isLeft: boolean;
    try {
      await this.#removeAll(BATCH.removed, (table, garbage, limit) => {
        const removed = table.removeSome(limit, garbage);
        return { taken: removed, removed };
      });
      isLeft = await this.#database.run(() => isSmallAndDamaged(this.#database.connection));
    } catch (error) {
      if (!isDamaged(error)) throw error;
      isLeft = true;
    }
    if (isLeft) {
      await this.#database.remove(() => makeCacheAnew(this.#database.connection));
      // No row is left that names the files.
      await this.check({ fix: true });
    }
    if (!deep) return;
    for (const { path } of this.#nested()) await inStore(path, (store) => store.clear());
  }

  prune(): Promise<number> {
    return this.#removeAll(BATCH.removed, (table, garbage, limit) => {
      const removed = table.removeExpired(seconds(), limit, garbage);
      return { taken: removed, removed };
    });
  }

  async check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    const report = await checkCache({
      directory: this.path,
      database: this.#database,
      files: this.#files,
      fix,
    });
    if (fix) await this.#database.run((table) => this.#sweep(table));
    return report;
  }

  byteSize(): Awaitable<number> {
    return this.#database.run((table) => table.volume());
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    yield { dbname: "", usage: counted ? await this.#usage() : undefined };
    for (const { path, dbname } of this.#nested()) {
      if (dbname === undefined) continue;
      const usage = counted ? await inStore(path, (store) => store.#usage()) : undefined;
      yield { dbname, usage };
    }
  }

  /** What the store holds. */
  #usage(): Promise<StoreUsage> {
    return countRows((after, limit) => {
      return this.#database.run((table) => table.count(after, seconds(), limit));
    });
  }

  /** Looks keys up, in one state of the directory, and notes that they were used. */
  #find(keys: SqlKey[]): Awaitable<(Row | undefined)[]> {
    return this.#database.run((table) => {
      const now = seconds();
      const find = () => keys.map((key) => table.find(key, now));
      const { connection } = this.#database;
      if (table.notesUse) {
        try {
          return transact(connection, () => {
            const rows = find();
            for (const [i, row] of rows.entries()) table.noteUse(keys[i], row !== undefined, now);
            return rows;
          });
        } catch (error) {
          // What is there can be read all the same.
          if (!isDiskFull(error)) throw error;
        }
      }
      return keys.length === 1 ? find() : snapshot(connection, find);
    });
  }

  /**
   * Changes rows in one transaction, and then removes the files that nothing refers to any more.
   *
   * @param stored The rows that are stored, unless something is only removed.
   * @param guard What the action depends on besides.
   */
  #change<R>(
    action: (table: CacheTable, garbage: string[]) => R,
    stored?: NewRow[],
    guard?: CacheGuard,
  ): Awaitable<R> {
    const change = (table: CacheTable) =>
      guard === undefined
        ? this.#transact(table, action)
        : guard.whileLocked(() => this.#transact(table, action));
    return stored === undefined
      ? this.#database.remove(change)
      : this.#database.store(bytesInRows(stored), change);
  }

  #guard(guard: Guard): CacheGuard {
    const database = guardStore(DiskcacheEngine, guard).#database;
    const sqlKey = toSqlKey(guard.key);
    const state = guard.expected.revision as Row;
    return {
      holds: () => isSame(database.table.find(sqlKey, seconds()), state),
      whileLocked: (change) =>
        database.connection === this.#database.connection
          ? change()
          : transact(database.connection, change),
    };
  }

  /** Removes rows step by step: see `removeAll` of the handle. */
  #removeAll(
    most: number,
    step: (table: CacheTable, garbage: string[], limit: number, start: number) => Step,
  ): Promise<number> {
    return this.#database.removeAll(most, (table, limit, start) => {
      return this.#transact(table, (table, garbage) => step(table, garbage, limit, start));
    });
  }

  #transact<R>(table: CacheTable, action: (table: CacheTable, garbage: string[]) => R): R {
    this.#sweep(table);
    const result = this.#files.removeAfter((leave) =>
      transact(this.#database.connection, () => {
        const garbage: string[] = [];
        table.dropped = [];
        const result = action(table, garbage);
        leave(garbage);
        return result;
      })
    );
    for (const [key, why] of table.dropped.splice(0)) this.#onDrop?.(fromSqlKey(key), why);
    return result;
  }

  /** The first to change something cleans up after those who were killed. */
  #sweep(table: CacheTable): void {
    if (this.#isSwept) return;
    this.#isSwept = true;
    this.#files.sweep((filenames) => table.named(filenames));
  }

  /**
   * Lets an action store an entry's row; a large value is in its file before. The action says
   * whether it did.
   */
  #withRow(
    entry: NewEntry,
    action: (row: NewRow) => Awaitable<boolean>,
  ): Awaitable<boolean> {
    const value = newValue(entry.value, this.#database.table.minFileSize);
    if ("inRow" in value) return action(newRow(entry, value));
    return this.#withFiles(1, async (write) => {
      return await action(newRow(entry, value, await write(value.inFile)));
    });
  }

  /**
   * Lets an action write up to `count` files and then rows that refer to them. Unless it says that
   * it did, the files go.
   */
  async #withFiles(
    count: number,
    action: (write: (value: Uint8Array) => Promise<string>) => Promise<boolean>,
  ): Promise<boolean> {
    const places = await this.#files.places(count);
    const files: NewFile[] = [];
    let stored = false;
    try {
      return stored = await action(async (value) => {
        const file = await this.#files.write(value);
        files.push(file);
        return file.filename;
      });
    } finally {
      for (const { filename, release } of files) {
        release();
        if (!stored) this.#files.remove(filename);
      }
      places[Symbol.dispose]();
    }
  }

  #put(key: SqlKey, row: NewRow): Awaitable<boolean> {
    const alone = this.#database.store(bytesInRows([row]), (table) => {
      this.#sweep(table);
      return row.filename === null && table.putAlone(key, row, seconds());
    });
    return whenReady(alone, (alone) => {
      return alone || this.#change((table, garbage) => {
        table.put([[key, row]], seconds(), garbage);
        return true;
      }, [row]);
    });
  }

  async #setBatch(pairs: [string, NewEntry][]): Promise<void> {
    const { minFileSize } = this.#database.table;
    const turns = new Turns();
    const large = pairs.filter(([, { value }]) => value.byteLength >= minFileSize).length;
    await this.#withFiles(large, async (write) => {
      const rows: [SqlKey, NewRow][] = [];
      for (const [key, entry] of pairs) {
        const value = newValue(entry.value, minFileSize);
        const filename = "inFile" in value ? await write(value.inFile) : null;
        rows.push([toSqlKey(key), newRow(entry, value, filename)]);
        if (turns.due()) await turns.next();
      }
      const put = (table: CacheTable, garbage: string[]) => table.put(rows, seconds(), garbage);
      await this.#change(put, rows.map(([, row]) => row));
      return true;
    });
  }

  /** As many pairs at once as one transaction takes. */
  *#batches(pairs: [string, NewEntry][]): Generator<[string, NewEntry][]> {
    const { minFileSize } = this.#database.table;
    let batch: [string, NewEntry][] = [];
    let files = 0;
    let bytes = 0;
    for (const pair of pairs) {
      const { byteLength } = pair[1].value;
      batch.push(pair);
      bytes += byteLength;
      if (byteLength >= minFileSize) files++;
      if (batch.length < BATCH.entries && files < MAX_BATCH && bytes < BATCH.bytes) continue;
      yield batch;
      batch = [];
      files = bytes = 0;
    }
    if (batch.length > 0) yield batch;
  }

  /**
   * The keys that begin with the prefix, page by page: no statement is open while the consumer
   * thinks.
   */
  async *#pages(prefix: string): AsyncGenerator<[string, SqlKey][]> {
    const turns = new Turns();
    const range = keyRange(prefix);
    let after: SqlKey | undefined;
    for (;;) {
      const { page, isLast } = await this.#database.run((table) => {
        const found = table.keys({ ...range, after }, seconds(), PAGE);
        const has = (key: SqlKey) => table.has(key, seconds());
        return { page: withoutGarbled(found, has), isLast: found.length < PAGE };
      });
      yield page.flatMap((sqlKey): [string, SqlKey][] => {
        const key = fromSqlKey(sqlKey);
        return key.startsWith(prefix) ? [[key, sqlKey]] : [];
      });
      if (isLast) return;
      after = page[page.length - 1];
      if (turns.due()) await turns.next();
    }
  }

  #entry(key: SqlKey, row: Row): Awaitable<Entry | undefined> {
    const bytes = bytesOfRow(row, this.#files);
    if (bytes instanceof Uint8Array) return toEntry(row, bytes);
    return whenReady(bytes, (bytes) => {
      return bytes === undefined ? this.#entryAgain(key, row) : toEntry(row, bytes);
    });
  }

  /** The entry of a row that is read with others: what is damaged has its key in the error. */
  async #listed(key: SqlKey, row: Row): Promise<Entry | undefined> {
    try {
      return await this.#entry(key, row);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      throw new DecodeError(error.message, {
        cause: error.cause,
        key: fromSqlKey(key),
        kind: error.kind,
      });
    }
  }

  /** The entry of a row whose file is gone: replaced or removed meanwhile, as a rule. */
  async #entryAgain(key: SqlKey, gone: Row): Promise<Entry | undefined> {
    for (let before = gone;;) {
      const row = await this.#database.run((table) => table.find(key, seconds()));
      if (row === undefined) return undefined;
      if (row.filename === before.filename) {
        throw new DecodeError(`Its file "${row.filename}" is missing`);
      }
      const bytes = await bytesOfRow(row, this.#files);
      if (bytes !== undefined) return toEntry(row, bytes);
      before = row;
    }
  }

  /** The directories of the stores nested in this one. */
  *#nested(): Generator<NestedPlace> {
    const folder = nestedFolder(this.path);
    if (!look(folder)?.isDirectory) return;
    yield* nestedStores(folder, "", (path, { isDirectory }) => {
      return isDirectory && look(join(path, DATABASE))?.isFile === true;
    });
  }
}

/** Does something with another directory. */
async function inStore<T>(
  path: string,
  action: (store: DiskcacheEngine) => Awaitable<T>,
): Promise<T> {
  const store = new DiskcacheEngine(path, new Map(), false);
  try {
    await store.open();
    try {
      return await action(store);
    } finally {
      await store.close();
    }
  } catch (cause) {
    // It is that directory that the message is to name.
    throw new RefusedError(store.explain(cause) ?? messageOf(cause), { cause });
  }
}

function newRow(
  { timestamp, expiresAt, tag }: NewEntry,
  value: NewValue,
  filename: string | null = null,
): NewRow {
  return {
    storeTime: timestamp / 1_000,
    expireTime: expiresAt === undefined ? null : expiresAt / 1_000,
    size: "inFile" in value ? value.inFile.byteLength : 0,
    mode: value.mode,
    filename,
    value: "inRow" in value ? value.inRow : null,
    // Another text would come back as another one.
    tag: tag?.isWellFormed() && !tag.includes("\0") ? tag : null,
  };
}

/** About how many bytes rows take in the database. */
function bytesInRows(rows: NewRow[]): number {
  return rows.reduce(
    (sum, { value }) =>
      sum + ROW + (value instanceof Uint8Array || typeof value === "string" ? value.length : 0),
    0,
  );
}

function toEntry(row: Row, value: Uint8Array): Entry {
  const { storeTime, expireTime } = row;
  return {
    value,
    timestamp: storeTime === null ? undefined : timestampOf(storeTime),
    expiresAt: expireTime === null ? undefined : deadlineOf(expireTime),
    revision: row,
  };
}

/** Whether a row is still what it was. Files have names that never come again. */
function isSame(row: Row | undefined, before: Row | undefined): boolean {
  if (row === undefined || before === undefined) return row === before;
  return row.storeTime === before.storeTime &&
    row.expireTime === before.expireTime && row.mode === before.mode &&
    row.filename === before.filename && row.isText === before.isText &&
    isSameValue(row.value, before.value);
}

function isSameValue(value: SqlValue, before: SqlValue): boolean {
  if (!(value instanceof Uint8Array && before instanceof Uint8Array)) return value === before;
  return value.byteLength === before.byteLength && value.every((byte, i) => byte === before[i]);
}

/** The time as Python counts it. */
function seconds(): number {
  return Date.now() / 1_000;
}

/**
 * Makes the engine "diskcache", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { diskcache } from "@hashstash/hashstash/engines/diskcache";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: diskcache,
 *   engineOptions: { sizeLimit: 100_000_000 },
 *   rootDir: await Deno.makeTempDir(),
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // diskcache { any: "value" }
 * ```
 */
export function diskcache(
  location: EngineLocation,
  engineOptions: DiskcacheEngineOptions = {},
): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames(NAME, options, [
    "path",
    "sizeLimit",
    "cullLimit",
    "evictionPolicy",
    "minFileSize",
  ]);
  const changes = new Map<string, SqlValue>();
  const limit = integerOption(NAME, options, "sizeLimit");
  if (options.sizeLimit !== undefined) {
    changes.set("size_limit", limit === undefined ? NO_LIMIT : BigInt(limit));
  }
  const cullLimit = integerOption(NAME, options, "cullLimit", 0);
  if (cullLimit !== undefined) changes.set("cull_limit", BigInt(cullLimit));
  const minFileSize = integerOption(NAME, options, "minFileSize", 0);
  if (minFileSize !== undefined) changes.set("disk_min_file_size", BigInt(minFileSize));
  const policy = choiceOption(NAME, options, "evictionPolicy", EVICTION_POLICIES);
  if (policy !== undefined) changes.set("eviction_policy", policy);
  const isPrivate = pathOption(options) === undefined;
  const names = storeNames(NAME, location, options);
  return new DiskcacheEngine(storePath(NAME, location, options), changes, isPrivate, names);
}

builtIn("diskcache", diskcache);

export type {
  /** `engineOptions` of diskcache. */
  DiskcacheEngineOptions,
};
