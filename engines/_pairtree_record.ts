/**
 * What a file of the pairtree engine holds: a line of JSON, then the value's bytes.
 *
 *     {"key":"my_key","timestamp":1760000000000,"expiresAt":1760000060000,"length":5,"crc32":907060870,"line":3205347364}
 *     value
 *
 * `crc32` is that of the value, `line` that of the line up to the comma before it.
 */
import { crc32 } from "node:zlib";
import type { Entry, NewEntry } from "./engine.ts";

const NEWLINE = 0x0a;
const COMMA = 0x2c;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The first line of an entry's file. */
export interface Header {
  readonly key: string;
  readonly timestamp: number;
  readonly expiresAt?: number;
  readonly length: number;
  readonly crc32: number;
  readonly line: number;
  /** The line itself. Two states of an entry that have it in common are one state: it is the entry's revision. */
  readonly text: string;
  /** Where the value begins. */
  readonly end: number;
}

/** What is wrong with a file, in words. */
export class Damage extends Error {
  override readonly name = "Damage";
}

/** The bytes of an entry's file. */
export function encodeRecord(key: string, { value, timestamp, expiresAt }: NewEntry): Uint8Array {
  const fields = { key, timestamp, expiresAt, length: value.byteLength, crc32: crc32(value) };
  const checked = JSON.stringify(fields).slice(0, -1);
  const line = encoder.encode(`${checked},"line":${crc32(checked)}}\n`);
  const record = new Uint8Array(line.byteLength + value.byteLength);
  record.set(line);
  record.set(value, line.byteLength);
  return record;
}

/**
 * The first line, if the bytes hold all of it.
 *
 * @throws {Damage} When it is not what was written.
 */
export function parseHeader(bytes: Uint8Array): Header | undefined {
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) return undefined;
  const text = decoder.decode(bytes.subarray(0, end));
  const fields = parse(text);
  if (fields?.line !== crc32(bytes.subarray(0, bytes.lastIndexOf(COMMA, end)))) {
    throw new Damage("its first line is damaged");
  }
  return { ...fields, text, end: end + 1 };
}

function parse(text: string): Omit<Header, "text" | "end"> | undefined {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The value in the bytes of a whole file, its header given. */
export function valueIn(bytes: Uint8Array, header: Header): Uint8Array {
  const value = bytes.subarray(header.end);
  checkValue(header, value);
  return value;
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

/** Whether the entry is over. */
export function isExpired({ expiresAt }: { readonly expiresAt?: number }): boolean {
  return expiresAt !== undefined && Date.now() >= expiresAt;
}

/** The entry of a header and its value. */
export function entryOf({ timestamp, expiresAt, text }: Header, value: Uint8Array): Entry {
  return { value, timestamp, expiresAt, revision: text };
}
