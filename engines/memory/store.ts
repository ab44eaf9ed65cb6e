import type { Entry, NewEntry } from "../engine.ts";

/** An entry as it is kept, and its place in the order of use. */
export interface Item extends Entry {
  readonly key: string;
  /**
   * When the key came into the map, as a count: an iteration ends where those after its start
   * begin.
   */
  readonly arrival: number;
  older: Item | undefined;
  newer: Item | undefined;
}

/**
 * Marks the states of all entries of the process: none comes twice, so a revision is never
 * mistaken.
 */
let revisions = 0;
let arrivals = 0;

/** One dbname's entries, shared by all handles on it. */
export class MemoryStore {
  readonly items = new Map<string, Item>();
  handles = 0;
  /** Keys' and values' lengths. */
  bytes = 0;
  /** Sets until the next look for expired entries. */
  #sets = 1_000;
  /** The earliest deadline, or earlier: nothing has expired before it. */
  #earliest = Infinity;
  /** Ends of the order of use: kept always, as one handle may have limits and another none. */
  #oldest: Item | undefined;
  #newest: Item | undefined;

  live(key: string): Item | undefined {
    const item = this.items.get(key);
    return item === undefined || expired(item) ? undefined : item;
  }

  use(item: Item): void {
    if (item === this.#newest) return;
    this.#unlink(item);
    this.#link(item);
  }

  put(key: string, { value, expiresAt, timestamp }: NewEntry): void {
    const old = this.items.get(key);
    if (old !== undefined) this.#forget(old);
    const item: Item = {
      key,
      value,
      expiresAt,
      timestamp,
      revision: ++revisions,
      arrival: old?.arrival ?? ++arrivals,
      older: undefined,
      newer: undefined,
    };
    this.items.set(key, item);
    this.#link(item);
    this.bytes += sizeOf(item);
    if (expiresAt !== undefined && expiresAt < this.#earliest) this.#earliest = expiresAt;
    // What nobody asks for again would stay for ever. As many sets as entries between two looks:
    // each set pays for one.
    if (--this.#sets === 0) this.prune();
  }

  remove(item: Item): void {
    this.#forget(item);
    this.items.delete(item.key);
  }

  /** Drops the least recently used until the store is within the limits; how many. */
  evict(maxEntries: number, maxBytes: number): number {
    let count = 0;
    while (this.items.size > maxEntries || this.bytes > maxBytes) {
      if (this.#oldest === undefined) break;
      this.remove(this.#oldest);
      count++;
    }
    return count;
  }

  prune(): number {
    const count = Date.now() < this.#earliest ? 0 : this.#sweep();
    this.#sets = this.items.size + 1_000;
    return count;
  }

  #sweep(): number {
    let count = 0;
    this.#earliest = Infinity;
    for (const item of this.items.values()) {
      if (expired(item)) {
        this.remove(item);
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
    for (const item of this.items.values()) if (!expired(item)) count++;
    return count;
  }

  /**
   * A Map's iterator also yields what is set while it runs: without an end, if its consumer sets
   * more each time.
   */
  *iterate(prefix: string): Generator<Item> {
    const start = arrivals;
    for (const item of this.items.values()) {
      if (item.arrival > start) return;
      if (item.key.startsWith(prefix) && !expired(item)) yield item;
    }
  }

  clear(): void {
    this.items.clear();
    this.bytes = 0;
    this.#earliest = Infinity;
    this.#oldest = this.#newest = undefined;
  }

  #forget(item: Item): void {
    this.#unlink(item);
    this.bytes -= sizeOf(item);
  }

  #link(item: Item): void {
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  #unlink(item: Item): void {
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    item.older = item.newer = undefined;
  }
}

/** Whether its deadline has come. */
export function expired(item: Item): boolean {
  return item.expiresAt !== undefined && Date.now() >= item.expiresAt;
}

function sizeOf(item: Item): number {
  return item.key.length + item.value.byteLength;
}
