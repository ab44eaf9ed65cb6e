/**
 * How far a long run is: a bar on a terminal, plain lines anywhere else. Shared by `map`, `profile`
 * and the command line.
 */
import type { Writable } from "node:stream";
import { standardError } from "../platform/terminal.ts";
import type { Progress } from "./progress_bar.ts";

export type { Progress } from "./progress_bar.ts";

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
      const { createBar } = await import("./progress_bar.ts");
      return await createBar({ total, label, stream });
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
