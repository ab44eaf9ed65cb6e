/**
 * How many functions of this package one `set` of `{ a: 1 }` runs through: V8's own count of
 * calls, in which an async function counts again each time that it goes on after an `await`.
 *
 *     deno run -A profile/bench/calls.ts [--functions] [ENGINE...]
 *
 * `--functions` also lists the functions, the most often called first.
 */
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type EngineName, HashStash } from "../../mod.ts";
import { startRedis } from "../../tests/support/redis_server.ts";

const ENGINES: EngineName[] = ["memory", "pairtree", "redis", "shelve"];

/** How often `set` is called, after as many calls that open the store and load what it needs. */
const SETS = 200;

const PACKAGE = new URL("../../", import.meta.url).href;
/** Folders below the package's that are no part of it. */
const NOT_PUBLISHED = /^(tests|dev|examples|profile\/bench)\//;

/** Calls by function of this package, per `set`. */
async function callsOf(stash: HashStash): Promise<Map<string, number>> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    const set = async (from: number) => {
      for (let i = from; i < from + SETS; i++) await stash.set(`key ${i}`, { a: 1 });
    };
    await set(0);
    // What is taken is counted from zero again.
    await session.post("Profiler.takePreciseCoverage");
    await set(SETS);
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const calls = new Map<string, number>();
    for (const { url, functions } of result) {
      const path = url.startsWith(PACKAGE) ? url.slice(PACKAGE.length) : undefined;
      if (path === undefined || NOT_PUBLISHED.test(path)) continue;
      for (const { functionName, ranges: [{ count }] } of functions) {
        const name = `${path} ${functionName || "(no name)"}`;
        if (count > 0) calls.set(name, (calls.get(name) ?? 0) + count / SETS);
      }
    }
    return calls;
  } finally {
    session.disconnect();
  }
}

const { values: { functions }, positionals } = parseArgs({
  options: { functions: { type: "boolean" } },
  allowPositionals: true,
});
const engines = positionals.length === 0 ? ENGINES : positionals as EngineName[];
const folder = await Deno.makeTempDir({ prefix: "hashstash_calls_" });
try {
  await using redis = engines.includes("redis") ? await startRedis() : undefined;
  for (const engine of engines) {
    const engineOptions = engine === "redis" ? { url: redis?.url } : {};
    const rootDir = join(folder, engine);
    await using stash = new HashStash({ name: "calls", engine, rootDir, engineOptions });
    const calls = [...await callsOf(stash)].sort(([, a], [, b]) => b - a);
    const sum = calls.reduce((sum, [, count]) => sum + count, 0);
    console.log(`${engine.padEnd(10)}${sum.toFixed(1).padStart(7)} calls per set`);
    if (!functions) continue;
    for (const [name, count] of calls) console.log(`${count.toFixed(2).padStart(17)}  ${name}`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
