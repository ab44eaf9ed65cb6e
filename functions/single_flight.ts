/**
 * Single flight: equal calls at the same time share one run. In one process they wait for one
 * promise; between processes one holds a lease in the store and the others look for its result.
 *
 * What is stored is fenced: a run that has lost its lease (its process was stopped for longer than
 * the lease lasts) stores only if nobody has stored since it began; else its caller, too, gets what
 * is stored.
 */
import type { Store } from "../engines/complete.ts";
import type { Awaitable, Entry } from "../engines/engine.ts";
import { backoff, refuseWithin, within } from "../store/contention.ts";
import { ABSENT } from "../store/handle.ts";
import type { Job } from "./job.ts";
import { dropError, keepError, throwKept } from "./kept_errors.ts";
import { isFresh, keptUntil } from "./options.ts";
import { Lease } from "./lease.ts";
import { orAborted, pause } from "./waiting.ts";

/**
 * What is wanted: a result (`"any"`), one unless another process is making it (`"unclaimed"`), one
 * whose making began after the call (`"new"`), or a newer one unless somebody is at it (`"fresh"`).
 */
export type Wish = "any" | "unclaimed" | "new" | "fresh";

/** The right to compute. */
export interface Turn {
  /** What was stored when it was granted. */
  readonly before?: Entry;
  /** Whether what was stored since may be replaced. */
  prevails(): Awaitable<boolean>;
  /** Lets others have it. */
  release(): Awaitable<void>;
}

/** What a claim brought: the right, or a result that makes it needless, or neither. */
export type Claim = { readonly turn: Turn } | { readonly found: Entry } | undefined;

/** A result, and its stored bytes for those who need a copy of their own. */
interface Landing {
  readonly value: unknown;
  readonly stored: Uint8Array;
}

/** Another process is making the result that was wanted unclaimed. */
export const CLAIMED: unique symbol = Symbol("claimed");

/** The flights of this process, by what they compute. */
const flights = new Map<string, Flight>();

/** One run, or one wait for another process's run, and the callers that share it. */
class Flight {
  readonly isNew: boolean;
  /** `undefined`: another process is at it, and this one did not want to wait. */
  readonly landing: Promise<Landing | undefined>;
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
    flights.set(id, this);
    const { promise, resolve, reject } = Promise.withResolvers<Landing | undefined>();
    this.landing = promise;
    const end = () => {
      if (flights.get(id) === this) flights.delete(id);
    };
    // All callers may have left before it fails: then nobody is to be told.
    promise.then(end, end);
    // What somebody waits for is an operation of the stash, which `close` waits for; what all have
    // left is not.
    job.target.run("compute result", (store) => {
      const flying = this.#fly(store, wish).then(resolve, reject);
      return Promise.race([flying, this.#left.promise]);
    }).catch(reject);
  }

  async join(signal?: AbortSignal): Promise<Landing | undefined> {
    this.#callers++;
    try {
      return await orAborted(this.landing, signal);
    } finally {
      if (--this.#callers === 0) this.#leave();
    }
  }

  /**
   * All callers have left: a computation goes on for those who come later, a mere wait does not.
   */
  #leave(): void {
    if (this.#stage === "waiting") {
      if (flights.get(this.#id) === this) flights.delete(this.#id);
      this.#waiting.abort();
    } else if (this.#stage === "computing") {
      this.#isLeft = true;
      this.#left.resolve();
    }
  }

  async #fly(store: Store, wish: Wish): Promise<Landing | undefined> {
    const job = this.#job;
    const claimed = await claim(store, job, wish, this.#waiting.signal);
    if (claimed === undefined) return undefined;
    if ("found" in claimed) return await landed(job, claimed.found);
    const { turn } = claimed;
    this.#stage = "computing";
    try {
      const value = await within(`compute ${this.#id}`, () => compute(job));
      // The stash may have been closed since all have left.
      if (this.#isLeft) {
        return await job.target.run(
          "store result",
          (store) => storeResult(store, job, value, turn),
        );
      }
      this.#stage = "storing";
      return await storeResult(store, job, value, turn);
    } finally {
      await turn.release();
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
  if (force) return await fly(job, "new", signal);
  const { target, text, options } = job;
  const value = options.staleWhileRevalidate === undefined
    ? await target.get(text, ABSENT)
    : await recall(job);
  return value === ABSENT ? await fly(job, "any", signal) : value;
}

/** The stored result, or `ABSENT`; a stale one sets off a refresh. */
export async function recall(job: Job): Promise<unknown> {
  const { target, text, options } = job;
  const [value, fresh] = await target.run("get entry", async (store) => {
    const entry = await store.get(text);
    if (entry === undefined) {
      target.stats.misses++;
      return [ABSENT, true];
    }
    const value = await target.read(entry, text);
    target.stats.hits++;
    return [value, isFresh(options, entry)];
  });
  if (!fresh) refresh(job);
  return value;
}

/** What the job makes, or another run of it; the stored result only if it comes meanwhile. */
export async function fly(job: Job, wish: Wish, signal?: AbortSignal): Promise<unknown> {
  const id = await identity(job);
  for (;;) {
    let flight = flights.get(id);
    if (flight !== undefined) {
      refuseWithin(() => `compute ${id}`, "get the result inside the function that makes it");
    }
    if (flight !== undefined && wish === "new" && !flight.isNew) {
      // It began before this call: it may be making just what the caller wants to be rid of.
      await orAborted(settled(flight.landing), signal);
      continue;
    }
    const leads = flight === undefined;
    flight ??= new Flight(id, job, wish);
    const landing = await flight.join(signal);
    if (landing === undefined) {
      if (wish === "unclaimed") return CLAIMED;
      continue;
    }
    // Each caller has a value of its own, as from `get`.
    return leads ? landing.value : await job.target.read({ value: landing.stored }, job.text);
  }
}

/** Makes a newer result in the background, unless somebody is at it. */
async function refresh(job: Job): Promise<void> {
  try {
    const id = await identity(job);
    if (!flights.has(id)) await new Flight(id, job, "fresh").join();
  } catch {
    // The caller has the stale result; the next call tries again, and when that is no longer kept,
    // its caller gets the error.
    return;
  }
}

let alone = 0;

/** What those who share one run have in common. */
export async function identity({ target, text, options }: Job): Promise<string> {
  // Only an opened store knows where it is.
  await target.run("compute result", () => undefined);
  return options.lock === false ? `alone ${++alone}` : target.identity(text);
}

/** Gets the right to compute, waiting while another process has it; or finds the result. */
export async function claim(
  store: Store,
  job: Job,
  wish: Wish,
  signal: AbortSignal,
  isActive?: () => boolean,
): Promise<Claim> {
  const { target, text, options } = job;
  const isShared = options.lock === "shared" && store.supports.shared;
  for (let attempt = 0;; attempt++) {
    const lease = isShared
      ? await Lease.take(target, text, { ms: options.lease, isActive })
      : undefined;
    if (!isShared || lease !== undefined) {
      try {
        signal.throwIfAborted();
        // Looked for again: its last holder may just have stored the result.
        const before = await store.get(text);
        const suffices = before !== undefined && wish !== "new" &&
          (wish !== "fresh" || isFresh(options, before));
        if (suffices) {
          await lease?.release();
          return { found: before };
        }
        if (wish !== "new") await throwKept(job);
        return {
          turn: {
            before,
            prevails: () => lease?.held() ?? (wish === "new" || options.lock === false),
            release: () => lease?.release(),
          },
        };
      } catch (error) {
        await lease?.release();
        throw error;
      }
    }
    if (wish === "fresh" || wish === "unclaimed") return undefined;
    await pause(Math.min(100, 5 * 2 ** attempt) * (0.5 + Math.random()), signal);
    if (wish === "new") continue;
    const found = await store.get(text);
    if (found !== undefined) return { found };
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

/** Stores a result, unless a newer one is there that it must not replace; what then is stored. */
export async function storeResult(
  store: Store,
  job: Job,
  value: unknown,
  turn: Turn,
): Promise<Landing> {
  const { target, text, options } = job;
  const timestamp = Date.now();
  const stored = await target.codec.encode(value);
  const expiresAt = keptUntil(options, value, target.options.ttl, timestamp);
  const next = { value: stored, expiresAt, timestamp };
  let expected = turn.before;
  for (let attempt = 0;; attempt++) {
    if (await store.compareAndSet(text, expected, next)) {
      target.stats.sets++;
      await dropError(job);
      return { value, stored };
    }
    const current = await store.get(text);
    if (current !== undefined && !await turn.prevails()) return await landed(job, current);
    expected = current;
    await backoff(attempt);
  }
}

async function landed({ target, text }: Job, { value: stored }: Entry): Promise<Landing> {
  return { value: await target.read({ value: stored }, text), stored };
}

function settled(promise: Promise<unknown>): Promise<void> {
  return promise.then(() => undefined, () => undefined);
}
