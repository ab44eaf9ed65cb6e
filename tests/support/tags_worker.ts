/** A process of the tests of tags: it reads orders from standard input, and answers each with a line. */
import { HashStash } from "../../mod.ts";
import { linesOf } from "./child.ts";

const { options, id } = JSON.parse(Deno.args[0]);
await using stash = new HashStash<string, number>(options);
await stash.open();
console.log("ready");
for await (const line of linesOf(Deno.stdin.readable)) {
  const [order, ...rest] = line.split(" ");
  if (order === "mix") {
    for (let i = 0; i < Number(rest[0]); i++) {
      if (i % 5 === 4) await stash.invalidate({ tags: ["t"] });
      await stash.set(`${id % 2} ${i % 7}`, i, { tags: ["t"] });
    }
  } else if (order === "prefix") await stash.invalidate({ prefix: rest[0] });
  else if (order === "delete") await stash.delete(rest[0]);
  else if (order === "forget") {
    await using inside = new HashStash({ ...options, dbname: rest[0] });
    await inside.delete(rest[1]);
  } else if (order === "set") await stash.set(`mine ${id}`, id, { tags: ["t"] });
  else if (order === "invalidate") await stash.invalidate({ tags: ["t"] });
  console.log(order === "get" ? String(await stash.get(rest.join(" "))) : "done");
}
