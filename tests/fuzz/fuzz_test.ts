import { assert, assertGreater } from "@std/assert";
import { fileURLToPath } from "node:url";
import { outputOf } from "../../dev/run.ts";

/** How long the ordinary run takes; `deno task fuzz` goes on for as long as it is told. */
const SECONDS = 6;

Deno.test("changed bytes of every layer give values or documented errors, and harm nobody", async () => {
  const { success, stdout, stderr } = await outputOf([
    ...["run", "-A", "--no-check", "--v8-flags=--max-old-space-size=1000"],
    ...[fileURLToPath(new URL("fuzz.ts", import.meta.url)), String(SECONDS)],
  ]);
  // Deno's brotli prints "leaking memory block" when it is given up in the middle.
  const lines = stdout.split("\n").filter((line) =>
    line !== "" && !line.startsWith("leaking memory block")
  );
  console.log(lines.join("\n"));
  assert(success, `${lines.join("\n")}\n${stderr}`);
  const counts = lines.flatMap((line) => line.match(/: (\d+) inputs/)?.[1] ?? []);
  assertGreater(counts.length, 25);
  for (const count of counts) assertGreater(Number(count), 0);
});
