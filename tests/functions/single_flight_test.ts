/**
 * Acceptance case 78: equal calls at the same time run the function once, in one process and
 * over several.
 */
import { assert, assertEquals, assertGreater, assertNotEquals, assertRejects } from "@std/assert";
import { complete, type Store } from "../../engines/complete.ts";
import { Decorator } from "../../engines/decorator.ts";
import type {
  EngineFactory,
  EngineSupports,
  Entry,
  Guard,
  NewEntry,
} from "../../engines/engine.ts";
import { EngineError } from "../../engines/errors.ts";
import { memory } from "../../engines/memory/mod.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { inTime } from "../../platform/timers.ts";
import {
  Lease,
  LeaseWatch,
  pruneLeases,
  revokeLeases,
  revokeLeasesOf,
} from "../../store/leases.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { entryOf, keysOf, textOf } from "../support/entries.ts";
import { beatOf, leaseOf, leasesOf } from "../support/leases.ts";
import { eventually } from "../support/servers.ts";
import { testOnMemory } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Orders {
  options: HashStashOptions;
  /** ms. */
  lease: number;
  /** The folder where each run leaves a file. */
  runs: string;
  outcome: "return" | "throw" | "hang";
  /** How long a run takes. */
  ms: number;
  callers: number;
}

/** Starts processes that call the function when their input ends. */
async function start(count: number, orders: Orders): Promise<WorkerProcess[]> {
  const callers = Array.from(
    { length: count },
    () => new WorkerProcess("./flight_worker.ts", orders),
  );
  for (const caller of callers) assertEquals(await caller.line(), "ready");
  return callers;
}

/** What the calls of processes gave, when they have ended. */
async function finish(callers: WorkerProcess[]): Promise<string[]> {
  const results = await Promise.all(callers.map(async (one) => {
    await using caller = one;
    const results: string[] = JSON.parse(await caller.line());
    assert((await caller.status).success);
    return results;
  }));
  return results.flat();
}

async function filesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
}

/** Makes a lease one that its holder wrote an hour ago. */
async function age(leases: Store, key: string): Promise<void> {
  const lease = await leases.get(key);
  const state = JSON.parse(textOf(lease)!);
  const next = { ...leaseOf({ ...state, at: state.at - 3_600_000 }), expiresAt: lease!.expiresAt };
  assert(await leases.compareAndSet(key, lease, next));
}

/** What holds of results, whether or not the engine obeys guards. */
const FENCED: Record<string, (stash: HashStash, bed: TestBed) => Promise<void>> = {
  async "who has lost the lease stores nothing, and its callers have its result"(opened, bed) {
    await using stash = opened;
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = stash.stashedResult(async () => {
      begun.resolve();
      await gate.promise;
      return "late";
    }, { name: "slow" });
    const leases = await leasesOf(bed, slow.stash);
    const late = slow();
    try {
      await begun.promise;
      const lease = `l/${slow.stash.encodeKey([])}`;
      assertEquals((await Array.fromAsync(leases.keys())).includes(lease), true);
      // As if this process had been stopped until its lease lapsed, and another had taken over.
      await leases.set(lease, leaseOf({ token: "another", ms: 60_000 }));
      gate.resolve();
      assertEquals(await late, "late");
      assertEquals(await slow.peek(), undefined);
      assertEquals(await leases.has(lease), true, "the lease of the other is its own");
    } finally {
      gate.resolve();
    }
  },

  async "who holds the lease gives it back, and stores nothing over a newer value"(opened, bed) {
    await using stash = opened;
    let isSet = false;
    const slow: { stash: HashStash; peek(): Promise<unknown> } & (() => Promise<unknown>) = stash
      .stashedResult(async () => {
        if (isSet) await slow.stash.set([], "in between");
        return "mine";
      }, { name: "slow" }) as never;
    assertEquals(await slow(), "mine");
    assertEquals(await slow.peek(), "mine");
    await slow.stash.clear();
    isSet = true;
    assertEquals(await slow(), "mine");
    assertEquals(await slow.peek(), "in between");
    const leases = await leasesOf(bed, slow.stash);
    assertEquals(await leases.size(), 0);
  },
};

for (const engine of PERSISTENT) {
  Deno.test({
    name: `single flight: processes on ${engine}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using bed = await TestBed.create(engine);
      const runs = `${bed.root}/runs`;
      const orders = async (overrides: Partial<Orders> = {}): Promise<Orders> => {
        await Deno.remove(runs, { recursive: true }).catch(() => undefined);
        await Deno.mkdir(runs);
        return {
          options: bed.options(),
          lease: 10_000,
          runs,
          outcome: "return",
          ms: 300,
          callers: 4,
          ...overrides,
        };
      };

      await t.step("4 processes of 4 callers run it once, longer than the lease", async () => {
        const callers = await start(4, await orders({ lease: 1_000, ms: 1_500 }));
        for (const caller of callers) await caller.endInput();
        const results = await finish(callers);
        const [run, ...others] = await filesIn(runs);
        assertEquals(others, []);
        assertEquals(results, new Array(16).fill(run));
      });

      await t.step("when the first holder is killed, one other runs it", async () => {
        const common = await orders({ lease: 2_500 });
        const [holder] = await start(1, { ...common, outcome: "hang" });
        const others = await start(3, common);
        await holder.endInput();
        while ((await filesIn(runs)).length === 0) await sleep(5);
        const [killed] = await filesIn(runs);
        for (const caller of others) await caller.endInput();
        await sleep(100);
        assertEquals(await filesIn(runs), [killed], "they wait while the holder lives");
        holder.kill();
        await holder[Symbol.asyncDispose]();
        const results = await finish(others);
        const [run, ...more] = (await filesIn(runs)).filter((name) => name !== killed);
        assertEquals(more, []);
        assertEquals(results, new Array(12).fill(run));
      });

      await t.step(
        "what a killed holder left is pruned, and what a living one has is not",
        async () => {
          await using stash = bed.stash();
          const options = {
            ...await orders({ lease: 500 }),
            options: bed.options({ name: stash.name }),
          };
          const leases = await leasesOf(bed, { name: stash.name, dbname: "main/run" });
          const [killed] = await start(1, { ...options, outcome: "hang" });
          await killed.endInput();
          while ((await filesIn(runs)).length === 0) await sleep(5);
          killed.kill();
          await killed[Symbol.asyncDispose]();
          const living = Promise.withResolvers<string>();
          const run = stash.stashedResult((_key: string) => living.promise, {
            name: "run",
            lease: 500,
          });
          const result = run("other");
          while ((await keysOf(leases, "l/")).length < 2) await sleep(5);
          while ((await keysOf(leases, "b/")).length > 1) await sleep(50);
          const [other, key] = ["other", "key"].map((key) => `l/${run.stash.encodeKey([key])}`);
          for (const prune of [() => run.stash.prune(), () => run.stash.check({ fix: true })]) {
            await prune();
            assertEquals(
              (await keysOf(leases, "l/")).sort(),
              [key, other].sort(),
              "it may be back",
            );
          }
          for (const text of [key, other]) await age(leases, text);
          await run.stash.check();
          assertEquals((await keysOf(leases, "l/")).length, 2);
          const before = await leases.get(key);
          await run.stash.prune();
          assertEquals(await keysOf(leases, "l/"), [other]);
          await leases.set(key, { ...before!, timestamp: Date.now() });
          assertEquals((await run.stash.check({ fix: true })).problems, []);
          assertEquals(await keysOf(leases, "l/"), [other]);
          living.resolve("made");
          assertEquals([await result, await run.peek("other")], ["made", "made"]);
          assertEquals(await leases.size(), 0);
        },
      );

      await t.step("when it throws, who waits in another process runs it itself", async () => {
        const common = await orders({ callers: 2 });
        const [holder] = await start(1, { ...common, outcome: "throw" });
        const [waiter] = await start(1, common);
        await holder.endInput();
        while ((await filesIn(runs)).length === 0) await sleep(5);
        const [thrower] = await filesIn(runs);
        await waiter.endInput();
        const error = `RangeError: thrown by ${thrower}`;
        assertEquals(await finish([holder]), [error, error]);
        const results = await finish([waiter]);
        const [run, ...more] = (await filesIn(runs)).filter((name) => name !== thrower);
        assertEquals(more, []);
        assertEquals(results, [run, run]);
      });

      for (const [name, claim] of Object.entries(FENCED)) {
        await t.step(name, () => claim(bed.stash(), bed));
      }

      await t.step("an abandoned wait for another process ends", async () => {
        await using stash = bed.stash();
        let count = 0;
        const f = stash.stashedResult(() => ++count, { name: "f" });
        const leases = await leasesOf(bed, f.stash);
        await leases.set(`l/${f.stash.encodeKey([])}`, leaseOf({ token: "another", ms: 60_000 }));
        await leases.set("b/another", beatOf(60_000));
        const controller = new AbortController();
        const waiting = f.with({ signal: controller.signal })();
        setTimeout(() => controller.abort(new RangeError("enough")), 20);
        await assertRejects(() => waiting, RangeError, "enough");
        await leases.clear();
        assertEquals(await f(), 1);
      });

      await t.step("an abandoned wait of an async generator ends, and close with it", async () => {
        await using stash = bed.stash();
        let count = 0;
        const f = stash.stashedResult(async function* () {
          yield ++count;
        }, { name: "endless" });
        const leases = await leasesOf(bed, f.stash);
        const holdLease = async (): Promise<void> => {
          await leases.set(`l/${f.stash.encodeKey([])}`, leaseOf({ token: "another", ms: 60_000 }));
          await leases.set("b/another", beatOf(60_000));
        };
        const abandon = async (): Promise<void> => {
          const controller = new AbortController();
          const waiting = f.with({ signal: controller.signal })();
          setTimeout(() => controller.abort(new RangeError("enough")), 20);
          await assertRejects(() => waiting, RangeError, "enough");
        };
        await holdLease();
        await abandon();
        const next = f();
        await leases.clear();
        assertEquals(await Array.fromAsync(await next), [1], "who comes then begins anew");
        await f.stash.clear();
        await holdLease();
        await abandon();
        const closing = stash.close();
        try {
          await inTime(closing, 10_000, () => new Error("close waits for what nobody waits for"));
        } finally {
          await leases.clear();
          await closing;
        }
        assertEquals(count, 1);
      });

      await t.step("lock: process and false take no lease", async () => {
        await using stash = bed.stash();
        for (const lock of ["process", false] as const) {
          let held = 0;
          const f = stash.stashedResult(async () => {
            const leases = await leasesOf(bed, f.stash);
            held = await leases.size();
            return 1;
          }, { name: `lock ${lock}`, lock });
          assertEquals(await f(), 1);
          assertEquals(held, 0);
        }
      });
    },
  });
}

/** An engine as a third party may write it. */
class WithoutGuards extends Decorator {
  override get supports(): EngineSupports {
    return { ...this.inner.supports, guard: false };
  }

  override compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
    assertEquals(guard, undefined);
    return this.inner.compareAndSet(key, expected, next);
  }
}

Deno.test("single flight: an async generator whose caller has left does not begin", async () => {
  const controller = new AbortController();
  /** Its caller leaves when the lease is taken. */
  class Leaving extends Decorator {
    override compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
      if (key.startsWith("l/")) controller.abort(new RangeError("enough"));
      return this.inner.compareAndSet(key, expected, next, guard);
    }
  }
  const engine: EngineFactory = (location) => new Leaving(complete(sqlite(location)));
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ engine });
  let count = 0;
  const f = stash.stashedResult(async function* () {
    yield ++count;
  }, { name: "f" });
  const leases = await leasesOf(bed, f.stash);
  await assertRejects(() => f.with({ signal: controller.signal })(), RangeError, "enough");
  for (let i = 0; i < 1_000 && await leases.size() > 0; i++) await sleep(5);
  assertEquals(await leases.size(), 0, "its lease is free");
  assertEquals(count, 0);
  assertEquals(await Array.fromAsync(await f()), [1]);
});

Deno.test("single flight: a call that waits for another process counts once", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash();
  const leases = await leasesOf(bed, stash);
  await leases.setMany([
    ["l/key", leaseOf({ token: "other", ms: 60_000 })],
    ["b/other", beatOf(60_000)],
  ]);
  const calls = [1, 2, 3].map((x) => stash.getOrSet("key", () => x));
  await eventually(() => assertEquals(stash.stats().misses, 3));
  await stash.set("key", 10);
  assertEquals(await Promise.all(calls), [10, 10, 10]);
  const { hits, misses } = stash.stats();
  assertEquals({ hits, misses }, { hits: 0, misses: 3 });
});

Deno.test("single flight: where no lease can be written there is none to be pruned", async () => {
  await using bed = await TestBed.create("sqlite");
  const engine: EngineFactory = (location) => {
    const made = sqlite(location);
    if (!location.dbname.endsWith("/.leases")) return made;
    made.open = () => Promise.reject(new Deno.errors.PermissionDenied("not here"));
    return made;
  };
  await using stash = bed.stash({ engine });
  await stash.set("key", 1);
  assertEquals(await stash.prune(), 0);
  assertEquals((await stash.check({ fix: true })).ok, true);
  await assertRejects(() => stash.getOrSet("other", () => 1), EngineError, "not here");
});

for (const [name, claim] of Object.entries(FENCED)) {
  Deno.test({
    name: `single flight: on an engine without guards ${name}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      await using bed = await TestBed.create("sqlite");
      const engine: EngineFactory = (location) => new WithoutGuards(complete(sqlite(location)));
      await claim(bed.stash({ engine }), bed);
    },
  });
}

/** Has another process take a lease anew whenever many are about to be removed. */
class Retaken extends Decorator {
  times = 1;

  override async deleteUnchanged(entries: [string, Entry][]) {
    if (this.times-- > 0) await this.inner.set("l/7", leaseOf({ token: "anew", ms: 60_000 }));
    return await this.inner.deleteUnchanged(entries);
  }
}

const numbers = Array.from({ length: 1_200 }, (_, i) => i);

Deno.test("single flight: of many leases those that are silent are pruned", async () => {
  await using leases = await openLeases();
  const at = Date.now() - 2 * 3_600_000;
  const lease = (i: number) => entryOf(JSON.stringify({ token: `${i}`, ms: 60_000, at }));
  await leases.setMany(numbers.map((i) => [`l/${i}`, lease(i)]));
  await leases.setMany([3, 1_199].map((i) => [`b/${i}`, beatOf(60_000)]));
  await leases.set("l/new", entryOf(JSON.stringify({ token: "n", ms: 1, at: Date.now() })));
  await pruneLeases(leases);
  assertEquals(await keysOf(leases, "l/"), ["l/1199", "l/3", "l/7", "l/new"]);
});

Deno.test("single flight: many leases are taken away, also one that is taken anew", async () => {
  await using leases = await openLeases();
  const lease = (i: number) => leaseOf({ token: `${i}`, ms: 60_000, storing: i === 5 });
  await leases.setMany(numbers.map((i) => [`l/${i}`, lease(i)]));
  await leases.setMany(numbers.map((i) => [`b/${i}`, beatOf(i === 5 ? 100 : 60_000)]));
  await leases.set("b/anew", beatOf(60_000));
  await leases.delete("b/7");
  await revokeLeasesOf(leases, "", (key) => key !== "1199");
  assertEquals(await keysOf(leases), ["b/1199", "l/1199"]);
});

async function openLeases(): Promise<Store & AsyncDisposable> {
  const store = new Retaken(complete(memory({ name: crypto.randomUUID(), dbname: "main" })));
  await store.open();
  return Object.assign(store, {
    async [Symbol.asyncDispose]() {
      await store.clear();
      await store.close();
    },
  });
}

/** A store of leases that is held up. */
class HeldUp extends Decorator implements AsyncDisposable {
  readonly store: Store;
  /** Beats that have been written. */
  beats = 0;
  /** What is waited for before a write. */
  beforeWrite: (key: string) => Promise<unknown> = () => Promise.resolve();
  /** What is waited for before a value that has been read is handed out. */
  afterRead: () => Promise<unknown> = () => Promise.resolve();

  static async open(): Promise<HeldUp> {
    const store = complete(memory({ name: crypto.randomUUID(), dbname: "main" }));
    await store.open();
    return new HeldUp(store);
  }

  private constructor(store: Store) {
    super(store);
    this.store = store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.clear();
    await this.store.close();
  }

  override async set(key: string, entry: NewEntry) {
    await this.beforeWrite(key);
    await this.inner.set(key, entry);
    this.beats++;
  }

  override async compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
    await this.beforeWrite(key);
    return await this.inner.compareAndSet(key, expected, next, guard);
  }

  override async getValue(key: string) {
    const value = await this.inner.getValue(key);
    await this.afterRead();
    return value;
  }
}

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Puts a lease of another process there. */
async function putLease(store: Store, ms: number): Promise<void> {
  await store.set("l/key", { value: bytes({ token: "another", ms }), timestamp: Date.now() });
}

/** Puts a beat of its holder there. */
async function putBeat(store: Store): Promise<void> {
  const timestamp = Date.now();
  await store.set("b/another", { value: bytes(1), timestamp, expiresAt: timestamp + 60_000 });
}

Deno.test("leases: one whose writes take a quarter of it does not lapse", async () => {
  const ms = 2_000;
  await using leases = await HeldUp.open();
  leases.beforeWrite = () => sleep(ms / 4);
  await using lease = await Lease.take(leases, "key", { ms }, new LeaseWatch());
  assert(lease !== undefined);
  const watch = new LeaseWatch();
  const entry = await lease.current();
  while (leases.beats < 2) {
    assertEquals(await watch.hasLapsed(leases.store, entry!), false, "its holder lives");
    await sleep(5);
  }
  leases.beforeWrite = () => Promise.resolve();
});

Deno.test("leases: one whose holder comes back before it is taken over stays", async () => {
  await using leases = await HeldUp.open();
  await putLease(leases.store, 60_000);
  leases.beforeWrite = async (key) => {
    if (key.startsWith("b/")) await putBeat(leases.store);
  };
  const taken = await Lease.take(leases, "key", { ms: 60_000 }, new LeaseWatch());
  assertEquals(taken, undefined);
  assertEquals(await Array.fromAsync(leases.store.keys()), ["l/key", "b/another"]);
});

Deno.test("leases: a beat whose answer comes late is not taken for one that stood still", async () => {
  await using leases = await HeldUp.open();
  await putLease(leases.store, 200);
  await putBeat(leases.store);
  const lease = await leases.store.get("l/key");
  const watch = new LeaseWatch();
  leases.afterRead = () => sleep(400);
  assertEquals(await watch.hasLapsed(leases, lease!), false);
  assertEquals(await watch.hasLapsed(leases, lease!), false);
  leases.afterRead = () => Promise.resolve();
  assertEquals(await watch.hasLapsed(leases, lease!), true, "it stood still for longer than that");
});

Deno.test("leases: what was foreseen is not taken for what is there", async () => {
  await using leases = await HeldUp.open();
  await using lease = await Lease.take(leases, "key", { ms: 60_000 }, new LeaseWatch());
  assert(lease !== undefined);
  await Lease.foresee([lease]);
  await revokeLeases(leases, ["key"]);
  assertEquals(await lease.current(), undefined);
  assert(lease.takeForeseen() !== undefined);
  assertEquals(lease.takeForeseen(), undefined, "it is given once");
});

const onMemory = (name: string, fn: (stash: HashStash) => Promise<void>) =>
  testOnMemory(`single flight: ${name}`, fn);

onMemory("a throw reaches every caller", async (stash) => {
  let count = 0;
  const fail = stash.stashedResult(async () => {
    await sleep(5);
    throw new RangeError(`run ${++count}`);
  });
  const results = await Promise.allSettled([fail(), fail(), fail()]);
  assertEquals(results.map((result) => result.status === "rejected" && result.reason.message), [
    "run 1",
    "run 1",
    "run 1",
  ]);
});

onMemory("handles on one store share, other stores and functions don't", async (stash) => {
  let count = 0;
  const fn = async () => {
    await sleep(5);
    return ++count;
  };
  await using same = HashStash.fromJSON(stash.toJSON());
  await using other = new HashStash({ engine: "memory", name: stash.name, rootDir: "elsewhere" });
  const results = await Promise.all([
    stash.stashedResult(fn, { name: "f" })(),
    same.stashedResult(fn, { name: "f" })(),
    other.stashedResult(fn, { name: "f" })(),
    stash.stashedResult(fn, { name: "g" })(),
  ]);
  assertEquals(results[0], results[1]);
  assertEquals(new Set(results).size, 3);
});

onMemory("lock: false lets everybody run", async (stash) => {
  let count = 0;
  const f = stash.stashedResult(async () => {
    await sleep(5);
    return ++count;
  }, { lock: false });
  assertEquals((await Promise.all([f(), f(), f()])).sort(), [1, 2, 3]);
  assertNotEquals(await f.peek(), undefined);
});

onMemory("force waits for a run that began before, and is shared itself", async (stash) => {
  let count = 0;
  const f = stash.stashedResult(async () => {
    const run = ++count;
    await sleep(10);
    return run;
  });
  const plain = f();
  while (count === 0) await sleep(1);
  const forced = await Promise.all([f.force(), f.force()]);
  assertEquals([await plain, ...forced], [1, 2, 2]);
  assertEquals(await f(), 2);
});

onMemory("a caller that is aborted leaves the run to the others", async (stash) => {
  let count = 0;
  // Gates, not times: a busy machine may be late with any of two timers.
  const gate = Promise.withResolvers<void>();
  const f = stash.stashedResult(async (x: number) => {
    const run = ++count;
    await gate.promise;
    return [x, run];
  });
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = f.with({ signal })(1);
  const other = f(1);
  const alone = f.with({ signal })(2);
  while (count < 2) await sleep(1);
  controller.abort(new RangeError("enough"));
  await assertRejects(() => aborted, RangeError, "enough");
  await assertRejects(() => alone, RangeError, "enough");
  gate.resolve();
  assertEquals(await other, [1, 1]);
  assertEquals(await f(2), [2, 2], "it went on alone");
  await assertRejects(() => f.with({ signal })(3), RangeError, "enough");
  assertEquals(await f.peek(3), undefined);
  assertEquals(count, 2);
  const left = Promise.withResolvers<void>();
  await assertRejects(
    () => stash.getOrSet("a", () => left.promise, { signal: AbortSignal.timeout(1) }),
    DOMException,
  );
  left.resolve();
});

Deno.test({
  name: "single flight: close waits for no run that all have left",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    await using bed = await TestBed.create("sqlite");
    await using other = bed.stash({ name: "left" });
    const leases = await leasesOf(bed, { name: other.name, dbname: "main/slow" });
    const gate = Promise.withResolvers<number>();
    {
      await using stash = bed.stash({ name: "left" });
      let begun = 0;
      const slow = stash.stashedResult((_: number) => (begun++, gate.promise), { name: "slow" });
      const controller = new AbortController();
      const { signal } = controller;
      const call = slow.with({ signal })(1);
      const run = stash.map(slow, [2, 3], { signal, concurrency: 2 });
      while (begun < 3) await sleep(1);
      controller.abort(new RangeError("enough"));
      await assertRejects(() => call, RangeError, "enough");
      await assertRejects(() => run.results(), RangeError, "enough");
      const endless = stash.stashedResult(async function* () {
        yield await gate.promise;
      }, { name: "slow", version: 2 });
      void (await endless()).next().catch(() => undefined);
      assertEquals(await leases.size(), 6); // each has a beat
    }
    assertEquals(await leases.size(), 0, "their leases are free");
    gate.resolve(1);
    await sleep(5);
    assertEquals(await other.stashedResult(() => 2, { name: "slow" })(), 2);
  },
});

onMemory("many different calls at once leave nothing behind", async (stash) => {
  const f = stash.stashedResult(async (x: number) => await Promise.resolve(x));
  const results = await Promise.all(Array.from({ length: 2_000 }, (_, i) => f(i % 1_000)));
  assertEquals(results, Array.from({ length: 2_000 }, (_, i) => i % 1_000));
  assertGreater(await f.stash.size(), 999);
});
