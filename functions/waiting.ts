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
