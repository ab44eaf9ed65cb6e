import { dirname } from "node:path";
import { isNotFound } from "./errors.ts";
import {
  folderMode,
  giveMode,
  lstatSync,
  makeFolderSync,
  type OpenFile,
  openFileSync,
} from "./files.ts";
import { tooOld } from "./oldest.ts";
import { delay, inTime, now } from "./timers.ts";

/** How long to wait for a lock that others hold for milliseconds at a time, ms. */
const PATIENCE = 30_000;
/**
 * How long one process may take lock after lock before it lets others in, ms, and how long it then
 * stays away: as long as they may pause between two looks.
 */
const BURST = 50;
const PAUSE = 4;
/** From how long a rest on the next use of a lock begins a new burst, ms. */
const REST = 2;

/** Who waits in this process, by the lock's path: the last in the queue. */
const queues = new Map<string, Promise<void>>();

let burstBegan = 0;
let lastRelease = 0;

/** How a lock is taken. */
export interface LockOptions {
  /** The mode of the file, and of folders what goes with it, if they are made. */
  readonly mode?: number;
  /** How long to wait in all, ms. Default: half a minute. */
  readonly patience?: number;
}

/**
 * A lock that excludes other processes and other holders in this one. It is the system's own lock
 * on a file, so it goes with the process that holds it, however that ends. The file is empty and
 * stays: to remove it would take the lock from under those who wait for it.
 */
export class FileLock implements Disposable {
  readonly #file: OpenFile;
  readonly #leave: (() => void) | undefined;

  private constructor(file: OpenFile, leave?: () => void) {
    this.#file = file;
    this.#leave = leave;
  }

  /**
   * Takes the lock at once, or gives `undefined`: when somebody else holds it or waits for it here,
   * or when this process has taken locks one after another for so long that others would never get
   * a turn. Then `take` is the way.
   */
  static tryTake(path: string, { mode }: LockOptions = {}): FileLock | undefined {
    if (queues.has(path)) return undefined;
    const time = now();
    if (time - lastRelease > REST) burstBegan = time;
    else if (time - burstBegan > BURST) return undefined;
    const file = open(path, mode);
    if (file.tryLockSync(true)) return new FileLock(file);
    file.close();
    return undefined;
  }

  /**
   * Waits for the lock without blocking the event loop.
   *
   * @throws {Error} When it is not free in time, whoever holds it and however many wait before.
   */
  static async take(
    path: string,
    { mode, patience = PATIENCE }: LockOptions = {},
  ): Promise<FileLock> {
    const end = now() + patience;
    const tooLate = () =>
      new Error(`others have kept ${path} locked for ${patience / 1_000} s; end them or try later`);
    const before = queues.get(path);
    const { promise: left, resolve } = Promise.withResolvers<void>();
    queues.set(path, left);
    const leave = () => {
      if (queues.get(path) === left) queues.delete(path);
      resolve();
    };
    try {
      // In the order in which they came: only the first in the queue looks at the file.
      if (before !== undefined) await inTime(before, patience, tooLate);
      await pause();
      const file = open(path, mode);
      try {
        await untilLocked(file, end, tooLate);
      } catch (error) {
        file.close();
        throw error;
      }
      return new FileLock(file, leave);
    } catch (error) {
      // Those behind go on waiting for who was before.
      void (before ?? Promise.resolve()).then(leave);
      throw error;
    }
  }

  /** Lets go. */
  [Symbol.dispose](): void {
    this.#file.close();
    lastRelease = now();
    this.#leave?.();
  }
}

/**
 * Opened for each use: a file kept open for each lock of each stash would take too many of a
 * process's descriptors.
 */
function open(path: string, mode?: number): OpenFile {
  if (!("tryLockSync" in Deno.FsFile.prototype)) throw tooOld("Locks of files need", "2.7");
  try {
    // What a link leads to is not the lock of this folder, and a FIFO would wait for its reader.
    if (!lstatSync(path).isFile) throw new Error(`${path} is not a file; move it away`);
    return openFileSync(path, { write: true });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return create(path, mode);
  }
}

function create(path: string, mode?: number): OpenFile {
  makeFolderSync(dirname(path), mode && folderMode(mode));
  const file = openFileSync(path, { write: true, create: true, mode });
  if (mode !== undefined) giveMode(path, mode);
  return file;
}

/** At the end of a burst leaves those in other processes the time to take the lock. */
async function pause(): Promise<void> {
  const time = now();
  if (time - lastRelease > REST || time - burstBegan <= BURST) return;
  await delay(PAUSE);
  burstBegan = now();
}

/**
 * By looking again and again: a thread that waits in the system would be told in the moment that
 * the lock is free, but can't be called back, and would keep the program from ending for as long as
 * another process holds the lock.
 */
async function untilLocked(file: OpenFile, end: number, tooLate: () => Error): Promise<void> {
  while (!file.tryLockSync(true)) {
    if (now() >= end) throw tooLate();
    // At random, or those who wait would look at the same time.
    await delay(1 + Math.random() * (PAUSE - 1));
  }
}
