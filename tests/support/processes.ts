/**
 * Tests that several processes using one store at once must pass, for every engine that can be
 * shared.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { CompleteEngine } from "../../engines/complete.ts";
import type { EngineName } from "../../engines/registry.ts";
import { evenValue, type JobName, textEntry, textOf } from "./process_jobs.ts";
import { openEngine, type Setup, type Site, startSite } from "./setup.ts";

const PROCESSES = 4;
const TIMES = 50;

/** A child process that does jobs. */
class WorkerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncGenerator<unknown>;

  constructor() {
    const script = new URL("./process_worker.ts", import.meta.url).href;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--unstable-kv", script],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#orders = this.#child.stdin.getWriter();
    this.#answers = jsonLines(this.#child.stdout);
  }

  async answer(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("A worker process ended before it answered");
    return value;
  }

  async do(order: unknown): Promise<unknown> {
    await this.#orders.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
    const { result, error } = await this.answer() as { result?: unknown; error?: string };
    if (error !== undefined) throw new Error(`In a worker process: ${error}`);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close();
    await this.#answers.return(undefined);
    await this.#child.status;
  }
}

/** The lines of a stream, parsed. */
async function* jsonLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The processes of one test, and the store that they share. */
class Fleet {
  readonly #workers: WorkerProcess[];
  readonly #site: Site;

  constructor(site: Site, workers: WorkerProcess[]) {
    this.#site = site;
    this.#workers = workers;
  }

  /** Lets all processes do a job in a store of its name; what each gave. */
  async do<T>(job: JobName, times = TIMES): Promise<T[]> {
    const count = this.#workers.length;
    const results = this.#workers.map((worker, index) =>
      worker.do({ site: this.#site, name: job, job, worker: { index, count }, times })
    );
    return await Promise.all(results) as T[];
  }

  /** Opens the job's store here. */
  async use(job: JobName, fn: (engine: CompleteEngine) => Promise<void>): Promise<void> {
    const engine = await openEngine(this.#site, job);
    try {
      await fn(engine);
    } finally {
      await engine.close();
    }
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
      await engine.setMany(Array.from({ length: TIMES }, (_, i) => [`take ${i}`, textEntry("v")]));
    });
    const taken = (await fleet.do<number[]>("take")).flat();
    assertEquals(taken.sort((a, b) => a - b), Array.from({ length: TIMES }, (_, i) => i));
  },

  async "are told of each deletion once"(fleet) {
    await fleet.use("remove", async (engine) => {
      const keys = Array.from({ length: TIMES }, (_, i) => `remove ${i}`);
      await engine.setMany(keys.map((key) => [key, textEntry("v")]));
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

  async "list untouched keys once while others write"(fleet) {
    await fleet.use("list", async (engine) => {
      const keys = Array.from({ length: 100 }, (_, i) => `stay ${i}`);
      await engine.setMany(keys.map((key) => [key, textEntry("value")]));
    });
    assertEquals((await fleet.do<string[]>("list", 20)).flat(), []);
  },
};

/** Registers the test of 4 processes. `label` tells several setups of one engine apart. */
export function processTests(name: EngineName, setup: Setup = {}, label: string = name): void {
  Deno.test({
    name: `${label}: ${PROCESSES} processes on one store`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using site = await startSite(name, setup);
      await using stack = new AsyncDisposableStack();
      const workers = Array.from({ length: PROCESSES }, () => stack.use(new WorkerProcess()));
      for (const worker of workers) assertEquals(await worker.answer(), "ready");
      const fleet = new Fleet(site, workers);
      for (const [claim, step] of Object.entries(STEPS)) await t.step(claim, () => step(fleet));
    },
  });
}
