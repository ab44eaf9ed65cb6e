/**
 * A function over many inputs: what is missing is computed, a bounded number at a time, and
 * everything is kept.
 */
import { Turns } from "../platform/timers.ts";
import { type AnyFunction, originalOf } from "./function_key.ts";
import { type MapInput, mapInput } from "./map_input.ts";
import { BrokenOff } from "./replay.ts";
import { Signal } from "./waiting.ts";
import { type WorkerOptions, WorkerPool } from "./worker_pool.ts";
import { ABSENT, type Handle } from "../store/handle.ts";
import { FUNCTION_OPTIONS, type FunctionOptions, Memo, memoFor, memoOf } from "./memoize.ts";
import { checkSignal } from "../store/options.ts";
import { checkNames, typeOf } from "../store/options.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import { CLAIMED } from "./claim.ts";
import { Stale } from "./serve.ts";

/**
 * How a function goes over many inputs, and how its results are kept.
 *
 * @typeParam M The further arguments of each call.
 * @typeParam A All arguments of a call.
 * @typeParam R What the function returns.
 */
export interface MapOptions<
  M extends unknown[] = unknown[],
  A extends unknown[] = never[],
  R = unknown,
> extends FunctionOptions<A, R> {
  /** Further arguments for each object: an array for each, in their order. */
  options?: readonly M[];
  /** How many calls are under way at the same time; the number of cores by default. */
  concurrency?: number;
  /**
   * Whether results come in the order of the inputs (`true`, the default), or as they are ready.
   */
  ordered?: boolean;
  /**
   * Whether standard error shows how far it is: a bar on a terminal, else lines. `false` by
   * default.
   */
  progress?: boolean;
  /**
   * Stops the run: no new calls begin, and the reason is what iterating and `results()` reject
   * with.
   */
  signal?: AbortSignal;
  /**
   * Runs a function that a module exports, in as many workers as `concurrency` says: for work
   * that keeps a core busy. It must be the same function: its results are kept as those of the one
   * that `map` is given.
   */
  worker?: WorkerOptions;
}

/**
 * A call that failed.
 *
 * @typeParam A The arguments.
 */
export interface MapError<A extends unknown[] = unknown[]> {
  /** The place of the input, from 0. */
  readonly index: number;
  /** The arguments of the call. */
  readonly args: A;
  /** What it threw. */
  readonly error: unknown;
}

/**
 * A run of a function over many inputs. It starts at once. Nobody needs to look: results are stored
 * as they come. It can be iterated, awaited as an array, and both, several times.
 *
 * Who iterates sets the pace: at most some hundred results wait to be taken, however many inputs
 * there are, and leaving the loop pauses the run. Beyond 10,000 results those that have been taken
 * are let go, and can't be read again from this run; a second `map` over the same inputs gives them
 * from the stash. `results()` keeps everything and doesn't pause.
 *
 * @typeParam A The arguments of a call.
 * @typeParam R A result.
 */
export interface MapRun<A extends unknown[], R> extends AsyncIterable<R> {
  /** How many inputs there are; `undefined` while that is not known. */
  readonly length: number | undefined;
  /** How many calls are done, failed ones included. */
  readonly done: number;
  /** The calls that failed so far; in the order of the inputs when all is done. */
  readonly errors: readonly MapError<A>[];
  /**
   * The results as they come, without those of failed calls.
   *
   * @throws {AggregateError} At the end, when calls have failed.
   */
  [Symbol.asyncIterator](): AsyncGenerator<R, void, void>;
  /**
   * The pairs of arguments and result, in the same way.
   *
   * @throws {AggregateError} At the end, when calls have failed.
   */
  entries(): AsyncGenerator<[A, R], void, void>;
  /**
   * All results.
   *
   * @throws {AggregateError} When calls have failed: what was thrown, in the order of the inputs.
   * All other calls have been done.
   */
  results(): Promise<R[]>;
  /**
   * Stops the run: no new calls begin, workers end.
   *
   * @param reason What iterating and `results()` reject with; by default a `DOMException` named
   * `"AbortError"`.
   */
  cancel(reason?: unknown): void;
}

/**
 * What a call gives, by what the function returns: of a promise its value, of generators one that
 * yields the same.
 */
export type MappedReturn<R> = Awaited<R>;

/** How a call went: its result in stored form, or what it threw. */
type Outcome =
  | { readonly args: unknown[]; readonly stored: unknown }
  | { readonly args: unknown[]; readonly error: unknown };

/** A call that is to be made. */
interface Call {
  readonly index: number;
  readonly args: unknown[];
  /** What to fall back on. */
  readonly stale?: Stale;
}

/** Where one iteration is. */
interface Reader {
  position: number;
}

/** Inputs taken at once, to look for their results in one round trip. */
const BATCH = 64;
/** How far a run is ahead of who iterates. */
const LOOK_AHEAD = 256;
/** Results that are kept after they have been taken. */
const KEPT = 10_000;

class Run implements MapRun<unknown[], unknown> {
  readonly #memo: Memo;
  readonly #input: MapInput;
  readonly #concurrency: number;
  readonly #ordered: boolean;
  readonly #force: boolean | undefined;
  readonly #showsProgress: boolean;
  readonly #pool: WorkerPool | undefined;
  readonly #leaveSignal: () => void;
  /** Aborted when the run ends early: it leaves the calls under way alone. */
  readonly #ended = new AbortController();
  readonly #changed = new Signal();
  /** How calls went, by their place in the order of results. */
  readonly #outcomes = new Map<number, Outcome>();
  readonly #errors: MapError[] = [];
  /** Calls that other processes were making when it was their turn: what is free goes first. */
  readonly #claimed: Call[] = [];
  /** Calls whose stale results were served, to be refreshed in the background. */
  readonly #stale: unknown[][] = [];
  #refreshing = 0;
  readonly #readers = new Set<Reader>();
  #length: number | undefined;
  #started = 0;
  #inFlight = 0;
  #done = 0;
  /** Places before this one have been let go. */
  #letGo = 0;
  /** How far the foremost reader has come; `undefined`: nobody has begun to read. */
  #foremost: number | undefined;
  #keepsAll = false;
  #end: { readonly reason?: unknown; readonly isComplete: boolean } | undefined;
  #bar: Progress | undefined;

  constructor(memo: Memo, input: MapInput, options: CheckedMapOptions) {
    this.#memo = memo;
    this.#input = input;
    this.#length = input.length;
    this.#concurrency = options.concurrency;
    this.#ordered = options.ordered;
    this.#force = options.force;
    this.#showsProgress = options.progress;
    this.#pool = options.pool;
    const { signal } = options;
    const abort = () => this.cancel(signal?.reason);
    this.#leaveSignal = () => signal?.removeEventListener("abort", abort);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    else this.#go();
  }

  get length(): number | undefined {
    return this.#length;
  }

  get done(): number {
    return this.#done;
  }

  get errors(): readonly MapError[] {
    return this.#errors;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, void> {
    for await (const [, result] of this.entries()) yield result;
  }

  async *entries(): AsyncGenerator<[unknown[], unknown], void, void> {
    for await (const outcome of this.#read()) {
      if ("stored" in outcome) yield [outcome.args, this.#memo.present(outcome.stored)];
    }
    if (this.#errors.length > 0) throw this.#failure();
  }

  async results(): Promise<unknown[]> {
    this.#keepsAll = true;
    this.#changed.fire();
    return await Array.fromAsync(this);
  }

  cancel(reason: unknown = new DOMException("The map was cancelled", "AbortError")): void {
    this.#finish({ isComplete: false, reason });
  }

  async *#read(): AsyncGenerator<Outcome, void, void> {
    if (this.#letGo > 0) {
      throw new Error(
        "Cannot read these results again: there were more than are kept, and they have been let go; map again to have them from the stash",
      );
    }
    const reader = { position: 0 };
    this.#readers.add(reader);
    try {
      for (;;) {
        const outcome = this.#outcomes.get(reader.position);
        if (outcome !== undefined) {
          this.#foremost = Math.max(this.#foremost ?? 0, ++reader.position);
          this.#letGoTaken();
          this.#changed.fire();
          yield outcome;
        } else if (this.#end?.isComplete) return;
        else if (this.#end) throw this.#end.reason;
        else {
          this.#foremost ??= 0;
          await this.#changed.wait();
        }
      }
    } finally {
      this.#readers.delete(reader);
      this.#changed.fire();
    }
  }

  #letGoTaken(): void {
    if (this.#keepsAll || this.#outcomes.size <= KEPT) return;
    const taken = Math.min(...Array.from(this.#readers, ({ position }) => position));
    while (this.#letGo < taken) this.#outcomes.delete(this.#letGo++);
  }

  async #go(): Promise<void> {
    try {
      await this.#advance();
      this.#finish({ isComplete: true });
    } catch (reason) {
      this.#finish({ isComplete: false, reason });
    }
  }

  async #advance(): Promise<void> {
    const turns = new Turns();
    for (;;) {
      await this.#until(() => this.#room() > 0 || this.#isWanted && this.#claimed.length > 0);
      if (this.#end !== undefined) return;
      const count = Math.min(this.#room(), BATCH);
      await this.#showProgress();
      // Closed meanwhile, it is the run that fails and not each call.
      await this.#memo.handle.openAnyway();
      await this.#computeClaimed();
      if (count <= 0) continue;
      const calls = await this.#input.take(count);
      if (calls.length === 0) break;
      const found = this.#force ? [] : await this.#memo.recallMany(calls);
      for (const [i, args] of calls.entries()) {
        const index = this.#started++;
        const one = found[i] ?? ABSENT;
        if (one === ABSENT || one instanceof Stale) {
          await this.#compute({ index, args, stale: one === ABSENT ? undefined : one }, false);
        } else {
          this.#settle(index, { args, stored: one.value });
          if (one.isDue) this.#refresh(args);
        }
        if (this.#end !== undefined) return;
      }
      if (turns.due()) await turns.next();
    }
    do {
      await this.#computeClaimed();
      await this.#until(() => this.#inFlight === 0 || this.#claimed.length > 0);
    } while (this.#end === undefined && this.#claimed.length > 0);
  }

  async #computeClaimed(): Promise<void> {
    for (const call of this.#claimed.splice(0)) await this.#compute(call, true);
  }

  /** Whether results are wanted: nobody has begun to read, somebody does, or all are asked for. */
  get #isWanted(): boolean {
    return this.#keepsAll || this.#foremost === undefined || this.#readers.size > 0;
  }

  /** How many more inputs are wanted. */
  #room(): number {
    if (!this.#isWanted) return 0;
    if (this.#keepsAll || this.#foremost === undefined) return Infinity;
    return this.#foremost + LOOK_AHEAD - this.#started;
  }

  /** Waits until the condition holds or the run has ended. */
  async #until(condition: () => boolean): Promise<void> {
    while (this.#end === undefined && !condition()) {
      // Whoever reads later finds the run where it was, but it keeps no worker and no bar until
      // then.
      if (!this.#isWanted && this.#inFlight === 0) this.#rest();
      await this.#changed.wait();
    }
  }

  /** Begins a call, as soon as there is room for it. */
  async #compute(call: Call, waits: boolean): Promise<void> {
    await this.#until(() => this.#isWanted && this.#inFlight < this.#concurrency);
    if (this.#end !== undefined) return;
    await this.#showProgress();
    this.#inFlight++;
    this.#call(call, waits).then((outcome) => {
      this.#inFlight--;
      if (outcome !== CLAIMED) return this.#settle(call.index, outcome);
      this.#claimed.push(call);
      this.#changed.fire();
    });
  }

  /** Has a newer result made, when there is room for it; nobody waits for it. */
  #refresh(args: unknown[]): void {
    this.#stale.push(args);
    while (this.#refreshing < this.#concurrency && this.#stale.length > 0) {
      this.#refreshing++;
      void this.#refreshNext();
    }
  }

  async #refreshNext(): Promise<void> {
    for (let args; (args = this.#stale.shift()) !== undefined;) {
      await this.#memo.refresh(args, this.#work);
    }
    this.#refreshing--;
    this.#closePool();
  }

  /** What calls the function elsewhere. */
  get #work(): ((args: unknown[]) => unknown) | undefined {
    const pool = this.#pool;
    return pool && ((args) => pool.run(args));
  }

  async #call({ args, stale }: Call, waits: boolean): Promise<Outcome | typeof CLAIMED> {
    const options = { force: this.#force, signal: this.#ended.signal, waits, stale };
    try {
      const stored = await this.#memo.compute(args, options, this.#work);
      return stored === CLAIMED ? CLAIMED : { args, stored };
    } catch (error) {
      return { args, error: error instanceof BrokenOff ? error.cause : error };
    }
  }

  #settle(index: number, outcome: Outcome): void {
    if (this.#end !== undefined) return;
    if ("error" in outcome) this.#errors.push({ index, ...outcome });
    this.#outcomes.set(this.#ordered ? index : this.#done, outcome);
    this.#done++;
    this.#bar?.tick();
    this.#changed.fire();
  }

  #finish(end: { readonly reason?: unknown; readonly isComplete: boolean }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (end.isComplete) this.#length = this.#started;
    else {
      this.#stale.length = 0;
      this.#ended.abort(end.reason);
      this.#input.close().catch(() => undefined);
    }
    this.#errors.sort((a, b) => a.index - b.index);
    this.#leaveSignal();
    this.#bar?.stop();
    this.#closePool();
    this.#changed.fire();
  }

  /** Ends the workers when nobody needs them any more. */
  #closePool(): void {
    if (this.#end === undefined || this.#end.isComplete && this.#refreshing > 0) return;
    this.#pool?.close();
  }

  async #showProgress(): Promise<void> {
    if (!this.#showsProgress || this.#bar !== undefined) return;
    this.#bar = await createProgress({
      total: this.#length,
      label: originalOf(this.#memo.fn).name || "map",
    });
    if (this.#done > 0) this.#bar.tick(this.#done);
    if (this.#end !== undefined) this.#bar.stop();
  }

  #rest(): void {
    this.#bar?.stop();
    this.#bar = undefined;
    this.#pool?.dismiss();
  }

  #failure(): AggregateError {
    const count = `${this.#errors.length} of ${this.#done}`;
    return new AggregateError(
      this.#errors.map(({ error }) => error),
      `${count} calls of ${originalOf(this.#memo.fn).name || "the function"} failed`,
    );
  }
}

interface CheckedMapOptions {
  readonly concurrency: number;
  readonly ordered: boolean;
  readonly progress: boolean;
  readonly force: boolean | undefined;
  readonly signal: AbortSignal | undefined;
  readonly pool: WorkerPool | undefined;
}

const OPTION_NAMES = ["options", "concurrency", "ordered", "progress", "signal", "worker"];

function checkMapOptions(options: MapOptions): CheckedMapOptions {
  const { concurrency = navigator.hardwareConcurrency, ordered = true, progress = false } = options;
  const { force, signal, worker } = options;
  if (typeof concurrency !== "number") {
    throw new TypeError(`Expected concurrency to be a number, got ${typeOf(concurrency)}`);
  }
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new RangeError(`Expected concurrency to be an integer from 1 on, got ${concurrency}`);
  }
  for (const [name, value] of Object.entries({ ordered, progress, force })) {
    if (value !== undefined && typeof value !== "boolean") {
      throw new TypeError(`Expected ${name} to be a boolean, got ${typeOf(value)}`);
    }
  }
  checkSignal(signal);
  const pool = worker && new WorkerPool(worker);
  return { concurrency, ordered, progress, force, signal, pool };
}

/** `stash.map`. */
export function map(
  handle: Handle,
  fn: AnyFunction,
  objects: unknown,
  options: MapOptions = {},
): MapRun<unknown[], unknown> {
  return mapOver(memoOfMap(handle, fn, options), objects, options);
}

/** `stash.stashMapped` for one function: what starts a run, and where its results are kept. */
export function mapped(
  handle: Handle,
  fn: AnyFunction,
  options: MapOptions,
): { handle: Handle; start(objects: unknown, more?: MapOptions): MapRun<unknown[], unknown> } {
  const memo = memoOfMap(handle, fn, options);
  return {
    handle: memo.handle,
    start: (objects, more = {}) => mapOver(memo, objects, { ...options, ...more }),
  };
}

function mapOver(
  memo: Memo,
  objects: unknown,
  options: MapOptions,
): MapRun<unknown[], unknown> {
  return new Run(memo, mapInput(objects, options.options), checkMapOptions(options));
}

/** What keeps the results: with options of its own, or as `run` keeps them. */
function memoOfMap(handle: Handle, fn: AnyFunction, options: MapOptions): Memo {
  if (typeof fn !== "function") throw new TypeError(`Expected a function, got ${typeOf(fn)}`);
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Expected an object of options, got ${typeOf(options)}`);
  }
  checkNames(options, [...OPTION_NAMES, ...FUNCTION_OPTIONS]);
  const ofFunction = Object.entries(options).filter(([name]) => FUNCTION_OPTIONS.includes(name));
  const isForceAlone = ofFunction.every(([name]) => name === "force");
  if (isForceAlone) return memoOf(fn) ?? memoFor(handle, fn);
  return new Memo(handle, fn, Object.fromEntries(ofFunction));
}
