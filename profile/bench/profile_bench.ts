/**
 * The cases of `stash.profile()` under `deno bench`: writes and reads on every engine; the codec on
 * the first of them, as it is the same on all. What runs is chosen as in `deno task profile`, by
 * arguments or environment:
 *
 * ```sh
 * deno bench -A profile/bench/profile_bench.ts -- --engine sqlite,lmdb --size 1000
 * HASHSTASH_BENCH_OPERATION=read deno bench -A --json profile/bench/profile_bench.ts > bench.json
 * deno task profile bench.json
 * ```
 *
 * `--iterations` is the least number of times that each runs. Redis is a private server that ends
 * with the program: nothing could remove the entries from another one, as a bench has no end of its
 * own.
 */
import { dirname } from "node:path";
import { HashStash } from "../../mod.ts";
import { makeDatabase } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { profileArguments } from "./arguments.ts";
import { benchNames } from "./bench_json.ts";
import { type Case, caseStash, prepareCases, type Sample, sampleOf } from "../cases.ts";
import { type Plan, planOf } from "../plan.ts";

const folders: string[] = [];
addEventListener("unload", () => {
  for (const folder of folders) Deno.removeSync(folder, { recursive: true });
});

const { options } = profileArguments(Deno.args);
const rootDir = await Deno.makeTempDir({ prefix: "hashstash_bench_" });
folders.push(rootDir);
const stash = new HashStash({ engine: "memory", rootDir });
const { cases, operations, sizes, iterations } = planOf(stash, { iterations: 50, ...options });
const engines = cases.map(({ about }) => about.engine);
const redis = engines.includes("redis") ? await startRedis() : undefined;
const postgres = engines.includes("postgres") ? await makeDatabase() : undefined;
if (redis) folders.push(dirname(redis.socket));

for (const size of sizes) {
  const sample = sampleOf(size);
  const opened = await Promise.all(cases.map((each) => open(each, sample)));
  for (const operation of operations) {
    opened.flat().filter(({ row }) => row.operation === operation).forEach(bench);
  }
}

/** The cases of one engine and codec; none when it can't run here, and a word about it. */
async function open(
  { options, about }: Plan["cases"][number],
  sample: Sample,
): Promise<Case[]> {
  const { engine } = about;
  const server = engine === "redis" ? redis : engine === "postgres" ? postgres : undefined;
  const engineOptions = server && { url: server.url };
  const shown = operations.filter((name) =>
    name === "write" || name === "read" || engine === engines[0]
  );
  try {
    return await prepareCases(
      caseStash(stash, { ...options, engineOptions }),
      about,
      sample,
      shown,
    );
  } catch (error) {
    console.error(`Cannot bench ${engine}: ${error instanceof Error ? error.message : error}`);
    return [];
  }
}

function bench(each: Case, index: number): void {
  const { operation, storedSize } = each.row;
  // Few enough that a store of one file does not grow, enough that removing them doesn't count
  // where Deno ignores the timer.
  const uncleaned = Math.min(100, Math.max(1, Math.floor(200_000 / storedSize)));
  let writes = 0;
  Deno.bench({
    ...benchNames(each.row),
    baseline: index === 0,
    n: iterations,
    warmup: Math.ceil(iterations / 10),
    async fn(timer) {
      if (operation !== "write") return await each.run(1);
      timer.start();
      await each.run(1);
      timer.end();
      if (++writes % uncleaned === 0) await each.clean();
    },
  });
}
