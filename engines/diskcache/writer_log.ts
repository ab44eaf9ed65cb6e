import { existsSync } from "node:fs";
import { join } from "node:path";
import { isNotFound } from "../../platform/errors.ts";
import { filesOf, tryHold } from "../../platform/file_hold.ts";
import {
  discard,
  FROM_START,
  lstatSync,
  type OpenFile,
  openFileSync,
  readFileSync,
  readFolderSync,
  removeSync,
  writeAllSync,
} from "../../platform/files.ts";

// Python's check leaves everything alone whose path has the name of the database in it.
const PREFIX = "cache.db-writer-";
const LOG_OR_LOCK = /^(cache\.db-writer-[^.]+)(\.lock.*)?$/;
const FILENAME = /^[0-9a-f]{2}[\\/][0-9a-f]{2}[\\/][0-9a-f]{28}\.val$/;
/** A filename of this form and a newline, bytes. */
const RECORD = 39;
/** Of the file that is locked as long as a log's handle is there. */
const LOCK = ".lock";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Which value files a handle is about to write or to remove, in a file with a lock beside it that is
 * held as long as the handle is there. So `check` in any process knows a file that has no row yet
 * from what a crash left behind; and whoever finds a log that nobody holds knows what a killed
 * process did not come to.
 */
export class WriterLog {
  readonly #directory: string;
  #open: { file: OpenFile; path: string; held: Disposable } | undefined;
  #length = 0;
  /** Places in it that are free again. */
  readonly #free: number[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes down what is to be written; gives its place, for `forget`. */
  noteNew(filename: string): number[] {
    const places: number[] = [];
    this.#note([filename], places);
    return places;
  }

  /**
   * Writes down what is to be removed, if that can be done: on a full disk, where removing frees
   * space, it can't.
   */
  noteOld(filenames: readonly string[]): number[] {
    const places: number[] = [];
    try {
      this.#note(filenames, places);
    } catch {
      // What is left `check` finds.
    }
    return places;
  }

  #note(filenames: readonly string[], places: number[]): void {
    for (const filename of filenames) {
      if (!FILENAME.test(filename)) continue;
      this.#open ??= create(this.#directory);
      const place = this.#free.pop() ?? this.#length++;
      places.push(place);
      this.#open.file.seekSync(place * RECORD, FROM_START);
      writeAllSync(this.#open.file, encoder.encode(`${filename}\n`));
    }
  }

  /** Lets the places be used again: what was noted there is done. */
  forget(places: readonly number[]): void {
    this.#free.push(...places);
  }

  /** Removes the log: all that was noted is done. */
  close(): void {
    if (this.#open === undefined) return;
    const { file, path, held } = this.#open;
    this.#open = undefined;
    this.#length = this.#free.length = 0;
    try {
      removeSync(path);
    } catch {
      // Gone with its directory.
    }
    file.close();
    held[Symbol.dispose]();
    discardLock(path);
  }
}

/** The files that handles are about to write, or to remove. */
export function notedByLiving(directory: string): Set<string> {
  const noted = new Set<string>();
  for (const path of logsIn(directory)) {
    const held = tryHold(path + LOCK);
    held?.[Symbol.dispose]();
    if (held === undefined) { for (const filename of namesIn(path)) noted.add(filename); }
  }
  return noted;
}

/**
 * Finishes what killed processes had begun in a directory.
 *
 * @param finish Gets the names that one of them had written down.
 */
export function finishForDead(directory: string, finish: (filenames: string[]) => void): void {
  for (const path of logsIn(directory)) {
    const held = tryHold(path + LOCK);
    if (held === undefined) continue;
    try {
      const names = namesIn(path);
      if (names.length > 0) finish(names);
      discard(path);
    } finally {
      held[Symbol.dispose]();
    }
    discardLock(path);
  }
}

/** The paths of the logs that there are, and of those of which only the lock is there. */
function logsIn(directory: string): Set<string> {
  const paths = new Set<string>();
  for (const { name } of Array.from(readFolderSync(directory))) {
    const log = LOG_OR_LOCK.exec(name)?.[1];
    if (log !== undefined) paths.add(join(directory, log));
  }
  return paths;
}

/** What is written down in a log; nothing when it is gone. */
function namesIn(path: string): string[] {
  try {
    if (!lstatSync(path).isFile) return [];
    return decoder.decode(readFileSync(path)).split("\n").filter((line) => FILENAME.test(line));
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** Who looks for the lock of a log that is gone finds no log. */
function discardLock(path: string): void {
  for (const file of filesOf(path + LOCK)) discard(file);
}

/**
 * A log that is held. Others may find it before its lock is taken, and remove both. They remove the
 * log first, and nobody makes one of its name again: if it is there once the lock is taken, that
 * lock is the one that they will look at.
 */
function create(directory: string): { file: OpenFile; path: string; held: Disposable } {
  for (;;) {
    const path = join(directory, PREFIX + crypto.randomUUID());
    const file = openFileSync(path, { createNew: true, write: true });
    let held: Disposable | undefined;
    try {
      held = tryHold(path + LOCK);
      if (held !== undefined && existsSync(path)) return { file, path, held };
    } catch (error) {
      file.close();
      discard(path);
      discardLock(path);
      throw error;
    }
    file.close();
    // Nobody takes this name again, whoever has its lock just now.
    discard(path);
    held?.[Symbol.dispose]();
    discardLock(path);
  }
}
