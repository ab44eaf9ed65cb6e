import { existsSync, lstatSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import type { Awaitable, Engine, EngineCheck, EngineLocation, Entry, NewEntry } from "../engine.ts";
import { fileError } from "../file_failures.ts";
import { checkOptionNames, type EngineOptions } from "../options.ts";
import { storePath } from "../paths.ts";
import { checkDocument, setAside } from "./check.ts";
import { Document, type Draft, type Items } from "./document.ts";
import { stateOf } from "./file.ts";
import { entryOf, isExpired, type Item, makeItem, valueText } from "./items.ts";
import { JsonDamage } from "./text.ts";
import { type Hold, SharedResources } from "../shared.ts";
import { Turns } from "../../platform/timers.ts";

const NAME = "pickledb";
const ENDING = ".json";

/** The documents that handles in this process share, by path. */
const DOCUMENTS = new SharedResources<Document>((document) => document.idle());

/** Entries in one JSON file, which Python's pickleDB and people read too. */
class PickledbEngine implements Engine {
  readonly name = NAME;
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #nested: string;
  #holding: Promise<Hold<Document>> | undefined;
  #document: Document | undefined;

  constructor(path: string, nested: string) {
    this.path = path;
    this.#nested = nested;
  }

  async open(): Promise<void> {
    await this.#run("open", async () => {
      this.#holding ??= hold(this.path);
      this.#document ??= (await this.#holding).resource;
      stateOf(this.path);
    });
  }

  async close(): Promise<void> {
    const holding = this.#holding;
    this.#holding = this.#document = undefined;
    await (await holding)?.release();
  }

  get(key: string): Awaitable<Entry | undefined> {
    return this.#read("get", (items) => this.#entry(key, items.get(key)), key);
  }

  has(key: string): Awaitable<boolean> {
    return this.#read("has", (items) => isLive(items.get(key)), key);
  }

  getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    return this.#read("getMany", (items) => keys.map((key) => this.#entry(key, items.get(key))));
  }

  set(key: string, entry: NewEntry): Promise<void> {
    const item = makeItem(key, entry);
    return this.#change("set", (draft) => draft.set(key, item), key);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    const items: [string, Item][] = [];
    const turns = new Turns();
    for (const [key, entry] of pairs) {
      items.push([key, makeItem(key, entry)]);
      if (turns.due()) await turns.next();
    }
    await this.#change("setMany", (draft) => {
      for (const [key, item] of items) draft.set(key, item);
    });
  }

  async delete(key: string): Promise<boolean> {
    if (!await this.has(key)) return false;
    return await this.#change("delete", (draft) => remove(draft, key), key);
  }

  deleteMany(keys: string[]): Promise<number> {
    return this.#change("deleteMany", (draft) => keys.filter((key) => remove(draft, key)).length);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    const item = next && makeItem(key, next);
    return this.#change("compareAndSet", (draft) => {
      const current = draft.get(key);
      const revision = isLive(current) ? valueText(current) : undefined;
      if (revision !== expected?.revision) return false;
      if (item !== undefined) draft.set(key, item);
      else if (current !== undefined) draft.delete(key);
      return true;
    }, key);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const [key] of this.#live("keys", prefix)) yield key;
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    for await (const [key, item] of this.#live("entries", prefix)) {
      const entry = await this.#run("entries", () => this.#entry(key, item), key);
      if (entry !== undefined) yield [key, entry];
    }
  }

  size(): Awaitable<number> {
    return this.#read("size", (items) => {
      let count = 0;
      for (const item of items.values()) if (isLive(item)) count++;
      return count;
    });
  }

  async clear(deep = false): Promise<void> {
    await this.#run("clear", async () => {
      await empty(this.#store);
      if (!deep) return;
      for (const path of documentsIn(this.#nested)) {
        const { resource, release } = await hold(path);
        try {
          await empty(resource);
        } finally {
          await release();
        }
      }
    });
  }

  prune(): Promise<number> {
    return this.#change("prune", (draft) => {
      const expired = [...draft.keys()].filter((key) => !isLive(draft.get(key)));
      for (const key of expired) draft.delete(key);
      return expired.length;
    });
  }

  async check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    return await this.#run("check", () => checkDocument(this.#store, fix));
  }

  async byteSize(): Promise<number> {
    return await this.#run("byteSize", () => stateOf(this.path).size);
  }

  get #store(): Document {
    if (this.#document === undefined) throw new TypeError(`Engine "${NAME}" is not open`);
    return this.#document;
  }

  #entry(key: string, item: Item | undefined): Entry | undefined {
    if (!isLive(item)) return undefined;
    try {
      return entryOf(item, this.#store.mtime);
    } catch (cause) {
      if (cause instanceof SyntaxError) throw this.#damaged(cause, key);
      throw cause;
    }
  }

  /** Reads at once when no other process has changed the file. */
  #read<T>(operation: string, fn: (items: Items) => T, key?: string): Awaitable<T> {
    const store = this.#store;
    try {
      const items = store.items();
      if (items instanceof Map) return fn(items);
      return this.#run(operation, async () => fn(await items), key);
    } catch (error) {
      throw this.#failure(operation, error, key);
    }
  }

  #change<T>(operation: string, fn: (draft: Draft) => T, key?: string): Promise<T> {
    const store = this.#store;
    return this.#run(operation, () => store.change(fn), key);
  }

  async #run<T>(operation: string, action: () => Awaitable<T>, key?: string): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw this.#failure(operation, error, key);
    }
  }

  /** The live members as they were at the start, each as it is when it comes. */
  async *#live(operation: string, prefix: string): AsyncGenerator<[string, Item]> {
    const read = () => this.#run(operation, () => this.#store.items());
    const turns = new Turns();
    let items = await read();
    for (const key of [...items.keys()]) {
      const item = key.startsWith(prefix) ? items.get(key) : undefined;
      if (isLive(item)) yield [key, item];
      if (turns.due()) {
        await turns.next();
        items = await read();
      }
    }
  }

  #failure(operation: string, error: unknown, key?: string): Error {
    if (error instanceof JsonDamage) return this.#damaged(error, key);
    return fileError(NAME, operation, dirname(this.path), error);
  }

  #damaged(cause: SyntaxError, key?: string): DecodeError {
    const message = `Cannot read engine "${NAME}": ${this.path} is damaged: ${cause.message}; ` +
      "check({ fix: true }) keeps what can be read, and a copy of it all";
    return new DecodeError(message, { engine: NAME, key, cause });
  }
}

/** Makes the engine "pickledb". */
export function pickledb(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames(NAME, options, ["path"]);
  const nested = storePath(NAME, { ...location, dbname: `${location.dbname}/-` }, options, ENDING);
  return new PickledbEngine(storePath(NAME, location, options, ENDING), dirname(nested));
}

function hold(path: string): Promise<Hold<Document>> {
  const file = targetOf(path);
  return DOCUMENTS.acquire(file, () => new Document(file));
}

/** What a link points to: that is replaced then, and the link stays one. */
function targetOf(path: string): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink && existsSync(path) ? realpathSync(path) : path;
}

function isLive(item: Item | undefined): item is Item {
  return item !== undefined && !isExpired(item);
}

function remove(draft: Draft, key: string): boolean {
  const live = isLive(draft.get(key));
  if (live) draft.delete(key);
  return live;
}

/** Removes all members; of a file that can't be read a copy is kept. */
async function empty(document: Document): Promise<void> {
  try {
    await document.change((draft) => {
      for (const key of draft.keys()) draft.delete(key);
    });
  } catch (error) {
    if (!(error instanceof JsonDamage)) throw error;
    await document.exclusively(async () => {
      setAside(document.path);
      await document.save(new Map());
    });
  }
}

function* documentsIn(folder: string): Generator<string> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* documentsIn(path);
    else if (entry.name.endsWith(ENDING)) yield path;
  }
}
