/** What a function can learn and say of the run that it is in. */
import { AsyncLocalStorage } from "node:async_hooks";
import { startTimer, stopTimer, type Timer } from "../platform/timers.ts";
import { checkNames, checkTags, typeOf } from "../store/options.ts";

/** How the result of a run is kept, said from inside of it. */
export interface KeepOptions {
  /** How long it is kept, ms, instead of what the options of the function say. */
  ttl?: number;
  /** Tags of it, besides those that the options of the function say. */
  tags?: readonly string[];
  /** `false`: it is given to the callers and not kept. */
  store?: boolean;
}

/**
 * The run that the code is in: see {@linkcode computation}.
 *
 * @typeParam R The result.
 */
export interface Computation<R = unknown> {
  /** Aborted when the run has taken longer than `timeout`. */
  readonly signal: AbortSignal;
  /** The stored result whose `ttl` has ended, if there is one. Of a generator it is what it yielded. */
  readonly stale: R | undefined;
  /**
   * Says how the result is kept. What is said later counts, but tags add up; without effect once the
   * function has ended.
   *
   * @throws {TypeError | RangeError} On options that make no sense.
   */
  options(keep: KeepOptions): void;
}

/** One run of a function, while it is under way. */
export class ComputedRun {
  readonly stale: unknown;
  readonly #timeout: number | undefined;
  #abort: AbortController | undefined;
  #said: KeepOptions = {};
  #face: Computation | undefined;
  #isEnded = false;
  #timer: Timer | undefined;
  #whenLate: ((error: unknown) => void) | undefined;

  /** @param timeout Its limit, ms; none by default. */
  constructor(stale?: unknown, timeout?: number) {
    this.stale = stale;
    this.#timeout = timeout;
  }

  /** What was said of how its result is kept. */
  get said(): KeepOptions {
    return this.#said;
  }

  get signal(): AbortSignal {
    return (this.#abort ??= new AbortController()).signal;
  }

  /** What the function sees of it; `undefined` when the run has ended. */
  get face(): Computation | undefined {
    if (this.#isEnded) return undefined;
    const { signal, stale } = this;
    return this.#face ??= Object.freeze({ signal, stale, options: (keep) => this.options(keep) });
  }

  options(keep: KeepOptions): void {
    checkNames(keep, ["ttl", "tags", "store"]);
    const { ttl, store } = keep;
    let tags = checkTags(keep.tags);
    if (ttl !== undefined && (typeof ttl !== "number" || Number.isNaN(ttl))) {
      throw new TypeError(`Expected ttl to be a number of ms, got ${String(ttl)}`);
    }
    if (store !== undefined && typeof store !== "boolean") {
      throw new TypeError(`Expected store to be a boolean, got ${typeOf(store)}`);
    }
    tags = tags && checkTags([...this.#said.tags ?? [], ...tags]);
    const given = Object.entries({ ttl, tags, store });
    if (this.#isEnded) return;
    this.#said = {
      ...this.#said,
      ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    };
  }

  /** Aborts it, as it has taken longer than it may. */
  abort(error: unknown): void {
    this.#isEnded = true;
    this.#abort ??= new AbortController();
    this.#abort.abort(error);
  }

  /** Runs a part of the function as part of the run, within its limit. */
  async within<T>(body: () => T): Promise<Awaited<T>> {
    const working = current.run(this, async () => await body());
    if (this.#timeout === undefined) return await working;
    const { promise: late, reject } = Promise.withResolvers<never>();
    this.#whenLate = reject;
    this.restart();
    try {
      return await Promise.race([working, late]);
    } finally {
      this.#whenLate = undefined;
      stopTimer(this.#timer);
    }
  }

  /**
   * Begins its time anew, as what went before was no part of the function.
   *
   * @param least How long it has at least, ms.
   */
  restart(least = 0): void {
    if (this.#timeout === undefined || this.#whenLate === undefined) return;
    const ms = Math.max(least, this.#timeout);
    stopTimer(this.#timer);
    this.#timer = startTimer(() => {
      const error = new DOMException(`The run took longer than ${ms} ms`, "TimeoutError");
      const tell = this.#whenLate;
      this.abort(error);
      tell?.(error);
    }, ms);
  }

  /** Whether it has taken longer than it may: what it brings now does not count. */
  get isLate(): boolean {
    return this.#abort?.signal.aborted ?? false;
  }

  /** The function has ended: what it has left running is not part of the run. */
  end(): void {
    this.#isEnded = true;
  }
}

const current = new AsyncLocalStorage<ComputedRun>();

/** The run that the code is in, while it is under way. */
export function currentRun(): ComputedRun | undefined {
  return current.getStore();
}

/**
 * Inside a function whose result is being computed, for a stash or a `getOrSet`, also in a worker:
 * the run. `undefined` anywhere else, and when the run has ended.
 *
 * @typeParam R The result.
 *
 * @example
 * ```ts
 * import { computation, HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * const user = stash.stashedResult(async (id: number) => {
 *   const { signal } = computation()!;
 *   const found = await Promise.resolve({ id, isAborted: signal.aborted });
 *   if (id < 0) computation()!.options({ store: false });
 *   return found;
 * }, { timeout: 5_000 });
 * console.log(await user(7)); // { id: 7, isAborted: false }
 * ```
 */
export function computation<R = unknown>(): Computation<R> | undefined {
  return current.getStore()?.face as Computation<R> | undefined;
}
