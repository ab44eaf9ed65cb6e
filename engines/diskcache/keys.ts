/**
 * Our keys as Python's, and the reverse: text is `str`, a number `int` or `float`, a bigint that no
 * number can stand for `int`, bytes are `bytes`. Every other key is stored as its canonical text, a
 * `str` that begins with U+0001.
 *
 * SQLite takes an `int` and a `float` of the same value for the same key, as Python does.
 */
import { DecodeError } from "../../codec/errors.ts";
import { decodeKey, encodeKey } from "../../codec/key.ts";
import { firstAfter } from "../sqlite/text.ts";
import type { SqlValue } from "../sqlite/driver.ts";

/** A key as SQLite has it: an integer is a bigint, any number a float. */
export type SqlKey = Exclude<SqlValue, null>;

/** The first character of the canonical texts of keys that are no plain text. */
const MARK = "\u0001";
/** How the canonical texts go on whose keys are Python's too. */
const SHARED = /^(["\d-]|\{"\$(|bigint|Uint8Array)":)/;
const INTEGERS = 2n ** 63n;

/** The key in the database for a canonical text. */
export function toSqlKey(text: string): SqlKey {
  if (!text.startsWith(MARK) || !SHARED.test(text.slice(MARK.length))) return text;
  const key = canonicalKey(text);
  switch (typeof key) {
    case "string":
      return key.startsWith(MARK) || !key.isWellFormed() ? text : key;
    case "number":
      return numberKey(key) ?? text;
    case "bigint":
      return isInteger(key) && !isExact(key) ? key : text;
    default:
      return key instanceof Uint8Array ? key : text;
  }
}

/**
 * The canonical text of a key in the database; `undefined` for a `str` that would be mistaken for
 * another key's text.
 */
export function fromSqlKey(key: SqlKey): string | undefined {
  if (typeof key === "string" && key.startsWith(MARK)) {
    return toSqlKey(key) === key ? key : undefined;
  }
  if (typeof key === "bigint" || Number.isInteger(key)) {
    const integer = BigInt(key as bigint | number);
    return encodeKey(isInteger(integer) && !isExact(integer) ? integer : Number(key));
  }
  return encodeKey(key);
}

/**
 * The range in the database, from the start on and up to the end, of all keys whose canonical texts
 * begin with the prefix.
 */
export function keyRange(prefix: string): { start: SqlKey; end?: SqlValue } {
  // Marked texts are spread over all types: the caller picks.
  if (prefix === "" || prefix.startsWith(MARK)) return { start: -Infinity };
  return { start: prefix, end: firstAfter(prefix) };
}

/** The key of a text that `encodeKey` made; `undefined` for another's. */
function canonicalKey(text: string): unknown {
  try {
    return decodeKey(text);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** A number as Python would store it, if SQLite takes no other key of ours for the same. */
function numberKey(key: number): SqlKey | undefined {
  if (Number.isNaN(key)) return undefined;
  if (!Number.isInteger(key)) return key;
  const integer = BigInt(key);
  if (!isInteger(integer)) return key;
  return isExact(integer) ? integer : undefined;
}

/** Whether SQLite stores it as an integer. */
function isInteger(value: bigint): boolean {
  return value >= -INTEGERS && value < INTEGERS;
}

/** Whether a number stands for exactly this integer, also when printed. */
function isExact(value: bigint): boolean {
  return String(Number(value)) === String(value);
}
