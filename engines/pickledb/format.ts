/**
 * Entries as members of a JSON object. Bytes that are JSON stand there as they are, unless a
 * version of Python's pickleDB could not read them: `"key": {"name": "John"}`. Everything else is
 * coded, as an object with one key:
 *
 *     "key": {"$hashstash": {"timestamp": 1795371275470, "expiresAt": 1795371875470, "text": "…"}}
 *
 * with the value as `json`, as `text` (of ASCII) or as `base64`.
 */
import { decodeBase64, encodeBase64 } from "../../platform/base64.ts";
import { DecodeError } from "../../codec/errors.ts";
import { Refusal } from "../../codec/refusal.ts";
import { deserializeJson, richText } from "../../codec/serializers/json_text.ts";
import type { Entry, NewEntry } from "../engine.ts";
import { utf8Length } from "../tally.ts";
import { LONGEST, type Member, members, survey } from "./text.ts";

/** A member of the file. */
export interface Item {
  /** `"key": value`, as it stands in the file. */
  readonly text: string;
  /** Where the value begins in it. */
  readonly at: number;
  /** The deadline of a coded entry. */
  readonly expiresAt?: number;
  /** What was read from the text, kept for the next read. */
  read?: Pick<Entry, "value" | "timestamp">;
}

const MARK = "$hashstash";
const MARKED = /\{\s*"\$hashstash"\s*:/y;
/** The first bytes of JSON. */
const JSON_START = new Set(Array.from('"[{-0123456789tfn', (character) => character.charCodeAt(0)));
const SURROGATE = /\\u[dD][89a-fA-F]/;
/** Python's JSON parsers follow some 1,000 levels. */
const DEEPEST = 500;
/** Integers that Python's fast JSON parsers take. */
const LEAST = -(2n ** 63n), GREATEST = 2n ** 64n - 1n;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The member for an entry.
 *
 * @throws {RangeError} When no text is long enough for it.
 */
export function makeItem(key: string, entry: NewEntry): Item {
  const { value, expiresAt } = entry;
  const name = `${ascii(JSON.stringify(key))}: `;
  const json = jsonOf(value);
  if (json !== undefined && expiresAt === undefined && !isMarked(json)) {
    return { text: name + json, at: name.length };
  }
  return { text: name + codedOf(entry, json), at: name.length, expiresAt };
}

/** A member of a file. */
export function itemAt(text: string, { start, value, end }: Member): Item {
  const item = { text: text.slice(start, end), at: value - start };
  if (!isMarked(text, value)) return item;
  try {
    return { ...item, expiresAt: parseCoded(valueText(item))?.expiresAt };
  } catch (error) {
    // Found when it is asked for: the others can be read.
    if (error instanceof SyntaxError) return item;
    throw error;
  }
}

/**
 * The entry that a member is.
 *
 * @param saved When the file was, ms since the epoch: a plain value was set then or before.
 * @throws {SyntaxError} When it is coded, and damaged.
 */
export function entryOf(item: Item, saved: number): Entry {
  const revision = valueText(item);
  const { value, timestamp = saved } = item.read ??= readItem(item, revision);
  return { value, timestamp, expiresAt: item.expiresAt, revision };
}

function readItem(item: Item, text: string): Pick<Entry, "value" | "timestamp"> {
  const coded = isCoded(item) ? parseCoded(text) : undefined;
  if (coded === undefined) return { value: encoder.encode(withoutLiterals(text) ?? text) };
  return { value: coded.value(), timestamp: coded.timestamp };
}

/**
 * How many bytes the value of an entry has, and when it was set where the member says so.
 *
 * @throws {SyntaxError} When it is coded, and damaged.
 */
export function measure(item: Item): { bytes: number; timestamp?: number } {
  const text = valueText(item);
  const coded = isCoded(item) ? parseCoded(text) : undefined;
  if (coded !== undefined) return { bytes: coded.value().byteLength, timestamp: coded.timestamp };
  return { bytes: utf8Length(withoutLiterals(text) ?? text) };
}

/** Whether a member is coded, or looks like it. */
export function isCoded({ text, at }: Item): boolean {
  return isMarked(text, at);
}

/** The text of a member's value. */
export function valueText({ text, at }: Item): string {
  return text.slice(at);
}

/** Whether a value is coded, or looks like it. */
function isMarked(text: string, at = 0): boolean {
  MARKED.lastIndex = at;
  return MARKED.test(text);
}

/**
 * The bytes as JSON text in ASCII, when they are JSON that every version of Python's pickleDB
 * reads.
 */
function jsonOf(bytes: Uint8Array): string | undefined {
  if (!JSON_START.has(bytes[0])) return undefined;
  try {
    const text = decoder.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (!isPortable(text, value)) return undefined;
    return text.length === bytes.byteLength ? text : ascii(text);
  } catch (error) {
    // Not UTF-8, or not JSON.
    if (error instanceof TypeError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isPortable(text: string, value: unknown): boolean {
  // `JSON.stringify` leaves no escape but of a surrogate without its other half.
  if (text.includes("\\u") && SURROGATE.test(text) && SURROGATE.test(JSON.stringify(value))) {
    return false;
  }
  const { depth, numbers } = survey(text);
  return depth <= DEEPEST && numbers.every(isPortableNumber);
}

function isPortableNumber(number: string): boolean {
  if (!/^-?\d+$/.test(number)) return Number.isFinite(Number(number));
  const integer = BigInt(number);
  return integer >= LEAST && integer <= GREATEST;
}

/** The text of JSON with all that is not ASCII as escapes. */
function ascii(json: string): string {
  return json.replace(/[^\0-\x7f]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function codedOf({ value, timestamp, expiresAt }: NewEntry, json: string | undefined): string {
  const header = JSON.stringify({ timestamp, expiresAt }).slice(0, -1);
  const content = json !== undefined
    ? `"json": ${json}`
    : isText(value)
    ? `"text": ${JSON.stringify(decoder.decode(value))}`
    : `"base64": "${base64Of(value)}"`;
  return `{"${MARK}": ${header}, ${content}}}`;
}

function base64Of(value: Uint8Array): string {
  if (Math.ceil(value.byteLength / 3) * 4 > LONGEST) throw new RangeError("No text is that long");
  return encodeBase64(value);
}

/** Whether bytes are ASCII that a person can read, as base64 is. */
function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x20 ? byte < 0x7f : byte === 0x09 || byte === 0x0a);
}

interface Coded {
  readonly timestamp: number;
  readonly expiresAt?: number;
  value(): Uint8Array;
}

/**
 * What a coded value says; `undefined` for an object of somebody else that only begins like one.
 *
 * @throws {SyntaxError} When it is damaged.
 */
function parseCoded(text: string): Coded | undefined {
  const outer = [...members(text)];
  if (outer.length > 1) return undefined;
  const inner = text.slice(outer[0].value, outer[0].end);
  const parts = new Map<string, string>();
  for (const { key, value, end } of members(inner)) parts.set(key, inner.slice(value, end));
  const part = <T>(name: string, is: (value: unknown) => value is T): T => {
    const value: unknown = JSON.parse(parts.get(name) ?? "null");
    if (!is(value)) throw new SyntaxError(`a coded value has no valid ${name}`);
    return value;
  };
  return {
    timestamp: part("timestamp", isTime),
    expiresAt: parts.has("expiresAt") ? part("expiresAt", isTime) : undefined,
    value() {
      if (parts.has("json")) return encoder.encode(parts.get("json"));
      if (parts.has("text")) return encoder.encode(part("text", isString));
      if (parts.has("base64")) return decodeBase64(part("base64", isString));
      throw new SyntaxError("a coded value has no content");
    },
  };
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

/**
 * Refuses a member whose value is not what it should be.
 *
 * @throws {SyntaxError} When it is not, or can't be read.
 */
export function verifyItem(item: Item): void {
  const text = valueText(item);
  if (isCoded(item)) parseCoded(text)?.value();
  else if (withoutLiterals(text) === undefined) JSON.parse(text);
}

/** Strings, and what Python's `json` writes for numbers that JSON does not have. */
const LITERALS = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/gs;

/**
 * The text of a value that has Python's NaN or infinities in it, as JSON of ours; `undefined` when
 * it has none, or is no value.
 */
function withoutLiterals(text: string): string | undefined {
  if (!text.includes("NaN") && !text.includes("Infinity")) return undefined;
  // A string that is nowhere else.
  const nan = `NaN ${crypto.randomUUID()}`;
  const json = text.replace(LITERALS, (token) => {
    if (token.startsWith('"')) return token;
    // What JSON.parse takes for infinite.
    return token === "NaN" ? JSON.stringify(nan) : token.replace("Infinity", "1e999");
  });
  if (json === text) return undefined;
  try {
    return richText(withNaN(deserializeJson(encoder.encode(json)), nan));
  } catch (error) {
    // Not JSON but for these literals, or deeper than any Python writes.
    const isRefused = [DecodeError, Refusal, RangeError].some((type) => error instanceof type);
    if (isRefused) return undefined;
    throw error;
  }
}

function withNaN(value: unknown, nan: string): unknown {
  if (value === nan) return NaN;
  if (Array.isArray(value)) return value.map((item) => withNaN(item, nan));
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, withNaN(item, nan)]),
  );
}
