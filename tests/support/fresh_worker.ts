/**
 * A process of the tests of freshness. It reads orders from standard input, a line of JSON each:
 * `{ options, fn, how, runs, calls }`, calls the function so many times at once, with options of its
 * own, and answers with what the calls gave. Each run leaves a file of its own in `runs`.
 */
import { HashStash } from "../../mod.ts";
import { linesOf } from "./child.ts";

console.log("ready");
for await (const line of linesOf(Deno.stdin.readable)) {
  const { options, fn, how, runs, calls, wait } = JSON.parse(line);
  await using stash = new HashStash(options);
  const f = stash.stashedResult(async (): Promise<string> => {
    await Deno.writeTextFile(`${runs}/${crypto.randomUUID()}`, "");
    if (how === "throw") throw new RangeError("down");
    return how;
  }, fn);
  await stash.open();
  // All processes begin at one time.
  if (wait !== undefined) await new Promise((resolve) => setTimeout(resolve, wait - Date.now()));
  const results = await Promise.allSettled(Array.from({ length: calls }, () => f()));
  console.log(
    JSON.stringify(
      results.map((result) => result.status === "fulfilled" ? result.value : String(result.reason)),
    ),
  );
}
