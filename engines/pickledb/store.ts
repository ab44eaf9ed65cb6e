import type { Awaitable } from "../engine.ts";
import { FileLock } from "../../platform/file_lock.ts";
import { type FileState, isSame, prepare, readText, stateOf } from "./file.ts";
import { type Item, itemAt } from "./format.ts";
import { JsonDamage, members } from "./text.ts";
import { delay, Turns } from "../../platform/timers.ts";

/**
 * For how long after a write a damaged file may be one that another program is still writing, ms.
 */
const WRITING = 300;
/** How long to wait for it to go on, ms. */
const PAUSE = 25;

/** The members of a file, by key. */
export type Items = Map<string, Item>;

/** What is to become of members: `undefined` removes one. */
type Changes = Map<string, Item | undefined>;

/** Members with the changes that are to be saved with one another. */
export class Draft {
  readonly changes: Changes = new Map();
  readonly #items: Items;

  constructor(items: Items) {
    this.#items = items;
  }

  get(key: string): Item | undefined {
    return this.changes.has(key) ? this.changes.get(key) : this.#items.get(key);
  }

  set(key: string, item: Item): void {
    this.changes.set(key, item);
  }

  delete(key: string): void {
    this.changes.set(key, undefined);
  }

  /** All keys as they would be saved. */
  keys(): Set<string> {
    const keys = new Set(this.#items.keys());
    for (const [key, item] of this.changes) {
      if (item === undefined) keys.delete(key);
      else keys.add(key);
    }
    return keys;
  }
}

interface Task {
  apply(draft: Draft): void;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * The members of one JSON file, shared by all handles in this process. A look at the file's state
 * before each use tells whether another process has replaced it. Changes are made under a lock, on
 * what the file then has: those that come while a save is under way share the next one.
 */
export class Document {
  /** The file. */
  readonly path: string;
  #items: Items = new Map();
  #state: FileState | undefined;
  #reading: Promise<Items> | undefined;
  #saved:
    | { readonly state: FileState; readonly items: Items; readonly changes: Changes }
    | undefined;
  #tasks: Task[] = [];
  #working: Promise<void> | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** When the members were saved, ms since the epoch. */
  get mtime(): number {
    return this.#state?.mtime ?? 0;
  }

  /**
   * The members as they are in the file now.
   *
   * @throws {JsonDamage} When it is not a JSON object.
   */
  items(): Awaitable<Items> {
    return this.#known() ?? this.#fresh();
  }

  /** Changes members; resolves when the file has been saved. */
  async change<T>(apply: (draft: Draft) => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: T;
    this.#tasks.push({
      apply: (draft) => result = apply(draft),
      resolve: () => resolve(result),
      reject,
    });
    this.#working ??= this.#work();
    return await promise;
  }

  /** Does something while nobody else changes the file. */
  async exclusively<T>(action: () => Promise<T>): Promise<T> {
    const path = `${this.path}.lock`;
    using _lock = FileLock.tryTake(path) ?? await FileLock.take(path);
    return await action();
  }

  /** Puts members in the place of the file; only under the lock. */
  async save(items: Items, changes: Changes = new Map()): Promise<void> {
    const replacement = await prepare(this.path, stateOf(this.path), linesOf(items, changes));
    // From here on readers may see the new file, before this process is told that it is there.
    this.#saved = { state: replacement.state, items, changes };
    try {
      await replacement.commit();
      if (this.#saved !== undefined) this.#adopt();
    } finally {
      this.#saved = undefined;
    }
  }

  /** Waits for the saves that are under way. */
  async idle(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    // Those who come in the same turn share a save.
    await undefined;
    while (this.#tasks.length > 0) {
      let tasks: Task[] = [];
      try {
        await this.exclusively(async () => {
          const items = await this.items();
          tasks = this.#take();
          const draft = new Draft(items);
          for (const task of tasks) task.apply(draft);
          if (draft.changes.size > 0) await this.save(items, draft.changes);
        });
        for (const task of tasks) task.resolve();
      } catch (error) {
        for (const task of [...tasks, ...tasks.length === 0 ? this.#take() : []]) {
          task.reject(error);
        }
      }
    }
    // In the turn that has found no more tasks: what comes later must not rely on this work.
    this.#working = undefined;
  }

  /** The members, if they are known as they are in the file now. */
  #known(): Items | undefined {
    const state = stateOf(this.path);
    if (this.#state !== undefined && isSame(state, this.#state)) return this.#items;
    if (this.#saved !== undefined && isSame(state, this.#saved.state)) return this.#adopt();
  }

  /** The members by a reading that begins after this call. */
  async #fresh(): Promise<Items> {
    const earlier = this.#reading;
    if (earlier !== undefined) {
      // It may have begun before a change that the caller has been told of, or before the caller
      // took the lock.
      await earlier.catch(() => undefined);
      const known = this.#known();
      if (known !== undefined) return known;
    }
    this.#reading ??= this.#read().finally(() => this.#reading = undefined);
    return await this.#reading;
  }

  #take(): Task[] {
    const tasks = this.#tasks;
    this.#tasks = [];
    return tasks;
  }

  #adopt(): Items {
    const { state, items, changes } = this.#saved!;
    for (const [key, item] of changes) {
      if (item === undefined) items.delete(key);
      else items.set(key, item);
    }
    this.#items = items;
    this.#state = state;
    this.#saved = undefined;
    return items;
  }

  async #read(): Promise<Items> {
    for (;;) {
      try {
        const { state, text } = await readText(this.path);
        this.#items = await parse(text);
        this.#state = state;
        return this.#items;
      } catch (error) {
        if (!(error instanceof JsonDamage)) throw error;
        if (Math.abs(Date.now() - stateOf(this.path).mtime) > WRITING) throw error;
      }
      await delay(PAUSE);
    }
  }
}

async function parse(text: string | undefined): Promise<Items> {
  const items: Items = new Map();
  if (text === undefined) return items;
  const turns = new Turns();
  for (const member of members(text)) {
    items.set(member.key, itemAt(text, member));
    if (turns.due()) await turns.next();
  }
  return items;
}

function* linesOf(items: Items, changes: Changes): Generator<string> {
  let before = "{\n";
  for (const [key, item] of items) {
    const kept = changes.has(key) ? changes.get(key) : item;
    if (kept === undefined) continue;
    yield before + kept.text;
    before = ",\n";
  }
  for (const [key, item] of changes) {
    if (item === undefined || items.has(key)) continue;
    yield before + item.text;
    before = ",\n";
  }
  yield before === "{\n" ? "{}\n" : "\n}\n";
}
