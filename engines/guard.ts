import type { Engine, Guard } from "./engine.ts";
import { UsageError } from "./errors.ts";

/**
 * The store that a guard is on.
 *
 * @param kind The class of the engine that is to obey the guard: it can look into no other's store.
 * @throws {TypeError} When the store is of another class.
 */
export function guardStore<T extends Engine>(
  kind: new (...args: never[]) => T,
  { engine }: Guard,
): T {
  if (engine instanceof kind) return engine;
  throw new UsageError(
    `The guard of compareAndSet is on a store of engine "${engine.name}"; it must be one of the ` +
      `engine that is to obey it`,
  );
}
