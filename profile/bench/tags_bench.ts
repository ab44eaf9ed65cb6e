/**
 * What tags cost: `get` and `set` of an entry with none (the baseline), with one and with five, all
 * of which have been invalidated before, so that there are marks to look at.
 *
 *     deno bench -A profile/bench/tags_bench.ts
 *     deno bench -A profile/bench/tags_bench.ts -- sqlite redis
 */
import { HashStash } from "../../mod.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { generateData } from "../data.ts";
import { chosenEngines } from "./bare/cases.ts";

const rootDir = Deno.makeTempDirSync({ prefix: "hashstash_tags_" });
addEventListener("unload", () => Deno.removeSync(rootDir, { recursive: true }));

const TAGS = { "no tag": 0, "1 tag": 1, "5 tags": 5 };
/** No key gets the same again, which SQLite would not write. */
const VALUES = Array.from({ length: 19 }, (_, i) => generateData(1_000, i + 1));
const KEYS = Array.from({ length: 20 }, (_, i) => `key ${i}`);

for (const engine of chosenEngines(Deno.args)) {
  const engineOptions = engine === "redis" ? { url: (await startRedis()).url } : {};
  for (const [name, count] of Object.entries(TAGS)) {
    const stash = new HashStash({ name, engine, rootDir, engineOptions });
    const tags = Array.from({ length: count }, (_, i) => `tag ${i}`);
    if (count > 0) await stash.invalidate({ tags });
    await stash.setMany(KEYS.map((key, i) => [key, VALUES[i % VALUES.length]]), { tags });
    const baseline = count === 0;
    let next = 0;
    Deno.bench({
      name,
      group: `get 1 kB, ${engine}`,
      baseline,
      fn: async () => void await stash.get(KEYS[next++ % KEYS.length]),
    });
    Deno.bench({
      name,
      group: `set 1 kB, ${engine}`,
      baseline,
      async fn() {
        await stash.set(KEYS[next % KEYS.length], VALUES[next++ % VALUES.length], { tags });
      },
    });
  }
}
