/**
 * One try for a lock that excludes all processes, whatever runtime they run in, and goes with the
 * process that holds it, however that ends.
 *
 * On Deno it is the system's lock on the file itself (`flock`; on Windows `LockFileEx`): 2 µs. Node
 * and Bun can't take that one without native code, so there it is SQLite's lock on a file beside it,
 * which they all bring: 100 µs. So that the two exclude each other, who takes the second says so in
 * the first file, for good: that it has content tells Deno to take the second lock too. Files that
 * only Deno uses stay empty, and their locks cost what they did.
 */
import type { StdioOptions } from "node:child_process";
import { dirname } from "node:path";
import { errorCode, isNotFound } from "./errors.ts";
import {
  discard,
  type FileInfo,
  folderMode,
  FROM_START,
  giveMode,
  lstatSync,
  makeFolderSync,
  openFileSync,
  writeAllSync,
  writeFileSync,
} from "./files.ts";
import { tooOld } from "./oldest.ts";
import { deno } from "./runtime.ts";
import { builtinModule, os, runtimeVersion } from "./system.ts";

const encoder = new TextEncoder();
/** What stands in the file of a lock that other runtimes than Deno take. */
const SHARED = encoder.encode("Node and Bun take part: lock the file .held beside this one, too");
/** The same, once nobody has the lock any more who began before it stood there. */
const SETTLED = new Uint8Array([...SHARED, 10]);

const WRITE = { write: true } as const;
const SEEK_END = 2;

/** Of the file that SQLite locks. */
const HELD = ".held";
/** What SQLite says of what somebody else has locked: not all runtimes give its number. */
const SQLITE_BUSY = "database is locked";

/**
 * Takes a lock if it is free.
 *
 * @param path The lock's file. It is made when absent, with the mode, and folders with what goes
 * with it. To remove it would take the lock from under those who wait for it.
 * @returns Disposed of, lets go; `undefined` when somebody has the lock, also in this process.
 */
export function tryHold(path: string, mode?: number): Disposable | undefined {
  if (deno === undefined) return isAnnounced(path, mode) ? trySqlite(path, mode) : undefined;
  if (!("tryLockSync" in deno.FsFile.prototype)) throw tooOld("Locks of files need", "2.7");
  const file = openLock(deno.openSync, path, mode);
  try {
    if (file.tryLockSync(true)) {
      // Its size: a quarter of the time that its state would take.
      if (file.seekSync(0, SEEK_END) === 0) return file;
      const held = trySqlite(path, mode);
      if (held !== undefined) return both(held, file);
    }
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
}

/**
 * How many bytes there are; `undefined`: the file is absent. What a link leads to is not the lock of
 * this folder, and a FIFO would wait for its reader.
 */
function sizeOf(path: string): number | undefined {
  let info: FileInfo;
  try {
    info = lstatSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  if (!info.isFile) throw new Error(`${path} is not a file; move it away`);
  return info.size;
}

/** Opened for each use: files kept open would take too many of a process's descriptors. */
function openLock<T>(
  open: (path: string, options: { write: true; create?: true; mode?: number }) => T,
  path: string,
  mode: number | undefined,
): T {
  if (sizeOf(path) !== undefined) {
    try {
      return open(path, WRITE);
    } catch (error) {
      // Removed since, with what it is for.
      if (!isNotFound(error)) throw error;
    }
  }
  makeFolderSync(dirname(path), mode && folderMode(mode));
  const file = open(path, { write: true, create: true, mode });
  if (mode !== undefined) giveMode(path, mode);
  return file;
}

/** The files that belong to a lock: for those who remove what it is for. */
export function filesOf(path: string): string[] {
  return [path, path + HELD];
}

function both(first: Disposable, second: Disposable): Disposable {
  return {
    [Symbol.dispose]() {
      first[Symbol.dispose]();
      second[Symbol.dispose]();
    },
  };
}

/**
 * By a transaction that nothing is done in. The file must not be opened by anybody but SQLite: to
 * close it would let go of the process's locks on it.
 */
function trySqlite(path: string, mode: number | undefined): Disposable | undefined {
  const { DatabaseSync } = builtinModule("node:sqlite") ?? lacksSqlite();
  const file = path + HELD;
  if (sizeOf(file) === undefined) place(file, emptyDatabase(), mode);
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
    return { [Symbol.dispose]: () => database.close() };
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/**
 * A database of one page, with nothing in it: in an empty file, each transaction would begin one, and
 * write to the disk.
 */
function emptyDatabase(): Uint8Array {
  const page = new DataView(new ArrayBuffer(512));
  const bytes = new Uint8Array(page.buffer);
  bytes.set(encoder.encode("SQLite format 3\0"));
  page.setUint16(16, bytes.length);
  // Of rollback journals, without reserved bytes, and three numbers that are always these.
  bytes.set([1, 1, 0, 64, 32, 32], 18);
  // How often it was changed, how many pages it has, schema format, UTF-8.
  for (const [at, value] of [[24, 1], [28, 1], [44, 4], [56, 1], [92, 1]]) {
    page.setUint32(at, value);
  }
  // The table of the schema: a leaf without cells, whose content begins at the end.
  bytes[100] = 13;
  page.setUint16(105, bytes.length);
  return bytes;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && error.message.includes(SQLITE_BUSY);
}

function lacksSqlite(): never {
  throw new Error(
    `locks of files need "node:sqlite", and Node ${runtimeVersion()} has none; use Node 22.13 or later`,
  );
}

/**
 * Says in the lock's file that somebody takes part who can't lock it; whether all who have the lock
 * know.
 */
function isAnnounced(path: string, mode: number | undefined): boolean {
  const size = sizeOf(path) ?? place(path, SETTLED, mode);
  if (size >= SETTLED.length) return true;
  const file = openLock(openFileSync, path, mode);
  try {
    if (size < SHARED.length) writeAllSync(file, SHARED);
    // Who locks it from now on sees that. Who has locked it may not have.
    if (!isUnlocked(path)) return false;
    file.seekSync(0, FROM_START);
    writeAllSync(file, SETTLED);
    return true;
  } catch (error) {
    // So Windows says that somebody has locked what we write to.
    if (errorCode(error) === "EBUSY") return false;
    throw error;
  } finally {
    file.close();
  }
}

/** Makes a file with all in it at once, and leaves one that is there; how many bytes it has. */
function place(path: string, content: Uint8Array, mode: number | undefined): number {
  makeFolderSync(dirname(path), mode && folderMode(mode));
  const own = `${path}.${crypto.randomUUID()}`;
  try {
    writeFileSync(own, content, { createNew: true, mode });
    builtinModule("node:fs").linkSync(own, path);
    return content.length;
  } catch (error) {
    const size = sizeOf(path);
    if (size !== undefined) return size;
    // Not every file system has links. Then others may see the file before it has its content.
    if (errorCode(error) === "ENOSPC") throw error;
    writeFileSync(path, new Uint8Array(), { mode });
    return 0;
  } finally {
    discard(own);
  }
}

/** Whether nobody has a lock of the system on a file at this moment. */
function isUnlocked(path: string): boolean {
  // What is locked can't be written to on Windows: as it could, it is not.
  if (os() === "windows") return true;
  if (os() === "darwin") return isOpenedLocked(path);
  const { closeSync, fstatSync, openSync } = builtinModule("node:fs");
  const fd = openSync(path, "r+");
  try {
    // The program gets our descriptor, and with it our lock, which goes when we close it.
    const stdio = ["ignore", "ignore", "ignore", fd] satisfies StdioOptions;
    const { spawnSync } = builtinModule("node:child_process");
    const { status, error } = spawnSync("flock", ["-n", "-x", "3"], { stdio });
    if (error === undefined) return status === 0;
    if (errorCode(error) === "ENOENT") return !isListed(fstatSync(fd).ino);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** macOS and the BSDs lock what they open when they are asked to. */
function isOpenedLocked(path: string): boolean {
  const { closeSync, openSync } = builtinModule("node:fs");
  const [O_RDWR, O_NONBLOCK, O_EXLOCK] = [0x2, 0x4, 0x20];
  try {
    closeSync(openSync(path, O_RDWR | O_NONBLOCK | O_EXLOCK));
    return true;
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return false;
    throw error;
  }
}

/** Whether Linux lists a lock on a file with this number: where there is no program `flock`. */
function isListed(inode: number): boolean {
  return builtinModule("node:fs").readFileSync("/proc/locks", "utf8").split("\n").some((line) =>
    line.includes("FLOCK") && line.includes(`:${inode} `)
  );
}
