/**
 * Single flight: equal calls at the same time share one run. In one process they wait for one
 * promise; between processes one holds a lease in the store and the others look for its result.
 *
 * What is stored is fenced (claim.ts): a run stores its result only while nobody has decided
 * otherwise since it began. The run's own callers get what it made all the same, later ones compute
 * anew.
 */
import type { Store } from "../engines/complete.ts";
import { Operation, waitingFor } from "../store/contention.ts";
import { ABSENT } from "../store/handle.ts";
import { valueOf } from "../store/header.ts";
import { Claim, CLAIMED, type Claimed, SPARED, type Wish } from "./claim.ts";
import { claim } from "./claiming.ts";
import { ComputedRun } from "./computation.ts";
import { isFresh } from "./freshness.ts";
import { type Job, WITHDRAWN } from "./job.ts";
import { compute, invalidatedSince, spareRefreshes, staleOf, storeResult } from "./result.ts";
import { orAbsent } from "./serve.ts";
import { Callers, orAborted } from "./waiting.ts";

/** What is refused when it would wait for itself. */
export const GET_WITHIN = "get the result inside the function that makes it";

/** The place of a flight in a batch, which makes its result together with others. */
export interface Seat {
  /** The right to have its value made, once that has been granted. */
  readonly claimed: Claim | undefined;
  /** What the batch makes of the flight, or finds for it. */
  fly(flying: Flying): Promise<Landed | Exclude<Claimed, Claim>>;
  /** The call waits for a run that is under way: the batch goes on without it. */
  waits(): void;
}

/** A flight that takes its seat. */
export interface Flying {
  /** None while it fails and is done without. */
  readonly store: Store | undefined;
  readonly wish: Wish;
  /** Ends a wait. */
  readonly signal: AbortSignal;
  readonly operation: Operation;
  /** Somebody has decided otherwise: callers from now on begin a run of their own. */
  onOvertaken(): void;
}

/** The flights of this process, by what they compute. */
const flights = new Map<string, Flight>();

/** What a flight has brought. */
export interface Landed {
  /** The stored bytes of the result. */
  readonly bytes: Uint8Array;
  /**
   * Where one of its tags was invalidated while it was made: the number of the last invalidation
   * before it was begun. Callers that came after the next one may need a newer result.
   */
  readonly invalidatedSince?: number;
}

/** How a flight ends. */
type Landing = Landed | typeof CLAIMED | typeof SPARED | typeof WITHDRAWN;

/** One run, or one wait for another process's run, and the callers that share it. */
class Flight {
  readonly isNew: boolean;
  /** Whether it has computed nothing, as it found a result that was stored. */
  hasFound = false;
  readonly operation: Operation;
  /**
   * The stored bytes of the result, of which each caller reads a value of its own; or why there is
   * none.
   */
  readonly landing: Promise<Landing>;
  readonly #id: string;
  readonly #job: Job;
  readonly #waiting = new AbortController();
  readonly #seat: Seat | undefined;
  #claimed: Claim | undefined;
  readonly #left = Promise.withResolvers<void>();
  readonly #callers = new Callers(() => this.#leave());
  #stage: "waiting" | "computing" | "storing" = "waiting";
  #isLeft = false;

  constructor(id: string, job: Job, wish: Wish, seat?: Seat) {
    this.#id = id;
    this.#job = job;
    this.#seat = seat;
    this.isNew = wish === "new";
    this.operation = new Operation(job.target.place, `compute ${job.text}`, job.target);
    flights.set(id, this);
    const { promise, resolve, reject } = Promise.withResolvers<Landing>();
    this.landing = promise;
    const end = () => this.#end();
    // All callers may have left before it fails: then nobody is to be told.
    promise.then(end, end);
    // What somebody waits for is an operation of the stash, which `close` waits for; what all have
    // left is not.
    job.target.runAnyway("compute", job.text, (store) => {
      // Who has a seat in a batch waits to the end of it.
      if (seat !== undefined) return this.#flyIn(seat, store, wish).then(resolve, reject);
      const flying = this.#fly(store, wish).then(resolve, reject);
      return Promise.race([flying, this.#left.promise]);
    }).catch(reject);
  }

  /** Whether what it makes counts for who comes now; it does while nothing has begun. */
  async isHeld(): Promise<boolean> {
    return await (this.#claimed ?? this.#seat?.claimed)?.isHeld() ?? true;
  }

  async join(signal?: AbortSignal): Promise<Landing> {
    return await this.#callers.wait(signal, () =>
      waitingFor(
        this.operation,
        GET_WITHIN,
        () => signal === undefined ? this.landing : orAborted(this.landing, signal),
      ));
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

  async #flyIn(seat: Seat, store: Store | undefined, wish: Wish): Promise<Landing> {
    const { operation } = this;
    const { signal } = this.#waiting;
    const onOvertaken = () => this.#end();
    try {
      const made = await seat.fly({ store, wish, signal, operation, onOvertaken });
      if (typeof made === "symbol" || "bytes" in made) return made;
      this.hasFound = true;
      return { bytes: valueOf(made.found) };
    } finally {
      operation.end();
      this.#stage = "storing";
    }
  }

  async #fly(store: Store | undefined, wish: Wish): Promise<Landing> {
    const job = this.#job;
    const claimed = await claim(store, job, wish, this.#waiting.signal);
    if (typeof claimed === "symbol") return claimed;
    if (!(claimed instanceof Claim)) {
      this.hasFound = true;
      return { bytes: valueOf(claimed.found) };
    }
    this.#claimed = claimed;
    const run = new ComputedRun(await staleOf(job, claimed.before), job.options.timeout);
    try {
      // All who wanted it may have left meanwhile: then nothing begins.
      this.#waiting.signal.throwIfAborted();
      this.#stage = "computing";
      claimed.onOvertaken(() => this.#end());
      const computing = () => run.within(() => this.operation.run(() => compute(job, run)));
      const value = await job.target.watch.during("compute", job.text, computing, WITHDRAWN);
      run.end();
      const bytes = await job.target.codec.encode(value);
      if (!this.#isLeft) this.#stage = "storing";
      const tags = await storeResult(job, value, bytes, claimed, run.said, !this.#isLeft);
      return { bytes, invalidatedSince: await invalidatedSince(job, claimed, tags) };
    } catch (error) {
      if (error === WITHDRAWN) return WITHDRAWN;
      if (wish !== "new" && this.#stage !== "waiting") await spareRefreshes(job, claimed);
      throw error;
    } finally {
      run.end();
      await claimed.release();
    }
  }
}

/**
 * What the job makes, or another run of it; the stored result only if it comes meanwhile. The
 * target has been entered.
 *
 * @param seat Its part in a batch, whose store has been opened.
 */
export async function fly(
  job: Job,
  wish: Wish,
  signal?: AbortSignal,
  seat?: Seat,
): Promise<unknown> {
  const id = seat === undefined ? await identity(job) : openedIdentity(job);
  for (;;) {
    let flight = flights.get(id);
    if (flight !== undefined) seat?.waits();
    if (flight !== undefined && wish === "new" && !flight.isNew) {
      // It began before this call: it may be making just what the caller wants to be rid of.
      const { landing, operation } = flight;
      const ending = () => orAborted(settled(landing), signal);
      await job.target.watch.during(
        "wait",
        job.text,
        () => waitingFor(operation, GET_WITHIN, ending),
      );
      continue;
    }
    signal?.throwIfAborted();
    const joins = flight !== undefined;
    // Who joins may come after a removal, or an invalidation, that the flight does not know of yet.
    const joined = joins ? Promise.all([flight!.isHeld(), clockOf(job)]) : undefined;
    flight ??= new Flight(id, job, wish, seat);
    const { watch } = job.target;
    const landing = await (joins
      ? watch.during("wait", job.text, flight.join.bind(flight, signal))
      : flight.join(signal));
    if (typeof landing !== "symbol") {
      const { bytes, invalidatedSince = Infinity } = landing;
      if (joined !== undefined) {
        const [isHeld, clock] = await joined;
        // Of several invalidations of a tag only the last is known: he may have come after another.
        if (!isHeld || clock > invalidatedSince) {
          continue;
        }
      }
      if (!joins || !flight.hasFound) {
        return await job.target.read({ value: bytes }, job.text);
      }
      // What it found may have been removed before this call was made.
      const found = await orAbsent(job, () =>
        job.target.getEntry(job.text));
      if (found !== ABSENT && found !== undefined && isFresh(found)) {
        return await job.target.read(found, job.text);
      }
      continue;
    }
    // Of one that another began, it may be the other's answer, or the other has called it off: then
    // this one begins its own.
    if (landing === (wish === "unclaimed" ? CLAIMED : wish === "newer" ? SPARED : undefined)) {
      return landing;
    }
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
    if (!flights.has(id)) await new Flight(id, job, "refresh").join();
  } catch (error) {
    // The caller has the stale result; a later call tries again, and when that is no longer kept,
    // its caller gets the error.
    job.target.report(error, job.text);
  } finally {
    job.target.leave();
  }
}

/** The number of the last invalidation of tags; 0 where it can't be told. */
export async function clockOf({ target }: Job): Promise<number> {
  if (target.bypass?.isUnreadable) return 0;
  try {
    return await target.tagSpace().clock();
  } catch {
    // The wait for the flight says what is wrong with the store.
    return 0;
  }
}

let alone = 0;

/** What those who share one run have in common. */
export async function identity(job: Job): Promise<string> {
  // Only an opened store knows where it is for sure.
  await job.target.runAnyway("open", job.text, () => undefined);
  return openedIdentity(job);
}

function openedIdentity({ target, text, options }: Job): string {
  return options.lock === false ? `alone ${++alone}` : target.place + text;
}

function settled(promise: Promise<unknown>): Promise<void> {
  return promise.then(() => undefined, () => undefined);
}
