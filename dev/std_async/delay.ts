/**
 * Options of {@linkcode delay}.
 *
 * Upstream's `persistent: false` is left out: it gives `Deno.unrefTimer` a number, which has no
 * effect on Deno 2.9.6, so the program would stay alive. `setTimeout(…).unref()` works.
 */
export interface DelayOptions {
  /** Ends the wait early: `delay` rejects with its reason. */
  signal?: AbortSignal;
}

/** The longest time that `setTimeout` knows, ms. */
const LONGEST = 2 ** 31 - 1;

/** Resolves after so many milliseconds. */
export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout>;
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const wait = (left: number) => {
      timer = setTimeout(() => {
        if (left > LONGEST) return wait(left - LONGEST);
        signal?.removeEventListener("abort", abort);
        resolve();
      }, Math.min(left, LONGEST));
    };
    wait(ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
