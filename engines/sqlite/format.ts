/** How dbnames, keys and entries look in the database. */
import { DecodeError } from "../../codec/errors.ts";
import type { Entry, NewEntry } from "../engine.ts";
import { encodeSegment } from "../location.ts";
import { textAfter } from "../text_range.ts";
import type { SqlValue } from "./driver.ts";

/** SQLite's limit for a row, less what is in it besides the value. */
const MAX_BYTES = 1_000_000_000 - 1_000;

/**
 * The table of a dbname: the dbname itself, where it is lower case and plain. SQLite takes names
 * that differ in case for the same, and keeps those that begin with `sqlite_` to itself.
 */
export function tableName(dbname: string): string {
  const name = dbname.split("/").map(encodeSegment).join("/");
  return name.startsWith("sqlite_") ? `~${name}` : name;
}

/**
 * What the definition of a table says of the dbname that its name does not tell, a comment: SQLite
 * keeps a definition as it was written, and the shell's `.schema` shows it.
 */
export function noteOf(dbname: string): string {
  if (tableName(dbname) === dbname) return "";
  return `/* ${JSON.stringify(dbname).replaceAll("*", "\\u002a")} */ `;
}

/** The dbname of a table, by its name and definition; `undefined` when these don't tell. */
export function dbnameOf(name: string, definition: string): string | undefined {
  if (tableName(name) === name) return name;
  const [, note] = /^[^*]*\(\/\* ("[^*]*") \*\/ /.exec(definition) ?? [];
  try {
    const dbname: unknown = JSON.parse(note ?? "null");
    return typeof dbname === "string" && tableName(dbname) === name ? dbname : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A name in SQL. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * What comes right after all texts that begin with the prefix, in SQLite's order: that of the code
 * points, and any blob after any text.
 */
export function firstAfter(prefix: string): SqlValue {
  return textAfter(prefix) ?? new Uint8Array(0);
}

/**
 * The keys of a page, without those that aren't UTF-8: what the library made of them is no key.
 *
 * @throws {DecodeError} When none is left of a page, because nobody could tell where to go on.
 */
export function withoutGarbled<T>(page: T[], has: (key: T) => boolean): T[] {
  const isGarbled = (key: T) => typeof key === "string" && key.includes("\uFFFD") && !has(key);
  if (!page.some(isGarbled)) return page;
  const keys = page.filter((key) => !isGarbled(key));
  if (keys.length > 0) return keys;
  throw new DecodeError("There are keys that are not UTF-8; check({ fix: true }) removes them");
}

/** The times that JavaScript knows reach so far from the epoch, ms. */
export const LAST_TIME = 8.64e15;

/** The entry of a row: the value as bytes, timestamp, expires_at, revision. */
export function toEntry(key: string, [value, timestamp, expiresAt, revision]: SqlValue[]): Entry {
  if (!(value instanceof Uint8Array)) throw new DecodeError("Its row has no value", { key });
  const entry = { value, timestamp: time("timestamp", timestamp, key), revision };
  return expiresAt === null ? entry : { ...entry, expiresAt: time("expires_at", expiresAt, key) };
}

/** A time of a row, which may be of another program's making. */
function time(column: string, value: SqlValue, key: string): number {
  if (typeof value === "number" && Math.abs(value) <= LAST_TIME) return value;
  throw new DecodeError(`Its ${column} is no time in milliseconds`, { key });
}

/**
 * Refuses what SQLite can't hold.
 *
 * @throws {RangeError} When key and value are too large for a row.
 */
export function checkSize(key: string, { value }: NewEntry): void {
  if (key.length + value.byteLength <= MAX_BYTES) return;
  throw new RangeError(
    `Cannot set entry in engine "sqlite": its value has ${value.byteLength} bytes, and SQLite takes ` +
      `${MAX_BYTES} at most; split it or use another engine`,
  );
}
