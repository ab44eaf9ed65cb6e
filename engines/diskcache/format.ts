/** How keys, rows and values look in the directory, and the reverse. */
import { nodeZlib } from "../../codec/compressors/zlib.ts";
import { DecodeError } from "../../codec/errors.ts";
import { decodeKey, encodeKey } from "../../codec/key.ts";
import { isSealed } from "../../codec/seal.ts";
import { hashstash } from "../../codec/serializers/hashstash.ts";
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import type { SqlValue } from "../sqlite/driver.ts";
import { firstAfter } from "../sqlite/format.ts";
import type { ValueFiles } from "./files.ts";

/**
 * A key as SQLite has it: an integer is a bigint, any number a float.
 *
 * Text is Python's `str`, a number `int` or `float`, a bigint that no number can stand for `int`,
 * bytes are `bytes`. Every other key is stored as its canonical text, a `str` that begins with
 * U+0001; any other `str` that begins so is the string that it is. SQLite takes an `int` and a `float` of the same value for the same key, as Python does.
 */
export type SqlKey = Exclude<SqlValue, null>;

/** How DiskCache stores a value: in the row, in a file of bytes or of text, as a pickle. */
export const MODE = { raw: 1, binary: 2, text: 3, pickle: 4 } as const;

/** A row, without its key. */
export interface Row {
  /** Seconds since the epoch. */
  readonly storeTime: number | null;
  /** Seconds since the epoch; null: never. */
  readonly expireTime: number | null;
  /** Of the file, in bytes. */
  readonly size: number;
  readonly mode: number;
  readonly filename: string | null;
  /**
   * What is in the row itself: bytes, a float, the digits of an integer; a text as its UTF-8 bytes,
   * as the library cuts texts at a NUL.
   */
  readonly value: SqlValue;
  readonly isText: boolean;
}

/** What a row is to hold. */
export interface NewRow {
  readonly storeTime: number;
  readonly expireTime: number | null;
  readonly size: number;
  readonly mode: number;
  readonly filename: string | null;
  /** The value, unless it is in the file. */
  readonly value: SqlValue;
  /** What Python's `evict(tag)` finds it by. */
  readonly tag: string | null;
}

/** A value as Python is to find it: in the row, or in a file of its own. */
export type NewValue =
  | { readonly mode: number; readonly inRow: SqlValue }
  | { readonly mode: number; readonly inFile: Uint8Array };

/** The first character of the canonical texts of keys that are no plain text. */
const MARK = "\u0001";
/** How canonical texts go on, roughly: a closer look would cost more than a read. */
const CANONICAL = /^["[{\d\-tfn]/;
/** What texts that are no canonical ones have before them in the database. */
const ESCAPE = `${MARK}${MARK}~`;
/** How the canonical texts go on whose keys are Python's too. */
const SHARED = /^(["\d-]|\{"\$(|bigint|Uint8Array)":)/;
const INTEGERS = 2n ** 63n;
/** First bytes of JSON. */
const QUOTE = 0x22;
const MINUS = 0x2D;
const ZERO = 0x30;
const NINE = 0x39;
/** Longer texts stay bytes: to look at them more than once would block the event loop. */
const MAX_NATIVE = 16 * 1024 * 1024;
/** The longest number of JavaScript has as many. */
const MAX_DIGITS = 25;
/** The first byte of zlib data. */
const ZLIB = 0x78;
const JSON_START = /["[{\d\-tfn]/;
/** JSON longer than this is not read. */
const MAX_JSON = 2 ** 30;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The key in the database for a text of ours. */
export function toSqlKey(text: string): SqlKey {
  if (!text.startsWith(MARK)) return text;
  const rest = text.slice(MARK.length);
  if (!SHARED.test(rest)) return CANONICAL.test(rest) ? text : ESCAPE + text;
  const key = keyOfText(text);
  switch (typeof key) {
    case "string":
      return !key.isWellFormed() || isTaken(key) ? text : key;
    case "number":
      return numberKey(key) ?? text;
    case "bigint":
      return isInteger(key) && !isExact(key) ? key : text;
    case "undefined":
      return ESCAPE + text;
    default:
      return key instanceof Uint8Array ? key : text;
  }
}

/** Our text of a key in the database: of a `str` that is no key of ours, the text of that string. */
export function fromSqlKey(key: SqlKey): string {
  if (typeof key === "string" && key.startsWith(MARK)) {
    if (isEscaped(key)) return key.slice(ESCAPE.length);
    return isOwnText(key) ? key : encodeKey(key);
  }
  if (typeof key === "bigint" || Number.isInteger(key)) {
    const integer = BigInt(key as bigint | number);
    return encodeKey(isInteger(integer) && !isExact(integer) ? integer : Number(key));
  }
  return encodeKey(key);
}

/** Whether a string can't be a `str` of its own, because another key of ours is. */
function isTaken(key: string): boolean {
  return key.startsWith(MARK) && (isOwnText(key) || isEscaped(key));
}

/** Whether a key of ours is in the database as this text, which is its canonical one. */
function isOwnText(text: string): boolean {
  return keyOfText(text) !== undefined && toSqlKey(text) === text;
}

function isEscaped(key: string): boolean {
  return key.startsWith(ESCAPE + MARK) && keyOfText(key.slice(ESCAPE.length)) === undefined;
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

/** The key of a text that `encodeKey` made; `undefined` for any other text. */
function keyOfText(text: string): unknown {
  try {
    // The text of the key `undefined` is one as well.
    return decodeKey(text) ?? null;
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

/**
 * The stored bytes of a row: bytes as they are, Python's `str`, `int` and `float` as JSON of the
 * same value.
 *
 * @returns `undefined` when its file is not there.
 * @throws {DecodeError} When it is a pickle, which only running code could read, or damaged.
 */
export function bytesOfRow(row: Row, files: ValueFiles): Awaitable<Uint8Array | undefined> {
  switch (row.mode) {
    case MODE.raw:
      return inRow(row);
    case MODE.binary:
      return whenReady(inFile(row, files), (bytes) => bytes && withoutJsonDisk(bytes));
    case MODE.text:
      return whenReady(inFile(row, files), (bytes) => bytes && textAsJson(bytes));
    case MODE.pickle:
      throw new DecodeError(
        "Its value was pickled by Python, and reading it would run code; store text, numbers or bytes there",
        { kind: "foreign" },
      );
    default:
      throw new DecodeError(`Its mode is ${row.mode}, which DiskCache does not have`);
  }
}

/**
 * How to store bytes: JSON of a text or a number as Python's `str`, `int` or `float`, when it reads
 * back as exactly the same bytes; anything else as bytes.
 *
 * @param minFileSize From this many bytes on a value goes into a file.
 */
export function newValue(bytes: Uint8Array, minFileSize: number): NewValue {
  const native = nativeOf(bytes);
  if (typeof native !== "string") {
    if (native !== undefined) return { mode: MODE.raw, inRow: native };
    return bytes.byteLength < minFileSize
      ? { mode: MODE.raw, inRow: bytes }
      : { mode: MODE.binary, inFile: bytes };
  }
  if (bytes.byteLength < minFileSize) return { mode: MODE.raw, inRow: native };
  // Python reads a file of text with all its line ends made "\n".
  return native.includes("\r")
    ? { mode: MODE.binary, inFile: bytes }
    : { mode: MODE.text, inFile: encoder.encode(native) };
}

function nativeOf(bytes: Uint8Array): string | number | bigint | undefined {
  const first = bytes[0];
  const isNumber = first === MINUS || first >= ZERO && first <= NINE;
  try {
    if (first === QUOTE && bytes.byteLength <= MAX_NATIVE) return textOf(decoder.decode(bytes));
    if (isNumber && bytes.byteLength <= MAX_DIGITS) return numberOf(decoder.decode(bytes));
  } catch {
    // Not UTF-8, or no JSON: bytes that happen to begin so.
  }
  return undefined;
}

function textOf(json: string): string | undefined {
  const text: unknown = JSON.parse(json);
  return typeof text === "string" && text.isWellFormed() && JSON.stringify(text) === json
    ? text
    : undefined;
}

function numberOf(json: string): number | bigint | undefined {
  if (/^(0|-?[1-9]\d*)$/.test(json)) {
    const integer = BigInt(json);
    if (isInteger(integer)) return integer;
  }
  const number = Number(json);
  return Number.isFinite(number) && String(number) === json ? number : undefined;
}

/**
 * Milliseconds of Python's seconds: exactly those that were stored by us, else the next that Python
 * takes for over.
 */
export function deadlineOf(seconds: number): number {
  return milliseconds(seconds, Math.ceil);
}

/** Milliseconds of the time that a row was stored. */
export function timestampOf(seconds: number): number {
  return milliseconds(seconds, Math.floor);
}

function milliseconds(seconds: number, otherwise: (value: number) => number): number {
  const nearest = Math.round(seconds * 1_000);
  return nearest / 1_000 === seconds ? nearest : otherwise(seconds * 1_000);
}

/**
 * Python's JSONDisk stores JSON compressed by zlib, under zlib's own checksum. What we compress
 * ends in a seal, which the codec checks.
 */
function withoutJsonDisk(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== ZLIB || isSealed(bytes)) return bytes;
  try {
    // The types don't know what `info` does to the result.
    const { buffer, engine } = nodeZlib().inflateSync(bytes, {
      info: true,
      maxOutputLength: MAX_JSON,
    }) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } };
    const whole = engine.bytesWritten === bytes.byteLength;
    return whole && JSON_START.test(String.fromCharCode(buffer[0])) ? buffer : bytes;
  } catch {
    // No zlib data, or damaged: the codec says so.
    return bytes;
  }
}

function inRow({ value, isText }: Row): Awaitable<Uint8Array> {
  if (value instanceof Uint8Array) return isText ? textAsJson(value) : withoutJsonDisk(value);
  // NULL is what SQLite makes of Python's NaN, and Python reads it as None.
  return typeof value === "string"
    ? encoder.encode(value)
    : hashstash.serialize(value) as Awaitable<Uint8Array>;
}

function inFile(row: Row, files: ValueFiles): Awaitable<Uint8Array | undefined> {
  if (row.filename === null) throw new DecodeError("Its row names no file");
  return whenReady(files.read(row.filename, row.size), (bytes) => {
    if (bytes === undefined || bytes.byteLength === row.size) return bytes;
    throw new DecodeError(
      `Its file "${row.filename}" has ${bytes.byteLength} bytes, and should have ${row.size}`,
    );
  });
}

function textAsJson(bytes: Uint8Array): Uint8Array {
  try {
    return encoder.encode(JSON.stringify(decoder.decode(bytes)));
  } catch (cause) {
    throw new DecodeError("Its text is not UTF-8", { cause });
  }
}
