// @ts-types="npm:@types/cli-progress@^3.11.6"
import { SingleBar } from "cli-progress";
import type { BarOptions, Progress } from "./progress.ts";

/** The bar of `createProgress` on a terminal. */
export function createBar(options: BarOptions): Progress {
  const { total, label, stream } = options;
  const bar = new SingleBar({
    stream,
    format: total === undefined
      ? "{label} {value} {note}"
      : "{label} {bar} {value}/{total} eta {eta_formatted} {note}",
    barsize: 30,
    barCompleteChar: "\u2588",
    barIncompleteChar: "\u2591",
    // A library does not take over the signals of the program it runs in.
    gracefulExit: false,
  });
  let stopped = false;
  bar.start(total ?? 0, 0, { label, note: "" });
  return {
    tick: (steps = 1, note = "") => bar.increment(steps, { note }),
    stop() {
      if (stopped) return;
      stopped = true;
      bar.stop();
    },
  };
}
