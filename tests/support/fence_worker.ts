/**
 * A process of the tests of fencing. It reads orders from standard input, a line of JSON each:
 * `{ options, action, key, value }`, and answers each with a line when it is done.
 */
import { HashStash } from "../../mod.ts";
import { ACTIONS } from "./fence_actions.ts";
import { linesOf } from "./child.ts";

console.log("ready");
for await (const line of linesOf(Deno.stdin.readable)) {
  const { options, action, key, value } = JSON.parse(line);
  try {
    await using stash = new HashStash(options);
    if (action === "getOrSet") {
      console.log(JSON.stringify(await stash.getOrSet(key, () => value)));
    } else {
      await ACTIONS[action](stash, key, value);
      console.log("done");
    }
  } catch (error) {
    console.log(String(error));
  }
}
