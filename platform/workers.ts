/**
 * Workers. By `node:worker_threads` and not by `new Worker`: there, a worker that runs out of
 * memory ends the whole program.
 */
import { sourceOf } from "./library.ts";
import { builtinModule } from "./system.ts";
import { startTimer } from "./timers.ts";

/** What a worker is told by, and how it is ended. */
export interface StartedWorker {
  /** Sends a message; throws when it can't be cloned. */
  post(message: unknown): void;
  /** Ends it, whatever it is at. */
  end(): void;
}

/** What is told of a worker. */
export interface WorkerListener {
  /** It has sent a message. */
  message(data: unknown): void;
  /** It has sent what can't be read here. */
  messageError(): void;
  /** Nobody has caught an error of its own, or it has no memory left; it is at its end. */
  error(error: unknown): void;
  /** It has ended by itself. */
  exit(code: number): void;
}

// Loaded at the first use: most programs have no workers.
const threads = () => builtinModule("node:worker_threads");

/**
 * Starts a worker. It may take as much memory as the program itself: beyond that it ends alone.
 *
 * @param address The module that it runs, as `sourceOf` takes it.
 */
export function startWorker(address: URL, listener: WorkerListener): StartedWorker {
  const { heap_size_limit } = builtinModule("node:v8").getHeapStatistics();
  const url = new URL(sourceOf(address));
  // Threads take no module from elsewhere, but one that imports it.
  const program = url.protocol === "file:"
    ? url
    : new URL(`data:text/javascript,import ${encodeURIComponent(JSON.stringify(url.href))}`);
  const worker = new (threads().Worker)(program, {
    resourceLimits: { maxOldGenerationSizeMb: Math.ceil(heap_size_limit / 2 ** 20) },
  });
  worker.on("message", (data) => listener.message(data));
  worker.on("messageerror", () => listener.messageError());
  worker.on("error", (error) => listener.error(error));
  let isEnded = false;
  worker.on("exit", (code) => {
    // The error that it ended with may come later than its end.
    if (!isEnded) startTimer(() => listener.exit(code), 0);
  });
  return {
    post: (message) => post(worker, message),
    end() {
      isEnded = true;
      void worker.terminate();
    },
  };
}

/** In a worker: what is done with messages to it; gives what sends one back. */
export function onMessageToWorker(
  action: (message: unknown) => void,
): (message: unknown) => void {
  const { parentPort } = threads();
  if (parentPort === null) throw new Error("This is no worker");
  // What users write for workers of the web knows them by this name.
  Reflect.set(globalThis, "self", globalThis);
  parentPort.on("message", action);
  endWhenFull();
  return (message) => post(parentPort, message);
}

/** How often a worker looks whether it was out of memory, ms. */
const LOOKS = 500;

/**
 * Makes an error of it when the worker has no memory left. Deno stops what runs then and raises the
 * limit a little; what ran in a promise would never settle, and nobody would hear of it.
 */
function endWhenFull(): void {
  const { getHeapStatistics } = builtinModule("node:v8");
  const limit = getHeapStatistics().heap_size_limit;
  setInterval(() => {
    if (getHeapStatistics().heap_size_limit > limit) throw new RangeError("it is out of memory");
  }, LOOKS);
}

function post(port: { postMessage(message: unknown): void }, message: unknown): void {
  try {
    port.postMessage(message);
  } catch (error) {
    // What can't be cloned is a DataCloneError, as of workers of the web.
    structuredClone(message);
    throw error;
  }
}
