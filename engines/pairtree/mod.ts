import { existsSync, mkdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import type {
  Awaitable,
  Engine,
  EngineCheck,
  EngineLocation,
  EngineProblem,
  Entry,
  NewEntry,
} from "../engine.ts";
import { isNotFound, isPermissionDenied } from "../../platform/errors.ts";
import { type FolderEntry, readFolderSync } from "../../platform/files.ts";
import { isFileBusy, whileBusy } from "../../platform/retry.ts";
import { fileError } from "../file_failures.ts";
import { FileLock } from "../../platform/file_lock.ts";
import { defaultRootDir } from "../location.ts";
import { checkOptionNames, type EngineOptions } from "../options.ts";
import { isTemporary, readEntry, readHeader, verify, writeFile } from "./files.ts";
import { folderOf, keyAt, type Place, placeOf } from "./names.ts";
import { Damage, encodeRecord, isExpired, isSameLine, keyOf } from "./record.ts";
import { nestedFolder, storePath } from "../paths.ts";
import { Turns } from "../../platform/timers.ts";

const NAME = "pairtree";
const FOLDER = /^[0-9a-f]{2}$/;
const HEX_DIGITS = [..."0123456789abcdef"];

/**
 * One file per entry:
 *
 *     main/3d/my_key~3d9369ee   the entry, in a folder named after the first digits of its hash
 *     main/.locks/3             locked by whoever changes an entry in a folder 30-3f
 *     main/.expiring            is there once an entry has had a deadline: else no file need be read to list keys
 *
 * A file is written under another name and renamed, so that readers, who take no lock, see the old
 * one or the new one. All changes take the lock: else `compareAndSet` could rename over a `set`
 * that came after its look, and a write that goes on could not be told from what a killed process
 * left.
 */
class PairtreeEngine implements Engine {
  readonly name = NAME;
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #rootDir: string;
  readonly #locks: string;
  readonly #expiring: string;

  constructor(rootDir: string, path: string) {
    this.#rootDir = rootDir;
    this.path = path;
    this.#locks = join(path, ".locks");
    this.#expiring = join(path, ".expiring");
  }

  open(): Awaitable<void> {
    return this.#attempt("open", () => {
      // A store that is there may be open to readers only.
      if (!existsSync(this.#locks)) mkdirSync(this.#locks, { recursive: true });
    });
  }

  close(): void {
    // Nothing is held between calls.
  }

  get(key: string): Awaitable<Entry | undefined> {
    const path = this.#pathOf(placeOf(key));
    return this.#attempt("get", () => readEntry(path, key), key);
  }

  has(key: string): Awaitable<boolean> {
    return this.#attempt("has", () => {
      const path = this.#pathOf(placeOf(key));
      return existsSync(path) && this.#isLive(path);
    }, key);
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    const place = placeOf(key);
    const record = encodeRecord(key, entry);
    return this.#attempt("set", () => {
      return this.#locked(place.folder, () => this.#write(place, record, entry));
    });
  }

  delete(key: string): Awaitable<boolean> {
    const place = placeOf(key);
    const path = this.#pathOf(place);
    return this.#attempt("delete", () => {
      if (!existsSync(path)) return false;
      return this.#locked(place.folder, () => {
        const live = existsSync(path) && this.#isLive(path);
        remove(path);
        return live;
      });
    });
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Awaitable<boolean> {
    const place = placeOf(key);
    const path = this.#pathOf(place);
    const record = next && encodeRecord(key, next);
    return this.#attempt("compareAndSet", () => {
      return this.#locked(place.folder, () => {
        const header = readHeader(path);
        const live = header !== undefined && !isExpired(header);
        if (live !== (expected !== undefined)) return false;
        if (live && !isSameLine(header.line, expected?.revision)) return false;
        const done = next && record ? this.#write(place, record, next) : remove(path);
        return done instanceof Promise ? done.then(() => true) : true;
      });
    }, key);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    const turns = new Turns();
    try {
      for (const folder of this.#folders()) {
        const names = this.#names(folder);
        // Looked for after the listing: what is in it with a deadline had set the mark before.
        const mayExpire = this.#mayExpire();
        for (const name of names) {
          const key = this.#liveKey(folder, name, mayExpire);
          if (key?.startsWith(prefix)) yield key;
          if (turns.due()) await turns.next();
        }
      }
    } catch (error) {
      throw this.#error("keys", error);
    }
  }

  size(): Awaitable<number> {
    return this.#attempt("size", async () => {
      const turns = new Turns();
      let count = 0;
      for (const folder of this.#folders()) {
        const names = this.#names(folder);
        const mayExpire = this.#mayExpire();
        for (const name of names) {
          const counts = mayExpire
            ? this.#liveKey(folder, name, true) !== undefined
            : folderOf(name) === folder;
          if (counts) count++;
          if (turns.due()) await turns.next();
        }
      }
      return count;
    });
  }

  clear(deep = false): Awaitable<void> {
    return this.#attempt("clear", async () => {
      const turns = new Turns();
      for (const digit of HEX_DIGITS) {
        const folders = this.#folders(digit);
        if (folders.length === 0) continue;
        await this.#locked(digit, async () => {
          for (const folder of folders) {
            for (const name of this.#names(folder)) {
              if (folderOf(name) !== folder && !isTemporary(name)) continue;
              remove(this.#pathOf({ folder, name }));
              if (turns.due()) await turns.next();
            }
          }
        });
      }
      if (!deep) return;
      for (const path of nestedStores(nestedFolder(this.path))) {
        await new PairtreeEngine(this.#rootDir, path).clear();
      }
    });
  }

  prune(): Awaitable<number> {
    return this.#attempt("prune", async () => {
      if (!this.#mayExpire()) return 0;
      const turns = new Turns();
      let count = 0;
      for (const folder of this.#folders()) {
        for (const name of this.#names(folder)) {
          const path = this.#pathOf({ folder, name });
          if (turns.due()) await turns.next();
          if (folderOf(name) !== folder || this.#isLive(path)) continue;
          await this.#locked(folder, () => {
            // Somebody may have set it anew.
            if (!this.#isLive(path) && remove(path)) count++;
          });
        }
      }
      return count;
    });
  }

  check({ fix }: { fix: boolean }): Awaitable<EngineCheck> {
    return this.#attempt("check", async () => {
      const problems: EngineProblem[] = [];
      let checked = 0;
      for (const folder of this.#folders()) {
        problems.push(...await this.#locked(folder, () => this.#leftovers(folder, fix)));
        for (const name of this.#names(folder)) {
          if (folderOf(name) === undefined) continue;
          checked++;
          const problem = await this.#problem(folder, name, fix);
          if (problem !== undefined) problems.push(problem);
        }
      }
      return { checked, problems };
    });
  }

  byteSize(): Awaitable<number> {
    return this.#attempt("byteSize", async () => {
      const turns = new Turns();
      let bytes = 0;
      for (const folder of this.#folders()) {
        for (const name of this.#names(folder)) {
          if (turns.due()) await turns.next();
          if (folderOf(name) !== folder) continue;
          const path = this.#pathOf({ folder, name });
          bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        }
      }
      return bytes;
    });
  }

  #pathOf({ folder, name }: Place): string {
    return `${this.path}/${folder}/${name}`;
  }

  /** The folders of entries whose names begin with `digit`. */
  #folders(digit = ""): string[] {
    return list(this.path)
      .filter(({ name, isDirectory }) => isDirectory && FOLDER.test(name) && name.startsWith(digit))
      .map(({ name }) => name);
  }

  #names(folder: string): string[] {
    return list(`${this.path}/${folder}`).map(({ name }) => name);
  }

  #mayExpire(): boolean {
    return existsSync(this.#expiring);
  }

  /**
   * Whether the entry in a file has not expired; of a damaged one nobody can tell, and it is there.
   */
  #isLive(path: string): boolean {
    if (!this.#mayExpire()) return true;
    try {
      const header = readHeader(path);
      return header !== undefined && !isExpired(header);
    } catch (error) {
      if (error instanceof Damage) return true;
      throw error;
    }
  }

  /** The key of a file, if it is an entry and has not expired. */
  #liveKey(folder: string, name: string, mayExpire: boolean): string | undefined {
    const key = keyAt(folder, name);
    if (key === undefined || (key !== null && !mayExpire)) return key;
    try {
      const header = readHeader(this.#pathOf({ folder, name }));
      return header === undefined || isExpired(header) ? undefined : keyOf(header);
    } catch (error) {
      if (error instanceof Damage) return key ?? undefined;
      throw error;
    }
  }

  #write(place: Place, record: Uint8Array, { expiresAt }: NewEntry): Awaitable<void> {
    if (expiresAt !== undefined && !this.#mayExpire()) writeFileSync(this.#expiring, "");
    return writeFile(`${this.path}/${place.folder}`, place.name, record);
  }

  /** What killed processes left in a folder whose lock we hold: nobody else is writing there. */
  #leftovers(folder: string, fix: boolean): EngineProblem[] {
    return this.#names(folder).filter(isTemporary).map((name) => {
      const path = this.#pathOf({ folder, name });
      if (fix) remove(path);
      return { kind: "leftover", detail: `${path}: a write that did not end`, fixed: fix };
    });
  }

  /** What is wrong with a file that has the name of an entry. */
  async #problem(folder: string, name: string, fix: boolean): Promise<EngineProblem | undefined> {
    const path = this.#pathOf({ folder, name });
    const found = await this.#look(folder, name);
    if (found === undefined || !fix) return found;
    return await this.#locked(folder, async () => {
      // Somebody may have set it anew.
      const still = await this.#look(folder, name);
      if (still !== undefined) remove(path);
      return still && { ...still, fixed: true };
    });
  }

  async #look(folder: string, name: string): Promise<EngineProblem | undefined> {
    const path = this.#pathOf({ folder, name });
    const key = keyAt(folder, name) ?? undefined;
    if (folderOf(name) !== folder) {
      return { kind: "orphan", detail: `${path}: it belongs in another folder`, fixed: false };
    }
    try {
      const header = await verify(path);
      const expected = placeOf(keyOf(header)).name;
      if (expected === name) return undefined;
      return { kind: "damaged", key, detail: `${path}: its key belongs to another`, fixed: false };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!(error instanceof Damage)) throw error;
      return { kind: "damaged", key, detail: `${path}: ${error.message}`, fixed: false };
    }
  }

  #locked<T>(folder: string, action: () => Awaitable<T>): Awaitable<T> {
    const path = `${this.#locks}/${folder[0]}`;
    const lock = FileLock.tryTake(path);
    if (lock !== undefined) return hold(lock, action);
    return FileLock.take(path).then((lock) => hold(lock, action));
  }

  /** Does something and puts what goes wrong into our words. */
  #attempt<T>(operation: string, action: () => Awaitable<T>, key?: string): Awaitable<T> {
    try {
      const result = action();
      if (!(result instanceof Promise)) return result;
      return result.catch((error) => this.#again(operation, action, error, key));
    } catch (error) {
      return this.#again(operation, action, error, key);
    }
  }

  #again<T>(
    operation: string,
    action: () => Awaitable<T>,
    error: unknown,
    key?: string,
  ): Promise<T> {
    if (!isFileBusy(error)) throw this.#error(operation, error, key);
    return this.#retry(operation, action, key);
  }

  async #retry<T>(operation: string, action: () => Awaitable<T>, key?: string): Promise<T> {
    try {
      return await whileBusy(action);
    } catch (error) {
      throw this.#error(operation, error, key);
    }
  }

  #error(operation: string, error: unknown, key?: string): Error {
    if (error instanceof Damage) {
      const file = key === undefined ? "a file of it" : this.#pathOf(placeOf(key));
      return new DecodeError(
        `Cannot read entry in engine "${NAME}": ${file} is damaged: ${error.message}; ` +
          "check({ fix: true }) removes it",
        { engine: NAME, key, cause: error },
      );
    }
    const isPermission = isPermissionDenied(error);
    return fileError(NAME, operation, isPermission ? this.#rootDir : this.path, error);
  }
}

function hold<T>(lock: FileLock, action: () => Awaitable<T>): Awaitable<T> {
  let result: Awaitable<T>;
  try {
    result = action();
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  if (result instanceof Promise) return result.finally(() => lock[Symbol.dispose]());
  lock[Symbol.dispose]();
  return result;
}

/** What is in a folder; nothing when it is gone. */
function list(path: string): FolderEntry[] {
  try {
    return [...readFolderSync(path)];
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** Removes a file; whether it was there. */
function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** The paths of the stores in a folder of nested ones, at any depth. */
function* nestedStores(folder: string): Generator<string> {
  for (const { name, isDirectory } of list(folder)) {
    if (!isDirectory) continue;
    if (name.endsWith("+")) yield* nestedStores(join(folder, name));
    else yield join(folder, name);
  }
}

/** Makes the engine "pairtree". */
export function pairtree(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames(NAME, options, []);
  return new PairtreeEngine(
    location.rootDir ?? defaultRootDir(),
    storePath(NAME, location, options),
  );
}
