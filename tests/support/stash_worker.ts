/** One of several processes at work on one stash: prints, as JSON, what its test then judges. */
import { HashStash } from "../../mod.ts";

const [options, index, times] = JSON.parse(Deno.args[0]);
// Ready; the parent lets all go at once.
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));

await using stash = new HashStash<string, number>(options);
await using history = new HashStash<string, string>({
  ...options,
  dbname: "history",
  appendMode: true,
});
await using many = stash.sub<unknown, number>("many");
const agreed: number[] = [];
const popped: [unknown, number][] = [];
for (let i = 0; i < times; i++) {
  await stash.modify("counter", (n) => (n ?? 0) + 1);
  await history.set("log", `${index}:${i}`);
  if (i < 5) agreed.push(await stash.setDefault(`default ${i}`, index));
  await many.set([index, i], i);
}
await using pool = stash.sub<string, number>("pool");
for (let item; (item = await pool.popItem()) !== undefined;) popped.push(item);
console.log(JSON.stringify({ agreed, popped }));
