/** One of several processes that fill a store with limits; prints how many entries it evicted. */
import { HashStash } from "../../mod.ts";

/** How many are set at once, where they are. */
const BATCH = 100;

const { options, index, times, at = "one" } = JSON.parse(Deno.args[0]);
const stash = new HashStash<string, number>(options);
await stash.open();
// Ready; the parent lets all go at once.
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
const pairs = Array.from({ length: times }, (_, i): [string, number] => [`${index} ${i}`, i]);
for (let i = 0; i < times; i += BATCH) {
  const batch = pairs.slice(i, i + BATCH);
  if (at === "one") { for (const pair of batch) await stash.set(...pair); }
  else if (at === "once") await Promise.all(batch.map((pair) => stash.set(...pair)));
  else await stash.setMany(batch);
}
const { evictions } = stash.stats();
await stash.close();
console.log(evictions);
