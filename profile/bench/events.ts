/**
 * What events cost: `get` and `set` of 1 KB and runs of a function with a listener for their events
 * beside none, and without listeners beside another checkout of this repository, such as one from
 * before there were events. Lowest tenths of short rounds in which both sides take turns.
 *
 *     deno run -A profile/bench/events.ts [--beside=FOLDER] [ENGINE...]
 */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { EngineName } from "../../engines/mod.ts";
import { HashStash, type StashEventType } from "../../mod.ts";
import { generateData } from "../data.ts";
import { BARE } from "./bare/mod.ts";
import { chosenEngines } from "./bare/cases.ts";
import { compare, type Rounds } from "./turns.ts";

const ROUNDS: Rounds = { rounds: 61, ms: 8 };
/** What is done without a break, so that adding a listener and removing it does not show. */
const TIMES = 100;

const { values: { beside }, positionals } = parseArgs({
  options: { beside: { type: "string" } },
  allowPositionals: true,
});
const Other: typeof HashStash | undefined = beside === undefined
  ? undefined
  : (await import(pathToFileURL(join(resolve(beside), "mod.ts")).href)).HashStash;

async function measure(engine: EngineName, root: string): Promise<void> {
  const bare = await (await BARE[engine]!()).openBare(root);
  const { engineOptions } = bare;
  const value = generateData(1_000);
  const open = async (Stash: typeof HashStash, name: string) => {
    const stash = new Stash({ name, engine, rootDir: join(root, name), engineOptions });
    for (let i = 0; i < TIMES; i++) await stash.set(`key ${i}`, value);
    return stash;
  };
  let count = 0;
  type Act = (stash: HashStash, i: number) => Promise<unknown>;
  const acts: [name: string, type: StashEventType, act: Act][] = [
    ["get, a hit", "hit", (stash, i) => stash.get(`key ${i}`)],
    ["get, a miss", "miss", (stash, i) => stash.get(`none ${i}`)],
    ["set", "set", (stash, i) => stash.set(`key ${i}`, value)],
    ["getOrSet, a run", "compute", (stash) => stash.getOrSet(`run ${count++}`, () => 1)],
  ];
  const all = (stash: HashStash, act: Act) => async () => {
    for (let i = 0; i < TIMES; i++) await act(stash, i);
  };
  await using stash = await open(HashStash, "own");
  await using other = Other && await open(Other, "other");
  for (const [name, type, act] of acts) {
    const acting = all(stash, act);
    const heard = async () => {
      const listener = () => {};
      stash.events.addEventListener(type, listener);
      await acting();
      stash.events.removeEventListener(type, listener);
    };
    const what = `${engine}: ${TIMES} × ${name}`;
    await compare(`${what}, listener`, [acting, heard], ROUNDS);
    if (other !== undefined) await compare(`${what}, beside`, [all(other, act), acting], ROUNDS);
  }
  await bare.close();
}

const root = await Deno.makeTempDir({ prefix: "hashstash_events_" });
try {
  console.log(`${"".padEnd(40)}    first     second`);
  for (const engine of chosenEngines(positionals)) {
    await Deno.mkdir(join(root, engine));
    await measure(engine, join(root, engine));
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
