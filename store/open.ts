/** Opening the engine of a stash: a built-in one by name, or the user's own object. */
import { complete, type CompleteEngine } from "../engines/complete.ts";
import type { Engine, EngineFactory } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { type EngineName, enginePath, loadEngine } from "../engines/registry.ts";
import type { CheckedOptions } from "./options.ts";
import { guard } from "./guard.ts";
import { PrefixedEngine } from "./prefixed.ts";

/** Opens the store of one dbname; the caller closes it. */
export async function openStore(
  { engine, name, rootDir, engineOptions }: CheckedOptions,
  dbname: string,
): Promise<CompleteEngine> {
  const store = typeof engine === "string"
    ? (await load(engine))({ rootDir, name, dbname }, engineOptions)
    : new PrefixedEngine(engine, name, dbname);
  const guarded = guard(complete(store));
  await guarded.open();
  return guarded;
}

async function load(name: EngineName): Promise<EngineFactory> {
  try {
    return await loadEngine(name);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EngineError(`Cannot open engine "${name}": its module can't be loaded: ${reason}`, {
      cause,
      engine: name,
      operation: "open",
    });
  }
}

/** Where the data of these options lives, without opening it. */
export function storePathOf(options: CheckedOptions): string {
  const { engine, engineOptions } = options;
  return typeof engine === "string" ? enginePath(engine, options, engineOptions) : engine.path;
}

/** The engine's name. */
export function engineName(engine: CheckedOptions["engine"]): string {
  return typeof engine === "string" ? engine : (engine as Engine).name;
}
