/**
 * One file per entry, in folders by the hash of the key.
 *
 * @module
 */
import { statSync } from "node:fs";
import { DecodeError } from "../../codec/errors.ts";
import { isPermissionDenied } from "../../platform/errors.ts";
import { Turns } from "../../platform/timers.ts";
import type {
  Awaitable,
  Engine,
  EngineCheck,
  EngineCheckOptions,
  EngineLocation,
  EngineOperation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { explainFile } from "../file_failures.ts";
import { defaultRootDir } from "../location.ts";
import { builtIn } from "../built_in.ts";
import type { PairtreeEngineOptions } from "../engine_options.ts";
import { guardStore } from "../guard.ts";
import { booleanOption, checkOptionNames, type EngineOptions, modeOption } from "../options.ts";
import { claimNames, compareNames, type NamedPath, storeNames } from "../names.ts";
import { type NestedPlace, nestedStores } from "../nested.ts";
import { nestedFolder, storePath } from "../paths.ts";
import { checkStore } from "./check.ts";
import type { WriteOptions } from "./files.ts";
import { Damage } from "./format.ts";
import { folderOf, placeOf } from "./names.ts";
import { PairtreeStore, remove } from "./store.ts";

const NAME = "pairtree";

/** One file per entry, in folders named after the key's hash. */
class PairtreeEngine implements Engine {
  readonly name = NAME;
  readonly supports = { persistent: true, shared: true, guard: true, stores: true };
  readonly #rootDir: string;
  readonly #names: NamedPath[];
  readonly #options: WriteOptions;
  readonly #store: PairtreeStore;

  constructor(rootDir: string, location: EngineLocation, options: WriteOptions) {
    this.#rootDir = rootDir;
    this.#names = storeNames(NAME, location, {});
    this.#options = options;
    this.#store = new PairtreeStore(storePath(NAME, location, {}), options);
  }

  get path(): string {
    return this.#store.path;
  }

  async open(): Promise<void> {
    compareNames(this.#names);
    // A store that is there may be open to readers only.
    if (this.#store.exists()) return;
    await claimNames(this.#names, this.#options.mode);
    this.#store.make();
  }

  async close(): Promise<void> {
    // Nothing is held between calls, but some may still be waiting for a lock.
    await this.#store.idle();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#store.get(key);
  }

  has(key: string): Awaitable<boolean> {
    return this.#store.has(key);
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    return this.#store.set(key, entry);
  }

  delete(key: string): Awaitable<boolean> {
    return this.#store.delete(key);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean> {
    const other = guard && { ...guard, store: guardStore(PairtreeEngine, guard).#store };
    return this.#store.compareAndSet(key, expected, next, other);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    const turns = new Turns();
    for (const folder of this.#store.folders()) {
      for (const key of this.#store.keys(folder)) {
        if (key?.startsWith(prefix)) yield key;
        if (turns.due()) await turns.next();
      }
    }
  }

  async size(): Promise<number> {
    const turns = new Turns();
    let count = 0;
    for (const folder of this.#store.folders()) {
      for (const live of this.#store.live(folder)) {
        if (live) count++;
        if (turns.due()) await turns.next();
      }
    }
    return count;
  }

  async clear(deep = false): Promise<void> {
    await clear(this.#store);
    if (!deep) return;
    for (const { path } of this.#nested()) await clear(new PairtreeStore(path, this.#options));
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    for (const { path, dbname } of [{ path: this.path, dbname: "" }, ...this.#nested()]) {
      if (dbname === undefined) continue;
      const store = new PairtreeStore(path, this.#options);
      yield { dbname, usage: counted ? await store.usage() : undefined };
    }
  }

  async prune(): Promise<number> {
    const store = this.#store;
    if (!store.mayExpire()) return 0;
    const turns = new Turns();
    let count = 0;
    for (const folder of store.folders()) {
      for (const name of store.names(folder)) {
        const { path } = store.at({ folder, name });
        if (turns.due()) await turns.next();
        if (folderOf(name) !== folder || store.isLive(path)) continue;
        await store.locked(folder, () => {
          // Somebody may have set it anew.
          if (!store.isLive(path) && remove(path)) count++;
        });
      }
    }
    return count;
  }

  check({ fix, signal }: EngineCheckOptions): Promise<EngineCheck> {
    return checkStore(this.#store, fix, signal);
  }

  async byteSize(): Promise<number> {
    const store = this.#store;
    const turns = new Turns();
    let bytes = 0;
    for (const folder of store.folders()) {
      for (const name of store.names(folder)) {
        if (turns.due()) await turns.next();
        if (folderOf(name) !== folder) continue;
        bytes += statSync(store.at({ folder, name }).path, { throwIfNoEntry: false })?.size ?? 0;
      }
    }
    return bytes;
  }

  #nested(): Iterable<NestedPlace> {
    return nestedStores(nestedFolder(this.path), "", (_path, { isDirectory }) => isDirectory);
  }

  explain(error: unknown, _operation: EngineOperation, key?: string): string | Error | undefined {
    if (error instanceof Damage) {
      const file = key === undefined ? `a file in ${this.path}` : this.#store.at(placeOf(key)).path;
      const what = `${file} is damaged: ${error.message}; check({ fix: true }) removes it`;
      return new DecodeError(what, { key, cause: error });
    }
    return explainFile(error, isPermissionDenied(error) ? this.#rootDir : this.path);
  }
}

/** Removes all entries of a store, and what killed processes left in it. */
async function clear(store: PairtreeStore): Promise<void> {
  const turns = new Turns();
  for (const { digit, folders } of store.locks()) {
    await store.locked(digit, async () => {
      for (const folder of folders) {
        for (const name of store.names(folder)) {
          if (folderOf(name) !== folder) continue;
          remove(store.at({ folder, name }).path);
          if (turns.due()) await turns.next();
        }
      }
      remove(store.temporaryOf(digit));
      await store.flush(folders);
    });
  }
}

/**
 * Makes the engine "pairtree", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { pairtree } from "@hashstash/hashstash/engines/pairtree";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: pairtree,
 *   rootDir: await Deno.makeTempDir(),
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // pairtree { any: "value" }
 * ```
 */
export function pairtree(
  location: EngineLocation,
  engineOptions: PairtreeEngineOptions = {},
): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames(NAME, options, ["mode", "sync"]);
  const rootDir = location.rootDir ?? defaultRootDir();
  return new PairtreeEngine(rootDir, { ...location, rootDir }, {
    mode: modeOption(NAME, options),
    sync: booleanOption(NAME, options, "sync"),
  });
}

builtIn("pairtree", pairtree);

export type {
  /** `engineOptions` of pairtree. */
  PairtreeEngineOptions,
};
