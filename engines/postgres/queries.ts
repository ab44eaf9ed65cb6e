/** What is asked of the table. Each is one statement: all of it takes effect, or nothing. */
import { MAX_VALUE } from "./format.ts";

/** A statement that each connection prepares once, by its name. */
export interface PostgresQuery {
  readonly name: string;
  readonly text: string;
  readonly rowMode: "array";
}

/** A statement that is seldom sent, and prepared by nobody. */
export function unnamed(text: string): PostgresQuery {
  return { name: "", text, rowMode: "array" };
}

/** A name in SQL. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The server's time now, in the middle of a transaction too, ms since the epoch. */
const NOW = "(extract(epoch FROM clock_timestamp()) * 1000)";

/** Whether a row's deadline has not come yet. */
const isLive = (row: string) => `(${row}.expires_at IS NULL OR ${row}.expires_at > ${NOW})`;

/** A deadline: a point in time, or the time that is left. */
const deadline = (point: string, left: string) =>
  `coalesce(${point}::bigint, ${NOW}::bigint + ${left}::bigint)`;

/**
 * From a row on, in the order of the index, which is kept to whatever the planner knows of the table:
 * for the first rows of a range. Whether they are still in it is asked outside of their `LIMIT`, as a
 * scan of the index does not end where the second column of two that are compared as a row does.
 */
const FROM_ROW = "(e.store, e.key) >= ($1, $2)";
const IN_RANGE = "e.store = $1 AND ($3::text IS NULL OR e.key < $3)";
/** A value, or NULL where it is larger than the client can receive: its length is known unread. */
const VALUE = `CASE WHEN octet_length(e.value) <= ${MAX_VALUE} THEN e.value END`;
const ENTRY =
  `${VALUE}, e.timestamp, e.expires_at, (e.expires_at - ${NOW})::float8, e.revision, e.long_key`;
const OVERWRITE = "UPDATE SET value = excluded.value, timestamp = excluded.timestamp, " +
  "expires_at = excluded.expires_at, revision = excluded.revision, long_key = excluded.long_key";
/** A statement about a range: one that ends before a key, or where the store does. */
export interface RangeQuery {
  readonly before: PostgresQuery;
  readonly toEnd: PostgresQuery;
}

/** A mark of a write: 53 random bits, a number in JavaScript and in most other places. */
export const REVISION = "(random() * 9007199254740991)::bigint";

export type PostgresQueries = ReturnType<typeof tableQueries>;

/** What to ask of a table. */
export function tableQueries(parts: readonly string[]) {
  const table = parts.map(quote).join(".");
  const statement = (name: string, text: string): PostgresQuery => ({
    // A connection may be about several tables, and several versions of this package.
    name: `hashstash_${name}_${digest(text)}`,
    text,
    rowMode: "array",
  });

  /** Of all rows in a range. Two statements, as each value must be one that the index can be asked by. */
  const ranged = (name: string, text: (range: string) => string): RangeQuery => ({
    before: statement(name, text("e.store = $1 AND e.key >= $2 AND e.key < $3")),
    toEnd: statement(name, text("e.store = $1 AND e.key >= $2 AND $3::text IS NULL")),
  });

  const columns = "(store, key, long_key, value, timestamp, expires_at)";
  const values = `$1, $2, $3, $4::bytea, $5::bigint, ${deadline("$6", "$7")}`;
  const insert = `INSERT INTO ${table} AS e ${columns}`;
  const overwrite = `ON CONFLICT (store, key) DO ${OVERWRITE}`;
  const expired = `WHERE NOT ${isLive("e")}`;
  const own = "e.store = $1 AND e.key = $2";
  const replace =
    `UPDATE ${table} e SET long_key = $3, value = $4::bytea, timestamp = $5::bigint, ` +
    `expires_at = ${deadline("$6", "$7")}, revision = ${REVISION} ` +
    `WHERE ${own} AND e.revision = $8::bigint AND ${isLive("e")}`;
  const remove = `DELETE FROM ${table} e WHERE ${own} AND e.revision = $3::bigint AND ${
    isLive("e")
  }`;
  const isAbsent = `SELECT WHERE NOT EXISTS (SELECT FROM ${table} e WHERE ${own} AND ${
    isLive("e")
  })`;

  /**
   * Both rows are locked, in one order wherever they are locked: two who guard their entries by each
   * other's wait instead of being stopped by Postgres. Counted, so that both are before anything else
   * is looked at. What is then found out about the guard holds until the statement has ended.
   *
   * @param first The number of the first of three parameters: store, key and revision of the guard.
   */
  const guarded = (first: number, action: (guard: string) => string) => {
    const [store, key, revision] = [first, first + 1, first + 2].map((number) => `$${number}`);
    const locked = `WITH locked AS MATERIALIZED (SELECT e.store, e.key, e.revision, e.expires_at ` +
      `FROM ${table} e WHERE (e.store, e.key) IN (($1, $2), (${store}, ${key})) ` +
      `ORDER BY e.store, e.key FOR UPDATE) `;
    return locked + action(
      `(SELECT count(*) FROM locked l WHERE l.store = ${store} AND l.key = ${key} ` +
        `AND l.revision = ${revision}::bigint AND ${isLive("l")}) = 1`,
    );
  };

  return {
    /** store, key */
    get: statement("get", `SELECT ${ENTRY} FROM ${table} e WHERE ${own} AND ${isLive("e")}`),
    /** store, key */
    getValue: statement(
      "getValue",
      `SELECT ${VALUE}, e.long_key FROM ${table} e WHERE ${own} AND ${isLive("e")}`,
    ),
    /** store, keys */
    getMany: statement(
      "getMany",
      `SELECT e.key, ${ENTRY} FROM ${table} e ` +
        `WHERE e.store = $1 AND e.key = ANY ($2::text[]) AND ${isLive("e")}`,
    ),
    /** store, keys */
    getValues: statement(
      "getValues",
      `SELECT e.key, ${VALUE}, e.long_key FROM ${table} e ` +
        `WHERE e.store = $1 AND e.key = ANY ($2::text[]) AND ${isLive("e")}`,
    ),
    /** store, key */
    has: statement("has", `SELECT FROM ${table} e WHERE ${own} AND ${isLive("e")}`),
    /** store, key, long_key, value, timestamp, deadline, time left */
    set: statement("set", `${insert} VALUES (${values}) ${overwrite}`),
    /** store, keys, long_keys, values, timestamps, deadlines, times left */
    setMany: statement(
      "setMany",
      `${insert} SELECT $1, n.key, n.long_key, n.value, n.timestamp, ` +
        `${
          deadline("n.deadline", "n.time_left")
        } FROM unnest($2::text[], $3::text[], $4::bytea[], ` +
        `$5::bigint[], $6::bigint[], $7::bigint[]) ` +
        `AS n(key, long_key, value, timestamp, deadline, time_left) ` +
        // In one order for all who write many: nobody waits for who waits for him.
        `ORDER BY n.key COLLATE "C" ${overwrite}`,
    ),
    /** store, key */
    delete: statement("delete", `DELETE FROM ${table} e WHERE ${own} AND ${isLive("e")}`),
    /** store, keys */
    deleteMany: statement(
      "deleteMany",
      `WITH locked AS MATERIALIZED (SELECT e.key FROM ${table} e WHERE e.store = $1 ` +
        `AND e.key = ANY ($2::text[]) AND ${isLive("e")} ORDER BY e.key FOR UPDATE) ` +
        `DELETE FROM ${table} e USING locked l WHERE e.store = $1 AND e.key = l.key`,
    ),
    /** store, keys, revisions; the places of those that were removed, from 1 */
    deleteUnchanged: statement(
      "deleteUnchanged",
      `WITH locked AS MATERIALIZED (SELECT e.key, e.revision, n.place FROM ${table} e ` +
        `JOIN unnest($2::text[], $3::text[]) WITH ORDINALITY AS n(key, revision, place) ` +
        `ON e.key = n.key AND e.revision = n.revision::bigint ` +
        `WHERE e.store = $1 AND ${isLive("e")} ORDER BY e.key FOR UPDATE OF e) ` +
        `DELETE FROM ${table} e USING locked l ` +
        `WHERE e.store = $1 AND e.key = l.key AND e.revision = l.revision RETURNING l.place::int`,
    ),
    /** as set */
    add: statement("add", `${insert} VALUES (${values}) ${overwrite} ${expired}`),
    /** as set; revision */
    replace: statement("replace", replace),
    /** store, key, revision */
    remove: statement("remove", remove),
    /** store, key */
    isAbsent: statement("isAbsent", isAbsent),
    /** as set; the guard's store, key, revision */
    addGuarded: statement(
      "addGuarded",
      guarded(8, (guard) => `${insert} SELECT ${values} WHERE ${guard} ${overwrite} ${expired}`),
    ),
    /** as replace; the guard */
    replaceGuarded: statement("replaceGuarded", guarded(9, (guard) => `${replace} AND ${guard}`)),
    /** as remove; the guard */
    removeGuarded: statement("removeGuarded", guarded(4, (guard) => `${remove} AND ${guard}`)),
    /** as isAbsent; the guard */
    isAbsentGuarded: statement(
      "isAbsentGuarded",
      guarded(3, (guard) => `${isAbsent} AND ${guard}`),
    ),
    /** range, limit: of so many rows also those that have expired, and whether they have. */
    keys: statement(
      "keys",
      `SELECT e.key, e.long_key, ${isLive("e")} FROM (SELECT * FROM ${table} e WHERE ${FROM_ROW} ` +
        `ORDER BY e.store, e.key LIMIT $4) e WHERE ${IN_RANGE} ORDER BY e.key`,
    ),
    /**
     * range, limit, bytes: as `keys`, of rows that have no more bytes of values, and of the first one.
     */
    entries: statement(
      "entries",
      `SELECT e.key, ${ENTRY}, e.is_live FROM (SELECT e.*, sum(octet_length(e.value)) ` +
        `OVER (ORDER BY e.key) AS bytes, row_number() OVER (ORDER BY e.key) AS row ` +
        `FROM (SELECT e.store, e.key, e.long_key, e.timestamp, e.expires_at, e.revision, ` +
        `${isLive("e")} AS is_live, CASE WHEN ${isLive("e")} THEN e.value ELSE '' END AS value ` +
        `FROM ${table} e WHERE ${FROM_ROW} ORDER BY e.store, e.key LIMIT $4) e WHERE ${IN_RANGE}) e ` +
        `WHERE e.bytes <= $5 OR e.row = 1 ORDER BY e.key`,
    ),
    /** range */
    size: ranged(
      "size",
      // What has expired is in an index of its own, and to count the rest the other one is enough.
      (range) =>
        `SELECT (SELECT count(*) FROM ${table} e WHERE ${range}) - ` +
        `(SELECT count(*) FROM ${table} e WHERE e.expires_at <= (SELECT ${NOW}) AND ${range})`,
    ),
    /** from this store on, before that one */
    stores: statement(
      "stores",
      // From each to the next by the index: not by all their rows.
      `WITH RECURSIVE found AS ((SELECT e.store FROM ${table} e ` +
        `WHERE e.store >= $1 AND e.store < $2 ORDER BY e.store LIMIT 1) ` +
        `UNION ALL SELECT (SELECT e.store FROM ${table} e ` +
        `WHERE e.store > f.store AND e.store < $2 ORDER BY e.store LIMIT 1) ` +
        `FROM found f WHERE f.store IS NOT NULL) SELECT store FROM found WHERE store IS NOT NULL`,
    ),
    /** range */
    usage: ranged(
      "usage",
      (range) =>
        `SELECT count(*), coalesce(sum(octet_length(coalesce(e.long_key, e.key)) + ` +
        `octet_length(e.value)), 0), max(e.timestamp) FROM ${table} e WHERE ${range} ` +
        `AND ${isLive("e")}`,
    ),
    /** range */
    byteSize: ranged(
      "byteSize",
      // Values as they are stored; store and key twice, as the index has them too; what a row has
      // besides: its header and numbers, and its entry in the index.
      (range) =>
        `SELECT coalesce(sum(pg_column_size(e.value) + 2 * pg_column_size(e.store) + ` +
        `2 * pg_column_size(e.key) + coalesce(pg_column_size(e.long_key), 0) + 72), 0) ` +
        `FROM ${table} e WHERE ${range}`,
    ),
    /** range, how many: where the part of it ends that has so many rows. */
    step: statement(
      "step",
      `SELECT e.key FROM (SELECT * FROM ${table} e WHERE ${FROM_ROW} ` +
        `ORDER BY e.store, e.key OFFSET $4 LIMIT 1) e WHERE ${IN_RANGE}`,
    ),
    /** range */
    // Its rows are locked as they are found: in their order it would take 2 to 4 × as long. Of two who
    // then wait for each other Postgres stops one, and that is done again.
    clear: ranged("clear", (range) => `DELETE FROM ${table} e WHERE ${range}`),
    /** range, limit */
    prune: ranged(
      "prune",
      (range) =>
        `WITH locked AS MATERIALIZED (SELECT e.store, e.key FROM ${table} e ` +
        `WHERE e.expires_at <= (SELECT ${NOW}) AND ${range} LIMIT $4 FOR UPDATE SKIP LOCKED) ` +
        `DELETE FROM ${table} e USING locked l WHERE e.store = l.store AND e.key = l.key`,
    ),
    /** range */
    count: ranged("count", (range) => `SELECT count(*) FROM ${table} e WHERE ${range}`),
    /** range, the longest whole key, limit */
    odd: ranged(
      "odd",
      (range) =>
        `SELECT e.key, e.long_key FROM ${table} e WHERE ${range} ` +
        `AND (e.long_key IS NOT NULL OR octet_length(e.key) > $4) ORDER BY e.store, e.key LIMIT $5`,
    ),
  };
}

/** Tells texts apart. */
function digest(text: string): string {
  let sum = 5381;
  for (let i = 0; i < text.length; i++) sum = (sum * 33 ^ text.charCodeAt(i)) >>> 0;
  return sum.toString(36);
}
