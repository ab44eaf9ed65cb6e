/** What goes between `map` and its workers. */

import type { KeepOptions } from "./computation.ts";

/** A call, to the worker. */
export interface WorkerCall {
  readonly module: string;
  readonly name: string;
  readonly args: unknown[];
  /** The stale result, for `computation()`. */
  readonly stale?: unknown;
}

/** To the worker: the call has taken longer than it may. */
export const ABORT = "abort";

/** From the worker, once: it has loaded a module, and the function begins. */
export const BEGUN = "begun";

/** How a call went, from the worker. */
export type WorkerAnswer =
  | { readonly value: unknown; readonly said: KeepOptions }
  | { readonly error: unknown; readonly name?: string; readonly properties?: object };

/** An error for the way: what the structured clone drops goes beside it. */
export function packError(error: unknown): WorkerAnswer {
  const isError = error instanceof Error;
  return cloned(isError ? { error, name: error.name, properties: { ...error } } : { error }) ??
    cloned(isError ? { error, name: error.name } : { error }) ??
    { error: new Error(String(error)) };
}

function cloned(answer: WorkerAnswer): WorkerAnswer | undefined {
  try {
    return structuredClone(answer);
  } catch {
    // Something in it can't be cloned.
    return undefined;
  }
}

/** The error as it was thrown, as far as the way allows. */
export function unpackError(
  { error, name, properties }: Extract<WorkerAnswer, { error: unknown }>,
): unknown {
  if (!(error instanceof Error)) return error;
  if (name !== undefined && error.name !== name) error.name = name;
  return Object.assign(error, properties);
}
