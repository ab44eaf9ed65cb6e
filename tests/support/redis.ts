/** Handles on Redis servers that a test starts itself. */
import type { EngineLocation, NewEntry } from "../../engines/engine.ts";
import { redis as createEngine } from "../../engines/redis/mod.ts";
import { disposable, type Options, type Store } from "./bed.ts";
import { entryOf } from "./entries.ts";

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

/** An entry of text, and its key. */
export function pair(key: string, text: string, expiresAt?: number): [string, NewEntry] {
  return [key, entryOf(text, expiresAt)];
}

/** Tries until it works: after an outage a client takes a moment. */
export async function eventually(work: () => unknown): Promise<void> {
  for (const end = Date.now() + 20_000;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
