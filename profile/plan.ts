/** The options of a profile, and what it runs by them. */
import { ENGINE_NAMES } from "../engines/registry.ts";
import {
  checkBoolean,
  checkNames,
  checkSignal,
  engineName,
  type HashStashOptions,
  typeOf,
} from "../store/options.ts";
import { type CaseRow, describeCase } from "./cases.ts";
import type { CaseOptions, ProfiledStash } from "./profiled.ts";
import { type Operation, OPERATIONS } from "./row.ts";

/** What to profile. Where several values are given, all combinations are. */
export interface ProfileOptions {
  /** Names, or engine objects. Default: the stash's own and all built-in ones. */
  engine?: OneOrMore<NonNullable<HashStashOptions["engine"]>>;
  /** Default: the stash's own. */
  serializer?: OneOrMore<NonNullable<HashStashOptions["serializer"]>>;
  /** Default: `[false, true]`, and the stash's own when that is another. */
  compress?: OneOrMore<NonNullable<HashStashOptions["compress"]>>;
  /** Default: `[false, true]`. */
  b64?: OneOrMore<boolean>;
  /** Bytes of JSON. Default: `[1_000, 10_000, 100_000]`. */
  size?: OneOrMore<number>;
  /** Which operations to time. Default: all. */
  operation?: OneOrMore<Operation>;
  /** How often each is timed, after a warm-up. Default: 5. */
  iterations?: number;
  /**
   * The data: a function of the size, called ten times for each; or `"entries"`, a random choice of
   * the stash's own, whose mean size is then the only one. Default: text, numbers and nested
   * records of the size.
   */
  data?: ((size: number, index: number) => unknown) | "entries";
  /** Options of the engines, by name. Default: for the stash's own engine what it has. */
  engineOptions?: Record<string, object>;
  /**
   * Whether to show on stderr how far it is: a bar on a terminal, lines elsewhere. Default:
   * `false`.
   */
  progress?: boolean;
  /** Ends the profile; it then rejects with the signal's reason, and leaves nothing behind. */
  signal?: AbortSignal;
}

/** A value, or several to be tried in turn. */
export type OneOrMore<T> = T | T[];

const OPTION_NAMES = [
  "engine",
  "serializer",
  "compress",
  "b64",
  "size",
  "operation",
  "iterations",
  "data",
  "engineOptions",
  "progress",
  "signal",
];

/** What a profile runs. */
export interface Plan {
  cases: { options: CaseOptions; about: CaseRow }[];
  operations: Operation[];
  sizes: number[];
  iterations: number;
}

/** The checked options, with the defaults in place. */
export function planOf(stash: ProfiledStash, options: ProfileOptions): Plan {
  checkNames(options, OPTION_NAMES);
  checkSignal(options.signal);
  checkBoolean(options, "progress");
  const { data } = options;
  if (data !== undefined && data !== "entries" && typeof data !== "function") {
    const got = typeof data === "string" ? `"${data}"` : typeOf(data);
    throw new TypeError(`Expected data to be a function of the size, or "entries", got ${got}`);
  }
  const known = ENGINE_NAMES as string[];
  const ownCompress = [false, "zstd"].includes(stash.compress) ? [] : [undefined];
  const {
    engine = known.includes(stash.engine) ? ENGINE_NAMES : [undefined, ...ENGINE_NAMES],
    serializer,
    compress = [false, true, ...ownCompress],
    b64 = [false, true],
    operation = [...OPERATIONS],
    size = [1_000, 10_000, 100_000],
    iterations = 5,
    engineOptions = {},
  } = options;
  const cases = [engine].flat().flatMap((engine) =>
    [serializer].flat().flatMap((serializer) =>
      [compress].flat().flatMap((compress) =>
        [b64].flat().map((b64) => {
          const name = engine === undefined ? "" : engineName(engine);
          const options = { engine, serializer, compress, b64, engineOptions: engineOptions[name] };
          return { options, about: describeCase(stash, options) };
        })
      )
    )
  );
  const wanted = new Set([operation].flat());
  const operations = OPERATIONS.filter((name) => wanted.delete(name));
  for (const name of wanted) {
    throw new TypeError(`Unknown operation "${name}", expected one of: ${OPERATIONS.join(", ")}`);
  }
  const sizes = [...new Set([size].flat())];
  for (const number of [iterations, ...sizes]) {
    if (!Number.isSafeInteger(number) || number < 1) {
      throw new RangeError(`Expected sizes and iterations to be integers from 1 on, got ${number}`);
    }
  }
  if (cases.length * operations.length * sizes.length === 0) {
    throw new RangeError("Expected at least one engine, codec, operation and size");
  }
  return { cases, operations, sizes, iterations };
}
