import { sourceOf } from "./library.ts";

/**
 * Starts a worker.
 *
 * @param address The module that it runs, as `sourceOf` takes it.
 */
export function startWorker(address: URL): Worker {
  return new Worker(sourceOf(address), { type: "module" });
}

/**
 * In a worker: calls `tell` with the call by which its own code ends it, before it takes effect.
 * Nobody else would learn of it.
 */
export function beforeWorkerEnds(tell: (call: string) => void): void {
  const scope = globalThis as unknown as { close(): void };
  const { close } = scope;
  scope.close = () => {
    tell("self.close()");
    close.call(scope);
  };
  const { exit } = Deno;
  Deno.exit = (code) => {
    tell("Deno.exit()");
    return exit(code);
  };
}
