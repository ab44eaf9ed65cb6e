/**
 * What a file of the pairtree engine holds: a line of JSON, then the value's bytes.
 *
 *     {"key":"my_key","timestamp":1760000000000,"expiresAt":1760000060000,"length":5,"crc32":494360628,"line":1037716082}
 *     value
 *
 * `crc32` is that of the value, `line` that of the line up to itself.
 */
import { crc32 } from "node:zlib";
import type { Entry, NewEntry } from "../engine.ts";

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const BRACE = 0x7d;
const ZERO = 0x30;
const LOWER_E = 0x65;
/** Where the key's JSON begins: after `{"key":`. */
const KEY_START = 7;

const LARGEST = Number.MAX_SAFE_INTEGER;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The first line of an entry's file. */
export interface Header {
  readonly timestamp: number;
  readonly expiresAt: number | undefined;
  /** Of the value: its number of bytes and their checksum. */
  readonly length: number;
  readonly crc32: number;
  /**
   * The line's bytes, its end included. Two states of an entry that have them in common are one
   * state.
   */
  readonly line: Uint8Array;
  /** Where the key's JSON ends in it. */
  readonly keyEnd: number;
}

/** What is wrong with a file, in words. */
export class Damage extends Error {
  override readonly name = "Damage";
}

/** The bytes of an entry's file. */
export function encodeRecord(key: string, { value, timestamp, expiresAt }: NewEntry): Uint8Array {
  const fields = {
    key,
    timestamp: wholeNumber(timestamp),
    expiresAt: expiresAt === undefined ? undefined : wholeNumber(expiresAt),
    length: value.byteLength,
    crc32: crc32(value),
  };
  const checked = `${JSON.stringify(fields).slice(0, -1)},"line":`;
  const line = encoder.encode(`${checked}${crc32(checked)}}\n`);
  const record = new Uint8Array(line.byteLength + value.byteLength);
  record.set(line);
  record.set(value, line.byteLength);
  return record;
}

/** A time as digits alone: the clock that it is compared with shows whole milliseconds too. */
function wholeNumber(time: number): number {
  return Math.min(Math.max(0, Math.ceil(time)), LARGEST);
}

/**
 * The first line, if the bytes hold all of it. It is a view on them.
 *
 * Read from its end, number by number: a third of what `JSON.parse` takes, and most readers know
 * the key.
 *
 * @throws {Damage} When it is not what was written.
 */
export function parseHeader(bytes: Uint8Array): Header | undefined {
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) return undefined;
  let at = end - 1;
  let colon = 0;
  const isClosed = bytes[at] === BRACE;
  const line = number();
  if (!isClosed || line !== crc32(bytes.subarray(0, colon + 1))) {
    throw new Damage("its first line is damaged");
  }
  const crc = number();
  const length = number();
  // `"expiresAt"` or `"timestamp"`: what else could be there, the checksum has excluded.
  let time = number();
  let expiresAt: number | undefined;
  if (bytes[at + 2] === LOWER_E) {
    expiresAt = time;
    time = number();
  }
  // Not NaN either, which a number of too many digits is.
  if (!(length <= LARGEST && time <= LARGEST && (expiresAt ?? 0) <= LARGEST)) {
    throw new Damage("its first line has a number that is too large");
  }
  return {
    timestamp: time,
    expiresAt,
    length,
    crc32: crc,
    line: bytes.subarray(0, end + 1),
    keyEnd: at,
  };

  /**
   * The number that ends before `at`, which then is the comma before its name; `colon` is what
   * follows the name.
   */
  function number(): number {
    let value = 0;
    for (let scale = 1;; scale *= 10) {
      const digit = bytes[--at] - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value += digit * scale;
    }
    colon = at;
    while (at > 0 && bytes[at] !== COMMA) at--;
    return value;
  }
}

/**
 * The key that a first line names.
 *
 * @throws {Damage} When it names none.
 */
export function keyOf({ line, keyEnd }: Header): string {
  let key: unknown;
  try {
    key = JSON.parse(decoder.decode(line.subarray(KEY_START, keyEnd)));
  } catch (cause) {
    throw new Damage("its first line has no key", { cause });
  }
  if (typeof key !== "string") throw new Damage("its key is not text");
  return key;
}

/** Whether a first line names this key. */
export function hasKey(header: Header, key: string): boolean {
  const { line, keyEnd } = header;
  const start = KEY_START + 1;
  if (keyEnd - 1 - start !== key.length) return keyOf(header) === key;
  for (let i = 0; i < key.length; i++) {
    // What is not ASCII, or was escaped, is read as JSON.
    const code = key.charCodeAt(i);
    if (line[start + i] !== code || code === BACKSLASH) return keyOf(header) === key;
  }
  return true;
}

/** Whether two first lines are the same. */
export function isSameLine(one: Uint8Array, other: unknown): boolean {
  return other instanceof Uint8Array && one.byteLength === other.byteLength &&
    one.every((byte, i) => byte === other[i]);
}

/**
 * @throws {Damage} When the value is not what was written with this header.
 */
export function checkValue({ length, crc32: expected }: Header, value: Uint8Array): void {
  if (value.byteLength !== length) {
    throw new Damage(`it has ${value.byteLength} bytes of value, ${length} were written`);
  }
  if (crc32(value) !== expected) throw new Damage("its value does not match its checksum");
}

/** The entry of a header and its value. */
export function entryOf({ timestamp, expiresAt, line }: Header, value: Uint8Array): Entry {
  return { value, timestamp, expiresAt, revision: line };
}
