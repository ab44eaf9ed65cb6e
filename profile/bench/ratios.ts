/**
 * How much more a stash takes than its bare backend with JSON, engine by engine: lowest tenths of
 * short rounds in which both take turns, so that what else the machine does falls on both, and its
 * worst moments on neither.
 *
 *     deno run -A profile/bench/ratios.ts [ENGINE...]
 */
import { chosenEngines, openCases } from "./bare/cases.ts";
import { compare, type Rounds } from "./turns.ts";

const ROUNDS: Rounds = { rounds: 101, ms: 4 };

const root = await Deno.makeTempDir({ prefix: "hashstash_ratios_" });
try {
  console.log(`${"".padEnd(32)}     bare       stash`);
  for (const engine of chosenEngines(Deno.args)) {
    await using opened = await openCases(engine, root);
    for (const { name, bare, stash } of opened.cases) await compare(name, [bare, stash], ROUNDS);
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
