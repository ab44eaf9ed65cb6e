import { tryHold } from "./file_hold.ts";
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
 * A lock that excludes other processes and other holders in this one. It goes with the process that
 * holds it, however that ends. Its file stays: to remove it would take the lock from under those who
 * wait for it.
 */
export class FileLock implements Disposable {
  readonly #held: Disposable;
  readonly #leave: (() => void) | undefined;

  private constructor(held: Disposable, leave?: () => void) {
    this.#held = held;
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
    const held = tryHold(path, mode);
    return held && new FileLock(held);
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
      return new FileLock(await untilHeld(() => tryHold(path, mode), end, tooLate), leave);
    } catch (error) {
      // Those behind go on waiting for who was before.
      void (before ?? Promise.resolve()).then(leave);
      throw error;
    }
  }

  /** Lets go. */
  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
    lastRelease = now();
    this.#leave?.();
  }
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
async function untilHeld(
  tryOnce: () => Disposable | undefined,
  end: number,
  tooLate: () => Error,
): Promise<Disposable> {
  for (;;) {
    const held = tryOnce();
    if (held !== undefined) return held;
    if (now() >= end) throw tooLate();
    // At random, or those who wait would look at the same time.
    await delay(1 + Math.random() * (PAUSE - 1));
  }
}
