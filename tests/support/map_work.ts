/** What the workers of the tests of map run. */
import { isMainThread } from "node:worker_threads";
import { computation } from "../../mod.ts";

export function square(x: number): number {
  return x * x;
}

/** Whether this is a worker, and which. */
const id = crypto.randomUUID();
export function where(_x: number): { id: string; isWorker: boolean } {
  return { id, isWorker: !isMainThread };
}

class WorkError extends RangeError {
  override name = "WorkError";
  status = 7;
}

export async function misbehave(how: string): Promise<unknown> {
  switch (how) {
    case "throw":
      throw new WorkError("thrown");
    case "throw text":
      throw "text";
    case "throw unclonable":
      throw Object.assign(new TypeError("with a function"), { fn: () => 1 });
    case "unclonable result":
      return () => 1;
    case "close":
      (self as unknown as { close(): void }).close();
      return await new Promise(() => undefined);
    case "exit":
      return Deno.exit(3);
    case "crash":
      setTimeout(() => {
        throw new RangeError("later");
      }, 1);
      return await new Promise(() => undefined);
    default:
      return how;
  }
}

export function* count(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

/** Takes all the memory that it can get, for one of the inputs. */
export function fill(x: number): number {
  const filled: unknown[] = [];
  while (x === 2) filled.push(new Array(1_000).fill({ x: Math.random() }));
  return x;
}

/** What the function sees of its run; the results of even inputs are not kept. */
export function describeRun(x: number): { hasSignal: boolean; stale: unknown } {
  const run = computation()!;
  if (x % 2 === 0) run.options({ store: false });
  const { stale } = run as { stale?: { hasSignal: boolean } };
  return {
    hasSignal: run.signal instanceof AbortSignal,
    stale: stale && { hasSignal: stale.hasSignal },
  };
}

/** Never gives its core back, for one of the inputs. */
export function stall(how: string): string {
  while (how === "busy");
  return how;
}

/** In a worker it says by a file that it has begun, and never ends. */
export function hang(file: string): Promise<string> {
  if (isMainThread) return Promise.resolve("ended");
  Deno.writeTextFileSync(file, "");
  return new Promise(() => undefined);
}

export const notAFunction = 1;

/** Keeps a core busy: counts the primes below a bound. */
export function primesBelow(bound: number): number {
  let count = 0;
  for (let n = 2; n < bound; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n && isPrime; d++) isPrime = n % d !== 0;
    if (isPrime) count++;
  }
  return count;
}
