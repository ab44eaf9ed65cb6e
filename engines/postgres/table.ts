/** The table: how it is made, and whether one that is there is of this kind. */
import { PostgresError } from "./errors.ts";
import { quote, REVISION } from "./queries.ts";

/** The type of each column; of text also that it is in the order of its bytes. */
const COLUMNS: Record<string, string> = {
  store: 'text COLLATE "C"',
  key: 'text COLLATE "C"',
  long_key: "text",
  value: "bytea",
  timestamp: "bigint",
  expires_at: "bigint",
  revision: "bigint",
};

/** One number for all who make tables of this kind. */
const LOCK = 7_235_419_804;

/**
 * Makes the table unless it is there: one of several that do so at the same time, the others wait.
 * (By themselves two `CREATE TABLE IF NOT EXISTS` can both begin, and one then fails.)
 *
 * A large value is kept as it is: compressing is the stash's own choice, and would take Postgres
 * longer than the rest of a `set`.
 */
export function tableCreation(parts: readonly string[]): string {
  const table = parts.map(quote).join(".");
  const [name, schema] = parts.toReversed();
  // Not by to_regclass: a session remembers for a while what it has not found.
  const body = `BEGIN
    PERFORM pg_advisory_xact_lock(${LOCK});
    IF NOT EXISTS (
      SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relname = ${literal(name)}
        AND n.nspname = ${schema === undefined ? "current_schema()" : literal(schema)}
    ) THEN
      CREATE TABLE ${table} (
        store text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        long_key text,
        value bytea NOT NULL,
        timestamp bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
        expires_at bigint,
        revision bigint NOT NULL DEFAULT ${REVISION},
        PRIMARY KEY (store, key)
      );
      ALTER TABLE ${table} ALTER COLUMN value SET STORAGE EXTERNAL;
      CREATE INDEX ON ${table} (store, expires_at) WHERE expires_at IS NOT NULL;
    END IF;
  END`;
  return `DO ${literal(body)}`;
}

/** The columns that a table of this name has: name, type, collation, whether it must be given. */
export function tableColumns(parts: readonly string[]): string {
  return `SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.collname, ` +
    `a.attnotnull AND NOT a.atthasdef FROM pg_attribute a ` +
    `LEFT JOIN pg_collation c ON c.oid = a.attcollation ` +
    `WHERE a.attrelid = to_regclass(${literal(parts.map(quote).join("."))}) ` +
    `AND a.attnum > 0 AND NOT a.attisdropped`;
}

/**
 * Looks whether a table can have entries. Columns that others added are no harm, unless each row must
 * have something there.
 *
 * @param rows What `tableColumns` found.
 * @returns Whether there is a table.
 * @throws {PostgresError} When it is of another shape.
 */
export function checkColumns(
  parts: readonly string[],
  rows: readonly (readonly (string | boolean | null)[])[],
): boolean {
  if (rows.length === 0) return false;
  const faults: string[] = [];
  const found = new Map(rows.map(([name, type, collation, mustBeGiven]) => [
    String(name),
    { type: collation === "C" ? `${type} COLLATE "C"` : String(type), mustBeGiven },
  ]));
  for (const [name, type] of Object.entries(COLUMNS)) {
    const there = found.get(name)?.type;
    // How long keys are in order is nothing that is asked for.
    if (there?.replace(/ COLLATE.*/, "") === type || there === type) continue;
    faults.push(
      there === undefined ? `no column ${name}` : `column ${name} is ${there}, not ${type}`,
    );
  }
  for (const [name, { mustBeGiven }] of found) {
    if (!(name in COLUMNS) && mustBeGiven) faults.push(`column ${name} must be given a value`);
  }
  if (faults.length > 0) {
    throw new PostgresError(
      `the table ${parts.join(".")} is of another shape: ${faults.join(", ")}`,
      { code: "shape" },
    );
  }
  return true;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
