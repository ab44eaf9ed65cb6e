import { HashStash, type StashedResultDecorator } from "./hash_stash.ts";
import { FUNCTION_OPTIONS, type FunctionOptions } from "../functions/memoize.ts";
import { type HashStashOptions, typeOf } from "../store/options.ts";

/**
 * Options of the module function `stashedResult`: those of the stash, whose `name` and `ttl` they
 * are, and those of the function.
 */
export type StashedResultOptions =
  & HashStashOptions
  & Omit<FunctionOptions, "name" | "ttl">
  & { stash?: undefined };

/**
 * Options of the module function `stashedResult` for a stash that is there already: it, and those
 * of the function.
 */
export type StashedResultIn = FunctionOptions & {
  /** Where the results are kept. */
  stash: HashStash;
};

/** Options that are the function's and not the stash's. */
const OF_FUNCTION = FUNCTION_OPTIONS.filter((name) => name !== "name" && name !== "ttl");

/**
 * Keeps the results of a function or method, without a stash at hand: makes one of the options, or
 * takes the one given.
 *
 * The stash is opened by the first call; `fn.stash.close()` closes it.
 *
 * @param options The stash and its options, and how results are kept.
 * @returns What takes the function, or decorates the method.
 *
 * @example
 * ```ts
 * import { stashedResult } from "@hashstash/hashstash";
 *
 * const square = stashedResult({ name: "my_cache", engine: "memory" })((x: number) => x * x);
 * console.log(await square(3)); // 9
 * ```
 */
export function stashedResult(
  options: HashStash | StashedResultIn | StashedResultOptions = {},
): StashedResultDecorator {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Expected a stash or options, got ${typeOf(options)}: stashedResult()(fn)`);
  }
  if (options instanceof HashStash) return options.stashedResult();
  if (options.stash !== undefined) {
    const { stash, ...ofFunction } = options as StashedResultIn;
    if (!(stash instanceof HashStash)) {
      throw new TypeError(`Expected stash to be a HashStash, got ${typeOf(stash)}`);
    }
    return stash.stashedResult(ofFunction);
  }
  const entries = Object.entries(options);
  const isOfFunction = ([name]: [string, unknown]) => OF_FUNCTION.includes(name);
  const ofStash = entries.filter((entry) => !isOfFunction(entry));
  const stash = new HashStash(Object.fromEntries(ofStash) as HashStashOptions);
  return stash.stashedResult(Object.fromEntries(entries.filter(isOfFunction)) as FunctionOptions);
}
