/** What a stash promises when several processes use it at once, judged on one engine. */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { EngineName } from "../../engines/registry.ts";
import { TestBed } from "./test_bed.ts";

const WORKER = fileURLToPath(new URL("./stash_worker.ts", import.meta.url));
const PROCESSES = 4;
const TIMES = 50;
const POOL = 40;

interface Answer {
  agreed: number[];
  popped: [string, number][];
}

/** Registers the test: 4 processes × 50 of each. */
export function stashProcessesTest(engine: EngineName): void {
  Deno.test(`${engine}: 4 processes × 50 modify, append, setDefault, popItem lose nothing`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options({ name: "together" });
    {
      await using pool = bed.stash({ ...options, dbname: "main/pool" });
      await pool.setMany(Array.from({ length: POOL }, (_, i) => [`item ${i}`, i]));
    }
    const answers = await together(options);

    await using stash = bed.stash(options);
    assertEquals(await stash.get("counter"), PROCESSES * TIMES);
    await using history = bed.stash({ ...options, dbname: "history", appendMode: true });
    const versions = await history.getAll("log", { withMetadata: true });
    assertEquals(versions.length, PROCESSES * TIMES);
    assertEquals(versions.map(({ version }) => version), versions.map((_, i) => i + 1));
    assertEquals(new Set(versions.map(({ value }) => value)).size, PROCESSES * TIMES);
    for (let i = 0; i < 5; i++) {
      assertEquals(new Set(answers.map(({ agreed }) => agreed[i])).size, 1, `default ${i}`);
    }
    const popped = answers.flatMap((answer) => answer.popped.map(([key]) => key));
    assertEquals(popped.length, POOL);
    assertEquals(new Set(popped).size, POOL);
    await using many = bed.stash({ ...options, dbname: "main/many" });
    assertEquals(await many.size(), PROCESSES * TIMES);
    for (const one of [stash, history, many]) assertEquals((await one.check()).problems, []);
  });
}

/** Runs the workers at the same time. */
async function together(options: object): Promise<Answer[]> {
  const children = Array.from(
    { length: PROCESSES },
    (_, index) =>
      new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--quiet",
          "--no-check",
          "--unstable-kv",
          WORKER,
          JSON.stringify([options, index, TIMES]),
        ],
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn(),
  );
  const outputs = children.map((child) => {
    const lines = child.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    return { child, lines };
  });
  for (const { lines } of outputs) await lines.next();
  for (const { child } of outputs) await child.stdin.close();
  return await Promise.all(outputs.map(async ({ child, lines }) => {
    let text = "";
    for (let part; !(part = await lines.next()).done;) text += part.value;
    assertEquals((await child.status).code, 0);
    return JSON.parse(text) as Answer;
  }));
}
