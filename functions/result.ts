/**
 * What a run makes of a job: computed, stored while its claim holds, or noted as failed.
 */
import type { Entry } from "../engines/engine.ts";
import type { Claim } from "./claim.ts";
import type { ComputedRun, KeepOptions } from "./computation.ts";
import { isFresh, keeping, tagsOf } from "./freshness.ts";
import { type Job, WITHDRAWN } from "./job.ts";
import { dropError, keepError } from "./kept_errors.ts";

/** What the function makes; an error of it is kept where that was asked for. */
export async function compute(job: Job, run: ComputedRun): Promise<unknown> {
  try {
    return await job.compute();
  } catch (error) {
    // What comes after its time counts no more.
    if (error !== WITHDRAWN && !run.isLate) await keepError(job, error);
    throw error;
  }
}

/** The stored result, where its `ttl` has ended: what is there for the run to go by. */
export async function staleOf(job: Job, entry: Entry | undefined): Promise<unknown> {
  if (entry === undefined || isFresh(entry)) return undefined;
  try {
    return await job.target.read(entry, job.text);
  } catch {
    // It is damaged: all the better that a new one is made.
    return undefined;
  }
}

/** Notes with the stored result, for all processes, that making a newer one has failed. */
export async function spareRefreshes(job: Job, { before }: Claim): Promise<void> {
  const { retryAfter, staleFor, refreshAhead } = job.options;
  if (before === undefined || retryAfter === 0) return;
  if (staleFor === 0 && refreshAhead === undefined) return;
  try {
    await job.target.amend(job.text, before, { retry: Date.now() + retryAfter });
  } catch (error) {
    // Then others try as soon as they like; what went wrong first is what the caller is told.
    job.target.report(error, job.text);
  }
}

/**
 * Stores a result, unless somebody has decided otherwise. One that can't be stored, as the disk is
 * full, the server gone or the stash closed, reaches its callers all the same.
 *
 * @param said What the function said of how it is kept.
 * @param isInside Whether `close` waits for the caller; else the stash may have been closed.
 * @returns The tags of the result.
 */
export async function storeResult(
  job: Job,
  value: unknown,
  bytes: Uint8Array,
  claimed: Claim,
  said: KeepOptions,
  isInside: boolean,
): Promise<string[]> {
  const { target } = job;
  const tags = tagsOf(job, value, said);
  const entry = keeping(job, value, bytes, said, { tags, seq: claimed.seq });
  if (entry === undefined || claimed.isBeside) return tags;
  const store = async () => {
    // The modify around it would find the entry changed, and run its function again, for ever.
    target.refuseInModify(job.text, "store a result inside the modify of its key");
    if (!await claimed.store(entry)) return;
    // Of what was not tried nobody knows whether it works.
    target.bypass?.wrote();
    target.stats.sets++;
    target.watch.stored(job.text, entry.value.length);
    await dropError(job);
  };
  try {
    await (isInside ? store() : target.run("store", store));
  } catch (error) {
    if (!target.bypass?.failedToWrite(error, job)) job.target.report(error, job.text);
  }
  return tags;
}

/**
 * The number of the last invalidation before the claim was granted, where one of the result's tags
 * was invalidated after it.
 */
export async function invalidatedSince(
  { target }: Job,
  { seq }: Claim,
  tags: readonly string[],
): Promise<number | undefined> {
  if (tags.length === 0 || target.bypass?.isDown) return undefined;
  try {
    return await target.tagSpace().lastOf(tags) > seq ? seq : undefined;
  } catch {
    // Storing it has said so already.
    return undefined;
  }
}
