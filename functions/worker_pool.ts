import { currentRun } from "./computation.ts";
import { startTimer, stopTimer, type Timer } from "../platform/timers.ts";
import { messageOf } from "../engines/errors.ts";
import { WITHDRAWN } from "./job.ts";
import { type StartedWorker, startWorker } from "../platform/workers.ts";
import {
  ABORT,
  BEGUN,
  unpackError,
  type WorkerAnswer,
  type WorkerCall,
} from "./worker_protocol.ts";
import { typeOf } from "../store/options.ts";

/** The function that workers run. */
export interface WorkerOptions {
  /** The URL of its module, absolute: `import.meta.resolve("../work.ts")`. */
  module: string | URL;
  /** The name under which the module exports it; `"default"` by default. */
  export?: string;
}

/**
 * Workers that call one exported function, each one call at a time. There are as many as there were
 * calls at once; they are used again until they are dismissed.
 */
export class WorkerPool {
  readonly #module: string;
  readonly #name: string;
  readonly #idle: CallingWorker[] = [];
  readonly #busy = new Set<CallingWorker>();
  #isClosed = false;

  /** @throws {TypeError} When the options name no function. */
  constructor(options: WorkerOptions) {
    if (typeof options !== "object" || options === null) {
      throw new TypeError(`Expected worker to be { module, export }, got ${typeOf(options)}`);
    }
    const { module, export: name = "default" } = options;
    if (!URL.canParse(String(module))) {
      throw new TypeError(
        `Expected worker.module to be a URL, as from import.meta.resolve, got ${
          JSON.stringify(module)
        }`,
      );
    }
    if (typeof name !== "string") {
      throw new TypeError(
        `Expected worker.export to be the name of an export, got ${typeOf(name)}`,
      );
    }
    this.#module = String(module);
    this.#name = name;
  }

  /** Calls the function in a worker that has nothing else to do; `WITHDRAWN` when it is closed. */
  async run(args: unknown[]): Promise<unknown> {
    if (this.#isClosed) throw WITHDRAWN;
    const worker = this.#idleWorker() ?? new CallingWorker();
    this.#busy.add(worker);
    const run = currentRun();
    const abort = () => worker.abort(run?.signal.reason);
    run?.signal.addEventListener("abort", abort);
    if (!worker.hasBegun) {
      run?.restart(LONGEST_START);
      worker.onBegun = () => run?.restart();
    }
    try {
      const call = { module: this.#module, name: this.#name, args, stale: run?.stale };
      const { value, said } = await worker.call(call);
      run?.options(said);
      return value;
    } finally {
      run?.signal.removeEventListener("abort", abort);
      this.#busy.delete(worker);
      if (worker.alive) this.#idle.push(worker);
    }
  }

  /** Ends the workers that have nothing to do. */
  dismiss(): void {
    for (const worker of this.#idle.splice(0)) worker.end();
  }

  /** Ends all workers; calls that are under way reject with `WITHDRAWN`. */
  close(): void {
    this.#isClosed = true;
    this.dismiss();
    for (const worker of this.#busy) worker.end(WITHDRAWN);
  }

  /** A worker may have ended while it had nothing to do. */
  #idleWorker(): CallingWorker | undefined {
    for (;;) {
      const worker = this.#idle.pop();
      if (worker === undefined || worker.alive) return worker;
    }
  }
}

/** What a worker runs. */
const PROGRAM = new URL("./worker_main", import.meta.url);
// Never called: it makes the module part of every program, also of one that is cached, vendored or
// compiled, where nothing can be fetched when the first worker starts.
void (() => import("./worker_main.ts"));

/** How long a worker that was told to end its call has for it, ms. */
const GRACE = 100;

/**
 * How long a worker has at least to start and to load the module, ms: on a busy machine that takes
 * longer than many a call may.
 */
const LONGEST_START = 60_000;

type Result = Extract<WorkerAnswer, { value: unknown }>;

class CallingWorker {
  alive = true;
  /** Whether it has loaded the module. */
  hasBegun = false;
  onBegun: (() => void) | undefined;
  readonly #worker: StartedWorker;
  #pending: PromiseWithResolvers<Result> | undefined;
  #ending: Timer | undefined;

  constructor() {
    this.#worker = startWorker(PROGRAM, {
      message: (data) => {
        if (data === BEGUN) {
          this.hasBegun = true;
          return this.onBegun?.();
        }
        const answer = data as WorkerAnswer;
        stopTimer(this.#ending);
        if ("error" in answer) this.#pending?.reject(unpackError(answer));
        else this.#pending?.resolve(answer);
      },
      messageError: () => this.end(new Error("The worker's answer can't be read")),
      error: (error) => this.end(new Error(`The worker failed: ${messageOf(error)}`)),
      exit: (code) => this.end(new Error(`The worker ended itself, with the code ${code}`)),
    });
  }

  call(call: WorkerCall): Promise<Result> {
    this.#pending = Promise.withResolvers();
    try {
      this.#worker.post(call);
    } catch (error) {
      this.#pending.reject(error);
    }
    return this.#pending.promise;
  }

  /** Tells it that it has taken too long, and ends it when that changes nothing. */
  abort(reason: unknown): void {
    this.#worker.post(ABORT);
    this.#ending = startTimer(() => this.end(reason), GRACE);
  }

  end(reason?: unknown): void {
    this.alive = false;
    stopTimer(this.#ending);
    this.#worker.end();
    this.#pending?.reject(reason);
  }
}
