import { existsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { whenReady } from "../../platform/awaitable.ts";
import { isNotFound } from "../../platform/errors.ts";
import { FileLock } from "../../platform/file_lock.ts";
import {
  flushFolder,
  type FolderEntry,
  folderMode,
  isAbsent,
  isRealFolder,
  makeFolderSync,
  readFolderSync,
  writeFileSync,
} from "../../platform/files.ts";
import { whileBusy } from "../../platform/retry.ts";
import { Turns } from "../../platform/timers.ts";
import type { Awaitable, Entry, NewEntry, StoreUsage } from "../engine.ts";
import { isExpired } from "../expiry.ts";
import { Tally, utf8Length } from "../tally.ts";
import { readEntry, readHeader, writeFile, type WriteOptions } from "./files.ts";
import { Damage, encodeRecord, isSameLine, keyOf } from "./format.ts";
import { keyAt, type Place, placeOf } from "./names.ts";

const FOLDER = /^[0-9a-f]{2}$/;
const HEX_DIGITS = [..."0123456789abcdef"];

/** An entry's file and where it lies. */
export interface Found extends Place {
  readonly path: string;
}

/** An entry of another store, and the state that it must be in. */
export interface PairtreeGuard {
  readonly store: PairtreeStore;
  readonly key: string;
  readonly expected: Entry;
}

/**
 * One file per entry:
 *
 *     main/3d/my_key~3d9369ee   the entry, in a folder named after the first digits of its hash
 *     main/.locks/3             locked by whoever changes an entry in a folder 30-3f
 *     main/.writing/3           what they are writing
 *     main/.expiring            is there once an entry has had a deadline: else no file need be read to list keys
 *
 * A file is written elsewhere and moved to its place, so that readers, who take no lock, see the old
 * one or the new one. All changes take the lock: else `compareAndSet` could rename over a `set`
 * that came after its look, and a write that goes on could not be told from what a killed process
 * left.
 */
export class PairtreeStore {
  /** The folder of it all. */
  readonly path: string;
  readonly #locks: string;
  readonly #expiring: string;
  readonly #writing: string;
  readonly #options: WriteOptions;
  #isTidy = false;
  /** The folders that were found to be no links. */
  readonly #real = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(path: string, options: WriteOptions) {
    this.path = path;
    this.#options = options;
    this.#writing = join(path, ".writing");
    this.#locks = join(path, ".locks");
    this.#expiring = join(path, ".expiring");
  }

  /** Whether the store has been made. */
  exists(): boolean {
    return isRealFolder(this.#locks);
  }

  /** Makes the store. */
  make(): void {
    makeFolderSync(this.#locks, folderMode(this.#options.mode));
  }

  /** @throws {Damage} When the entry is not what was written. */
  get(key: string): Awaitable<Entry | undefined> {
    const { folder, path } = this.at(placeOf(key));
    if (!this.#hasFolder(folder)) return undefined;
    return whileBusy(() => readEntry(path, key));
  }

  has(key: string): Awaitable<boolean> {
    const { folder, path } = this.at(placeOf(key));
    if (!this.#hasFolder(folder)) return false;
    return whileBusy(() => !isAbsent(path) && this.isLive(path));
  }

  set(key: string, entry: NewEntry): Awaitable<void> {
    const place = placeOf(key);
    const record = encodeRecord(key, entry);
    return this.locked(place.folder, () => this.#write(place, record, entry));
  }

  delete(key: string): Awaitable<boolean> {
    const { folder, path } = this.at(placeOf(key));
    if (!this.#hasFolder(folder) || isAbsent(path)) return false;
    return this.locked(folder, () => {
      const live = !isAbsent(path) && this.isLive(path);
      return whenReady(this.#remove(folder, path), () => live);
    });
  }

  /**
   * @param guard What must hold of another store besides.
   * @throws {Damage} When what is there is not what was written.
   */
  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: PairtreeGuard,
  ): Awaitable<boolean> {
    const place = this.at(placeOf(key));
    const record = next && encodeRecord(key, next);
    const change = () => {
      if (!isIn(place.path, expected)) return false;
      const done = next && record
        ? this.#write(place, record, next)
        : this.#remove(place.folder, place.path);
      return whenReady(done, () => true);
    };
    if (guard === undefined) return this.locked(place.folder, change);
    const { store, key: guardKey, expected: state } = guard;
    const { folder } = placeOf(guardKey);
    return this.#lockedWith(place.folder, store, folder, () => {
      return store.#holds(guardKey, state) ? change() : false;
    });
  }

  /** Waits until what was removed from folders is gone from the disk too, if that is asked for. */
  async flush(folders: readonly string[]): Promise<void> {
    if (!this.#options.sync) return;
    for (const folder of folders) await flushFolder(`${this.path}/${folder}`);
  }

  /** The names of the folders of entries. */
  folders(): string[] {
    return list(this.path)
      .filter(({ name, isDirectory }) => isDirectory && FOLDER.test(name))
      .map(({ name }) => name);
  }

  /** The names of all files in a folder. */
  names(folder: string): string[] {
    return list(`${this.path}/${folder}`)
      .filter(({ isDirectory }) => !isDirectory)
      .map(({ name }) => name);
  }

  /** The locks that have something to lock, each with its folders of entries. */
  *locks(): Generator<{ digit: string; folders: string[] }> {
    const all = this.folders();
    const writing = this.temporaries();
    for (const digit of HEX_DIGITS) {
      const folders = all.filter((folder) => folder.startsWith(digit));
      if (folders.length > 0 || writing.includes(digit)) yield { digit, folders };
    }
  }

  /** A file in the store. */
  at({ folder, name }: Place): Found {
    return { folder, name, path: `${this.path}/${folder}/${name}` };
  }

  /**
   * Whether an entry may have a deadline. What the system may not tell of the mark, it does not of
   * the entries either, and says there.
   */
  mayExpire(): boolean {
    return existsSync(this.#expiring);
  }

  /**
   * Whether the entry in a file has not expired; of a damaged one nobody can tell, and it is there.
   */
  isLive(path: string): boolean {
    if (!this.mayExpire()) return true;
    try {
      const header = readHeader(path);
      return header !== undefined && !isExpired(header);
    } catch (error) {
      if (error instanceof Damage) return true;
      throw error;
    }
  }

  /**
   * The keys of the live entries in a folder; `undefined` for each file that is none, so that who
   * goes over them can pause.
   */
  *keys(folder: string): Generator<string | undefined> {
    const names = this.names(folder);
    // Looked for after the listing: what is in it with a deadline had set the mark before.
    const mayExpire = this.mayExpire();
    for (const name of names) yield this.#liveKey(folder, name, mayExpire);
  }

  /** `keys`, where the keys themselves don't matter: whether each file is a live entry. */
  *live(folder: string): Generator<boolean> {
    const names = this.names(folder);
    const mayExpire = this.mayExpire();
    for (const name of names) {
      yield mayExpire
        ? this.#liveKey(folder, name, true) !== undefined
        : keyAt(folder, name) !== undefined;
    }
  }

  /** What it holds: the first line of each file tells. */
  async usage(): Promise<StoreUsage> {
    const tally = new Tally();
    const turns = new Turns();
    for (const folder of this.folders()) {
      for (const name of this.names(folder)) {
        this.#count(folder, name, tally);
        if (turns.due()) await turns.next();
      }
    }
    return tally.usage;
  }

  #count(folder: string, name: string, tally: Tally): void {
    const key = keyAt(folder, name);
    if (key === undefined) return;
    try {
      const header = readHeader(this.at({ folder, name }).path);
      if (header === undefined || isExpired(header)) return;
      const { length, timestamp } = header;
      const text = key ?? keyOf(header);
      if (key !== null || placeOf(text).name === name) {
        tally.add(utf8Length(text) + length, timestamp);
      }
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      // It is listed, as a rule, and nobody knows how much of it there is.
      if (key !== null) tally.add(utf8Length(key));
    }
  }

  /** The locks whose holders are writing, or were when they were killed. */
  temporaries(): string[] {
    if (!isRealFolder(this.#writing)) return [];
    return list(this.#writing).map(({ name }) => name).filter((name) => HEX_DIGITS.includes(name));
  }

  /** Where the holder of a folder's lock writes. */
  temporaryOf(folder: string): string {
    return `${this.#writing}/${folder[0]}`;
  }

  /** Does something while nobody else changes an entry in a folder, or in one with its digit. */
  locked<T>(folder: string, action: () => Awaitable<T>): Awaitable<T> {
    const path = this.#lockOf(folder);
    const result = whileBusy(() => {
      const lock = FileLock.tryTake(path, this.#options);
      if (lock !== undefined) return hold(lock, action);
      return FileLock.take(path, this.#options).then((lock) => hold(lock, action));
    });
    if (result instanceof Promise) this.#track(result);
    return result;
  }

  /**
   * `locked`, in two stores. Everybody takes the two locks in the same order, whichever of them
   * guards the other: so nobody waits for somebody who waits in turn.
   */
  #lockedWith<T>(
    folder: string,
    other: PairtreeStore,
    otherFolder: string,
    action: () => Awaitable<T>,
  ): Awaitable<T> {
    const [own, others] = [this.#lockOf(folder), other.#lockOf(otherFolder)];
    if (own === others) return this.locked(folder, action);
    return own < others
      ? this.locked(folder, () => other.locked(otherFolder, action))
      : other.locked(otherFolder, () => this.locked(folder, action));
  }

  #lockOf(folder: string): string {
    return `${this.#locks}/${folder[0]}`;
  }

  /** Waits for the changes that are under way. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  /** Whether an entry is in a state; who asks has its lock. */
  #holds(key: string, state: Entry): boolean {
    const { folder, path } = this.at(placeOf(key));
    try {
      return this.#hasFolder(folder) && isIn(path, state);
    } catch (error) {
      if (error instanceof Damage) return false;
      throw error;
    }
  }

  #track(change: Promise<unknown>): void {
    this.#pending.add(change);
    const done = () => void this.#pending.delete(change);
    change.then(done, done);
  }

  /**
   * Whether the folder is there; a link in its place is refused. Who only reads looks once: that it
   * is one later leads to no more than an entry of somebody else's.
   */
  #hasFolder(folder: string): boolean {
    if (this.#real.has(folder)) return true;
    const isThere = isRealFolder(`${this.path}/${folder}`);
    if (isThere) this.#real.add(folder);
    return isThere;
  }

  #liveKey(folder: string, name: string, mayExpire: boolean): string | undefined {
    const key = keyAt(folder, name);
    if (key === undefined || (key !== null && !mayExpire)) return key;
    try {
      const header = readHeader(this.at({ folder, name }).path);
      if (header === undefined || isExpired(header)) return undefined;
      if (key !== null) return key;
      const long = keyOf(header);
      return placeOf(long).name === name ? long : undefined;
    } catch (error) {
      if (error instanceof Damage) return key ?? undefined;
      throw error;
    }
  }

  #write({ folder, name }: Place, record: Uint8Array, { expiresAt }: NewEntry): Awaitable<void> {
    const { mode } = this.#options;
    const path = `${this.path}/${folder}`;
    const isFolderNew = !this.#real.has(folder) && isAbsent(path);
    if (!isFolderNew && isRealFolder(path)) this.#real.add(folder);
    if (expiresAt !== undefined && !this.mayExpire()) {
      writeFileSync(this.#expiring, new Uint8Array(), { mode });
    }
    if (!this.#isTidy) this.#tidy();
    return writeFile({
      temporary: this.temporaryOf(folder),
      folder: path,
      name,
      bytes: record,
      isFolderNew,
    }, this.#options);
  }

  /** Removes what killed processes left of their writes: the first time that this one writes. */
  #tidy(): void {
    this.#isTidy = true;
    for (const digit of this.temporaries()) {
      // While nobody holds the lock, nobody writes.
      const lock = FileLock.tryTake(`${this.#locks}/${digit}`, this.#options);
      if (lock !== undefined) hold(lock, () => void remove(this.temporaryOf(digit)));
    }
  }

  #remove(folder: string, path: string): Awaitable<void> {
    isRealFolder(`${this.path}/${folder}`);
    if (remove(path) && this.#options.sync) return flushFolder(`${this.path}/${folder}`);
  }
}

/** Whether the entry in a file is in a state; `undefined`: it is absent. */
function isIn(path: string, state: Entry | undefined): boolean {
  const header = readHeader(path);
  if (header === undefined || isExpired(header)) return state === undefined;
  return state !== undefined && isSameLine(header.line, state.revision);
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
export function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
