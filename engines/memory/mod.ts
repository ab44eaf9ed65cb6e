/**
 * Entries in the memory of this process, gone with it; no permission is needed.
 *
 * @module
 */
import type {
  DropListener,
  Engine,
  EngineLocation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { builtIn } from "../built_in.ts";
import type { MemoryEngineOptions } from "../engine_options.ts";
import { toBytes } from "../../codec/text.ts";
import { isExpired } from "../expiry.ts";
import { guardStore } from "../guard.ts";
import { nameInside } from "../nested.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";
import { memoryPath } from "../paths.ts";
import { bytesOf, type Item, MemoryStore } from "./store.ts";

/** The stores of this process: by root and name, then by dbname. */
const STORES = new Map<string, Map<string, MemoryStore>>();

/**
 * Entries in this process: shared by all handles with the same root option, name and dbname, also
 * after all are closed.
 */
class MemoryEngine implements Engine {
  readonly name = "memory";
  readonly path: string;
  readonly supports = { persistent: false, shared: false, guard: true, stores: true };
  evictions = 0;
  readonly #group: string;
  readonly #dbname: string;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  /** Set by `open`, before which no other method is called. */
  #store!: MemoryStore;
  #onDrop: DropListener | undefined;

  constructor(location: EngineLocation, maxEntries: number, maxBytes: number) {
    this.path = memoryPath(location);
    this.#group = JSON.stringify([location.rootDir ?? null, location.name]);
    this.#dbname = location.dbname;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  watchDrops(listener: DropListener): void {
    this.#onDrop = listener;
  }

  open(): void {
    let group = STORES.get(this.#group);
    if (group === undefined) STORES.set(this.#group, group = new Map());
    let store = group.get(this.#dbname);
    if (store === undefined) group.set(this.#dbname, store = new MemoryStore());
    store.handles++;
    this.#store = store;
    this.#evict();
  }

  close(): void {
    this.#store.handles--;
    this.#drop(this.#dbname);
  }

  get(key: string): Entry | undefined {
    const item = this.#use(key);
    return item && this.#store.entryOf(item);
  }

  getText(key: string): string | undefined {
    return this.#use(key)?.text;
  }

  getMany(keys: string[]): (Entry | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  setMany(pairs: [string, NewEntry][]): void {
    for (const [key, entry] of pairs) this.set(key, entry);
  }

  has(key: string): boolean {
    return this.#store.live(key) !== undefined;
  }

  set(key: string, entry: NewEntry): void {
    this.#refuseTooLarge(key, entry.value.byteLength);
    this.#store.put(key, entry, this.#onDrop);
    this.#evict();
  }

  setText(key: string, text: string, times: Omit<NewEntry, "value">): void {
    if (!this.#store.takesText(text)) return this.set(key, { value: toBytes(text), ...times });
    this.#refuseTooLarge(key, text.length);
    this.#store.put(key, { text, ...times }, this.#onDrop);
    this.#evict();
  }

  delete(key: string): boolean {
    const item = this.#store.items.get(key);
    if (item === undefined) return false;
    this.#store.remove(item);
    return !isExpired(item);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): boolean {
    if (guard !== undefined) {
      const { revision } = guardStore(MemoryEngine, guard).#store.live(guard.key) ?? {};
      if (revision !== guard.expected.revision) return false;
    }
    if (this.#store.live(key)?.revision !== expected?.revision) return false;
    if (next === undefined) this.delete(key);
    else this.set(key, next);
    return true;
  }

  keys(prefix = ""): AsyncIterable<string> {
    return this.#store.iterate(prefix, ({ key }) => key);
  }

  entries(prefix = ""): AsyncIterable<[string, Entry]> {
    const entryOf = (item: Item): [string, Entry] => [item.key, this.#store.entryOf(item)];
    return this.#store.iterate(prefix, entryOf);
  }

  size(): number {
    return this.#store.size();
  }

  clear(deep = false): void {
    this.#store.clear();
    if (!deep) return;
    for (const [dbname, store] of [...STORES.get(this.#group) ?? []]) {
      if (!nameInside(this.#dbname, dbname)) continue;
      store.clear();
      this.#drop(dbname);
    }
  }

  prune(): number {
    return this.#store.prune(this.#onDrop);
  }

  byteSize(): number {
    return this.#store.bytes;
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    for (const [name, store] of [...STORES.get(this.#group) ?? []]) {
      const dbname = nameInside(this.#dbname, name);
      if (dbname !== undefined) yield { dbname, usage: counted ? await store.usage() : undefined };
    }
  }

  /** The entry, as the one that was used last. */
  #use(key: string): Item | undefined {
    const item = this.#store.items.get(key);
    if (item === undefined) return undefined;
    if (isExpired(item)) {
      this.#store.remove(item);
      this.#onDrop?.(key, "expire");
      return undefined;
    }
    this.#store.use(item);
    return item;
  }

  /** Nothing would be left of the store, and it would not be kept either. */
  #refuseTooLarge(key: string, length: number): void {
    if (this.#maxBytes === Infinity) return;
    const bytes = bytesOf(key, length);
    if (bytes <= this.#maxBytes) return;
    throw new RangeError(
      `Cannot set entry in engine "memory": it takes ${bytes} bytes, and "maxBytes" is ` +
        `${this.#maxBytes}; what was there stays`,
    );
  }

  #evict(): void {
    this.evictions += this.#store.evict(this.#maxEntries, this.#maxBytes, this.#onDrop);
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

/**
 * Makes the engine "memory", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { memory } from "@hashstash/hashstash/engines/memory";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: memory,
 *   engineOptions: { maxEntries: 1_000 },
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // memory { any: "value" }
 * ```
 */
export function memory(location: EngineLocation, engineOptions: MemoryEngineOptions = {}): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames("memory", options, ["maxEntries", "maxBytes"]);
  return new MemoryEngine(
    location,
    integerOption("memory", options, "maxEntries") ?? Infinity,
    integerOption("memory", options, "maxBytes") ?? Infinity,
  );
}

builtIn("memory", memory);

export type {
  /** `engineOptions` of memory. */
  MemoryEngineOptions,
};
