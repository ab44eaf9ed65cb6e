/**
 * Functions whose results are kept: each result is computed once, by one of all callers, and then
 * comes from a stash.
 */
import { decodeKey, encodeKey } from "../codec/key.ts";
import {
  type CheckedFlightOptions,
  checkFlightOptions,
  FLIGHT_OPTIONS,
  type FlightOptions,
} from "./options.ts";
import {
  type AnyFunction,
  functionSegment,
  methodName,
  originalOf,
  receiverKey,
  refuseOuterThis,
  usesReceiver,
  wraps,
} from "./function_key.ts";
import { ABSENT, type Handle } from "../store/handle.ts";
import { record } from "./recording.ts";
import {
  BrokenOff,
  drain,
  type FunctionKind,
  kindOf,
  promised,
  replay,
  replayAsync,
  replayBroken,
  type StoredGenerator,
} from "./replay.ts";
import { dropError } from "./kept_errors.ts";
import { markFunction, retire } from "./retire.ts";
import { checkNames, checkSignal, typeOf } from "../store/options.ts";
import type { Job } from "./job.ts";
import { newerOrStale, recallOrCompute } from "./recall.ts";
import { type Found, missed, serve, type Stale } from "./serve.ts";
import { fly, refresh } from "./single_flight.ts";

/** How the results of a function are kept. */
export interface FunctionOptions<A extends unknown[] = never[], R = unknown>
  extends FlightOptions<R, A> {
  /**
   * The name of the function's store inside the stash. By default the function's own name and a
   * hash of its source: a function whose source has changed begins anew. Give a name to functions
   * that close over values that differ, as only the source counts and not what it refers to.
   */
  name?: string;
  /** Retires the results of other versions. */
  version?: string | number;
  /**
   * Makes the key of a call from its arguments, instead of the list of them: for arguments that
   * don't matter or can't be serialized. `this` is the object that a method is called on, whose
   * state then counts only as far as the key says.
   */
  key?: (...args: A) => unknown;
  /** Runs the function at every call, replacing the stored result. */
  force?: boolean;
}

/** What is particular to some calls of a function: see `with`. */
export interface CallOptions {
  /** Ends the wait of the caller, who gets its reason. The computation goes on for others. */
  signal?: AbortSignal;
  /**
   * The object that a method is called on, for those who have only the method:
   * `Api.prototype.user`.
   */
  receiver?: object;
  /** Runs the function, replacing the stored result. */
  force?: boolean;
}

/**
 * What a call of a function with kept results gives, by what the function itself gives.
 *
 * @typeParam R What the function returns.
 */
export type StashedReturn<R> = R extends AsyncGenerator<infer T, infer E, infer _N>
  ? Promise<AsyncGenerator<T, E, void>> & AsyncGenerator<T, E, void>
  : R extends Generator<infer T, infer E, infer _N> ? Promise<Generator<T, E, void>>
  : Promise<Awaited<R>>;

/**
 * What is stored of a result: the result, or of a generator a list of what it yielded.
 *
 * @typeParam R What the function returns.
 */
export type StoredReturn<R> = R extends AsyncGenerator<infer T, infer E, infer _N>
  ? StoredGenerator<T, E>
  : R extends Generator<infer T, infer E, infer _N> ? StoredGenerator<T, E>
  : Awaited<R>;

/** The names of the options of a function. */
export const FUNCTION_OPTIONS: readonly string[] = [
  "name",
  "version",
  "key",
  "force",
  ...FLIGHT_OPTIONS,
];

/** A function and where its results are: what is behind a `StashedFunction`. */
export class Memo {
  readonly fn: AnyFunction;
  readonly kind: FunctionKind;
  readonly #parent: Handle;
  readonly #naming: Pick<FunctionOptions, "name" | "version">;
  readonly options: CheckedFlightOptions;
  readonly #force: boolean;
  readonly #key: AnyFunction | undefined;
  readonly #countsReceiver: boolean;
  /** The name of the method that it is; `undefined`: it is none, or its results have a name. */
  readonly #method: string | undefined;
  /** Where the results are, by the prototype of what the method was called on. */
  readonly #byClass = new WeakMap<object, Handle>();
  #handle: Handle | undefined;

  constructor(parent: Handle, fn: AnyFunction, options: FunctionOptions, method?: MethodContext) {
    this.options = checkFunctionOptions(options, parent.options.ttl);
    refuseOuterThis(fn, options);
    this.fn = fn;
    this.kind = kindOf(originalOf(fn));
    this.#parent = parent;
    this.#naming = { name: options.name, version: options.version };
    this.#force = options.force === true;
    this.#key = options.key as AnyFunction | undefined;
    this.#countsReceiver = this.#key === undefined && (method !== undefined || usesReceiver(fn));
    if (method === undefined || options.name !== undefined) this.#handle = this.#open(fn.name);
    else {
      const name = this.#method = String(method.name);
      // What has no source is refused now, and not at the first call.
      functionSegment(fn, this.#naming, name);
      const learn = (receiver: unknown) => void this.handleFor(receiver);
      // So that the results can be found by the method alone, once there is an instance.
      method.addInitializer(function () {
        learn(this);
      });
    }
  }

  /** Where the results are: of a method whose class is not known yet, by its name alone. */
  get handle(): Handle {
    return this.#handle ?? this.#open(this.#method ?? "");
  }

  /** Where the results of calls on this object are. */
  handleFor(receiver: unknown): Handle {
    const name = this.#method;
    if (name === undefined || !isObject(receiver)) return this.handle;
    const Class = typeof receiver === "function" ? receiver : Object.getPrototypeOf(receiver);
    let handle = this.#byClass.get(Class ?? receiver);
    if (handle === undefined) {
      const isIt = (value: unknown) => typeof value === "function" && memos.get(value) === this;
      handle = this.#open(methodName(receiver, name, isIt));
      this.#byClass.set(Class ?? receiver, handle);
      this.#handle = handle;
    }
    return handle;
  }

  #open(name: string): Handle {
    return functionHandle(this.#parent, functionSegment(this.fn, this.#naming, name));
  }

  /** The key of a call. */
  key(receiver: unknown, args: unknown[]): unknown {
    if (this.#key !== undefined) return this.#key.apply(receiver, args);
    return this.#counts(receiver) ? [receiverKey(receiver), ...args] : args;
  }

  /** What a call gives. */
  call(receiver: unknown, args: unknown[], options: CallOptions): Promise<unknown> {
    if (this.kind === "plain") return this.result(receiver, args, options);
    if (this.kind === "asyncGenerator") return promised(this.#record(receiver, args, options));
    return this.result(receiver, args, options).then(replay, async (error) => {
      if (error instanceof BrokenOff) return await replayBroken(error, this.#copy);
      throw error;
    });
  }

  /** The stored form of what a call gives. */
  async result(
    receiver: unknown,
    args: unknown[],
    { force = this.#force, signal }: CallOptions,
  ): Promise<unknown> {
    return await recallOrCompute(this.job(receiver, args), force, signal);
  }

  /**
   * The same for a call whose result was not in the store, or `CLAIMED` when another process is at
   * it and this one does not wait. `work` runs the function elsewhere.
   */
  async compute(
    args: unknown[],
    { force = this.#force, signal, waits, stale }: CallOptions & { waits: boolean; stale?: Stale },
    work?: (args: unknown[]) => unknown,
  ): Promise<unknown> {
    const wish = force ? "new" : waits ? "any" : "unclaimed";
    const job = this.job(undefined, args, work);
    job.target.enter("compute");
    try {
      if (stale !== undefined && !force) {
        return await newerOrStale(job, stale, waits ? "newer" : "unclaimed", signal);
      }
      return await fly(job, wish, signal);
    } finally {
      job.target.leave();
    }
  }

  /**
   * What is there for many calls, results in stored form. Those that are due it is for the caller to
   * have refreshed.
   */
  async recallMany(calls: unknown[][]): Promise<Found[]> {
    const { handle } = this;
    const asking = { target: handle, text: "" };
    if (this.#force || handle.bypass?.leavesOut(asking)) return calls.map(() => ABSENT);
    try {
      const jobs = calls.map((args) => this.job(undefined, args));
      const texts = jobs.map(({ text }) => text);
      return await handle.run("get entries", async (store) => {
        const entries = await handle.servedEntries(store, texts);
        return await Promise.all(
          entries.map(async (entry, i) => {
            const found = entry === undefined ? ABSENT : await serve(jobs[i], entry);
            if (found === ABSENT) missed(jobs[i]);
            return found;
          }),
        );
      });
    } catch (error) {
      handle.bypass?.failedToRead(error, asking);
      // One of them is damaged, or has no key: each call says so by itself.
      return calls.map(() => ABSENT);
    }
  }

  /** Makes a newer result in the background, unless somebody is at it; it rejects never. */
  async refresh(args: unknown[], work?: (args: unknown[]) => unknown): Promise<void> {
    await refresh(this.job(undefined, args, work));
  }

  async peek(receiver: unknown, args: unknown[]): Promise<unknown> {
    const stored = await this.handleFor(receiver).get(this.text(receiver, args), ABSENT);
    return stored === ABSENT ? undefined : this.present(stored);
  }

  async forget(receiver: unknown, args: unknown[]): Promise<boolean> {
    const job = this.job(receiver, args);
    // Called before anything is awaited: a call that follows comes after it.
    const [forgotten] = await Promise.all([job.target.delete(job.text), dropError(job)]);
    return forgotten;
  }

  /** Removes the stores of other sources and versions of the function's name; how many. */
  async retire(receiver: unknown): Promise<number> {
    const isNamed = this.#naming.name !== undefined;
    return await retire(this.#parent, this.handleFor(receiver), isNamed);
  }

  /** A result from its stored form. */
  present(stored: unknown): unknown {
    if (this.kind === "plain") return stored;
    return this.kind === "generator" ? replay(stored) : replayAsync(stored);
  }

  async #record(
    receiver: unknown,
    args: unknown[],
    { force = this.#force, signal }: CallOptions,
  ): Promise<AsyncGenerator<unknown, unknown, void>> {
    const job = this.job(receiver, args);
    let marking: Promise<void> | undefined;
    const start = () => {
      marking = markFunction(job.target);
      return this.fn.apply(receiver, this.asCalled(job.text, receiver, args));
    };
    try {
      const reader = await record(
        job,
        start as () => AsyncGenerator,
        force ? "new" : "any",
        signal,
      );
      await marking;
      return reader;
    } catch (error) {
      throw error instanceof BrokenOff ? error.cause : error;
    }
  }

  /** The canonical text of the key of a call. */
  text(receiver: unknown, args: unknown[]): string {
    try {
      return encodeKey(this.key(receiver, args));
    } catch (error) {
      if (!(error instanceof TypeError) || this.#key !== undefined) throw error;
      const of = this.fn.name && ` of "${this.fn.name}"`;
      throw new TypeError(
        `${error.message}; the option key${of} can say what counts`,
        { cause: error },
      );
    }
  }

  /** What computes the result of a call; `work` runs the function elsewhere. */
  job(receiver: unknown, args: unknown[], work?: (args: unknown[]) => unknown): Job {
    const text = this.text(receiver, args);
    const target = this.handleFor(receiver);
    return {
      target,
      text,
      options: this.options,
      args,
      compute: async () => {
        // Before it runs: who retires it meanwhile has to know of it.
        await markFunction(target);
        const called = this.asCalled(text, receiver, args);
        if (work !== undefined) return await work(called);
        const result = await this.fn.apply(receiver, called);
        return this.kind === "plain"
          ? result
          : await drain(result as Iterator<unknown>, this.#copy);
      },
    };
  }

  /** A value as it would come from the store. */
  readonly #copy = async (value: unknown): Promise<unknown> => {
    const { codec } = this.#parent;
    return await codec.decode(await codec.encode(value));
  };

  /**
   * The arguments as they were at the call: the function begins later, and the caller may have
   * changed them by then.
   */
  asCalled(text: string, receiver: unknown, args: unknown[]): unknown[] {
    if (this.#key !== undefined) return args;
    const now = encodeKey(args);
    if (now === text) return args;
    const then = (decodeKey(text) as unknown[]).slice(this.#counts(receiver) ? 1 : 0);
    return encodeKey(then) === now ? args : then;
  }

  #counts(receiver: unknown): receiver is object {
    return this.#countsReceiver && isObject(receiver) && receiver !== globalThis;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" ? value !== null : typeof value === "function";
}

const memos = new WeakMap<object, Memo>();

/** What is behind a function with kept results; `undefined` for any other function. */
export function memoOf(fn: object): Memo | undefined {
  return memos.get(fn);
}

/**
 * What a function with kept results has besides being called: it is made by who knows what a stash
 * looks like to the user.
 */
export interface Wrapped extends AnyFunction {
  key(...args: unknown[]): unknown;
  peek(...args: unknown[]): Promise<unknown>;
  force(...args: unknown[]): Promise<unknown>;
  forget(...args: unknown[]): Promise<boolean>;
  retire(): Promise<number>;
  with(options: CallOptions): Wrapped;
}

/**
 * Adds to a function with kept results what only the floor above knows. Where a method's results
 * are is known only once there is an instance.
 */
export type Finish = (wrapped: Wrapped, results: () => Handle) => void;

/**
 * `stash.stashedResult`: around a function, with or without options, or as the decorator of a
 * method.
 */
export function stashedResult(
  handle: Handle,
  first: unknown,
  second: unknown,
  finish: Finish,
): unknown {
  const kept = (fn: AnyFunction, options: FunctionOptions, method?: MethodContext) =>
    wrap(new Memo(handle, fn, options, method), {}, finish);
  if (typeof first === "function") {
    return isContext(second)
      ? kept(first as AnyFunction, {}, checkedMethod(second))
      : kept(first as AnyFunction, second as FunctionOptions);
  }
  const options = first as FunctionOptions;
  checkFunctionOptions(options, handle.options.ttl);
  return (fn: unknown, context: unknown) => {
    if (typeof fn !== "function") throw new TypeError(`Expected a function, got ${typeOf(fn)}`);
    const method = isContext(context) ? checkedMethod(context) : undefined;
    return kept(fn as AnyFunction, options, method);
  };
}

/** `stash.run`. */
export function run(handle: Handle, fn: AnyFunction, args: unknown[]): Promise<unknown> {
  let memo: Memo;
  try {
    if (typeof fn !== "function") throw new TypeError(`Expected a function, got ${typeOf(fn)}`);
    memo = memoFor(handle, fn);
  } catch (error) {
    return Promise.reject(error);
  }
  return memo.call(undefined, args, {});
}

const plainMemos = new WeakMap<Handle, WeakMap<AnyFunction, Memo>>();

/** What keeps the results of a function without options: its own, when it has one. */
export function memoFor(handle: Handle, fn: AnyFunction): Memo {
  const own = memos.get(fn);
  if (own !== undefined) return own;
  let known = plainMemos.get(handle);
  if (known === undefined) plainMemos.set(handle, known = new WeakMap());
  let memo = known.get(fn);
  if (memo === undefined) known.set(fn, memo = new Memo(handle, fn, {}));
  return memo;
}

function checkedMethod(context: MethodContext): MethodContext {
  if (context.kind === "method") return context;
  throw new TypeError(`Expected a method to decorate, got a ${context.kind}`);
}

function wrap(memo: Memo, options: CallOptions, finish: Finish): Wrapped {
  checkCallOptions(options);
  const { receiver } = options;
  const wrapped: AnyFunction = function (...args) {
    return memo.call(receiver ?? this, args, options);
  };
  const { name, length } = memo.fn;
  Object.defineProperties(wrapped, {
    name: { value: name, configurable: true },
    length: { value: length, configurable: true },
  });
  memos.set(wrapped, memo);
  wraps(wrapped, memo.fn);
  const whole: Wrapped = Object.assign(wrapped, {
    key: (...args: unknown[]) => memo.key(receiver, args),
    peek: async (...args: unknown[]) => await memo.peek(receiver, args),
    force: (...args: unknown[]) => memo.call(receiver, args, { ...options, force: true }),
    forget: async (...args: unknown[]) => await memo.forget(receiver, args),
    retire: async () => await memo.retire(receiver),
    with: (more: CallOptions) => wrap(memo, { ...options, ...more }, finish),
  });
  finish(whole, () => memo.handleFor(receiver));
  return whole;
}

function checkCallOptions(options: CallOptions): void {
  checkNames(options, ["signal", "receiver", "force"]);
  const { signal, receiver, force } = options;
  checkSignal(signal);
  if (receiver !== undefined && !isObject(receiver)) {
    throw new TypeError(`Expected receiver to be an object, got ${typeOf(receiver)}`);
  }
  checkForce(force);
}

function checkForce(force: unknown): void {
  if (force !== undefined && typeof force !== "boolean") {
    throw new TypeError(`Expected force to be a boolean, got ${typeOf(force)}`);
  }
}

const functionHandles = new WeakMap<Handle, Map<string, Handle>>();

/**
 * The handle on the store of a function's results inside another: one for all who ask, closed with
 * the one that it is in.
 */
function functionHandle(parent: Handle, segment: string): Handle {
  let known = functionHandles.get(parent);
  if (known === undefined) functionHandles.set(parent, known = new Map());
  let handle = known.get(segment);
  if (handle === undefined) {
    handle = parent.sub(segment, {}, "function");
    known.set(segment, handle);
    parent.adopt(handle);
  }
  return handle;
}

/** Checks the options; those that are about sharing and keeping, with the defaults in place. */
function checkFunctionOptions(options: FunctionOptions, stashTtl: number): CheckedFlightOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Expected an object of options, got ${typeOf(options)}`);
  }
  checkNames(options, FUNCTION_OPTIONS);
  const { name, version, key, force } = options;
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    throw new TypeError("Expected name to be a string that is not empty");
  }
  if (version !== undefined && typeof version !== "string" && typeof version !== "number") {
    throw new TypeError(`Expected version to be a string or a number, got ${typeOf(version)}`);
  }
  if (key !== undefined && typeof key !== "function") {
    throw new TypeError(`Expected key to be a function of the arguments, got ${typeOf(key)}`);
  }
  checkForce(force);
  return checkFlightOptions(options, stashTtl);
}

/** What a decorator is told of a method. */
interface MethodContext {
  readonly kind: string;
  readonly name: string | symbol;
  addInitializer(initializer: (this: unknown) => void): void;
}

function isContext(value: unknown): value is MethodContext {
  return typeof value === "object" && value !== null && "kind" in value &&
    typeof Reflect.get(value, "addInitializer") === "function";
}
