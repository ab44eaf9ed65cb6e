/** How stores, keys and entries look in the table, and what goes to the server and comes from it. */
import { Buffer, constants } from "node:buffer";
import { DecodeError } from "../../codec/errors.ts";
import { hash } from "../../codec/hash.ts";
import type { EngineLocation, Entry, NewEntry } from "../engine.ts";
import { textAfter } from "../text_range.ts";

/**
 * The longest store and key, in bytes. Postgres takes 2,704 in an entry of its index for both of them
 * and what it adds.
 */
const MAX_STORE = 1_000;
export const MAX_KEY = 1_600;
/** How much of a longer key is in the index: with its hash it is longer than any whole one. */
const CUT = 1_540;
/**
 * What the client can receive of one value, bytes: it comes as `\\x` and two digits for each byte, and
 * npm:pg makes one string of all that. Of a longer one it throws where nobody can catch it.
 */
export const MAX_VALUE = Math.floor((constants.MAX_STRING_LENGTH - 2) / 2);

/** The column `store` of a location: `name:dbname`, with `%` and `:` in them percent-encoded. */
export function storeText({ name, dbname }: EngineLocation): string {
  const text = `${segment(name)}:${segment(dbname)}`;
  const { length } = Buffer.from(text);
  if (length <= MAX_STORE) return text;
  throw new RangeError(
    `Name and dbname are too long for engine "postgres": ${length} bytes, at most ${MAX_STORE}`,
  );
}

/**
 * The dbname of a store nested in another one, inside it; `undefined` for one that has none of our
 * names.
 */
export function nestedName(outer: string, store: string): string | undefined {
  const inside = store.slice(outer.length + 1);
  const dbname = inside.replace(/%(25|3A)/g, decodeURIComponent);
  return inside !== "" && segment(dbname) === inside ? dbname : undefined;
}

function segment(name: string): string {
  return name.replace(/[%:]/g, encodeURIComponent);
}

/** A key as the table has it. */
export interface PostgresKey {
  /** The column `key`: the key, or the beginning of a long one and its hash. */
  readonly key: string;
  /** The column `long_key`: the whole key where the other one has not room for it. */
  readonly longKey: string | null;
}

/** A key as the table has it. */
export function toKey(key: string): PostgresKey {
  if (isShort(key)) return { key, longKey: null };
  return { key: `${beginningOf(key)}~${hash(key)}`, longKey: key };
}

/** Whether the index has room for the whole of a key; with a prefix of this kind, too. */
export function isShort(key: string, limit = MAX_KEY): boolean {
  return key.length * 3 <= limit || Buffer.byteLength(key) <= limit;
}

function beginningOf(key: string): string {
  const bytes = Buffer.from(key);
  let end = CUT;
  // Not within a character.
  while ((bytes[end] & 0xC0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** A part of a store in the order of its keys: from this key on, up to before that one or the end. */
export type PostgresRange = readonly [store: string, from: string, to: string | null];

/**
 * The rows of a store whose keys begin with a prefix; where that is longer than what the index has of
 * a long key, some more.
 */
export function rangeOf(store: string, prefix: string): PostgresRange {
  const beginning = isShort(prefix, CUT) ? prefix : beginningOf(prefix);
  return [store, beginning, textAfter(beginning) ?? null];
}

/** Whether the range of a prefix has no other keys. */
export function isExactRange(prefix: string): boolean {
  return isShort(prefix, CUT);
}

/** Between which names those of the stores are that are nested in one, however deep. */
export function nestedStores(store: string): [from: string, to: string] {
  return [`${store}/`, `${store}0`];
}

/** The range of what comes after a row. */
export function rangeAfter([store, , to]: PostgresRange, key: string): PostgresRange {
  // NUL is in no text of Postgres.
  return [store, `${key}\u0001`, to];
}

/** What a query takes: npm:pg sends bytes as they are and all else as text. */
export type PostgresValue = string | number | Buffer | null;

/** The bytes of a value as npm:pg sends them. */
export function toBytes({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  if (byteLength > MAX_VALUE) {
    throw new RangeError(
      `A value of ${byteLength} bytes is too large for engine "postgres": it takes ${MAX_VALUE}`,
    );
  }
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** A time as the table has it, ms since the epoch. */
export function toTime(ms: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Math.ceil(ms), Number.MAX_SAFE_INTEGER));
}

/**
 * A deadline for a query: a point in time, or else the time that is left.
 *
 * @param agree Whether the server's clock shows the same time as ours.
 */
export function toDeadline(
  { expiresAt }: NewEntry,
  agree: boolean,
): [deadline: number | null, left: number | null] {
  if (expiresAt === undefined) return [null, null];
  return agree ? [toTime(expiresAt), null] : [null, toTime(expiresAt - Date.now())];
}

const TYPES = { text: 25, bytea: 17, bigint: 20 } as const;

/** An array for a query, as Postgres itself has it: npm:pg would make text of it, in 3 × the time. */
export function toArray(
  type: keyof typeof TYPES,
  items: readonly (string | number | Buffer | null)[],
): Buffer {
  const parts = items.map((item) =>
    typeof item === "string" ? Buffer.from(item) : typeof item === "number" ? toBigint(item) : item
  );
  let size = 20;
  for (const part of parts) size += 4 + (part?.byteLength ?? 0);
  const array = Buffer.allocUnsafe(size);
  // Its dimensions, whether there are NULLs, the type; of the only dimension length and first index.
  const header = [items.length === 0 ? 0 : 1, Number(items.includes(null)), TYPES[type]];
  let at = 0;
  for (const number of items.length === 0 ? header : [...header, items.length, 1]) {
    at = array.writeInt32BE(number, at);
  }
  for (const part of parts) {
    at = array.writeInt32BE(part?.byteLength ?? -1, at);
    if (part !== null) at += part.copy(array, at);
  }
  return array.subarray(0, at);
}

function toBigint(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(BigInt(number));
  return bytes;
}

/** A row of a key: key, long_key, whether its deadline has not come yet. */
export type KeyRow = [key: string, longKey: string | null, isLive: boolean];

/** The value of a row; `null`: it is longer than what the client can receive. */
export type ValueColumn = Buffer | null;

/** A row of an entry: value, timestamp, expires_at, the time that is left, revision, long_key. */
export type EntryRow = [
  value: ValueColumn,
  timestamp: string,
  expiresAt: string | null,
  left: string | null,
  revision: string,
  longKey: string | null,
];

/**
 * The value of a row.
 *
 * @throws {DecodeError} When it did not come with the row.
 */
export function toValue(key: string, value: ValueColumn): Buffer {
  if (value !== null) return value;
  throw new DecodeError(
    `its value is larger than the client can receive, ${MAX_VALUE} bytes; another program put it ` +
      `there: delete the entry, or read it by SQL`,
    { key, kind: "foreign" },
  );
}

/**
 * The entry of a row.
 *
 * @param agree Whether the server's clock shows the same time as ours.
 * @throws {DecodeError} When its value did not come with the row.
 */
export function toEntry(
  key: string,
  [value, timestamp, expiresAt, left, revision]: EntryRow,
  agree: boolean,
): Entry {
  const entry = { value: toValue(key, value), timestamp: Number(timestamp), revision };
  if (expiresAt === null) return entry;
  return { ...entry, expiresAt: agree ? Number(expiresAt) : Math.ceil(Date.now() + Number(left)) };
}
