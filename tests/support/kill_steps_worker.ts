/**
 * The process that is killed at a system call: goes through the steps of a round and says on
 * standard output, a line for each, how many have been acknowledged to it. Its argument:
 * `[options, round]` as JSON.
 */
import { HashStash } from "../../mod.ts";
import { stepsOf } from "./kill_steps.ts";

const [options, round] = JSON.parse(Deno.args[0]);
const encoder = new TextEncoder();
const stash = new HashStash<string, string>(options);
const history = new HashStash<string, string>({
  ...options,
  dbname: "history",
  appendMode: true,
});
for (const [index, { call, leaves }] of stepsOf(round).entries()) {
  const [[key, value = ""]] = leaves;
  if (call === "append") await history.set(key, value);
  else if (call === "set") await stash.set(key, value);
  else if (call === "modify") await stash.modify(key, () => value);
  else if (call === "setMany") await stash.setMany(leaves as [string, string][]);
  else if (call === "delete") await stash.delete(key);
  else await stash.deleteMany(leaves.map(([key]) => key));
  Deno.stdout.writeSync(encoder.encode(`${index + 1}\n`));
}
await stash.close();
await history.close();
