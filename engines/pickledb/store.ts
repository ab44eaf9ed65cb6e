import { rmSync } from "node:fs";
import type { Awaitable } from "../engine.ts";
import { safeDecodeKey, showKey } from "../errors.ts";
import { isDiskFull } from "../file_failures.ts";
import { claimNames, type NamedPath } from "../names.ts";
import { FileLock } from "../../platform/file_lock.ts";
import {
  type FileState,
  isSame,
  NO_FILE,
  prepare,
  readText,
  type Replacement,
  stateOf,
  TooLong,
} from "./file.ts";
import { type Item, itemAt } from "./format.ts";
import { JsonDamage, LONGEST, members } from "./text.ts";
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
  readonly #longest: number;
  /** How long the file would be, at most. */
  #length: number;
  /** What the changes of the task in hand took the place of, the last one last. */
  #undo: { key: string; wasChanged: boolean; before: Item | undefined }[] = [];

  /**
   * @param length How long the file is.
   * @param longest How long it may get.
   */
  constructor(items: Items, length: number, longest: number) {
    this.#items = items;
    this.#length = length;
    this.#longest = longest;
  }

  get(key: string): Item | undefined {
    return this.changes.has(key) ? this.changes.get(key) : this.#items.get(key);
  }

  /** @throws {RangeError} When the file would be longer than can be read. */
  set(key: string, item: Item): void {
    this.#change(key, item);
    if (this.#length <= this.#longest) return;
    // A file that another program has formatted is longer than what we make of it.
    this.#length = this.#exactLength();
    if (this.#length > this.#longest) throw tooLong(key, item, this.#longest);
  }

  delete(key: string): void {
    this.#change(key, undefined);
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

  /** Does all that a task does, or, when it throws, nothing of it. */
  attempt<T>(task: (draft: Draft) => T): T {
    this.#undo = [];
    const length = this.#length;
    try {
      return task(this);
    } catch (error) {
      for (const { key, wasChanged, before } of this.#undo.reverse()) {
        if (wasChanged) this.changes.set(key, before);
        else this.changes.delete(key);
      }
      this.#length = length;
      throw error;
    }
  }

  #change(key: string, item: Item | undefined): void {
    const before = this.get(key);
    this.#undo.push({ key, wasChanged: this.changes.has(key), before });
    this.#length += lengthOf(item) - lengthOf(before);
    this.changes.set(key, item);
  }

  #exactLength(): number {
    let length = FRAME;
    for (const key of this.keys()) length += lengthOf(this.get(key));
    return length;
  }
}

/** How long a file without members is, at most. */
const FRAME = 4;

/** How much longer a member makes a file. */
function lengthOf(item: Item | undefined): number {
  return item === undefined ? 0 : item.text.length + 2;
}

function tooLong(key: string, { text }: Item, longest: number): RangeError {
  return new RangeError(
    `Cannot set entry ${showKey(safeDecodeKey(key))} in engine "pickledb": with its ` +
      `${text.length} bytes the file would be longer than the ${longest} that can be read; ` +
      "delete others first, or use another engine",
  );
}

/** What a save makes of the file. */
interface Saved {
  readonly state: FileState;
  readonly items: Items;
  readonly changes: Changes;
}

/** Where a change looks for the entry that guards it. */
export type Guarding = Pick<Items, "get">;

interface Task {
  /** The file with the entry that guards it. */
  readonly guard: Document | undefined;
  apply(draft: Draft, guarding: Guarding | undefined): void;
  resolve(): void;
  reject(error: unknown): void;
}

/** How a file is kept. */
export interface DocumentOptions {
  /** The mode of a new file. */
  readonly mode: number;
  /** The names that hashes in its path stand for. */
  readonly names?: readonly NamedPath[];
  /** How many characters it may have. Default: as many as can be read. */
  readonly longest?: number;
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
  #saved: Saved | undefined;
  #tasks: Task[] = [];
  #working: Promise<void> | undefined;
  #isClaimed = false;
  readonly #options: Required<DocumentOptions>;

  constructor(path: string, { mode, names = [], longest = LONGEST }: DocumentOptions) {
    this.path = path;
    this.#options = { mode, names, longest };
  }

  /** The state of the file that the members are of, as last read or saved. */
  get state(): FileState {
    return this.#state ?? NO_FILE;
  }

  /** When the members were saved, ms since the epoch. */
  get mtime(): number {
    return this.state.mtime;
  }

  /**
   * The members as they are in the file now.
   *
   * @throws {JsonDamage} When it is not a JSON object.
   */
  items(): Awaitable<Items> {
    return this.#known() ?? this.#fresh();
  }

  /**
   * Changes members; resolves when the file has been saved.
   *
   * @param guard A file that nobody changes meanwhile; `apply` gets its members, unless it can't be
   * read.
   */
  async change<T>(
    apply: (draft: Draft, guarding: Guarding | undefined) => T,
    guard?: Document,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: T;
    this.#tasks.push({
      guard,
      apply: (draft, guarding) => result = apply(draft, guarding),
      resolve: () => resolve(result),
      reject,
    });
    this.#working ??= this.#work();
    return await promise;
  }

  /** Does something while nobody else changes the file. */
  async exclusively<T>(action: () => Promise<T>): Promise<T> {
    const path = `${this.path}.lock`;
    // Who may write the file may lock it.
    const options = { mode: (stateOf(this.path).mode ?? this.#options.mode) & 0o666 | 0o600 };
    const lock = FileLock.tryTake(path, options) ?? await FileLock.take(path, options);
    try {
      return await action();
    } finally {
      lock[Symbol.dispose]();
    }
  }

  /**
   * Puts members in the place of the file; only under the lock.
   *
   * @param old The state of the file that they were read from.
   * @returns Whether it did: not if another program has meanwhile written to the file.
   */
  async save(items: Items, old: FileState, changes: Changes = new Map()): Promise<boolean> {
    const { mode, names } = this.#options;
    if (!this.#isClaimed) await claimNames(names, mode);
    this.#isClaimed = true;
    let replacement: Replacement;
    try {
      replacement = await prepare(this.path, old, textsOf(items, changes), mode);
    } catch (error) {
      if (!isDiskFull(error) || hasMembers(items, changes)) throw error;
      // What has nothing in it need not be there, and that frees space.
      rmSync(this.path, { force: true });
      this.#adopt({ state: NO_FILE, items, changes });
      return true;
    }
    if (!isSame(stateOf(this.path), old)) {
      replacement.discard();
      return false;
    }
    // From here on readers may see the new file, before this process is told that it is there.
    this.#saved = { state: replacement.state, items, changes };
    try {
      await replacement.commit();
      if (this.#saved !== undefined) this.#adopt(this.#saved);
    } finally {
      this.#saved = undefined;
    }
    return true;
  }

  /** Waits for the saves that are under way. */
  async idle(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    // Those who come in the same turn share a save.
    await undefined;
    while (this.#tasks.length > 0) {
      const [{ guard }] = this.#tasks;
      let tasks: Task[] = [];
      try {
        await this.#lockedWith(guard, async () => {
          for (let isSaved = false; !isSaved;) {
            const others = guard && await guard.#readable();
            const items = await this.items();
            // Not by a spread: a call takes some 100,000 arguments, and more may be waiting.
            tasks = tasks.concat(this.#take(guard));
            const old = this.state;
            const draft = new Draft(items, old.size, this.#options.longest);
            const guarding = guard === this ? draft : others;
            tasks = tasks.filter((task) => this.#attempt(task, draft, guarding));
            isSaved = draft.changes.size === 0 || await this.save(items, old, draft.changes);
          }
        });
        for (const task of tasks) task.resolve();
      } catch (error) {
        for (const task of [...tasks, ...tasks.length === 0 ? this.#take(guard) : []]) {
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
    if (this.#saved !== undefined && isSame(state, this.#saved.state)) {
      return this.#adopt(this.#saved);
    }
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

  /** Whether a task could be done. */
  #attempt(task: Task, draft: Draft, guarding: Guarding | undefined): boolean {
    try {
      draft.attempt((draft) => task.apply(draft, guarding));
      return true;
    } catch (error) {
      task.reject(error);
      return false;
    }
  }

  /** Takes the tasks that can be done together: those before the first with another guard. */
  #take(guard: Document | undefined): Task[] {
    const end = this.#tasks.findIndex((task) => task.guard !== guard);
    return this.#tasks.splice(0, end === -1 ? this.#tasks.length : end);
  }

  /**
   * `exclusively`, in two files. Everybody takes the two locks in the same order, whichever of them
   * guards the other: so nobody waits for somebody who waits in turn.
   */
  #lockedWith(other: Document | undefined, action: () => Promise<void>): Promise<void> {
    if (other === undefined || other === this) return this.exclusively(action);
    const [first, second] = this.path < other.path ? [this, other] : [other, this];
    return first.exclusively(() => second.exclusively(action));
  }

  /** The members, if they can be read. */
  async #readable(): Promise<Items | undefined> {
    try {
      return await this.items();
    } catch (error) {
      if (error instanceof JsonDamage || error instanceof TooLong) return undefined;
      throw error;
    }
  }

  #adopt({ state, items, changes }: Saved): Items {
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

function hasMembers(items: Items, changes: Changes): boolean {
  for (const key of items.keys()) if (!changes.has(key)) return true;
  for (const item of changes.values()) if (item !== undefined) return true;
  return false;
}

/** The texts that the file consists of: put together they would be copied for each save. */
function* textsOf(items: Items, changes: Changes): Generator<string> {
  let before = "{\n";
  for (const [key, item] of items) {
    const kept = changes.has(key) ? changes.get(key) : item;
    if (kept === undefined) continue;
    yield before;
    yield kept.text;
    before = ",\n";
  }
  for (const [key, item] of changes) {
    if (item === undefined || items.has(key)) continue;
    yield before;
    yield item.text;
    before = ",\n";
  }
  yield before === "{\n" ? "{}\n" : "\n}\n";
}
