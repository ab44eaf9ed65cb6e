import { DecodeError } from "../../codec/errors.ts";
import { isSealed } from "../../codec/seal.ts";
import { nodeZlib } from "../../codec/compressors/zlib.ts";
import { hashstash } from "../../codec/serializers/hashstash.ts";
import { type Awaitable, whenReady } from "../../platform/awaitable.ts";
import type { ValueFiles } from "./files.ts";
import { MODE, type Row } from "./table.ts";

/** The first byte of zlib data. */
const ZLIB = 0x78;
const JSON_START = /["[{\d\-tfn]/;
/** JSON longer than this is not read. */
const MAX_JSON = 2 ** 30;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

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
      );
    default:
      throw new DecodeError(`Its mode is ${row.mode}, which DiskCache does not have`);
  }
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
