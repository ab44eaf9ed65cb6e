/**
 * Where things of a store lie in Deno KV, and as what. All keys begin with
 * `"hashstash", name, dbname`, so that a database may hold other programs' data too:
 *
 * - `…, text`: the entry of a key
 * - `…, head, SHA-256`: the entry of a key too long for Deno KV (2,048 bytes), or that begins with a
 *   byte order mark (then without a head); its value has the whole text. It sorts among its neighbours by its head, so that one range holds all keys with a
 *   prefix
 * - `…, text | head, SHA-256, 0`: the pointer of an entry in chunks, for those who replace it
 *   without reading it. Beside the entry, not beside the chunks: to find a key among large values
 *   SQLite reads some of them
 * - `…, 0`: the mark of a store that has, or had, entries in chunks
 * - `…, 0, text | head, SHA-256, generation, i`: chunk i of an entry
 * - `…, 1`: the dbname of a store, where a part of it is so long that a hash stands in the KV key
 *
 * An entry's value is a line of JSON with what is known of the entry, then its bytes. Plain bytes
 * and not an object, because `npm:@deno/kv` writes typed arrays inside objects in a way that
 * `Deno.openKv` can't read.
 */
import { decodeHex } from "@std/encoding/hex";
import type { EngineLocation } from "../engine.ts";
import { encodeSegment } from "../location.ts";
import { hash } from "../../codec/hash.ts";
import type { KvKey } from "../../platform/kv.ts";

const ROOT = "hashstash";
/** Begins or ends the keys of what is no entry; numbers sort behind all texts. */
const EXTRA = 0;
/** Ends the key of what tells a dbname. */
const NOTE = 1;
/** Bytes of UTF-8 that a key's text may have to stand in a KV key by itself. */
const TEXT_LIMIT = 1_000;
/** UTF-16 units of a longer text that its KV key begins with. */
const HEAD_LENGTH = 250;
/** Bytes of a name, or of a part of a dbname, that stand in a KV key as they are. */
const NAME_LIMIT = 200;

const LINE_END = 0x0a;
/**
 * `npm:@deno/kv` drops it from the beginning of the texts in the keys that it lists: no part of a KV
 * key begins so.
 */
const BOM = "\uFEFF";
/** Bytes of a chunk: as much as Deno KV takes in one value. */
export const CHUNK = 65_536;
/** More, which no value can have, are not believed: 4 GiB. */
const MOST_CHUNKS = 65_536;
/** Characters of a generation. */
const GENERATION_LIMIT = 100;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What follows name and dbname in an entry's KV key. */
export type KeyId = readonly [text: string] | readonly [head: string, hash: Uint8Array];

/** Which chunks a chunk belongs to. */
export interface ChunkPlace {
  readonly id: KeyId;
  readonly generation: string;
}

/** A range of KV keys. */
export interface KeyRange {
  readonly start: KvKey;
  readonly end: KvKey;
}

/** The KV keys of one store. */
export class StoreKeys {
  readonly #base: readonly string[];

  private constructor(name: string, dbname: string) {
    this.#base = [ROOT, name, dbname];
  }

  /** The keys of a location's store. */
  static of({ name, dbname }: EngineLocation): StoreKeys {
    return new StoreKeys(shortened(name), dbname.split("/").map(shortened).join("/"));
  }

  /** The keys of the store that a KV key belongs to. */
  static holding(key: KvKey): StoreKeys {
    return new StoreKeys(String(key[1]), String(key[2]));
  }

  /** The dbname as the KV keys have it. */
  get dbname(): string {
    return this.#base[2];
  }

  /** Where the dbname is written down that `dbname` does not tell. */
  get note(): KvKey {
    return [...this.#base, NOTE];
  }

  /** Bytes that a KV key takes besides the text of the key, at most. */
  get overhead(): number {
    return 3 * (this.#base[1].length + this.#base[2].length) + 100;
  }

  /** Where an entry is. */
  entry(id: KeyId): KvKey {
    return [...this.#base, ...id];
  }

  /** Where the mark of a store with chunks is. */
  get mark(): KvKey {
    return [...this.#base, EXTRA];
  }

  /** Where the pointer to an entry's chunks is. */
  pointer(id: KeyId): KvKey {
    return [...this.#base, ...id, EXTRA];
  }

  /** Where a chunk is. */
  chunk(id: KeyId, generation: string, i: number): KvKey {
    return [...this.#base, EXTRA, ...id, generation, i];
  }

  /**
   * All entries whose text begins with the prefix, maybe some long ones with another, and their
   * pointers.
   */
  entries(prefix = ""): KeyRange {
    const head = headOf(prefix);
    return { start: [...this.#base, head], end: [...this.#base, successor(head) ?? EXTRA] };
  }

  /** All chunks. */
  chunks(): KeyRange {
    // Bytes sort before all texts.
    return { start: [...this.mark, new Uint8Array()], end: [...this.#base, EXTRA + 1] };
  }

  /** Everything in the stores that are nested in this one; with `last`, in those after that one. */
  nested(last?: StoreKeys): KeyRange {
    const [root, name, dbname] = this.#base;
    // "0" follows "/" in UTF-8; `true` follows everything that a store has.
    return {
      start: last === undefined ? [root, name, `${dbname}/`] : [...last.#base, true],
      end: [root, name, `${dbname}0`],
    };
  }

  /** Which entry the KV key of an entry or a pointer is for. */
  idOf(key: KvKey): KeyId {
    return key.slice(this.#base.length, isPointer(key) ? -1 : undefined) as unknown as KeyId;
  }

  /** Which chunks the KV key of one is for. */
  placeOf(key: KvKey): ChunkPlace {
    const parts = key.slice(this.#base.length + 1);
    return { id: parts.slice(0, -2) as unknown as KeyId, generation: String(parts.at(-2)) };
  }
}

/** Whether the KV key, of an entry or a pointer, is that of a pointer. */
export function isPointer(key: KvKey): boolean {
  return key.at(-1) === EXTRA;
}

/** Where a key's entry lies in its store. */
export function keyId(key: string): KeyId {
  const isShort = key.length * 3 <= TEXT_LIMIT || byteLength(key) <= TEXT_LIMIT;
  if (isShort && !key.startsWith(BOM)) return [key];
  return [headOf(key), decodeHex(hash(key))];
}

function headOf(text: string): string {
  if (text.startsWith(BOM)) return "";
  return text.slice(0, HEAD_LENGTH).replace(/[\ud800-\udbff]$/, "");
}

/** The first text, by code points, behind all that begin with this one; `undefined` when all do. */
function successor(text: string): string | undefined {
  const points = Array.from(text);
  for (let point = points.pop(); point !== undefined; point = points.pop()) {
    const code = point.codePointAt(0)!;
    // No well-formed text has the code points of surrogates.
    const next = code === 0xd7ff ? 0xe000 : code + 1;
    if (next <= 0x10ffff) return points.join("") + String.fromCodePoint(next);
  }
  return undefined;
}

/** Whether a part of a dbname, as KV keys have it, may stand for a longer one. */
export function mayBeShortened(dbname: string): boolean {
  return /~[0-9a-f]{32}(\/|$)/.test(dbname);
}

function shortened(name: string): string {
  const fits = byteLength(name) <= NAME_LIMIT && !name.startsWith(BOM);
  return fits ? name : encodeSegment(name);
}

function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}

/** The chunks of one write. */
export interface Chunks {
  /**
   * What their keys begin with. Those that are stored in one commit, with their entry, take the
   * place of such ones before: `""`. Those that take several commits have a name of their own: when
   * the write began, ms since the epoch, and a unique rest.
   */
  readonly generation: string;
  readonly count: number;
  /** When Deno KV may remove them. */
  readonly expiresAt?: number;
}

/** The generation of all chunks that are stored in one commit. */
export const AT_ONCE = "";

/** An entry as it is kept under its KV key. */
export interface StoredRecord {
  readonly timestamp: number;
  readonly expiresAt?: number;
  /**
   * Bytes at the start of the content that are the key's text: only where it is too long for Deno
   * KV.
   */
  readonly keySize?: number;
  /** Bytes of the content. */
  readonly size: number;
  /** Where the content is when it is too large for one value. */
  readonly chunks?: Chunks;
  /** The content, unless it is in chunks. */
  readonly content?: Uint8Array;
}

/** The record as a value for Deno KV. */
export function packRecord(record: StoredRecord): Uint8Array {
  const { timestamp, expiresAt, keySize, size, chunks, content } = record;
  // By hand what most entries have: it takes a third of the time of `JSON.stringify`.
  const line = keySize === undefined && chunks === undefined
    ? `{"timestamp":${timestamp}${
      expiresAt === undefined ? "" : `,"expiresAt":${expiresAt}`
    },"size":${size}}\n`
    : `${JSON.stringify({ timestamp, expiresAt, keySize, size, chunks })}\n`;
  // A header is ASCII: numbers and a generation.
  const bytes = new Uint8Array(line.length + (content?.byteLength ?? 0));
  encoder.encodeInto(line, bytes);
  if (content !== undefined) bytes.set(content, line.length);
  return bytes;
}

/**
 * The record in a value of Deno KV.
 *
 * @throws {SyntaxError} When this engine did not write it.
 */
export function unpackRecord(value: unknown): StoredRecord {
  const end = value instanceof Uint8Array ? value.indexOf(LINE_END) : -1;
  if (!(value instanceof Uint8Array) || end < 0) {
    throw new SyntaxError("it is not an entry of this engine");
  }
  const header = JSON.parse(decoder.decode(value.subarray(0, end)));
  const { timestamp, expiresAt, keySize, size, chunks } = Object(header);
  if (
    !Number.isFinite(timestamp) || !isCount(size) ||
    (expiresAt !== undefined && !Number.isFinite(expiresAt)) ||
    (keySize !== undefined && !(isCount(keySize) && keySize <= size))
  ) throw new SyntaxError("its first line lacks what every entry has");
  const common = { timestamp, expiresAt, keySize, size };
  if (chunks !== undefined) {
    const unpacked = unpackChunks(chunks);
    if (unpacked.count === Math.ceil(size / CHUNK)) return { ...common, chunks: unpacked };
    throw new SyntaxError(`it has ${unpacked.count} chunks of ${size} bytes`);
  }
  const content = value.subarray(end + 1);
  if (content.byteLength === size) return { ...common, content };
  throw new SyntaxError(`it has ${content.byteLength} bytes instead of ${size}`);
}

/**
 * The chunks that a record or a pointer names.
 *
 * @throws {SyntaxError} When it names none.
 */
export function unpackChunks(value: unknown): Chunks {
  const { generation, count, expiresAt } = Object(value);
  if (
    typeof generation === "string" && generation.length <= GENERATION_LIMIT &&
    isCount(count) && count <= MOST_CHUNKS &&
    (expiresAt === undefined || Number.isFinite(expiresAt))
  ) return { generation, count, expiresAt };
  throw new SyntaxError("it doesn't say where its chunks are");
}

/** What a stored value says, or `undefined` when this engine did not write it. */
export function optional<T>(unpack: () => T): T | undefined {
  try {
    return unpack();
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A name for the chunks of a new write. */
export function newGeneration(): string {
  return `${Date.now()}-${crypto.randomUUID()}`;
}

/** When the write of these chunks began, ms since the epoch. */
export function generationTime(generation: string): number {
  return Number.parseInt(generation) || 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
