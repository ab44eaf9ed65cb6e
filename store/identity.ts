import type { CheckedOptions } from "./options.ts";

const ids = new WeakMap<object, number>();
let count = 0;

function idOf(thing: object): number {
  let id = ids.get(thing);
  if (id === undefined) ids.set(thing, id = ++count);
  return id;
}

/**
 * A name for the store of these options in this process: two handles on one store have one name,
 * and two stores never do. A path is not enough for that: memory is kept apart by root too, and
 * objects (an engine, an open client) may have any path.
 */
export function storeIdentity(options: CheckedOptions, path: string): string {
  const { engine, rootDir, name, dbname, engineOptions } = options;
  const objects = Object.values(engineOptions).filter((value) =>
    typeof value === "object" && value !== null && !(value instanceof URL) && !Array.isArray(value)
  ) as object[];
  return JSON.stringify([
    typeof engine === "string" ? engine : idOf(engine),
    engine === "memory" ? rootDir ?? null : null,
    path,
    name,
    dbname,
    ...objects.map(idOf),
  ]);
}
