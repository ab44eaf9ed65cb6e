import { DecodeError } from "../../codec/errors.ts";
import type { Engine, EngineCheck, EngineLocation, Entry, NewEntry } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { engineError, messageOf } from "../errors.ts";
import { checkOptionNames, type EngineOptions } from "../options.ts";
import type { Hold } from "../shared.ts";
import { isBusy, isDamage, type KvClient } from "./client.ts";
import { StoreKeys } from "./keys.ts";
import { openPlace, type Place, placeOf } from "./place.ts";
import { KvStore } from "./store.ts";
import { isPermissionDenied } from "../../platform/errors.ts";

/** Entries in Deno KV: in a file, in memory, in Deno's own place or on a KV Connect server. */
class ShelveEngine implements Engine {
  readonly name = "shelve";
  readonly path: string;
  readonly supports: { readonly persistent: boolean; readonly shared: boolean };
  readonly #place: Place;
  readonly #location: EngineLocation;
  #opening: Promise<Hold<KvClient>> | undefined;
  #opened: KvStore | undefined;

  constructor(location: EngineLocation, place: Place) {
    this.path = place.path;
    this.supports = { persistent: place.kind !== "memory", shared: place.kind !== "memory" };
    this.#place = place;
    this.#location = location;
  }

  async open(): Promise<void> {
    this.#opening ??= openPlace(this.#place, this.#location);
    try {
      const { resource } = await this.#opening;
      this.#opened ??= new KvStore(resource, StoreKeys.of(this.#location));
    } catch (error) {
      this.#opening = undefined;
      throw this.#failure("open", error);
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = this.#opened = undefined;
    await (await opening)?.release();
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#run("get", (store) => store.get(key));
  }

  has(key: string): Promise<boolean> {
    return this.#run("has", (store) => store.has(key));
  }

  getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return this.#run("getMany", (store) => store.getMany(keys));
  }

  set(key: string, entry: NewEntry): Promise<void> {
    return this.#run("set", (store) => store.set(key, entry));
  }

  setMany(pairs: [string, NewEntry][]): Promise<void> {
    return this.#run("setMany", (store) => store.setMany(pairs));
  }

  delete(key: string): Promise<boolean> {
    return this.#run("delete", (store) => store.delete(key));
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#run("deleteMany", (store) => store.deleteMany(keys));
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    return this.#run("compareAndSet", (store) => store.compareAndSet(key, expected, next));
  }

  keys(prefix?: string): AsyncGenerator<string> {
    return this.#iterate("keys", (store) => store.keys(prefix));
  }

  entries(prefix?: string): AsyncGenerator<[string, Entry]> {
    return this.#iterate("entries", (store) => store.entries(prefix));
  }

  size(): Promise<number> {
    return this.#run("size", (store) => store.size());
  }

  clear(deep = false): Promise<void> {
    return this.#run("clear", (store) => store.clear(deep));
  }

  prune(): Promise<number> {
    return this.#run("prune", (store) => store.prune());
  }

  check(options: { fix: boolean }): Promise<EngineCheck> {
    return this.#run("check", (store) => store.check(options));
  }

  byteSize(): Promise<number> {
    return this.#run("byteSize", (store) => store.byteSize());
  }

  get #store(): KvStore {
    if (this.#opened === undefined) throw new TypeError('Engine "shelve" is not open');
    return this.#opened;
  }

  async #run<T>(operation: string, action: (store: KvStore) => Promise<T>): Promise<T> {
    const store = this.#store;
    try {
      return await action(store);
    } catch (error) {
      throw this.#failure(operation, error);
    }
  }

  async *#iterate<T>(
    operation: string,
    action: (store: KvStore) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    const items = action(this.#store);
    for (;;) {
      const { done, value } = await this.#run(operation, () => items.next());
      if (done) return;
      yield value;
    }
  }

  #failure(operation: string, error: unknown): Error {
    if (error instanceof DecodeError || error instanceof EngineError) return error;
    return engineError(this.name, operation, explain(error, this.#place), error);
  }
}

/** What went wrong in Deno KV, and what to do about it. */
function explain(error: unknown, { kind, path }: Place): string {
  // The library hangs the stack of its own machine code onto its messages.
  const [message] = messageOf(error).split("\n\nStack backtrace:");
  if (isPermissionDenied(error)) return message;
  const database = kind === "file" ? `"${path}"` : path;
  if (isBusy(error)) {
    return `other processes have kept ${database} locked for too long; end them or try later`;
  }
  if (isDamage(error)) {
    return `${database} is damaged, or no Deno KV database (${message}); restore it from a copy, ` +
      "move it away or use another path";
  }
  if (/unable to open/.test(message)) {
    return `${database} cannot be opened or made; check that it is a file in a folder that may be ` +
      "written";
  }
  return `${message} (${path})`;
}

/** Makes the engine "shelve". */
export function shelve(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames("shelve", options, ["path", "kv"]);
  return new ShelveEngine(location, placeOf(location, options));
}
