/**
 * Errors that are kept for a while (`cacheErrors`): beside the results, so that an `Error` can be a
 * result too.
 */
import { deadline, RESERVED_DBNAMES } from "../store/options.ts";
import type { Job } from "./job.ts";

/** Throws the error that is kept for the job, if there is one. */
export async function throwKept({ target, text, options }: Job): Promise<void> {
  if (options.cacheErrors === undefined) return;
  const errors = await target.side(RESERVED_DBNAMES.errors);
  const entry = await errors.get(text);
  if (entry !== undefined) throw await target.read(entry, text);
}

/** Keeps an error, if it can be stored: the caller gets the function's own error all the same. */
export async function keepError({ target, text, options }: Job, error: unknown): Promise<void> {
  if (options.cacheErrors === undefined || target.bypass?.isDown) return;
  const timestamp = Date.now();
  const expiresAt = deadline(options.cacheErrors, Infinity, timestamp);
  let value: Uint8Array;
  try {
    value = await target.codec.encode(error);
  } catch (refused) {
    // An instance of a class that is not registered is no fault.
    if (!(refused instanceof TypeError)) target.report(refused, text);
    return;
  }
  try {
    await (await target.side(RESERVED_DBNAMES.errors)).set(text, { value, expiresAt, timestamp });
  } catch (failure) {
    target.report(failure, text);
  }
}

/** Drops the error that is kept for the job. */
export async function dropError({ target, text, options }: Omit<Job, "compute">): Promise<void> {
  if (options.cacheErrors === undefined) return;
  await (await target.side(RESERVED_DBNAMES.errors)).delete(text);
}
