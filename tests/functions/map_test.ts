/** Section 6 of the acceptance cases: a function over many inputs. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { HashStash } from "../../mod.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";
import { count, hang, misbehave, primesBelow, square, where } from "../support/map_work.ts";
import { runScript, WorkerProcess } from "../support/child.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";

const module = new URL("../support/map_work.ts", import.meta.url);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const CLAIMS: Record<string, (stash: HashStash) => Promise<void>> = {
  async "82: results in the order of the inputs, or as they are ready"(stash) {
    let ended = 0;
    const slowFirst = async (x: number) => {
      // The others take turns beside it.
      while (x === 1 && ended % 4 < 3) await sleep(1);
      ended++;
      return x * x;
    };
    const options = { concurrency: 2, name: "first" };
    assertEquals(await stash.map(slowFirst, [1, 2, 3, 4], options).results(), [1, 4, 9, 16]);
    const unordered = stash.map(slowFirst, [1, 2, 3, 4], {
      ...options,
      name: "second",
      ordered: false,
    });
    const results = await Array.fromAsync(unordered);
    assertEquals(results.toSorted((a, b) => a - b), [1, 4, 9, 16]);
    assert(results[0] !== 1, "the slow one is not the first");
  },

  async "83, 84: further arguments for each"(stash) {
    const multiply = (x: number, y: number) => x * y;
    const run = stash.map(multiply, [2, 3, 4], { options: [[3], [4], [5]] });
    assertEquals(await run.results(), [6, 12, 20]);
    assertEquals(await Array.fromAsync(run.entries()), [[[2, 3], 6], [[3, 4], 12], [[4, 5], 20]]);
    let calls = 0;
    const counted = (x: number, y: number) => (calls++, x + y);
    for (
      const objects of [
        [1],
        [1, 2, 3],
        new Set([1]),
        (function* () {
          yield* [1, 2, 3];
        })(),
      ]
    ) {
      assertThrows(
        () => stash.map(counted, objects, { options: [[1], [2]] }),
        RangeError,
        "got 2 for",
      );
    }
    assertEquals(calls, 0);
  },

  async "86: equal results by 1, 2 or 4 at a time, or in workers"(stash) {
    const inputs = Array.from({ length: 10 }, (_, i) => i);
    const expected = inputs.map(square);
    for (const concurrency of [1, 2, 4]) {
      const run = stash.map(square, inputs, { concurrency, version: concurrency });
      assertEquals(await run.results(), expected);
    }
    const worker = { module, export: "square" };
    const run = stash.map(square, inputs, { concurrency: 2, worker, version: "worker" });
    assertEquals(await run.results(), expected);
  },

  async "87, 91: each result is stored, only what is new is computed"(stash) {
    let calls = 0;
    const next = (x: number) => (calls++, x + 1);
    const run = stash.map(next, [1, 2, 3]);
    assertEquals(await Array.fromAsync(run), [2, 3, 4]);
    assertEquals(await run.results(), [2, 3, 4]);
    assertEquals(await Array.fromAsync(run.entries()), [[[1], 2], [[2], 3], [[3], 4]]);
    assertEquals([run.length, run.done, run.errors], [3, 3, []]);
    assertEquals(calls, 3);
    assertEquals(await stash.map(next, [3, 4, 1, 4]).results(), [4, 5, 2, 5]);
    assertEquals(calls, 4);
    const wrapped = stash.stashedResult(next);
    assertEquals(await wrapped.stash.size(), 4);
    assertEquals(await wrapped(4), 5);
    assertEquals(await stash.map(wrapped, [1, 2]).results(), [2, 3]);
    assertEquals(calls, 4);
    assertEquals(await stash.size(), 0);
    assertEquals(await stash.map(next, [1], { force: true }).results(), [2]);
    assertEquals(calls, 5);
  },

  async "88: one failing call doesn't stop the others"(stash) {
    const picky = (x: number) => {
      if (x % 2 === 0) throw new RangeError(`even: ${x}`);
      return x;
    };
    const run = stash.map(picky, [1, 2, 3, 4, 5], { concurrency: 2 });
    const error = await assertRejects(() => run.results(), AggregateError, "2 of 5 calls of picky");
    assertEquals(error.errors.map(({ message }) => message), ["even: 2", "even: 4"]);
    assertEquals(run.errors.map(({ index, args }) => [index, args]), [[1, [2]], [3, [4]]]);
    assertEquals(run.done, 5);
    const results: number[] = [];
    await assertRejects(async () => {
      for await (const result of run) results.push(result);
    }, AggregateError);
    assertEquals(results, [1, 3, 5]);
  },

  async "89: an abort stops the run"(stash) {
    const controller = new AbortController();
    const started: number[] = [];
    const run = stash.map(
      async (x: number) => {
        started.push(x);
        await sleep(1);
        if (x === 3) controller.abort(new RangeError("enough"));
        return x;
      },
      Array.from({ length: 100 }, (_, i) => i),
      { concurrency: 2, signal: controller.signal },
    );
    await assertRejects(() => run.results(), RangeError, "enough");
    const count = started.length;
    assertLessOrEqual(count, 6);
    await sleep(10);
    assertEquals(started.length, count);
    const late = stash.map((x: number) => started.push(x), [1], { signal: controller.signal });
    await assertRejects(() => late.results(), RangeError, "enough");
    assertEquals(started.length, count);
  },
};

testOnEngines("map", CLAIMS);

const onMemory = (name: string, fn: (stash: HashStash) => Promise<void>) =>
  testOnMemory(`map: ${name}`, fn);

onMemory("it starts at once, and nobody needs to look", async (stash) => {
  let calls = 0;
  const run = stash.map((x: number) => {
    calls++;
    if (x === 2) throw new RangeError("nobody hears");
    return x;
  }, [1, 2, 3]);
  assertEquals(run.length, 3);
  while (run.done < 3) await sleep(1);
  assertEquals(calls, 3);
  assertEquals(run.errors.length, 1);
});

onMemory("no more calls at a time than asked for", async (stash) => {
  let now = 0;
  let most = 0;
  const f = async (x: number) => {
    most = Math.max(most, ++now);
    await sleep(1);
    now--;
    return x;
  };
  await stash.map(f, Array.from({ length: 30 }, (_, i) => i), { concurrency: 3 }).results();
  assertEquals(most, 3);
});

onMemory("who iterates sets the pace", async (stash) => {
  let calls = 0;
  const objects = function* () {
    for (let i = 0;; i++) yield i;
  };
  const run = stash.map((x: number) => (calls++, x), objects(), { concurrency: 4 });
  let taken = 0;
  for await (const x of run) {
    assertEquals(x, taken);
    if (++taken === 50) break;
    assertLessOrEqual(calls, taken + 256);
    if (taken === 10) await sleep(5);
  }
  await sleep(5);
  const paused = calls;
  assertLessOrEqual(paused, 50 + 256);
  await sleep(10);
  assertEquals(calls, paused, "the run is paused while nobody reads");
  for await (const x of run) if (x === 1_000) break;
  assertGreater(calls, 1_000);
  assertEquals(run.length, undefined);
  run.cancel();
  const error = await assertRejects(() => run.results(), DOMException);
  assertEquals(error.name, "AbortError");
});

onMemory("leaving the loop stops what is slow at once, and a later one goes on", async (stash) => {
  let calls = 0;
  const slow = async (x: number) => {
    calls++;
    await sleep(5);
    return x;
  };
  const run = stash.map(slow, Array.from({ length: 40 }, (_, i) => i), { concurrency: 2 });
  for await (const x of run) if (x === 2) break;
  await sleep(30);
  assertLessOrEqual(calls, 6);
  assertEquals((await run.results()).length, 40);
  assertEquals(calls, 40);
});

onMemory("results that have been taken are let go beyond 10,000", async (stash) => {
  const inputs = Array.from({ length: 25_000 }, (_, i) => i);
  const run = stash.map((x: number) => x, inputs);
  let sum = 0;
  for await (const x of run) sum += x;
  assertEquals(sum, 25_000 * 24_999 / 2);
  await assertRejects(() => run.results(), Error, "map again");
  const again = stash.map((x: number) => x, inputs);
  assertEquals((await again.results()).length, 25_000);
  assertEquals((await again.results()).length, 25_000, "results() keeps everything");
});

onMemory("objects of every sort of iterable", async (stash) => {
  const f = (x: unknown) => [x];
  const later = async function* () {
    yield 1;
    await sleep(1);
    yield 2;
  };
  assertEquals(await stash.map(f, later()).results(), [[1], [2]]);
  assertEquals(await stash.map(f, new Set(["a"])).results(), [["a"]]);
  assertEquals(await stash.map(f, []).results(), []);
  assertEquals(stash.map(f, new Uint8Array(3)).length, 3);
  const unknown = stash.map(f, later());
  assertEquals(unknown.length, undefined);
  await unknown.results();
  assertEquals(unknown.length, 2);
  assertThrows(() => stash.map(f, 3 as never), TypeError, "got number");
  assertThrows(() => stash.map(f, later(), { options: [] }), TypeError, "counted first");
  assertThrows(() => stash.map(f, [1], { options: [1] as never }), TypeError, "array of arrays");
  const broken = function* () {
    yield 1;
    throw new RangeError("no more");
  };
  await assertRejects(() => stash.map(f, broken()).results(), RangeError, "no more");
  assertEquals(
    await stash.map(async function* (n: number) {
      yield* [n, n];
    }, [1, 2]).results().then((all) => Promise.all(all.map((one) => Array.fromAsync(one)))),
    [[1, 1], [2, 2]],
  );
});

onMemory("an object that can be no key is an error of its own", async (stash) => {
  const run = stash.map((x: unknown) => typeof x, [1, () => 1, 3]);
  await assertRejects(() => run.results(), AggregateError);
  assertEquals(run.errors.map(({ index }) => index), [1]);
  assertInstanceOf(run.errors[0].error, TypeError);
  assertEquals(run.done, 3);
});

Deno.test("map: it ends with its stash", async () => {
  const stash = new HashStash({ engine: "memory", name: "ending" });
  let calls = 0;
  const objects = function* () {
    for (let i = 0;; i++) yield i;
  };
  const run = stash.map(async (x: number) => {
    calls++;
    await sleep(1);
    return x;
  }, objects());
  while (run.done < 10) await sleep(1);
  await stash.close();
  await assertRejects(() => run.results(), Error, "is closed");
  assertLess(calls, 100);
});

onMemory("bad options are refused", (stash) => {
  const cases: [object, string][] = [
    [{ concurrency: 0 }, "Expected concurrency"],
    [{ concurrency: 1.5 }, "Expected concurrency"],
    [{ concurrency: "2" }, "Expected concurrency"],
    [{ ordered: 1 }, "Expected ordered"],
    [{ progress: "yes" }, "Expected progress"],
    [{ signal: {} }, "Expected signal"],
    [{ worker: true }, "Expected worker"],
    [{ worker: { module: "./work.ts" } }, "import.meta.resolve"],
    [{ worker: { module, export: 1 } }, "Expected worker.export"],
    [{ conc: 1 }, 'Unknown option "conc"'],
  ];
  for (const [options, message] of cases) {
    assertStringIncludes(String(assertThrows(() => stash.map(square, [1], options))), message);
  }
  assertThrows(() => stash.map(1 as never, [1]), TypeError, "Expected a function");
  return Promise.resolve();
});

onMemory("stashMapped is map for later", async (stash) => {
  let calls = 0;
  const multiply = (x: number, y: number) => (calls++, x * y);
  const mapped = stash.stashMapped({ concurrency: 2, name: "multiply" })(multiply);
  assertEquals(await mapped([1, 2], { options: [[3], [4]] }).results(), [3, 8]);
  assertEquals(
    await stash.stashMapped(multiply, { name: "multiply" })([1], { options: [[3]] })
      .results(),
    [3],
  );
  assertEquals(calls, 2);
  assertEquals(await mapped.stash.size(), 2);
  assertThrows(() => stash.stashMapped()(1 as never), TypeError);
});

onMemory("workers are used again, and none is begun for nothing", async (stash) => {
  const worker = { module, export: "where" };
  const inputs = [1, 2, 3, 4, 5, 6, 7, 8];
  const results = await stash.map(where, inputs, { concurrency: 2, worker }).results();
  assert(results.every(({ isWorker }) => isWorker));
  assertLessOrEqual(new Set(results.map(({ id }) => id)).size, 2);
  const stored = await stash.map(where, inputs, { worker: { module: "file:///none.ts" } })
    .results();
  assertEquals(stored, results);
});

onMemory("what goes wrong in a worker is an error of its call alone", async (stash) => {
  const hows = ["throw", "a", "throw text", "throw unclonable", "unclonable result", "close"];
  const inputs = [...hows, "exit", "b", "crash", "c"];
  const worker = { module: module.href, export: "misbehave" };
  const run = stash.map(misbehave, inputs, { concurrency: 2, worker });
  await assertRejects(() => run.results(), AggregateError);
  const errors = Object.fromEntries(run.errors.map(({ args, error }) => [args[0], error]));
  assertEquals(Object.keys(errors), inputs.filter((how) => how.length > 1));
  const thrown = errors.throw as RangeError & { status: number };
  assertEquals([thrown.name, thrown.message, thrown.status], ["WorkError", "thrown", 7]);
  assertEquals(errors["throw text"], "text");
  assertInstanceOf(errors["throw unclonable"], TypeError);
  assertInstanceOf(errors["unclonable result"], DOMException);
  assertStringIncludes(String(errors.close), "ended itself, with the code 0");
  assertStringIncludes(String(errors.exit), "ended itself, with the code 3");
  assertStringIncludes(String(errors.crash), "later");
  const results: unknown[] = [];
  await assertRejects(async () => {
    for await (const result of run) results.push(result);
  });
  assertEquals(results, ["a", "b", "c"]);

  const unclonable = stash.map((_x: number, f: () => number) => f(), [1], {
    options: [[() => 1]],
    worker,
    key: (x) => x,
  });
  await assertRejects(() => unclonable.results(), AggregateError);
  assertInstanceOf(unclonable.errors[0].error, DOMException);
});

onMemory("a module or export that is missing is an error of each call", async (stash) => {
  const errorsOf = async (worker: { module: string | URL; export?: string }) => {
    const run = stash.map(square, [1, 2], { worker });
    await assertRejects(() => run.results(), AggregateError);
    assertEquals(run.errors.length, 2);
    return run.errors.map(({ error }) => String(error));
  };
  for (const message of await errorsOf({ module: new URL("./none.ts", import.meta.url) })) {
    assertStringIncludes(message, "none.ts");
  }
  for (const name of ["cube", "notAFunction", "default"]) {
    for (const message of await errorsOf({ module, export: name })) {
      assertStringIncludes(
        message,
        `exports no function "${name}", only: count, describeRun, fill`,
      );
    }
  }
});

onMemory("a cancel that ends workers is no error of the function", async (stash) => {
  await using bed = await TestBed.create("memory");
  const files = [`${bed.root}/1`, `${bed.root}/2`];
  const kept = stash.stashedResult(hang, { name: "hang", cacheErrors: { ttl: 60_000 } });
  const run = stash.map(kept, files, { concurrency: 2, worker: { module, export: "hang" } });
  while ((await Array.fromAsync(Deno.readDir(bed.root))).length < 2) await sleep(5);
  const joined = kept(files[0]);
  await sleep(20);
  run.cancel(new RangeError("I stop"));
  await assertRejects(() => run.results(), RangeError, "I stop");
  assertEquals(await joined, "ended", "who shared the run has begun one of its own");
  assertEquals(await kept(files[1]), "ended", "no error is kept");
});

onMemory("generators in workers, and a cancel that ends them", async (stash) => {
  const worker = { module, export: "count" };
  const lists = await stash.map(count, [2, 3], { worker }).results();
  assertEquals(lists.map((list) => [...list]), [[0, 1], [0, 1, 2]]);
  const endless = stash.map(primesBelow, [1e9, 2e9, 3e9], {
    concurrency: 2,
    worker: { module, export: "primesBelow" },
  });
  await sleep(50);
  endless.cancel(new RangeError("enough"));
  await assertRejects(() => endless.results(), RangeError, "enough");
});

interface Orders {
  count: number;
  /** How long a run takes. */
  ms: number;
  concurrency: number;
  lease: number;
}

/** Processes that map, from the same moment on, and leave a file for each run. */
async function startMappers(bed: TestBed, orders: Orders, count = 1): Promise<WorkerProcess[]> {
  const options = bed.options({ name: "mapper" });
  const mappers = Array.from(
    { length: count },
    () => new WorkerProcess("./map_worker.ts", { options, runs: `${bed.root}/runs`, ...orders }),
  );
  for (const mapper of mappers) assertEquals(await mapper.line(), "ready");
  for (const mapper of mappers) await mapper.write("begin");
  return mappers;
}

async function resultsOf(mapper: WorkerProcess): Promise<number[]> {
  await using running = mapper;
  const lines = await Array.fromAsync(running.lines);
  assert((await running.status).success);
  return lines.map(Number);
}

async function runsOf(bed: TestBed): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(`${bed.root}/runs`))).map(({ name }) => name);
}

for (const engine of PERSISTENT) {
  Deno.test(`map: 4 processes over the same inputs share the work, on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    await Deno.mkdir(`${bed.root}/runs`);
    const orders = { count: 40, ms: 20, concurrency: 1, lease: 10_000 };
    const children = await startMappers(bed, orders, 4);
    const expected = Array.from({ length: 40 }, (_, i) => i + 1);
    for (const results of await Promise.all(children.map(resultsOf))) {
      assertEquals(results, expected);
    }
    const runs = await runsOf(bed);
    assertEquals(runs.length, 40, "each is computed once");
    const times: [number, number][] = await Promise.all(
      runs.map(async (name) => JSON.parse(await Deno.readTextFile(`${bed.root}/runs/${name}`))),
    );
    const atATime = times.map(([begin]) =>
      times.filter((other) => other[0] <= begin && begin < other[1]).length
    );
    assertGreater(Math.max(...atATime), 1, "none waits for what another computes");
  });
}

Deno.test("map: a run that was killed goes on where it was", async () => {
  await using bed = await TestBed.create("pairtree");
  await Deno.mkdir(`${bed.root}/runs`);
  const orders = { count: 60, ms: 5, concurrency: 2, lease: 300 };
  const [first] = await startMappers(bed, orders);
  let seen = 0;
  for await (const _ of first.lines) {
    seen++;
    if (seen >= 10) {
      first.kill();
      break;
    }
  }
  await first[Symbol.asyncDispose]();
  assertEquals((await first.status).signal, "SIGKILL", "it was still at work");
  const [second] = await startMappers(bed, orders);
  const results = await resultsOf(second);
  assertEquals(results, Array.from({ length: 60 }, (_, i) => i + 1));
  const runs = (await runsOf(bed)).map((name) => name.split(".")[0]);
  assertEquals(new Set(runs).size, 60);
  // At most what was under way when it was killed ran twice.
  assertLessOrEqual(runs.length, 62);
});

Deno.test("map: a worker without memory left fails its call, not the program", async () => {
  const script = `
    import { HashStash } from "./mod.ts";
    import { fill } from "./tests/support/map_work.ts";
    await using stash = new HashStash({ engine: "memory" });
    const worker = { module: ${JSON.stringify(module.href)}, export: "fill" };
    const run = stash.map(fill, [1, 2, 3], { concurrency: 2, worker });
    await run.results().catch(() => undefined);
    console.log(run.errors.map(({ args, error }) => args + " " + error));
    console.log(await Array.fromAsync(run).catch((error) => error.message));
  `;
  const memory = "--v8-flags=--max-old-space-size=80";
  const { stdout, stderr } = await runScript(script, ["--allow-read", memory]);
  assertStringIncludes(stdout, "2 Error: The worker failed: ", stderr);
  assertStringIncludes(stdout, "memory");
  assertStringIncludes(stdout, "1 of 3 calls of fill failed");
});

Deno.test("map: progress on standard error only when asked for", async () => {
  const script = (progress: boolean) => `
    import { HashStash } from "./mod.ts";
    await using stash = new HashStash({ engine: "memory" });
    const run = stash.map(function double(x: number) { return 2 * x }, [1, 2, 3], { progress: ${progress} });
    console.log(await run.results());
  `;
  const silent = await runScript(script(false), []);
  assertEquals([silent.stdout, silent.stderr], ["[ 2, 4, 6 ]\n", ""]);
  const shown = await runScript(script(true), []);
  assertEquals(shown.stdout, "[ 2, 4, 6 ]\n");
  assertStringIncludes(shown.stderr, "double: 3 of 3 (100 %)");
});
