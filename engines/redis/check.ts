import type { EngineCheck, EngineCheckOptions, EngineProblem } from "../engine.ts";
import type { RedisConnection } from "./connection.ts";
import type { RedisNames } from "./format.ts";
import type { RedisStore } from "./store.ts";

/** Names what another program put among the entries. It is never removed: nothing of it is ours. */
export async function checkRedis(
  connection: RedisConnection,
  names: RedisNames,
  store: RedisStore,
  { prefix }: EngineCheckOptions,
): Promise<EngineCheck> {
  const problems: EngineProblem[] = [];
  let checked = 0;
  for await (const found of store.scan(names.pattern(prefix))) {
    const types = await connection.sendAll(found.map((name) => [["type", name]]));
    for (const [i, name] of found.entries()) {
      if (types[i] === "none") continue;
      checked++;
      const key = names.keyOf(name);
      if (types[i] === "string" && key !== undefined) continue;
      const what = types[i] === "string" ? "is not UTF-8" : `holds a ${types[i]}, not a string`;
      const detail = `The Redis key ${JSON.stringify(String(name))} ${what}: it is no entry`;
      problems.push({ kind: "foreign", key, detail, fixed: false });
    }
  }
  return { checked, problems };
}
