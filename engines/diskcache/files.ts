import { dirname, isAbsolute, join } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import { errorCode, isNotFound } from "../../platform/errors.ts";
import {
  type FileInfo,
  lstatSync,
  makeFolderSync,
  type OpenFile,
  openFileSync,
  readFile,
  readFileSync,
  removeSync,
  writeAll,
  writeAllSync,
} from "../../platform/files.ts";
import { finishForDead, notedByLiving, WriterLog } from "./writer_log.ts";
import { RefusedError } from "../sqlite/transaction.ts";

/** Values of this size and more are read and written without blocking the event loop. */
const LARGE = 1024 * 1024;
/** How often another process may remove the folder that we are about to use. */
const ATTEMPTS = 10;

/**
 * How many value files this process has open at once, whatever it is asked to do at the same time:
 * systems give a process as few as 256 descriptors.
 */
const MAX_OPEN = 64;

/** Lets so many in as there are places; who comes first goes first. */
class Places {
  #free = MAX_OPEN;
  readonly #waiting: { count: number; go(): void }[] = [];

  /** Waits for places; all at once, so that nobody waits with some for the rest. */
  async take(count: number): Promise<Disposable> {
    if (count > 0 && (this.#free < count || this.#waiting.length > 0)) {
      await new Promise<void>((go) => this.#waiting.push({ count, go }));
    } else this.#free -= count;
    return { [Symbol.dispose]: () => this.#give(count) };
  }

  #give(count: number): void {
    this.#free += count;
    while (this.#waiting.length > 0 && this.#waiting[0].count <= this.#free) {
      this.#free -= this.#waiting[0].count;
      this.#waiting.shift()?.go();
    }
  }
}

const places = new Places();

/** How many files one batch may have open. */
export const MAX_BATCH = MAX_OPEN / 2;

/** A value that is in its file and in no row yet. */
export interface NewFile {
  /** Its path in the directory, as a row has it. */
  readonly filename: string;
  /** Says that whoever wants it has it: from now on it stands for itself. */
  release(): void;
}

/** The files of a DiskCache directory that hold values too large for its database. */
export class ValueFiles {
  readonly #directory: string;
  readonly #log: WriterLog;

  constructor(directory: string) {
    this.#directory = directory;
    this.#log = new WriterLog(directory);
  }

  /** To be called when nothing is under way any more. */
  close(): void {
    this.#log.close();
  }

  /**
   * Waits until so many files, at most `MAX_BATCH`, may be written and kept open; to be disposed of
   * when they are closed.
   */
  places(count: number): Promise<Disposable> {
    return places.take(count);
  }

  /**
   * Writes a value to a new file, for which there is a place. Until it is released it stands in the
   * log, so that `check` in any process knows it from what a crash left behind.
   */
  async write(value: Uint8Array): Promise<NewFile> {
    const filename = this.#newName();
    const noted = this.#log.noteNew(filename);
    const file = this.#create(filename);
    try {
      if (value.byteLength < LARGE) writeAllSync(file, value);
      else await writeAll(file, value);
    } catch (error) {
      file.close();
      this.remove(filename);
      throw error;
    }
    file.close();
    return { filename, release: () => this.#log.forget(noted) };
  }

  /**
   * The content of a file; `undefined` when it is not there, as another process may have replaced
   * the value meanwhile.
   *
   * @throws {DecodeError} When the row points out of the directory, or to anything but a file.
   */
  read(filename: string, size: number): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const found = this.#find(filename);
    if (found === undefined) return undefined;
    if (size >= LARGE) return readLarge(found.path);
    try {
      return readFileSync(found.path);
    } catch (error) {
      return absent(error);
    }
  }

  /**
   * How many bytes a file has; `undefined` when it is not there.
   *
   * @throws {DecodeError} When the row points out of the directory, or to anything but a file.
   */
  sizeOf(filename: string): number | undefined {
    return this.#find(filename)?.size;
  }

  /**
   * Removes the files that a change leaves over.
   *
   * @param change Gives their names before it takes effect, and then takes effect.
   */
  removeAfter<T>(change: (leave: (filenames: readonly string[]) => void) => T): T {
    let left: readonly string[] = [];
    let noted: number[] = [];
    try {
      const result = change((filenames) => {
        left = filenames;
        noted = this.#log.noteOld(filenames);
      });
      for (const filename of left) this.remove(filename);
      return result;
    } finally {
      this.#log.forget(noted);
    }
  }

  /**
   * Removes what killed processes left behind.
   *
   * @param named Which of these files a row names.
   */
  sweep(named: (filenames: string[]) => Set<string>): void {
    try {
      finishForDead(this.#directory, (filenames) => {
        const kept = named(filenames);
        for (const filename of new Set(filenames)) {
          if (kept.has(filename)) continue;
          this.remove(filename);
          // It may be that nothing but the folder had been made, or was left.
          this.removeFolder(dirname(filename));
        }
      });
    } catch (error) {
      // `check` finds it too; no caller is to do without what it came for.
      if (errorCode(error) === undefined) throw error;
    }
  }

  /** The files of writers that are at work: they may have no row yet. */
  underWay(): Set<string> {
    return notedByLiving(this.#directory);
  }

  /** Removes a file, and the folders that are empty without it, as Python does. */
  remove(filename: string): void {
    try {
      removeSync(this.#pathOf(filename));
    } catch {
      // Another process may have been faster, or use the folder. What is really left behind,
      // `check` finds.
      return;
    }
    this.removeFolder(dirname(filename));
  }

  /**
   * Removes an empty folder of files, and the one that it is in; whether at least the first is
   * gone.
   */
  removeFolder(folder: string): boolean {
    const path = join(this.#directory, folder);
    if (this.#linkOn(folder.split(/[\\/]/)) !== undefined) return false;
    if (!removeEmpty(path)) return false;
    if (dirname(folder) !== ".") removeEmpty(dirname(path));
    return true;
  }

  #find(filename: string): { path: string; size: number } | undefined {
    const path = this.#pathOf(filename);
    const info = look(path);
    if (info === undefined) return undefined;
    if (info.isFile) return { path, size: info.size };
    // A link leads anywhere, and a pipe or a device may never end.
    throw new DecodeError(`Its file ${JSON.stringify(filename)} is not a regular file`);
  }

  /**
   * The path of a row's file.
   *
   * @throws {DecodeError} When it is not below the directory: rows may come from anywhere, and
   * links lead anywhere.
   */
  #pathOf(filename: string): string {
    const parts = filename.split(/[\\/]/);
    if (filename === "" || isAbsolute(filename) || parts.includes("..")) {
      throw new DecodeError(`Its file ${JSON.stringify(filename)} is not in the directory`);
    }
    const link = this.#linkOn(parts.slice(0, -1));
    if (link === undefined) return join(this.#directory, ...parts);
    throw new DecodeError(
      `Its file ${JSON.stringify(filename)} is not in the directory: ${link} is no folder of it`,
    );
  }

  /** The first of these folders, each in the one before, that is none. */
  #linkOn(folders: string[]): string | undefined {
    let path = this.#directory;
    for (const folder of folders) {
      path = join(path, folder);
      const info = look(path);
      if (info === undefined) return undefined;
      if (!info.isDirectory) return path;
    }
  }

  #create(filename: string): OpenFile {
    const path = join(this.#directory, filename);
    for (let attempt = 1;; attempt++) {
      try {
        return openFileSync(path, { createNew: true, write: true });
      } catch (error) {
        if (!isNotFound(error) || attempt === ATTEMPTS) throw error;
        makeFolderSync(dirname(path));
      }
    }
  }

  #newName(): string {
    for (let attempt = 1;; attempt++) {
      const hex = crypto.randomUUID().replaceAll("-", "");
      const folders = [hex.slice(0, 2), hex.slice(2, 4)];
      const link = this.#linkOn(folders);
      if (link === undefined) return join(...folders, `${hex.slice(4)}.val`);
      if (attempt === ATTEMPTS) {
        throw new RefusedError(`${link} is no folder and may lead out of the directory; remove it`);
      }
    }
  }
}

/** What is at a path, a link itself; `undefined` when nothing is. */
export function look(path: string): FileInfo | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** Removes a folder unless there is something in it, as a rule; whether it is gone. */
function removeEmpty(path: string): boolean {
  try {
    removeSync(path);
    return true;
  } catch (error) {
    return isNotFound(error);
  }
}

async function readLarge(path: string): Promise<Uint8Array | undefined> {
  const place = await places.take(1);
  try {
    return await readFile(path).catch(absent);
  } finally {
    place[Symbol.dispose]();
  }
}

function absent(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}
