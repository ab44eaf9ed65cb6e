/**
 * How long it takes to invalidate the 10,000 entries of one tag among 20,000, and to remove as many
 * by their prefix, s.
 *
 *     deno run -A profile/bench/invalidate.ts [ENGINE...]
 */
import type { EngineName } from "../../engines/mod.ts";
import { HashStash, type InvalidateOptions } from "../../mod.ts";
import { startPostgres } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { chosenEngines } from "./bare/cases.ts";

const COUNT = 20_000;
const BATCH = 1_000;

/** Stores as many entries, of which every other has the tag and begins with the prefix. */
async function fill(stash: HashStash): Promise<void> {
  for (let begin = 0; begin < COUNT; begin += BATCH) {
    for (const [prefix, tag] of [["a:", "a"], ["b:", "b"]]) {
      const pairs = Array.from(
        { length: BATCH / 2 },
        (_, i) => [`${prefix}${begin + i}`, { number: begin + i, text: "some text" }] as const,
      );
      await stash.setMany(pairs, { tags: [tag] });
    }
  }
}

async function timed(stash: HashStash, what: InvalidateOptions): Promise<string> {
  const start = performance.now();
  const removed = await stash.invalidate(what);
  const seconds = (performance.now() - start) / 1_000;
  if (removed !== COUNT / 2) throw new Error(`${removed} removed of ${COUNT / 2}`);
  return `${seconds.toFixed(2)} s`;
}

async function measure(engine: EngineName, rootDir: string, url?: string): Promise<void> {
  const engineOptions = url === undefined ? {} : { url };
  await using stash = new HashStash({ name: "invalidate", engine, rootDir, engineOptions });
  await fill(stash);
  const byTag = await timed(stash, { tags: ["a"] });
  const byPrefix = await timed(stash, { prefix: "b:" });
  console.log(`${engine.padEnd(12)}${byTag.padStart(10)}${byPrefix.padStart(10)}`);
}

const engines = chosenEngines(Deno.args);
const rootDir = await Deno.makeTempDir({ prefix: "hashstash_invalidate_" });
try {
  await using redis = engines.includes("redis") ? await startRedis() : undefined;
  await using postgres = engines.includes("postgres") ? await startPostgres() : undefined;
  const urls: Partial<Record<EngineName, string>> = { redis: redis?.url, postgres: postgres?.url };
  console.log(`${"".padEnd(12)}${"tag".padStart(10)}${"prefix".padStart(10)}`);
  for (const engine of engines) await measure(engine, rootDir, urls[engine]);
} finally {
  await Deno.remove(rootDir, { recursive: true });
}
