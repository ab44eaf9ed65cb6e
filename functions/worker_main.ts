/**
 * The program of the workers of `map`: calls exported functions and answers with what they give.
 */
import { BrokenOff, drain } from "./replay.ts";
import { onMessageToWorker } from "../platform/workers.ts";
import { packError, type WorkerCall } from "./worker_protocol.ts";

const answer = onMessageToWorker(async (message) => {
  try {
    answer({ value: await call(message as WorkerCall) });
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
  const result = await fn(...args);
  return isGenerator(result) ? await drain(result, structuredClone) : result;
}

function isGenerator(value: unknown): value is Generator | AsyncGenerator {
  return /^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value));
}
