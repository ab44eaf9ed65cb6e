import type { Store } from "./complete.ts";
import type {
  Awaitable,
  EngineCheck,
  EngineCheckOptions,
  EngineSupports,
  Entry,
  EntryValue,
  Guard,
  NewEntry,
} from "./engine.ts";

/**
 * A store around another one, with the same methods: it passes everything on, and a subclass
 * changes what it is about. What stands around an engine is chosen in open.ts.
 */
export abstract class Decorator implements Store {
  /** The store that this one is around. */
  protected readonly inner: Store;

  constructor(inner: Store) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get path(): string {
    return this.inner.path;
  }

  get supports(): EngineSupports {
    return this.inner.supports;
  }

  get evictions(): number {
    return this.inner.evictions;
  }

  open(): Awaitable<void> {
    return this.inner.open();
  }

  close(): Awaitable<void> {
    return this.inner.close();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.inner.get(key);
  }

  getValue(key: string): Awaitable<EntryValue | undefined> {
    return this.inner.getValue(key);
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.inner.getMany(keys);
  }

  getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    return this.inner.getValues(keys);
  }

  has(key: string): Awaitable<boolean> {
    return this.inner.has(key);
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    return this.inner.set(key, entry);
  }

  setMany(pairs: [string, NewEntry][]): Awaitable<void> {
    return this.inner.setMany(pairs);
  }

  delete(key: string): Awaitable<boolean> {
    return this.inner.delete(key);
  }

  deleteMany(keys: string[]): Awaitable<number> {
    return this.inner.deleteMany(keys);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    return this.inner.compareAndSet(key, expected, next, guard);
  }

  keys(prefix?: string): Iterable<string> | AsyncIterable<string> {
    return this.inner.keys(prefix);
  }

  entries(prefix?: string): Iterable<[string, Entry]> | AsyncIterable<[string, Entry]> {
    return this.inner.entries(prefix);
  }

  size(): Awaitable<number> {
    return this.inner.size();
  }

  clear(deep?: boolean): Awaitable<void> {
    return this.inner.clear(deep);
  }

  prune(): Awaitable<number> {
    return this.inner.prune();
  }

  check(options: EngineCheckOptions): Awaitable<EngineCheck> {
    return this.inner.check(options);
  }

  byteSize(): Awaitable<number> {
    return this.inner.byteSize();
  }
}
