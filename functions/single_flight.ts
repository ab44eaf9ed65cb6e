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
import type { Entry, EntryValue, NewEntry } from "../engines/engine.ts";
import { isDiskFull } from "../engines/file_failures.ts";
import { backoff, isNested, Operation, waitingFor } from "../store/contention.ts";
import { startTimer, stopTimer } from "../platform/timers.ts";
import { ABSENT, type Handle } from "../store/handle.ts";
import { opened, openHeader, type StoredEntry, valueOf } from "../store/header.ts";
import { Lease, LeaseWatch } from "../store/leases.ts";
import { readEach } from "../store/groups.ts";
import { registerRun } from "../store/runs.ts";
import { since } from "../store/telemetry.ts";
import { ComputedRun, type KeepOptions } from "./computation.ts";
import { isAhead, isFresh, isSpared, keeping, staleSince, tagsOf } from "./freshness.ts";
import { type Job, WITHDRAWN } from "./job.ts";
import { dropError, keepError, throwKept } from "./kept_errors.ts";
import { Callers, orAborted, pause } from "./waiting.ts";

/**
 * What is wanted: a fresh result (`"any"`), one unless another process is making it
 * (`"unclaimed"`), one whose making began after the call (`"new"`); or, by who has a stale one, a
 * newer one, waited for (`"newer"`) or not (`"refresh"`), unless a refresh failed a short time ago.
 */
export type Wish = "any" | "unclaimed" | "new" | "newer" | "refresh";

/** What a claim brought: the right to compute, or a result that makes it needless, or neither. */
export type Claimed = Claim | { readonly found: Entry } | typeof CLAIMED | typeof SPARED;

/** Another process is making the result, and the wish was not to wait. */
export const CLAIMED: unique symbol = Symbol("claimed");

/** A refresh failed a short time ago: the stale result will do. */
const SPARED: unique symbol = Symbol("spared");

/**
 * How long a computation that needs another process's result waits for it before it makes one of
 * its own, in leases: that process may be waiting for this one's.
 */
const LONGEST_NESTED_WAIT = 6;

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

/** The right to compute a result, and to store it while nobody has decided otherwise. */
export class Claim {
  readonly #store: Store | undefined;
  readonly #key: string;
  readonly #lease: Lease | undefined;
  readonly #target: Handle;
  readonly #unregister: () => void;
  /** What was stored when the claim was granted: it must be as it was when the result is. */
  before: Entry | undefined;
  /** The number of the last invalidation of tags before the claim was granted. */
  seq = 0;
  /** Whether its result is not stored. */
  readonly isBeside: boolean;
  #isOvertaken = false;
  #whenOvertaken: (() => void) | undefined;

  /**
   * @param lease What other processes know of it; none where they need not.
   * @param isBeside Whether another process has the right to store the result: this one only makes
   * it. So does who does without the store, of which nothing is asked then.
   */
  constructor(
    store: Store | undefined,
    { target, text }: Job,
    lease: Lease | undefined,
    isBeside: boolean,
  ) {
    this.#store = store;
    this.#key = text;
    this.#lease = lease;
    this.#target = target;
    this.isBeside = isBeside;
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
    // Together: on a server the two are one round trip.
    [this.seq, this.before] = await Promise.all([
      this.#target.tagSpace().clock(),
      this.#store!.get(this.#key),
    ]);
    return this.before;
  }

  /** Stores a result, unless somebody has decided otherwise; whether it did. */
  async store(next: NewEntry): Promise<boolean> {
    if (this.isBeside) return false;
    let expected = this.before;
    for (let attempt = 0; !this.#isOvertaken; attempt++) {
      const done = await this.#replace(expected, next);
      if (done !== undefined) return done;
      const current = await this.#store!.get(this.#key);
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

  /**
   * Whether nobody has decided otherwise: a process that removes the key takes the lease away, and
   * tells no other one.
   */
  async isHeld(): Promise<boolean> {
    if (this.#isOvertaken) return false;
    try {
      return this.#lease === undefined || await this.#lease.current() !== undefined;
    } catch {
      // To store the result, or to look for it, says what is wrong.
      return true;
    }
  }

  /** Lets others have it. */
  async release(): Promise<void> {
    await Claim.releaseEach([this]);
  }

  /** Lets others have the results of one store. */
  static async releaseEach(claims: readonly Claim[]): Promise<void> {
    for (const claim of claims) claim.#unregister();
    const held = claims.filter((claim) => claim.#lease !== undefined);
    if (held.length === 0) return;
    const releasing = Lease.releaseEach(held.map((claim) => claim.#lease!)).then(() => {
      for (const claim of held) claim.#target.release(claim.#lease!);
    });
    // Where the store does not answer, it would keep the callers of a result that is there waiting.
    if (!held[0].#target.bypass?.isDown) await releasing;
  }

  /** Looks at the leases of many claims on one store at once, before their results are stored. */
  static async foresee(claims: readonly Claim[]): Promise<void> {
    const held = claims.flatMap((claim) => claim.#lease ?? []);
    if (held.length > 0) await Lease.foresee(held);
  }

  /** One try; `undefined`: the entry was not as expected. */
  async #replace(expected: Entry | undefined, next: NewEntry): Promise<boolean | undefined> {
    const [store, key, lease] = [this.#store!, this.#key, this.#lease];
    if (lease === undefined) return await store.compareAndSet(key, expected, next) || undefined;
    const current = lease.takeForeseen() ?? await lease.current();
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

/**
 * Whether an entry is as it was but for its deadline, which `touch` moves, and what is noted of a
 * refresh that failed.
 */
function isSameState(current: Entry, before: Entry): boolean {
  if (current.timestamp !== before.timestamp) return false;
  const [now, then] = [opened(current), opened(before)];
  return isSameBytes(now.value, then.value) && stateOf(now) === stateOf(then);
}

function stateOf({ header = {} }: StoredEntry): string {
  return JSON.stringify({ ...header, retry: undefined, row: undefined });
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
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

/** What is read, or `ABSENT` while the store fails and is done without. */
export function orAbsent<T>(job: Job, read: () => Promise<T>): Promise<T | typeof ABSENT> {
  const { bypass } = job.target;
  return bypass === undefined ? read() : bypass.read(job, read, ABSENT);
}

/** As `recall`, and as straight as `get` where no option is about freshness. */
function stored(job: Job): Promise<unknown> {
  return job.options.isAboutFreshness ? recall(job) : job.target.get(job.text, ABSENT, readFresh);
}

/** A result whose `ttl` has ended, to fall back on when there is no newer one. */
export class Stale {
  readonly entry: Entry;
  /** Whether it is served when the run fails, and not only when it is late. */
  readonly isForErrors: boolean;
  /** How long looking it up took, ms, where that is known. */
  readonly ms: number | undefined;

  constructor(entry: Entry, isForErrors: boolean, ms?: number) {
    this.entry = entry;
    this.isForErrors = isForErrors;
    this.ms = ms;
  }
}

/** What is there for a caller of the job: a value, something to fall back on, or `ABSENT`. */
export type Found = { readonly value: unknown; readonly isDue: boolean } | Stale | typeof ABSENT;

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
 * What a stored result is for a caller of the job, and whether it is due for a refresh.
 *
 * @param begin When the caller began to look it up; 0: that is not to be told.
 */
export async function serve(job: Job, entry: Entry, begin = 0): Promise<Found> {
  const { staleWhileRevalidate, staleIfError, softTimeout } = job.options;
  const age = staleSince(entry);
  if (age < 0) return { value: await hit(job, entry, begin), isDue: isDue(job, entry) };
  if (age < (staleWhileRevalidate ?? 0)) {
    return { value: await hit(job, entry, begin), isDue: !isSpared(entry) };
  }
  if (age < (staleIfError ?? 0)) {
    return isSpared(entry)
      ? { value: await hit(job, entry, begin), isDue: false }
      : new Stale(entry, true, elapsed(begin));
  }
  // Who says nothing of how old a result may be takes what is stored rather than wait for long.
  const isUnbounded = staleWhileRevalidate === undefined && staleIfError === undefined;
  if (softTimeout !== undefined && isUnbounded) return new Stale(entry, false, elapsed(begin));
  job.target.watch.tell("expire", job.text);
  return ABSENT;
}

function isDue(job: Job, entry: Entry): boolean {
  return isAhead(job, entry) && !isSpared(entry);
}

/** The value of a stored result, counted as one that was there. */
export async function hit(
  { target, text }: Pick<Job, "target" | "text">,
  entry: Entry,
  begin = 0,
  ms?: number,
): Promise<unknown> {
  const value = await target.read(entry, text);
  target.stats.hits++;
  const type = staleSince(entry) < 0 ? "hit" : "stale";
  target.watch.looked(type, text, ms ?? elapsed(begin), entry.value.length);
  return value;
}

/** There is nothing that can be served. */
export function missed({ target, text }: Job, ms?: number): void {
  target.stats.misses++;
  target.watch.looked("miss", text, ms);
}

/** How long it has been, ms; `undefined`: that is not to be told. */
export function elapsed(begin: number): number | undefined {
  return begin === 0 ? undefined : since(begin);
}

/** For callers who take a stale result for absent: of most entries the value alone tells. */
async function readFresh(target: Handle, entry: EntryValue, text: string): Promise<unknown> {
  const { header } = "header" in entry ? entry as StoredEntry : openHeader(entry.value);
  if (header?.stale === undefined) return await target.read(entry, text);
  const whole = await target.run("get", (store) => target.servedEntry(store, text), true);
  if (whole !== undefined && isFresh(whole)) return await target.read(whole, text);
  if (whole !== undefined) target.watch.tell("expire", text);
  return ABSENT;
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
    if (made === ABSENT) flying.catch((error) => signal?.aborted || reportTo(job, error));
  } catch (error) {
    if (signal?.aborted || !stale.isForErrors) throw error;
    reportTo(job, error);
  } finally {
    stopTimer(timer);
  }
  return await hit(job, stale.entry, 0, stale.ms);
}

function reportTo({ target, text }: Job, error: unknown): void {
  target.report(error, text);
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
      const value = await orAbsent(job, () =>
        job.target.get(job.text, ABSENT, readFresh));
      if (value !== ABSENT) return value;
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
    reportTo(job, error);
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
    reportTo(job, error);
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
        reportTo(job, reason);
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

async function compute(job: Job, run: ComputedRun): Promise<unknown> {
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
    reportTo(job, error);
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
    if (!target.bypass?.failedToWrite(error, job)) reportTo(job, error);
  }
  return tags;
}

function settled(promise: Promise<unknown>): Promise<void> {
  return promise.then(() => undefined, () => undefined);
}
