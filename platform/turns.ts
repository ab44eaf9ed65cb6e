/** How long synchronous work may keep the event loop to itself, ms. */
const TURN = 8;

/**
 * Keeps long loops of synchronous work from blocking the event loop:
 * `if (turns.due()) await turns.next()` in each step lets timers and I/O run every few milliseconds
 * and costs nothing in between. Loops that run side by side share one.
 */
export class Turns {
  #end = performance.now() + TURN;
  #waiting: Promise<void> | undefined;

  /** Whether the work has had its time. */
  due(): boolean {
    return performance.now() >= this.#end;
  }

  /** Lets everything else run that is ready. */
  next(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#waiting = undefined;
        this.#end = performance.now() + TURN;
        resolve();
      }, 0);
    });
    return this.#waiting;
  }
}
