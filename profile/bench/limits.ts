/**
 * How much more `set` takes with limits than without, engine by engine: far below the limit, of
 * keys that are there, the same where another process writes too, so that nobody knows what is there
 * but the store, and at the limit, where an entry goes for each one that comes; there beside a stash
 * without limits that deletes one for each. Lowest tenths of short rounds in which both take turns.
 *
 *     deno run -A profile/bench/limits.ts [ENGINE...]
 *
 * With TMPDIR=/dev/shm nobody waits for a disk, whose moods show more than the limits do.
 */
import { join } from "node:path";
import { ENGINE_NAMES, type EngineName } from "../../engines/mod.ts";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { generateData } from "../data.ts";
import { BARE } from "./bare/mod.ts";
import { chosenEngines } from "./bare/cases.ts";
import { compare, type Rounds } from "./turns.ts";

const ROUNDS: Rounds = { rounds: 61, ms: 8 };
/** Engines that several processes can use at once. */
const PERSISTENT: readonly EngineName[] = ENGINE_NAMES.filter((engine) => engine !== "memory");
/** How many entries there may be, where there are as many. */
const FULL = 2_000;
/** Bytes of JSON of one value. */
const SIZE = 1_000;

async function measure(engine: EngineName, root: string): Promise<void> {
  const bare = await (await BARE[engine]!()).openBare(root);
  const { engineOptions } = bare;
  const open = (name: string, limits: HashStashOptions = {}) =>
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
    if (!PERSISTENT.includes(engine)) continue;
    // A handle with another policy has a share of its own, as one of another process has.
    await using other = open(name, { ...limits, evict: "oldest" });
    await other.set("other", 0);
    // What others do is taken in once a second.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await limited.set("key 0", 0);
    await compare(`${engine}: new key, ${name}, shared`, [fresh(plain), fresh(limited)], ROUNDS);
    await compare(`${engine}: key there, ${name}, shared`, [again(plain), again(limited)], ROUNDS);
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
  console.log(`${"".padEnd(40)}  without      within`);
  for (const engine of chosenEngines(Deno.args)) {
    await Deno.mkdir(join(root, engine));
    await measure(engine, join(root, engine));
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
