/** Section 13 of the acceptance cases: how long a result is fresh, and what comes after. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { computation, HashStash } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";
import { describeRun, stall } from "../support/map_work.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits until something is so; it fails when that takes too long. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; !await condition(); i++) {
    assertLess(i, 1_000, "it never is so");
    await sleep(5);
  }
}

/** A source that counts its runs, and fails or takes long when told. */
class Source {
  runs = 0;
  isDown = false;
  ms = 0;
  fetch = async (): Promise<string> => {
    const run = ++this.runs;
    if (this.ms > 0) await sleep(this.ms);
    if (this.isDown) throw new RangeError(`down ${run}`);
    return `value ${run}`;
  };
}

testOnEngines("freshness", {
  async "136: a stale result while the source fails, and no run within retryAfter"(stash) {
    const source = new Source();
    const options = { name: "f", ttl: 0, staleIfError: 60_000, retryAfter: 250 };
    const f = stash.stashedResult(source.fetch, options);
    assertEquals(await f(), "value 1");
    source.isDown = true;
    assertEquals(await f(), "value 1");
    assertEquals(source.runs, 2);
    const failed = Date.now();
    for (let i = 0; i < 5; i++) assertEquals(await f(), "value 1");
    await using same = HashStash.fromJSON(stash.toJSON());
    assertEquals(await same.stashedResult(source.fetch, options)(), "value 1");
    if (Date.now() - failed < 200) assertEquals(source.runs, 2, "none is tried");
    await sleep(270);
    const before = source.runs;
    assertEquals(await f(), "value 1");
    assertEquals(source.runs, before + 1);
    source.isDown = false;
    await sleep(270);
    assertEquals(await f(), `value ${source.runs}`);
    assertEquals(source.runs, before + 2);
    source.isDown = true;
    await f.forget();
    await assertRejects(() => f(), RangeError, "down");
  },

  async "136: so it is for getOrSet, and nothing stale is served beyond staleIfError"(stash) {
    const source = new Source();
    const get = (staleIfError: number) =>
      stash.getOrSet("k", source.fetch, { ttl: 0, staleIfError, retryAfter: 0 });
    await get(60_000);
    source.isDown = true;
    assertEquals(await get(60_000), "value 1");
    await assertRejects(() => get(0), RangeError, "down");
    await assertRejects(
      () => stash.getOrSet("k", source.fetch, { force: true, staleIfError: 60_000 }),
      RangeError,
      "down",
    );
    assertEquals(await stash.get("k"), "value 1");
  },

  async "137: a late run, with a stale value at hand and without"(stash) {
    const source = new Source();
    source.ms = 400;
    const options = { name: "f", ttl: 60_000, staleIfError: 60_000, softTimeout: 50 };
    const f = stash.stashedResult(source.fetch, { ...options, ttl: 0 });
    let begin = performance.now();
    assertEquals(await f(), "value 1");
    assertGreaterOrEqual(performance.now() - begin, 390, "without one the caller waits");
    const g = stash.stashedResult(source.fetch, options);
    begin = performance.now();
    assertEquals(await Promise.all([g(), g()]), ["value 1", "value 1"]);
    assertLess(performance.now() - begin, 390);
    // On a busy machine it may begin after they have given up.
    await until(() => source.runs === 2);
    await until(async () => await g.peek() === "value 2");
    assertEquals([await g(), source.runs], ["value 2", 2]);
  },

  async "138: a run that never settles"(stash) {
    let signal: AbortSignal | undefined;
    let runs = 0;
    const hang = Promise.withResolvers<string>();
    const f = stash.stashedResult(() => {
      if (++runs > 1) return "second";
      signal = computation()!.signal;
      return hang.promise;
    }, { name: "f", timeout: 100 });
    const errors = await Promise.allSettled([f(), f()]);
    for (const one of errors) {
      assertInstanceOf(one.status === "rejected" && one.reason, DOMException);
      assertEquals((one as PromiseRejectedResult).reason.name, "TimeoutError");
    }
    assertEquals([runs, signal?.aborted, signal?.reason.name], [1, true, "TimeoutError"]);
    assertEquals(await f(), "second");
    hang.resolve("late");
    await sleep(5);
    assertEquals([await f(), runs], ["second", 2]);
    const stale = { ttl: 0, staleIfError: 60_000, timeout: 50 };
    await stash.getOrSet("k", () => 1, stale);
    assertEquals(await stash.getOrSet("k", () => new Promise(() => undefined), stale), 1);
  },

  async "139: refreshAhead"(stash) {
    const source = new Source();
    const f = stash.stashedResult(source.fetch, { name: "f", ttl: 600, refreshAhead: 0.5 });
    assertEquals(await f(), "value 1");
    const stored = await f.stash.expiresAt([]) as number;
    assertEquals([await f(), source.runs], ["value 1", 1], "not yet");
    await sleep(Math.max(0, stored - Date.now() - 250));
    source.ms = 20;
    const values = await Promise.all(Array.from({ length: 20 }, () => f()));
    assertEquals(new Set(values), new Set(["value 1"]));
    await until(async () => await f.peek() === "value 2");
    assertEquals(source.runs, 2);
  },

  async "140: jitter"(stash) {
    const f = stash.stashedResult((x: number) => x, { name: "f", ttl: 60_000, jitter: 1_000 });
    const begin = Date.now();
    const lengths: number[] = [];
    for (let x = 0; x < 12; x++) {
      await f(x);
      const end = await f.stash.expiresAt([x]) as number;
      assertGreaterOrEqual(end, begin + 59_000 - 5);
      assertLessOrEqual(end, Date.now() + 60_000 + 5);
      lengths.push(end - begin);
    }
    assertGreater(Math.max(...lengths) - Math.min(...lengths), 50, "they differ");
  },

  async "141: whether a stale result is served is the caller's own options"(stash) {
    const source = new Source();
    const plain = stash.stashedResult(source.fetch, { name: "f", ttl: 60_000 });
    const stale = stash.stashedResult(source.fetch, {
      name: "f",
      ttl: 0,
      staleWhileRevalidate: 60_000,
    });
    assertEquals(await stale(), "value 1");
    assertEquals([await plain.peek(), await plain.stash.get([])], ["value 1", "value 1"]);
    assertEquals(await Array.fromAsync(plain.stash.values()), ["value 1"]);
    assertEquals([await plain.stash.has([]), await plain.stash.size()], [true, 1]);
    assertEquals(await plain(), "value 2");
    assertEquals([await plain(), await stale(), source.runs], ["value 2", "value 2", 2]);
    const run = () => stash.map(source.fetch, [1] as never[], { name: "f" }).results();
    await stash.map(source.fetch, [1] as never[], {
      name: "f",
      ttl: 0,
      staleIfError: 60_000,
    }).results();
    assertEquals(await run(), ["value 4"]);
  },

  async "142: what is said from inside counts as if it were given outside"(stash) {
    let keep: { ttl?: number; store?: boolean } = {};
    let runs = 0;
    const f = stash.stashedResult(() => {
      computation()!.options(keep);
      return ++runs;
    }, { name: "f", ttl: 1_000 });
    keep = { ttl: 60_000 };
    assertEquals([await f(), await f()], [1, 1]);
    assertGreater(await f.stash.expiresAt([]) as number, Date.now() + 30_000);
    keep = { store: false };
    assertEquals([await f.force(), await f()], [2, 1], "what was stored stays");
    await f.forget();
    assertEquals([await f(), await f()], [3, 4]);
    keep = { ttl: -1 };
    assertEquals([await f(), await f()], [5, 6]);
    keep = { ttl: Infinity };
    assertEquals([await f(), await f(), await f.stash.expiresAt([])], [7, 7, Infinity]);
    await stash.getOrSet("k", () => (computation()!.options({ store: false }), 1));
    assertEquals(await stash.has("k"), false);
    const g = stash.stashedResult(async function* () {
      yield 1;
      computation()!.options({ store: false });
      yield await Promise.resolve(2);
    }, { name: "g" });
    assertEquals(await Array.fromAsync(g()), [1, 2]);
    assertEquals(await g.stash.size(), 0);
  },

  async "143: a map serves what is stale and refreshes each once"(stash) {
    const runs: number[] = [];
    let isDown = false;
    const f = async (x: number) => {
      runs.push(x);
      await sleep(1);
      if (isDown) throw new RangeError(`down ${x}`);
      return [x, runs.length];
    };
    const inputs = [0, 1, 2, 3, 4, 5];
    const options = { name: "f", ttl: 0, staleWhileRevalidate: 60_000, concurrency: 2 };
    const first = await stash.map(f, inputs, options).results();
    const again = await stash.map(f, inputs, { ...options, ttl: 60_000 }).results();
    assertEquals(again, first);
    await until(() => runs.length === 12);
    assertEquals(runs.slice(6).sort(), inputs);
    await until(async () => {
      const now = await stash.map(f, inputs, options).results();
      return now.every(([, run]) => run > 6);
    });
    assertEquals(runs.length, 12, "each once");
    isDown = true;
    const fallback = { name: "e", ttl: 0, staleIfError: 60_000, concurrency: 2 };
    await assertRejects(() => stash.map(f, inputs, fallback).results(), AggregateError);
    isDown = false;
    const stored = await stash.map(f, inputs, fallback).results();
    isDown = true;
    assertEquals(await stash.map(f, inputs, fallback).results(), stored);
    const count = runs.length;
    assertEquals(await stash.map(f, inputs, fallback).results(), stored);
    assertEquals(runs.length, count, "none is tried within retryAfter");
  },

  async "a failed refresh is noted beside the value alone"(stash) {
    const source = new Source();
    const options = { name: "f", ttl: 0, staleIfError: 60_000 };
    await using history = HashStash.fromJSON({ ...stash.toJSON(), appendMode: true });
    const f = history.stashedResult(source.fetch, options);
    await f();
    const end = await f.stash.expiresAt([]);
    source.isDown = true;
    assertEquals(await f(), "value 1");
    assertEquals(await f.stash.getAll([]), ["value 1"], "no version is made of it");
    assertLessOrEqual(Math.abs(await f.stash.expiresAt([]) as number - (end as number)), 5);
    assertEquals([await f(), source.runs], ["value 1", 2]);
    assertEquals((await f.stash.check()).problems, []);
    // Nor does it stop a run that had begun before.
    const other = { ...options, name: "g" };
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = stash.stashedResult(async () => {
      begun.resolve();
      await gate.promise;
      return "slow";
    }, { ...other, lock: false });
    await stash.stashedResult(() => "before", other)();
    const running = slow.force();
    await begun.promise;
    const failing = stash.stashedResult((): string => {
      throw new RangeError("down");
    }, { ...other, lock: false });
    assertEquals(await failing(), "before");
    gate.resolve();
    assertEquals([await running, await slow.peek()], ["slow", "slow"]);
  },
});

for (const engine of PERSISTENT) {
  Deno.test(`freshness: several processes on ${engine}`, async (t) => {
    await using bed = await TestBed.create(engine);
    await using stack = new AsyncDisposableStack();
    const workers = Array.from(
      { length: 4 },
      () => stack.use(new WorkerProcess("./fresh_worker.ts")),
    );
    for (const worker of workers) assertEquals(await worker.line(), "ready");
    const runs = `${bed.root}/runs`;
    const options = bed.options();
    const ask = async (count: number, orders: object): Promise<string[]> => {
      await Deno.mkdir(runs, { recursive: true });
      const line = JSON.stringify({ options, runs, calls: 1, ...orders });
      const answers = workers.slice(0, count).map(async (worker) => {
        await worker.write(line);
        return JSON.parse(await worker.line()) as string[];
      });
      return (await Promise.all(answers)).flat();
    };
    const count = async () => (await Array.fromAsync(Deno.readDir(runs))).length;

    await t.step("136: no second run within retryAfter, from any", async () => {
      const fn = { name: "f", ttl: 0, staleIfError: 60_000, retryAfter: 60_000 };
      assertEquals(await ask(1, { fn, how: "made" }), ["made"]);
      for (let i = 0; i < 2; i++) {
        assertEquals(await ask(4, { fn, how: "throw" }), ["made", "made", "made", "made"]);
      }
      assertEquals(await count(), 2);
    });

    await t.step("138: after a timeout another process runs it", async () => {
      await using stash = bed.stash({ name: options.name });
      const begun = Promise.withResolvers<void>();
      const f = stash.stashedResult(() => {
        begun.resolve();
        return new Promise(() => undefined);
      }, { name: "hangs", timeout: 300 });
      const hanging = assertRejects(() => f(), DOMException);
      await begun.promise;
      const [found] = await ask(1, { fn: { name: "hangs" }, how: "theirs" });
      assertEquals((await hanging).name, "TimeoutError");
      assertEquals([found, await f.peek()], ["theirs", "theirs"]);
    });

    await t.step("139: 100 calls at 0.9 of the ttl run it once", async () => {
      await Deno.remove(runs, { recursive: true });
      const fn = { name: "ahead", ttl: 6_000, refreshAhead: 0.2 };
      assertEquals(await ask(1, { fn, how: "first" }), ["first"]);
      const wait = Date.now() + 1_500;
      const values = await ask(4, { fn, how: "second", calls: 25, wait });
      assertEquals(values.length, 100);
      assert(values.every((value) => value === "first" || value === "second"));
      await until(async () => await count() > 1);
      await sleep(100);
      assertEquals(await count(), 2);
    });
  });
}

const onMemory = (name: string, fn: (stash: HashStash) => Promise<void>) =>
  testOnMemory(`freshness: ${name}`, fn);

onMemory("computation", async (stash) => {
  assertEquals(computation(), undefined);
  const later = Promise.withResolvers<unknown>();
  let kept: ReturnType<typeof computation>;
  const f = stash.stashedResult(async (x: number): Promise<unknown[]> => {
    const own = kept = computation();
    await sleep(1);
    setTimeout(() => later.resolve(computation()), 5);
    const inner = x > 0 ? await f(x - 1) : undefined;
    assertEquals(computation(), own, "the inner run is over");
    return [own?.stale, inner?.length];
  }, { ttl: 0, staleWhileRevalidate: 60_000 });
  assertEquals(await f(1), [undefined, 2]);
  assertEquals(await later.promise, undefined);
  kept?.options({ store: false });
  assertEquals(await f.force(1), [[undefined, 2], 2], "the stale one is there to go by");
  for (
    const [keep, message] of [
      [{ tll: 1 }, 'Unknown option "tll"'],
      [{ ttl: "1" }, "Expected ttl"],
      [{ ttl: NaN }, "Expected ttl"],
      [{ store: 1 }, "Expected store"],
    ] as [object, string][]
  ) {
    const wrong = stash.getOrSet("k", () => (computation()!.options(keep), 1));
    await assertRejects(() => wrong, TypeError, message);
  }
  assertEquals(await stash.has("k"), false);
  await sleep(10); // for the timers of the later runs
});

onMemory("computation in a worker, and a timeout that ends it", async (stash) => {
  const module = new URL("../support/map_work.ts", import.meta.url);
  const worker = { module, export: "describeRun" };
  const options = { name: "f", ttl: 0, staleIfError: 60_000, worker };
  const first = await stash.map(describeRun, [1], options).results();
  assertEquals(first, [{ hasSignal: true, stale: undefined }]);
  assertEquals(await stash.map(describeRun, [1], options).results(), [
    { hasSignal: true, stale: { hasSignal: true } },
  ]);
  const unkept = stash.map(describeRun, [2], { name: "g", worker });
  await unkept.results();
  assertEquals(await stash.stashedResult(describeRun, { name: "g" }).stash.size(), 0);
  const stalled = stash.map(stall, ["a", "busy", "b"], {
    timeout: 400,
    concurrency: 2,
    worker: { module, export: "stall" },
  });
  await assertRejects(() => stalled.results(), AggregateError);
  assertEquals(stalled.errors.map(({ args, error }) => [args[0], (error as Error).name]), [
    ["busy", "TimeoutError"],
  ]);
});

onMemory("the start of a worker is no part of a run's time", async (stash) => {
  const source = "await new Promise((resolve) => setTimeout(resolve, 900));" +
    "export default (x) => x === 2 ? new Promise(() => setInterval(() => 0, 1_000)) : 10 * x;";
  const worker = { module: `data:text/javascript,${encodeURIComponent(source)}` };
  const fn = (x: number) => 10 * x;
  const run = stash.map(fn, [1, 2, 3], { timeout: 600, concurrency: 1, worker });
  await assertRejects(() => run.results(), AggregateError);
  // What it loads for takes longer than that; a function that does is ended all the same.
  assertEquals(run.errors.map(({ args, error }) => [args[0], (error as Error).message]), [
    [2, "The run took longer than 600 ms"],
  ]);
});

onMemory("bad options are refused", async (stash) => {
  const cases: [object, string][] = [
    [{ jitter: -1 }, "Expected jitter"],
    [{ jitter: "1" }, "Expected jitter"],
    [{ jitter: Infinity }, "Expected jitter"],
    [{ ttl: 5, jitter: 6 }, "Expected jitter to be no more than the ttl"],
    [{ refreshAhead: 1.1 }, "Expected refreshAhead to be a number from 0 to 1"],
    [{ refreshAhead: -0.1 }, "Expected refreshAhead"],
    [{ refreshAhead: NaN }, "Expected refreshAhead"],
    [{ refreshAhead: "1" }, "Expected refreshAhead to be a number, got string"],
    [{ timeout: 0 }, "Expected timeout to be more than 0"],
    [{ timeout: 2 ** 31 }, "Expected timeout to be at most"],
    [{ softTimeout: -1 }, "Expected softTimeout"],
    [{ staleIfError: Infinity }, "Expected staleIfError"],
    [{ retryAfter: "1" }, "Expected retryAfter"],
  ];
  for (const [options, message] of cases) {
    const error = assertThrows(() => stash.stashedResult(() => 1, options), Error);
    assert(error.message.startsWith(message), error.message);
    await assertRejects(() => stash.getOrSet("k", () => 1, options), Error, message);
    assertThrows(() => stash.map(() => 1, [1], options), Error, message);
  }
  // What functions among them give is judged when it is there: nothing is stored then.
  const late: [object, string][] = [
    [{ ttl: () => NaN }, "Expected ttl"],
    [{ ttl: () => "1" }, "Expected ttl"],
  ];
  for (const [options, message] of late) {
    await assertRejects(() => stash.getOrSet("k", () => 1, options), Error, message);
  }
  await assertRejects(
    () => stash.getOrSet("k", () => 1, { ttl: 1, expiresAt: 1 }),
    TypeError,
    "got both",
  );
  await using short = new HashStash({ engine: "memory", name: "short", ttl: 5 });
  assertThrows(() => short.stashedResult(() => 1, { jitter: 6 }), RangeError, "ttl of 5 ms");
  assertEquals(await stash.size(), 0);
});

onMemory("a ttl of the result and its arguments", async (stash) => {
  const seen: unknown[] = [];
  const f = stash.stashedResult((a: number, b: string) => `${a}${b}`, {
    ttl: (result, a, b) => (seen.push([result, a, b]), a * 1_000),
  });
  await f(100, "x");
  await stash.getOrSet("key", () => 5, { ttl: (value, key) => (seen.push([value, key]), 60_000) });
  assertEquals(seen, [["100x", 100, "x"], [5, "key"]]);
  assertGreater(await f.stash.expiresAt([100, "x"]) as number, Date.now() + 90_000);
});

onMemory("generators: a stale list while they fail, and a limit for each item", async (stash) => {
  let mode: "well" | "fails" | "hangs" = "well";
  const options = { name: "g", ttl: 0, staleIfError: 60_000, retryAfter: 0, timeout: 50 };
  const items = stash.stashedResult(async function* () {
    yield 1;
    if (mode === "fails") throw new RangeError("broken");
    if (mode === "hangs") await new Promise(() => undefined);
    yield await Promise.resolve(2);
  }, options);
  const numbers = stash.stashedResult(function* () {
    yield 1;
    if (mode === "fails") throw new RangeError("broken");
  }, { ...options, name: "n" });
  assertEquals([await Array.fromAsync(items()), [...await numbers()]], [[1, 2], [1]]);
  for (mode of ["fails", "hangs"] as const) {
    assertEquals([await Array.fromAsync(items()), [...await numbers()]], [[1, 2], [1]]);
  }
  await items.forget();
  const got: number[] = [];
  const error = await assertRejects(async () => {
    for await (const item of items()) got.push(item);
  }, DOMException);
  assertEquals([got, error.name], [[1], "TimeoutError"]);
});

onMemory("what fails in the background is told as an event", async (stash) => {
  const source = new Source();
  const f = stash.stashedResult(source.fetch, {
    name: "f",
    ttl: 0,
    staleWhileRevalidate: 60_000,
    retryAfter: 0,
  });
  const errors: string[] = [];
  stash.events.addEventListener("error", (event) => {
    errors.push(String((event as CustomEvent<{ error: unknown }>).detail.error));
  });
  await f();
  source.isDown = true;
  assertEquals(await f(), "value 1");
  await until(() => errors.length === 1);
  assertEquals(errors, ["RangeError: down 2"]);
});
