/** Functions that make many values in one call, each of which is kept by itself. */
import { encodeKey } from "../codec/key.ts";
import type { Awaitable, Entry } from "../engines/engine.ts";
import { LONGEST_TIMER } from "../platform/timers.ts";
import { isNested } from "../store/contention.ts";
import { readEach } from "../store/groups.ts";
import type { Handle } from "../store/handle.ts";
import { checkFiniteTime, checkNames, typeOf } from "../store/options.ts";
import { checkIterable } from "../store/pairs.ts";
import { Window } from "../store/window.ts";
import { aboutOne, type BatchWork, Member, Round } from "./batch_round.ts";
import { isFresh } from "./freshness.ts";
import { type AnyFunction, originalOf, wraps } from "./function_key.ts";
import type { Job } from "./job.ts";
import { type FunctionOptions, Memo } from "./memoize.ts";
import { checkFlightOptions, FLIGHT_OPTIONS, type FlightOptions } from "./options.ts";
import { markFunction } from "./retire.ts";
import { CLAIMED, type Wish } from "./claim.ts";
import { elapsed, hit, missed } from "./serve.ts";
import { fly } from "./single_flight.ts";

/**
 * How `getOrSetMany` keeps what it makes.
 *
 * @typeParam V The type of the values.
 * @typeParam K The type of the keys.
 */
export interface GetOrSetManyOptions<V = unknown, K = never> extends
  Omit<
    FlightOptions<V, [key: K]>,
    | "staleWhileRevalidate"
    | "staleIfError"
    | "retryAfter"
    | "softTimeout"
    | "refreshAhead"
    | "cacheErrors"
  > {
  /** The most keys that one call of the function is given; 100 by default. */
  maxBatch?: number;
}

/**
 * How a batch function gathers its calls, and how its results are kept.
 *
 * @typeParam I What a result is asked for by.
 * @typeParam R A result.
 */
export interface BatchOptions<I = never, R = unknown>
  extends Pick<FunctionOptions<[id: I], R>, "name" | "version" | "key">, GetOrSetManyOptions<R, I> {
  /**
   * How long calls are gathered after the first of them, ms. By default those that are made before
   * the program waits for a timer or for input are one batch.
   */
  wait?: number;
}

/** What a function makes of many ids: a value for each in their order, or a Map from id to value. */
export type BatchResult<I, R> = Awaitable<readonly (R | Error)[] | ReadonlyMap<I, R | Error>>;

/** The options that are about one result at a time. */
const OF_ONE = [
  "staleWhileRevalidate",
  "staleIfError",
  "retryAfter",
  "softTimeout",
  "refreshAhead",
  "cacheErrors",
];
const MANY_OPTIONS = ["maxBatch", ...FLIGHT_OPTIONS.filter((name) => !OF_ONE.includes(name))];
const BATCH_OPTIONS = ["name", "version", "key", "wait", ...MANY_OPTIONS];
const MAX_BATCH = 100;

/** A value that is asked for. */
interface Asked {
  readonly job: Job;
  /** Whether it is made, whatever is stored. */
  readonly isForced: boolean;
}

/** What is there for it: the entry, or a place in a round that makes what is missing. */
type Found =
  | { readonly entry: Entry }
  | { readonly error: unknown }
  | { readonly round: Round; readonly place: number };

/** Calls of a function that makes many values at once. */
class Batch {
  readonly #work: BatchWork;
  readonly #window: Window<readonly Asked[], readonly Found[]>;
  /** For those who look again at what others are at, and have been gathered before. */
  readonly #again: Window<readonly Asked[], readonly Found[]>;

  constructor(work: BatchWork, wait: number) {
    this.#work = work;
    const look = (calls: readonly (readonly Asked[])[]) => this.#look(calls);
    this.#window = new Window(wait, look);
    this.#again = wait === 0 ? this.#window : new Window(0, look);
  }

  /** One value, stored or made together with others. */
  async one(job: Job, isForced = false): Promise<unknown> {
    const { target } = job;
    const asked = [{ job, isForced }];
    target.enter("get");
    const begin = target.watch.beginGet();
    try {
      const [found] = isForced ? await this.#window.join(asked) : await this.#find(asked);
      return await this.#take(asked[0], found, begin);
    } finally {
      target.leave();
    }
  }

  /**
   * The values of many, in their order.
   *
   * @param what What has failed, in the message of the error when some of them have.
   */
  async many(ids: Iterable<unknown>, what: string): Promise<unknown[]> {
    // All of them before anything is begun: one may have no key.
    const asked = Array.from(
      checkIterable(ids),
      (id) => ({ job: this.#work.job(id), isForced: false }),
    );
    const { target } = this.#work;
    target.enter("get");
    try {
      if (asked.length === 0) return [];
      const found = await this.#find(asked);
      const taken = asked.map((one, i) => this.#take(one, found[i]));
      const errors: unknown[] = [];
      let isOfMaking = true;
      const values = (await Promise.allSettled(taken)).map((outcome, i) => {
        if (outcome.status === "fulfilled") return outcome.value;
        errors.push(outcome.reason);
        isOfMaking &&= "round" in found[i];
      });
      if (errors.length === 0) return values;
      // What is about no value in particular, as a call that failed, is told as it is.
      const about = aboutOne(errors[0]);
      const isOfAll = errors.length === asked.length
        ? about !== "given"
        : isOfMaking && about === undefined;
      if (isOfAll && new Set(errors).size === 1) throw errors[0];
      throw new AggregateError(errors, `${errors.length} of ${asked.length} ${what} failed`);
    } finally {
      target.leave();
    }
  }

  /** What is there, in the place of a call that reads these keys. */
  #find(asked: readonly Asked[]): Promise<readonly Found[]> {
    const { target } = this.#work;
    const texts = asked.map(({ job }) => job.text);
    const join = () => this.#window.join(asked);
    const find = () => target.onKeys("get", texts, "read", join, true);
    if (target.bypass === undefined) return find();
    // Without the store there is no order of calls to be in.
    return target.bypass.read(asked[0].job, find, undefined).then((found) => found ?? join());
  }

  /**
   * The value that is there, or the one that is made: here or, waited for, elsewhere.
   *
   * @param begin When the caller asked for it; 0: that is not to be told.
   */
  async #take({ job, isForced }: Asked, found: Found, begin = 0): Promise<unknown> {
    if ("entry" in found) return await hit(job, found.entry, begin);
    if ("round" in found && !isForced) missed(job, elapsed(begin));
    const wish = isForced ? "new" : isNested() ? "any" : "unclaimed";
    const member = new Member(job);
    const made = await this.#make(member, found, wish);
    if (made !== CLAIMED) return made;
    return await job.target.watch.during("wait", job.text, async () => {
      for (let attempt = 0;; attempt++) {
        if ("round" in found) await found.round.pause(attempt);
        [found] = await this.#again.join([{ job, isForced }]);
        const made = await this.#make(member, found, wish);
        if (made !== CLAIMED) return made;
      }
    });
  }

  /** The value, or `CLAIMED` when another process is at it. */
  async #make(member: Member, found: Found, wish: Wish): Promise<unknown> {
    // It was missing when it was looked for at first, and counts as that.
    if ("entry" in found) return await member.job.target.read(found.entry, member.job.text);
    if ("error" in found) throw found.error;
    member.enter(found.round, found.place);
    try {
      return await fly(member.job, wish, undefined, member);
    } finally {
      member.waits();
    }
  }

  /** Looks at what is stored for all calls that have been gathered. */
  async #look(calls: readonly (readonly Asked[])[]): Promise<Found[][]> {
    const wanted = calls.flat().filter(({ isForced }) => !isForced);
    const texts = [...new Set(wanted.map(({ job }) => job.text))];
    const { target } = this.#work;
    const outcomes = await target.runAnyway(
      "getMany",
      texts[0] ?? "",
      (store) =>
        store && readEach({
          get: (text) => target.servedEntry(store, text),
          getMany: (some) => target.servedEntries(store, some),
        }, texts),
    );
    const there = new Map(texts.map((text, i) => [text, outcomes?.[i]]));
    const round = new Round(this.#work);
    return calls.map((asked) =>
      asked.map(({ job, isForced }) => {
        const outcome = isForced ? undefined : there.get(job.text);
        const isFailure = outcome?.status === "rejected";
        if (isFailure && !target.bypass?.failedToRead(outcome.reason, job)) {
          return { error: outcome.reason };
        }
        const entry = isFailure ? undefined : outcome?.value;
        const isThere = entry !== undefined && isFresh(entry);
        return isThere ? { entry } : { round, place: round.count++ };
      })
    );
  }
}

/** A batch function as it is called: who knows what a stash looks like adds the rest. */
export interface WrappedBatch {
  (id: unknown): Promise<unknown>;
  many(ids: Iterable<unknown>): Promise<unknown[]>;
  key(id: unknown): unknown;
  peek(id: unknown): Promise<unknown>;
  force(id: unknown): Promise<unknown>;
  forget(id: unknown): Promise<boolean>;
}

/** `stash.stashedBatch`: the function, and where its results are. */
export function stashedBatch(
  handle: Handle,
  fn: unknown,
  given: BatchOptions = {},
): { batch: WrappedBatch; results: Handle } {
  checkFunction(fn);
  checkBatchNames(given, BATCH_OPTIONS);
  const { maxBatch, wait = 0, ...ofFunction } = given;
  checkFiniteTime("wait", wait);
  if (wait > LONGEST_TIMER) {
    throw new RangeError(`Expected wait to be at most ${LONGEST_TIMER} ms, got ${wait}`);
  }
  const memo = new Memo(handle, fn, ofFunction as FunctionOptions);
  if (memo.kind !== "plain") {
    throw new TypeError("Expected a function that returns an array or a Map, got a generator");
  }
  const { timeout, ...options } = memo.options;
  const work: BatchWork = {
    target: memo.handle,
    maxBatch: checkMaxBatch(maxBatch),
    timeout,
    job: (id) => {
      const { target, text, args } = memo.job(undefined, [id]);
      return {
        target,
        text,
        options,
        args,
        compute: () => memo.asCalled(text, undefined, [id])[0],
      };
    },
    text: (id) => memo.text(undefined, [id]),
    // Before it runs: who retires it meanwhile has to know of it.
    prepare: () => markFunction(memo.handle),
    call: (ids) => fn(ids),
  };
  const one = new Batch(work, wait);
  const { name } = fn;
  const what = `calls of ${originalOf(fn).name || "the function"}`;
  const wrapped = async (id: unknown) => await one.one(work.job(id));
  Object.defineProperty(wrapped, "name", { value: name, configurable: true });
  wraps(wrapped as AnyFunction, fn);
  const batch = Object.assign(wrapped, {
    many: (ids: Iterable<unknown>) => one.many(ids, what),
    key: (id: unknown) => memo.key(undefined, [id]),
    peek: async (id: unknown) => await memo.peek(undefined, [id]),
    force: async (id: unknown) => await one.one(work.job(id), true),
    forget: async (id: unknown) => await memo.forget(undefined, [id]),
  });
  return { batch, results: memo.handle };
}

/** `stash.getOrSetMany`. */
export async function getOrSetMany(
  handle: Handle,
  keys: Iterable<unknown>,
  fn: unknown,
  given: GetOrSetManyOptions = {},
): Promise<unknown[]> {
  checkFunction(fn);
  checkBatchNames(given, MANY_OPTIONS);
  const { maxBatch, ...rest } = given;
  const { timeout, ...options } = checkFlightOptions(rest, handle.options.ttl);
  const work: BatchWork = {
    target: handle,
    maxBatch: checkMaxBatch(maxBatch),
    timeout,
    job: (key) => ({
      target: handle,
      text: encodeKey(key),
      options,
      args: [key],
      compute: () => key,
    }),
    text: encodeKey,
    call: (missing) => fn(missing),
  };
  return await new Batch(work, 0).many(keys, "values");
}

function checkFunction(fn: unknown): asserts fn is AnyFunction {
  if (typeof fn !== "function") {
    throw new TypeError(`Expected a function that makes the values, got ${typeOf(fn)}`);
  }
}

function checkBatchNames(options: object, names: readonly string[]): void {
  const ofOne = OF_ONE.find((name) => typeof options === "object" && name in (options ?? {}));
  if (ofOne !== undefined) {
    throw new TypeError(
      `Cannot use the option "${ofOne}" in a batch, expected one of: ${names.join(", ")}`,
    );
  }
  checkNames(options, names);
}

function checkMaxBatch(maxBatch: unknown = MAX_BATCH): number {
  if (typeof maxBatch !== "number") {
    throw new TypeError(`Expected maxBatch to be a number, got ${typeOf(maxBatch)}`);
  }
  if (!Number.isInteger(maxBatch) || maxBatch < 1) {
    throw new RangeError(`Expected maxBatch to be an integer from 1 on, got ${maxBatch}`);
  }
  return maxBatch;
}
