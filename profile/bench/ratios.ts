/**
 * How much more a stash takes than its bare backend with JSON, engine by engine: lowest tenths of
 * short rounds in which both take turns, so that what else the machine does falls on both, and its
 * worst moments on neither.
 *
 *     deno run -A profile/bench/ratios.ts [ENGINE...]
 */
import { chosenEngines, type EngineCase, openCases } from "./bare/cases.ts";

const ROUNDS = 101;
/** How long a round of one side takes, about, ms. */
const ROUND = 4;

async function time(fn: () => unknown, times: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < times; i++) await fn();
  return (performance.now() - start) / times * 1_000;
}

function lowTenth(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 10)];
}

async function measure({ name, bare, stash }: EngineCase): Promise<void> {
  const once = Math.max(await time(bare, 20), await time(stash, 20));
  const times = Math.max(3, Math.ceil(ROUND * 1_000 / once));
  const sides: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % 2;
    for (const side of [first, 1 - first]) {
      sides[side].push(await time(side === 0 ? bare : stash, times));
    }
  }
  const [bareTime, stashTime] = sides.map(lowTenth);
  const columns = [bareTime, stashTime].map((time) => `${time.toFixed(1).padStart(9)} µs`);
  console.log(`${name.padEnd(32)}${columns.join("")}   × ${(stashTime / bareTime).toFixed(2)}`);
}

const root = await Deno.makeTempDir({ prefix: "hashstash_ratios_" });
try {
  console.log(`${"".padEnd(32)}     bare       stash`);
  for (const engine of chosenEngines(Deno.args)) {
    await using opened = await openCases(engine, root);
    for (const engineCase of opened.cases) await measure(engineCase);
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
