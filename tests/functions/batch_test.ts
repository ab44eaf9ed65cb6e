/** Section 144 of the acceptance cases: many values that are made in one call. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { complete } from "../../engines/complete.ts";
import { Decorator } from "../../engines/decorator.ts";
import type {
  EngineFactory,
  EngineSupports,
  Entry,
  Guard,
  NewEntry,
} from "../../engines/engine.ts";
import { memory } from "../../engines/memory/mod.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { type BatchOptions, computation, EngineError, HashStash } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { ACTIONS, REMOVALS, WRITES } from "../support/fence_actions.ts";
import { beatOf, leaseOf, leasesOf } from "../support/leases.ts";
import { type Claims, testOnEngines, testOnMemory } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** What each id of many gave, errors by their message. */
async function outcomes(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  return (await Promise.allSettled(calls)).map((outcome) =>
    outcome.status === "fulfilled" ? outcome.value : outcome.reason.message
  );
}

/** A batch function that notes what it was asked for. */
function counted(stash: HashStash, options: BatchOptions<number, unknown> = {}) {
  const calls: number[][] = [];
  const one = stash.stashedBatch((ids: number[]) => {
    calls.push(ids);
    return ids.map((id) => ({ id }));
  }, { name: "one", ...options });
  return { calls, one };
}

/** A call that has begun; `end` lets it end. */
async function begun(ask: (make: (ids: unknown[]) => Promise<unknown[]>) => Promise<unknown>) {
  const started = Promise.withResolvers<unknown[]>();
  const gate = Promise.withResolvers<void>();
  const result = ask(async (ids) => {
    started.resolve(ids);
    await gate.promise;
    return ids.map((id) => ["old", id]);
  });
  const asked = await Promise.race([started.promise, result]);
  return { result, asked, end: gate.resolve };
}

const CLAIMS: Claims = {
  async "100 in a tick with 40 stored are one call with the 60 that are missing"(stash, bed) {
    const { calls, one } = counted(stash);
    await one.many(upTo(100).filter((id) => id % 5 < 2));
    calls.length = 0;
    const got = await Promise.all([...upTo(100), ...upTo(100)].map((id) => one(id)));
    assertEquals(got, [...upTo(100), ...upTo(100)].map((id) => ({ id })));
    assertEquals(calls, [upTo(100).filter((id) => id % 5 >= 2)]);
    assertEquals(await one.stash.size(), 100);
    const leases = await leasesOf(bed, one.stash);
    assertEquals(await leases.size(), 0, "none is left behind");
  },

  async "many gives values in order, also of an id that is there twice, and of none"(stash) {
    const { calls, one } = counted(stash);
    assertEquals(await one.many([]), []);
    assertEquals(await stash.getOrSetMany([], () => [1]), []);
    assertEquals(calls, []);
    assertEquals(await one.many([3, 1, 3, 2]), [{ id: 3 }, { id: 1 }, { id: 3 }, { id: 2 }]);
    const together = await Promise.all([one.many([2, 4]), one(5), one.many(new Set([5, 4, 6]))]);
    assertEquals(together, [[{ id: 2 }, { id: 4 }], { id: 5 }, [{ id: 5 }, { id: 4 }, { id: 6 }]]);
    assertEquals(calls, [[3, 1, 2], [4, 5, 6]]);
  },

  async "getOrSetMany uses the stash's own keys, in the order of which values come"(stash) {
    await stash.set({ a: 1 }, "stored");
    const calls: unknown[][] = [];
    const make = (missing: unknown[]): unknown[] => {
      calls.push(missing);
      return missing.map((key) => ["made", key]);
    };
    const keys = ["x", { a: 1 }, ["y"], "x"];
    const values = [["made", "x"], "stored", ["made", ["y"]], ["made", "x"]];
    assertEquals(await stash.getOrSetMany(keys, make), values);
    assertEquals(calls, [["x", ["y"]]]);
    assertEquals(await stash.getMany(keys), values);
    assertEquals(await stash.getOrSetMany(keys.values(), make), values);
    assertEquals(calls.length, 1);
  },

  async "no call is given more than maxBatch"(stash) {
    const { calls, one } = counted(stash, { maxBatch: 4 });
    assertEquals(await one.many(upTo(10)), upTo(10).map((id) => ({ id })));
    assertEquals(calls, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
    const sizes: number[] = [];
    const make = (missing: number[]) => (sizes.push(missing.length), missing);
    await stash.getOrSetMany(upTo(230), make);
    assertEquals(sizes, [100, 100, 30], "100 by default");
  },

  async "a function of the same name shares the results, one by one"(stash) {
    const { calls, one } = counted(stash, { version: 2 });
    const single = stash.stashedResult((id: number) => ({ id, by: "one" }), {
      name: "one",
      version: 2,
    });
    await single(1);
    assertEquals(await one.many([1, 2]), [{ id: 1, by: "one" }, { id: 2 }]);
    assertEquals(await single(2), { id: 2 } as never);
    assertEquals(calls, [[2]]);
    assertEquals([one.key(7), one.name], [[7], ""]);
    assertEquals(await one.stash.get([2]), { id: 2 });
    assertEquals([await one.peek(2), await one.peek(3)], [{ id: 2 }, undefined]);
    assertEquals([await one.forget(2), await one.forget(2)], [true, false]);
    assertEquals(await one(2), { id: 2 });
    assertEquals(calls, [[2], [2]]);
  },

  async "force makes anew what is stored, together with others"(stash) {
    let round = 0;
    const calls: number[][] = [];
    const one = stash.stashedBatch((ids: number[]) => {
      calls.push(ids);
      round++;
      return ids.map((id) => [id, round]);
    }, { name: "one" });
    await one.many([1, 2, 3]);
    assertEquals(await Promise.all([one.force(2), one(1), one.force(3), one(4)]), [
      [2, 2],
      [1, 1],
      [3, 2],
      [4, 2],
    ]);
    assertEquals(calls, [[1, 2, 3], [2, 3, 4]]);
    assertEquals(await one.many([1, 2, 3, 4]), [[1, 1], [2, 2], [3, 2], [4, 2]]);
  },

  async "a Map is read by the stash's equality of keys, and what it lacks is not stored"(stash) {
    const one = stash.stashedBatch((ids: { a: number; b: number }[]) => {
      const found = ids.filter(({ a }) => a > 0);
      return new Map(found.toReversed().map(({ a, b }) => [{ b, a }, a + b]));
    }, { name: "sums" });
    const ids = [{ a: 1, b: 2 }, { a: 0, b: 1 }, { b: 4, a: 3 }];
    assertEquals(await one.many(ids), [3, undefined, 7]);
    assertEquals(await one.stash.size(), 2);
    assertEquals(await one({ a: 0, b: 1 }), undefined);
    assertEquals(await one.stash.has([{ a: 0, b: 1 }]), false);
    const values = await stash.getOrSetMany(["x", "y"], () => new Map([["y", 2], ["other", 1]]));
    assertEquals([values, await stash.has("x"), await stash.has("other")], [
      [undefined, 2],
      false,
      false,
    ]);
    const list = await stash.getOrSetMany(["nothing"], () => [undefined]);
    assertEquals(
      [list, await stash.has("nothing")],
      [[undefined], true],
      "in a list it is a value",
    );
  },

  async "an Error in the place of a value rejects that one alone, and is not stored"(stash) {
    const make = (ids: number[]) => ids.map((id) => id % 2 ? new RangeError(`no ${id}`) : [id]);
    const one = stash.stashedBatch(make, { name: "even" });
    assertEquals(await outcomes([one(0), one(1), one(2), one(1)]), [[0], "no 1", [2], "no 1"]);
    assertEquals(await one.stash.size(), 2);
    const error = await assertRejects(() => one.many([1, 4, 3, 6]), AggregateError);
    assertEquals(error.errors.map(({ message }) => message), ["no 1", "no 3"]);
    assertEquals(error.message, "2 of 4 calls of make failed");
    assertEquals(await one.stash.size(), 4);
    const single = await assertRejects(
      () => stash.getOrSetMany([0, 1], (keys) => make(keys as number[])),
      AggregateError,
      "1 of 2 values failed",
    );
    assertEquals(single.errors.map(String), ["RangeError: no 1"]);
    assertEquals([await stash.get(0), await stash.has(1)], [[0], false]);
  },

  async "what can't be stored is an error of that value, as one in its place is"(stash) {
    const symbol = (id: number) => id % 2 ? Symbol() : [id];
    const one = stash.stashedBatch((ids: number[]): unknown[] => ids.map(symbol), { name: "odd" });
    for (const [ids, count] of [[[0, 2, 1], 1], [[1, 3, 4], 2]] as [number[], number][]) {
      const error = await assertRejects(() => one.many(ids), AggregateError, `${count} of 3 calls`);
      assertEquals(error.errors.map(({ name }) => name), Array(count).fill("TypeError"));
    }
    assertEquals(await one.stash.size(), 3);
  },

  async "what the function throws rejects all of that call, and so does what is no list"(stash) {
    let made: unknown;
    const one = stash.stashedBatch((ids: number[]): number[] => {
      if (ids.includes(13)) throw new RangeError("unlucky");
      return made as number[] ?? ids;
    }, { name: "moody", maxBatch: 2 });
    assertEquals(await outcomes([12, 13, 14].map((id) => one(id))), ["unlucky", "unlucky", 14]);
    await assertRejects(() => one.many([12, 13]), RangeError, "unlucky");
    await assertRejects(
      () => one.many([13, 12, 15]),
      RangeError,
      "unlucky",
    );
    assertEquals(await one.stash.size(), 2, "those of the other calls are stored");
    made = [1, 2, 3];
    await assertRejects(() => one.many([1, 2]), TypeError, "return 2 values");
    await assertRejects(() => one.many([14, 1]), TypeError, "return 1 value");
    await assertRejects(() => one.many([1, 2]), TypeError, "got 3");
    await assertRejects(() => one(1), TypeError, "return 1 value");
    await assertRejects(() => stash.getOrSetMany([1, 2], () => [1]), TypeError, "got 1");
    for (made of ["ab", { 1: 1 }, 7, new Set([1, 2])]) {
      await assertRejects(() => one.many([1, 2]), TypeError, "an array of values or a Map");
    }
    await assertRejects(() => one(1), TypeError, "an array");
    made = [() => 1, 2];
    assertEquals((await outcomes([one(1), one(2)]))[1], 2, "who can be stored is");
    assertEquals(await one.stash.size(), 3);
  },

  async "what is decided while the batch runs is about that key alone"(stash) {
    const keys = ["a", "k", "z"];
    for (const [action, act] of Object.entries(ACTIONS)) {
      const { asked, result, end } = await begun((make) => stash.getOrSetMany(keys, make));
      assertEquals(asked, keys);
      await act(stash, "k", "newer");
      end();
      assertEquals(await result, keys.map((key) => ["old", key]), `its own callers, ${action}`);
      const left = action === "clear" ? [undefined, undefined] : [["old", "a"], ["old", "z"]];
      const decided = action in WRITES ? "newer" : undefined;
      assertEquals(await stash.getMany(keys), [left[0], decided, left[1]], action);
      await stash.clear();
    }
    let answer: (ids: unknown[]) => unknown;
    const one = stash.stashedBatch((ids: unknown[]) => answer(ids) as unknown[], { name: "one" });
    const { result, end } = await begun((make) => (answer = make, one.many(keys)));
    await one.forget("k");
    answer = (ids) => ids.map(() => "anew");
    assertEquals(await one("k"), "anew", "who comes then begins anew");
    end();
    assertEquals(await result, keys.map((key) => ["old", key]));
    assertEquals(await one.many(keys), [["old", "a"], "anew", ["old", "z"]]);
  },

  async "others of this process that are at a key are waited for, each way"(stash) {
    await using same = HashStash.fromJSON(stash.toJSON());
    const gate = Promise.withResolvers<void>();
    const isAt = Promise.withResolvers<void>();
    const single = stash.getOrSet("b", async () => {
      isAt.resolve();
      await gate.promise;
      return "by one";
    });
    await isAt.promise;
    const first = await begun((make) => same.getOrSetMany(["a", "b", "c"], make));
    assertEquals(first.asked, ["a", "c"]);
    const second = await begun((make) => stash.getOrSetMany(["d", "c", "b"], make));
    assertEquals(second.asked, ["d"]);
    const joined = stash.getOrSet("a", () => "never");
    second.end();
    first.end();
    gate.resolve();
    assertEquals(await single, "by one");
    assertEquals(await joined as unknown, ["old", "a"]);
    assertEquals(await first.result, [["old", "a"], "by one", ["old", "c"]]);
    assertEquals(await second.result, [["old", "d"], ["old", "c"], "by one"]);
  },

  async "a run beyond its timeout rejects its callers, and what it brings is not stored"(stash) {
    const signals: AbortSignal[] = [];
    const late = Promise.withResolvers<number[]>();
    let isLate = true;
    const one = stash.stashedBatch((ids: number[]) => {
      const run = computation()!;
      signals.push(run.signal);
      return isLate ? late.promise : ids;
    }, { name: "late", timeout: 50 });
    const error = await assertRejects(() => one.many([1, 2]), DOMException);
    assertEquals(error.name, "TimeoutError");
    assertEquals([signals.length, signals[0].aborted], [1, true]);
    isLate = false;
    late.resolve([8, 9]);
    assertEquals(await one.many([1, 2]), [1, 2]);
    assertEquals(signals[1].aborted, false);
    await assertRejects(
      () => stash.getOrSetMany([1], () => new Promise(() => {}), { timeout: 10 }),
      DOMException,
    );
    assertEquals(await stash.size(), 0);
  },

  async "how long results are kept is said by the options, and from inside for the call"(stash) {
    const seen: unknown[] = [];
    const one = stash.stashedBatch((ids: number[]) => {
      if (ids.includes(9)) computation()!.options({ ttl: 1_000 });
      if (ids.includes(10)) computation()!.options({ store: false });
      seen.push(computation()!.stale);
      return ids.map((id) => [id]);
    }, {
      name: "kept",
      ttl: (result: number[], id: number) => (seen.push([result, id]), id === 2 ? -1 : 60_000),
    });
    const begin = Date.now();
    await one.many([1, 2]);
    assertEquals(seen, [undefined, [[1], 1], [[2], 2]]);
    assertEquals(await one.stash.has([2]), false, "a time that is past: not kept");
    const until = async (id: number) => (await one.stash.expiresAt([id]))! - begin;
    assertGreater(await until(1), 59_000);
    await one.many([8, 9]);
    for (const id of [8, 9]) assertEquals((await until(id)) < 30_000, true);
    await one.many([10, 11]);
    assertEquals([await one.stash.has([10]), await one.stash.has([11])], [false, false]);
    await stash.getOrSetMany(["j"], () => [1], { ttl: 60_000, jitter: 30_000 });
    const kept = (await stash.expiresAt("j"))! - Date.now();
    assert(kept <= 60_000 && kept > 25_000, `${kept}`);
  },

  async "tags are each result's own, also when one is invalidated while the batch runs"(stash) {
    let between: (() => Promise<unknown>) | undefined;
    const calls: number[][] = [];
    const one = stash.stashedBatch(async (ids: number[]) => {
      calls.push(ids);
      await between?.();
      computation()!.options({ tags: ["all"] });
      return ids.map((id) => [id]);
    }, { name: "tagged", tags: (_: number[], id: number) => [`id:${id}`] });
    await one.many([1, 2, 3]);
    assertEquals((await one.stash.entry([2]))!.tags.toSorted(), ["all", "id:2"]);
    assertEquals(await stash.invalidate({ tags: ["id:2"] }), 1);
    await one.many([1, 2, 3]);
    assertEquals(calls, [[1, 2, 3], [2]]);
    between = async () => {
      await stash.invalidate({ tags: ["id:5"] });
      between = undefined;
    };
    assertEquals(await one.many([4, 5, 6]), [[4], [5], [6]]);
    assertEquals([await one.peek(4), await one.peek(5)], [[4], undefined]);
    await one.many([4, 5, 6]);
    assertEquals(calls.slice(2), [[4, 5, 6], [5]]);
    await stash.getOrSetMany(["a", "b"], (keys) => keys, { tags: ["ab"] });
    assertEquals(await stash.invalidate({ tags: ["ab", "all"] }), 8);
  },

  async "a result whose time is over is made anew"(stash) {
    const { calls, one } = counted(stash, { ttl: 60_000 });
    await one.stash.set([1], { id: 0 }, { ttl: 1 });
    await sleep(5);
    assertEquals(await one.many([1, 2]), [{ id: 1 }, { id: 2 }]);
    const stale = stash.stashedResult((id: number) => ({ id }), {
      name: "one",
      ttl: 1,
      staleWhileRevalidate: 60_000,
    });
    await stale(3);
    await sleep(5);
    assertEquals(await one.many([1, 3]), [{ id: 1 }, { id: 3 }]);
    assertEquals(calls, [[1, 2], [3]]);
  },

  async "lock: process and false share as they say, and a call has each id once"(stash) {
    for (const lock of ["process", false] as const) {
      const { calls, one } = counted(stash, { name: `lock ${lock}`, lock });
      assertEquals(await one.many([1, 2, 1]), [{ id: 1 }, { id: 2 }, { id: 1 }]);
      assertEquals(calls, [[1, 2]]);
      assertEquals(await one.stash.size(), 2);
    }
  },

  async "what a near tier has comes from memory"(_, bed) {
    await using stash = bed.stash({ near: { ttl: 60_000, bus: false } });
    const { calls, one } = counted(stash);
    await one.many([1, 2, 3]);
    await one.many([1, 2, 3]);
    const before = one.stash.stats();
    assertEquals(await one.many([3, 1]), [{ id: 3 }, { id: 1 }]);
    assertEquals(await one(2), { id: 2 });
    const { hits, nearHits } = one.stash.stats();
    assertEquals([hits - before.hits, nearHits! - before.nearHits!], [3, 3]);
    await one.forget(2);
    assertEquals(await one.many([1, 2]), [{ id: 1 }, { id: 2 }]);
    assertEquals(calls, [[1, 2, 3], [2]]);
  },

  async "values are each caller's own"(stash) {
    const one = stash.stashedBatch((ids: number[]) => {
      const shared = { list: [0] };
      return ids.map(() => shared);
    }, { name: "shared" });
    const [a, b, c] = await Promise.all([one(1), one(1), one(2)]);
    a.list.push(1);
    assertEquals([b, c, await one(1)], [{ list: [0] }, { list: [0] }, { list: [0] }]);
  },
};

testOnEngines("batches", CLAIMS);

for (const engine of PERSISTENT) {
  Deno.test({
    name: `batches between processes on ${engine}`,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      await using bed = await TestBed.create(engine);
      await using workers = new AsyncDisposableStack();
      const start = () => workers.use(new WorkerProcess("./batch_worker.ts"));
      const all = [start(), start(), start(), start()];
      for (const one of all) assertEquals(await one.line(), "ready");
      const options = bed.options();
      let calls = "";
      const fresh = async () => {
        calls = await Deno.makeTempDir({ dir: bed.root });
        await using stash = new HashStash(options);
        await stash.clear({ deep: true });
      };
      const order = async (worker: WorkerProcess, what: Record<string, unknown>) =>
        await worker.write(JSON.stringify({ options, calls, ...what }));
      const answer = async (worker: WorkerProcess) => JSON.parse(await worker.line());
      const asked = async () => {
        const files = await Array.fromAsync(Deno.readDir(calls));
        const texts = await Promise.all(
          files.map(({ name }) => Deno.readTextFile(`${calls}/${name}`)),
        );
        return texts.filter((text) => text !== "").map((text) => JSON.parse(text) as number[]);
      };
      const oneCallAtLeast = async () => {
        while ((await asked()).length === 0) await sleep(5);
      };
      const values = (ids: number[]) => ids.map((id) => [id]);

      await t.step("4 processes that ask for the same 100 make each once", async () => {
        await fresh();
        const wait = Date.now() + 300;
        for (const one of all) await order(one, { ids: upTo(100), ms: 50, wait });
        for (const one of all) assertEquals(await answer(one), values(upTo(100)));
        assertEquals((await asked()).flat().sort((a, b) => a - b), upTo(100));
      });

      await t.step(
        "sets that overlap, in different orders: each once, and no deadlock",
        async () => {
          await fresh();
          const sets = [upTo(60), upTo(60, 20).reverse(), upTo(60, 40), upTo(100).reverse()];
          const wait = Date.now() + 300;
          for (const [i, ids] of sets.entries()) await order(all[i], { ids, ms: 20, wait });
          for (const [i, ids] of sets.entries()) assertEquals(await answer(all[i]), values(ids));
          assertEquals((await asked()).flat().sort((a, b) => a - b), upTo(100));
        },
      );

      await t.step("what another process is at is waited for, the rest is made", async () => {
        await fresh();
        await order(all[0], { ids: [1, 2, 3], ms: 500, lease: 300 });
        await oneCallAtLeast();
        await order(all[1], { ids: [4, 3, 2], lease: 300 });
        assertEquals(await answer(all[1]), values([4, 3, 2]));
        assertEquals(await answer(all[0]), values([1, 2, 3]));
        assertEquals((await asked()).sort((a, b) => a[0] - b[0]), [[1, 2, 3], [4]]);
      });

      await t.step("what another process makes meanwhile was missing", async () => {
        await fresh();
        await using stash = new HashStash(options);
        const never = () => assert(false, "it is made elsewhere");
        const one = stash.stashedBatch(never as () => unknown[], { name: "made" });
        await order(all[0], { ids: [1, 2], ms: 300 });
        await oneCallAtLeast();
        assertEquals(await one.many([1, 2]), values([1, 2]));
        const { hits, misses } = one.stash.stats();
        assertEquals([hits, misses], [0, 2]);
        assertEquals(await answer(all[0]), values([1, 2]));
      });

      await t.step("when its call throws, who waits makes them, in one call", async () => {
        await fresh();
        await order(all[0], { ids: [1, 2, 3], ms: 300, how: "throw" });
        await oneCallAtLeast();
        await order(all[1], { ids: [3, 2, 1] });
        assertEquals(await answer(all[0]), "RangeError: down");
        assertEquals(await answer(all[1]), values([3, 2, 1]));
        assertEquals((await asked()).flat().sort(), [1, 1, 2, 2, 3, 3]);
      });

      await t.step("who is killed in a call is taken over", async () => {
        await fresh();
        const holder = start();
        assertEquals(await holder.line(), "ready");
        await order(holder, { ids: [1, 2, 3], how: "hang", lease: 500 });
        await oneCallAtLeast();
        await order(all[0], { ids: [2, 3, 4], lease: 500 });
        holder.kill();
        assertEquals(await answer(all[0]), values([2, 3, 4]));
        assertEquals((await asked()).flat().sort(), [1, 2, 2, 3, 3, 4]);
      });

      await t.step("what another process decides is about that key alone", async () => {
        await using other = new WorkerProcess("./fence_worker.ts");
        assertEquals(await other.line(), "ready");
        await using stash = bed.stash();
        for (const action of [...Object.keys(REMOVALS), ...Object.keys(WRITES)]) {
          const { result, end } = await begun((make) => stash.getOrSetMany(["a", "k"], make));
          const there = bed.options({ name: stash.name });
          await other.write(JSON.stringify({ options: there, action, key: "k", value: "newer" }));
          assertEquals(await other.line(), "done");
          end();
          assertEquals(await result, [["old", "a"], ["old", "k"]]);
          const decided = action in WRITES ? "newer" : undefined;
          const left = action === "clear" ? undefined : ["old", "a"];
          assertEquals(await stash.getMany(["a", "k"]), [left, decided], action);
          await stash.clear();
        }
      });

      await t.step("a value that is to be new is waited for by itself", async () => {
        await using stash = bed.stash();
        const { calls, one } = counted(stash);
        const leases = await leasesOf(bed, one.stash);
        const lease = leaseOf({ token: "another", ms: 60_000 });
        await leases.set(`l/${one.stash.encodeKey([1])}`, lease);
        await leases.set("b/another", beatOf(60_000));
        const waiting = one.force(1);
        assertEquals(await one.force(2), { id: 2 }, "the others go on");
        assertEquals(calls, [[2]]);
        await leases.clear();
        assertEquals(await waiting, { id: 1 });
        assertEquals(calls, [[2], [1]]);
      });
    },
  });
}

/** Counts how often a store is asked for keys. */
class Counting extends Decorator {
  static readonly keys: Set<string> = new Set();
  static asked: string[] = [];

  #count(method: string, ...keys: string[]): void {
    if (keys.some((key) => Counting.keys.has(key))) Counting.asked.push(method);
  }

  override get(key: string) {
    this.#count("get", key);
    return this.inner.get(key);
  }

  override getValue(key: string) {
    this.#count("getValue", key);
    return this.inner.getValue(key);
  }

  override has(key: string) {
    this.#count("has", key);
    return this.inner.has(key);
  }

  override getMany(keys: string[]) {
    this.#count("getMany", ...keys);
    return this.inner.getMany(keys);
  }
}

for (const [name, open] of Object.entries({ memory, sqlite })) {
  Deno.test(`batches: no read per key on ${name}`, async () => {
    await using bed = await TestBed.create("sqlite");
    const engine: EngineFactory = (location) => new Counting(complete(open(location)));
    await using stash = bed.stash({ engine });
    const { calls, one } = counted(stash);
    await one.many(upTo(40));
    for (const id of upTo(100)) Counting.keys.add(one.stash.encodeKey([id]));
    Counting.asked = [];
    await Promise.all(upTo(100).map((id) => one(id)));
    assertEquals(calls.map((ids) => ids.length), [40, 60]);
    assertEquals(Counting.asked, ["getMany", "getMany"], "one for all, one of what is missing");
  });
}

Deno.test("batches: on an engine without guards what is decided is about that key alone", async () => {
  class WithoutGuards extends Decorator {
    override get supports(): EngineSupports {
      return { ...this.inner.supports, guard: false };
    }

    override compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
      assertEquals(guard, undefined);
      return this.inner.compareAndSet(key, expected, next);
    }
  }
  await using bed = await TestBed.create("sqlite");
  const engine: EngineFactory = (location) => new WithoutGuards(complete(sqlite(location)));
  for (
    const claim of [
      "what is decided while the batch runs is about that key alone",
      "100 in a tick with 40 stored are one call with the 60 that are missing",
    ]
  ) {
    await using stash = bed.stash({ engine });
    await CLAIMS[claim](stash, bed);
  }
});

Deno.test("batches: one entry that can't be read keeps nobody from the others", async () => {
  class Broken extends Decorator {
    override get(key: string) {
      if (key === "broken") throw new RangeError("unreadable");
      return this.inner.get(key);
    }

    override getMany(keys: string[]) {
      if (keys.includes("broken")) throw new RangeError("unreadable");
      return this.inner.getMany(keys);
    }
  }
  const engine: EngineFactory = (location) => new Broken(complete(memory(location)));
  await using stash = new HashStash<string, string>({ engine, name: "broken" });
  await stash.set("there", "stored");
  const ask = (keys: string[]) =>
    stash.getOrSetMany(keys, (some) => some.map((key) => `made ${key}`));
  const error = await assertRejects(() => ask(["there", "broken", "missing"]), AggregateError);
  assertEquals(error.message, "1 of 3 values failed");
  assertStringIncludes(error.errors[0].message, "unreadable");
  assertEquals(await stash.get("missing"), "made missing");
  await assertRejects(() => ask(["broken"]), EngineError, "unreadable");
});

Deno.test("batches: a lease for which the disk has no room is told of", async () => {
  const full = () =>
    new EngineError("no room", {
      engine: "sqlite",
      operation: "set",
      cause: Object.assign(new Error("no room"), { code: "ENOSPC" }),
    });
  let fails: "one" | "all" = "one";
  class Full extends Decorator {
    override setMany(entries: [string, NewEntry][]) {
      if (fails === "all") throw full();
      return this.inner.setMany(entries);
    }

    override compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
      if (fails === "one" && key === "l/b" && next !== undefined) throw full();
      return this.inner.compareAndSet(key, expected, next, guard);
    }
  }
  const engine: EngineFactory = (location) => {
    const made = complete(sqlite(location));
    return location.dbname.endsWith("/.leases") ? new Full(made) : made;
  };
  await using bed = await TestBed.create("sqlite");
  for (const onEngineError of ["throw", "bypass"] as const) {
    for (fails of ["one", "all"] as const) {
      await using stash = bed.stash({ engine, onEngineError });
      const told: string[] = [];
      stash.events.addEventListener("error", ({ detail }) => void told.push(String(detail.error)));
      assertEquals(await stash.getOrSetMany(["a", "b", "c"], (keys) => keys), ["a", "b", "c"]);
      assertEquals(told, ["EngineError: no room"], `${onEngineError}, ${fails}`);
      assertEquals(await stash.has("b"), false);
    }
  }
});

const onMemory = (name: string, fn: (stash: HashStash) => Promise<void>) =>
  testOnMemory(`batches: ${name}`, fn);

onMemory("wait gathers calls of several ticks", async (stash) => {
  const { calls, one } = counted(stash, { wait: 100 });
  const first = one(1);
  await sleep(5);
  const second = one(2);
  assertEquals(calls, []);
  assertEquals(await Promise.all([first, second]), [{ id: 1 }, { id: 2 }]);
  assertEquals(calls, [[1, 2]]);
  const { calls: own, one: now } = counted(stash, { name: "now" });
  await now(1);
  await now(2);
  assertEquals(own, [[1], [2]]);
});

onMemory("calls from several functions that run meet in one call", async (stash) => {
  const { calls, one } = counted(stash);
  const name = stash.stashedResult(async (id: number) => `user ${(await one(id)).id}`);
  assertEquals(await Promise.all(upTo(5).map((id) => name(id))), upTo(5).map((i) => `user ${i}`));
  assertEquals(calls, [upTo(5)]);
});

onMemory("what is called later happens later", async (stash) => {
  const { calls, one } = counted(stash);
  await one(1);
  const [before, , after] = await Promise.all([one(1), one.forget(1), one(1)]);
  assertEquals([before, after, calls], [{ id: 1 }, { id: 1 }, [[1], [1]]]);
  const setting = one.stash.set([2], { id: 22 });
  assertEquals([await one(2), await setting], [{ id: 22 }, undefined]);
});

onMemory("ids are those of the time of the call", async (stash) => {
  const one = stash.stashedBatch((ids: { id: number }[]) => ids.map(({ id }) => id), {
    name: "ids",
  });
  const id = { id: 1 };
  const list = [id, { id: 2 }];
  const asked = one.many(list);
  id.id = 9;
  list.length = 0;
  assertEquals(await asked, [1, 2]);
  assertEquals(await one.peek({ id: 9 }), undefined);
});

onMemory("key says what counts", async (stash) => {
  const calls: string[][] = [];
  const one = stash.stashedBatch((ids: string[]) => (calls.push(ids), ids.map((id) => id.length)), {
    name: "lengths",
    key: (id) => id.toLowerCase(),
  });
  assertEquals(await one.many(["Ab", "aB", "c"]), [2, 2, 1]);
  assertEquals([calls, one.key("X")], [[["Ab", "c"]], "x"]);
  assertEquals(await one.stash.get("ab" as never), 2);
});

onMemory("a function that waits for itself is refused, others it may ask", async (stash) => {
  let ask: (id: number) => Promise<unknown>;
  const one = stash.stashedBatch(async (ids: number[]): Promise<unknown[]> => {
    return await Promise.all(ids.map((id) => id === 0 ? 0 : ask(id)));
  }, { name: "nested" });
  ask = (id) => one(id);
  await assertRejects(() => one(1), TypeError, "wait");
  await assertRejects(() => one.many([1, 2]), TypeError, "wait");
  ask = () => one(0);
  assertEquals(await one.many([1, 2]), [0, 0]);
  ask = (id) => one.many([0, id]);
  await assertRejects(() => one(5), TypeError, "wait");
  await assertRejects(
    () => stash.getOrSetMany(["k"], async () => [await stash.getOrSet("k", () => 1)]),
    TypeError,
    "wait",
  );
  await assertRejects(
    () => stash.getOrSet("k", () => stash.getOrSetMany(["j", "k"], (keys) => keys.map(() => 1))),
    TypeError,
    "wait",
  );
  assertEquals(await stash.getOrSetMany(["k", "j"], (keys) => keys.map(() => 1)), [1, 1]);
});

onMemory("inside a modify of its key a value is made and not stored", async (stash) => {
  const errors: unknown[] = [];
  stash.events.addEventListener("error", (event) => errors.push((event as CustomEvent).detail));
  const next = await stash.modify("k", async () => {
    const [made, other] = await stash.getOrSetMany(["k", "j"], () => [1, 2]);
    return made as number + (other as number);
  });
  assertEquals([next, await stash.get("k"), await stash.get("j")], [3, 3, 2]);
  assertEquals(errors.length, 1);
});

onMemory("close waits for a batch, and is refused inside of one", async (stash) => {
  const { one } = counted(stash, { wait: 20 });
  const asked = one(1);
  await stash.close();
  assertEquals(await asked, { id: 1 });
  await assertRejects(() => one(2), Error, "closed");
  await assertRejects(() => one.many([2]), Error, "closed");
  await assertRejects(() => stash.getOrSetMany(["k"], () => [1]), Error, "closed");
  const inside = new HashStash({ engine: "memory", name: "close inside a batch" });
  const closing = () => inside.getOrSetMany(["k"], async () => (await inside.close(), [1]));
  await assertRejects(closing, TypeError, "waits for");
  await inside.close();
});

onMemory("values that can't be stored for another reason reach their callers", async (stash) => {
  const errors: unknown[] = [];
  stash.events.addEventListener("error", (event) => errors.push((event as CustomEvent).detail.key));
  const ttl = (value: number) => {
    if (value === 2) throw new RangeError("which ttl?");
    return 60_000;
  };
  const values = await outcomes([1, 2, 3].map(async (key) => {
    return (await stash.getOrSetMany([key], (keys) => keys as number[], { ttl }))[0];
  }));
  assertEquals(values, [1, "which ttl?", 3]);
  assertEquals(await stash.size(), 2);
});

onMemory("bad arguments are refused, and store nothing", async (stash) => {
  const fn = (ids: number[]) => ids;
  const refused = (options: unknown, error: typeof TypeError, message: string) => {
    assertThrows(() => stash.stashedBatch(fn, options as BatchOptions<number>), error, message);
  };
  for (const name of ["staleWhileRevalidate", "staleIfError", "retryAfter", "softTimeout"]) {
    refused({ [name]: 1 }, TypeError, `"${name}" in a batch`);
  }
  refused({ refreshAhead: 0.5 }, TypeError, '"refreshAhead" in a batch');
  refused({ cacheErrors: { ttl: 1 } }, TypeError, '"cacheErrors" in a batch');
  for (const name of ["force", "signal", "expiresAt", "batch"]) {
    refused({ [name]: 1 }, TypeError, `Unknown option "${name}"`);
  }
  refused(null, TypeError, "object of options");
  refused({ maxBatch: "1" }, TypeError, "maxBatch");
  for (const maxBatch of [0, 1.5, -1, NaN, Infinity]) refused({ maxBatch }, RangeError, "maxBatch");
  refused({ wait: "1" }, TypeError, "wait");
  for (const wait of [-1, NaN, Infinity, 2 ** 40]) refused({ wait }, RangeError, "wait");
  refused({ ttl: 10, jitter: 11 }, RangeError, "jitter");
  refused({ timeout: 0 }, RangeError, "timeout");
  refused({ tags: [7] }, TypeError, "tag");
  refused({ name: "" }, TypeError, "name");
  refused({ key: "id" }, TypeError, "key");
  refused({ lock: true }, TypeError, "lock");
  assertThrows(() => stash.stashedBatch("fn" as never), TypeError, "a function");
  const generator = function* () {} as never;
  assertThrows(() => stash.stashedBatch(generator), TypeError, "generator");

  const many = (keys: unknown, make: unknown, options?: unknown) => () =>
    stash.getOrSetMany(keys as string[], make as () => [], options as never);
  const all = (keys: unknown[]) => keys;
  await assertRejects(many("ab", all), TypeError, "iterable of keys");
  await assertRejects(many(7, all), TypeError, "iterable of keys");
  await assertRejects(many(["a", () => 1], all), TypeError);
  await assertRejects(many(["a"], undefined), TypeError, "a function");
  await assertRejects(many(["a"], all, { wait: 1 }), TypeError, 'Unknown option "wait"');
  await assertRejects(many(["a"], all, { staleIfError: 1 }), TypeError, "in a batch");
  await assertRejects(many(["a"], all, { maxBatch: 0 }), RangeError, "maxBatch");
  const one = stash.stashedBatch(fn, { name: "fine" });
  await assertRejects(() => one((() => 1) as never), TypeError);
  await assertRejects(() => one.many([1, (() => 1) as never]), TypeError);
  await assertRejects(() => one.many("12" as never), TypeError, "iterable");
  assertEquals([await stash.size(), await one.stash.size()], [0, 0]);
});

onMemory("10,000 at once", async (stash) => {
  const { calls, one } = counted(stash);
  assertEquals((await one.many(upTo(10_000))).length, 10_000);
  assertEquals(calls.length, 100);
  assertEquals(await one.stash.size(), 10_000);
});
