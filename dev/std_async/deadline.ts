import { abortable } from "./abortable.ts";

/** Options of {@linkcode deadline}. */
export interface DeadlineOptions {
  /** Ends the wait early: `deadline` rejects with its reason. */
  signal?: AbortSignal;
}

/**
 * What `p` comes to, if it does within so many milliseconds; `Infinity` sets no limit.
 *
 * @throws {DOMException} `TimeoutError` if it does not
 */
export async function deadline<T>(
  p: Promise<T>,
  ms: number,
  options: DeadlineOptions = {},
): Promise<T> {
  const late = new AbortController();
  const timer = ms === Infinity ? undefined : setTimeout(() => {
    late.abort(new DOMException("Signal timed out.", "TimeoutError"));
  }, ms);
  const { signal = late.signal } = options;
  try {
    return await abortable(p, AbortSignal.any([late.signal, signal]));
  } finally {
    clearTimeout(timer);
  }
}
