import type { Awaitable } from "./awaitable.ts";
import { errorCode } from "./errors.ts";
import { os } from "./system.ts";
import { delay, now } from "./timers.ts";

/** How long to wait in all for others who use the same file, ms. */
const LIMIT = 30_000;
/** The longest pause between two attempts, ms. */
const LONGEST_PAUSE = 50;
/** How long a reader or a virus scanner may keep a file on Windows, ms. */
const FILE_LIMIT = 500;

/**
 * Does again what has just failed because of others, until it succeeds, fails for another reason or
 * the time is up, with pauses that leave the event loop free. Not by `@std/async`: its `retry`
 * would also repeat what can never succeed.
 *
 * @param isPassing Whether an error may be gone in a moment.
 * @param limit How long to try, ms.
 */
export async function tryAgain<T>(
  action: () => Awaitable<T>,
  isPassing: (error: unknown) => boolean,
  limit = LIMIT,
): Promise<T> {
  const end = now() + limit;
  for (let longest = 2;; longest = Math.min(longest * 2, LONGEST_PAUSE)) {
    // At random, or those who wait would come back all at the same time.
    await delay(1 + Math.random() * longest);
    try {
      return await action();
    } catch (error) {
      if (!isPassing(error) || now() > end) throw error;
    }
  }
}

/** By these codes Windows says that a file is being read or replaced. */
const BUSY_CODES = ["EPERM", "EACCES", "EBUSY"];

/** Whether an error says that a file is in use, and may be gone in a moment. */
function isFileBusy(error: unknown): boolean {
  return os() === "windows" && BUSY_CODES.includes(errorCode(error) ?? "");
}

/**
 * Does something, again and again for half a second while a file is busy. What succeeds at once,
 * as nearly everything does, costs no promise.
 */
export function whileBusy<T>(action: () => Awaitable<T>): Awaitable<T> {
  try {
    const result = action();
    return result instanceof Promise ? result.catch((error) => again(action, error)) : result;
  } catch (error) {
    return again(action, error);
  }
}

function again<T>(action: () => Awaitable<T>, error: unknown): Promise<T> {
  if (!isFileBusy(error)) throw error;
  return tryAgain(action, isFileBusy, FILE_LIMIT);
}
