/** What a stash promises when several processes use it at once, judged on one engine. */
import { assertEquals } from "@std/assert";
import type { HashStashOptions } from "../../mod.ts";
import { type EngineName, TestBed } from "./bed.ts";
import { WorkerProcess } from "./child.ts";

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
async function together(options: HashStashOptions): Promise<Answer[]> {
  await using stack = new AsyncDisposableStack();
  const workers = Array.from(
    { length: PROCESSES },
    (_, index) => stack.use(new WorkerProcess("./stash_worker.ts", [options, index, TIMES])),
  );
  for (const worker of workers) assertEquals(await worker.line(), "ready");
  for (const worker of workers) await worker.endInput();
  return await Promise.all(workers.map(async (worker) => {
    const answer = JSON.parse(await worker.line()) as Answer;
    assertEquals((await worker.status).code, 0);
    return answer;
  }));
}
