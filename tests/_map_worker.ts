/**
 * A process that maps, with others or until it is killed: `{ options, runs, count, lease }` as its
 * argument.
 */
import { HashStash } from "../mod.ts";

const { options, runs, count, lease } = JSON.parse(Deno.args[0]);
await using stash = new HashStash(options);

async function work(x: number): Promise<number> {
  // Each run leaves a file of its own: what really happened, whatever the stash says.
  await Deno.writeTextFile(`${runs}/${x}.${crypto.randomUUID()}`, "");
  await new Promise((resolve) => setTimeout(resolve, 5));
  return x + 1;
}

const objects = Array.from({ length: count }, (_, i) => i);
const run = stash.map(work, objects, { name: "work", lease, concurrency: 2 });
for await (const result of run) console.log(result);
