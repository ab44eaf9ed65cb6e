import { startTimer, stopTimer } from "../platform/timers.ts";

/** Waits; rejects with the reason when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(resolve, ms);
  try {
    await orAborted(promise, signal);
  } finally {
    stopTimer(timer);
  }
}

/**
 * What the promise gives, unless the signal is aborted before: then its reason, and the promise is
 * left alone.
 */
export async function orAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    if (signal.aborted) abort();
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Those who wait for one thing, which has no more to do once the last of them has left. */
export class Callers {
  #count = 0;
  readonly #onLeft: () => void;

  /** @param onLeft What is done when the last has left; also when there will be others. */
  constructor(onLeft: () => void) {
    this.#onLeft = onLeft;
  }

  /** Whether nobody waits. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Lets one more wait, until the body has ended or the signal is aborted. */
  async wait<T>(signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T> {
    this.#count++;
    let isHere = true;
    const leave = () => {
      if (!isHere) return;
      isHere = false;
      if (--this.#count === 0) this.#onLeft();
    };
    // At the abort itself and no turn later: what has not begun by then does not begin.
    signal?.addEventListener("abort", leave);
    try {
      return await body();
    } finally {
      signal?.removeEventListener("abort", leave);
      leave();
    }
  }
}

/** Wakes all who wait whenever something has changed. */
export class Signal {
  #next: PromiseWithResolvers<void> | undefined;

  /** Waits for the next change. */
  wait(): Promise<void> {
    this.#next ??= Promise.withResolvers();
    return this.#next.promise;
  }

  /** Something has changed. */
  fire(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
