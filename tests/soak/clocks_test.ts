/**
 * Processes whose clocks are an hour apart, on one store. Needs libfaketime; redis needs nothing of
 * it, as it goes by its server's clock, and must show so here.
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { type EngineName, hasServer, PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { movedClocks } from "../support/clocks.ts";

const HOUR = 3_600_000;
const LEASE = 1_000;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const clocks = await movedClocks();
if (typeof clocks === "string") console.log(`NO CLOCK IS MOVED: ${clocks}`);
else for (const engine of PERSISTENT) register(engine, clocks);

function register(engine: EngineName, environment: (ms: number) => Record<string, string>): void {
  Deno.test({
    name: `soak: ${engine}: clocks that are an hour apart`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using bed = await TestBed.create(engine);
      const runs = `${bed.root}/runs`;
      /** Starts a process that calls a function when its input ends. */
      const caller = async (ms: number, orders: Record<string, unknown>) => {
        const worker = new WorkerProcess(
          "./flight_worker.ts",
          { lease: LEASE, runs, outcome: "return", ms: 0, callers: 2, ...orders },
          environment(ms),
        );
        assertEquals(await worker.line(), "ready");
        return worker;
      };
      const countRuns = async () => (await Array.fromAsync(Deno.readDir(runs))).length;

      for (const [ms, where] of [[HOUR, "ahead"], [-HOUR, "behind"]] as const) {
        await t.step(`a killed holder whose clock is ${where} is taken over in time`, async () => {
          await Deno.mkdir(runs);
          const options = bed.options();
          {
            await using holder = await caller(ms, { options, outcome: "hang" });
            await holder.endInput();
            while (await countRuns() === 0) await sleep(5);
            holder.kill();
          }
          await using waiter = await caller(0, { options });
          await waiter.endInput();
          // By its own clock: a lease and a half, and time for a busy machine.
          const enough = setTimeout(() => waiter.kill(), 1.5 * LEASE + 5_000);
          const [one, other] = JSON.parse(await waiter.line());
          clearTimeout(enough);
          assertEquals(one, other);
          assertEquals(await countRuns(), 2);
          await Deno.remove(runs, { recursive: true });
        });
      }

      await t.step("callers agree on a result", async () => {
        await Deno.mkdir(runs);
        const options = bed.options();
        const orders = { options, ms: 1.5 * LEASE };
        {
          await using stack = new AsyncDisposableStack();
          const callers: WorkerProcess[] = [];
          for (const ms of [HOUR, -HOUR, 0]) callers.push(stack.use(await caller(ms, orders)));
          for (const caller of callers) await caller.endInput();
          const results: string[] = [];
          for (const caller of callers) results.push(...JSON.parse(await caller.line()));
          assertEquals(results.length, 6);
          const count = await countRuns();
          if (hasServer(engine)) assertEquals([count, new Set(results).size], [1, 1]);
          // Elsewhere a beat is judged by the clock of who looks: each may compute, once.
          assert(count >= 1 && count <= 3, `${count} runs`);
        }
        const before = await countRuns();
        await using late = await caller(0, orders);
        await late.endInput();
        const [one, other] = JSON.parse(await late.line());
        assertEquals(one, other);
        assertEquals(await countRuns(), before, "what was stored is used");
        await Deno.remove(runs, { recursive: true });
      });

      await t.step("deadlines", async () => {
        const options = bed.options();
        await using stash = bed.stash<string, string>(options);
        await using stack = new AsyncDisposableStack();
        const worker = async (ms: number) => {
          const worker = stack.use(
            new WorkerProcess("./clock_worker.ts", options, environment(ms)),
          );
          const time = JSON.parse(await worker.line());
          assertLess(Math.abs(time - Date.now() - ms), 60_000);
          return async (...order: unknown[]): Promise<boolean> => {
            await worker.write(JSON.stringify(order));
            return JSON.parse(await worker.line());
          };
        };
        const ahead = await worker(HOUR);
        const behind = await worker(-HOUR);
        const ttl = 600_000;
        const left = async (key: string) => (await stash.expiresAt(key) ?? NaN) - Date.now() - ttl;
        const byOwnClock = hasServer(engine) ? 0 : 1;
        // Each sees what it has set.
        assertEquals(await behind("set", "behind", ttl), true);
        assertEquals(await stash.has("behind"), byOwnClock === 0);
        if (byOwnClock === 0) assertLess(Math.abs(await left("behind")), 60_000);
        await stash.set("right", "value", { ttl });
        assertEquals(await behind("has", "right"), true);
        assertEquals(await ahead("has", "right"), byOwnClock === 0);
        assertEquals(await ahead("set", "ahead", ttl), true);
        assertEquals(await stash.has("ahead"), true);
        assertLess(Math.abs(await left("ahead") - byOwnClock * HOUR), 60_000);
        assertEquals(await behind("has", "ahead"), true);
        await stash.close();
      });
    },
  });
}
