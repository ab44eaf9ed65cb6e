import { nextTick, startTimer } from "../platform/timers.ts";

/** What comes together, and what is made of it. */
interface Gathered<T, R> {
  readonly items: T[];
  readonly taken: Promise<readonly R[]>;
}

/** Gathers what comes in one tick, or within some time of the first of it. */
export class Window<T, R> {
  readonly #wait: number;
  readonly #take: (items: readonly T[]) => Promise<readonly R[]>;
  #open: Gathered<T, R> | undefined;

  /**
   * @param wait How long after the first item it takes what has come, ms; 0: once the code that
   * runs now is done.
   * @param take Makes something of each item.
   */
  constructor(wait: number, take: (items: readonly T[]) => Promise<readonly R[]>) {
    this.#wait = wait;
    this.#take = take;
  }

  /** What is made of the item, together with others. */
  async join(item: T): Promise<R> {
    const { items, taken } = this.#open ??= this.#begin();
    const place = items.push(item) - 1;
    return (await taken)[place];
  }

  #begin(): Gathered<T, R> {
    const items: T[] = [];
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const close = () => {
      this.#open = undefined;
      resolve();
    };
    if (this.#wait === 0) nextTick(close);
    else startTimer(close, this.#wait);
    return { items, taken: closed.then(() => this.#take(items)) };
  }
}
