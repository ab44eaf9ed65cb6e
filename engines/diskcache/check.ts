import { join } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import type { Awaitable, EngineCheck, EngineProblem } from "../engine.ts";
import { look, type ValueFiles } from "./files.ts";
import { fromSqlKey, MODE } from "./format.ts";
import { type CacheTable, KEY, keyOf } from "./store.ts";
import type { DatabaseHandle } from "../sqlite/database.ts";
import type { SqlConnection, SqlValue } from "../sqlite/driver.ts";
import { integrityProblems, textOf } from "../sqlite/check.ts";
import { unlessDamaged } from "../sqlite/transaction.ts";
import { errorCode } from "../../platform/errors.ts";
import { type FolderEntry, readFolderSync } from "../../platform/files.ts";
import { delay, Turns } from "../../platform/timers.ts";

/** How many rows are looked at without a break. */
const PAGE = 500;
/**
 * How long a writer may take from its file to its row before the file counts as left behind, ms;
 * ours lock theirs besides.
 */
const GRACE = 100;

const COLUMNS = "rowid, raw, mode, size, filename, " +
  "CASE WHEN typeof(key) = 'text' AND key GLOB '*[^' || char(1) || '-~]*' " +
  `THEN CAST(key AS BLOB) END, ${KEY}`;
const COUNTERS = {
  count: "SELECT count(*) FROM Cache",
  size: "SELECT coalesce(sum(size), 0) FROM Cache",
};

/** A directory to check. */
interface CheckedCache {
  readonly directory: string;
  readonly database: DatabaseHandle<CacheTable>;
  readonly files: ValueFiles;
  readonly fix: boolean;
}

/** What is wrong with a row. */
interface Fault {
  readonly kind: "damaged" | "foreign";
  readonly detail: string;
}

/**
 * Looks at database, rows, files and counters. Repaired: indexes and counters; removed: rows whose
 * value is damaged or gone, and what crashed writers left. What others made stays: other programs'
 * files are ignored, and pickles are named, because they are entries that cannot be read.
 */
export async function checkCache(cache: CheckedCache): Promise<EngineCheck> {
  const { database, fix } = cache;
  const reindex = () => database.connection.exec("REINDEX");
  const problems = await integrityProblems(database, fix ? reindex : undefined);
  const check = new CacheCheck(cache, problems);
  await check.run();
  return { checked: check.checked, problems };
}

class CacheCheck {
  checked = 0;
  readonly #cache: CheckedCache;
  readonly #problems: EngineProblem[];
  readonly #turns = new Turns();
  /** Value files that no row names, as far as is known. */
  readonly #unnamed = new Set<string>();
  readonly #emptyFolders: string[] = [];

  constructor(cache: CheckedCache, problems: EngineProblem[]) {
    this.#cache = cache;
    this.#problems = problems;
  }

  async run(): Promise<void> {
    // Files first: the row of a file that comes later comes later too.
    await this.#listFiles();
    await this.#checkRows();
    if (this.#unnamed.size + this.#emptyFolders.length > 0) await this.#checkLeftovers();
    await this.#checkCounters();
  }

  async #listFiles(): Promise<void> {
    const { directory } = this.#cache;
    for (const outer of folders(directory)) {
      const path = join(directory, outer);
      if (entries(path).length === 0) this.#emptyFolders.push(outer);
      for (const inner of folders(path)) {
        const folder = join(outer, inner);
        const files = entries(join(directory, folder));
        for (const { name } of files) {
          if (/^[0-9a-f]{28}\.val$/.test(name)) this.#unnamed.add(join(folder, name));
        }
        if (files.length === 0) this.#emptyFolders.push(folder);
        if (this.#turns.due()) await this.#turns.next();
      }
    }
    this.checked += this.#unnamed.size;
  }

  async #checkRows(): Promise<void> {
    const { database } = this.#cache;
    const sql = `SELECT ${COLUMNS} FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ${PAGE}`;
    for (let after: SqlValue = -Infinity;;) {
      const rows: SqlValue[][] | Error = await database.run(() =>
        unlessDamaged(() => database.connection.prepare(sql, { wide: true }).all(after))
      );
      // Which rows those are, SQLite's own check does not say either.
      if (rows instanceof Error) return;
      this.checked += rows.length;
      for (const row of rows) {
        const filename = row[4];
        if (typeof filename === "string") this.#unnamed.delete(join(filename));
        if (this.#faultOf(row) !== undefined) await this.#checkAgain(row);
        if (this.#turns.due()) await this.#turns.next();
      }
      if (rows.length < PAGE) return;
      after = rows[PAGE - 1][0];
    }
  }

  #faultOf([, raw, mode, size, filename, keyBytes]: SqlValue[]): Fault | undefined {
    if (raw !== 1) return { kind: "foreign", detail: "Its key was pickled by Python" };
    if (isGarbled(keyBytes)) return { kind: "damaged", detail: "Its key is not UTF-8" };
    if (mode === MODE.pickle) return { kind: "foreign", detail: "Its value was pickled by Python" };
    if (mode !== MODE.raw && mode !== MODE.binary && mode !== MODE.text) {
      return { kind: "damaged", detail: `Its mode is ${mode}, which DiskCache does not have` };
    }
    if (filename === null) {
      return mode === MODE.raw ? undefined : { kind: "damaged", detail: "Its row names no file" };
    }
    try {
      const real = this.#cache.files.sizeOf(String(filename));
      if (real === size) return undefined;
      const detail = real === undefined
        ? `Its file "${filename}" is missing`
        : `Its file "${filename}" has ${real} bytes, and should have ${size}`;
      return { kind: "damaged", detail };
    } catch (error) {
      if (error instanceof DecodeError) return { kind: "damaged", detail: error.message };
      throw error;
    }
  }

  /** Lets nobody change anything, or see a half-changed state, while it looks and repairs. */
  #locked<T>(action: (connection: SqlConnection) => T): Awaitable<T> {
    const { database, fix } = this.#cache;
    const look = () => action(database.connection);
    return fix ? database.change(look) : database.read(look);
  }

  /** Judges a row once more, with nobody changing it, and removes it when it is damaged. */
  async #checkAgain(row: SqlValue[]): Promise<void> {
    const { files, fix } = this.#cache;
    const fault = await this.#locked((connection) => {
      const now = connection.prepare(`SELECT ${COLUMNS} FROM Cache WHERE rowid = ?`, {
        wide: true,
      }).get(row[0]);
      const fault = now && this.#faultOf(now);
      if (fix && fault?.kind === "damaged") {
        connection.prepare("DELETE FROM Cache WHERE rowid = ?").run(row[0]);
      }
      return fault;
    });
    if (fault === undefined) return;
    const fixed = fix && fault.kind === "damaged";
    if (fixed && typeof row[4] === "string") files.remove(row[4]);
    const key = row[1] === 1 && !isGarbled(row[5]) ? { key: fromSqlKey(keyOf(row.slice(6))) } : {};
    this.#problems.push({ ...fault, ...key, fixed });
  }

  /**
   * Files and folders of writers that did not come to their row. Whoever is about to, gets the
   * time.
   */
  async #checkLeftovers(): Promise<void> {
    const { directory, files, fix } = this.#cache;
    await delay(GRACE);
    const orphans = await this.#locked((connection) => {
      // Before the rows: whose writer is at its end meanwhile, has one.
      const underWay = files.underWay();
      const rows = unlessDamaged(() =>
        connection.prepare("SELECT filename FROM Cache WHERE filename IS NOT NULL").all()
      );
      // A file that a damaged page names is not without an owner.
      if (rows instanceof Error) return [];
      const named = new Set(rows.map(([filename]) => join(String(filename))));
      const orphans = [...this.#unnamed].filter((filename) =>
        !named.has(filename) && !underWay.has(filename) &&
        look(join(directory, filename))?.isFile
      );
      if (fix) orphans.forEach((filename) => files.remove(filename));
      return orphans;
    });
    for (const filename of orphans) {
      this.#problems.push({
        kind: "orphan",
        detail: `No row names the file "${filename}"`,
        fixed: fix,
      });
    }
    for (const folder of this.#emptyFolders) {
      if (entries(join(directory, folder)).length > 0) continue;
      const fixed = fix && files.removeFolder(folder);
      this.#problems.push({ kind: "leftover", detail: `The folder "${folder}" is empty`, fixed });
    }
  }

  async #checkCounters(): Promise<void> {
    const { database, fix } = this.#cache;
    for (const [name, sql] of Object.entries(COUNTERS)) {
      const compared = await database.run(() =>
        unlessDamaged(() =>
          database.connection.prepare(
            `SELECT (${sql}), (SELECT value FROM Settings WHERE key = ?)`,
            { wide: true },
          )
            .get(
              name,
            )
        )
      );
      if (compared === undefined || compared instanceof Error || compared[0] === compared[1]) {
        continue;
      }
      if (fix) {
        await database.remove(() =>
          database.connection.prepare(
            `INSERT OR REPLACE INTO Settings (key, value) VALUES (?, (${sql}))`,
          )
            .run(name)
        );
      }
      const detail = `The setting "${name}" is ${compared[1]}, and should be ${compared[0]}`;
      this.#problems.push({ kind: "damaged", detail, fixed: fix });
    }
  }
}

function isGarbled(bytes: SqlValue): boolean {
  return bytes !== null && textOf(bytes) === undefined;
}

/** The folders in a folder that are for value files; links are none. */
function folders(folder: string): string[] {
  const names = entries(folder).flatMap(({ name, isDirectory }) => isDirectory ? [name] : []);
  return names.filter((name) => /^[0-9a-f]{2}$/.test(name));
}

/** What is in a folder; nothing when it is gone. */
function entries(folder: string): FolderEntry[] {
  try {
    return Array.from(readFolderSync(folder));
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return [];
    throw error;
  }
}
