/** Reading and writing the files of the pairtree engine: whole or not at all. */
import { closeSync, constants, openSync, readSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Awaitable, Entry } from "../engine.ts";
import { isExpired } from "../expiry.ts";
import { errorCode, isNotFound } from "../../platform/errors.ts";
import {
  discard,
  flushFolder,
  folderMode,
  giveMode,
  isAbsent,
  lstatSync,
  makeFolderSync,
  type OpenFile,
  openFile,
  readFile,
  readFileSync,
  rename,
  writeAll,
  writeFile as write,
  writeFileSync,
} from "../../platform/files.ts";
import { checkValue, Damage, entryOf, hasKey, type Header, parseHeader } from "./format.ts";

/**
 * Up to how many bytes reading and writing at once costs less time than the thread of an
 * asynchronous call does.
 */
const SYNC_READ = 1024 * 1024;
const SYNC_WRITE = 128 * 1024;

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
/** A link may lead anywhere, and a FIFO would wait for its writer. Windows has neither flag. */
const READ = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** How much is read at first: of a header, and of an entry. Most files fit. */
const HEAD = 1024;
const CHUNK = 16 * 1024;
const head = new Uint8Array(HEAD);
/**
 * What entries are read into, one behind the other: an allocation for each would cost a fifth of
 * reading it.
 */
let slab = new Uint8Array(4 * CHUNK);
let used = 0;

/**
 * The first line of an entry's file; `undefined` when there is no file. To be looked at before
 * anything else is read: it lies in a buffer that serves all.
 *
 * @throws {Damage} When it is not what was written.
 */
export function readHeader(path: string): Header | undefined {
  const fd = openToRead(path);
  if (fd === undefined) return undefined;
  let filled: number;
  try {
    filled = readSync(fd, head, 0, HEAD, null);
  } finally {
    closeSync(fd);
  }
  const header = parseHeader(head.subarray(0, filled));
  if (header !== undefined || filled < HEAD) return header ?? noEnd();
  requireFile(path);
  const bytes = readAll(path);
  return bytes && (parseHeader(bytes) ?? noEnd());
}

/**
 * The live entry of this key in a file; `undefined` when there is none.
 *
 * @throws {Damage} When the file is not what was written.
 */
export function readEntry(path: string, key: string): Awaitable<Entry | undefined> {
  const fd = openToRead(path);
  if (fd === undefined) return undefined;
  try {
    const filled = readSync(fd, slab, used, CHUNK, null);
    const chunk = slab.subarray(used, used + filled);
    if (filled < CHUNK) {
      used += filled;
      if (used + CHUNK > slab.byteLength) {
        slab = new Uint8Array(slab.byteLength);
        used = 0;
      }
      return wholeEntry(chunk, key);
    }
    const header = parseHeader(chunk);
    if (header === undefined || header.length > SYNC_READ) return readLarge(path, key);
    const size = header.line.byteLength + header.length;
    // Read whole, to say how many bytes there are too many.
    if (size < filled) return readLarge(path, key);
    // One byte more, which is there only when the file is damaged.
    const bytes = new Uint8Array(size + 1);
    bytes.set(chunk);
    let read = filled;
    let more: number;
    do {
      more = readSync(fd, bytes, read, bytes.byteLength - read, null);
      read += more;
    } while (more > 0 && read < size);
    if (read > size) return readLarge(path, key);
    return wholeEntry(bytes.subarray(0, read), key);
  } finally {
    closeSync(fd);
  }
}

async function readLarge(path: string, key: string): Promise<Entry | undefined> {
  try {
    requireFile(path);
    return wholeEntry(await readFile(path), key);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function wholeEntry(bytes: Uint8Array, key: string): Entry | undefined {
  const header = parseHeader(bytes) ?? noEnd();
  if (!hasKey(header, key)) throw new Damage("it holds the entry of another key");
  if (isExpired(header)) return undefined;
  const value = bytes.subarray(header.line.byteLength);
  checkValue(header, value);
  return entryOf(header, value);
}

/**
 * The header of a file that is in order from its first byte to its last.
 *
 * @throws {Damage} When it is not.
 */
export async function verify(path: string): Promise<Header> {
  requireFile(path);
  const bytes = await readFile(path);
  const header = parseHeader(bytes) ?? noEnd();
  checkValue(header, bytes.subarray(header.line.byteLength));
  return header;
}

/** A file to be written. */
export interface Writing {
  /** Where it is written first, by nobody else: whoever writes there holds the same lock. */
  readonly temporary: string;
  /** The folder where it belongs, and its name there. */
  readonly folder: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Whether the folder was found to be absent: to fail at a move first costs an exception. */
  readonly isFolderNew?: boolean;
}

/** How files are written. */
export interface WriteOptions {
  /** The mode of files; folders get the one that goes with it. */
  readonly mode: number;
  /** Whether to wait until the disk has it, so that a power failure takes it away no more. */
  readonly sync: boolean;
}

/**
 * Puts a file in the place of what is there, in one step for every reader. Folders are made when
 * absent.
 */
export function writeFile(file: Writing, { mode, sync }: WriteOptions): Awaitable<void> {
  if (sync) return writeThrough(file, mode);
  if (file.bytes.byteLength > SYNC_WRITE) return writeLarge(file, mode);
  const { temporary, folder, name, bytes, isFolderNew } = file;
  try {
    if (isFolderNew) makeFolderSync(folder, folderMode(mode));
    try {
      writeFileSync(temporary, bytes, { createNew: true, mode });
    } catch (error) {
      makeRoom(file, mode, error);
      writeFileSync(temporary, bytes, { createNew: true, mode });
    }
    try {
      renameSync(temporary, `${folder}/${name}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      makeFolderSync(folder, folderMode(mode));
      renameSync(temporary, `${folder}/${name}`);
    }
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

async function writeLarge(file: Writing, mode: number): Promise<void> {
  const { temporary, folder, name, bytes } = file;
  try {
    try {
      await write(temporary, bytes, { createNew: true, mode });
    } catch (error) {
      makeRoom(file, mode, error);
      await write(temporary, bytes, { createNew: true, mode });
    }
    if (isAbsent(folder)) makeFolderSync(folder, folderMode(mode));
    await rename(temporary, `${folder}/${name}`);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

async function writeThrough(file: Writing, mode: number): Promise<void> {
  const { temporary, folder, name, bytes } = file;
  try {
    if (isAbsent(folder)) {
      makeFolderSync(folder, folderMode(mode));
      await flushFolder(dirname(folder));
    }
    const opened = await create(file, mode);
    try {
      giveMode(temporary, mode);
      await writeAll(opened, bytes);
      await opened.syncData();
    } finally {
      opened.close();
    }
    await rename(temporary, `${folder}/${name}`);
    await flushFolder(folder);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

async function create(file: Writing, mode: number): Promise<OpenFile> {
  const options = { write: true, createNew: true, mode };
  try {
    return await openFile(file.temporary, options);
  } catch (error) {
    makeRoom(file, mode, error);
    return await openFile(file.temporary, options);
  }
}

/** Does away with what was in the way of a temporary file, or throws the error. */
function makeRoom({ temporary }: Writing, mode: number, error: unknown): void {
  const code = errorCode(error);
  // What a killed process left.
  if (code === "EEXIST") rmSync(temporary, { force: true });
  else if (code === "ENOENT") makeFolderSync(dirname(temporary), folderMode(mode));
  else throw error;
}

/**
 * Opening a file that is not there costs an exception, and one that is the slowest: something
 * quicker first, where misses are to be expected.
 */
let missed = false;

function openToRead(path: string): number | undefined {
  if (missed && isAbsent(path)) return undefined;
  try {
    const fd = openSync(path, READ);
    missed = false;
    return fd;
  } catch (error) {
    if (errorCode(error) === "ELOOP") requireFile(path);
    if (!isNotFound(error)) throw error;
    missed = true;
    return undefined;
  }
}

/** @throws {Damage} When something else than a file is at a path: what it gives may have no end. */
function requireFile(path: string): void {
  const { isFile, isSymlink } = lstatSync(path);
  if (!isFile) throw new Damage(isSymlink ? "it is a link" : "it is not a file");
}

function readAll(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function noEnd(): never {
  throw new Damage("its first line has no end");
}
