import { ENGINE_NAMES } from "../engines/registry.ts";
import type { HashStashOptions } from "../store/options.ts";
import { checkNames } from "../store/options.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import { seededRandom } from "./statistics.ts";
import {
  type Case,
  type CaseRow,
  caseStash,
  describeCase,
  entrySample,
  prepareCases,
  type Sample,
  sampleOf,
} from "./cases.ts";
import type { CaseOptions, ProfiledStash } from "./profiled.ts";
import { Profile, type ProfileAbout } from "./result.ts";
import {
  type FailedCase,
  failedRow,
  type Operation,
  OPERATIONS,
  type ProfileRow,
  timedRow,
} from "./row.ts";

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

/**
 * How long one sample takes at least, ms, so that the clock's steps and its own cost are no part of
 * it.
 */
const SAMPLE_TIME = 4;

/** The most operations in one sample. */
const MOST_TIMES = 20_000;

/** The most bytes that one sample writes before they are removed again. */
const MOST_BYTES = 4_000_000;

/** How long the event loop may be kept busy, ms, by operations that never wait for anything. */
const BUSY_TIME = 20;

/**
 * Times operations of a stash on other engines, codecs and sizes of data: what `stash.profile()`
 * does.
 *
 * All runs on temporary stashes below the same root, which are removed at the end, also when it
 * fails or is aborted. The cases take turns in random order, so that a slow moment of the machine
 * hits all alike. An engine that can't run here has rows that say why, instead of times.
 *
 * @throws {TypeError | RangeError} On options that make no sense, before anything runs.
 */
export async function profile(
  stash: ProfiledStash,
  options: ProfileOptions = {},
): Promise<Profile> {
  const plan = planOf(stash, options);
  const random = seededRandom(1);
  const { signal, data } = options;
  signal?.throwIfAborted();
  const samples = data === "entries"
    ? [await entrySample(stash, random)]
    : plan.sizes.map((size) => sampleOf(size, data));
  const progress = options.progress
    ? await createProgress({
      label: "profile",
      total: samples.length * plan.cases.length * plan.operations.length * (1 + plan.iterations),
    })
    : { tick() {}, stop() {} };
  const runner = new Runner(stash, plan, random, progress, signal);
  try {
    for (const sample of samples) await runner.run(sample);
  } finally {
    progress.stop();
  }
  return new Profile(runner.rows, about(plan));
}

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
          const name = typeof engine === "object" ? engine.name : engine ?? "";
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

/** Runs the cases of one sample after the other, and keeps the rows. */
class Runner {
  readonly rows: ProfileRow[] = [];
  readonly #stash: ProfiledStash;
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #progress: Progress;
  readonly #signal?: AbortSignal;
  /** Why engines could not be opened: waiting once for a server that isn't there is enough. */
  readonly #unusable = new Map<CaseOptions["engine"], unknown>();
  #turnStarted = performance.now();

  constructor(
    stash: ProfiledStash,
    plan: Plan,
    random: () => number,
    progress: Progress,
    signal?: AbortSignal,
  ) {
    this.#stash = stash;
    this.#plan = plan;
    this.#random = random;
    this.#progress = progress;
    this.#signal = signal;
  }

  async run(sample: Sample): Promise<void> {
    await using stashes = new AsyncDisposableStack();
    const ready: { of: Case; times: number; rows: ProfileRow[]; failed?: boolean }[] = [];
    for (const planned of this.#plan.cases) {
      for (const of of await this.#open(planned, sample, stashes)) {
        const times = await this.#step(of.row, () => warmUp(of));
        if (times !== undefined) ready.push({ of, times, rows: [] });
      }
    }
    for (let iteration = 1; iteration <= this.#plan.iterations; iteration++) {
      for (const each of shuffle(ready, this.#random)) {
        if (each.failed) continue;
        const { of, times, rows } = each;
        const time = await this.#step(of.row, () => timeOf(of, times));
        if (time === undefined) each.failed = true;
        else rows.push(timedRow({ ...of.row, iteration }, time));
      }
    }
    this.rows.push(...ready.flatMap(({ rows }) => rows));
  }

  /** The cases of one engine and codec; none, but a row that says why, when they can't run. */
  async #open(
    { options, about }: Plan["cases"][number],
    sample: Sample,
    stashes: AsyncDisposableStack,
  ): Promise<Case[]> {
    const { operations, iterations } = this.#plan;
    const operation = operations.includes("write") ? "write" : operations[0];
    const row: FailedCase = { ...about, size: sample.size, operation };
    const cases = await this.#attempt(row, async () => {
      const stash = await this.#openStash(options, row, stashes);
      return await prepareCases(stash, about, sample, operations);
    });
    if (cases) return cases;
    this.#progress.tick(operations.length * (1 + iterations), `${about.engine} can't run`);
    return [];
  }

  async #openStash(
    options: CaseOptions,
    row: FailedCase,
    stashes: AsyncDisposableStack,
  ): Promise<ProfiledStash> {
    const { engine } = options;
    if (this.#unusable.has(engine)) throw this.#unusable.get(engine);
    try {
      const stash = caseStash(this.#stash, options);
      stashes.defer(async () => void await this.#attempt(row, () => stash.close()));
      return await stash.open();
    } catch (error) {
      this.#unusable.set(engine, error);
      throw error;
    }
  }

  /** One sample of a case, between which others have their turn. */
  async #step<T>(row: FailedCase, body: () => Promise<T>): Promise<T | undefined> {
    if (performance.now() - this.#turnStarted > BUSY_TIME) {
      await new Promise((resolve) => setTimeout(resolve));
      this.#turnStarted = performance.now();
    }
    this.#signal?.throwIfAborted();
    this.#progress.tick(1, `${row.engine} ${row.encoding} ${row.operation}`);
    return await this.#attempt(row, body);
  }

  /** What the body returns; nothing, but a row that says why, when it fails. */
  async #attempt<T>(row: FailedCase, body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      this.rows.push(failedRow(row, error));
    }
  }
}

/**
 * Runs a case until its code is warm; how often it must run to fill a sample. What the first run
 * tells is no guide: it loads, compiles and allocates.
 */
async function warmUp(of: Case): Promise<number> {
  const most = of.row.operation === "write"
    ? Math.max(1, Math.floor(MOST_BYTES / of.row.storedSize))
    : MOST_TIMES;
  let times = 1;
  for (let runs = 1;; runs++) {
    const each = await timeOf(of, times) * 1_000;
    const filled = each * times >= SAMPLE_TIME / 2;
    times = Math.min(most, 10 * times, Math.ceil(SAMPLE_TIME / Math.max(each, 1e-6)));
    if (runs >= 3 && (filled || times === most)) return times;
  }
}

/** Seconds per operation. */
async function timeOf(of: Case, times: number): Promise<number> {
  const start = performance.now();
  await of.run(times);
  const time = performance.now() - start;
  await of.clean();
  return time / times / 1_000;
}

/** A copy in random order: Fisher and Yates. */
function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}

/** What can be told of the machine without a permission. */
function about({ iterations }: Plan): ProfileAbout {
  return {
    date: new Date().toISOString().slice(0, 10),
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    cores: String(navigator.hardwareConcurrency),
    iterations: String(iterations),
  };
}
