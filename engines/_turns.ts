/** How long a loop may keep the event loop to itself, ms. */
const TURN = 8;

/**
 * Keeps a long loop of synchronous work from blocking the event loop: `if (turns.due()) await turns.next()`
 * in each step lets timers and I/O run every few milliseconds and costs nothing in between.
 */
export class Turns {
  #end = performance.now() + TURN;

  /** Whether the loop has had its time. */
  due(): boolean {
    return performance.now() >= this.#end;
  }

  /** Lets everything else run that is ready. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.#end = performance.now() + TURN;
  }
}
