/**
 * The header of an entry: what a store keeps of it besides the value, in front of the stored bytes.
 *
 *     00 48 53 45   the mark "\0HSE", with which no serialized value and no known file format begins
 *     {"version":2,"series":"k3x9…","timestamp":1764115200000}
 *     0A            a line feed; JSON text has none
 *     the stored bytes of the value, as without a header
 *
 * It is written only when one of its fields is used, so that a plain value stays plain JSON for
 * every other program.
 */
import { DecodeError } from "../codec/errors.ts";
import { ENTRY_MARK } from "../codec/format.ts";
import type { Entry, EntryValue } from "../engines/engine.ts";

/** What a header may say; a field that is absent is not used. */
export interface Header {
  /** Which version of the key this is, from 1. */
  readonly version?: number;
  /** Which life of the key, from its first set to its delete, the version belongs to. */
  readonly series?: string;
  /** When it was set, ms since the epoch, where the engine's own time is not the one that counts. */
  readonly timestamp?: number;
  /** For how long before its deadline it is stale, ms: it is fresh until the deadline less it. */
  readonly stale?: number;
  /** Until when no refresh of it is tried, ms since the epoch. */
  readonly retry?: number;
  /** Its tags, when it has any. */
  readonly tags?: readonly string[];
  /** The number of the last invalidation of tags before what it was made of was read. */
  readonly seq?: number;
  /** What the rows of the index that were written for it have as well: see tag_space.ts. */
  readonly row?: string;
  /** The dbname of the stash whose tags they are, when that is not the entry's own. */
  readonly space?: string;
}

/** An entry whose header has been read; without one it is the entry as the engine gave it. */
export interface StoredEntry extends Entry {
  readonly header?: Header;
  /** The entry as the engine gave it, for `compareAndSet`; absent when it is the same. */
  readonly given?: Entry;
}

const MARK = Uint8Array.from(ENTRY_MARK);
const LINE_FEED = 0x0a;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * The headers of bytes that were written here: an engine in memory keeps the bytes themselves, and
 * to parse the header at each read takes longer than the read.
 */
const written = new WeakMap<Uint8Array, { readonly header: Header; readonly start: number }>();

function hasMark(stored: Uint8Array): boolean {
  for (let i = 0; i < MARK.length; i++) if (stored[i] !== MARK[i]) return false;
  return true;
}

/** The bytes with a header in front of them, or with these fields in the header they have. */
export function withHeader(stored: Uint8Array, fields: Header): Uint8Array {
  const { header, value } = openHeader(stored);
  const whole: Header = { ...header, ...fields };
  const line = encoder.encode(`${JSON.stringify(whole)}\n`);
  const sealed = new Uint8Array(MARK.length + line.length + value.length);
  sealed.set(MARK);
  sealed.set(line, MARK.length);
  sealed.set(value, MARK.length + line.length);
  written.set(sealed, { header: whole, start: MARK.length + line.length });
  return sealed;
}

/**
 * The header, when there is one, and the bytes behind it.
 *
 * @throws {DecodeError} When the header is damaged.
 */
export function openHeader(stored: Uint8Array): { header?: Header; value: Uint8Array } {
  // The first byte alone tells almost every value from a header: this is done at each read.
  if (stored[0] !== MARK[0] || !hasMark(stored)) return { value: stored };
  const known = written.get(stored);
  if (known !== undefined) return { header: known.header, value: stored.subarray(known.start) };
  const end = stored.indexOf(LINE_FEED, MARK.length);
  if (end === -1) throw new DecodeError("The header of its entry has no end");
  let header: unknown;
  try {
    header = JSON.parse(decoder.decode(stored.subarray(MARK.length, end)));
  } catch (cause) {
    throw new DecodeError("The header of its entry is damaged", { cause });
  }
  const fault = faultOf(header);
  if (fault !== undefined) throw new DecodeError(`The header of its entry is damaged: ${fault}`);
  return { header: header as Header, value: stored.subarray(end + 1) };
}

/** The stored bytes of the value, without a header. */
export function valueOf(entry: EntryValue & { readonly header?: Header }): Uint8Array {
  return entry.header === undefined && entry.value[0] === MARK[0]
    ? openHeader(entry.value).value
    : entry.value;
}

/** The entry with its header beside the value instead of in front of it. */
export function opened(entry: StoredEntry): StoredEntry {
  if (entry.header !== undefined) return entry;
  const { header, value } = openHeader(entry.value);
  return header === undefined ? entry : { ...entry, value, header, given: entry };
}

/** The same; one whose header is damaged as it is, for its reader to say. */
export function openedIfWhole(entry: StoredEntry): StoredEntry {
  try {
    return opened(entry);
  } catch (error) {
    if (error instanceof DecodeError) return entry;
    throw error;
  }
}

/** The entry as the engine gave it: only that is a state of it. */
export function given(entry: StoredEntry): Entry;
export function given(entry: StoredEntry | undefined): Entry | undefined;
export function given(entry: StoredEntry | undefined): Entry | undefined {
  return entry?.given ?? entry;
}

/** The header of an entry that has tags; `undefined` for any other, and one that is damaged. */
export function taggedOf(
  entry: EntryValue & { readonly header?: Header },
): Header & { readonly tags: readonly string[] } | undefined {
  let { header } = entry;
  if (header === undefined && entry.value[0] === MARK[0]) {
    try {
      header = openHeader(entry.value).header;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
  return header?.tags === undefined ? undefined : header as Header & { tags: readonly string[] };
}

/** Until when an entry is fresh, ms since the epoch: from then on it is stale, if it is there. */
export function freshUntil(entry: StoredEntry): number {
  if (entry.expiresAt === undefined) return Infinity;
  return entry.expiresAt - (opened(entry).header?.stale ?? 0);
}

/** Whether an entry has a header, or may have one. */
export function hasHeader(entry: EntryValue & { readonly header?: Header }): boolean {
  return entry.header !== undefined || entry.value[0] === MARK[0];
}

/** What is wrong with the fields of a header; `undefined`: nothing. */
function faultOf(header: unknown): string | undefined {
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    return "it is no object";
  }
  const { version, series, timestamp, stale, retry, tags, seq, row, space } = header as Record<
    string,
    unknown
  >;
  if (version !== undefined && !(Number.isSafeInteger(version) && version as number >= 1)) {
    return "its version is no number from 1 on";
  }
  if ((version === undefined) !== (series === undefined)) return "version or series is missing";
  if (series !== undefined && typeof series !== "string") return "its series is no text";
  if (timestamp !== undefined && !Number.isFinite(timestamp)) return "its timestamp is no number";
  if (stale !== undefined && !Number.isFinite(stale)) return "its stale time is no number";
  if (retry !== undefined && !Number.isFinite(retry)) return "its time of retry is no number";
  const isText = (value: unknown) => typeof value === "string";
  if (tags !== undefined && !(Array.isArray(tags) && tags.length > 0 && tags.every(isText))) {
    return "its tags are no texts";
  }
  if (seq !== undefined && !Number.isFinite(seq)) return "its number is none";
  if (row !== undefined && !isText(row)) return "its row is no text";
  if (space !== undefined && !isText(space)) return "its space of tags is no text";
}
