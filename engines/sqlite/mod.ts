/**
 * One table for each dbname in one SQLite file for each name.
 *
 * A table has the dbname as its name and the columns `key` (TEXT), `value`, `timestamp` and
 * `expires_at` (ms since the epoch; NULL: forever) and `revision` (a random mark of each write).
 * Values are BLOBs, so that any bytes go in and come out as they are; the `sqlite3` shell prints a
 * BLOB of JSON as JSON, and SQLite's JSON functions take it. Rows that were added by hand, with
 * `key` and a TEXT value alone, are entries like all others.
 */
import { DecodeError } from "../../codec/errors.ts";
import type { Awaitable, Engine, EngineCheck, EngineLocation, Entry, NewEntry } from "../engine.ts";
import { checkOptionNames, choiceOption, type EngineOptions } from "../options.ts";
import { sharedPath } from "../paths.ts";
import type { Hold } from "../shared.ts";
import { DRIVER_CHOICES, type DriverChoice, type OpenDatabase, openDatabase } from "./database.ts";
import type { SqlConnection, SqlStatement, SqlValue } from "./driver.ts";
import { integrityProblems, unlessDamaged } from "./integrity.ts";
import { attempt, snapshot, transact } from "./runner.ts";
import { firstAfter } from "./text.ts";
import { nestedTables, openTable, tableName, tableQueries } from "./table.ts";
import { Turns } from "../../platform/timers.ts";

/** SQLite's limit for a row, less what is in it besides the value. */
const MAX_BYTES = 1_000_000_000 - 1_000;
/** How many entries, and how many bytes of values, one transaction takes: some 100 ms. */
const BATCH_ENTRIES = 5_000;
const BATCH_BYTES = 32 * 1024 * 1024;
/** How many keys are read at once. */
const PAGE = 1_000;
/** How many values are. */
const FEW = 200;
/** How many pages are given back to the file system at once. */
const VACUUM_PAGES = 1_000;
/** What `PRAGMA auto_vacuum` answers for a file that can be shortened. */
const INCREMENTAL = 2;

const encoder = new TextEncoder();

class SqliteEngine implements Engine {
  readonly name = "sqlite";
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #owner;
  readonly #choice: DriverChoice;
  readonly #table: string;
  readonly #queries;
  readonly #statements = new Map<string, SqlStatement>();
  #hold: Hold<OpenDatabase> | undefined;

  constructor(location: EngineLocation, path: string, choice: DriverChoice) {
    this.path = path;
    this.#owner = { engine: this.name, path };
    this.#choice = choice;
    this.#table = tableName(location.dbname);
    this.#queries = tableQueries(this.#table);
  }

  async open(): Promise<void> {
    if (this.#hold !== undefined) return;
    const hold = await openDatabase(this.#owner, this.#choice, configure);
    try {
      await this.#attempt("open", () => openTable(hold.resource.connection, this.#table));
    } catch (error) {
      await hold.release();
      throw error;
    }
    this.#hold = hold;
  }

  async close(): Promise<void> {
    const hold = this.#hold;
    this.#hold = undefined;
    this.#statements.clear();
    await hold?.release();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#attempt("get", () => this.#get(key));
  }

  has(key: string): Awaitable<boolean> {
    return this.#attempt("has", () => this.#has(key));
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    checkSize(key, entry);
    return this.#attempt("set", () => void this.#put(this.#queries.set, key, entry));
  }

  delete(key: string): Awaitable<boolean> {
    return this.#attempt("delete", () => this.#run(this.#queries.delete, key, Date.now()) > 0);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Awaitable<boolean> {
    if (next !== undefined) checkSize(key, next);
    return this.#attempt("compareAndSet", () => {
      const now = Date.now();
      if (expected === undefined) {
        return next === undefined
          ? !this.#has(key)
          : this.#put(this.#queries.add, key, next, now) > 0;
      }
      // Only an entry of this engine is a state of it.
      const revision = expected.revision as SqlValue;
      return next === undefined
        ? this.#run(this.#queries.remove, key, revision, now) > 0
        : this.#put(this.#queries.replace, key, next, revision, now) > 0;
    });
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    if (keys.length <= FEW) return this.#getFew(keys);
    return this.#getSlices(keys);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (const [key, entry] of pairs) checkSize(key, entry);
    const weigh = ([, { value }]: [string, NewEntry]) => value.byteLength;
    await this.#batches("setMany", pairs, weigh, ([key, entry]) => {
      return this.#put(this.#queries.set, key, entry);
    });
  }

  deleteMany(keys: string[]): Promise<number> {
    const now = Date.now();
    const weigh = () => 0;
    return this.#batches("deleteMany", keys, weigh, (key) => {
      return this.#run(this.#queries.delete, key, now);
    });
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const page of this.#pages(prefix)) yield* page;
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    const turns = new Turns();
    for await (const page of this.#pages(prefix)) {
      // One at a time: a page of large values could be more than the memory holds.
      for (const key of page) {
        const entry = await this.get(key);
        if (entry !== undefined) yield [key, entry];
        if (turns.due()) await turns.next();
      }
    }
  }

  size(): Awaitable<number> {
    return this.#attempt("size", () => this.#number(this.#queries.size, Date.now()));
  }

  async clear(deep = false): Promise<void> {
    await this.#attempt("clear", () =>
      transact(this.#connection, () => {
        this.#run(this.#queries.clear);
        if (!deep) return;
        for (const table of nestedTables(this.#connection, this.#table)) {
          this.#connection.exec(tableQueries(table).clear);
        }
      }));
    await this.#giveBack();
  }

  async prune(): Promise<number> {
    const turns = new Turns();
    let count = 0;
    for (let pruned = PAGE; pruned === PAGE;) {
      pruned = await this.#attempt(
        "prune",
        () => this.#run(this.#queries.prune, Date.now(), PAGE),
      );
      count += pruned;
      if (turns.due()) await turns.next();
    }
    if (count > 0) await this.#giveBack();
    return count;
  }

  async check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    const attempt = <T>(action: () => T) => this.#attempt("check", action);
    const reindex = fix ? this.#queries.reindex : undefined;
    const problems = await integrityProblems(attempt, this.#connection, reindex);
    const count = await attempt(() => unlessDamaged(() => this.#number(this.#queries.count)));
    return { checked: typeof count === "number" ? count : 0, problems };
  }

  byteSize(): Awaitable<number> {
    return this.#attempt("byteSize", () => {
      try {
        return this.#number(this.#queries.bytes, this.#table);
      } catch (error) {
        // A library may be built without the table of page sizes.
        if (!String(error).includes("no such table: dbstat")) throw error;
        return this.#number("PRAGMA page_count") * this.#number("PRAGMA page_size");
      }
    });
  }

  get #connection(): SqlConnection {
    if (this.#hold === undefined) throw new TypeError('Engine "sqlite" is not open');
    return this.#hold.resource.connection;
  }

  #attempt<T>(operation: string, action: () => T): Awaitable<T> {
    return attempt(this.#owner, operation, action);
  }

  #statement(sql: string): SqlStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      this.#statements.set(sql, statement = this.#connection.prepare(sql));
    }
    return statement;
  }

  #run(sql: string, ...params: SqlValue[]): number {
    return this.#statement(sql).run(...params);
  }

  #put(sql: string, key: string, entry: NewEntry, ...more: SqlValue[]): number {
    const { value, timestamp, expiresAt = null } = entry;
    return this.#statement(sql).run(key, value, timestamp, expiresAt, ...more);
  }

  #number(sql: string, ...params: SqlValue[]): number {
    return Number(this.#statement(sql).get(...params)?.[0]);
  }

  #get(key: string): Entry | undefined {
    const row = this.#statement(this.#queries.get).get(key, Date.now());
    return row && toEntry(key, row);
  }

  #getFew(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#attempt(
      "getMany",
      () => snapshot(this.#connection, () => keys.map((key) => this.#get(key))),
    );
  }

  async #getSlices(keys: string[]): Promise<(Entry | undefined)[]> {
    const turns = new Turns();
    const entries: (Entry | undefined)[] = [];
    for (let start = 0; start < keys.length; start += FEW) {
      entries.push(...await this.#getFew(keys.slice(start, start + FEW)));
      if (turns.due()) await turns.next();
    }
    return entries;
  }

  #has(key: string): boolean {
    return this.#statement(this.#queries.has).get(key, Date.now()) !== undefined;
  }

  /**
   * Changes something for each item, in as few transactions as the event loop can bear; the number
   * of rows changed.
   */
  async #batches<T>(
    operation: string,
    items: T[],
    weigh: (item: T) => number,
    change: (item: T) => number,
  ): Promise<number> {
    const turns = new Turns();
    let count = 0;
    for (let start = 0, end = 0; start < items.length; start = end) {
      for (let bytes = 0; end < items.length && end - start < BATCH_ENTRIES; end++) {
        if ((bytes += weigh(items[end])) > BATCH_BYTES && end > start) break;
      }
      count += await this.#attempt(operation, () =>
        transact(this.#connection, () => {
          let changed = 0;
          for (let i = start; i < end; i++) changed += change(items[i]);
          return changed;
        }));
      if (turns.due()) await turns.next();
    }
    return count;
  }

  /**
   * The keys that begin with the prefix in their order, page by page: no statement is open while
   * the consumer thinks.
   */
  async *#pages(prefix: string): AsyncGenerator<string[]> {
    const turns = new Turns();
    const end = firstAfter(prefix);
    if (await this.has(prefix)) yield [prefix];
    for (let after = prefix;;) {
      const rows = await this.#attempt(
        "keys",
        () => this.#statement(this.#queries.keys).all(after, end, Date.now(), PAGE),
      );
      const page = rows.map(([key]) => String(key));
      yield page;
      if (page.length < PAGE) return;
      after = page[PAGE - 1];
      if (turns.due()) await turns.next();
    }
  }

  /** Gives the pages that are no longer used back to the file system. */
  async #giveBack(): Promise<void> {
    const turns = new Turns();
    while (await this.#attempt("prune", () => this.#giveBackSome())) {
      if (turns.due()) await turns.next();
    }
  }

  #giveBackSome(): boolean {
    // Files of other programs may be without what it takes.
    if (this.#number("PRAGMA auto_vacuum") !== INCREMENTAL) return false;
    const free = this.#number("PRAGMA freelist_count");
    if (free > 0) this.#statement(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`).all();
    return free > VACUUM_PAGES;
  }
}

function checkSize(key: string, { value }: NewEntry): void {
  if (key.length + value.byteLength <= MAX_BYTES) return;
  throw new RangeError(
    `Cannot set entry in engine "sqlite": its value has ${value.byteLength} bytes, and SQLite takes ` +
      `${MAX_BYTES} at most; split it or use another engine`,
  );
}

function toEntry(key: string, [value, timestamp, expiresAt, revision]: SqlValue[]): Entry {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  if (!(bytes instanceof Uint8Array)) {
    throw new DecodeError(`The type of its value is ${typeof value}, not bytes or text`, {
      engine: "sqlite",
      key,
    });
  }
  const entry = { value: bytes, timestamp: Number(timestamp), revision };
  return expiresAt === null ? entry : { ...entry, expiresAt: Number(expiresAt) };
}

/** Sets up a connection, and a file that is new. */
function configure(connection: SqlConnection): void {
  const pragma = (text: string) => connection.prepare(`PRAGMA ${text}`).get()?.[0];
  if (pragma("page_count") === 0) connection.exec("PRAGMA auto_vacuum = INCREMENTAL");
  const journal = pragma("journal_mode") === "wal" ? "wal" : pragma("journal_mode = WAL");
  // On file systems without shared memory the journal stays as it was, and is safe only when
  // flushed each time.
  connection.exec(`PRAGMA synchronous = ${journal === "wal" ? "NORMAL" : "FULL"}`);
  connection.exec(`PRAGMA journal_size_limit = ${BATCH_BYTES}`);
}

/** Makes the engine "sqlite". */
export function sqlite(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames("sqlite", options, ["driver", "path"]);
  return new SqliteEngine(
    location,
    sharedPath("sqlite.db", location, options),
    choiceOption("sqlite", options, "driver", DRIVER_CHOICES) ?? "auto",
  );
}
