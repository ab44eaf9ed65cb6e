/**
 * One JSON file per store, which Python's pickleDB reads and writes too.
 *
 * @module
 */
import { existsSync, lstatSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import type {
  Awaitable,
  Engine,
  EngineCheck,
  EngineLocation,
  EngineOperation,
  Entry,
  FoundStore,
  Guard,
  NewEntry,
  StoreUsage,
} from "../engine.ts";
import { isExpired } from "../expiry.ts";
import { explainFile } from "../file_failures.ts";
import { builtIn } from "../built_in.ts";
import type { PickledbEngineOptions } from "../engine_options.ts";
import { guardStore } from "../guard.ts";
import { safeDecodeKey, showKey } from "../errors.ts";
import { compareNames, storeNames } from "../names.ts";
import { checkOptionNames, type EngineOptions, modeOption } from "../options.ts";
import { type NestedPlace, nestedStores } from "../nested.ts";
import { storePath } from "../paths.ts";
import { checkDocument, replace } from "./check.ts";
import { Document, type DocumentOptions, type Draft, type Items } from "./store.ts";
import { stateOf, TooLong } from "./file.ts";
import { whenReady } from "../../platform/awaitable.ts";
import { entryOf, type Item, makeItem, measure, valueText } from "./format.ts";
import { JsonDamage, LONGEST } from "./text.ts";
import { type Hold, SharedResources } from "../shared.ts";
import { Tally, utf8Length } from "../tally.ts";
import { Turns } from "../../platform/timers.ts";

const NAME = "pickledb";
const ENDING = ".json";

/** The documents that handles in this process share, by path. */
const DOCUMENTS = new SharedResources<Document>((document) => document.idle());

/** Entries in one JSON file, which Python's pickleDB and people read too. */
class PickledbEngine implements Engine {
  readonly name = NAME;
  readonly path: string;
  // Plain values have no time of their own.
  readonly supports = {
    persistent: true,
    shared: true,
    guard: true,
    stores: true,
    fileTimes: true,
  };
  readonly #nested: string;
  readonly #options: DocumentOptions;
  #hold: Hold<Document> | undefined;
  /** Known from `open` on; after `close` the listings that are under way still read it. */
  #document!: Document;

  constructor(path: string, nested: string, options: DocumentOptions) {
    this.path = path;
    this.#nested = nested;
    this.#options = options;
  }

  async open(): Promise<void> {
    // First, what may fail: nothing is held then.
    compareNames(this.#options.names ?? []);
    stateOf(this.path);
    this.#hold = await hold(this.path, this.#options);
    this.#document = this.#hold.resource;
  }

  async close(): Promise<void> {
    await this.#hold?.release();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#read((items) => this.#entry(key, items.get(key)));
  }

  has(key: string): Awaitable<boolean> {
    return this.#read((items) => isLive(items.get(key)));
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#read((items) => keys.map((key) => this.#entry(key, items.get(key))));
  }

  set(key: string, entry: NewEntry): Promise<void> {
    const item = itemOf(key, entry);
    return this.#document.change((draft) => draft.set(key, item));
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    const items: [string, Item][] = [];
    const turns = new Turns();
    for (const [key, entry] of pairs) {
      items.push([key, itemOf(key, entry)]);
      if (turns.due()) await turns.next();
    }
    await this.#document.change((draft) => {
      for (const [key, item] of items) draft.set(key, item);
    });
  }

  async delete(key: string): Promise<boolean> {
    if (!await this.has(key)) return false;
    return await this.#document.change((draft) => remove(draft, key));
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#document.change((draft) => keys.filter((key) => remove(draft, key)).length);
  }

  deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    return this.#document.change((draft) =>
      entries.map(([key, expected]) => isIn(draft.get(key), expected) && remove(draft, key))
    );
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    const item = next && itemOf(key, next);
    return this.#document.change((draft, guarding) => {
      const current = draft.get(key);
      if (guard !== undefined && !isIn(guarding?.get(guard.key), guard.expected)) return false;
      if (!isIn(current, expected)) return false;
      if (item !== undefined) draft.set(key, item);
      else if (current !== undefined) draft.delete(key);
      return true;
    }, guard && guardStore(PickledbEngine, guard).#document);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const [key] of this.#live(prefix)) yield key;
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    for await (const [key, item] of this.#live(prefix)) {
      const entry = this.#entry(key, item);
      if (entry !== undefined) yield [key, entry];
    }
  }

  size(): Awaitable<number> {
    return this.#read((items) => {
      let count = 0;
      for (const item of items.values()) if (isLive(item)) count++;
      return count;
    });
  }

  async clear(deep = false): Promise<void> {
    await empty(this.#document);
    if (!deep) return;
    for (const { path } of documentsIn(this.#nested)) await this.#inDocument(path, empty);
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    yield { dbname: "", usage: counted ? await usageOf(this.#document) : undefined };
    for (const { path, dbname } of documentsIn(this.#nested)) {
      if (dbname === undefined) continue;
      const usage = counted ? await this.#inDocument(path, usageOf) : undefined;
      yield { dbname, usage };
    }
  }

  async #inDocument<T>(path: string, action: (document: Document) => Promise<T>): Promise<T> {
    const { mode } = this.#options;
    const { resource, release } = await hold(path, { mode });
    try {
      return await action(resource);
    } catch (error) {
      if (!(error instanceof JsonDamage)) throw error;
      // It is that file that the message is to name.
      throw damaged(path, error);
    } finally {
      await release();
    }
  }

  prune(): Promise<number> {
    return this.#document.change((draft) => {
      const expired = [...draft.keys()].filter((key) => !isLive(draft.get(key)));
      for (const key of expired) draft.delete(key);
      return expired.length;
    });
  }

  check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    return checkDocument(this.#document, fix);
  }

  byteSize(): number {
    return stateOf(this.path).size;
  }

  explain(error: unknown, _operation: EngineOperation, key?: string): string | Error | undefined {
    if (!(error instanceof JsonDamage)) return explainFile(error, dirname(this.path));
    return damaged(this.path, error, key);
  }

  #entry(key: string, item: Item | undefined): Entry | undefined {
    if (!isLive(item)) return undefined;
    try {
      return entryOf(item, this.#document.mtime);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      const what = `it is damaged in ${this.path}: ${cause.message}; ` +
        "check({ fix: true }) removes it and keeps a copy of the file";
      throw new DecodeError(what, { key, cause });
    }
  }

  /** Reads at once when no other process has changed the file. */
  #read<T>(fn: (items: Items) => T): Awaitable<T> {
    return whenReady(this.#document.items(), fn);
  }

  /** The live members as they were at the start, each as it is when it comes. */
  async *#live(prefix: string): AsyncGenerator<[string, Item]> {
    const turns = new Turns();
    let items = await this.#document.items();
    for (const key of [...items.keys()]) {
      const item = key.startsWith(prefix) ? items.get(key) : undefined;
      if (isLive(item)) yield [key, item];
      if (turns.due()) {
        await turns.next();
        items = await this.#document.items();
      }
    }
  }
}

/**
 * Makes the engine "pickledb", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { pickledb } from "@hashstash/hashstash/engines/pickledb";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: pickledb,
 *   rootDir: await Deno.makeTempDir(),
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // pickledb { any: "value" }
 * ```
 */
export function pickledb(
  location: EngineLocation,
  engineOptions: PickledbEngineOptions = {},
): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames(NAME, options, ["mode", "path"]);
  const nested = storePath(NAME, { ...location, dbname: `${location.dbname}/-` }, options, ENDING);
  return new PickledbEngine(storePath(NAME, location, options, ENDING), dirname(nested), {
    mode: modeOption(NAME, options),
    names: storeNames(NAME, location, options),
  });
}

builtIn("pickledb", pickledb);

export type {
  /** `engineOptions` of pickledb. */
  PickledbEngineOptions,
};

function hold(path: string, options: DocumentOptions): Promise<Hold<Document>> {
  const file = targetOf(path);
  return DOCUMENTS.acquire(file, () => new Document(file, options));
}

/** @throws {RangeError} When no file could have it. */
function itemOf(key: string, entry: NewEntry): Item {
  try {
    if (entry.value.byteLength > LONGEST) throw new RangeError("No text is that long");
    return makeItem(key, entry);
  } catch (cause) {
    // Of the text that it would be.
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(
      `Cannot set entry ${showKey(safeDecodeKey(key))} in engine "${NAME}": its ` +
        `${entry.value.byteLength} bytes are too many for a JSON file; use another engine`,
      { cause },
    );
  }
}

/** What a link points to: that is replaced then, and the link stays one. */
function targetOf(path: string): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink && existsSync(path) ? realpathSync(path) : path;
}

function isLive(item: Item | undefined): item is Item {
  return item !== undefined && !isExpired(item);
}

/** Whether a member is in the state of an entry; `undefined`: there is none. */
function isIn(item: Item | undefined, entry: Entry | undefined): boolean {
  return (isLive(item) ? valueText(item) : undefined) === entry?.revision;
}

function remove(draft: Draft, key: string): boolean {
  const live = isLive(draft.get(key));
  if (live) draft.delete(key);
  return live;
}

/** Removes all members; of a file that is damaged a copy is kept. */
async function empty(document: Document): Promise<void> {
  // Once more, if another program writes to a damaged file meanwhile: it may be a sound one then.
  for (let isEmpty = false; !isEmpty;) {
    try {
      await document.change((draft) => {
        for (const key of draft.keys()) draft.delete(key);
      });
      isEmpty = true;
    } catch (error) {
      if (!(error instanceof JsonDamage || error instanceof TooLong)) throw error;
      isEmpty = await document.exclusively(async () => {
        const state = stateOf(document.path);
        return error instanceof JsonDamage
          ? await replace(document, new Map(), state) !== undefined
          : await document.save(new Map(), state);
      });
    }
  }
}

/** The files of nested stores; a link leads to something else. */
function documentsIn(folder: string): Iterable<NestedPlace> {
  return nestedStores(folder, ENDING, (path) => {
    return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  });
}

async function usageOf(document: Document): Promise<StoreUsage> {
  const tally = new Tally();
  const turns = new Turns();
  const items = await document.items();
  for (const [key, item] of [...items]) {
    if (!isLive(item)) continue;
    try {
      const { bytes, timestamp = document.mtime } = measure(item);
      tally.add(utf8Length(key) + bytes, timestamp);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // It is listed, and nobody knows how much of it there is.
      tally.add(utf8Length(key));
    }
    if (turns.due()) await turns.next();
  }
  return tally.usage;
}

/** A file that can't be read; without a key: whoever words it knows none to stand before it. */
function damaged(path: string, cause: JsonDamage, key?: string): DecodeError {
  const what = `${path} is damaged: ${cause.message}; ` +
    "check({ fix: true }) keeps what can be read, and a copy of it all";
  if (key !== undefined) return new DecodeError(what, { cause });
  return new DecodeError(`Cannot read engine "${NAME}": ${what}`, { engine: NAME, cause });
}
