/** Reading and writing the files of the pairtree engine: whole or not at all. */
import { closeSync, constants, mkdirSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Awaitable, Entry } from "../engine.ts";
import { isNotFound } from "../../platform/errors.ts";
import {
  flushFolder,
  isAbsent,
  openFile,
  readFile,
  readFileSync,
  rename,
  writeAll,
  writeFile as write,
  writeFileSync,
} from "../../platform/files.ts";
import {
  checkValue,
  Damage,
  entryOf,
  hasKey,
  type Header,
  isExpired,
  parseHeader,
} from "./format.ts";

/**
 * Up to how many bytes reading and writing at once costs less time than the thread of an
 * asynchronous call does.
 */
const SYNC_READ = 1024 * 1024;
const SYNC_WRITE = 128 * 1024;

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

/** Begins the names of this process's temporary files, so that no other process has the same. */
const OWN = crypto.randomUUID().slice(0, 8);
const TEMPORARY = /^\.[0-9a-f]{8}-\d+\.tmp$/;
let temporaries = 0;

/** Whether a file of this name is a write that did not come to its end, or not yet. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

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
    const bytes = new Uint8Array(header.line.byteLength + header.length);
    bytes.set(chunk);
    let read = filled;
    while (read < bytes.byteLength) {
      const more = readSync(fd, bytes, read, bytes.byteLength - read, null);
      if (more === 0) break;
      read += more;
    }
    return wholeEntry(bytes.subarray(0, read), key);
  } finally {
    closeSync(fd);
  }
}

async function readLarge(path: string, key: string): Promise<Entry | undefined> {
  try {
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
  const bytes = await readFile(path);
  const header = parseHeader(bytes) ?? noEnd();
  checkValue(header, bytes.subarray(header.line.byteLength));
  return header;
}

/**
 * Puts a file in the place of what is there, in one step for every reader. Its folder is made when
 * absent.
 *
 * @param sync Whether to wait until the disk has it: a power failure loses it no more.
 */
export function writeFile(
  folder: string,
  name: string,
  bytes: Uint8Array,
  sync: boolean,
): Awaitable<void> {
  const temporary = `${folder}/.${OWN}-${++temporaries}.tmp`;
  const path = `${folder}/${name}`;
  if (sync) return writeThrough(folder, temporary, path, bytes);
  if (bytes.byteLength > SYNC_WRITE) return writeLarge(folder, temporary, path, bytes);
  try {
    try {
      writeFileSync(temporary, bytes, { createNew: true });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      mkdirSync(folder, { recursive: true });
      writeFileSync(temporary, bytes, { createNew: true });
    }
    renameSync(temporary, path);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

async function writeLarge(
  folder: string,
  temporary: string,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  try {
    if (isAbsent(folder)) mkdirSync(folder, { recursive: true });
    await write(temporary, bytes, { createNew: true });
    await rename(temporary, path);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

async function writeThrough(
  folder: string,
  temporary: string,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  try {
    if (isAbsent(folder)) {
      mkdirSync(folder, { recursive: true });
      await flushFolder(dirname(folder));
    }
    {
      using file = await openFile(temporary, { write: true, createNew: true });
      await writeAll(file, bytes);
      await file.syncData();
    }
    await rename(temporary, path);
    await flushFolder(folder);
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

/** What cannot be removed either is left to `check`: the error that led here says more. */
function discard(temporary: string): void {
  try {
    rmSync(temporary, { force: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/**
 * Opening a file that is not there costs an exception, and one that is the slowest: something
 * quicker first, where misses are to be expected.
 */
let missed = false;

function openToRead(path: string): number | undefined {
  if (missed && isAbsent(path)) return undefined;
  try {
    const fd = openSync(path, constants.O_RDONLY);
    missed = false;
    return fd;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    missed = true;
    return undefined;
  }
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
