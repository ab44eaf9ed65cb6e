import { shuffle } from "@std/random/shuffle";
import { arch, cpuCount, os, runtimeVersion } from "../platform/system.ts";
import { Turns } from "../platform/timers.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import { type Case, caseStash, entrySample, prepareCases, type Sample, sampleOf } from "./cases.ts";
import { type Plan, planOf, type ProfileOptions } from "./plan.ts";
import type { CaseOptions, ProfiledStash } from "./profiled.ts";
import { Profile, type ProfileAbout } from "./result.ts";
import { type FailedCase, failedRow, type ProfileRow, timedRow } from "./row.ts";
import { seededRandom } from "./statistics.ts";

/**
 * How long one sample takes at least, ms, so that the clock's steps and its own cost are no part of
 * it.
 */
const SAMPLE_TIME = 4;

/** The most operations in one sample. */
const MOST_TIMES = 20_000;

/** The most bytes that one sample writes before they are removed again. */
const MOST_BYTES = 4_000_000;

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

/** Closes a stash that was opened to be measured. */
type Closing = () => Promise<void>;

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
  readonly #turns = new Turns();

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
    const closings: Closing[] = [];
    try {
      await this.#measure(sample, closings);
    } finally {
      for (const close of closings.reverse()) await close();
    }
  }

  async #measure(sample: Sample, closings: Closing[]): Promise<void> {
    const ready: { of: Case; times: number; rows: ProfileRow[]; failed?: boolean }[] = [];
    for (const planned of this.#plan.cases) {
      for (const of of await this.#open(planned, sample, closings)) {
        const times = await this.#step(of.row, () => warmUp(of));
        if (times !== undefined) ready.push({ of, times, rows: [] });
      }
    }
    for (let iteration = 1; iteration <= this.#plan.iterations; iteration++) {
      for (const each of shuffle(ready, { prng: this.#random })) {
        if (each.failed) continue;
        const { of, times, rows } = each;
        const time = await this.#step(of.row, () => timeOf(of, times));
        if (time === undefined) each.failed = true;
        else rows.push(timedRow({ ...of.row, iteration }, time));
      }
    }
    for (const { rows } of ready) for (const row of rows) this.rows.push(row);
  }

  /** The cases of one engine and codec; none, but a row that says why, when they can't run. */
  async #open(
    { options, about }: Plan["cases"][number],
    sample: Sample,
    closings: Closing[],
  ): Promise<Case[]> {
    const { operations, iterations } = this.#plan;
    const operation = operations.includes("write") ? "write" : operations[0];
    const row: FailedCase = { ...about, size: sample.size, operation };
    const cases = await this.#attempt(row, async () => {
      const stash = await this.#openStash(options, row, closings);
      return await prepareCases(stash, about, sample, operations);
    });
    if (cases) return cases;
    this.#progress.tick(operations.length * (1 + iterations), `${about.engine} can't run`);
    return [];
  }

  async #openStash(
    options: CaseOptions,
    row: FailedCase,
    closings: Closing[],
  ): Promise<ProfiledStash> {
    const { engine } = options;
    if (this.#unusable.has(engine)) throw this.#unusable.get(engine);
    try {
      const stash = caseStash(this.#stash, options);
      closings.push(async () => void await this.#attempt(row, () => stash.close()));
      return await stash.open();
    } catch (error) {
      this.#unusable.set(engine, error);
      throw error;
    }
  }

  /** One sample of a case, between which others have their turn. */
  async #step<T>(row: FailedCase, body: () => Promise<T>): Promise<T | undefined> {
    if (this.#turns.due()) await this.#turns.next();
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

/** What can be told of the machine without a permission. */
function about({ iterations }: Plan): ProfileAbout {
  return {
    date: new Date().toISOString().slice(0, 10),
    deno: runtimeVersion(),
    system: `${os()} ${arch()}`,
    cores: String(cpuCount()),
    iterations: String(iterations),
  };
}
