/**
 * Async generators: handed to the caller while they run, and stored when they have ended. Equal
 * calls meanwhile read the same recording, so the generator runs once.
 */
import { keepError } from "./kept_errors.ts";
import { replayAsync, toStored } from "./replay.ts";
import { ABSENT } from "../store/handle.ts";
import type { Job } from "./job.ts";
import { Operation, refuseWithin, waitingFor } from "../store/contention.ts";
import { ComputedRun } from "./computation.ts";
import { Claim, type Wish } from "./claim.ts";
import { claim } from "./claiming.ts";
import { newerOrStale, recall } from "./recall.ts";
import { spareRefreshes, staleOf, storeResult } from "./result.ts";
import { orAbsent, Stale } from "./serve.ts";
import { clockOf, GET_WITHIN, identity } from "./single_flight.ts";
import type { Started } from "../store/watch.ts";
import { Callers, orAborted } from "./waiting.ts";

type Source = AsyncGenerator<unknown, unknown, unknown>;
type Reader = AsyncGenerator<unknown, unknown, void>;

/** How a recording ended. */
type End = { readonly returned?: Uint8Array } | { readonly error: unknown };

/** The recordings of this process that have not ended, by what they record. */
const openings = new Map<string, Opening>();

type Opened = Recording | { readonly stored: unknown };

/**
 * What the generator yields, from its start: from the store, of the run that is recorded already,
 * or of a run of its own.
 *
 * @param start Calls the generator function.
 */
export async function record(
  job: Job,
  start: () => Source,
  wish: Wish,
  signal?: AbortSignal,
): Promise<Reader> {
  signal?.throwIfAborted();
  // Until it is handed out: then it goes on also when the stash is closed, and is not stored.
  job.target.enter("get");
  try {
    return await find(job, start, wish, signal);
  } finally {
    job.target.leave();
  }
}

async function find(
  job: Job,
  start: () => Source,
  wish: Wish,
  signal: AbortSignal | undefined,
): Promise<Reader> {
  if (wish === "any") {
    const stored = await orAbsent(job, () => recall(job));
    // With something to fall back on it is made as a whole: of what has been handed out there is
    // no going back.
    if (stored instanceof Stale) {
      return replayAsync(await newerOrStale(job, stored, "newer", signal));
    }
    if (stored !== ABSENT) return replayAsync(stored);
  }
  const id = await identity(job);
  for (;;) {
    signal?.throwIfAborted();
    const running = openings.get(id);
    const joins = running !== undefined && (wish === "any" || running.isNew);
    const reader = joins
      ? await job.target.watch.during("wait", job.text, running.join.bind(running, signal, job))
      : await new Opening(job, start, wish, id).join(signal);
    if (reader !== undefined) return reader;
  }
}

/** What leads to a recording, or to a result that makes it needless; and those who wait for it. */
class Opening {
  readonly isNew: boolean;
  readonly #id: string;
  readonly #opened: Promise<Opened>;
  readonly #waiting = new AbortController();
  #recording: Recording | undefined;
  readonly #callers = new Callers(() => this.#leave());

  constructor(job: Job, start: () => Source, wish: Wish, id: string) {
    this.isNew = wish === "new";
    this.#id = id;
    openings.set(id, this);
    const forget = () => this.#forget();
    this.#opened = begin(job, start, wish, this.#waiting.signal, forget);
    this.#opened.then((opened) => {
      if (!(opened instanceof Recording)) return forget();
      this.#recording = opened;
      if (this.#callers.isEmpty) this.#leave();
      // All callers may have left before it fails: then nobody is to be told.
    }, forget);
  }

  /**
   * What is to be read by one more caller; `undefined` when it has been left by all others.
   *
   * @param job That of a caller who joins: he may come after a removal, or an invalidation of a tag
   * that the result is about to get, which the recording does not know of yet.
   */
  async join(signal?: AbortSignal, job?: Job): Promise<Reader | undefined> {
    return await this.#callers.wait(signal, async () => {
      const joined = job && Promise.all([this.#recording?.isHeld() ?? true, clockOf(job)]);
      const opened = await orAborted(this.#opened, signal);
      if (!(opened instanceof Recording)) return replayAsync(opened.stored);
      if (joined !== undefined) {
        const [isHeld, clock] = await joined;
        if (!isHeld || clock > opened.seq) {
          this.#forget();
          return undefined;
        }
      }
      return opened.isAbandoned ? undefined : opened.read();
    });
  }

  /** Nobody waits any more: what has not begun does not, and what nobody reads ends. */
  #leave(): void {
    if (this.#recording !== undefined) return this.#recording.leaveUnread();
    this.#forget();
    this.#waiting.abort();
  }

  /** Callers from now on begin a run of their own. */
  #forget(): void {
    if (openings.get(this.#id) === this) openings.delete(this.#id);
  }
}

async function begin(
  job: Job,
  start: () => Source,
  wish: Wish,
  signal: AbortSignal,
  onEnd: () => void,
): Promise<Opened> {
  return await job.target.runAnyway("compute", job.text, async (store) => {
    const run: { recording?: Recording } = {};
    const isActive = () => run.recording?.isActive(job.options.lease) ?? true;
    const claimed = await claim(store, job, wish, signal, isActive);
    if (typeof claimed === "symbol") throw new Error("Nobody wished to do without the result");
    if (!(claimed instanceof Claim)) {
      return { stored: await job.target.read(claimed.found, job.text) };
    }
    // Who comes from now on begins a run of its own.
    claimed.onOvertaken(onEnd);
    try {
      const stale = await staleOf(job, claimed.before);
      const computed = new ComputedRun(stale, job.options.timeout);
      signal.throwIfAborted();
      return run.recording = new Recording(job, start(), computed, claimed, onEnd);
    } catch (error) {
      await claimed.release();
      throw error;
    }
  });
}

/**
 * A run of an async generator that several readers follow, each from its start. It advances when
 * one of them asks for more.
 */
class Recording {
  readonly #job: Job;
  readonly #claim: Claim;
  readonly #onEnd: () => void;
  readonly #source: Source;
  readonly #run: ComputedRun;
  readonly #operation: Operation;
  /** Tells of the run; the generator's own spans are below its. */
  readonly #told: Started | undefined;
  /**
   * What it yielded, encoded at the yield: a generator may change what it has yielded, and so may
   * each reader, who therefore gets values of its own.
   */
  readonly #yielded: Uint8Array[] = [];
  #end: End | undefined;
  #advancing: Promise<void> | undefined;
  #readers = 0;
  #lastActive = Date.now();
  /** Whether it was left before its end: it has no more to read. */
  isAbandoned = false;

  constructor(job: Job, source: Source, run: ComputedRun, claim: Claim, onEnd: () => void) {
    this.#job = job;
    this.#run = run;
    this.#operation = new Operation(job.target.place, `compute ${job.text}`, job.target);
    this.#claim = claim;
    this.#onEnd = onEnd;
    this.#source = source;
    this.#told = job.target.watch.start("compute", job.text);
  }

  /** The last invalidation of tags before it was begun. */
  get seq(): number {
    return this.#claim.seq;
  }

  /** Whether what it yields counts for who comes now. */
  async isHeld(): Promise<boolean> {
    return await this.#claim.isHeld();
  }

  /**
   * Whether the generator runs, or did within the last `ms`: one that nobody asks for more is not
   * waited for.
   */
  isActive(ms: number): boolean {
    return this.#advancing !== undefined || Date.now() - this.#lastActive < ms;
  }

  /** What it yields, from the start. */
  read(): Reader {
    // The generator itself would never come to the end of what it yields again.
    refuseWithin((operation) => operation === this.#operation, GET_WITHIN);
    this.#readers++;
    let position = 0;
    let left = false;
    let last: Promise<unknown> = Promise.resolve();
    const leave = async () => {
      if (left) return;
      left = true;
      if (--this.#readers === 0 && this.#end === undefined) await this.#abandon();
    };
    const next = async (): Promise<IteratorResult<unknown, unknown>> => {
      if (left) return { done: true, value: undefined };
      while (position === this.#yielded.length && this.#end === undefined) {
        await waitingFor(
          this.#operation,
          GET_WITHIN,
          () => this.#advancing ??= this.#advance(),
        );
      }
      if (position < this.#yielded.length) {
        return { done: false, value: await this.#read(this.#yielded[position++]) };
      }
      await leave();
      if ("error" in this.#end!) throw this.#end.error;
      const { returned } = this.#end!;
      return { done: true, value: returned && await this.#read(returned) };
    };
    // One after the other, as in any async generator.
    const inTurn = <T>(body: () => Promise<T>): Promise<T> => {
      const result = last.then(body);
      last = result.catch(() => undefined);
      return result;
    };
    const reader: Reader = {
      next: () => inTurn(next),
      return: (value) =>
        inTurn(async () => {
          await leave();
          return { done: true, value: await value };
        }),
      throw: (error) =>
        inTurn(async () => {
          await leave();
          throw error;
        }),
      [Symbol.asyncIterator]: () => reader,
      [Symbol.asyncDispose]: async () => void await reader.return(undefined),
    };
    return reader;
  }

  async #advance(): Promise<void> {
    try {
      const { done, value } = await this.#nextItem();
      if (done) await this.#finish(value);
      else this.#yielded.push(await this.#encode(value));
    } catch (error) {
      await this.#close({ error });
    } finally {
      this.#lastActive = Date.now();
      this.#advancing = undefined;
    }
  }

  async #nextItem(): Promise<IteratorResult<unknown, unknown>> {
    try {
      const next = () => this.#operation.within(() => this.#source.next());
      const told = this.#told;
      return await this.#run.within(told === undefined ? next : () => told.within(next));
    } catch (error) {
      if (!this.#run.isLate) await keepError(this.#job, error);
      await spareRefreshes(this.#job, this.#claim);
      throw error;
    }
  }

  async #finish(returned: unknown): Promise<void> {
    // Stored before the last reader is told, so that it is there when the loop of the caller has
    // ended.
    const yielded: unknown[] = [];
    for (const bytes of this.#yielded) yielded.push(await this.#read(bytes));
    const value = toStored(yielded, returned);
    const bytes = await this.#encode(value);
    await storeResult(this.#job, value, bytes, this.#claim, this.#run.said, false);
    const end = returned === undefined ? {} : { returned: await this.#encode(returned) };
    await this.#close(end);
  }

  async #encode(value: unknown): Promise<Uint8Array> {
    return await this.#job.target.codec.encode(value);
  }

  async #read(bytes: Uint8Array): Promise<unknown> {
    return await this.#job.target.read({ value: bytes }, this.#job.text);
  }

  /** Ends it when nobody has begun to read: those who asked for it have left before. */
  leaveUnread(): void {
    // What fails then, nobody is to be told.
    if (this.#readers === 0 && this.#end === undefined) this.#abandon().catch(() => undefined);
  }

  /** Nobody reads on: an incomplete result is not stored. */
  async #abandon(): Promise<void> {
    await this.#advancing;
    if (this.#end !== undefined || this.#readers > 0) return;
    this.isAbandoned = true;
    await this.#close({});
    await this.#source.return(undefined);
  }

  async #close(end: End): Promise<void> {
    this.#end = end;
    this.#told?.end("error" in end ? { thrown: end.error } : undefined);
    this.#run.end();
    this.#operation.end();
    this.#onEnd();
    await this.#claim.release();
  }
}
