import type { Handle } from "../store/handle.ts";
import type { CheckedFlightOptions } from "./options.ts";

/** One computation: what its result is stored under, and how to make it. */
export interface Job {
  /** Where the result is stored. */
  readonly target: Handle;
  /** The canonical text of its key. */
  readonly text: string;
  readonly options: CheckedFlightOptions;
  /** What it is computed from, for the options that are functions. */
  readonly args: readonly unknown[];
  /** Makes it. Throws `WITHDRAWN` when who began it has called it off. */
  compute(): unknown;
}

/** A computation was called off while it ran: that is neither a result nor the function's error. */
export const WITHDRAWN: unique symbol = Symbol("withdrawn");
