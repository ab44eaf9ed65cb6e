/**
 * Single flight: equal calls at the same time share one run. In one process they wait for one
 * promise; between processes one holds a lease in the store and the others look for its result.
 *
 * What is stored is fenced: a run stores its result only while nobody has decided otherwise since
 * it began. Whoever writes or removes the key tells the runs of this process (store/runs.ts), takes
 * the lease away from those of others (store/leases.ts), or has changed the entry; the run's own
 * callers get what it made all the same, later ones compute anew.
 */
import type { Store } from "../engines/complete.ts";
import type { Entry, NewEntry } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { backoff, Operation, operationsAround, waitingFor } from "../store/contention.ts";
import { ABSENT } from "../store/handle.ts";
import { valueOf } from "../store/header.ts";
import { Lease, LeaseWatch } from "../store/leases.ts";
import { registerRun } from "../store/runs.ts";
import type { Job } from "./job.ts";
import { dropError, keepError, throwKept } from "./kept_errors.ts";
import { isFresh, keptUntil } from "./options.ts";
import { orAborted, pause } from "./waiting.ts";

/**
 * What is wanted: a result (`"any"`), one unless another process is making it (`"unclaimed"`), one
 * whose making began after the call (`"new"`), or a newer one unless somebody is at it (`"fresh"`).
 */
export type Wish = "any" | "unclaimed" | "new" | "fresh";

/** What a claim brought: the right to compute, or a result that makes it needless, or neither. */
export type Claimed = Claim | { readonly found: Entry } | undefined;

/** Another process is making the result that was wanted unclaimed. */
export const CLAIMED: unique symbol = Symbol("claimed");

/**
 * How long a computation that needs another process's result waits for it before it makes one of
 * its own, in leases: that process may be waiting for this one's.
 */
const LONGEST_NESTED_WAIT = 6;

/** What is refused when it would wait for itself. */
const GET_WITHIN = "get the result inside the function that makes it";

/** The right to compute a result, and to store it while nobody has decided otherwise. */
export class Claim {
  readonly #store: Store;
  readonly #key: string;
  readonly #lease: Lease | undefined;
  readonly #unregister: () => void;
  /** What was stored when the claim was granted. */
  #before: Entry | undefined;
  readonly #isBeside: boolean;
  #isOvertaken = false;
  #whenOvertaken: (() => void) | undefined;

  /**
   * @param lease What other processes know of it; none where they need not.
   * @param isBeside Whether another process has the right to store the result: this one only makes
   * it.
   */
  constructor(store: Store, { target, text }: Job, lease: Lease | undefined, isBeside: boolean) {
    this.#store = store;
    this.#key = text;
    this.#lease = lease;
    this.#isBeside = isBeside;
    this.#unregister = registerRun(target.place, text, {
      overtaken: () => {
        this.#isOvertaken = true;
        this.#whenOvertaken?.();
      },
    });
  }

  /** Has something done when somebody decides otherwise, or at once when that has happened. */
  onOvertaken(action: () => void): void {
    if (this.#isOvertaken) action();
    else this.#whenOvertaken = action;
  }

  /** Looks at what is stored: a result that is there must be as it was when this is stored. */
  async look(): Promise<Entry | undefined> {
    return this.#before = await this.#store.get(this.#key);
  }

  /** Stores a result, unless somebody has decided otherwise; whether it did. */
  async store(next: NewEntry): Promise<boolean> {
    if (this.#isBeside) return false;
    let expected = this.#before;
    for (let attempt = 0; !this.#isOvertaken; attempt++) {
      const done = await this.#replace(expected, next);
      if (done !== undefined) return done;
      const current = await this.#store.get(this.#key);
      if (current !== undefined && !(expected && isSameState(current, expected))) return false;
      // What is gone has ended or was evicted: who removes it takes the lease or says so.
      if (current === undefined && expected !== undefined && this.#wasRemoved(expected)) {
        return false;
      }
      expected = current;
      await backoff(attempt);
    }
    return false;
  }

  /** Lets others have it. */
  async release(): Promise<void> {
    this.#unregister();
    await this.#lease?.release();
  }

  /** One try; `undefined`: the entry was not as expected. */
  async #replace(expected: Entry | undefined, next: NewEntry): Promise<boolean | undefined> {
    const [store, key, lease] = [this.#store, this.#key, this.#lease];
    if (lease === undefined) return await store.compareAndSet(key, expected, next) || undefined;
    const current = await lease.current();
    if (current === undefined) return false;
    if (store.supports.guard === true) {
      if (await store.compareAndSet(key, expected, next, lease.guard(current))) return true;
      return await lease.current() === undefined ? false : undefined;
    }
    if (!await lease.announceStoring(current)) return false;
    if (!await store.compareAndSet(key, expected, next)) return undefined;
    if (await lease.current() !== undefined) return true;
    // Who waited for the store to end has given up and taken the lease: the result goes again.
    const stored = await store.get(key);
    if (stored !== undefined && isSameBytes(valueOf(stored), valueOf(next))) {
      await store.compareAndSet(key, stored, undefined);
    }
    return false;
  }

  /**
   * Whether an entry that was there when the claim was granted, and is gone, was removed by another
   * process between taking the lease away and now: its deadline does not say why it is gone.
   */
  #wasRemoved({ expiresAt }: Entry): boolean {
    return this.#lease !== undefined && (expiresAt === undefined || Date.now() < expiresAt);
  }
}

/** Whether an entry is as it was but for its deadline, which `touch` moves. */
function isSameState(current: Entry, before: Entry): boolean {
  return current.timestamp === before.timestamp && isSameBytes(current.value, before.value);
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The flights of this process, by what they compute. */
const flights = new Map<string, Flight>();

/** One run, or one wait for another process's run, and the callers that share it. */
class Flight {
  readonly isNew: boolean;
  /** Whether it has computed nothing, as it found a result that was stored. */
  hasFound = false;
  readonly operation: Operation;
  /**
   * The stored bytes of the result, of which each caller reads a value of its own; `undefined`:
   * another process is at it, and this one did not want to wait.
   */
  readonly landing: Promise<Uint8Array | undefined>;
  readonly #id: string;
  readonly #job: Job;
  readonly #waiting = new AbortController();
  readonly #left = Promise.withResolvers<void>();
  #callers = 0;
  #stage: "waiting" | "computing" | "storing" = "waiting";
  #isLeft = false;

  constructor(id: string, job: Job, wish: Wish) {
    this.#id = id;
    this.#job = job;
    this.isNew = wish === "new";
    this.operation = new Operation(job.target.place, `compute ${job.text}`);
    flights.set(id, this);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>();
    this.landing = promise;
    const end = () => this.#end();
    // All callers may have left before it fails: then nobody is to be told.
    promise.then(end, end);
    // What somebody waits for is an operation of the stash, which `close` waits for; what all have
    // left is not.
    job.target.run("compute", (store) => {
      const flying = this.#fly(store, wish).then(resolve, reject);
      return Promise.race([flying, this.#left.promise]);
    }, true).catch(reject);
  }

  async join(signal?: AbortSignal): Promise<Uint8Array | undefined> {
    this.#callers++;
    let isHere = true;
    const leave = () => {
      if (!isHere) return;
      isHere = false;
      if (--this.#callers === 0) this.#leave();
    };
    // At the abort itself and no turn later: what has not begun by then does not begin.
    signal?.addEventListener("abort", leave);
    try {
      return await waitingFor(
        this.operation,
        GET_WITHIN,
        () => orAborted(this.landing, signal),
      );
    } finally {
      signal?.removeEventListener("abort", leave);
      leave();
    }
  }

  /** Callers from now on begin a run of their own. */
  #end(): void {
    if (flights.get(this.#id) === this) flights.delete(this.#id);
  }

  /**
   * All callers have left: a computation goes on for those who come later, a mere wait does not.
   */
  #leave(): void {
    if (this.#stage === "waiting") {
      this.#end();
      this.#waiting.abort();
    } else if (this.#stage === "computing") {
      this.#isLeft = true;
      this.#left.resolve();
    }
  }

  async #fly(store: Store, wish: Wish): Promise<Uint8Array | undefined> {
    const job = this.#job;
    const claimed = await claim(store, job, wish, this.#waiting.signal);
    if (claimed === undefined) return undefined;
    if (!(claimed instanceof Claim)) {
      this.hasFound = true;
      return valueOf(claimed.found);
    }
    try {
      // All who wanted it may have left meanwhile: then nothing begins.
      this.#waiting.signal.throwIfAborted();
      this.#stage = "computing";
      claimed.onOvertaken(() => this.#end());
      const value = await this.operation.run(() => compute(job));
      const bytes = await job.target.codec.encode(value);
      if (!this.#isLeft) this.#stage = "storing";
      await storeResult(job, value, bytes, claimed, !this.#isLeft);
      return bytes;
    } finally {
      await claimed.release();
    }
  }
}

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
  const { target, text, options } = job;
  // From here on: a call that was made before the stash is closed is gone through with.
  target.enter("get");
  try {
    if (force) return await fly(job, "new", signal);
    const value = options.staleWhileRevalidate === undefined
      ? await target.get(text, ABSENT)
      : await recall(job);
    return value === ABSENT ? await fly(job, "any", signal) : value;
  } finally {
    target.leave();
  }
}

/** The stored result, or `ABSENT`; a stale one sets off a refresh. */
export async function recall(job: Job): Promise<unknown> {
  const { target, text } = job;
  return await target.run("get", async (store) => {
    const entry = await store.get(text);
    if (entry === undefined) {
      target.stats.misses++;
      return ABSENT;
    }
    return await serve(job, entry);
  });
}

/** The value of a stored result; a stale one sets off a refresh. */
export async function serve(job: Job, entry: Entry): Promise<unknown> {
  const { target, text, options } = job;
  const value = await target.read(entry, text);
  target.stats.hits++;
  if (!isFresh(options, entry)) refresh(job);
  return value;
}

/**
 * What the job makes, or another run of it; the stored result only if it comes meanwhile. The
 * target has been entered.
 */
export async function fly(job: Job, wish: Wish, signal?: AbortSignal): Promise<unknown> {
  const id = await identity(job);
  for (;;) {
    let flight = flights.get(id);
    if (flight !== undefined && wish === "new" && !flight.isNew) {
      // It began before this call: it may be making just what the caller wants to be rid of.
      const { landing, operation } = flight;
      await waitingFor(operation, GET_WITHIN, () => orAborted(settled(landing), signal));
      continue;
    }
    signal?.throwIfAborted();
    const joins = flight !== undefined;
    flight ??= new Flight(id, job, wish);
    const bytes = await flight.join(signal);
    if (bytes === undefined) {
      if (wish === "unclaimed") return CLAIMED;
    } else if (joins && flight.hasFound) {
      // What it found may have been removed before this call was made.
      const value = await job.target.get(job.text, ABSENT);
      if (value !== ABSENT) return value;
    } else return await job.target.read({ value: bytes }, job.text);
  }
}

/** Makes a newer result in the background, unless somebody is at it. */
export async function refresh(job: Job): Promise<void> {
  try {
    job.target.enter("refresh");
  } catch {
    // It is closed: whoever opens it again will find the result stale.
    return;
  }
  try {
    const id = await identity(job);
    if (!flights.has(id)) await new Flight(id, job, "fresh").join();
  } catch {
    // The caller has the stale result; the next call tries again, and when that is no longer kept,
    // its caller gets the error.
    return;
  } finally {
    job.target.leave();
  }
}

let alone = 0;

/** What those who share one run have in common. */
export async function identity({ target, text, options }: Job): Promise<string> {
  // Only an opened store knows where it is.
  await target.run("open", () => undefined, true);
  return options.lock === false ? `alone ${++alone}` : target.place + text;
}

/** Gets the right to compute, waiting while another process has it; or finds the result. */
export async function claim(
  store: Store,
  job: Job,
  wish: Wish,
  signal: AbortSignal,
  isActive?: () => boolean,
): Promise<Claimed> {
  const { target, text, options } = job;
  const leases = options.lock === "shared" ? await target.leases() : undefined;
  const watch = new LeaseWatch();
  const isNested = !operationsAround().next().done;
  const end = performance.now() + (isNested ? LONGEST_NESTED_WAIT * options.lease : Infinity);
  for (let attempt = 0;; attempt++) {
    const lease = leases && await Lease.take(leases, text, { ms: options.lease, isActive }, watch);
    const isBeside = leases !== undefined && lease === undefined;
    if (!isBeside || performance.now() > end) {
      return await grant(store, job, wish, lease, isBeside);
    }
    if (wish === "fresh" || wish === "unclaimed") return undefined;
    await pause(Math.min(100, 5 * 2 ** attempt) * (0.5 + Math.random()), signal);
    if (wish === "new") continue;
    const found = await store.get(text);
    if (found !== undefined) return { found };
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
  if (lease !== undefined) job.target.adopt(lease);
  const claimed = new Claim(store, job, lease, isBeside);
  try {
    const found = await claimed.look();
    if (
      found !== undefined && wish !== "new" && (wish !== "fresh" || isFresh(job.options, found))
    ) {
      await claimed.release();
      return { found };
    }
    if (wish !== "new") await throwKept(job);
    return claimed;
  } catch (error) {
    await claimed.release();
    throw error;
  }
}

async function compute(job: Job): Promise<unknown> {
  try {
    return await job.compute();
  } catch (error) {
    await keepError(job, error);
    throw error;
  }
}

/**
 * Stores a result, unless somebody has decided otherwise. One that can't be stored, as the disk is
 * full, the server gone or the stash closed, reaches its callers all the same.
 *
 * @param isInside Whether `close` waits for the caller; else the stash may have been closed.
 */
export async function storeResult(
  job: Job,
  value: unknown,
  bytes: Uint8Array,
  claimed: Claim,
  isInside: boolean,
): Promise<void> {
  const { target, options } = job;
  const timestamp = Date.now();
  const expiresAt = keptUntil(options, value, target.options.ttl, timestamp);
  if (expiresAt !== undefined && expiresAt <= timestamp) return;
  const store = async () => {
    if (!await claimed.store({ value: bytes, expiresAt, timestamp })) return;
    target.stats.sets++;
    await dropError(job);
  };
  try {
    await (isInside ? store() : target.run("store", store));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    target.report(error, job.text);
  }
}

function settled(promise: Promise<unknown>): Promise<void> {
  return promise.then(() => undefined, () => undefined);
}
