/**
 * Work that keeps a core busy, spread over all cores: how many primes are there below two million?
 * Run it twice, or stop it in the middle with Ctrl-C and run it again: what has been counted is not
 * counted again.
 *
 *     deno run -A examples/parallel_map.ts
 *     deno run -A examples/parallel_map.ts --force     counts all again, on one core and then on all
 */
import { HashStash } from "../mod.ts";
import { countPrimes } from "./primes.ts";

const LIMIT = 2_000_000;
const BLOCK = 50_000;

await using stash = new HashStash({ name: "parallel_map" });

const starts = Array.from({ length: LIMIT / BLOCK }, (_, i) => i * BLOCK);
const ends = starts.map((start) => [start + BLOCK] as [number]);
const worker = { module: import.meta.resolve("./primes.ts"), export: "countPrimes" };

async function count(concurrency: number, force: boolean): Promise<number> {
  const begin = performance.now();
  const run = stash.map(countPrimes, starts, {
    options: ends,
    concurrency,
    worker,
    force,
    progress: true,
  });
  let primes = 0;
  for await (const found of run) primes += found;
  const seconds = (performance.now() - begin) / 1_000;
  console.log(
    `${primes} primes below ${LIMIT}, by ${concurrency} at a time: ${seconds.toFixed(2)} s`,
  );
  return seconds;
}

const cores = navigator.hardwareConcurrency;
if (Deno.args.includes("--force")) {
  const alone = await count(1, true);
  const together = await count(cores, true);
  console.log(`${(alone / together).toFixed(2)} × as fast on ${cores} cores`);
}
await count(cores, false);
