/**
 * Which factories are the built-in engines': a stash knows more of those than of others, and a
 * store has one identity whether its engine was given by name or as the factory.
 */
import type { EngineFactory } from "./engine.ts";
import type { EngineOptionsByName } from "./engine_options.ts";

const FACTORIES = new WeakSet<EngineFactory<never>>();

/** Says that a factory is that of a built-in engine. */
export function builtIn(name: keyof EngineOptionsByName, factory: EngineFactory<never>): void {
  // Bundlers give functions shorter names, and the name is what `stash.engine` says.
  Object.defineProperty(factory, "name", { value: name });
  FACTORIES.add(factory);
}

/** Whether a factory is that of a built-in engine; its name is the engine's then. */
export function isBuiltIn(factory: EngineFactory<never>): boolean {
  return FACTORIES.has(factory);
}
