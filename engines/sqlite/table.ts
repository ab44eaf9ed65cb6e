import { encodeSegment } from "../location.ts";
import type { SqlConnection } from "./driver.ts";
import { transact } from "./runner.ts";

const COLUMNS = "key TEXT, value BLOB, timestamp INTEGER, expires_at INTEGER, revision INTEGER";

/**
 * The table of a dbname: the dbname itself, where it is lower case and plain. SQLite takes names
 * that differ in case for the same, and keeps those that begin with `sqlite_` to itself.
 */
export function tableName(dbname: string): string {
  const name = dbname.split("/").map(encodeSegment).join("/");
  return name.startsWith("sqlite_") ? `~${name}` : name;
}

/** A name in SQL. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** What to do with a table: prepared when first used. */
export function tableQueries(name: string) {
  const table = quote(name);
  const entry = "value, timestamp, expires_at, revision";
  const live = "(expires_at IS NULL OR expires_at > ?)";
  const overwrite = "value = excluded.value, timestamp = excluded.timestamp, " +
    "expires_at = excluded.expires_at, revision = excluded.revision";
  const insert = `INSERT INTO ${table} (key, value, timestamp, expires_at) VALUES (?, ?, ?, ?) ` +
    `ON CONFLICT (key) DO UPDATE SET ${overwrite}`;
  return {
    /** key, now */
    get: `SELECT ${entry} FROM ${table} WHERE key = ? AND ${live}`,
    /** key, now */
    has: `SELECT 1 FROM ${table} WHERE key = ? AND ${live}`,
    /** key, value, timestamp, expires_at */
    set: insert,
    /** key, value, timestamp, expires_at, now */
    add: `${insert} WHERE ${table}.expires_at <= ?`,
    /** key, value, timestamp, expires_at, revision, now */
    replace: `UPDATE ${table} SET value = ?2, timestamp = ?3, expires_at = ?4, ` +
      `revision = ${RANDOM} WHERE key = ?1 AND revision = ?5 AND ` +
      `(expires_at IS NULL OR expires_at > ?6)`,
    /** key, now */
    delete: `DELETE FROM ${table} WHERE key = ? AND ${live}`,
    /** key, revision, now */
    remove: `DELETE FROM ${table} WHERE key = ? AND revision = ? AND ${live}`,
    /** after this key, before this one, now, limit */
    keys: `SELECT key FROM ${table} WHERE key > ? AND key < ? AND ${live} ORDER BY key LIMIT ?`,
    /** now */
    size: `SELECT count(*) - (SELECT count(*) FROM ${table} WHERE expires_at <= ?) FROM ${table}`,
    count: `SELECT count(*) FROM ${table}`,
    clear: `DELETE FROM ${table}`,
    /** now, limit */
    prune: `DELETE FROM ${table} WHERE rowid IN ` +
      `(SELECT rowid FROM ${table} WHERE expires_at <= ? LIMIT ?)`,
    reindex: `REINDEX ${table}`,
    /** name */
    bytes: "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN " +
      "(SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
  };
}

/** 53 random bits: a number in JavaScript. */
const RANDOM = "abs(random() % 9007199254740992)";

/**
 * Makes the table unless it is there.
 *
 * @throws When another program has something else under its name.
 */
export function openTable(connection: SqlConnection, name: string): void {
  if (isOurs(connection, name)) return;
  const table = quote(name);
  transact(connection, () => {
    if (isOurs(connection, name)) return;
    // A table with rowids and a unique index: measured 2-5 × as fast as WITHOUT ROWID. The defaults
    // and checks are for rows added by hand.
    connection.exec(
      `CREATE TABLE ${table} (` +
        `key TEXT NOT NULL UNIQUE CHECK (typeof(key) = 'text'), ` +
        `value BLOB NOT NULL CHECK (typeof(value) IN ('blob', 'text')), ` +
        `timestamp INTEGER NOT NULL ` +
        `DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), ` +
        `expires_at INTEGER, ` +
        `revision INTEGER NOT NULL DEFAULT (${RANDOM}))`,
    );
    connection.exec(
      `CREATE INDEX ${quote(`${name}:expires_at`)} ON ${table} (expires_at) ` +
        `WHERE expires_at IS NOT NULL`,
    );
  });
}

/** Our tables whose names begin with this one's and `/`. */
export function nestedTables(connection: SqlConnection, name: string): string[] {
  // "0" comes after "/".
  const names = connection
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name > ? AND name < ?")
    .all(`${name}/`, `${name}0`)
    .map(([name]) => String(name));
  return names.filter((name) => columnsOf(connection, name) === COLUMNS);
}

function isOurs(connection: SqlConnection, name: string): boolean {
  const columns = columnsOf(connection, name);
  if (columns === "") return false;
  if (columns === COLUMNS) return true;
  throw new Error(
    `the file has a table ${quote(name)} of another program, with the columns ${columns}; ` +
      `use another dbname or path`,
  );
}

function columnsOf(connection: SqlConnection, name: string): string {
  const rows = connection.prepare("SELECT name, type FROM pragma_table_info(?)").all(name);
  return rows.map(([name, type]) => `${name} ${type}`).join(", ");
}
