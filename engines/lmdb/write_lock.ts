import { FileLock } from "../../platform/file_lock.ts";
import { beforeExit } from "../../platform/system.ts";
import { now } from "../../platform/timers.ts";
import type { Awaitable } from "../engine.ts";

/** How long writes that keep coming share the lock before other processes get a turn, ms. */
const TURN = 50;

/** How long the end of a program waits for the lock, ms. */
const LAST_PATIENCE = 1_000;

/** The locks of environments that are open: at the end of a program npm:lmdb closes them. */
const LOCKS = new Set<WriteLock>();
let isExitWatched = false;

/** A write that waits for the lock. */
interface Waiting {
  go(): void;
  reject(error: unknown): void;
}

/**
 * The lock of an environment between processes: whoever opens it, writes to it or closes it has it.
 *
 * LMDB has a lock for writers of its own, which is not enough. To open an environment, LMDB 3 reads
 * the number of the last commit and stores it, without that lock, where all processes look for it:
 * a commit that comes between is lost, though its process was told that it is safe, and what has
 * been freed meanwhile is used twice, which ends processes. Whoever closes it and finds nobody else
 * who has it open destroys that lock, also for who is just about to open it. And to wait for that
 * lock blocks a thread for as long as its holder likes; to open a database, the event loop.
 *
 * The writes that a process has under way at the same time share the lock.
 */
export class WriteLock {
  readonly #path: string;
  #lock: FileLock | undefined;
  #taken = 0;
  #holds = 0;
  #underWay = 0;
  #free: (() => void) | undefined;
  #waiting: Waiting[] = [];

  /** @param path The lock's file. */
  constructor(path: string) {
    this.#path = path;
    if (!isExitWatched) beforeExit(() => LOCKS.forEach((lock) => lock.#keep()));
    isExitWatched = true;
    LOCKS.add(this);
  }

  /** The environment is closed. */
  [Symbol.dispose](): void {
    LOCKS.delete(this);
  }

  /** Takes the lock until the system takes it back. */
  #keep(): void {
    if (this.#lock !== undefined) return;
    const end = now() + LAST_PATIENCE;
    while (this.#lock === undefined && now() < end) {
      this.#lock = FileLock.tryTake(this.#path);
      if (this.#lock === undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }

  /**
   * Does something once this process has the lock: at once when it is free. What is called later is
   * done later.
   *
   * @throws {Error} When another process has it for half a minute.
   */
  hold<T>(action: () => Awaitable<T>): Promise<T> {
    if (this.#waiting.length === 0 && this.#isReady()) return this.#do(action);
    return new Promise((resolve, reject) => {
      const go = () => void this.#do(action).then(resolve, reject);
      if (this.#waiting.push({ go, reject }) === 1) this.#take();
    });
  }

  /** How often it has been taken: between two times other processes may have written. */
  get holds(): number {
    return this.#holds;
  }

  #isReady(): boolean {
    if (this.#lock !== undefined) return now() - this.#taken < TURN;
    this.#lock = FileLock.tryTake(this.#path);
    this.#taken = now();
    this.#holds++;
    return this.#lock !== undefined;
  }

  async #take(): Promise<void> {
    try {
      if (this.#lock !== undefined) await new Promise<void>((free) => this.#free = free);
      this.#lock = await FileLock.take(this.#path);
      this.#taken = now();
      this.#holds++;
    } catch (error) {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
      return;
    }
    for (const { go } of this.#waiting.splice(0)) go();
  }

  async #do<T>(action: () => Awaitable<T>): Promise<T> {
    this.#underWay++;
    try {
      return await action();
    } finally {
      if (--this.#underWay === 0) {
        this.#lock?.[Symbol.dispose]();
        this.#lock = undefined;
        this.#free?.();
        this.#free = undefined;
      }
    }
  }
}
