import type { Engine, EngineLocation, Entry, NewEntry } from "../engine.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";

/** Where a location's data lives, as `stash.path` shows it. */
export function memoryPath({ name, dbname }: EngineLocation): string {
  return `memory:${encodeURIComponent(name)}/${dbname}`;
}

/** An entry as it is kept, and its place in the order of use. */
interface Item extends Entry {
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

/** The stores of this process: by root and name, then by dbname. */
const STORES = new Map<string, Map<string, Store>>();

/** One dbname's entries, shared by all handles on it. */
class Store {
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

function expired(item: Item): boolean {
  return item.expiresAt !== undefined && Date.now() >= item.expiresAt;
}

function sizeOf(item: Item): number {
  return item.key.length + item.value.byteLength;
}

/**
 * Entries in this process: shared by all handles with the same root option, name and dbname, also
 * after all are closed.
 */
class MemoryEngine implements Engine {
  readonly name = "memory";
  readonly path: string;
  readonly supports = { persistent: false, shared: false };
  evictions = 0;
  readonly #group: string;
  readonly #dbname: string;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #opened: Store | undefined;

  constructor(location: EngineLocation, maxEntries: number, maxBytes: number) {
    this.path = memoryPath(location);
    this.#group = JSON.stringify([location.rootDir ?? null, location.name]);
    this.#dbname = location.dbname;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get #store(): Store {
    if (this.#opened === undefined) throw new TypeError('Engine "memory" is not open');
    return this.#opened;
  }

  open(): void {
    if (this.#opened !== undefined) return;
    let group = STORES.get(this.#group);
    if (group === undefined) STORES.set(this.#group, group = new Map());
    let store = group.get(this.#dbname);
    if (store === undefined) group.set(this.#dbname, store = new Store());
    store.handles++;
    this.#opened = store;
    this.#evict();
  }

  close(): void {
    if (this.#opened === undefined) return;
    this.#opened.handles--;
    this.#opened = undefined;
    this.#drop(this.#dbname);
  }

  get(key: string): Entry | undefined {
    const item = this.#store.live(key);
    if (item !== undefined) this.#store.use(item);
    return item;
  }

  has(key: string): boolean {
    return this.#store.live(key) !== undefined;
  }

  set(key: string, entry: NewEntry): void {
    this.#store.put(key, entry);
    this.#evict();
  }

  delete(key: string): boolean {
    const item = this.#store.items.get(key);
    if (item === undefined) return false;
    this.#store.remove(item);
    return !expired(item);
  }

  compareAndSet(key: string, expected: Entry | undefined, next: NewEntry | undefined): boolean {
    if (this.#store.live(key)?.revision !== expected?.revision) return false;
    if (next === undefined) this.delete(key);
    else this.set(key, next);
    return true;
  }

  *keys(prefix = ""): Generator<string> {
    for (const item of this.#store.iterate(prefix)) yield item.key;
  }

  *entries(prefix = ""): Generator<[string, Entry]> {
    for (const item of this.#store.iterate(prefix)) yield [item.key, item];
  }

  size(): number {
    return this.#store.size();
  }

  clear(deep = false): void {
    this.#store.clear();
    if (!deep) return;
    const group = STORES.get(this.#group) ?? new Map<string, Store>();
    for (const [dbname, store] of group) {
      if (!dbname.startsWith(`${this.#dbname}/`)) continue;
      store.clear();
      this.#drop(dbname);
    }
  }

  prune(): number {
    return this.#store.prune();
  }

  byteSize(): number {
    return this.#store.bytes;
  }

  #evict(): void {
    this.evictions += this.#store.evict(this.#maxEntries, this.#maxBytes);
  }

  /** Forgets a store that is empty and that nobody holds: temporary ones leave nothing behind. */
  #drop(dbname: string): void {
    const group = STORES.get(this.#group);
    const store = group?.get(dbname);
    if (store === undefined || store.handles > 0 || store.items.size > 0) return;
    group?.delete(dbname);
    if (group?.size === 0) STORES.delete(this.#group);
  }
}

/** Makes the engine "memory". */
export function memory(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames("memory", options, ["maxEntries", "maxBytes"]);
  return new MemoryEngine(
    location,
    integerOption("memory", options, "maxEntries") ?? Infinity,
    integerOption("memory", options, "maxBytes") ?? Infinity,
  );
}
