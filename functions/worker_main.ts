/**
 * The program of the workers of `map`: calls exported functions and answers with what they give.
 */
import { drain } from "./replay.ts";
import { packError, type WorkerAnswer, type WorkerCall } from "./worker_protocol.ts";

interface Scope {
  onmessage: (event: MessageEvent<WorkerCall>) => void;
  postMessage(answer: WorkerAnswer): void;
  close(): void;
}

const scope = self as unknown as Scope;

// A worker that ends itself tells nobody by itself, and its caller would wait for ever.
const { close } = scope;
scope.close = () => {
  scope.postMessage({ gone: "self.close()" });
  close.call(scope);
};
const { exit } = Deno;
Deno.exit = (code) => {
  scope.postMessage({ gone: "Deno.exit()" });
  return exit(code);
};

scope.onmessage = async ({ data }) => {
  try {
    scope.postMessage({ value: await call(data) });
  } catch (error) {
    scope.postMessage(packError(error));
  }
};

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
  return isGenerator(result) ? await drain(result) : result;
}

function isGenerator(value: unknown): value is Generator | AsyncGenerator {
  return /^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value));
}
