/**
 * How an entry stands in LMDB.
 *
 * Key: the text in UTF-8. LMDB takes 1,978 bytes, so of a longer one stand the first bytes, 0xFF
 * (which UTF-8 never has) and the SHA-256 of the whole, in the place that the text would have in
 * the order of keys; the text itself is in the value. The empty text, which LMDB doesn't take, is
 * 0xFF.
 *
 * Value, after the 8 bytes in which npm:lmdb keeps an entry's version (little-endian):
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 4 | 1, the number of this layout |
 * | 4 | 4 | CRC-32 of the LMDB key and of all that follows: LMDB itself has no checksums |
 * | 8 | 8 | when the value was set, ms since the epoch, a double |
 * | 16 | 8 | from when on the entry is absent, likewise; Infinity: never |
 * | 24 | 4 | the length of the text that follows when the key is shortened, else 0 |
 * | 28 | | that text, then the value |
 */
import { decodeHex } from "@std/encoding/hex";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { hash } from "../../codec/hash.ts";
import type { NewEntry } from "../engine.ts";

const LAYOUT = 1;
const HEADER = 28;
const CHECKED = 8;
/**
 * The longest LMDB key: what LMDB takes less 8 bytes, for the deadline in the index, and some to
 * spare.
 */
const MAX_KEY = 1_900;
const DIGEST = 32;
const KEPT = MAX_KEY - DIGEST - 1;
const MARK = 0xFF;
const EMPTY = Uint8Array.of(MARK);
const NO_TEXT = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What is read of an entry. */
export interface LmdbRecord {
  readonly timestamp: number;
  /** Infinity: never. */
  readonly expiresAt: number;
  /** The text of a shortened key. */
  readonly key: string | undefined;
  /** What the checksum is of, in the record's own memory. */
  readonly body: Uint8Array;
  /** Where in it the value begins. */
  readonly start: number;
}

/** Bytes that are damaged, or not what this engine wrote under this key. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** The LMDB key of a text. */
export function toLmdbKey(text: string): Uint8Array {
  // Out of a pool: a TextEncoder takes thrice as long for a short text.
  const bytes = Buffer.from(text);
  return bytes.length === 0 ? EMPTY : bytes.length <= MAX_KEY ? bytes : shorten(bytes);
}

/**
 * The text of an LMDB key, or `undefined` for a shortened one, whose record has it.
 *
 * @throws {RecordError} When it has none.
 */
export function textOfLmdbKey(lmdbKey: Uint8Array): string | undefined {
  if (isShortened(lmdbKey)) return undefined;
  if (lmdbKey.length === 1 && lmdbKey[0] === MARK) return "";
  return textIn(lmdbKey);
}

/**
 * Where the keys begin whose texts begin with this one; later ones may not. `undefined`: at the
 * first key.
 */
export function firstLmdbKey(prefix: string): Uint8Array | undefined {
  return prefix === "" ? undefined : encoder.encode(prefix).subarray(0, KEPT);
}

function shorten(bytes: Uint8Array): Uint8Array {
  const lmdbKey = new Uint8Array(MAX_KEY);
  lmdbKey.set(bytes.subarray(0, KEPT));
  lmdbKey[KEPT] = MARK;
  lmdbKey.set(decodeHex(hash(bytes)), KEPT + 1);
  return lmdbKey;
}

function isShortened(lmdbKey: Uint8Array): boolean {
  return lmdbKey.length === MAX_KEY && lmdbKey[KEPT] === MARK;
}

/** An entry on its way into the database. */
export interface PackedEntry {
  readonly lmdbKey: Uint8Array;
  readonly record: Uint8Array;
  readonly expiresAt: number;
}

/**
 * The records of entries, side by side in one buffer: one for each would cost as much again as all
 * the rest.
 */
export function packEntries(pairs: readonly [string, NewEntry][]): PackedEntry[] {
  const packed = new Array<PackedEntry>(pairs.length);
  let size = 0;
  for (const [key, { value }] of pairs) size += HEADER + value.length + longTextSize(key);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let start = 0;
  for (let i = 0; i < pairs.length; i++) {
    const [key, { value, timestamp, expiresAt = Infinity }] = pairs[i];
    const lmdbKey = toLmdbKey(key);
    const text = isShortened(lmdbKey) ? encoder.encode(key) : NO_TEXT;
    const end = start + HEADER + text.length + value.length;
    view.setUint32(start, LAYOUT, true);
    view.setFloat64(start + 8, timestamp, true);
    view.setFloat64(start + 16, expiresAt, true);
    view.setUint32(start + 24, text.length, true);
    if (text.length > 0) bytes.set(text, start + HEADER);
    bytes.set(value, end - value.length);
    const record = bytes.subarray(start, end);
    view.setUint32(start + 4, checksum(lmdbKey, record), true);
    packed[i] = { lmdbKey, record, expiresAt };
    start = end;
  }
  return packed;
}

/** At most how many bytes of a shortened key's text are in the record. */
function longTextSize(key: string): number {
  return 3 * key.length > MAX_KEY ? 3 * key.length : 0;
}

/**
 * Reads a record.
 *
 * @param record Also a buffer of npm:lmdb, which has a `length` of its own and more behind it.
 * @throws {RecordError} When the bytes are damaged, or not what this engine wrote.
 */
export function unpackRecord(lmdbKey: Uint8Array, record: Uint8Array): LmdbRecord {
  const { buffer, byteOffset, length } = record;
  if (length < HEADER) throw new RecordError("the entry is too short");
  const view = viewOf(record);
  if (view.getUint32(byteOffset, true) !== LAYOUT) {
    throw new RecordError("the entry is damaged, or another program's");
  }
  const body = new Uint8Array(buffer, byteOffset + CHECKED, length - CHECKED);
  if (view.getUint32(byteOffset + 4, true) !== crc32(body, crc32(lmdbKey))) {
    throw new RecordError("the entry is damaged: its checksum is another");
  }
  const timestamp = view.getFloat64(byteOffset + 8, true);
  const expiresAt = view.getFloat64(byteOffset + 16, true);
  const start = HEADER - CHECKED + view.getUint32(byteOffset + 24, true);
  if (start > body.length || !Number.isFinite(timestamp) || Number.isNaN(expiresAt)) {
    throw new RecordError("the entry lacks what every entry has");
  }
  const isShort = start === HEADER - CHECKED;
  const key = isShort ? undefined : textIn(body.subarray(HEADER - CHECKED, start));
  if (key !== undefined && Buffer.compare(toLmdbKey(key), lmdbKey) !== 0) {
    throw new RecordError("another key is in its place");
  }
  return { timestamp, expiresAt, key, body, start };
}

let lastView: DataView = new DataView(new ArrayBuffer(0));

/** npm:lmdb reads all values into one buffer. */
function viewOf({ buffer }: Uint8Array): DataView {
  if (lastView.buffer !== buffer) lastView = new DataView(buffer);
  return lastView;
}

function textIn(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new RecordError("its key is not text in UTF-8", { cause });
  }
}

function checksum(lmdbKey: Uint8Array, record: Uint8Array): number {
  return crc32(record.subarray(CHECKED), crc32(lmdbKey));
}

/** The key in the index of deadlines: ordered by time. */
export function toDeadlineKey(expiresAt: number, lmdbKey: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + lmdbKey.length);
  // The bytes of doubles are in the order of the numbers when none is negative.
  new DataView(bytes.buffer).setFloat64(0, Math.max(0, expiresAt));
  bytes.set(lmdbKey, 8);
  return bytes;
}

/** The deadline and the LMDB key in a key of the index. */
export function readDeadlineKey(bytes: Uint8Array): [deadline: number, lmdbKey: Uint8Array] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return [bytes.length < 8 ? 0 : view.getFloat64(0), bytes.subarray(8)];
}
