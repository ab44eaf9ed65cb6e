/**
 * The program of the workers of `map`: calls exported functions and answers with what they give.
 */
import { BrokenOff, drain } from "./replay.ts";
import { onMessageToWorker } from "../platform/workers.ts";
import { ComputedRun } from "./computation.ts";
import { ABORT, BEGUN, packError, type WorkerCall } from "./worker_protocol.ts";

let run = new ComputedRun();
let hasBegun = false;

const answer = onMessageToWorker(async (message) => {
  if (message === ABORT) {
    return run.abort(new DOMException("The run has taken longer than it may", "TimeoutError"));
  }
  const { stale } = message as WorkerCall;
  const own = run = new ComputedRun(stale);
  try {
    const value = await own.within(() => call(message as WorkerCall));
    own.end();
    answer({ value, said: own.said });
  } catch (error) {
    // What a generator had yielded before it threw is not given on: it is no result.
    answer(packError(error instanceof BrokenOff ? error.cause : error));
  }
});

async function call({ module, name, args }: WorkerCall): Promise<unknown> {
  const exports = await import(module);
  const fn = exports[name];
  if (typeof fn !== "function") {
    const functions = Object.keys(exports).filter((key) => typeof exports[key] === "function");
    throw new TypeError(
      `The module ${module} exports no function "${name}", only: ${functions.join(", ")}`,
    );
  }
  if (!hasBegun) answer(BEGUN);
  hasBegun = true;
  const result = await fn(...args);
  return isGenerator(result) ? await drain(result, structuredClone) : result;
}

function isGenerator(value: unknown): value is Generator | AsyncGenerator {
  return /^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value));
}
