/** The database of a DiskCache directory, as Python's DiskCache 5.4 makes and opens it. */
import type { SqlConnection, SqlValue } from "../sqlite/driver.ts";
import { makeTablesAnew } from "../sqlite/rescue.ts";
import { RefusedError, transact, unlessDamaged } from "../sqlite/transaction.ts";

/** Which entries go first when the directory is larger than its limit. */
export const EVICTION_POLICIES = [
  "least-recently-stored",
  "least-recently-used",
  "least-frequently-used",
  "none",
] as const;
/** One of them. */
export type EvictionPolicy = typeof EVICTION_POLICIES[number];

/** The column that a policy goes by, smallest first. */
export const POLICY_COLUMN: Record<EvictionPolicy, string | undefined> = {
  "least-recently-stored": "store_time",
  "least-recently-used": "access_time",
  "least-frequently-used": "access_count",
  none: undefined,
};

/** Settings by the names that Python gives them. */
export type SettingValues = ReadonlyMap<string, SqlValue>;

/** Larger than any disk. Python's own limit would be 1 GiB, and evict without a word. */
export const NO_LIMIT = 2n ** 63n - 1n;

/** What Python stores in a new directory, but for the limit. */
export const DEFAULTS: SettingValues = new Map<string, SqlValue>([
  ["statistics", 0n],
  ["tag_index", 0n],
  ["eviction_policy", "least-recently-stored"],
  ["size_limit", NO_LIMIT],
  ["cull_limit", 10n],
  ["sqlite_auto_vacuum", 1n],
  ["sqlite_cache_size", 8_192n],
  ["sqlite_journal_mode", "wal"],
  ["sqlite_mmap_size", 67_108_864n],
  ["sqlite_synchronous", 1n],
  ["disk_min_file_size", 32_768n],
  ["disk_pickle_protocol", 5n],
  ["count", 0n],
  ["size", 0n],
  ["hits", 0n],
  ["misses", 0n],
]);

const PRAGMA_PREFIX = "sqlite_";

const COLUMNS: [name: string, declaration: string][] = [
  ["rowid", "INTEGER PRIMARY KEY"],
  ["key", "BLOB"],
  ["raw", "INTEGER"],
  ["store_time", "REAL"],
  ["expire_time", "REAL"],
  ["access_time", "REAL"],
  ["access_count", "INTEGER DEFAULT 0"],
  ["tag", "BLOB"],
  ["size", "INTEGER DEFAULT 0"],
  ["mode", "INTEGER DEFAULT 0"],
  ["filename", "TEXT"],
  ["value", "BLOB"],
];

/** What keeps `count` and `size` in Settings up to date. */
const TRIGGERS: [name: string, event: string, change: string][] = [
  ["Settings_count_insert", "INSERT", "1 WHERE key = 'count'"],
  ["Settings_count_delete", "DELETE", "-1 WHERE key = 'count'"],
  ["Settings_size_insert", "INSERT", "NEW.size WHERE key = 'size'"],
  ["Settings_size_update", "UPDATE", "NEW.size - OLD.size WHERE key = 'size'"],
  ["Settings_size_delete", "DELETE", "-OLD.size WHERE key = 'size'"],
];

/**
 * Sets a connection up by the settings that are stored, and makes what is missing.
 *
 * @throws {RefusedError} When the database is another program's.
 */
export function configureCache(connection: SqlConnection, isReadOnly = false): void {
  refuseOthers(connection);
  if (isReadOnly) return;
  const stored = readSettings(connection);
  if (stored === undefined) return;
  // Before the tables: a file that has some keeps its auto_vacuum.
  for (const [name, value] of new Map([...DEFAULTS, ...stored])) {
    if (name.startsWith(PRAGMA_PREFIX)) applyPragma(connection, name, value);
  }
  if (isComplete(connection, stored)) return;
  transact(connection, () => create(connection));
}

/**
 * The settings as they are stored, none in a new database; `undefined` when they can't be read: the
 * entries can, as a rule, and `check` says what is wrong.
 */
export function readSettings(connection: SqlConnection): SettingValues | undefined {
  if (columnsOf(connection, "Settings").length === 0) return new Map();
  const sql = "SELECT key, value FROM Settings";
  const rows = unlessDamaged(() => connection.prepare(sql, { wide: true }).all());
  return rows instanceof Error
    ? undefined
    : new Map(rows.map(([key, value]) => [String(key), value]));
}

/** Stores settings, and what they need. */
export function changeSettings(connection: SqlConnection, changes: SettingValues): void {
  const set = connection.prepare("INSERT OR REPLACE INTO Settings (key, value) VALUES (?, ?)");
  for (const [key, value] of changes) set.run(key, value);
  createPolicyIndex(connection);
}

/** Makes the tables anew, empty, where pages of them are damaged; with the settings that can be read. */
export function makeCacheAnew(connection: SqlConnection): void {
  const settings = readSettings(connection) ?? new Map();
  makeTablesAnew(connection, ["Cache", "Settings"], () => {
    transact(connection, () => {
      create(connection);
      changeSettings(connection, new Map([...settings, ["count", 0n], ["size", 0n]]));
    });
  });
}

function create(connection: SqlConnection): void {
  connection.exec(
    "CREATE TABLE IF NOT EXISTS Settings (key TEXT NOT NULL UNIQUE, value)",
  );
  const set = connection.prepare("INSERT OR IGNORE INTO Settings (key, value) VALUES (?, ?)");
  for (const [key, value] of DEFAULTS) set.run(key, value);
  const columns = COLUMNS.map((column) => column.join(" ")).join(", ");
  connection.exec(`CREATE TABLE IF NOT EXISTS Cache (${columns})`);
  connection.exec("CREATE UNIQUE INDEX IF NOT EXISTS Cache_key_raw ON Cache (key, raw)");
  connection.exec("CREATE INDEX IF NOT EXISTS Cache_expire_time ON Cache (expire_time)");
  createPolicyIndex(connection);
  for (const [name, event, change] of TRIGGERS) {
    connection.exec(
      `CREATE TRIGGER IF NOT EXISTS ${name} AFTER ${event} ON Cache FOR EACH ROW BEGIN ` +
        `UPDATE Settings SET value = value + ${change}; END`,
    );
  }
}

function createPolicyIndex(connection: SqlConnection): void {
  const column = POLICY_COLUMN[evictionPolicy(readSettings(connection) ?? DEFAULTS)];
  if (column === undefined) return;
  connection.exec(`CREATE INDEX IF NOT EXISTS Cache_${column} ON Cache (${column})`);
}

/** The policy that is stored. */
export function evictionPolicy(settings: SettingValues): EvictionPolicy {
  const policy = settings.get("eviction_policy");
  return EVICTION_POLICIES.find((known) => known === policy) ?? "none";
}

function isComplete(connection: SqlConnection, settings: SettingValues): boolean {
  if (![...DEFAULTS.keys()].every((key) => settings.has(key))) return false;
  const triggers = connection.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'");
  return columnsOf(connection, "Cache").length > 0 &&
    Number(triggers.get()?.[0]) >= TRIGGERS.length;
}

function refuseOthers(connection: SqlConnection): void {
  const [objects] = connection.prepare("SELECT count(*) FROM sqlite_schema").get() ?? [0];
  if (objects === 0) return;
  const cache = columnsOf(connection, "Cache");
  const settings = columnsOf(connection, "Settings");
  // Python makes Settings first.
  const complete = cache.length === 0 || COLUMNS.every(([name]) => cache.includes(name));
  if (complete && settings.includes("key") && settings.includes("value")) return;
  throw new RefusedError(
    "cache.db is another program's, no database of DiskCache; use another path",
  );
}

function columnsOf(connection: SqlConnection, table: string): string[] {
  const rows = connection.prepare("SELECT name FROM pragma_table_info(?)").all(table);
  return rows.map(([name]) => String(name));
}

function applyPragma(connection: SqlConnection, setting: string, value: SqlValue): void {
  const name = setting.slice(PRAGMA_PREFIX.length);
  // The names and values come from a file that may be anyone's.
  if (!/^[a-z_]+$/.test(name) || !/^(-?\d+|[a-z_]+)$/i.test(String(value))) return;
  const current = connection.prepare(`PRAGMA ${name}`).get()?.[0];
  if (String(current) !== String(value)) connection.prepare(`PRAGMA ${name} = ${value}`).all();
}
