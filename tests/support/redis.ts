/** Handles on Redis servers that a test starts itself. */
import type { EngineLocation } from "../../engines/engine.ts";
import { redis as createEngine } from "../../engines/redis/mod.ts";
import { disposable, type Options, type Store } from "./bed.ts";

export const LOCATION = { name: "name", dbname: "main" };

/** A handle, not opened; `await using` closes it. */
export function redisAt(
  options: Options,
  location: EngineLocation = LOCATION,
): Store & AsyncDisposable {
  return disposable(createEngine(location, options));
}

/** A handle, opened. */
export async function openRedis(
  options: Options,
  location?: EngineLocation,
): Promise<Store & AsyncDisposable> {
  const engine = redisAt(options, location);
  await engine.open();
  return engine;
}
