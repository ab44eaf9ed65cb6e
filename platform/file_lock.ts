import { dirname } from "node:path";
import { isNotFound } from "./errors.ts";
import { makeFolderSync, type OpenFile, openFileSync } from "./files.ts";
import { delay, inTime, now } from "./timers.ts";

/** How long to wait for a lock that others hold for milliseconds at a time, ms. */
const PATIENCE = 30_000;
/**
 * How long one process may take lock after lock before it lets others in, ms, and how long it then
 * stays away.
 */
const BURST = 50;
const PAUSE = 1;
/** From how long a rest on the next use of a lock begins a new burst, ms. */
const REST = 2;

/** Who waits in this process, by the lock's path: the last in the queue. */
const queues = new Map<string, Promise<void>>();

let burstBegan = 0;
let lastRelease = 0;

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
   * Takes the lock at once, or gives `undefined`: when somebody else holds it, or when this process
   * has taken locks one after another for so long that others would never get a turn. Then `take`
   * is the way.
   */
  static tryTake(path: string): FileLock | undefined {
    const time = now();
    if (time - lastRelease > REST) burstBegan = time;
    else if (time - burstBegan > BURST) return undefined;
    const file = open(path);
    if (file.tryLockSync(true)) return new FileLock(file);
    file.close();
    return undefined;
  }

  /**
   * Waits for the lock without blocking the event loop.
   *
   * @throws {Error} When others hold it for half a minute.
   */
  static async take(path: string): Promise<FileLock> {
    const before = queues.get(path);
    const { promise: left, resolve } = Promise.withResolvers<void>();
    queues.set(path, left);
    const leave = () => {
      if (queues.get(path) === left) queues.delete(path);
      resolve();
    };
    try {
      // One at a time: each that waits in the system keeps a thread of the pool, which the holder
      // may need to go on.
      await before;
      await pause();
      const file = open(path);
      if (!file.tryLockSync(true)) await patiently(file, path);
      return new FileLock(file, leave);
    } catch (error) {
      leave();
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
function open(path: string): OpenFile {
  const options = { write: true, create: true };
  try {
    return openFileSync(path, options);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    makeFolderSync(dirname(path));
    return openFileSync(path, options);
  }
}

/** At the end of a burst leaves those in other processes the time to take the lock. */
async function pause(): Promise<void> {
  const time = now();
  if (time - lastRelease > REST || time - burstBegan <= BURST) return;
  await delay(PAUSE);
  burstBegan = now();
}

async function patiently(file: OpenFile, path: string): Promise<void> {
  // In a thread of the system's: woken in the moment that the lock is free.
  const locked = file.lock(true);
  try {
    await inTime(locked, PATIENCE, () =>
      new Error(
        `another process has kept ${path} locked for ${PATIENCE / 1_000} s; end it or try later`,
      ));
  } catch (error) {
    // The thread is still waiting when it took too long.
    locked.finally(() => file.close()).catch(() => undefined);
    throw error;
  }
}
