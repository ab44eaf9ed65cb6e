/** Commands that take long: they show how far they are, and Ctrl-C ends them cleanly. */
import { isErrorTerminal, onEndingSignal, statusOf } from "../platform/terminal.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import type { Invocation, Option } from "./command.ts";
import { warn } from "./io.ts";

/** The options of these commands. */
export const QUIET: Record<string, Option> = {
  quiet: { type: "boolean", short: "q", help: "Shows no progress" },
};

/** How far a command is, and whether it is to end. */
export class LongRun {
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Whether some of the work was left, because the signal was aborted. */
  hasStopped = false;
  #done = 0;
  readonly #total: number | undefined;
  readonly #progress: Progress | undefined;

  /** Makes a run; without a progress it shows nothing. */
  constructor(signal: AbortSignal, total?: number, progress?: Progress) {
    this.signal = signal;
    this.#total = total;
    this.#progress = progress;
  }

  /** Counts entries as done. */
  step(count = 1): void {
    this.#done += count;
    this.#progress?.tick(count);
  }

  /** Whether to stop here, with work left. */
  stops(): boolean {
    return this.hasStopped ||= this.signal.aborted;
  }

  /** How many entries are done: `12 of 100 entries`, or `12 entries` where it was not counted. */
  toString(): string {
    return `${this.#done}${this.#total === undefined ? "" : ` of ${this.#total}`} entries`;
  }
}

/** A command has ended before its work was done, because its signal was aborted. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/**
 * Runs what takes long. While it does, Ctrl-C and SIGTERM abort its signal, and a second one ends
 * the program at once. A bar is drawn if standard error is a terminal.
 *
 * @param label The command's name.
 * @param body Throws an `Interrupted` whose message says what is done and how to go on, when the
 * signal made it end early. What it has opened is to be closed by whoever opened it.
 * @param count Counts what there is to do: called only for a bar, for it reads a whole store.
 * @returns The exit status, that of the signal where it was interrupted.
 */
export async function longRun(
  { values }: Invocation,
  label: string,
  body: (run: LongRun) => Promise<number>,
  count?: () => Promise<number>,
): Promise<number> {
  const ending = new AbortController();
  let status = 0;
  using _ = onEndingSignal((signal) => {
    status = statusOf(signal);
    ending.abort();
  });
  const isShown = !values.quiet && isErrorTerminal();
  const total = isShown ? await count?.() : undefined;
  const progress = isShown ? await createProgress({ label, total }) : undefined;
  try {
    return await body(new LongRun(ending.signal, total, progress));
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    // Before the message, not behind it.
    progress?.stop();
    warn(`hashstash ${label}: interrupted, ${error.message}`);
    return status;
  } finally {
    progress?.stop();
  }
}
