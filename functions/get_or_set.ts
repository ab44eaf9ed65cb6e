import { encodeKey } from "../codec/key.ts";
import { checkSignal } from "../store/options.ts";
import { checkFlightOptions, FLIGHT_OPTIONS, type FlightOptions } from "./options.ts";
import type { Handle } from "../store/handle.ts";
import { checkNames, checkTime, typeOf } from "../store/options.ts";
import { recallOrCompute } from "./recall.ts";

/**
 * How `getOrSet` keeps what it makes.
 *
 * @typeParam V The type of the value.
 * @typeParam K The type of the key.
 */
export interface GetOrSetOptions<V = unknown, K = never> extends FlightOptions<V, [key: K]> {
  /** The absolute deadline of the value, ms since the epoch, instead of a `ttl`. */
  expiresAt?: number;
  /** Makes the value anew, whatever is stored. */
  force?: boolean;
  /** Ends the wait of the caller, who gets its reason. The making goes on for others. */
  signal?: AbortSignal;
}

const OPTION_NAMES = ["expiresAt", "force", "signal", ...FLIGHT_OPTIONS];

/** `stash.getOrSet`. */
export async function getOrSet(
  handle: Handle,
  key: unknown,
  factory: (key: unknown) => unknown,
  options: GetOrSetOptions = {},
): Promise<unknown> {
  const text = encodeKey(key);
  if (typeof factory !== "function") {
    throw new TypeError(`Expected a function that makes the value, got ${typeOf(factory)}`);
  }
  checkNames(options, OPTION_NAMES);
  const { expiresAt, force = false, signal, ...rest } = options;
  checkSignal(signal);
  if (expiresAt !== undefined) {
    checkTime("expiresAt", expiresAt);
    if (rest.ttl !== undefined) throw new TypeError("Expected ttl or expiresAt, got both");
  }
  if (typeof force !== "boolean") {
    throw new TypeError(`Expected force to be a boolean, got ${typeOf(force)}`);
  }
  const job = {
    target: handle,
    text,
    options: { ...checkFlightOptions(rest, handle.options.ttl), expiresAt },
    args: [key],
    compute: () => factory(key),
  };
  return await recallOrCompute(job, force, signal);
}
