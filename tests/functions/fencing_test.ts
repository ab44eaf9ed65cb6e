/**
 * Section 11 of the acceptance cases: a result is stored only while nobody has decided otherwise
 * since its run began.
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import type { HashStash } from "../../mod.ts";
import { ENGINES, PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { ACTIONS, REMOVALS, WRITES } from "../support/fence_actions.ts";
import { beatOf, leaseOf, leasesOf } from "../support/leases.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

type Make = () => unknown;

/** A way to compute a result: what it is stored in and under, and how to ask for it. */
interface Way {
  store: HashStash;
  key: unknown;
  call(make: Make, force?: boolean): Promise<unknown>;
  forget(): Promise<unknown>;
}

/** The result as it is stored: of a generator, the list of what it yielded. */
const WAYS: Record<string, (stash: HashStash) => Way> = {
  getOrSet: (stash) => ({
    store: stash,
    key: "k",
    call: (make, force) => stash.getOrSet("k", make, { force }),
    forget: () => stash.delete("k"),
  }),
  "a function"(stash) {
    let make: Make;
    const f = stash.stashedResult((_: string) => make(), { name: "f" });
    return {
      store: f.stash as HashStash,
      key: ["k"],
      call: (next, force) => (make = next, force ? f.force("k") : f("k")),
      forget: () => f.forget("k"),
    };
  },
  "an async generator"(stash) {
    let make: Make;
    const f = stash.stashedResult(async function* (_: string) {
      yield* await make() as unknown[];
    }, { name: "g" });
    return {
      store: f.stash as HashStash,
      key: ["k"],
      call: (next, force) => (make = next, Array.fromAsync(force ? f.force("k") : f("k"))),
      forget: () => f.forget("k"),
    };
  },
};

/** A run that has begun; `end` lets it end. */
async function begin(way: Way, value: unknown, force = false) {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const result = way.call(async () => {
    begun.resolve();
    await gate.promise;
    return value;
  }, force);
  await Promise.race([begun.promise, result]);
  return { result, end: gate.resolve };
}

/**
 * A call has looked for its result in vain and waits for the run. What it reads besides, of leases
 * and tags, has been read when as many reads that began later are through, and some time more.
 */
async function hasJoined({ store }: Way, misses: number): Promise<void> {
  while (store.stats().misses === misses) await sleep(1);
  for (let i = 0; i < 10; i++) await store.has(`other ${i}`);
  await sleep(10);
}

/** Does something to the store, here or in another process. */
type Act = (way: Way, action: string, value: unknown) => Promise<void>;

async function removes(way: Way, action: string, act: Act): Promise<void> {
  for (const force of [false, true]) {
    if (force) await way.store.set(way.key, ["before"]);
    const run = await begin(way, ["old"], force);
    const { misses } = way.store.stats();
    const joined = force ? undefined : way.call(() => ["joined"]);
    if (joined) await hasJoined(way, misses);
    await act(way, action, ["set"]);
    run.end();
    assertEquals(await run.result, ["old"], `121: its own caller, after ${action}`);
    assertEquals(await joined ?? ["old"], ["old"], "who waited with it");
    assertEquals(await way.store.get(way.key), undefined, `121: ${action}, force ${force}`);
    assertEquals(await way.call(() => ["anew"]), ["anew"]);
    await way.store.delete(way.key);
  }
}

async function removesBefore(way: Way, action: string, act: Act): Promise<void> {
  const run = await begin(way, ["old"]);
  await act(way, action, ["set"]);
  assertEquals(await way.call(() => ["anew"]), ["anew"], `123: after ${action}`);
  run.end();
  assertEquals(await run.result, ["old"]);
  assertEquals(await way.store.get(way.key), ["anew"], "123: what it made is stored");
  await way.store.delete(way.key);
}

async function writes(way: Way, action: string, act: Act): Promise<void> {
  for (const force of [false, true]) {
    if (force) await way.store.set(way.key, ["before"]);
    const run = await begin(way, ["old"], force);
    await act(way, action, ["newer"]);
    run.end();
    assertEquals(await run.result, ["old"], "its own caller");
    assertEquals(await way.store.get(way.key), ["newer"], `122: ${action}, force ${force}`);
    await way.store.delete(way.key);
  }
}

const here: Act = async ({ store, key }, action, value) =>
  void await ACTIONS[action](store, key, value);

for (const engine of ENGINES) {
  Deno.test({
    name: `fencing on ${engine}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using bed = await TestBed.create(engine);
      for (const [name, make] of Object.entries(WAYS)) {
        for (const appendMode of [false, true]) {
          await t.step(`${name}${appendMode ? ", append mode" : ""}`, async () => {
            await using stash = bed.stash({ appendMode });
            const way = make(stash);
            for (const action of Object.keys(REMOVALS)) {
              await removes(way, action, here);
              await removesBefore(way, action, here);
            }
            await removes(way, "forget", async () => void await way.forget());
            for (const action of Object.keys(WRITES)) await writes(way, action, here);
          });
        }
      }

      await t.step("popItem of the key", async () => {
        await using stash = bed.stash();
        await stash.set("k", "before");
        const run = await begin(WAYS.getOrSet(stash), "old", true);
        assertEquals(await stash.popItem(), ["k", "before"]);
        run.end();
        assertEquals([await run.result, await stash.get("k")], ["old", undefined]);
      });

      await t.step("lock: process and false notice what their own process does", async () => {
        await using stash = bed.stash();
        for (const lock of ["process", false] as const) {
          for (const action of ["delete", "clear", "set"]) {
            const gate = Promise.withResolvers<void>();
            const begun = Promise.withResolvers<void>();
            const run = stash.getOrSet("k", async () => {
              begun.resolve();
              await gate.promise;
              return "old";
            }, { lock });
            await begun.promise;
            await ACTIONS[action](stash, "k", "newer");
            gate.resolve();
            assertEquals(await run, "old");
            assertEquals(await stash.get("k"), action === "set" ? "newer" : undefined);
            await stash.delete("k");
          }
        }
      });

      await t.step("what ends by itself, and prune, decide nothing", async () => {
        await using stash = bed.stash();
        await stash.set("k", "before", { ttl: 60 });
        const run = await begin(WAYS.getOrSet(stash), "new", true);
        await sleep(80);
        await stash.prune();
        run.end();
        assertEquals([await run.result, await stash.get("k")], ["new", "new"]);
      });
    },
  });
}

for (const engine of PERSISTENT) {
  Deno.test({
    name: `fencing between processes on ${engine}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using bed = await TestBed.create(engine);
      await using other = new WorkerProcess("./fence_worker.ts");
      assertEquals(await other.line(), "ready");
      await using stash = bed.stash();
      const order = async ({ store, key }: Way, action: string, value: unknown) => {
        const options = { ...bed.options({ name: store.name }), dbname: store.dbname };
        await other.write(JSON.stringify({ options, action, key, value }));
        return await other.line();
      };
      const there: Act = async (way, action, value) =>
        assertEquals(await order(way, action, value), "done");

      for (const [name, make] of Object.entries(WAYS)) {
        await t.step(name, async () => {
          const way = make(stash);
          for (const action of Object.keys(REMOVALS)) await removes(way, action, there);
          for (const action of Object.keys(WRITES)) await writes(way, action, there);
        });
      }

      await t.step("callers of other processes compute anew after a delete", async () => {
        const way = WAYS.getOrSet(stash);
        const run = await begin(way, "old");
        await there(way, "delete", undefined);
        assertEquals(await order(way, "getOrSet", "theirs"), '"theirs"');
        run.end();
        assertEquals([await run.result, await stash.get("k")], ["old", "theirs"]);
        await stash.delete("k");
      });

      await t.step(
        "124: a holder that was killed while it stored delays a delete no longer than its lease",
        async () => {
          const way = WAYS.getOrSet(stash);
          const leases = await leasesOf(bed, stash);
          await leases.set("l/k", leaseOf({ token: "killed", ms: 300, storing: true }));
          await leases.set("b/killed", beatOf(300));
          await stash.set("k", "stored");
          const begin = performance.now();
          await there(way, "delete", undefined);
          assertLess(performance.now() - begin, 3_000);
          assertEquals(await stash.has("k"), false);
          assertEquals(await leases.size(), 0);
        },
      );

      await t.step(
        "a holder that stores is waited for, and what it stored is removed",
        async () => {
          const leases = await leasesOf(bed, stash);
          await leases.set("l/k", leaseOf({ token: "alive", ms: 60_000, storing: true }));
          await leases.set("b/alive", beatOf(60_000));
          let isDeleted = false;
          const deleting = stash.delete("k").then((was) => (isDeleted = true, was));
          await sleep(50);
          assert(!isDeleted);
          await using same = bed.stash({ name: stash.name });
          await same.set("k", "its result");
          await leases.delete("l/k");
          assertEquals(await deleting, true);
          assertEquals(await stash.has("k"), false);
        },
      );
    },
  });
}
