/**
 * What several changes of one key at the same time need: an order in this process, a pause before
 * another try, and a refusal of what would wait for itself.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { delay } from "../platform/timers.ts";

/**
 * Waits before another try at a contended key: nothing at first, then a random time up to 1, 2, 4 …
 * 64 ms, so that processes that met once don't meet again.
 */
export async function backoff(attempt: number): Promise<void> {
  await delay(Math.random() * Math.min(64, 2 ** attempt / 2));
}

/** The last in the queue of each name. */
const tails = new Map<string, Promise<void>>();

/**
 * Runs `body` when all earlier bodies of that name in this process have ended. It keeps the callers
 * of one process from failing each other's `compareAndSet`: between processes that decides alone.
 */
export async function exclusive<T>(name: string, body: () => Promise<T>): Promise<T> {
  const before = tails.get(name);
  const { promise, resolve } = Promise.withResolvers<void>();
  tails.set(name, promise);
  if (before) await before;
  try {
    return await body();
  } finally {
    if (tails.get(name) === promise) tails.delete(name);
    resolve();
  }
}

/** Which operations the running code is part of. */
const running = new AsyncLocalStorage<ReadonlySet<string>>();

/** Runs a caller's function as part of an operation. */
export function within<T>(operation: string, fn: () => T): T {
  return running.run(new Set(running.getStore()).add(operation), fn);
}

/**
 * Refuses what such a function, however indirectly, does to its own operation: what runs inside
 * `modify` or a computation may come back to the same key, and would wait for itself.
 *
 * @param operation Names the operation, or the beginning of its name; called only inside of one.
 * @param what What is refused, and where.
 * @throws {TypeError} When the running code is part of it.
 */
export function refuseWithin(operation: () => string, what: string): void {
  const operations = running.getStore();
  if (operations === undefined) return;
  const name = operation();
  if (![...operations].some((other) => other.startsWith(name))) return;
  throw new TypeError(`Cannot ${what}: it would wait for itself`);
}
