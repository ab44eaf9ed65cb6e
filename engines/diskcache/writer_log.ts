import { join } from "node:path";
import {
  FROM_START,
  lstatSync,
  type OpenFile,
  openFileSync,
  readFolderSync,
  removeSync,
  writeAllSync,
} from "../../platform/files.ts";

// Python's check leaves everything alone whose path has the name of the database in it.
const PREFIX = "cache.db-writer-";
const FILENAME = /^[0-9a-f]{2}[\\/][0-9a-f]{2}[\\/][0-9a-f]{28}\.val$/;
/** A filename of this form and a newline, bytes. */
const RECORD = 39;
/** How often somebody may take a new log for one that was left. */
const ATTEMPTS = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Which value files a handle is about to write or to remove, in a file that is locked as long as the
 * handle is there: whoever finds it without its lock knows what a killed process left behind.
 *
 * It is there to keep the directory clean, not the data safe: where it can't be written, nothing
 * else is any different.
 */
export class WriterLog {
  readonly #directory: string;
  #open: { file: OpenFile; path: string } | undefined;
  #length = 0;
  /** Places in it that are free again. */
  readonly #free: number[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes names down; gives their places, for `forget`. */
  note(filenames: readonly string[]): number[] {
    const places: number[] = [];
    try {
      for (const filename of filenames) {
        if (!FILENAME.test(filename)) continue;
        this.#open ??= create(this.#directory);
        const place = this.#free.pop() ?? this.#length++;
        places.push(place);
        this.#open.file.seekSync(place * RECORD, FROM_START);
        writeAllSync(this.#open.file, encoder.encode(`${filename}\n`));
      }
    } catch {
      // On a full disk, say.
    }
    return places;
  }

  /** Lets the places be used again: what was noted there is done. */
  forget(places: readonly number[]): void {
    this.#free.push(...places);
  }

  /** Removes the log: all that was noted is done. */
  close(): void {
    if (this.#open === undefined) return;
    const { file, path } = this.#open;
    this.#open = undefined;
    this.#length = this.#free.length = 0;
    try {
      removeSync(path);
    } catch {
      // Gone with its directory.
    }
    file.close();
  }
}

/**
 * Finishes what killed processes had begun in a directory.
 *
 * @param finish Gets the names that one of them had written down.
 */
export function finishForDead(directory: string, finish: (filenames: string[]) => void): void {
  for (const { name } of Array.from(readFolderSync(directory))) {
    const path = join(directory, name);
    if (!name.startsWith(PREFIX) || !lstatSync(path).isFile) continue;
    using file = openFileSync(path);
    if (!file.tryLockSync(true)) continue;
    finish(namesIn(file));
    removeSync(path);
  }
}

function namesIn(file: OpenFile): string[] {
  const content = new Uint8Array(file.statSync().size);
  for (let at = 0; at < content.byteLength;) {
    const read = file.readSync(content.subarray(at));
    if (read === null) break;
    at += read;
  }
  return decoder.decode(content).split("\n").filter((line) => FILENAME.test(line));
}

function create(directory: string): { file: OpenFile; path: string } {
  for (let attempt = 1;; attempt++) {
    const path = join(directory, PREFIX + crypto.randomUUID());
    const file = openFileSync(path, { createNew: true, write: true });
    try {
      file.lockSync(true);
      // Before it was locked, somebody may have taken it for one that was left.
      if (isAt(path, file) || attempt === ATTEMPTS) return { file, path };
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

function isAt(path: string, file: OpenFile): boolean {
  try {
    return lstatSync(path).ino === file.statSync().ino;
  } catch {
    return false;
  }
}
