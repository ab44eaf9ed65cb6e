/**
 * One table for each dbname in one SQLite file for each name.
 *
 * A table has the dbname as its name and the columns `key` (TEXT), `value`, `timestamp` and
 * `expires_at` (ms since the epoch; NULL: forever) and `revision` (a random mark of each write).
 * Values are BLOBs, so that any bytes go in and come out as they are; the `sqlite3` shell prints a
 * BLOB of JSON as JSON, and SQLite's JSON functions take it. Rows that were added by hand, with
 * `key` and a TEXT value alone, are entries like all others.
 *
 * @module
 */
import { dirname } from "node:path";
import type {
  Awaitable,
  Engine,
  EngineCheck,
  EngineLocation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { builtIn } from "../built_in.ts";
import type { SqliteEngineOptions } from "../engine_options.ts";
import { groupsOf } from "../each.ts";
import { guardStore } from "../guard.ts";
import { holdNames, type NamedPath, sharedNames } from "../names.ts";
import { checkOptionNames, choiceOption, type EngineOptions, modeOption } from "../options.ts";
import { sharedPath } from "../paths.ts";
import { checkTable } from "./check.ts";
import { DRIVER_CHOICES, type DriverChoice } from "./choice.ts";
import { DatabaseHandle } from "./database.ts";
import type { SqlConnection, SqlValue } from "./driver.ts";
import { checkSize, withoutGarbled } from "./format.ts";
import { isDiskFull } from "../file_failures.ts";
import { rewrite } from "./rescue.ts";
import { EntryTable } from "./store.ts";
import { explainSql, isDamaged, transact } from "./transaction.ts";
import { countRows } from "./usage.ts";
import { folderMode, makeFolder } from "../../platform/files.ts";
import { Turns } from "../../platform/timers.ts";

/** How many entries, and how many bytes of values, one transaction takes: some 100 ms. */
const BATCH = { entries: 5_000, bytes: 32 * 1024 * 1024, removed: 1_000 };
/** What a small row takes besides its value. */
const ROW = 200;
/** How many keys are read at once. */
const PAGE = 1_000;
/** How many values are. */
const FEW = 200;
/** How many pages are given back to the file system at once. */
const VACUUM_PAGES = 1_000;

class SqliteEngine implements Engine {
  readonly name = "sqlite";
  readonly path: string;
  readonly supports = { persistent: true, shared: true, guard: true, stores: true };
  readonly #database: DatabaseHandle<EntryTable>;
  readonly #names: readonly NamedPath[];
  readonly #mode: number;

  constructor(
    location: EngineLocation,
    path: string,
    choice: DriverChoice,
    mode: number,
    names: readonly NamedPath[],
  ) {
    this.path = path;
    this.#names = names;
    this.#mode = mode;
    const { dbname } = location;
    this.#database = new DatabaseHandle({
      path,
      choice,
      mode,
      makeFolder: () => makeFolder(dirname(path), folderMode(mode)),
      configure,
      prepare: (connection, isReadOnly) => new EntryTable(connection, dbname, isReadOnly),
    });
  }

  explain(error: unknown): string | undefined {
    return explainSql(error, this.path);
  }

  async open(): Promise<void> {
    await holdNames(this.#names, this.path, this.#mode);
    await this.#database.open();
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#database.run((table) => table.get(key));
  }

  has(key: string): Awaitable<boolean> {
    return this.#database.run((table) => table.has(key));
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    checkSize(key, entry);
    return this.#database.store(entry.value.byteLength, (table) => table.set(key, entry));
  }

  delete(key: string): Awaitable<boolean> {
    return this.#database.remove((table) => table.delete(key));
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    // Only an entry of this engine is a state of it.
    const revision = expected?.revision as SqlValue | undefined;
    if (next === undefined) {
      const remove = (table: EntryTable) =>
        revision === undefined ? !table.has(key) : table.remove(key, revision);
      return this.#database.remove(guard === undefined ? remove : this.#guarded(guard, remove));
    }
    checkSize(key, next);
    const put = (table: EntryTable) =>
      revision === undefined ? table.add(key, next) : table.replace(key, revision, next);
    return this.#database.store(
      next.value.byteLength,
      guard === undefined ? put : this.#guarded(guard, put),
    );
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    if (keys.length <= FEW) return this.#getFew(keys);
    return this.#getSlices(keys);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (const [key, entry] of pairs) checkSize(key, entry);
    const turns = new Turns();
    for (const group of groupsOf(pairs, BATCH.entries, BATCH.bytes, bytesOf)) {
      const bytes = group.reduce((sum, pair) => sum + bytesOf(pair), 0);
      await this.#database.store(
        bytes,
        (table) => transact(this.#database.connection, () => table.setMany(group)),
      );
      if (turns.due()) await turns.next();
    }
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#database.removeAll(BATCH.entries, (table, limit, start) => {
      const some = keys.slice(start, start + limit);
      return transact(this.#database.connection, () => ({
        taken: some.length,
        removed: some.filter((key) => table.delete(key)).length,
      }));
    });
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const removed = new Array<boolean>(entries.length).fill(false);
    await this.#database.removeAll(BATCH.removed, (table, limit, start) => {
      const some = entries.slice(start, start + limit);
      transact(this.#database.connection, () => {
        for (const [i, [key, { revision }]] of some.entries()) {
          removed[start + i] = table.remove(key, revision as SqlValue);
        }
      });
      return { taken: some.length, removed: 0 };
    });
    return removed;
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
    return this.#database.run((table) => table.size());
  }

  async clear(deep = false): Promise<void> {
    const makeAnew = () => this.#database.remove((table) => table.makeAnew(deep));
    if (await this.#database.run((table) => table.isDamaged(deep))) return await makeAnew();
    try {
      await this.#database.change((table) => table.clear(deep));
    } catch (error) {
      if (!isDamaged(error)) throw error;
      return await makeAnew();
    }
    await this.#giveBack();
  }

  async prune(): Promise<number> {
    const count = await this.#database.removeAll(PAGE, (table, limit) => {
      const removed = table.prune(limit);
      return { taken: removed, removed };
    });
    if (count > 0) await this.#giveBack();
    return count;
  }

  check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    return checkTable(this.#database, fix);
  }

  byteSize(): Awaitable<number> {
    return this.#database.run((table) => table.byteSize());
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    for (const { name, dbname } of await this.#database.run((table) => table.stores())) {
      const usage = counted
        ? await countRows((after, limit) =>
          this.#database.run((table) => table.countPage(name, after, limit))
        )
        : undefined;
      yield { dbname, usage };
    }
  }

  /** An action in one transaction with a look at the guard, without which it is not done. */
  #guarded(guard: Guard, action: (table: EntryTable) => boolean): (table: EntryTable) => boolean {
    const other = guardStore(SqliteEngine, guard).#database;
    const revision = guard.expected.revision as SqlValue;
    return (table) => {
      const { connection } = this.#database;
      // Where that is another one, the guard's file has been removed or replaced.
      if (other.connection !== connection) return false;
      return transact(connection, () => other.table.isAt(guard.key, revision) && action(table));
    };
  }

  #getFew(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#database.read((table) => keys.map((key) => table.get(key)));
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

  /**
   * The keys that begin with the prefix in their order, page by page: no statement is open while
   * the consumer thinks.
   */
  async *#pages(prefix: string): AsyncGenerator<string[]> {
    const turns = new Turns();
    if (await this.has(prefix)) yield [prefix];
    for (let after = prefix;;) {
      const { page, isLast } = await this.#database.run((table) => {
        const found = table.keys(prefix, after, PAGE);
        return {
          page: withoutGarbled(found, (key) => table.has(key)),
          isLast: found.length < PAGE,
        };
      });
      yield page;
      if (isLast) return;
      after = page[page.length - 1];
      if (turns.due()) await turns.next();
    }
  }

  /**
   * Gives the pages that are no longer used back to the file system, after what the caller wanted,
   * which is done: where that can't be, all stays as it is.
   */
  async #giveBack(): Promise<void> {
    try {
      await this.#database.removeAll(VACUUM_PAGES, (table, limit) => {
        const removed = table.giveBack(limit);
        return { taken: removed, removed };
      });
    } catch (error) {
      if (isDamaged(error)) await this.#replaceFreePages();
      else if (!isDiskFull(error)) throw error;
    }
  }

  /** Good pages in the place of free ones that are damaged, where the next set would need them. */
  async #replaceFreePages(): Promise<void> {
    try {
      await this.#database.remove(() => rewrite(this.#database.connection));
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }
}

/** About how many bytes an entry takes. */
function bytesOf([, { value }]: [string, NewEntry]): number {
  return value.byteLength + ROW;
}

/** Sets up a connection, and a file that is new. */
function configure(connection: SqlConnection, isReadOnly: boolean): void {
  const pragma = (text: string) => connection.prepare(`PRAGMA ${text}`).get()?.[0];
  if (isReadOnly) {
    pragma("schema_version"); // Whether it can be read.
    return;
  }
  if (pragma("page_count") === 0) connection.exec("PRAGMA auto_vacuum = INCREMENTAL");
  const journal = pragma("journal_mode") === "wal" ? "wal" : pragma("journal_mode = WAL");
  // On file systems without shared memory the journal stays as it was, and is safe only when
  // flushed each time.
  connection.exec(`PRAGMA synchronous = ${journal === "wal" ? "NORMAL" : "FULL"}`);
  connection.exec(`PRAGMA journal_size_limit = ${BATCH.bytes}`);
}

/**
 * Makes the engine "sqlite", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { sqlite } from "@hashstash/hashstash/engines/sqlite";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: sqlite,
 *   engineOptions: { driver: "node:sqlite" },
 *   rootDir: await Deno.makeTempDir(),
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // sqlite { any: "value" }
 * ```
 */
export function sqlite(location: EngineLocation, engineOptions: SqliteEngineOptions = {}): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames("sqlite", options, ["driver", "mode", "path"]);
  return new SqliteEngine(
    location,
    sharedPath("sqlite.db", location, options),
    choiceOption("sqlite", options, "driver", DRIVER_CHOICES) ?? "auto",
    modeOption("sqlite", options),
    sharedNames(location, options),
  );
}

builtIn("sqlite", sqlite);

export type {
  /** `engineOptions` of sqlite. */
  SqliteEngineOptions,
};
