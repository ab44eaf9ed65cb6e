import type { Store } from "./complete.ts";
import type {
  Awaitable,
  Bus,
  EngineCheck,
  EngineCheckOptions,
  EngineSupports,
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
  Usage,
} from "./engine.ts";

/**
 * A store around another one, with the same methods: it passes everything on, and a subclass
 * changes what it is about.
 *
 * What it does to `set` and `get` it does to the other methods that write and read: `setMany`,
 * `compareAndSet`; `getValue`, `getMany`, `getValues`, `entries`. The `compareAndSet`,
 * `deleteUnchanged` and `guardOn` of the inner store have to be given its entries as it gave them.
 *
 * @example A store that counts how often it is asked
 * ```ts
 * import { complete, Decorator } from "@hashstash/hashstash/engines";
 * import { memory } from "@hashstash/hashstash/engines/memory";
 *
 * class Counted extends Decorator {
 *   asked = 0;
 *
 *   override has(key: string) {
 *     this.asked++;
 *     return this.inner.has(key);
 *   }
 * }
 *
 * const store = new Counted(complete(memory({ name: "my_cache", dbname: "main" })));
 * await store.open();
 * console.log(await store.has("key"), store.asked); // false 1
 * await store.close();
 * ```
 */
export abstract class Decorator implements Store {
  /** The store that this one is around. */
  protected readonly inner: Store;

  /**
   * Stands around a store, which it opens and closes.
   *
   * @param inner The store.
   */
  constructor(inner: Store) {
    this.inner = inner;
  }

  /** The engine's name. */
  get name(): string {
    return this.inner.name;
  }

  /** Where the data lives. */
  get path(): string {
    return this.inner.path;
  }

  /** What the engine promises. */
  get supports(): EngineSupports {
    return this.inner.supports;
  }

  /** How many entries were dropped. */
  get evictions(): number {
    return this.inner.evictions;
  }

  /** Opens the inner store. */
  open(): Awaitable<void> {
    return this.inner.open();
  }

  /** Closes it. */
  close(): Awaitable<void> {
    return this.inner.close();
  }

  /** The entry, or `undefined`. */
  get(key: string): Awaitable<Entry | undefined> {
    return this.inner.get(key);
  }

  /** The value alone. */
  getValue(key: string): Awaitable<EntryValue | undefined> {
    return this.inner.getValue(key);
  }

  /** Entries in the order of the keys. */
  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.inner.getMany(keys);
  }

  /** Values in the order of the keys. */
  getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    return this.inner.getValues(keys);
  }

  /** Whether the key is there. */
  has(key: string): Awaitable<boolean> {
    return this.inner.has(key);
  }

  /** Stores. */
  set(key: string, entry: NewEntry): Awaitable<void> {
    return this.inner.set(key, entry);
  }

  /** Stores all. */
  setMany(pairs: [string, NewEntry][]): Awaitable<void> {
    return this.inner.setMany(pairs);
  }

  /** Removes; whether a live entry was there. */
  delete(key: string): Awaitable<boolean> {
    return this.inner.delete(key);
  }

  /** Removes all; how many were there. */
  deleteMany(keys: string[]): Awaitable<number> {
    return this.inner.deleteMany(keys);
  }

  /** Removes those entries that are still in the state that was read; which of them. */
  deleteUnchanged(entries: [key: string, expected: Entry][]): Awaitable<boolean[]> {
    return this.inner.deleteUnchanged(entries);
  }

  /** Stores `next` if the entry is still in the state `expected`. */
  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    return this.inner.compareAndSet(key, expected, next, guard);
  }

  /** A guard on an entry of this store, as its engine knows it. */
  guardOn(key: string, expected: Entry): Guard {
    return this.inner.guardOn(key, expected);
  }

  /** The keys that begin with a prefix. */
  keys(prefix?: string): Iterable<string> | AsyncIterable<string> {
    return this.inner.keys(prefix);
  }

  /** The entries whose keys do. */
  entries(prefix?: string): Iterable<[string, Entry]> | AsyncIterable<[string, Entry]> {
    return this.inner.entries(prefix);
  }

  /** How many live entries there are. */
  size(): Awaitable<number> {
    return this.inner.size();
  }

  /** Removes all entries, with `deep` also those of nested stores. */
  clear(deep?: boolean): Awaitable<void> {
    return this.inner.clear(deep);
  }

  /** Drops what has expired; how many. */
  prune(): Awaitable<number> {
    return this.inner.prune();
  }

  /** Looks at everything in the store. */
  check(options: EngineCheckOptions): Awaitable<EngineCheck> {
    return this.inner.check(options);
  }

  /** Bytes on disk or in the server. */
  byteSize(): Awaitable<number> {
    return this.inner.byteSize();
  }

  /** How much it holds. */
  usage(): Awaitable<Usage> {
    return this.inner.usage();
  }

  /** The store and those nested in it, with what they hold if asked. */
  stores(counted: boolean): Iterable<FoundStore> | AsyncIterable<FoundStore> {
    return this.inner.stores(counted);
  }

  /** What carries messages between processes, where the engine has it. */
  bus(): Bus | undefined {
    return this.inner.bus();
  }
}
