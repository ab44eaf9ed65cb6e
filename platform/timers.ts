import { deno } from "./runtime.ts";
import { nodeProcess } from "./system.ts";

// As they are when the program starts: a test that puts fake timers in the global ones' place is
// about its own time, and would wait for ever for a pause or a time limit of ours.
const { setTimeout, clearTimeout } = globalThis;

/** What `startTimer` gives. */
export type Timer = ReturnType<typeof setTimeout>;

/** The longest time that a timer takes, ms. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

/** Does something after so long, ms. */
export function startTimer(action: () => void, ms: number): Timer {
  return setTimeout(action, ms);
}

/** Stops a timer that has not done its work yet. */
export function stopTimer(timer: Timer | undefined): void {
  clearTimeout(timer);
}

/** Milliseconds of a clock that nobody sets, for durations. */
export const now: () => number = performance.now.bind(performance);

/**
 * Waits so long, ms. Not by `@std/async`: that would be in every program's graph, for one line.
 */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets the program end though the timer is still out. */
export function unrefTimer(timer: Timer): void {
  if (deno) deno.unrefTimer(timer);
  else (timer as unknown as NodeJS.Timeout).unref();
}

/**
 * Does something before timers and I/O, once the code that runs now is done; after an `await` also
 * once all other promises that are settled have been gone on with.
 */
export function nextTick(action: () => void): void {
  nodeProcess().nextTick(action);
}

/** What the work gives, unless it takes longer than so many ms: then it rejects with the error. */
export async function inTime<T>(
  work: PromiseLike<T> | T,
  ms: number,
  tooLate: () => Error,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooLate()), ms);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How long synchronous work may keep the event loop to itself, ms. */
const TURN = 8;

/**
 * Keeps long loops of synchronous work from blocking the event loop:
 * `if (turns.due()) await turns.next()` in each step lets timers and I/O run every few milliseconds
 * and costs nothing in between. Loops that run side by side share one.
 */
export class Turns {
  #end = now() + TURN;
  #waiting: Promise<void> | undefined;

  /** Whether the work has had its time. */
  due(): boolean {
    return now() >= this.#end;
  }

  /** Lets everything else run that is ready. */
  next(): Promise<void> {
    // Not by `setImmediate`, which comes back 35 times as soon: others, who need several turns of
    // the event loop for what they do, would get one in 8 ms.
    this.#waiting ??= delay(0).then(() => {
      this.#waiting = undefined;
      this.#end = now() + TURN;
    });
    return this.#waiting;
  }
}
