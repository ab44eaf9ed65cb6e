/**
 * How far a long run is: a bar on a terminal, plain lines anywhere else. Shared by `map`, `profile`
 * and the command line.
 */
import type { Writable } from "node:stream";
import { loadLibrary } from "../platform/library.ts";
import { standardError } from "../platform/terminal.ts";

/** Where progress is written; `isTTY` decides between a bar and lines. */
export type ProgressStream = Writable & { isTTY?: boolean };

/** Options of `createProgress`. */
export interface ProgressOptions {
  /** How many steps there are; absent when that is not known. */
  total?: number;
  /** What is being done, in front of the numbers. */
  label: string;
  /** Default: stderr. */
  stream?: ProgressStream;
}

/** What the bar needs to know. */
export type BarOptions = ProgressOptions & Required<Pick<ProgressOptions, "stream">>;

/** A run that tells how far it is. */
export interface Progress {
  /** Counts `steps` more as done; `note` says what the last one was. */
  tick(steps?: number, note?: string): void;
  /** Writes the last state and leaves the terminal as it was. Idempotent. */
  stop(): void;
}

const loadBar = loadLibrary<{ createBar(options: BarOptions): Progress }>(
  "progress bar",
  new URL("./progress_bar", import.meta.url),
);

/**
 * Starts to show progress. The library that draws the bar is loaded only for a terminal.
 *
 * @example
 * ```ts ignore
 * const progress = await createProgress({ total: 3, label: "map" });
 * for (const item of items) {
 *   await work(item);
 *   progress.tick();
 * }
 * progress.stop();
 * ```
 */
export async function createProgress(options: ProgressOptions): Promise<Progress> {
  const { total, label, stream = standardError() } = options;
  if (stream.isTTY) {
    try {
      const { createBar } = await loadBar();
      return createBar({ total, label, stream });
    } catch (error) {
      stream.write(`No progress bar, only lines: ${error}\n`);
    }
  }
  return createLines(label, total, (line) => stream.write(`${line}\n`));
}

/**
 * A line whenever another tenth is done, or when the number of steps is not known, whenever it
 * doubles.
 */
function createLines(
  label: string,
  total: number | undefined,
  write: (line: string) => void,
): Progress {
  let done = 0;
  let written = -1;
  let next = 1;
  const report = (note = "") => {
    if (written === done) return;
    written = done;
    const state = total === undefined
      ? `${done}`
      : `${done} of ${total} (${Math.floor(100 * done / Math.max(total, 1))} %)`;
    write(`${label}: ${state}${note && ` ${note}`}`);
  };
  return {
    tick(steps = 1, note) {
      done += steps;
      if (done < next) return;
      next = total === undefined ? 2 * done : (Math.floor(10 * done / total) + 1) * total / 10;
      report(note);
    },
    stop: () => report(),
  };
}
