/**
 * Tests that several processes using one store at once must pass, for every engine that can be
 * shared.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { type EngineName, type Setup, type Store, TestBed } from "./bed.ts";
import { inDeno, type Program, WorkerProcess } from "./child.ts";
import { entryOf, textOf } from "./entries.ts";
import { evenValue, type Guarded, type JobName } from "./process_jobs.ts";

const PROCESSES = 4;
const TIMES = 50;

/** Lets a process do a job; what the job gave. */
async function order(worker: WorkerProcess, job: unknown): Promise<unknown> {
  await worker.write(JSON.stringify(job));
  const { result, error } = JSON.parse(await worker.line());
  if (error !== undefined) throw new Error(`In a worker process: ${error}`);
  return result;
}

/** The processes of one test, and the store that they share. */
class Fleet {
  readonly #workers: WorkerProcess[];
  readonly #bed: TestBed;

  constructor(bed: TestBed, workers: WorkerProcess[]) {
    this.#bed = bed;
    this.#workers = workers;
  }

  /** Lets all processes do a job in a store of its name; what each gave. */
  async do<T>(job: JobName, times = TIMES): Promise<T[]> {
    const count = this.#workers.length;
    const results = this.#workers.map((worker, index) =>
      order(worker, { place: this.#bed.place, name: job, job, worker: { index, count }, times })
    );
    return await Promise.all(results) as T[];
  }

  /** Opens the job's store here. */
  async use(
    job: JobName,
    fn: (engine: Store) => Promise<void> | void,
    dbname = "main",
  ): Promise<void> {
    await fn(await this.#bed.open({}, { name: job, dbname }));
    await this.#bed.close();
  }

  /** Whether the engine obeys guards: in a Redis Cluster it does not. */
  async supportsGuards(): Promise<boolean> {
    let supports = false;
    await this.use("guard", (engine) => {
      supports = engine.supports.guard === true;
    });
    return supports;
  }
}

type Step = (fleet: Fleet) => Promise<void>;

const STEPS: Record<string, Step> = {
  async "lose no increment"(fleet) {
    await fleet.do("increment");
    await fleet.use("increment", async (engine) => {
      assertEquals(textOf(await engine.get("counter")), String(PROCESSES * TIMES));
    });
  },

  async "lose no append"(fleet) {
    await fleet.do("append");
    await fleet.use("append", async (engine) => {
      const lines = (textOf(await engine.get("lines")) ?? "").trimEnd().split("\n");
      assertEquals(new Set(lines).size, PROCESSES * TIMES);
      assertEquals(lines.length, PROCESSES * TIMES);
    });
  },

  async "agree on who set an absent key"(fleet) {
    const [first, ...others] = await fleet.do<string[]>("agree");
    for (const found of first) assert(/^from \d$/.test(found), found);
    for (const other of others) assertEquals(other, first);
  },

  async "take each entry once"(fleet) {
    await fleet.use("take", async (engine) => {
      await engine.setMany(Array.from({ length: TIMES }, (_, i) => [`take ${i}`, entryOf("v")]));
    });
    const taken = (await fleet.do<number[]>("take")).flat();
    assertEquals(taken.sort((a, b) => a - b), Array.from({ length: TIMES }, (_, i) => i));
  },

  async "are told of each deletion once"(fleet) {
    await fleet.use("remove", async (engine) => {
      const keys = Array.from({ length: TIMES }, (_, i) => `remove ${i}`);
      await engine.setMany(keys.map((key) => [key, entryOf("v")]));
    });
    const removed = await fleet.do<number>("remove");
    assertEquals(removed.reduce((a, b) => a + b), TIMES);
    await fleet.use("remove", async (engine) => assertEquals(await engine.size(), 0));
  },

  async "keep what each wrote"(fleet) {
    await fleet.do("write");
    await fleet.use("write", async (engine) => {
      assertEquals(await engine.size(), PROCESSES * TIMES);
      for (let index = 0; index < PROCESSES; index++) {
        for (let i = 0; i < TIMES; i++) {
          const value = (await engine.get(`write ${index} ${i}`))?.value;
          assertEquals(value && new Uint8Array(value), evenValue(i));
        }
      }
      assertEquals((await engine.check({ fix: false })).problems, []);
    });
  },

  async "read whole values while one is overwritten"(fleet) {
    await fleet.use("overwrite", async (engine) => {
      await engine.set("overwrite", { value: evenValue(0), timestamp: Date.now() });
    });
    for (
      const { torn, reads } of await fleet.do<{ torn: number; reads: number }>("overwrite", 1_000)
    ) {
      assertEquals(torn, 0);
      assertGreater(reads, 0);
    }
  },

  async "lose no set to a compareAndSet"(fleet) {
    assertEquals(await fleet.do<number>("contend"), [0, 0, 0, 0]);
  },

  async "store nothing once a guard has been removed"(fleet) {
    if (!await fleet.supportsGuards()) return;
    const results = await fleet.do<Guarded>("guard", 30);
    const stored = results.flatMap(({ stored }) => stored).sort();
    const refused = results.reduce((sum, { refused }) => sum + refused, 0);
    // Both came about, or nothing has been shown.
    assertGreater(stored.length, 0);
    assertGreater(refused, 0);
    assertEquals(results[0].seen.flat().sort(), stored, "what was there after each removal");
    await fleet.use("guard", async (engine) => {
      assertEquals((await Array.fromAsync(engine.keys())).sort(), stored);
    });
  },

  async "guard two stores by each other, lose nothing and don't wait for ever"(fleet) {
    if (!await fleet.supportsGuards()) return;
    const stores = ["main", "main/side"];
    for (const dbname of stores) {
      await fleet.use("cross", async (engine) => await engine.set("counter", entryOf("0")), dbname);
    }
    await fleet.do("cross");
    for (const dbname of stores) {
      await fleet.use("cross", async (engine) => {
        assertEquals(textOf(await engine.get("counter")), String(PROCESSES * TIMES / 2));
      }, dbname);
    }
  },

  async "list untouched keys once while others write"(fleet) {
    await fleet.use("list", async (engine) => {
      const keys = Array.from({ length: 100 }, (_, i) => `stay ${i}`);
      await engine.setMany(keys.map((key) => [key, entryOf("value")]));
    });
    assertEquals((await fleet.do<string[]>("list", 20)).flat(), []);
  },
};

/** Registers the test of 4 processes. `label` tells several setups of one engine apart. */
export function processTests(name: EngineName, setup?: Setup, label: string = name): void {
  Deno.test({
    name: `${label}: ${PROCESSES} processes on one store`,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: (t) => testProcesses(t, name, setup),
  });
}

/** The same within a test, in processes of several runtimes. */
export async function testProcesses(
  t: Deno.TestContext,
  name: EngineName,
  setup?: Setup,
  programs: readonly Program[] = [inDeno],
): Promise<void> {
  await using bed = await TestBed.create(name, setup);
  await using stack = new AsyncDisposableStack();
  const workers = Array.from({ length: PROCESSES }, (_, i) => {
    const program = programs[i % programs.length];
    return stack.use(new WorkerProcess("./process_worker.ts", null, {}, program));
  });
  for (const worker of workers) assertEquals(JSON.parse(await worker.line()), "ready");
  const fleet = new Fleet(bed, workers);
  for (const [claim, step] of Object.entries(STEPS)) await t.step(claim, () => step(fleet));
}
