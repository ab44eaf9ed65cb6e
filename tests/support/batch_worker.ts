/**
 * A process of the tests of batches. It reads orders from standard input, a line of JSON each:
 * `{ options, calls, ids, lease, ms, how }`, asks the batch function for the ids, all at once, and
 * answers with what it got. Each call leaves a file of its own in `calls`, with the ids in it.
 */
import { HashStash } from "../../mod.ts";
import { linesOf } from "./child.ts";

console.log("ready");
for await (const line of linesOf(Deno.stdin.readable)) {
  const { options, calls, ids, lease, ms = 0, how, wait } = JSON.parse(line);
  await using stash = new HashStash(options);
  const made = stash.stashedBatch(async (asked: number[]) => {
    await Deno.writeTextFile(`${calls}/${crypto.randomUUID()}`, JSON.stringify(asked));
    await new Promise((resolve) => setTimeout(resolve, how === "hang" ? 60_000 : ms));
    if (how === "throw") throw new RangeError("down");
    return asked.map((id) => [id]);
  }, { name: "made", lease });
  await made.stash.open();
  // All processes begin at one time.
  if (wait !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait - Date.now())));
  }
  console.log(JSON.stringify(await made.many(ids).catch(String)));
}
