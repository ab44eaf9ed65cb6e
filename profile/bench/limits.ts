/**
 * How much more `set` takes with limits than without, engine by engine: far below the limit, of
 * keys that are there, and at the limit, where an entry goes for each one that comes; there beside
 * a stash without limits that deletes one for each. Lowest tenths of short rounds in which both take
 * turns.
 *
 *     deno run -A profile/bench/limits.ts [ENGINE...]
 */
import { join } from "node:path";
import type { EngineName } from "../../engines/mod.ts";
import { HashStash } from "../../mod.ts";
import { generateData } from "../data.ts";
import { BARE } from "./bare/mod.ts";
import { chosenEngines } from "./bare/cases.ts";
import { compare, type Rounds } from "./turns.ts";

const ROUNDS: Rounds = { rounds: 61, ms: 8 };
/** How many entries there may be, where there are as many. */
const FULL = 2_000;
/** Bytes of JSON of one value. */
const SIZE = 1_000;

async function measure(engine: EngineName, root: string): Promise<void> {
  const bare = await (await BARE[engine]!()).openBare(root);
  const { engineOptions } = bare;
  const open = (name: string, limits: { maxEntries?: number; maxBytes?: number } = {}) =>
    new HashStash({ name, engine, rootDir: join(root, name), engineOptions, ...limits });
  const values = Array.from({ length: 19 }, (_, i) => [i, generateData(SIZE)]);
  let count = 0;
  const fresh = (stash: HashStash) => async () => {
    count++;
    await stash.set(`key ${count}`, values[count % values.length]);
  };
  const again = (stash: HashStash) => async () => {
    count++;
    await stash.set(`key ${count % 20}`, values[count % values.length]);
  };
  for (const limits of [{ maxEntries: 1_000_000 }, { maxBytes: 1_000_000_000 }]) {
    const [name] = Object.keys(limits);
    // Each beside a store that has had the same: files that grow cost more than those that have.
    await using plain = open(`beside_${name}`);
    await using limited = open(name, limits);
    await compare(`${engine}: new key, ${name}`, [fresh(plain), fresh(limited)], ROUNDS);
    await compare(`${engine}: key there, ${name}`, [again(plain), again(limited)], ROUNDS);
  }
  await using plain = open("plain_full");
  await using full = open("full", { maxEntries: FULL });
  const pairs = Array.from({ length: FULL }, (_, i): [string, unknown] => [`old ${i}`, values[0]]);
  for (const stash of [plain, full]) await stash.setMany(pairs);
  const keys = pairs.map(([key]) => key);
  const oneForOne = async () => {
    const key = `key ${++count}`;
    keys.push(key);
    await plain.set(key, values[count % values.length]);
    await plain.delete(keys.shift()!);
  };
  await compare(`${engine}: at the limit`, [oneForOne, fresh(full)], ROUNDS);
  await bare.close();
}

const root = await Deno.makeTempDir({ prefix: "hashstash_limits_" });
try {
  console.log(`${"".padEnd(32)}  without      within`);
  for (const engine of chosenEngines(Deno.args)) {
    await Deno.mkdir(join(root, engine));
    await measure(engine, join(root, engine));
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
