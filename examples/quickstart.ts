/**
 * A computation that takes a while the first time and none the second: run it twice.
 *
 *     deno run -A examples/quickstart.ts
 */
import { HashStash } from "../mod.ts";

/** The start below `limit` with the longest Collatz sequence, by trying them all. */
function longestCollatz(limit: number): { start: number; steps: number } {
  let best = { start: 1, steps: 0 };
  for (let start = 1; start < limit; start++) {
    let steps = 0;
    for (let n = start; n !== 1; steps++) n = n % 2 === 0 ? n / 2 : 3 * n + 1;
    if (steps > best.steps) best = { start, steps };
  }
  return best;
}

// One file per entry below the user's cache folder: the next run finds them.
await using stash = new HashStash({ name: "quickstart" });

async function timed(): Promise<number> {
  const begun = performance.now();
  const { start, steps } = await stash.getOrSet(
    ["collatz", 2_000_000],
    () => longestCollatz(2_000_000),
  );
  const ms = performance.now() - begun;
  console.log(`${start} takes ${steps} steps, known after ${ms.toFixed(1)} ms`);
  return ms;
}

const wasThere = await stash.has(["collatz", 2_000_000]);
console.log(wasThere ? "An earlier run has stored the result:" : "Computed and stored:");
const first = await timed();
console.log("Once more:");
const second = await timed();
if (!wasThere) console.log(`From the stash it came ${Math.round(first / second)} times as fast.`);
console.log(`It is kept in ${stash.path}`);
