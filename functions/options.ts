import { LONGEST_TIMER } from "../platform/timers.ts";
import { checkTags, checkTime, typeOf } from "../store/options.ts";

/**
 * How a computed result is kept, and how equal calls at the same time share its computation.
 *
 * @typeParam R The result.
 * @typeParam A The arguments that it was computed from; for `getOrSet` the key alone.
 */
export interface FlightOptions<R = unknown, A extends unknown[] = never[]> {
  /**
   * How long a result is kept, ms, or a function that says so of each result and the arguments that
   * it was made of; by default as long as the stash's own `ttl` says. A time that is past means
   * that the result is given to its callers and not kept.
   */
  ttl?: number | ((result: R, ...args: A) => number | undefined);
  /**
   * The tags of a result, or a function that says them of each result and the arguments that it was
   * made of: see `invalidate`. One that is invalidated while the result is made counts as well.
   */
  tags?: readonly string[] | ((result: R, ...args: A) => readonly string[] | undefined);
  /**
   * Takes up to so many ms off the `ttl`, at random, so that what was made together does not end
   * together.
   */
  jitter?: number;
  /**
   * Who shares one run of equal calls at the same time: all processes that use the store
   * (`"shared"`, the default), the callers of this process (`"process"`), or nobody (`false`).
   */
  lock?: "shared" | "process" | false;
  /**
   * How long another process waits for one that has been killed while it computed, ms; 10,000 by
   * default. While the computation runs the lease is renewed at every third of that; it lapses when
   * the event loop is blocked for so long, or the store takes so long to write: both together count.
   */
  lease?: number;
  /**
   * How long after its `ttl` a result is still served, ms, while one caller makes a newer one in
   * the background.
   */
  staleWhileRevalidate?: number;
  /**
   * How long after its `ttl` a result is still served, ms, when making a newer one fails or takes
   * longer than `timeout`.
   */
  staleIfError?: number;
  /**
   * How long after a refresh that failed none is tried, by any process, while a stale result is
   * there, ms; 10,000 by default.
   */
  retryAfter?: number;
  /**
   * How long callers wait for a newer result when a stale one is at hand, ms: then they get that
   * one. The run goes on.
   */
  softTimeout?: number;
  /**
   * The limit of a run, ms. Then its signal (`computation().signal`) is aborted, its callers get a
   * `TimeoutError`, or the stale result within `staleIfError`, and the next call begins anew. What
   * the run brings later is not stored. For an async generator it is the limit of each item.
   */
  timeout?: number;
  /**
   * From which part of the `ttl` on, 0 to 1, one caller makes a newer result in the background,
   * while all are served the one there is.
   */
  refreshAhead?: number;
  /**
   * Keeps errors too: equal calls reject with the same error for `ttl` ms, without running
   * anything. Only errors that the serializer can store are kept.
   */
  cacheErrors?: { ttl: number };
}

/** The options after the checks, with the defaults in place. */
export interface CheckedFlightOptions {
  readonly ttl?: number | ((result: unknown, ...args: unknown[]) => number | undefined);
  readonly expiresAt?: number;
  readonly tags?:
    | readonly string[]
    | ((result: unknown, ...args: unknown[]) => readonly string[] | undefined);
  readonly jitter: number;
  readonly lock: "shared" | "process" | false;
  readonly lease: number;
  readonly staleWhileRevalidate?: number;
  readonly staleIfError?: number;
  readonly retryAfter: number;
  readonly softTimeout?: number;
  readonly timeout?: number;
  readonly refreshAhead?: number;
  readonly cacheErrors?: { readonly ttl: number };
  /** How long after its `ttl` a result is stored, ms. */
  readonly staleFor: number;
  /** Whether results that are not fresh, or not for long, mean anything to the caller. */
  readonly isAboutFreshness: boolean;
}

/** The names of these options. */
export const FLIGHT_OPTIONS: readonly string[] = [
  "ttl",
  "tags",
  "jitter",
  "lock",
  "lease",
  "staleWhileRevalidate",
  "staleIfError",
  "retryAfter",
  "softTimeout",
  "timeout",
  "refreshAhead",
  "cacheErrors",
];

const LEASE = 10_000;
const RETRY_AFTER = 10_000;
/** A hundred years, ms: engines keep deadlines as integers. */
const LONGEST_LEASE = 3_155_760_000_000;

/**
 * Checks the options.
 *
 * @param stashTtl The `ttl` of results whose options have none.
 * @throws {TypeError | RangeError} On a value of the wrong type, or out of range.
 */
export function checkFlightOptions<R, A extends unknown[]>(
  options: FlightOptions<R, A>,
  stashTtl: number,
): CheckedFlightOptions {
  const { ttl, jitter = 0, lock = "shared", lease = LEASE, retryAfter = RETRY_AFTER } = options;
  const { staleWhileRevalidate, staleIfError, softTimeout, timeout, refreshAhead } = options;
  const { cacheErrors } = options;
  const tags = typeof options.tags === "function" ? options.tags : checkTags(options.tags);
  if (ttl !== undefined && typeof ttl !== "function") checkTime("ttl", ttl);
  checkFinite("jitter", jitter);
  const longest = ttl === undefined ? stashTtl : typeof ttl === "number" ? ttl : Infinity;
  if (jitter > longest) {
    throw new RangeError(
      `Expected jitter to be no more than the ttl of ${longest} ms, got ${jitter}`,
    );
  }
  if (lock !== "shared" && lock !== "process" && lock !== false) {
    throw new TypeError(`Expected lock to be "shared", "process" or false, got ${String(lock)}`);
  }
  checkFinite("lease", lease);
  if (lease < 1 || lease > LONGEST_LEASE) {
    throw new RangeError(`Expected lease to be from 1 to ${LONGEST_LEASE} ms, got ${lease}`);
  }
  const times = { staleWhileRevalidate, staleIfError, retryAfter };
  for (const [name, time] of Object.entries(times)) if (time !== undefined) checkFinite(name, time);
  for (const [name, time] of Object.entries({ softTimeout, timeout })) {
    if (time === undefined || checkTime(name, time) === Infinity) continue;
    if (time > LONGEST_TIMER) {
      throw new RangeError(`Expected ${name} to be at most ${LONGEST_TIMER} ms, got ${time}`);
    }
  }
  if (timeout === 0) throw new RangeError("Expected timeout to be more than 0 ms");
  if (refreshAhead !== undefined) checkPart("refreshAhead", refreshAhead);
  if (cacheErrors !== undefined) {
    if (typeof cacheErrors !== "object" || cacheErrors === null) {
      throw new TypeError(`Expected cacheErrors to be { ttl }, got ${typeOf(cacheErrors)}`);
    }
    checkTime("cacheErrors.ttl", cacheErrors.ttl);
  }
  return {
    ttl: ttl as CheckedFlightOptions["ttl"],
    tags: tags as CheckedFlightOptions["tags"],
    jitter,
    lock,
    lease,
    staleWhileRevalidate,
    staleIfError,
    retryAfter,
    softTimeout: softTimeout === Infinity ? undefined : softTimeout,
    timeout: timeout === Infinity ? undefined : timeout,
    refreshAhead,
    cacheErrors,
    staleFor: Math.max(staleWhileRevalidate ?? 0, staleIfError ?? 0),
    isAboutFreshness: [staleWhileRevalidate, staleIfError, softTimeout, refreshAhead]
      .some((option) => option !== undefined),
  };
}

function checkFinite(option: string, value: unknown): void {
  if (checkTime(option, value) === Infinity) {
    throw new RangeError(`Expected ${option} to be a finite number of ms`);
  }
}

function checkPart(option: string, value: unknown): void {
  if (typeof value !== "number") {
    throw new TypeError(`Expected ${option} to be a number, got ${typeOf(value)}`);
  }
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`Expected ${option} to be a number from 0 to 1, got ${value}`);
  }
}
