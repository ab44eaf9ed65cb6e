/**
 * What `size()` and a full `keys()` of a stash take per entry as it grows, and how much memory they
 * take above what the stash takes at rest.
 *
 *     deno run -A --v8-flags=--expose-gc profile/bench/growth.ts [ENGINE...]
 */
import { ENGINE_NAMES, type EngineName } from "../../engines/mod.ts";
import { HashStash } from "../../mod.ts";

const COUNTS = [1_000, 10_000, 100_000];
const BATCH = 1_000;
const ROUNDS = 5;

/** The best of some rounds, µs per entry: what else the machine does makes the others slower. */
async function perEntry(count: number, fn: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await fn();
    best = Math.min(best, performance.now() - start);
  }
  return best / count * 1_000;
}

function collect(): void {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
}

/** The most that is in use while all keys are listed, above what was before, MB. */
async function peak(stash: HashStash): Promise<number> {
  collect();
  const before = Deno.memoryUsage().heapUsed;
  let most = 0, seen = 0;
  for await (const _ of stash.keys()) {
    if (++seen % 5_000 > 0) continue;
    collect();
    most = Math.max(most, Deno.memoryUsage().heapUsed - before);
  }
  return most / 1e6;
}

async function grow(engine: EngineName, rootDir: string): Promise<void> {
  await using stash = new HashStash({ name: "growth", engine, rootDir });
  let filled = 0;
  for (const count of COUNTS) {
    for (; filled < count; filled += BATCH) {
      await stash.setMany(
        Array.from({ length: BATCH }, (_, i) => [`key ${filled + i}`, { number: filled + i }]),
      );
    }
    const size = await perEntry(count, () => stash.size());
    const keys = await perEntry(count, async () => {
      let seen = 0;
      for await (const _ of stash.keys()) seen++;
      if (seen !== count) throw new Error(`${seen} keys of ${count}`);
    });
    const memory = await peak(stash);
    console.log(
      `${engine.padEnd(12)}${String(count).padStart(8)}   size ${size.toFixed(3)} µs   ` +
        `keys ${keys.toFixed(3)} µs per entry   memory ${memory.toFixed(1)} MB`,
    );
  }
}

const engines = Deno.args.length === 0
  ? ["memory", "pairtree"] as const
  : ENGINE_NAMES.filter((name) => Deno.args.includes(name));
const root = await Deno.makeTempDir({ prefix: "hashstash_growth_" });
try {
  for (const engine of engines) await grow(engine, root);
} finally {
  await Deno.remove(root, { recursive: true });
}
