/**
 * How a right to compute is got: by a lease, where other processes share the store; of one result,
 * waiting for whoever has it, or of many at once.
 */
import type { Store } from "../engines/complete.ts";
import type { Entry } from "../engines/engine.ts";
import { isDiskFull } from "../engines/file_failures.ts";
import { isNested } from "../store/contention.ts";
import { readEach } from "../store/groups.ts";
import { Lease, LeaseWatch } from "../store/leases.ts";
import { Claim, CLAIMED, type Claimed, SPARED, type Wish } from "./claim.ts";
import { isAhead, isFresh, isSpared } from "./freshness.ts";
import type { Job } from "./job.ts";
import { throwKept } from "./kept_errors.ts";
import { pause } from "./waiting.ts";

/**
 * How long a computation that needs another process's result waits for it before it makes one of
 * its own, in leases: that process may be waiting for this one's.
 */
const LONGEST_NESTED_WAIT = 6;

/**
 * Gets the right to compute, waiting while another process has it; or finds the result. Where the
 * disk has no room for a lease, everybody may compute, and nobody store; so while the store fails
 * and is done without.
 */
export async function claim(
  store: Store | undefined,
  job: Job,
  wish: Wish,
  signal: AbortSignal,
  isActive?: () => boolean,
): Promise<Claimed> {
  const { bypass } = job.target;
  if (store === undefined || bypass?.mayWrite() === false) return without(job, wish);
  try {
    return await claimWithLease(store, job, wish, signal, isActive);
  } catch (error) {
    if (bypass?.failedToWrite(error, job)) return without(job, wish);
    // A refresh that could not be stored would be of use to nobody.
    if (!isDiskFull(error) || wish === "refresh") throw error;
    job.target.report(error, job.text);
    return await grant(store, job, wish, undefined, true);
  }
}

/** What a claim brings without the store. */
function without(job: Job, wish: Wish): Claim | typeof CLAIMED {
  if (wish === "refresh") return CLAIMED;
  const claimed = begin(undefined, job, undefined, true);
  // What can't be asked can't tell either who came after an invalidation: all share the run.
  claimed.seq = Infinity;
  return claimed;
}

async function claimWithLease(
  store: Store,
  job: Job,
  wish: Wish,
  signal: AbortSignal,
  isActive?: () => boolean,
): Promise<Claimed> {
  const { target, text, options } = job;
  const leases = options.lock === "shared" ? await target.leases() : undefined;
  const watch = new LeaseWatch();
  const end = performance.now() + (isNested() ? LONGEST_NESTED_WAIT * options.lease : Infinity);
  const take = async (): Promise<Claimed | undefined> => {
    const lease = leases && await Lease.take(leases, text, { ms: options.lease, isActive }, watch);
    if (leases !== undefined) target.bypass?.wrote();
    const isBeside = leases !== undefined && lease === undefined;
    if (isBeside && performance.now() <= end) return undefined;
    return await grant(store, job, wish, lease, isBeside);
  };
  const taken = await take();
  if (taken !== undefined) return taken;
  if (wish === "refresh" || wish === "unclaimed") return CLAIMED;
  return await target.watch.during("wait", text, async () => {
    for (let attempt = 0;; attempt++) {
      await pause(Math.min(100, 5 * 2 ** attempt) * (0.5 + Math.random()), signal);
      const found = wish === "new" ? undefined : await store.get(text);
      if (found !== undefined && isFresh(found)) return { found };
      const taken = await take();
      if (taken !== undefined) return taken;
    }
  });
}

/** A result that is claimed together with others. */
export interface Claimant {
  readonly job: Job;
  readonly wish: Wish;
  /** What has been seen of another's lease so far. */
  readonly watch: LeaseWatch;
}

/**
 * Gets the right to compute many results of one store, of each unless somebody has it: then it is
 * `CLAIMED`, whatever the wish. What is stored is looked at once for all.
 */
export async function claimEach(
  store: Store | undefined,
  claimants: readonly Claimant[],
): Promise<PromiseSettledResult<Claimed>[]> {
  const [{ job }] = claimants;
  const { bypass } = job.target;
  const withoutStore = ({ job, wish }: Claimant) => fulfilled(without(job, wish));
  if (store === undefined || bypass?.mayWrite() === false) return claimants.map(withoutStore);
  if (bypass === undefined) return await claimTogether(store, claimants);
  try {
    const outcomes = await claimTogether(store, claimants);
    return outcomes.map((outcome, i) => {
      const isFailure = outcome.status === "rejected" &&
        bypass.failedToWrite(outcome.reason, claimants[i].job);
      return isFailure ? withoutStore(claimants[i]) : outcome;
    });
  } catch (error) {
    if (!bypass.failedToWrite(error, job)) throw error;
    return claimants.map(withoutStore);
  }
}

function fulfilled(value: Claimed): PromiseSettledResult<Claimed> {
  return { status: "fulfilled", value };
}

async function claimTogether(
  store: Store,
  claimants: readonly Claimant[],
): Promise<PromiseSettledResult<Claimed>[]> {
  const [{ job: { target } }] = claimants;
  const taken = await takeLeases(claimants);
  const outcomes: PromiseSettledResult<Claimed>[] = [];
  const free: { readonly i: number; readonly claimed: Claim }[] = [];
  const refusals = new Set<unknown>();
  for (const [i, { job }] of claimants.entries()) {
    const outcome = taken?.[i];
    if (outcome?.status === "rejected") {
      const { reason } = outcome;
      if (!isDiskFull(reason)) {
        outcomes[i] = outcome;
        continue;
      }
      // What kept all of them from it is told once.
      if (!refusals.has(reason) && !target.bypass?.failedToWrite(reason, job)) {
        job.target.report(reason, job.text);
      }
      refusals.add(reason);
      free.push({ i, claimed: begin(store, job, undefined, true) });
    } else if (taken !== undefined && outcome?.value === undefined) {
      outcomes[i] = fulfilled(CLAIMED);
    } else free.push({ i, claimed: begin(store, job, outcome?.value, false) });
  }
  const needless: Claim[] = [];
  try {
    const [seq, found] = await Promise.all([
      target.tagSpace().clock(),
      readEach(store, free.map(({ i }) => claimants[i].job.text)),
    ]);
    for (const [n, { i, claimed }] of free.entries()) {
      const outcome = found[n];
      const value = outcome.status === "rejected" ? undefined : outcome.value;
      const enough = enoughOf(claimants[i].job, claimants[i].wish, value);
      claimed.seq = seq;
      claimed.before = value;
      outcomes[i] = outcome.status === "rejected" ? outcome : fulfilled(enough ?? claimed);
      if (outcome.status === "rejected" || enough !== undefined) needless.push(claimed);
    }
  } catch (error) {
    await Claim.releaseEach(free.map(({ claimed }) => claimed));
    throw error;
  }
  await Claim.releaseEach(needless);
  return outcomes;
}

/** The leases of many keys, one result for each; `undefined`: there is no need of them. */
async function takeLeases(
  claimants: readonly Claimant[],
): Promise<PromiseSettledResult<Lease | undefined>[] | undefined> {
  const [{ job }] = claimants;
  const { target, options: { lock, lease } } = job;
  if (lock !== "shared") return undefined;
  const keys = claimants.map(({ job, watch }) => ({ key: job.text, watch }));
  try {
    const leases = await target.leases();
    if (leases === undefined) return undefined;
    const taken = await Lease.takeEach(leases, keys, { ms: lease });
    if (taken.every(({ status }) => status === "fulfilled")) target.bypass?.wrote();
    return taken;
  } catch (reason) {
    if (!isDiskFull(reason)) throw reason;
    return claimants.map(() => ({ status: "rejected", reason }));
  }
}

/** The claim, or the result that its last holder may just have stored. */
async function grant(
  store: Store,
  job: Job,
  wish: Wish,
  lease: Lease | undefined,
  isBeside: boolean,
): Promise<Claimed> {
  const claimed = begin(store, job, lease, isBeside);
  try {
    const enough = enoughOf(job, wish, await claimed.look());
    if (enough !== undefined) {
      await claimed.release();
      return enough;
    }
    if (wish !== "new") await throwKept(job);
    return claimed;
  } catch (error) {
    await claimed.release();
    throw error;
  }
}

function begin(
  store: Store | undefined,
  job: Job,
  lease: Lease | undefined,
  isBeside: boolean,
): Claim {
  if (lease !== undefined) job.target.adopt(lease);
  if (lease?.isTakenOver) job.target.watch.tell("takeover", job.text);
  return new Claim(store, job, lease, isBeside);
}

/** What makes a claim needless, by what is stored when it is granted. */
function enoughOf(
  job: Job,
  wish: Wish,
  found: Entry | undefined,
): { readonly found: Entry } | typeof SPARED | undefined {
  if (found === undefined || wish === "new") return undefined;
  if (isFresh(found) && !(wish === "refresh" && isAhead(job, found))) return { found };
  return (wish === "refresh" || wish === "newer") && isSpared(found) ? SPARED : undefined;
}
