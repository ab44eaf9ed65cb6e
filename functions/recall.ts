/**
 * A job's result: the stored one, one that is made now, or a stale one when that fails or is late.
 */
import { startTimer, stopTimer } from "../platform/timers.ts";
import { ABSENT } from "../store/handle.ts";
import { SPARED } from "./claim.ts";
import type { Job } from "./job.ts";
import { elapsed, type Found, hit, missed, orAbsent, readFresh, serve, Stale } from "./serve.ts";
import { fly, refresh } from "./single_flight.ts";

/**
 * The stored result of the job, or what it makes, sharing the run with all equal calls.
 *
 * @param force Runs it, whatever is stored.
 * @param signal Ends the wait of this caller, not the run.
 */
export async function recallOrCompute(
  job: Job,
  force: boolean,
  signal?: AbortSignal,
): Promise<unknown> {
  signal?.throwIfAborted();
  const { target } = job;
  // From here on: a call that was made before the stash is closed is gone through with.
  target.enter("get");
  try {
    if (force) return await fly(job, "new", signal);
    const value = await orAbsent(job, () => stored(job));
    if (value instanceof Stale) return await newerOrStale(job, value, "newer", signal);
    return value === ABSENT ? await fly(job, "any", signal) : value;
  } finally {
    target.leave();
  }
}

/** As `recall`, and as straight as `get` where no option is about freshness. */
function stored(job: Job): Promise<unknown> {
  return job.options.isAboutFreshness ? recall(job) : job.target.get(job.text, ABSENT, readFresh);
}

/** The stored result, or what to fall back on, or `ABSENT`; one that is due sets off a refresh. */
export async function recall(job: Job): Promise<unknown> {
  const { target, text } = job;
  const begin = target.watch.beginRecall();
  let found: Found;
  try {
    const entry = await target.getEntry(text);
    found = entry === undefined ? ABSENT : await serve(job, entry, begin);
  } catch (thrown) {
    if (begin !== 0) target.watch.count("get", begin, { thrown });
    throw thrown;
  }
  if (found === ABSENT) missed(job, elapsed(begin));
  if (found === ABSENT || found instanceof Stale) return found;
  if (found.isDue) void refresh(job);
  return found.value;
}

/**
 * What the job makes, or the stale result when that fails or is late. The target has been entered.
 */
export async function newerOrStale(
  job: Job,
  stale: Stale,
  wish: "newer" | "unclaimed",
  signal?: AbortSignal,
): Promise<unknown> {
  const { softTimeout } = job.options;
  const flying = fly(job, wish, signal);
  const { promise: late, resolve } = Promise.withResolvers<typeof ABSENT>();
  const timer = softTimeout === undefined
    ? undefined
    : startTimer(() => resolve(ABSENT), softTimeout);
  try {
    const made = await Promise.race([flying, late]);
    if (made !== ABSENT && made !== SPARED) {
      missed(job, stale.ms);
      return made;
    }
    // The run goes on for those who come later; when it fails, nobody else is told.
    if (made === ABSENT) {
      flying.catch((error) => signal?.aborted || job.target.report(error, job.text));
    }
  } catch (error) {
    if (signal?.aborted || !stale.isForErrors) throw error;
    job.target.report(error, job.text);
  } finally {
    stopTimer(timer);
  }
  return await hit(job, stale.entry, 0, stale.ms);
}
