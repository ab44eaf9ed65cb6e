/** Handles on Postgres servers that a test starts itself. */
import type { EngineLocation } from "../../engines/engine.ts";
import { postgres as createEngine } from "../../engines/postgres/mod.ts";
import { disposable, type Options, type Store } from "./bed.ts";

export const LOCATION = { name: "name", dbname: "main" };

/** A handle, not opened; `await using` closes it. */
export function postgresAt(
  options: Options,
  location: EngineLocation = LOCATION,
): Store & AsyncDisposable {
  return disposable(createEngine(location, options));
}

/** A handle, opened. */
export async function openPostgres(
  options: Options,
  location?: EngineLocation,
): Promise<Store & AsyncDisposable> {
  const engine = postgresAt(options, location);
  await engine.open();
  return engine;
}
