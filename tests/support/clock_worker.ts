/**
 * A process of the tests of moved clocks: `options` as its argument. A line `["set", key, ttl]`
 * sets, `["has", key]` asks; it answers each with a line of JSON.
 */
import { HashStash } from "../../mod.ts";
import { linesOf } from "./child.ts";

await using stash = new HashStash<string, string>(JSON.parse(Deno.args[0]));
await stash.open();
console.log(JSON.stringify(Date.now()));
for await (const line of linesOf(Deno.stdin.readable)) {
  const [order, key, ttl] = JSON.parse(line);
  if (order === "set") await stash.set(key, "value", { ttl });
  console.log(JSON.stringify(await stash.has(key)));
}
