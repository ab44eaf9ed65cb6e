import { nextTick } from "../platform/timers.ts";

interface Waiting<T> {
  readonly key: string;
  resolve(result: T): void;
  reject(error: unknown): void;
}

/**
 * Makes one call of those that come at the same time. A call that finds none under way goes at once
 * and alone, so that it costs no more than without this; the others go together as soon as the code
 * that makes them has run.
 */
export class Together<T> {
  readonly #one: (key: string) => Promise<T>;
  readonly #many: (keys: string[]) => Promise<(T | Error)[]>;
  #underWay = 0;
  #waiting: Waiting<T>[] = [];

  /**
   * @param one A call alone.
   * @param many Calls together: what each gets, in the order of the keys, or the error that it is
   * rejected with.
   */
  constructor(
    one: (key: string) => Promise<T>,
    many: (keys: string[]) => Promise<(T | Error)[]>,
  ) {
    this.#one = one;
    this.#many = many;
  }

  /** Calls, alone or with others. */
  call(key: string): Promise<T> {
    if (this.#underWay === 0) return this.#counted(this.#one(key));
    return new Promise((resolve, reject) => {
      const count = this.#waiting.push({ key, resolve, reject });
      // After the microtasks: those who await something else first are in time too.
      if (count === 1) nextTick(() => this.flush());
    });
  }

  /** Makes the calls that wait at once: before something that must come after them. */
  flush(): void {
    if (this.#waiting.length > 0) void this.#counted(this.#go());
  }

  async #go(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      const results = await this.#many(waiting.map(({ key }) => key));
      for (const [i, result] of results.entries()) {
        if (result instanceof Error) waiting[i].reject(result);
        else waiting[i].resolve(result);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  #counted<R>(work: Promise<R>): Promise<R> {
    this.#underWay++;
    const done = () => void this.#underWay--;
    work.then(done, done);
    return work;
  }
}
