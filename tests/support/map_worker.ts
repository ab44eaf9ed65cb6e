/**
 * A process that maps, with others or until it is killed: `{ options, runs, count, ms, concurrency,
 * lease }` as its argument. It says when it is ready, and begins when it gets a line or no more.
 */
import { HashStash } from "../../mod.ts";

const { options, runs, count, ms, concurrency, lease } = JSON.parse(Deno.args[0]);
await using stash = new HashStash(options);

async function work(x: number): Promise<number> {
  // Each run leaves a file of its own: what really happened, whatever the stash says.
  const file = `${runs}/${x}.${crypto.randomUUID()}`;
  const begin = Date.now();
  await Deno.writeTextFile(file, "");
  await new Promise((resolve) => setTimeout(resolve, ms));
  await Deno.writeTextFile(file, JSON.stringify([begin, Date.now()]));
  return x + 1;
}

console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
const objects = Array.from({ length: count }, (_, i) => i);
const run = stash.map(work, objects, { name: "work", lease, concurrency });
for await (const result of run) console.log(result);
