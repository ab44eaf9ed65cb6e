import type { Entry } from "../engines/engine.ts";
import { checkTime, deadline, typeOf } from "../store/options.ts";

/** How a computed result is kept, and how equal calls at the same time share its computation. */
export interface FlightOptions<R = unknown> {
  /**
   * How long a result is kept, ms, or a function that says so of each result; by default as long as
   * the stash's own `ttl` says.
   */
  ttl?: number | ((result: R) => number | undefined);
  /**
   * Who shares one run of equal calls at the same time: all processes that use the store
   * (`"shared"`, the default), the callers of this process (`"process"`), or nobody (`false`).
   */
  lock?: "shared" | "process" | false;
  /**
   * How long another process waits for one that has been killed while it computed, ms; 10,000 by
   * default. While the computation runs the lease is renewed at every third of that, so it needs no
   * more than that the event loop is not blocked for so long.
   */
  lease?: number;
  /**
   * How long after its `ttl` a result is still served, ms, while one caller makes a newer one in
   * the background. When that fails, the next call tries again.
   */
  staleWhileRevalidate?: number;
  /**
   * Keeps errors too: equal calls reject with the same error for `ttl` ms, without running
   * anything. Only errors that the serializer can store are kept.
   */
  cacheErrors?: { ttl: number };
}

/** The options after the checks, with the defaults in place. */
export interface CheckedFlightOptions {
  readonly ttl: FlightOptions["ttl"];
  readonly expiresAt?: number;
  readonly lock: "shared" | "process" | false;
  readonly lease: number;
  readonly staleWhileRevalidate?: number;
  readonly cacheErrors?: { readonly ttl: number };
}

/** The names of these options. */
export const FLIGHT_OPTIONS: readonly string[] = [
  "ttl",
  "lock",
  "lease",
  "staleWhileRevalidate",
  "cacheErrors",
];

const LEASE = 10_000;
/** A hundred years, ms: engines keep deadlines as integers. */
const LONGEST_LEASE = 3_155_760_000_000;

/**
 * Checks the options.
 *
 * @throws {TypeError | RangeError} On a value of the wrong type, or out of range.
 */
export function checkFlightOptions<R>(options: FlightOptions<R>): CheckedFlightOptions {
  const { ttl, lock = "shared", lease = LEASE, staleWhileRevalidate, cacheErrors } = options;
  if (ttl !== undefined && typeof ttl !== "function") checkTime("ttl", ttl);
  if (lock !== "shared" && lock !== "process" && lock !== false) {
    throw new TypeError(`Expected lock to be "shared", "process" or false, got ${String(lock)}`);
  }
  checkFinite("lease", lease);
  if (lease < 1 || lease > LONGEST_LEASE) {
    throw new RangeError(`Expected lease to be from 1 to ${LONGEST_LEASE} ms, got ${lease}`);
  }
  if (staleWhileRevalidate !== undefined) {
    checkFinite("staleWhileRevalidate", staleWhileRevalidate);
  }
  if (cacheErrors !== undefined) {
    if (typeof cacheErrors !== "object" || cacheErrors === null) {
      throw new TypeError(`Expected cacheErrors to be { ttl }, got ${typeOf(cacheErrors)}`);
    }
    checkTime("cacheErrors.ttl", cacheErrors.ttl);
  }
  return { ttl: ttl as FlightOptions["ttl"], lock, lease, staleWhileRevalidate, cacheErrors };
}

/**
 * Checks a signal.
 *
 * @throws {TypeError} When it is something else.
 */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Expected signal to be an AbortSignal, got ${typeOf(signal)}`);
  }
}

function checkFinite(option: string, value: unknown): void {
  if (checkTime(option, value) === Infinity) {
    throw new RangeError(`Expected ${option} to be a finite number of ms`);
  }
}

/**
 * The deadline of a result until which the store keeps it, ms since the epoch; `undefined`:
 * forever.
 */
export function keptUntil(
  options: CheckedFlightOptions,
  result: unknown,
  stashTtl: number,
  now: number,
): number | undefined {
  const { expiresAt, staleWhileRevalidate = 0 } = options;
  let { ttl } = options;
  if (typeof ttl === "function") {
    ttl = ttl(result);
    // A deadline that is past is no mistake: the result is for its callers, and not kept.
    if (ttl !== undefined && ttl < 0) return now;
  }
  const end = deadline({ ttl, expiresAt }, stashTtl, now);
  return end === undefined ? undefined : end + staleWhileRevalidate;
}

/**
 * Whether a result is within its `ttl`. The store keeps it for `staleWhileRevalidate` longer, so
 * that its own deadline says when that was.
 */
export function isFresh(options: CheckedFlightOptions, entry: Entry): boolean {
  const { staleWhileRevalidate } = options;
  return staleWhileRevalidate === undefined || entry.expiresAt === undefined ||
    Date.now() < entry.expiresAt - staleWhileRevalidate;
}
