import type { DropListener, Entry, NewEntry, StoreUsage } from "../engine.ts";
import { Turns } from "../../platform/timers.ts";
import { isAscii, LONGEST_ASCII, toBytes } from "../../codec/text.ts";
import { isExpired } from "../expiry.ts";
import { Tally, utf8Length } from "../tally.ts";
import { type Used, UseOrder } from "../use_order.ts";

/**
 * What an entry takes besides its key and value: the objects, the places in the map, the bookkeeping
 * of a buffer. Measured by a million and two million entries, as what the process grew by: 610 to 680
 * bytes for keys of 8 to 100 characters and values of 5 to 1,000 bytes.
 */
const OVERHEAD = 640;

/** After how many entries of a listing it is seen whether others should have their turn. */
const PAUSED = 64;

/** What an entry with a value of so many bytes takes in memory, bytes. */
export function bytesOf(key: string, length: number): number {
  // V8 keeps a text in one byte per character while all of them are Latin-1.
  const width = WIDE.test(key) ? 2 : 1;
  return OVERHEAD + width * key.length + length;
}

// deno-lint-ignore no-control-regex -- all that is outside of Latin-1, its control characters included
const WIDE = /[^\x00-\xff]/;

/**
 * How many bytes of values the process may keep as texts. They are on JavaScript's heap, where bytes
 * are not, and that ends at some gigabytes: beyond it, values are kept as bytes.
 */
const MOST_TEXTS = 256 * 2 ** 20;

/** How many it still may. */
let textsLeft = MOST_TEXTS;

/** An entry as it is kept, and its place in the order of use. */
export interface Item extends Omit<Entry, "value">, Used<Item> {
  readonly key: string;
  /** Its value, if it is kept as bytes … */
  value: Uint8Array | undefined;
  /** … or as text, all of it ASCII. */
  text: string | undefined;
  /**
   * When the key came into the map, as a count: an iteration ends where those after its start
   * begin.
   */
  readonly arrival: number;
  /** What it takes in memory. */
  readonly bytes: number;
}

/**
 * Marks the states of all entries of the process: none comes twice, so a revision is never
 * mistaken.
 */
let revisions = 0;
let arrivals = 0;

/** A value, as bytes or as text. */
type Content = Pick<Item, "value" | "text">;

function lengthOf({ value, text }: Content): number {
  return value?.length ?? text?.length ?? 0;
}

/** One dbname's entries, shared by all handles on it. */
export class MemoryStore {
  readonly items = new Map<string, Item>();
  handles = 0;
  /** What the entries take in memory. */
  bytes = 0;
  /** How many bytes of values it keeps as texts. */
  #texts = 0;
  /** Sets until the next look for expired entries. */
  #sets = 1_000;
  /** The earliest deadline, or earlier: nothing has expired before it. */
  #earliest = Infinity;
  /** Kept always, as one handle may have limits and another none. */
  readonly #order = new UseOrder<Item>();

  live(key: string): Item | undefined {
    const item = this.items.get(key);
    return item === undefined || isExpired(item) ? undefined : item;
  }

  use(item: Item): void {
    this.#order.use(item);
  }

  /** Whether a value is kept as text: others are bytes, which the reader of them gets. */
  takesText(text: string): boolean {
    return text.length <= LONGEST_ASCII && text.length <= textsLeft && isAscii(text);
  }

  /** The entry; one that was kept as text is kept as bytes from now on. */
  entryOf(item: Item): Entry {
    if (item.text !== undefined) {
      item.value = toBytes(item.text);
      this.#dropText(item);
    }
    return item as Entry;
  }

  put(
    key: string,
    { value, text, expiresAt, timestamp }: Omit<NewEntry, "value"> & Partial<Content>,
    onDrop?: DropListener,
  ): void {
    const old = this.items.get(key);
    if (old !== undefined) this.#forget(old);
    const item: Item = {
      key,
      // A part of a larger buffer would keep all of it.
      value: value === undefined || value.byteLength === value.buffer.byteLength
        ? value
        : new Uint8Array(value),
      text,
      expiresAt,
      timestamp,
      revision: ++revisions,
      arrival: old?.arrival ?? ++arrivals,
      bytes: bytesOf(key, lengthOf({ value, text })),
      older: undefined,
      newer: undefined,
    };
    this.items.set(key, item);
    this.#order.add(item);
    this.bytes += item.bytes;
    if (text !== undefined) {
      this.#texts += text.length;
      textsLeft -= text.length;
    }
    if (expiresAt !== undefined && expiresAt < this.#earliest) this.#earliest = expiresAt;
    // What nobody asks for again would stay for ever. As many sets as entries between two looks:
    // each set pays for one.
    if (--this.#sets === 0) this.prune(onDrop);
  }

  remove(item: Item): void {
    this.#forget(item);
    this.items.delete(item.key);
  }

  /** Drops the least recently used until the store is within the limits; how many. */
  evict(maxEntries: number, maxBytes: number, onDrop?: DropListener): number {
    let count = 0;
    while (this.items.size > maxEntries || this.bytes > maxBytes) {
      const item = this.#order.oldest;
      if (item === undefined) break;
      this.remove(item);
      onDrop?.(item.key, "evict");
      count++;
    }
    return count;
  }

  prune(onDrop?: DropListener): number {
    const count = Date.now() < this.#earliest ? 0 : this.#sweep(onDrop);
    this.#sets = this.items.size + 1_000;
    return count;
  }

  #sweep(onDrop?: DropListener): number {
    let count = 0;
    this.#earliest = Infinity;
    for (const item of this.items.values()) {
      if (isExpired(item)) {
        this.remove(item);
        onDrop?.(item.key, "expire");
        count++;
      } else if (item.expiresAt !== undefined && item.expiresAt < this.#earliest) {
        this.#earliest = item.expiresAt;
      }
    }
    return count;
  }

  size(): number {
    if (Date.now() < this.#earliest) return this.items.size;
    let count = 0;
    for (const item of this.items.values()) if (!isExpired(item)) count++;
    return count;
  }

  /** What it holds, without what holding it costs. */
  async usage(): Promise<StoreUsage> {
    const tally = new Tally();
    const turns = new Turns();
    // As many as there are now: what is set while others have their turn comes at the end.
    let left = this.items.size;
    for (const item of this.items.values()) {
      if (left-- === 0) break;
      if (!isExpired(item)) tally.add(utf8Length(item.key) + lengthOf(item), item.timestamp);
      if (turns.due()) await turns.next();
    }
    return tally.usage;
  }

  /**
   * A Map's iterator also yields what is set while it runs: without an end, if its consumer sets
   * more each time.
   *
   * @param pick What to yield of each entry.
   */
  async *iterate<T>(prefix: string, pick: (item: Item) => T): AsyncGenerator<T> {
    const start = arrivals;
    const turns = new Turns();
    let looked = 0;
    for (const item of this.items.values()) {
      if (item.arrival > start) return;
      if (item.key.startsWith(prefix) && !isExpired(item)) yield pick(item);
      // Asking for the time would cost more than the rest where few begin so.
      if (++looked % PAUSED === 0 && turns.due()) await turns.next();
    }
  }

  clear(): void {
    this.items.clear();
    this.bytes = 0;
    textsLeft += this.#texts;
    this.#texts = 0;
    this.#earliest = Infinity;
    this.#order.clear();
  }

  #forget(item: Item): void {
    this.#order.remove(item);
    this.bytes -= item.bytes;
    this.#dropText(item);
  }

  #dropText(item: Item): void {
    if (item.text === undefined) return;
    this.#texts -= item.text.length;
    textsLeft += item.text.length;
    item.text = undefined;
  }
}
