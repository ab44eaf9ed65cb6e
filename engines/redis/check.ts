import type { EngineCheck, EngineCheckOptions, EngineProblem } from "../engine.ts";
import type { RedisConnection } from "./connection.ts";
import type { RedisNames } from "./format.ts";
import type { RedisStore } from "./store.ts";

/**
 * Names what another program put among the entries, which is never removed, as nothing of it is ours;
 * and a server that may drop what nobody wanted to be dropped.
 */
export async function checkRedis(
  connection: RedisConnection,
  names: RedisNames,
  store: RedisStore,
  { prefix, signal }: EngineCheckOptions,
): Promise<EngineCheck> {
  const problems: EngineProblem[] = await evictions(connection);
  let checked = 0;
  for await (const found of store.scan(names.pattern(prefix))) {
    if (signal?.aborted) break;
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

/** Says when the server is set to evict what has no deadline: leases and the marks of tags, say. */
async function evictions(connection: RedisConnection): Promise<EngineProblem[]> {
  let info: string;
  try {
    info = String(await connection.sendAll([[["info", "memory"]]]));
  } catch {
    // The user may not ask that, by the server's own rules.
    return [];
  }
  const [, policy] = /^maxmemory_policy:(allkeys-\w+)/m.exec(info) ?? [];
  if (policy === undefined || /^maxmemory:0\b/m.test(info)) return [];
  const detail =
    `With maxmemory-policy ${policy} the server drops any key when its memory is full, ` +
    "also leases (a function may run twice at once), earlier versions and the marks of tags (an " +
    "entry may outlive its invalidation); set it to noeviction or a volatile- policy";
  return [{ kind: "unknown", detail, fixed: false }];
}
