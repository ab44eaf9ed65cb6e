import { MODE, type NewRow, type Row, type SqlKey } from "./format.ts";
import {
  type EvictionPolicy,
  evictionPolicy,
  NO_LIMIT,
  POLICY_COLUMN,
  type SettingValues,
} from "./schema.ts";
import { groupsOf } from "../each.ts";
import { LAST_TIME } from "../sqlite/format.ts";
import { bytesOf, pageOfRows } from "../sqlite/usage.ts";
import type { SqlConnection, SqlStatement, SqlValue } from "../sqlite/driver.ts";

const LIVE = "(expire_time IS NULL OR expire_time > ?)";
const OF_KEY = "FROM Cache WHERE key = ? AND raw = 1";
/** With a key of ours: neither a pickle nor what SQLite makes of Python's NaN. */
const HAS_KEY = "raw = 1 AND key IS NOT NULL";

/**
 * The columns of a key. A text with a NUL comes as bytes besides, because the library cuts texts
 * there.
 */
export const KEY = "key, CASE WHEN typeof(key) = 'text' AND instr(CAST(key AS BLOB), X'00') > 0 " +
  "THEN CAST(key AS BLOB) END";

// A tag that Python gave a key stays when it is set anew; one of ours goes with the header that has
// it (b"\\0HSE"), as far as that is in the row.
const upsert = (rows: number) =>
  "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, size, mode, " +
  "filename, value, tag) VALUES (?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)" +
  ", (?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)".repeat(rows - 1) +
  " ON CONFLICT (key, raw) DO UPDATE SET tag = coalesce(excluded.tag, " +
  "CASE WHEN substr(Cache.value, 1, 4) = x'00485345' THEN NULL ELSE Cache.tag END), " +
  "store_time = excluded.store_time, expire_time = excluded.expire_time, " +
  "access_time = excluded.access_time, access_count = 0, size = excluded.size, " +
  "mode = excluded.mode, filename = excluded.filename, value = excluded.value";

const SQL = {
  // Numbers that other programs put there may be larger than JavaScript's.
  find: `SELECT store_time, expire_time, min(size, ${Number.MAX_SAFE_INTEGER}), min(mode, 9), ` +
    "filename, " +
    `iif(typeof(value) = 'blob', value, NULL) ${OF_KEY} AND ${LIVE}`,
  findAny: "SELECT store_time, expire_time, size, mode, filename, " +
    "CASE typeof(value) WHEN 'text' THEN CAST(value AS BLOB) " +
    "WHEN 'integer' THEN CAST(value AS TEXT) ELSE value END, typeof(value) = 'text' " +
    `${OF_KEY} AND ${LIVE}`,
  has: `SELECT 1 ${OF_KEY} AND ${LIVE}`,
  old: `SELECT filename ${OF_KEY}`,
  live: `SELECT rowid, filename ${OF_KEY} AND ${LIVE}`,
  overwrite: upsert(1),
  overwriteInRow: `${upsert(1)} WHERE Cache.filename IS NULL`,
  remove: "DELETE FROM Cache WHERE rowid = ?",
  count: "UPDATE Settings SET value = value + 1 WHERE key = ?",
  access: "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1",
  accessCount: "UPDATE Cache SET access_count = access_count + 1 WHERE key = ? AND raw = 1",
  expired:
    `SELECT rowid, filename, raw, ${KEY} FROM Cache WHERE expire_time IS NOT NULL AND expire_time <= ? ` +
    "ORDER BY expire_time LIMIT ?",
  some: "SELECT rowid, filename FROM Cache LIMIT ?",
  size: `SELECT count(*) FROM Cache WHERE ${HAS_KEY} AND ${LIVE}`,
  fileBytes: "SELECT value FROM Settings WHERE key = 'size'",
  named: "SELECT filename FROM Cache WHERE filename IN (SELECT value FROM json_each(?))",
  page: pageOfRows({
    table: "Cache",
    isLive: `${HAS_KEY} AND (expire_time IS NULL OR expire_time > ?1)`,
    bytes: `${bytesOf("key")} + iif(filename IS NULL, ${bytesOf("value")}, size)`,
    time: `iif(abs(store_time) <= ${LAST_TIME / 1_000}, CAST(store_time * 1000 AS INTEGER), NULL)`,
  }),
  pages: "PRAGMA page_count",
  pageSize: "PRAGMA page_size",
} as const;

/**
 * How many writes look for expired rows together, where there is no limit to keep. Python looks at
 * each; it costs as much as half a write.
 */
const CULL_WRITES = 10;

/**
 * How many rows, and how many bytes of values, one statement stores: to run one for each small row
 * takes a fifth as long again. A statement keeps what it was given until it is run again.
 */
const ROWS = { count: 16, bytes: 64 * 1024 };

const decoder = new TextDecoder();

/**
 * The rows of a DiskCache database, read and changed as Python does it. Changes belong into a
 * transaction; the files that they leave over go into `garbage`, to be removed when it has ended.
 */
export class CacheTable {
  /** From this many bytes on a value goes into a file. */
  readonly minFileSize: number;
  /**
   * Whether looking a key up changes something: for the policy, or for the statistics that Python
   * asked for.
   */
  readonly notesUse: boolean;
  /** How many rows the policy took, to keep within the limit. */
  evictions: number;
  /** What has been dropped, since somebody last took it; rows of other programs' keys are not named. */
  dropped: [key: SqlKey, why: "evict" | "expire"][] = [];
  readonly #connection: SqlConnection;
  readonly #statements = new Map<string, SqlStatement>();
  readonly #policy: EvictionPolicy;
  readonly #statistics: boolean;
  readonly #sizeLimit: number;
  readonly #cullLimit: number;
  /** Writes since the last look for expired rows; a handle's first write looks. */
  #writes = CULL_WRITES - 1;

  constructor(
    connection: SqlConnection,
    settings: SettingValues,
    { evictions, isReadOnly }: { evictions: number; isReadOnly: boolean },
  ) {
    const number = (name: string) => Number(settings.get(name) ?? 0);
    this.evictions = evictions;
    this.#connection = connection;
    this.#policy = evictionPolicy(settings);
    this.#statistics = number("statistics") !== 0;
    this.notesUse = !isReadOnly && (this.#statistics || this.#policy === "least-recently-used" ||
      this.#policy === "least-frequently-used");
    this.#sizeLimit = number("size_limit");
    this.#cullLimit = number("cull_limit");
    this.minFileSize = number("disk_min_file_size");
  }

  /** The row of a key, unless it has expired. `now` is in seconds. */
  find(key: SqlKey, now: number): Row | undefined {
    let row = this.#sql(SQL.find).get(key, now);
    // What is stored as it is needs a closer look, which our own bytes are not to wait for: at the
    // whole row again, as somebody may have changed or removed it in between.
    if (row !== undefined && row[5] === null && row[3] === MODE.raw) {
      row = this.#sql(SQL.findAny).get(key, now);
    }
    if (row === undefined) return undefined;
    const [storeTime, expireTime, size, mode, filename, value, isText] = row;
    return {
      storeTime: real(storeTime),
      expireTime: real(expireTime),
      size: Number(size),
      mode: Number(mode),
      filename: filename === null ? null : String(filename),
      value,
      isText: isText === 1,
    };
  }

  has(key: SqlKey, now: number): boolean {
    return this.#sql(SQL.has).get(key, now) !== undefined;
  }

  /** Writes down that a key was looked up. */
  noteUse(key: SqlKey, found: boolean, now: number): void {
    if (this.#statistics) this.#sql(SQL.count).run(found ? "hits" : "misses");
    if (!found) return;
    if (this.#policy === "least-recently-used") this.#sql(SQL.access).run(now, key);
    if (this.#policy === "least-frequently-used") this.#sql(SQL.accessCount).run(key);
  }

  /**
   * Stores a row by one statement, which needs no transaction around it; unless the key has a file
   * that would be left over, or room must be made.
   *
   * @returns Whether it did.
   */
  putAlone(key: SqlKey, row: NewRow, now: number): boolean {
    if (this.#mustCull(1) || !this.#put(SQL.overwriteInRow, key, row, now)) return false;
    this.#writes++;
    return true;
  }

  /** Stores rows and makes room for them. A tag that Python gave a key stays. */
  put(rows: [SqlKey, NewRow][], now: number, garbage: string[]): void {
    for (const group of groupsOf(rows, ROWS.count, ROWS.bytes, weigh)) {
      if (this.#putInRows(group, now) === group.length) continue;
      // All of them before one is stored: two may have the same key.
      const left = group.filter(([key]) => this.#filename(key) !== null);
      for (const [key, row] of left) {
        const filename = this.#filename(key);
        if (typeof filename === "string") garbage.push(filename);
        this.#put(SQL.overwrite, key, row, now);
      }
    }
    if (this.#mustCull(rows.length)) this.#cull(now, rows.length, garbage);
    else this.#writes += rows.length;
  }

  /** Removes the row of a key; whether it was there and live. */
  remove(key: SqlKey, now: number, garbage: string[]): boolean {
    const rows = this.#sql(SQL.live).all(key, now);
    return this.#removeAll(rows, garbage) > 0;
  }

  /** Whether there is reason to look for what can go. */
  #mustCull(writes: number): boolean {
    if (this.#cullLimit === 0) return false;
    return this.#isLimited || this.#writes + writes >= CULL_WRITES;
  }

  /**
   * Drops what has expired and what the policy chooses: for each write as many rows as the settings
   * say.
   */
  #cull(now: number, writes: number, garbage: string[]): void {
    if (!this.#isLimited) {
      this.removeExpired(now, this.#cullLimit * (this.#writes + writes), garbage);
      this.#writes = 0;
      return;
    }
    for (let write = 0; write < writes; write++) {
      const expired = this.removeExpired(now, this.#cullLimit, garbage);
      const evicted = this.#evict(this.#cullLimit - expired, garbage);
      if (expired + evicted === 0) return;
    }
  }

  #evict(limit: number, garbage: string[]): number {
    const column = POLICY_COLUMN[this.#policy];
    if (limit === 0 || column === undefined || this.volume() < this.#sizeLimit) return 0;
    const sql = `SELECT rowid, filename, raw, ${KEY} FROM Cache ORDER BY ${column} LIMIT ?`;
    const rows = this.#sql(sql, { wide: true }).all(limit);
    const evicted = this.#drop(rows, "evict", garbage);
    this.evictions += evicted;
    return evicted;
  }

  get #isLimited(): boolean {
    return this.#sizeLimit < Number(NO_LIMIT);
  }

  #put(sql: string, key: SqlKey, row: NewRow, now: number): boolean {
    return this.#sql(sql).run(...paramsOf(key, row, now)) > 0;
  }

  /** Stores rows, unless their key has a file that would be left over; how many of them. */
  #putInRows(rows: [SqlKey, NewRow][], now: number): number {
    const sql = `${upsert(rows.length)} WHERE Cache.filename IS NULL`;
    return this.#sql(sql).run(...rows.flatMap(([key, row]) => paramsOf(key, row, now)));
  }

  /** The name of the file of a row that is there. */
  #filename(key: SqlKey): SqlValue | undefined {
    return this.#sql(SQL.old).get(key)?.[0];
  }

  /** Removes what has expired, the first to expire first; how many. */
  removeExpired(now: number, limit: number, garbage: string[]): number {
    const rows = this.#sql(SQL.expired, { wide: true }).all(now, limit);
    return this.#drop(rows, "expire", garbage);
  }

  /** Removes any rows, expired and foreign ones too; how many. */
  removeSome(limit: number, garbage: string[]): number {
    return this.#removeAll(
      this.#sql(SQL.some).all(limit),
      garbage,
    );
  }

  /** Which of these files a row names. */
  named(filenames: string[]): Set<string> {
    const rows = this.#sql(SQL.named).all(JSON.stringify(filenames));
    return new Set(rows.map(([filename]) => String(filename)));
  }

  /** Live keys after one of them and before the end, in their order. */
  keys(
    { start, after, end }: { start: SqlKey; after?: SqlKey; end?: SqlValue },
    now: number,
    limit: number,
  ): SqlKey[] {
    const bounds = end === undefined ? [] : [end];
    const sql = keysSql(after === undefined ? ">=" : ">", end !== undefined);
    return this.#sql(sql, { wide: true }).all(after ?? start, ...bounds, now, limit).map(keyOf);
  }

  /** How many live rows have a key of ours. */
  size(now: number): number {
    return this.#number(SQL.size, now);
  }

  /** Counts a page of rows, for `countRows`. */
  count(after: SqlValue, now: number, limit: number): SqlValue[] | undefined {
    return this.#sql(SQL.page, { wide: true }).get(now, after, limit);
  }

  /** Bytes of the database and of the files, as Python counts them. */
  volume(): number {
    const pages = this.#number(SQL.pages) * this.#number(SQL.pageSize);
    return pages + this.#number(SQL.fileBytes);
  }

  #drop(rows: SqlValue[][], why: "evict" | "expire", garbage: string[]): number {
    for (const [, , raw, ...key] of rows) {
      if (Number(raw) === 1 && key[0] !== null) this.dropped.push([keyOf(key), why]);
    }
    return this.#removeAll(rows, garbage);
  }

  #removeAll(rows: SqlValue[][], garbage: string[]): number {
    for (const [rowid, filename] of rows) {
      this.#sql(SQL.remove).run(rowid);
      if (filename !== null) garbage.push(String(filename));
    }
    return rows.length;
  }

  #number(sql: string, ...params: SqlValue[]): number {
    return Number(this.#sql(sql).get(...params)?.[0]);
  }

  #sql(sql: string, options?: { wide: boolean }): SqlStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql, options);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** What the statement takes for a row. */
function paramsOf(key: SqlKey, row: NewRow, now: number): SqlValue[] {
  const { storeTime, expireTime, size, mode, filename, value, tag } = row;
  return [key, storeTime, expireTime, now, size, mode, filename, value, tag];
}

/** How much of a statement a row takes: with a file it stands alone. */
function weigh([, { filename, value }]: [SqlKey, NewRow]): number {
  if (filename !== null) return Infinity;
  return value instanceof Uint8Array || typeof value === "string" ? value.length : 0;
}

function keysSql(after: ">" | ">=", bounded: boolean): string {
  return `SELECT ${KEY} FROM Cache WHERE key ${after} ? ${bounded ? "AND key < ?" : ""} ` +
    `AND ${HAS_KEY} AND ${LIVE} ORDER BY key, raw LIMIT ?`;
}

/** A time; none where another program put something else. */
function real(value: SqlValue): number | null {
  return typeof value === "number" && Math.abs(value) <= LAST_TIME / 1_000 ? value : null;
}

/** The key of a row's `KEY` columns. */
export function keyOf([key, withNul]: SqlValue[]): SqlKey {
  return withNul instanceof Uint8Array ? decoder.decode(withNul) : key ?? "";
}
