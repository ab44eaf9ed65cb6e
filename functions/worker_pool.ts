import { unpackError, type WorkerAnswer, type WorkerCall } from "./worker_protocol.ts";
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
  #closed: { reason: unknown } | undefined;

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

  /** Calls the function in a worker that has nothing else to do. */
  async run(args: unknown[]): Promise<unknown> {
    if (this.#closed !== undefined) throw this.#closed.reason;
    const worker = this.#idleWorker() ?? new CallingWorker();
    this.#busy.add(worker);
    try {
      return await worker.call({ module: this.#module, name: this.#name, args });
    } finally {
      this.#busy.delete(worker);
      if (worker.alive) this.#idle.push(worker);
    }
  }

  /** Ends the workers that have nothing to do. */
  dismiss(): void {
    for (const worker of this.#idle.splice(0)) worker.end();
  }

  /** Ends all workers; calls that are under way reject with the reason. */
  close(reason: unknown): void {
    this.#closed ??= { reason };
    this.dismiss();
    for (const worker of this.#busy) worker.end(reason);
  }

  /** A worker may have ended while it had nothing to do. */
  #idleWorker(): CallingWorker | undefined {
    for (;;) {
      const worker = this.#idle.pop();
      if (worker === undefined || worker.alive) return worker;
    }
  }
}

class CallingWorker {
  alive = true;
  readonly #worker: Worker;
  #pending: PromiseWithResolvers<unknown> | undefined;

  constructor() {
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    const program = new URL(`./worker_main${extension}`, import.meta.url);
    this.#worker = new Worker(program.href, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => {
      if ("gone" in data) this.end(new Error(`The worker ended itself by ${data.gone}`));
      else if ("error" in data) this.#pending?.reject(unpackError(data));
      else this.#pending?.resolve(data.value);
    };
    this.#worker.onmessageerror = () => {
      this.end(new Error("The worker's answer can't be read"));
    };
    this.#worker.onerror = (event) => {
      // Else the error ends this program too.
      event.preventDefault();
      this.end(new Error(`The worker failed: ${event.message}`));
    };
  }

  call(call: WorkerCall): Promise<unknown> {
    this.#pending = Promise.withResolvers();
    try {
      this.#worker.postMessage(call);
    } catch (error) {
      this.#pending.reject(error);
    }
    return this.#pending.promise;
  }

  end(reason?: unknown): void {
    this.alive = false;
    this.#worker.terminate();
    this.#pending?.reject(reason);
  }
}
