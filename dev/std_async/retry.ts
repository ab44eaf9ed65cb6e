import { delay } from "./delay.ts";

/** What {@linkcode retry} throws when no attempt succeeded; `cause` is the last one's error. */
export class RetryError extends Error {
  override name = "RetryError";

  constructor(cause: unknown, attempts: number) {
    super(`Retrying exceeded the maxAttempts (${attempts}).`, { cause });
  }
}

/** Options of {@linkcode retry}. */
export interface RetryOptions {
  /** What the wait grows by from one attempt to the next. By default 2. */
  multiplier?: number;
  /** The longest wait, ms. By default 60,000. */
  maxTimeout?: number;
  /** How often it is tried. By default 5 times. */
  maxAttempts?: number;
  /** The first wait, ms. By default 1,000. */
  minTimeout?: number;
  /** The part of each wait, 0 to 1, that is left to chance. By default all of it. */
  jitter?: number;
  /** Whether an error is worth another attempt. By default every one is. */
  isRetriable?: (err: unknown) => boolean;
  /** Ends it: `retry` rejects with its reason. */
  signal?: AbortSignal;
}

/**
 * Calls the function until it does not throw, and waits longer each time.
 *
 * @throws {RetryError} if the last attempt failed too
 * @throws {RangeError} if an option is out of its range
 */
export async function retry<T>(
  fn: (() => Promise<T>) | (() => T),
  options: RetryOptions = {},
): Promise<T> {
  const { multiplier = 2, maxTimeout = 60_000, maxAttempts = 5, minTimeout = 1_000 } = options;
  const { jitter = 1, isRetriable = () => true, signal } = options;
  check("maxTimeout", maxTimeout, maxTimeout > 0, "be positive");
  check("minTimeout", minTimeout, minTimeout >= 0, "not be negative");
  check("minTimeout", minTimeout, minTimeout <= maxTimeout, "not exceed maxTimeout");
  check("multiplier", multiplier, Number.isFinite(multiplier) && multiplier >= 1, "be 1 or more");
  check("jitter", jitter, jitter >= 0 && jitter <= 1, "be between 0 and 1");
  check(
    "maxAttempts",
    maxAttempts,
    Number.isInteger(maxAttempts) && maxAttempts > 0,
    "be positive",
  );
  for (let attempt = 0;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await fn();
    } catch (error) {
      if (!isRetriable(error)) throw error;
      if (attempt + 1 >= maxAttempts) throw new RetryError(error, maxAttempts);
    }
    const wait = Math.min(maxTimeout, minTimeout * multiplier ** attempt);
    await delay(wait * (1 - jitter * Math.random()), { signal });
  }
}

function check(name: string, value: number, holds: boolean, rule: string): void {
  if (!holds) throw new RangeError(`Cannot retry: ${name} must ${rule}, got ${value}`);
}
