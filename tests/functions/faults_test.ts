/** Inputs of functions that once failed, each with two of its kind. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import { EngineError, type EngineLocation, HashStash } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { runScript, WorkerProcess } from "../support/child.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

testOnEngines("functions", {
  async "an operation on a key whose text begins like another's is no part of it"(stash) {
    const modified = stash.modify("cart:12", async () => {
      await stash.set("cart:1", 5);
      await stash.modify("cart:", () => 6);
      return 1;
    });
    assertEquals(await modified, 1);
    assertEquals(await stash.getMany(["cart:1", "cart:"]), [5, 6]);
    const gate = Promise.withResolvers<void>();
    const other = stash.getOrSet("user:1", async () => (await gate.promise, "one"));
    const nested = stash.getOrSet("user:10", () => stash.getOrSet("user:1", () => "not this"));
    setTimeout(gate.resolve, 20);
    assertEquals([await nested, await other], ["one", "one"]);
  },

  async "what a function has left running is no part of it any more"(stash) {
    const later = Promise.withResolvers<unknown>();
    await stash.modify("n", () => {
      setTimeout(() => stash.set("n", 2).then(() => stash.get("n")).then(later.resolve), 10);
      return 1;
    });
    assertEquals(await later.promise, 2);
    const polled = Promise.withResolvers<unknown>();
    const poll = stash.stashedResult((): string => {
      setTimeout(() => poll.force().then(polled.resolve, polled.reject), 10);
      return "polled";
    }, { name: "poll", version: 1 });
    assertEquals(await poll(), "polled");
    assertEquals(await polled.promise, "polled");
    await sleep(30); // of the second timer
    await using own = HashStash.fromJSON(stash.toJSON());
    const closed = Promise.withResolvers<void>();
    await own.modify("m", () => {
      setTimeout(() => own.close().then(closed.resolve, closed.reject), 10);
      return 1;
    });
    await closed.promise;
  },

  async "two computations that need each other's result are refused"(stash) {
    const c = stash.stashedResult((x: number): Promise<number> => d(x), { name: "c" });
    const d = stash.stashedResult((x: number): Promise<number> => c(x), { name: "d" });
    const together = await Promise.allSettled([c(1), d(1)]);
    assertEquals(together.map(({ status }) => status), ["rejected", "rejected"]);
    for (const one of together) {
      assertInstanceOf(one.status === "rejected" && one.reason, TypeError);
    }
    // Over a third one, and by getOrSet.
    const ring = (from: string, to: string): Promise<unknown> =>
      stash.getOrSet(from, () => sleep(5).then(() => stash.getOrSet(to, () => ring(to, "z"))));
    const three = await Promise.allSettled([ring("x", "y"), ring("y", "z"), ring("z", "x")]);
    assert(three.some(({ status }) => status === "rejected"));
    // A generator that needs its own items, and one that needs a function that needs it.
    const own = stash.stashedResult(async function* (): AsyncGenerator<number> {
      yield 1;
      yield* own();
    }, { name: "own" });
    await assertRejects(() => Array.fromAsync(own()), TypeError, "itself");
    const items = stash.stashedResult(async function* (): AsyncGenerator<number> {
      yield await sum();
    }, { name: "items" });
    const sum = stash.stashedResult(async (): Promise<number> => {
      let sum = 0;
      for await (const item of items()) sum += item;
      return sum;
    }, { name: "sum" });
    await assertRejects(() => sum(), TypeError);
    await assertRejects(() => Array.fromAsync(items()), TypeError);
    // Those that need each other's other result are not.
    const up = stash.stashedResult(
      async (n: number): Promise<number> => n === 0 ? 0 : 1 + await down(n - 1),
      { name: "up" },
    );
    const down = stash.stashedResult(
      async (n: number): Promise<number> => n === 0 ? 0 : 1 + await up(n - 1),
      { name: "down" },
    );
    assertEquals(await Promise.all([up(20), down(20)]), [20, 20]);
  },

  async "a generator's values are as they were when they were yielded, for every reader"(stash) {
    const rows = stash.stashedResult(function* () {
      const row = { n: 0 };
      for (; row.n < 3; row.n++) yield row;
    });
    const expected = [{ n: 0 }, { n: 1 }, { n: 2 }];
    const first = [...await rows()];
    assertEquals(first, expected);
    first[0].n = 9;
    assertEquals([...await rows()], expected);

    const growing = stash.stashedResult(async function* () {
      const all: Record<string, number> = {};
      for (const letter of ["a", "b"]) {
        all[letter] = 1;
        yield await Promise.resolve(all);
      }
    });
    const lists: unknown[] = [];
    for await (const one of growing()) {
      lists.push({ ...one });
      one.changed = 1;
    }
    assertEquals(lists, [{ a: 1 }, { a: 1, b: 1 }]);
    assertEquals(await Array.fromAsync(growing()), [{ a: 1 }, { a: 1, b: 1 }]);
    assertEquals(
      await Array.fromAsync((await stash.map(growing, [undefined] as never[]).results())[0]),
      [{ a: 1 }, { a: 1, b: 1 }],
    );

    const broken = stash.stashedResult(function* () {
      const row = { n: 0 };
      yield row;
      row.n = 1;
      yield row;
      throw new RangeError("broken");
    });
    const read = (items: Iterable<{ n: number }>) => {
      const seen: { n: number }[] = [];
      assertThrows(
        () => {
          for (const item of items) seen.push(item);
        },
        RangeError,
        "broken",
      );
      return seen;
    };
    const [one, two] = await Promise.all([broken(), broken()]);
    const seen = read(one);
    seen[0].n = 5;
    assertEquals(read(two), [{ n: 0 }, { n: 1 }]);
  },

  async "the first caller gets what later ones get"(stash) {
    const { Buffer } = await import("node:buffer");
    const values: (() => unknown)[] = [
      () => Buffer.from("abc"),
      () => Object.defineProperty({ a: 1 }, "hidden", { value: 2 }),
      () => Object.assign(() => undefined, {}) && new Float32Array([1.1]),
      () => ({
        get now() {
          return 5;
        },
      }),
      () => Object.freeze({ frozen: { a: 1 } }),
    ];
    for (const [i, value] of values.entries()) {
      const f = stash.stashedResult(value, { name: `f${i}` });
      const [first, joined] = await Promise.all([f(), f()]);
      const later = await f();
      for (const one of [first, joined]) {
        assertEquals(one, later);
        assertEquals(Object.getPrototypeOf(one), Object.getPrototypeOf(later));
        assertEquals(
          Object.getOwnPropertyDescriptors(one),
          Object.getOwnPropertyDescriptors(later),
        );
      }
      assert(first !== joined);
    }
    const key = await stash.getOrSet("k", () => Buffer.from("abc"));
    assert(!Buffer.isBuffer(key));
  },

  async "a stream that is read when its stash closes is read to its end"(_, bed) {
    const options = bed.options();
    const respond = async (ending: string) => {
      await using stash = new HashStash(options);
      const tokens = stash.stashedResult(async function* (ending: string) {
        for (const token of ["a", "b", ending]) {
          await sleep(1);
          yield token;
        }
      }, { name: "tokens" });
      return ReadableStream.from(tokens(ending));
    };
    assertEquals(await Array.fromAsync(await respond("c")), ["a", "b", "c"]);
    const errors: unknown[] = [];
    const stash = new HashStash(options);
    const slow = stash.stashedResult(async function* () {
      yield 1;
      yield await sleep(5).then(() => 2);
    }, { name: "slow" });
    slow.stash.events.addEventListener("error", (event) => {
      errors.push((event as CustomEvent<{ error: unknown }>).detail.error);
    });
    const items: number[] = [];
    for await (const item of slow()) {
      items.push(item);
      if (item === 1) await stash.close();
    }
    assertEquals(items, [1, 2]);
    assertEquals(errors.length, 1);
  },

  async "map with staleWhileRevalidate refreshes"(stash) {
    let runs = 0;
    const f = (x: number) => [x, ++runs];
    const options = { name: "f", ttl: 0, staleWhileRevalidate: 60_000, concurrency: 2 };
    const once = async () => (await stash.map(f, [1], options).results())[0][1];
    let served = await once();
    assertEquals(served, 1);
    for (let round = 0; round < 3; round++) {
      // What is stored is served, and never anything older; in the background a newer one is made.
      const before = served;
      for (let i = 0; i < 400 && served === before; i++) {
        const next = await once();
        assert(next >= served, `${next} after ${served}`);
        served = next;
        await sleep(5);
      }
      assert(served > before && served <= runs, `${before} ${served} ${runs}`);
    }
  },

  async "a ttl that is past: the result is for its callers, and not kept"(stash) {
    let runs = 0;
    const f = stash.stashedResult((ms: number) => (runs++, ms), { name: "f", ttl: (ms) => ms });
    for (const ms of [-22, -Infinity, 0]) assertEquals([await f(ms), await f(ms)], [ms, ms]);
    assertEquals([runs, await f.stash.size()], [6, 0]);
    assertEquals(await stash.getOrSet("k", () => 1, { expiresAt: 5 }), 1);
    assertEquals(await stash.getOrSet("k", () => 2, { ttl: () => -1 }), 2);
    assertEquals(await stash.has("k"), false);
  },

  async "a lease of any length is renewed in time"(stash) {
    for (const lease of [1, 7e9, 1e12]) {
      const run = stash.getOrSet(`${lease}`, () => sleep(30).then(() => lease), { lease });
      assertEquals(await run, lease);
    }
    await assertRejects(() => stash.getOrSet("k", () => 1, { lease: 1e300 }), RangeError, "lease");
    await assertRejects(() => stash.getOrSet("k", () => 1, { lease: 0.5 }), RangeError, "lease");
  },
});

Deno.test("functions: recursion costs memory in proportion to its depth", async () => {
  const script = `
    import { HashStash } from "./mod.ts";
    await using stash = new HashStash({ engine: "memory" });
    const f = stash.stashedResult(async (n) => n ? 1 + await f(n - 1) : 0);
    await f(10);
    const before = Deno.memoryUsage().rss;
    console.log(await f(8_000), (Deno.memoryUsage().rss - before) / 1e6);
  `;
  const { stdout, stderr } = await runScript(script, []);
  const [result, megabytes] = stdout.split(" ").map(Number);
  assertEquals(result, 8_000, stderr);
  assertLess(megabytes, 300);
});

for (const engine of PERSISTENT) {
  Deno.test(`functions: computations of two processes that need each other's result end, on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options();
    await using stack = new AsyncDisposableStack();
    const workers = ["c", "d"].map((first) =>
      stack.use(new WorkerProcess("./ring_worker.ts", { options, first, lease: 200 }))
    );
    for (const worker of workers) assertEquals(await worker.line(), "ready");
    for (const worker of workers) await worker.endInput();
    for (const worker of workers) {
      const answer = await worker.line();
      assert(answer.startsWith("TypeError: Cannot get the result inside"), answer);
    }
  });
}

const onMemory = (name: string, fn: (stash: HashStash) => Promise<void>) =>
  testOnMemory(`functions: ${name}`, fn);

onMemory("methods under one further decorator are apart, and so are classes", async (stash) => {
  const logged = <T extends (...args: never[]) => unknown>(method: T) =>
    function (this: unknown, ...args: Parameters<T>) {
      return method.apply(this, args);
    } as T;
  class One {
    @stash.stashedResult()
    @logged
    a(x: number): unknown {
      return `a ${x}`;
    }
    @stash.stashedResult()
    @logged
    b(x: number): unknown {
      return `b ${x}`;
    }
    @stash.stashedResult({ key: (x: number) => x })
    @logged
    keyed(x: number): unknown {
      return `One ${x}`;
    }
    @stash.stashedResult({ key: (x: number) => x })
    @logged
    static keyed(x: number): unknown {
      return `static One ${x}`;
    }
  }
  class Two {
    @stash.stashedResult({ key: (x: number) => x })
    @logged
    keyed(x: number): unknown {
      return `Two ${x}`;
    }
  }
  class Three extends One {}
  const one = new One();
  assertEquals([await one.a(1), await one.b(1), await one.a(1)], ["a 1", "b 1", "a 1"]);
  assertEquals([await one.keyed(1), await new Two().keyed(1)], ["One 1", "Two 1"]);
  assertEquals([await One.keyed(1), await new Two().keyed(1)], ["static One 1", "Two 1"]);
  assertEquals(await new Three().keyed(1), "One 1");
  const { stash: results } = One.prototype.keyed as unknown as { stash: HashStash };
  assert(results.dbname.startsWith("main/One#keyed~"), results.dbname);
  assertEquals(await results.get(1), "One 1");
  assertEquals(await results.size(), 1);
});

onMemory("an arrow that uses the this around it needs a name or a key", async (stash) => {
  class Api {
    named: (x: number) => Promise<number>;
    constructor(readonly base: number) {
      const name = `add ${base}`;
      this.named = stash.stashedResult((x: number) => this.base + x, { name });
    }
    add(): unknown {
      return stash.stashedResult((x: number) => this.base + x);
    }
    run(x: number): Promise<number> {
      return stash.run((x: number) => this.base + x, x);
    }
    keyed = stash.stashedResult(async (x: number) => await Promise.resolve(this.base + x), {
      key: (x) => [this.base, x],
    });
  }
  const [one, two] = [new Api(1), new Api(2)];
  assertThrows(() => one.add(), TypeError, 'it is an arrow function that uses "this"');
  await assertRejects(() => one.run(1), TypeError, "give it a name");
  assertEquals([await one.named(1), await two.named(1)], [2, 3]);
  assertEquals([await one.keyed(1), await two.keyed(1)], [2, 3]);
  // What only looks like it.
  const fine = [
    () => "this", // this
    () =>
      function (this: unknown) {
        return this;
      }.name,
    () => ({ this: 1 }).this,
    () => `${/'this'/.source} this`,
    () =>
      new class {
        x = 1;
        get() {
          return this.x;
        }
      }().get(),
  ];
  for (const [i, fn] of fine.entries()) {
    assertEquals(await stash.run<[], unknown>(fn), fn(), `${i}`);
  }
});

onMemory("options of a call are checked, and messages name what has a name", async (stash) => {
  const f = stash.stashedResult((x: unknown) => x, { name: "f" });
  assertThrows(() => f.with({ signal: 5 as never }), TypeError, "Expected signal to be an Abort");
  assertThrows(() => f.with({ receiver: "x" as never }), TypeError, "Expected receiver");
  assertThrows(() => f.with({ force: 1 as never }), TypeError, "Expected force");
  const nameless = stash.stashedResult((() => (x: unknown) => x)());
  const error = await assertRejects(() => nameless(() => 1), TypeError);
  assert(error.message.endsWith("; the option key can say what counts"), error.message);
  const bound = (() => () => 1)().bind(null);
  Object.defineProperty(bound, "name", { value: "" });
  assertThrows(() => stash.stashedResult(bound), TypeError, "the function without a name");
});

onMemory("a deep clear makes the runs of the stores inside stale", async (stash) => {
  const gate = Promise.withResolvers<void>();
  const f = stash.stashedResult(async (x: number) => (await gate.promise, x), { name: "f" });
  const run = f(1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await stash.clear({ deep: true });
  gate.resolve();
  assertEquals(await run, 1);
  assertEquals(await f.peek(1), undefined);
});

onMemory("close inside a computation is refused, and does not wait for itself", async (stash) => {
  await assertRejects(() => stash.getOrSet("x", () => stash.close()), TypeError, "wait for itself");
  const f = stash.stashedResult(() => stash.close(), { name: "f" });
  await assertRejects(() => f(), TypeError, "wait for itself");
  assertEquals(await stash.get("x"), undefined);
});

onMemory("a result that the engine refuses reaches its callers, with an event", async (_) => {
  await using stash = new HashStash({
    engine: "memory",
    name: "refusing",
    engineOptions: { maxBytes: 2_000 },
  });
  const errors: unknown[] = [];
  stash.events.addEventListener("error", (event) => errors.push((event as CustomEvent).detail));
  assertEquals(await stash.getOrSet("k", () => "x".repeat(5_000)), "x".repeat(5_000));
  assertEquals([errors.length, await stash.has("k")], [1, false]);
});

Deno.test("functions: an error that can't be kept reaches its callers, with an event", async () => {
  const full = (location: EngineLocation) => {
    const engine = memory(location, {});
    const refuse = () => Promise.reject<never>(new Error("no space left"));
    engine.set = refuse;
    engine.compareAndSet = refuse;
    return engine;
  };
  await using stash = new HashStash({ engine: full, name: "keeps no errors" });
  const told: unknown[] = [];
  stash.events.addEventListener("error", (event) => told.push((event as CustomEvent).detail.error));
  const options = { cacheErrors: { ttl: 60_000 } };
  const fail = () => Promise.reject(new RangeError("the function's own"));
  await assertRejects(() => stash.getOrSet("k", fail, options), RangeError, "the function's own");
  const items = stash.stashedResult(async function* () {
    yield 1;
    await fail();
  }, { name: "items", ...options });
  await assertRejects(() => Array.fromAsync(items()), RangeError, "the function's own");
  assertEquals(told.length, 2);
  for (const error of told) assertInstanceOf(error, EngineError);
});

Deno.test("functions: a run that goes on after its stash was closed opens no store", async () => {
  let open = 0;
  const counted = (location: EngineLocation) => {
    const engine = memory(location, {});
    const close = engine.close.bind(engine);
    open++;
    engine.close = () => (open--, close());
    return engine;
  };
  const options = { engine: counted, name: "closed in a run" };
  const closed = new HashStash(options);
  {
    await using other = new HashStash(options);
    await other.open();
    const gate = Promise.withResolvers<void>();
    const caller = new AbortController();
    const fail = async () => {
      await gate.promise;
      throw new RangeError("the function's own");
    };
    const flight = { cacheErrors: { ttl: 60_000 } };
    const left = closed.getOrSet("k", fail, { ...flight, signal: caller.signal });
    setTimeout(() => caller.abort(), 20);
    await assertRejects(() => left, DOMException);
    await closed.close();
    const joined = other.getOrSet("k", () => "not run", flight);
    setTimeout(gate.resolve, 5);
    await assertRejects(() => joined, RangeError, "the function's own");
  }
  assertEquals(open, 0);
});

onMemory(
  "an event names the store that it happened in, also where outer stashes are told",
  async (stash) => {
    const told: unknown[] = [];
    const listen = (events: EventTarget) =>
      events.addEventListener("error", (event) => told.push((event as CustomEvent).detail));
    listen(stash.events);
    let fails = false;
    const g = stash.stashedResult(() => {
      if (fails) throw new RangeError("no newer one");
      fails = true;
      return 1;
    }, { name: "g", ttl: 0, staleIfError: 60_000 });
    listen(g.stash.events);
    assertEquals([await g(), await g()], [1, 1]);
    assertEquals(told.length, 2);
    for (const detail of told as { dbname: string; key: unknown }[]) {
      assertEquals([detail.dbname, detail.key], [g.stash.dbname, []]);
    }
  },
);

onMemory(
  "a forced result inside the modify of its own key does not run it for ever",
  async (stash) => {
    let runs = 0;
    const next = await stash.modify("a", async () => {
      if (++runs > 3) throw new Error("again");
      return await stash.getOrSet("a", () => 5, { force: true });
    });
    assertEquals([next, await stash.get("a"), runs], [5, 5, 1]);
  },
);
