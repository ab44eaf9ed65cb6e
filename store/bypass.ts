/**
 * `onEngineError: "bypass"`: what runs functions goes on without a store that fails, and asks it
 * again now and then.
 */
import type { Store } from "../engines/complete.ts";
import type { Awaitable } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { isDiskFull, isReadOnly } from "../engines/file_failures.ts";
import { now } from "../platform/timers.ts";

/** How long the store is left alone after its first failure, ms, doubling with each … */
const FIRST_PAUSE = 1_000;
/** … up to this. */
const LONGEST_PAUSE = 30_000;

/** Something that may be down: then one caller at a time asks it again. */
class Breaker {
  /** How long it is left alone, ms; 0: it is not down. */
  #pause = 0;
  #next = 0;
  #isAsked = false;

  get isDown(): boolean {
    return this.#pause > 0;
  }

  /** Whether it is time to ask it. */
  get isDue(): boolean {
    return !this.isDown || now() >= this.#next;
  }

  /** Whether the caller may ask it; while it is down he is to say how that went. */
  mayAsk(): boolean {
    if (!this.isDown) return true;
    if (!this.isDue) return false;
    // One who never says how it went keeps the others from asking only for so long.
    this.#next = now() + LONGEST_PAUSE;
    this.#isAsked = true;
    return true;
  }

  worked(): void {
    this.#pause = 0;
    this.#isAsked = false;
  }

  /** Whether that is news: of many that were under way when it went down, the first is. */
  failed(): boolean {
    if (this.isDown && !this.#isAsked) return false;
    this.#pause = this.isDown ? Math.min(2 * this.#pause, LONGEST_PAUSE) : FIRST_PAUSE;
    this.#next = now() + this.#pause;
    this.#isAsked = false;
    return true;
  }
}

/** Who asks the store, and about which key. */
interface Asking {
  readonly target: {
    run<T>(
      operation: string,
      body: (store: Store) => Awaitable<T>,
      isInside?: boolean,
    ): Promise<T>;
    /** Tells who listens of an error. */
    report(error: unknown, text: string): void;
  };
  readonly text: string;
}

/**
 * What is known of a store that may fail. Where one function waited in vain for a server its stash
 * and the other functions need not: they know what it knows. Reading and writing fail apart, as what
 * is stored on a disk that is full or read-only is still served.
 */
export class Bypass {
  readonly #reads: Breaker;
  readonly #writes: Breaker;
  /** Of a store that is not there and can't be made; those of others may be. */
  readonly #making = new Breaker();

  /** @param stash What the stash that a function's store is in knows. */
  constructor(stash?: Bypass) {
    this.#reads = stash === undefined ? new Breaker() : stash.#reads;
    this.#writes = stash === undefined ? new Breaker() : stash.#writes;
  }

  /** Whether it can't be opened or read. */
  get isUnreadable(): boolean {
    return this.#reads.isDown || this.#making.isDown;
  }

  /** Whether something of it fails. */
  get isDown(): boolean {
    return this.isUnreadable || this.#writes.isDown;
  }

  /**
   * Whether the caller does without the store, as it can't be read. When it is time it is asked
   * again, and nobody waits for that.
   */
  leavesOut(asking: Asking): boolean {
    if (!this.isUnreadable) return false;
    // One question is for both: who is told to ask has to ask, or nobody does for a long time.
    const both = [this.#reads, this.#making];
    if (both.every((breaker) => breaker.isDue)) {
      for (const breaker of both) breaker.mayAsk();
      void this.#probe(asking);
    }
    return true;
  }

  /** What is read, or `otherwise` while the store can't be. */
  async read<T, O>(asking: Asking, work: () => Promise<T>, otherwise: O): Promise<T | O> {
    if (this.leavesOut(asking)) return otherwise;
    try {
      return await work();
    } catch (error) {
      if (!this.failedToRead(error, asking)) throw error;
      return otherwise;
    }
  }

  /** Takes a failure in, if it is the engine's; else it is for the caller to throw. */
  failedToRead(error: unknown, asking: Asking): boolean {
    return failed(this.#breakerOf(error), error, asking);
  }

  /** Whether the caller may write: while that fails, one at a time. */
  mayWrite(): boolean {
    return this.#writes.mayAsk();
  }

  /** A write has been done. */
  wrote(): void {
    this.#writes.worked();
  }

  /** As `failedToRead`, of what writes. */
  failedToWrite(error: unknown, asking: Asking): boolean {
    return failed(this.#writes, error, asking);
  }

  async #probe(asking: Asking): Promise<void> {
    const { target, text } = asking;
    try {
      await target.run("open", (store) => store.get(text), true);
    } catch (error) {
      // That an entry is damaged is an answer too.
      if (error instanceof EngineError) {
        this.failedToRead(error, asking);
        // Of the other the answer says nothing: it is asked again as soon as this one.
        for (const breaker of [this.#reads, this.#making]) if (breaker.isDown) breaker.failed();
        return;
      }
    }
    // What kept it from being read kept it from being written: the next one finds that out.
    for (const breaker of [this.#reads, this.#making, this.#writes]) breaker.worked();
  }

  #breakerOf(error: unknown): Breaker {
    const isOfFile = error instanceof EngineError &&
      (isReadOnly(error.cause) || isDiskFull(error.cause));
    return isOfFile ? this.#making : this.#reads;
  }
}

function failed(breaker: Breaker, error: unknown, { target, text }: Asking): boolean {
  if (!(error instanceof EngineError)) return false;
  if (breaker.failed()) target.report(error, text);
  return true;
}
