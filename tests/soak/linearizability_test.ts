/**
 * Four processes do random things to few keys; what they saw must be a story: see
 * linearizability.ts. `HASHSTASH_SOAK_SECONDS` (`deno task soak`) makes it longer than the second
 * per engine of the ordinary run.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { type Operation, violation } from "./linearizability.ts";

const PROCESSES = 4;
const KEYS = 4;
const seconds = Number(Deno.env.get("HASHSTASH_SOAK_SECONDS") ?? 1);

function operation(
  kind: Operation["kind"],
  called: number,
  returned: number,
  result: Operation["result"] = null,
  argument?: number,
): Operation {
  return { kind, called, returned, result, argument };
}

Deno.test("the judge of stories finds what can't have happened", () => {
  const set = operation("set", 0, 10, null, 1);
  assertEquals(violation([set, operation("get", 5, 8)]), undefined);
  assertEquals(violation([set, operation("get", 5, 8, 1)]), undefined);
  const stale = operation("get", 11, 12);
  assertEquals(violation([set, stale]), stale);
  const lost = operation("get", 25, 26, 1);
  assertEquals(violation([set, operation("set", 15, 20, null, 2), lost]), lost);
  const twice = operation("delete", 13, 15, true);
  assertEquals(violation([set, operation("delete", 11, 14, true), twice]), twice);
  const both = [operation("setDefault", 0, 9, 1, 1), operation("setDefault", 1, 8, 2, 2)];
  assertEquals(violation(both), both[0]);
});

for (const engine of PERSISTENT) {
  Deno.test(`soak: ${engine}: 4 processes see one story of each key`, async () => {
    await using bed = await TestBed.create(engine);
    const seed = Math.floor(Math.random() * 1e9);
    await using stack = new AsyncDisposableStack();
    const options = bed.options({ name: "soak" });
    const workers = Array.from(
      { length: PROCESSES },
      (_, index) =>
        stack.use(
          new WorkerProcess("./soak_worker.ts", [options, index, seed, 1_000 * seconds, KEYS]),
        ),
    );
    for (const worker of workers) assertEquals(await worker.line(), "ready");
    for (const worker of workers) await worker.endInput();
    await judge(engine, workers, seed);
  });
}

for (const engine of ["memory", ...PERSISTENT] as const) {
  Deno.test(`soak: ${engine}: handles of one process with near see one story of each key`, async () => {
    await using bed = await TestBed.create(engine);
    const seed = Math.floor(Math.random() * 1e9);
    const others = [{ near: false }, { near: { ttl: 60_000, bus: false } }, { near: true }];
    const options = bed.options({ name: "soak", near: { ttl: 60_000 } });
    await using worker = new WorkerProcess(
      "./soak_worker.ts",
      [options, 0, seed, 1_000 * seconds, KEYS, others],
    );
    assertEquals(await worker.line(), "ready");
    await worker.endInput();
    await judge(engine, [worker], seed);
  });
}

/** Looks at what the workers say they have seen. */
async function judge(engine: string, workers: WorkerProcess[], seed: number): Promise<void> {
  const histories = new Map<string, Operation[]>();
  for (const worker of workers) {
    for (const [key, operation] of JSON.parse(await worker.line()) as [string, Operation][]) {
      if (!histories.has(key)) histories.set(key, []);
      histories.get(key)!.push(operation);
    }
  }
  let count = 0;
  for (const [key, history] of histories) {
    assertEquals(violation(history), undefined, `${key}, seed ${seed}`);
    count += history.length;
  }
  assertGreater(count, 50);
  console.log(`${engine}: ${count} operations, 0 violations`);
}
