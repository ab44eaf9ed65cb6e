/**
 * A process of the tests of single flight: `{ options, lease, runs, outcome, ms, callers }` as its
 * argument. It opens the stash, says "ready", waits for its standard input to end, calls the
 * function and prints what each caller got.
 */
import { HashStash } from "../../mod.ts";

const { options, lease, runs, outcome, ms, callers } = JSON.parse(Deno.args[0]);
const stash = new HashStash(options);

async function run(_key: string): Promise<string> {
  const id = crypto.randomUUID();
  // Each run leaves a file of its own: what really happened, whatever the stash says.
  await Deno.writeTextFile(`${runs}/${id}`, "");
  await new Promise((resolve) => setTimeout(resolve, outcome === "hang" ? 60_000 : ms));
  if (outcome === "throw") throw new RangeError(`thrown by ${id}`);
  return id;
}

const shared = stash.stashedResult(run, { name: "run", lease });
await shared.stash.open();
console.log("ready");
for await (const _ of Deno.stdin.readable);
const results = await Promise.allSettled(Array.from({ length: callers }, () => shared("key")));
console.log(
  JSON.stringify(
    results.map((result) => result.status === "fulfilled" ? result.value : String(result.reason)),
  ),
);
await stash.close();
