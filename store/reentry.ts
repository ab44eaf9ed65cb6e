/**
 * Which operations the running code is part of. What a caller's function does inside `modify` or a
 * computation may come back to the same key, and would wait for itself.
 */
import { AsyncLocalStorage } from "node:async_hooks";

const running = new AsyncLocalStorage<ReadonlySet<string>>();

/** Runs a caller's function as part of an operation. */
export function within<T>(operation: string, fn: () => T): T {
  return running.run(new Set(running.getStore()).add(operation), fn);
}

/**
 * Refuses what such a function, however indirectly, does to its own operation.
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
