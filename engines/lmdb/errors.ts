import { DecodeError } from "../../codec/errors.ts";
import { EngineError } from "../errors.ts";
import { engineError, messageOf } from "../errors.ts";

/** Does synchronous work; what LMDB throws comes out as an `EngineError`. */
export function attempt<T>(operation: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw explain(operation, error);
  }
}

/** Does asynchronous work, likewise. */
export async function attemptAsync<T>(operation: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw explain(operation, await reasonOf(error));
  }
}

/** Passes the items on, likewise. */
export async function* attemptEach<T>(
  operation: string,
  items: AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  // By hand, so that an error of the consumer is not taken for one of LMDB.
  let ended = false;
  try {
    for (;;) {
      ended = true;
      const result = await attemptAsync(operation, () => iterator.next());
      ended = result.done === true;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    if (!ended) await iterator.return?.();
  }
}

/** Why a commit failed: npm:lmdb hands the reason over in a promise of its own. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  try {
    await error.commitError;
  } catch (reason) {
    return reason;
  }
  return error;
}

function explain(operation: string, error: unknown): unknown {
  if (
    error instanceof EngineError || error instanceof DecodeError ||
    error instanceof TypeError || error instanceof RangeError
  ) return error;
  return engineError("lmdb", operation, messageOf(error), error);
}
