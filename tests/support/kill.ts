/** The test that what was acknowledged survives `kill -9`, for every engine that persists. */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { type EngineName, type Setup, TestBed } from "./bed.ts";
import { type Program, WorkerProcess } from "./child.ts";
import { KILL_KEYS, killCounter } from "./kill_values.ts";

const ROUNDS = 20;
const NAME = "kill";

/** What is particular to an engine in the kill test. */
export interface KillOptions {
  /** Tells several setups of one engine apart. */
  label?: string;
  /** Files and folders below the root that belong to no entry, after `check` with `fix`. */
  debris?(rootDir: string): string[] | Promise<string[]>;
}

/** Runs the writer and kills it at a random moment; the counts that it had acknowledged. */
async function killedWriter(
  bed: TestBed,
  start: number,
  atomic: boolean,
  program?: Program,
): Promise<number[]> {
  const argument = { place: bed.place, name: NAME, start, atomic };
  await using writer = new WorkerProcess("./kill_worker.ts", argument, {}, program);
  const counts: number[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const line of writer.lines) {
    // From the first acknowledgement on: before it, the process may still be starting.
    timer ??= setTimeout(() => writer.kill(), Math.random() * 150);
    counts.push(Number(line));
  }
  clearTimeout(timer);
  assertEquals((await writer.status).signal, "SIGKILL");
  return counts;
}

/** Registers the kill test: 20 rounds, no acknowledged value lost, nothing left behind. */
export function killTests(name: EngineName, setup?: Setup, options: KillOptions = {}): void {
  Deno.test({
    name: `${options.label ?? name}: ${ROUNDS} writers killed`,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: () => testKills(name, setup, options),
  });
}

/** The same within a test. */
export async function testKills(
  name: EngineName,
  setup?: Setup,
  options: KillOptions & { program?: Program; rounds?: number } = {},
): Promise<void> {
  await using bed = await TestBed.create(name, setup);
  const acknowledged = new Map<number, number>();
  for (let round = 0; round < (options.rounds ?? ROUNDS); round++) {
    const counts = await killedWriter(bed, round * 1_000_000, round % 2 > 0, options.program);
    assert(counts.length > 0, "the writer wrote nothing");
    for (const counter of counts) acknowledged.set(counter % KILL_KEYS, counter);

    const engine = await bed.open({}, { name: NAME });
    let present = 0;
    for (let index = 0; index < KILL_KEYS; index++) {
      const entry = await engine.get(`key ${index}`);
      const least = acknowledged.get(index);
      if (entry === undefined) {
        assertEquals(least, undefined, `round ${round}: key ${index} is lost`);
        continue;
      }
      present++;
      const counter = killCounter(index, entry.value);
      assertGreaterOrEqual(counter, least ?? 0, `round ${round}: key ${index} is older`);
    }
    assertEquals(await engine.size(), present, "size counts something that is no entry");
    const { problems } = await engine.check({ fix: true });
    assertEquals(problems.filter(({ fixed }) => !fixed), []);
    assertEquals((await engine.check({ fix: false })).problems, []);
    assertEquals(await engine.size(), present);
    assertEquals(await options.debris?.(bed.root) ?? [], []);
    await bed.close();
  }
}
