/**
 * Changes stored bytes of every layer at random and reads them: there may be values and documented
 * errors, and nothing else. Run by a process of its own with little memory, which may not end, grow
 * or stand still.
 *
 *     deno task fuzz [SECONDS [SEED]]
 */
import { RandomValues } from "../support/random.ts";
import { mutated } from "./mutate.ts";
import { type Target, targets } from "./targets.ts";

/** How long reading one input may take, ms. */
const MAX_MS = 5_000;
/** By how much one input may make the process grow, bytes; ten times as much in all. */
const MAX_GROWTH = 300_000_000;

/** What came of one target. */
interface Outcome {
  inputs: number;
  values: number;
  errors: number;
}

let at = "";
for (const type of ["error", "unhandledrejection"] as const) {
  globalThis.addEventListener(type, (event) => {
    const cause: unknown = event instanceof ErrorEvent
      ? event.error
      : (event as PromiseRejectionEvent).reason;
    console.log(`FOUND ${at}: outside of any promise: ${String(cause)}`);
    Deno.exit(1);
  });
}

/** Inputs of each target at the least, on a machine that is busy with other things too. */
const FEWEST_INPUTS = 20;

async function fuzz(target: Target, seed: number, ms: number): Promise<Outcome> {
  const end = performance.now() + ms;
  const outcome = { inputs: 0, values: 0, errors: 0 };
  const { rss: first } = Deno.memoryUsage();
  let before = first;
  for (let i = 0; i < FEWEST_INPUTS || performance.now() < end; i++) {
    const random = new RandomValues(seed + i * 7_919);
    const bytes = mutated(random.pick(target.seeds), target.seeds, random);
    at = `${target.name}, seed ${seed}, input ${i}`;
    const start = performance.now();
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      const { promise, reject } = Promise.withResolvers<never>();
      late = setTimeout(() => reject(new Error("it did not end")), 10 * MAX_MS);
      await Promise.race([target.read(bytes), promise]);
      outcome.values++;
    } catch (error) {
      if (!target.allows(error)) report(bytes, error);
      outcome.errors++;
    } finally {
      clearTimeout(late);
    }
    outcome.inputs++;
    const ms = performance.now() - start;
    if (ms > MAX_MS) report(bytes, `it took ${Math.round(ms)} ms`);
    const { rss } = Deno.memoryUsage();
    if (rss - before > MAX_GROWTH || rss - first > 10 * MAX_GROWTH) {
      report(bytes, `the process has grown by ${rss - before} bytes, by ${rss - first} in all`);
    }
    before = rss;
  }
  return outcome;
}

function report(bytes: Uint8Array, what: unknown): never {
  const shown = bytes.length > 2_000 ? `${bytes.length} bytes` : bytes.toHex();
  console.log(`FOUND ${at}: ${what instanceof Error ? what.stack : what}\n${shown}`);
  Deno.exit(1);
}

const seconds = Number(Deno.args[0] ?? 300);
const seed = Number(Deno.args[1] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const all = await targets();
const share = seconds * 1_000 / all.length;
for (const target of all) {
  const { inputs, values, errors } = await fuzz(target, seed, share);
  console.log(`${target.name}: ${inputs} inputs, ${values} values, ${errors} errors`);
}
