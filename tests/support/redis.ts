/** What the tests of the redis engine share. */
import { complete, type CompleteEngine } from "../../engines/complete.ts";
import type { EngineLocation, NewEntry } from "../../engines/engine.ts";
import { createEngine } from "../../engines/redis/mod.ts";

export const LOCATION = { name: "name", dbname: "main" };

/** A handle, not opened; `await using` closes it. */
export function redisAt(
  options: Record<string, unknown>,
  location: EngineLocation = LOCATION,
): CompleteEngine & AsyncDisposable {
  const engine = complete(createEngine(location, options));
  return {
    ...engine,
    async [Symbol.asyncDispose]() {
      await engine.close();
    },
  };
}

/** A handle, opened. */
export async function openRedis(
  options: Record<string, unknown>,
  location?: EngineLocation,
): Promise<CompleteEngine & AsyncDisposable> {
  const engine = redisAt(options, location);
  await engine.open();
  return engine;
}

/** An entry of text, and its key. */
export function pair(key: string, text: string, expiresAt?: number): [string, NewEntry] {
  return [key, { value: new TextEncoder().encode(text), timestamp: Date.now(), expiresAt }];
}

/** An entry of text. */
export function entry(text: string, expiresAt?: number): NewEntry {
  return pair("", text, expiresAt)[1];
}

/** The text of what is under the key. */
export async function textAt(engine: CompleteEngine, key: string): Promise<string | undefined> {
  const found = await engine.get(key);
  return found && new TextDecoder().decode(found.value);
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
