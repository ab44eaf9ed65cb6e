import type { Writable } from "node:stream";
import { loadLibrary } from "../platform/library.ts";

// Written out: even the types of a module put its packages into the graph of every program.
interface Bar {
  start(total: number, startValue: number, payload: Record<string, string>): void;
  increment(steps: number, payload: Record<string, string>): void;
  stop(): void;
}

const loadBars = loadLibrary<{ SingleBar: new (options: Record<string, unknown>) => Bar }>(
  "progress bar",
  { name: "cli-progress", versions: "^3.12.0" },
);

/** What the bar needs to know. */
export interface BarOptions {
  /** How many steps there are; absent when that is not known. */
  readonly total?: number;
  /** What is being done, in front of the numbers. */
  readonly label: string;
  readonly stream: Writable;
}

/** A run that tells how far it is. */
export interface Progress {
  /** Counts `steps` more as done; `note` says what the last one was. */
  tick(steps?: number, note?: string): void;
  /** Writes the last state and leaves the terminal as it was. Idempotent. */
  stop(): void;
}

/** The bar of `createProgress` on a terminal. */
export async function createBar({ total, label, stream }: BarOptions): Promise<Progress> {
  const { SingleBar } = await loadBars();
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
