/**
 * The file of the pickledb engine: read and replaced as a whole, so that nobody meets a half of it.
 */
import { renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode, isNotFound } from "../../platform/errors.ts";
import {
  discard,
  type FileInfo,
  folderMode,
  FROM_START,
  giveMode,
  makeFolderSync,
  type OpenFile,
  openFileSync,
  rename,
  statSync,
  writeAll,
  writeAllSync,
} from "../../platform/files.ts";
import { whileBusy } from "../../platform/retry.ts";
import { Turns } from "../../platform/timers.ts";
import { JsonDamage, LONGEST } from "./text.ts";

/** How much text is encoded and written at once: the event loop is free between two pieces. */
const PIECE = 512 * 1024;
/** How much is read at once. */
const READ = 1024 * 1024;
/**
 * Up to how many bytes reading or writing at once costs less time than the thread of an
 * asynchronous call does. What is written goes into the system's memory, what is read may have to
 * come from the disk.
 */
const SYNC_READ = 512 * 1024;
const SYNC_WRITE = 4 * 1024 * 1024;

const encoder = new TextEncoder();

/** Which state of the file something was read from. */
export interface FileState {
  /** When it was written, ms since the epoch. */
  readonly mtime: number;
  readonly size: number;
  readonly ino: number | null;
  readonly mode: number | null;
}

/** The state of a path where no file is. */
export const NO_FILE: FileState = { mtime: 0, size: 0, ino: null, mode: null };

/** A file is longer than can be read. */
export class TooLong extends Error {
  override readonly name = "TooLong";
}

/**
 * The state of the file now.
 *
 * @throws {Error} When something else than a file is there: a pipe would keep its reader waiting, and
 * a device may have no end.
 */
export function stateOf(path: string): FileState {
  try {
    const info = statSync(path);
    if (!info.isFile) throw new Error(`${path} is not a file; move it away`);
    return asState(info);
  } catch (error) {
    if (isNotFound(error)) return NO_FILE;
    throw error;
  }
}

function asState({ mtime, size, ino, mode }: FileInfo): FileState {
  return { mtime: mtime?.getTime() ?? 0, size, ino, mode };
}

/** Whether the file has not changed between two looks at it. */
export function isSame(one: FileState, other: FileState): boolean {
  return one.mtime === other.mtime && one.size === other.size && one.ino === other.ino;
}

/**
 * The file's text, `undefined` when there is none, and the state that it was read in.
 *
 * @throws {JsonDamage} When it is not UTF-8, unless any text will do.
 */
export async function readText(
  path: string,
  fatal = true,
): Promise<{ state: FileState; text: string | undefined }> {
  let file: OpenFile;
  try {
    file = openFileSync(path);
  } catch (error) {
    if (isNotFound(error)) return { state: NO_FILE, text: undefined };
    throw error;
  }
  try {
    for (;;) {
      const state = asState(file.statSync());
      if (state.size > LONGEST) throw tooLong(path, state.size);
      const text = await decode(file, state.size, new TextDecoder("utf-8", { fatal }));
      // Ours are replaced and never written again, but other programs may do that.
      if (isSame(state, asState(file.statSync()))) return { state, text };
      file.seekSync(0, FROM_START);
    }
  } catch (error) {
    if (error instanceof TypeError) throw new JsonDamage("it has bytes that are not UTF-8", 0);
    throw error;
  } finally {
    file.close();
  }
}

function tooLong(path: string, size: number): TooLong {
  return new TooLong(
    `${path} has ${size} bytes, and no more than ${LONGEST} can be read; ` +
      "divide it by another program, or clear() it",
  );
}

/** Reads to the end piece by piece, so that a large file doesn't keep the event loop. */
async function decode(file: OpenFile, size: number, decoder: TextDecoder): Promise<string> {
  const buffer = new Uint8Array(Math.min(size + 1, READ));
  const texts: string[] = [];
  for (;;) {
    const count = size < SYNC_READ ? file.readSync(buffer) : await file.read(buffer);
    if (count === null) break;
    texts.push(decoder.decode(buffer.subarray(0, count), { stream: true }));
  }
  texts.push(decoder.decode());
  return texts.join("");
}

/** A file that waits to take another one's place. */
export interface Replacement {
  /** The state that the file is going to be in. */
  readonly state: FileState;
  /** Takes the place. */
  commit(): Promise<void>;
  /** Doesn't. */
  discard(): void;
}

/**
 * Where what is to replace a file is written. Only who holds the lock writes there, so that what a
 * killed process left is in the next one's place.
 */
export function replacementOf(path: string): string {
  return `${path}.saving`;
}

/**
 * Writes what is to replace the file, which was in the state `old`. Its time is later than that of
 * the old one, by a millisecond at least: file systems keep the time of the last tick of their
 * clock, and use a number of a file again, so that two states could look the same.
 *
 * @param mode The mode of a file that is new, and of folders what goes with it.
 */
export async function prepare(
  path: string,
  old: FileState,
  texts: Iterable<string>,
  mode: number,
): Promise<Replacement> {
  const temporary = replacementOf(path);
  // Who was allowed to read it still is, and nobody else.
  const file = create(temporary, (old.mode ?? mode) & 0o777, folderMode(mode));
  try {
    let size = 0;
    const turns = new Turns();
    for (const piece of piecesOf(texts)) {
      size += piece.byteLength;
      if (size <= SYNC_WRITE) writeAllSync(file, piece);
      else await writeAll(file, piece);
      if (turns.due()) await turns.next();
    }
    const mtime = Math.max(Date.now(), old.mtime + 1);
    file.utimeSync(new Date(), new Date(mtime));
    // Or the new name could reach the disk before the content: an empty file after a power failure.
    await file.syncData();
    const state = asState(file.statSync());
    file.close();
    return {
      state,
      async commit() {
        try {
          await whileBusy(() => {
            return size <= SYNC_WRITE ? renameSync(temporary, path) : rename(temporary, path);
          });
        } catch (error) {
          discard(temporary);
          throw error;
        }
      },
      discard: () => discard(temporary),
    };
  } catch (error) {
    file.close();
    discard(temporary);
    throw error;
  }
}

function create(path: string, mode: number, folders: number): OpenFile {
  const options = { write: true, createNew: true, mode };
  let file: OpenFile;
  try {
    file = openFileSync(path, options);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") rmSync(path);
    else if (code === "ENOENT") makeFolderSync(dirname(path), folders);
    else throw error;
    file = openFileSync(path, options);
  }
  giveMode(path, mode);
  return file;
}

/** What the last save wrote from: to make it anew takes longer than to save a small file. */
let spare: Uint8Array<ArrayBuffer> | undefined;

/** Pieces of the texts in UTF-8, each to be used before the next one is asked for. */
function* piecesOf(texts: Iterable<string>): Generator<Uint8Array<ArrayBuffer>> {
  // Whoever saves at the same time makes another one.
  const buffer = spare ?? new Uint8Array(PIECE);
  spare = undefined;
  let length = 0;
  try {
    for (const text of texts) {
      for (let rest = text;;) {
        const { read, written } = encoder.encodeInto(rest, buffer.subarray(length));
        length += written;
        if (read === rest.length) break;
        yield buffer.subarray(0, length);
        length = 0;
        rest = rest.slice(read);
      }
    }
    yield buffer.subarray(0, length);
  } finally {
    spare = buffer;
  }
}
