/** Section 5 of the acceptance cases: functions whose results are kept. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { HashStash, type HashStashOptions, stashedResult } from "../../mod.ts";
import { TestBed } from "../support/bed.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

type Claim = (stash: HashStash, bed: TestBed) => Promise<void>;

const CLAIMS: Record<string, Claim> = {
  async "67, 68: runs once per list of arguments"(stash) {
    const calls: unknown[] = [];
    const add = stash.stashedResult((a: number, b: number) => {
      calls.push([a, b]);
      return { sum: a + b };
    });
    assertEquals(await add(1, 2), { sum: 3 });
    assertEquals(await add(1, 2), { sum: 3 });
    assertEquals(await add(2, 1), { sum: 3 });
    assertEquals(calls, [[1, 2], [2, 1]]);
  },

  async "69: force runs it again and replaces the result"(stash) {
    let count = 0;
    const next = stash.stashedResult(() => ++count);
    assertEquals([await next(), await next(), await next.force(), await next()], [1, 1, 2, 2]);
    const always = stash.stashedResult(() => ++count, { name: "always", force: true });
    assertEquals([await always(), await always()], [3, 4]);
    assertEquals(await always.peek(), 4);
    assertEquals(await next.with({ force: true })(), 5);
  },

  async "70: run is the same without decorating"(stash) {
    let count = 0;
    const double = (x: number) => {
      count++;
      return 2 * x;
    };
    assertEquals(await stash.run(double, 4), 8);
    assertEquals(await stash.run(double, 4), 8);
    assertEquals(await stash.stashedResult(double)(4), 8);
    assertEquals(count, 1);
  },

  async "71: the results are a stash of argument lists"(stash) {
    let count = 0;
    const join = stash.stashedResult((a: string, b: { c: number }) => `${a}${b.c}${++count}`);
    assertEquals(await join.peek("a", { c: 1 }), undefined);
    await join("a", { c: 1 });
    assertEquals(await join.peek("a", { c: 1 }), "a11");
    assertEquals(await Array.fromAsync(join.stash.keys()), [["a", { c: 1 }]]);
    assertEquals(await join.stash.get(["a", { c: 1 }]), "a11");
    assertEquals(join.key("a", { c: 1 }), ["a", { c: 1 }]);
    assertEquals(await join.forget("a", { c: 1 }), true);
    assertEquals(await join.forget("a", { c: 1 }), false);
    assertEquals(await join("a", { c: 1 }), "a12");
  },

  async "72: functions are apart, and the stash itself stays empty"(stash) {
    const make = () => {
      const one = function same(x: number) {
        return x + 1;
      };
      return stash.stashedResult(one);
    };
    const other = stash.stashedResult(function same(x: number) {
      return x + 2;
    });
    assertEquals([await make()(1), await other(1), await make()(1)], [2, 3, 2]);
    assertEquals(await stash.size(), 0);
    await stash.clear();
    assertEquals(await other.peek(1), 3);
    await stash.clear({ deep: true });
    assertEquals(await other.peek(1), undefined);
  },

  async "73: generators are replayed"(stash) {
    let count = 0;
    const range = stash.stashedResult(function* (end: number) {
      count++;
      for (let i = 0; i < end; i++) yield i;
      return "end";
    });
    assertEquals([...await range(3)], [0, 1, 2]);
    const replayed = await range(3);
    assertEquals([replayed.next(), replayed.next().value], [{ done: false, value: 0 }, 1]);
    assertEquals([replayed.next().value, replayed.next()], [2, { done: true, value: "end" }]);
    assertEquals(count, 1);
    assertEquals(await range.stash.get([3]), { yielded: [0, 1, 2], returned: "end" });

    const letters = stash.stashedResult(async function* (text: string) {
      count++;
      for (const letter of text) yield await Promise.resolve(letter);
    });
    assertEquals(await Array.fromAsync(letters("abc")), ["a", "b", "c"]);
    assertEquals(await Array.fromAsync(await letters("abc")), ["a", "b", "c"]);
    assertEquals(await letters.stash.get(["abc"]), ["a", "b", "c"]);
    assertEquals(await Array.fromAsync((await letters.peek("abc"))!), ["a", "b", "c"]);
    assertEquals(await letters.peek("xyz"), undefined);
    assertEquals(count, 2);
  },

  async "74: an error is thrown and not stored"(stash) {
    let count = 0;
    const fail = stash.stashedResult((x: number): number => {
      throw new RangeError(`${x} ${++count}`);
    });
    await assertRejects(() => fail(1), RangeError, "1 1");
    await assertRejects(() => fail(1), RangeError, "1 2");
    assertEquals(await fail.stash.size(), 0);
  },

  async "75: undefined and null are results"(stash) {
    let count = 0;
    const nothing = stash.stashedResult((x: unknown) => {
      count++;
      return x;
    });
    assertEquals([await nothing(undefined), await nothing(undefined)], [undefined, undefined]);
    assertEquals([await nothing(null), await nothing(null)], [null, null]);
    assertEquals(count, 2);
  },

  async "76: arguments that look like options are arguments"(stash) {
    let count = 0;
    const f = stash.stashedResult((...args: unknown[]) => [++count, ...args]);
    const options = [{ default: 1 }, { force: true }, { ttl: 0 }, { signal: null }, { name: "x" }];
    for (const option of options) {
      const first = await f(1, option);
      assertEquals(first.slice(1), [1, option]);
      assertEquals(await f(1, option), first);
    }
    assertEquals(count, options.length);
    assertEquals(await f(1), [6, 1]);
    assertEquals(await f(1, undefined), [7, 1, undefined]);
  },

  async "77: the source, the name and the version say whose results they are"(_, bed) {
    const options = bed.options();
    const results: unknown[] = [];
    const versions: [string, object][] = [
      ["return 1", {}],
      ["return 2", {}],
      ["return 1 ", {}],
      ["return 3", { name: "named" }],
      ["return 4", { name: "named" }],
      ["return 5", { name: "named", version: 2 }],
      ["return 6", { name: "named", version: 3 }],
      ["return 7", { name: "named" }],
    ];
    for (const [body, functionOptions] of versions) {
      await using stash = new HashStash(options);
      const fn = new Function("x", body) as (x: number) => number;
      results.push(await stash.stashedResult(fn, functionOptions)(1));
    }
    assertEquals(results, [1, 2, 1, 3, 3, 5, 6, 3]);
  },

  async "78: equal calls at the same time run it once"(stash) {
    let count = 0;
    const slow = stash.stashedResult(async (x: number) => {
      count++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { x };
    });
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => slow(i % 2)));
    assertEquals(results, Array.from({ length: 20 }, (_, i) => ({ x: i % 2 })));
    assertEquals(count, 2);
    results[0].x = 5;
    assertEquals(results[2].x, 0, "each caller has a value of its own");
  },

  async "80: methods count the state of their instance"(stash) {
    let count = 0;
    class Api {
      constructor(readonly url: string) {}

      @stash.stashedResult
      async user(id: string) {
        count++;
        return await Promise.resolve(`${this.url}/${id}`);
      }

      @stash.stashedResult({ key: (id: string) => id })
      async anywhere(id: string) {
        count++;
        return await Promise.resolve(`${this.url}/${id}`);
      }
    }
    class Other extends Api {}
    const a = new Api("a");
    assertEquals([await a.user("x"), await new Api("b").user("x")], ["a/x", "b/x"]);
    assertEquals(await new Api("a").user("x"), "a/x");
    assertEquals(count, 2);
    assertEquals(await new Other("a").user("x"), "a/x");
    assertEquals(count, 3);
    assertEquals([await a.anywhere("x"), await new Api("b").anywhere("x")], ["a/x", "a/x"]);
    assertEquals(count, 4);
  },
};

testOnEngines("functions", CLAIMS);

const onMemory = (
  name: string,
  fn: (stash: HashStash) => Promise<void>,
  options?: HashStashOptions,
) => testOnMemory(`functions: ${name}`, fn, options);

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

onMemory("a wrapped function has the name and length of its own", (stash) => {
  const wrapped = stash.stashedResult(function area(width: number, height: number) {
    return width * height;
  });
  assertEquals([wrapped.name, wrapped.length], ["area", 2]);
  assertEquals(wrapped.stash.dbname.replace(/~.*/, "~"), "main/area~");
  const named = stash.stashedResult(() => 1, { name: "a/b@~", version: "1/2" });
  assertEquals(named.stash.dbname, "main/a%2fb%40%7e@1%2f2");
  return Promise.resolve();
});

onMemory("what has no source needs a name", async (stash) => {
  const bound = function (this: number, x: number) {
    return this + x;
  }.bind(1);
  assertThrows(() => stash.stashedResult(bound), TypeError, "give it a name");
  assertThrows(() => stash.stashedResult(Math.max), TypeError, "give it a name");
  assertEquals(await stash.stashedResult(bound, { name: "bound" })(2), 3);
  await assertRejects(() => stash.run(bound, 1), TypeError, "give it a name");
  await assertRejects(() => stash.run(3 as never), TypeError, "Expected a function, got number");
});

onMemory(
  "arguments can be anything that a key can be, and key replaces those that can't",
  async (stash) => {
    const f = stash.stashedResult((callback: () => number, x: number) => callback() + x, {
      key: (_callback, x) => x,
    });
    assertEquals([await f(() => 1, 1), await f(() => 2, 1)], [2, 2]);
    assertEquals(await Array.fromAsync(f.stash.keys() as AsyncIterable<unknown>), [1]);
    const g = stash.stashedResult((callback: () => number) => callback());
    await assertRejects(() => g(() => 1), TypeError, "$[0]");
    await assertRejects(() => g(() => 1), TypeError, "the option key");
  },
);

onMemory("the arguments count as they are at the call", async (stash) => {
  const f = stash.stashedResult((page: { number: number }) => page.number);
  const page = { number: 1 };
  const first = f(page);
  page.number = 2;
  assertEquals([await first, await f(page), await f({ number: 1 })], [1, 2, 1]);
  class Book {
    title = "t";
    @stash.stashedResult()
    async read(page: { number: number }) {
      return await Promise.resolve(`${this.title}${page.number}`);
    }
  }
  const second = new Book().read(page);
  page.number = 3;
  assertEquals([await second, await new Book().read({ number: 2 })], ["t2", "t2"]);
});

onMemory("own enumerable state counts, and key says what else", async (stash) => {
  class Api {
    #token: string;
    constructor(readonly url: string, token: string) {
      this.#token = token;
    }
    get token() {
      return this.#token;
    }
    @stash.stashedResult
    async get() {
      return await Promise.resolve(`${this.url} ${this.#token}`);
    }
    @stash.stashedResult({
      key(this: Api) {
        return this.token;
      },
    })
    async keyed() {
      return await Promise.resolve(this.#token);
    }
  }
  assertEquals([await new Api("u", "a").get(), await new Api("v", "b").get()], ["u a", "v b"]);
  // A private field is no enumerable property.
  assertEquals(await new Api("u", "b").get(), "u a");
  assertEquals([await new Api("u", "a").keyed(), await new Api("u", "b").keyed()], ["a", "b"]);
  class Client {
    socket = new AbortController();
    @stash.stashedResult
    async get() {
      return await Promise.resolve(1);
    }
  }
  await assertRejects(() => new Client().get(), TypeError, 'the option key of "get"');
});

onMemory("functions in the state count by their source", async (stash) => {
  class Scale {
    constructor(readonly by: (x: number) => number) {}
    @stash.stashedResult
    async apply(x: number) {
      return await Promise.resolve(this.by(x));
    }
    @stash.stashedResult
    static async of(x: number) {
      return await Promise.resolve(`${this.name} ${x}`);
    }
  }
  const double = new Scale((x) => 2 * x);
  const triple = new Scale((x) => 3 * x);
  assertEquals([await double.apply(2), await triple.apply(2)], [4, 6]);
  assertEquals([await Scale.of(1), await Scale.of(1)], ["Scale 1", "Scale 1"]);
});

onMemory("a plain function on an object counts it only when it uses this", async (stash) => {
  let count = 0;
  const make = (base: number) => ({
    base,
    add: stash.stashedResult(function add(this: { base: number }, x: number) {
      count++;
      return this.base + x;
    }, { name: "add" }),
    twice: stash.stashedResult((x: number) => {
      count++;
      return 2 * x;
    }, { name: "twice" }),
  });
  const [one, two] = [make(1), make(2)];
  assertEquals([await one.add(1), await two.add(1), await one.add(1)], [2, 3, 2]);
  assertEquals([await one.twice(1), await two.twice(1)], [2, 2]);
  assertEquals(count, 3);
  assertEquals(await one.add.with({ receiver: two }).peek(1), 3);
});

onMemory("only methods can be decorated", (stash) => {
  const decorate = stash.stashedResult as unknown as (fn: unknown, context: object) => unknown;
  const context = { kind: "getter", name: "x", addInitializer: () => undefined };
  assertThrows(() => decorate(() => 1, context), TypeError, "got a getter");
  return Promise.resolve();
});

onMemory("bad options are refused", (stash) => {
  const cases: [object, string][] = [
    [{ tll: 1 }, 'Unknown option "tll"'],
    [{ name: "" }, "Expected name"],
    [{ version: {} }, "Expected version"],
    [{ key: "x" }, "Expected key"],
    [{ force: 1 }, "Expected force"],
    [{ ttl: "1" }, "Expected ttl"],
    [{ ttl: -1 }, "Expected ttl"],
    [{ lock: true }, "Expected lock"],
    [{ lease: 0 }, "Expected lease"],
    [{ lease: Infinity }, "Expected lease"],
    [{ staleWhileRevalidate: NaN }, "Expected staleWhileRevalidate"],
    [{ cacheErrors: true }, "Expected cacheErrors"],
    [{ cacheErrors: {} }, "Expected cacheErrors.ttl"],
  ];
  for (const [options, message] of cases) {
    const error = assertThrows(() => stash.stashedResult(() => 1, options));
    assertInstanceOf(error, Error);
    assert(error.message.startsWith(message), error.message);
    assertThrows(() => stash.stashedResult(options));
  }
  assertThrows(() => stash.stashedResult(null as never), TypeError);
  assertThrows(() => stash.stashedResult()(1 as never), TypeError, "Expected a function");
  return Promise.resolve();
});

onMemory("results of every sort", async (stash) => {
  const values: unknown[] = [
    new Uint8Array(300_000).fill(7),
    new Map([["a", new Set([1n])]]),
    new RangeError("a result, not thrown"),
    NaN,
    "",
    false,
  ];
  let count = 0;
  const value = stash.stashedResult((i: number) => (count++, values[i]));
  for (let round = 0; round < 2; round++) {
    for (const [i, expected] of values.entries()) {
      const result = await value(i);
      if (!(expected instanceof Error)) assertEquals(result, expected);
      else assertEquals(String(result), String(expected));
    }
  }
  assertEquals(count, values.length);
  const unstorable = stash.stashedResult(() => () => 1);
  await assertRejects(() => unstorable(), TypeError);
});

onMemory("a function that is kept in two stashes", async (stash) => {
  await using far = new HashStash({ engine: "memory", name: "far" });
  let count = 0;
  const both = stash.stashedResult(far.stashedResult((x: number) => {
    count++;
    return x + 1;
  }));
  const other = stash.stashedResult(far.stashedResult((x: number) => x + 2));
  assertEquals([await both(1), await other(1), await both(1)], [2, 3, 2]);
  await both.forget(1);
  assertEquals([await both(1), count], [2, 1]);
  const letters = stash.stashedResult(far.stashedResult(async function* () {
    count++;
    yield* await Promise.resolve("ab");
  }));
  assertEquals(await Array.fromAsync(letters()), ["a", "b"]);
  assertEquals(await Array.fromAsync(letters()), ["a", "b"]);
  assertEquals(count, 2);
});

onMemory("ttl: of the stash, of the function, of the result", async (stash) => {
  let count = 0;
  const byStash = stash.stashedResult(() => ++count, { name: "by stash" });
  const byFunction = stash.stashedResult(() => ++count, { name: "by function", ttl: 60_000 });
  const byResult = stash.stashedResult((x: number) => (count++, x), {
    name: "by result",
    ttl: (result) => result,
  });
  assertEquals([await byStash(), await byStash()], [1, 2]);
  assertEquals([await byFunction(), await byFunction()], [3, 3]);
  assertEquals([await byResult(0), await byResult(0), await byResult(60_000)], [0, 0, 60_000]);
  assertEquals(count, 6);
  assertEquals(await byResult.peek(60_000), 60_000);
}, { ttl: 0 });

onMemory("errors can be kept for a while", async (stash) => {
  let count = 0;
  const fail = stash.stashedResult((x: number) => {
    count++;
    if (x < 0) throw new RangeError(`negative: ${x}`);
    return x;
  }, { cacheErrors: { ttl: 60_000 } });
  for (let i = 0; i < 3; i++) await assertRejects(() => fail(-1), RangeError, "negative: -1");
  assertEquals(count, 1);
  assertEquals(await fail.stash.size(), 0);
  await assertRejects(() => fail.force(-1), RangeError);
  assertEquals(count, 2);
  await fail.forget(-1);
  await assertRejects(() => fail(-1), RangeError);
  assertEquals(count, 3);

  class HttpError extends Error {
    constructor(readonly status: number) {
      super(`status ${status}`);
    }
  }
  const custom = stash.stashedResult(() => {
    count++;
    throw new HttpError(500);
  }, { cacheErrors: { ttl: 60_000 } });
  for (let i = 0; i < 2; i++) {
    assertEquals((await assertRejects(() => custom(), HttpError)).status, 500);
  }
  assertEquals(count, 5);
});

Deno.test("functions: prune drops kept errors that have expired", async () => {
  await using bed = await TestBed.create("pairtree");
  await using stash = bed.stash();
  const fail = stash.stashedResult((x: number) => {
    throw new RangeError(`failed ${x}`);
  }, { name: "fail", cacheErrors: { ttl: 1 } });
  for (let x = 0; x < 3; x++) await assertRejects(() => fail(x), RangeError);
  const files = async (folder: string): Promise<number> => {
    let count = 0;
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      count += isDirectory ? await files(`${folder}/${name}`) : 1;
    }
    return count;
  };
  const before = await files(bed.root);
  await sleep(5);
  await fail.stash.prune();
  assertEquals(before - await files(bed.root), 3);
});

onMemory("a generator under a name whose results are none says so at once", async (stash) => {
  const message = "no result of a generator: give the function another version";
  for (const [i, earlier] of [7, null, undefined, "text", { yielded: 1 }, { a: 1 }].entries()) {
    const name = `edited ${i}`;
    await stash.stashedResult((_: number) => earlier, { name })(1);
    const sync = stash.stashedResult(function* (n: number) {
      yield n;
    }, { name });
    const async = stash.stashedResult(async function* (n: number) {
      yield await Promise.resolve(n);
    }, { name });
    await assertRejects(() => sync(1), TypeError, message);
    await assertRejects(async () => await async(1), TypeError, message);
    await assertRejects(() => Array.fromAsync(async(1)), TypeError, message);
    await assertRejects(() => async.peek(1), TypeError, message);
    assertEquals(await Array.fromAsync(async.force(1)), [1]);
    assertEquals([...await sync(1)], [1]);
  }
});

onMemory(
  "an async generator that never came to be has ended, for whoever closes it",
  async (stash) => {
    const name = "numbers";
    const numbers = stash.stashedResult(async function* (n: unknown) {
      yield await Promise.resolve(n);
    }, { name });
    const closed = new HashStash({ engine: "memory", name: "closed" });
    await closed.close();
    const elsewhere = closed.stashedResult(async function* (n: unknown) {
      yield await Promise.resolve(n);
    }, { name });
    const gone = AbortSignal.abort(new Error("gone"));
    const calls: [() => AsyncGenerator<unknown>, string][] = [
      [() => numbers(Symbol("s")), "is a symbol"],
      [() => elsewhere(1), "is closed"],
      [() => numbers.with({ signal: gone })(1), "gone"],
    ];
    for (const [call, message] of calls) {
      assertEquals(await call().return(7), { done: true, value: 7 });
      await assertRejects(() => call().throw(new Error("mine")), Error, "mine");
      await call()[Symbol.asyncDispose]();
      await assertRejects(() => call().next(), Error, message);
      // With a `return` that rejects it would never come to an end, nor let anything else run.
      await assertRejects(() => Array.fromAsync(call()), Error, message);
    }
  },
);

onMemory("a generator that breaks off gives what it had, and stores nothing", async (stash) => {
  let count = 0;
  const broken = stash.stashedResult(function* () {
    yield ++count;
    throw new RangeError("broken");
  });
  const brokenAsync = stash.stashedResult(async function* () {
    yield await Promise.resolve(++count);
    throw new RangeError("broken");
  });
  for (const expected of [1, 2]) {
    const items: number[] = [];
    const items2 = await broken();
    assertThrows(
      () => {
        for (const item of items2) items.push(item);
      },
      RangeError,
      "broken",
    );
    assertEquals(items, [expected]);
  }
  for (const expected of [3, 4]) {
    const items: number[] = [];
    await assertRejects(
      async () => {
        for await (const item of brokenAsync()) items.push(item);
      },
      RangeError,
      "broken",
    );
    assertEquals(items, [expected]);
  }
  assertEquals([await broken.stash.size(), await brokenAsync.stash.size()], [0, 0]);
});

onMemory("an async generator is read while it runs, by several at once", async (stash) => {
  let count = 0;
  let gate = Promise.withResolvers<void>();
  const ticks = stash.stashedResult(async function* (n: number) {
    count++;
    for (let i = 0; i < n; i++) {
      yield i;
      await gate.promise;
    }
    return "end";
  });
  const first = await ticks(3);
  assertEquals(await first.next(), { done: false, value: 0 });
  assertEquals(await ticks.peek(3), undefined);
  const second = await ticks(3);
  assertEquals(await second.next(), { done: false, value: 0 });
  gate.resolve();
  assertEquals(await Array.fromAsync(second), [1, 2]);
  assertEquals(await first.next(), { done: false, value: 1 });
  assertEquals(await Array.fromAsync(first), [2]);
  assertEquals(count, 1);
  assertEquals(await ticks.stash.get([3]), { yielded: [0, 1, 2], returned: "end" });
  gate = Promise.withResolvers();
  assertEquals(await Array.fromAsync(ticks(3)), [0, 1, 2]);
  gate.resolve();
  assertEquals(await Array.fromAsync(ticks.force(3)), [0, 1, 2]);
  assertEquals(count, 2);
});

onMemory("an async generator that all have left is ended and not stored", async (stash) => {
  let ended = 0;
  const endless = stash.stashedResult(async function* () {
    try {
      for (let i = 0;; i++) yield await Promise.resolve(i);
    } finally {
      ended++;
    }
  });
  const stay = await endless();
  for await (const i of endless()) if (i === 3) break;
  assertEquals(ended, 0);
  assertEquals((await stay.next()).value, 0);
  await stay[Symbol.asyncDispose]();
  assertEquals(ended, 1);
  assertEquals(await endless.stash.size(), 0);
  for await (const i of endless()) if (i === 2) break;
  assertEquals(ended, 2);
  await assertRejects(
    async () => await (await endless()).throw(new RangeError("stop")),
    RangeError,
  );
});

onMemory("a stale result is served while one caller makes a newer one", async (stash) => {
  let count = 0;
  const gate = Promise.withResolvers<void>();
  const price = stash.stashedResult(async () => {
    if (++count > 1) await gate.promise;
    if (count === 3) throw new Error("no answer");
    return count;
  }, { ttl: 0, staleWhileRevalidate: 60_000, retryAfter: 0 });
  assertEquals(await price(), 1);
  assertEquals(await Promise.all([price(), price(), price()]), [1, 1, 1]);
  gate.resolve();
  for (let i = 0; i < 100 && await price.peek() === 1; i++) await sleep(1);
  assertEquals(await price.peek(), 2);
  assertEquals(await price.stash.get([]), 2);
  while (count < 4) {
    assertEquals(await price(), 2, "what fails in the background is not the caller's matter");
    await sleep(1);
  }
});

onMemory("getOrSet", async (stash) => {
  let count = 0;
  const make = async (key: unknown) => {
    count++;
    await sleep(5);
    return `${key} ${count}`;
  };
  assertEquals(await Promise.all([stash.getOrSet("a", make), stash.getOrSet("a", make)]), [
    "a 1",
    "a 1",
  ]);
  assertEquals(await stash.get("a"), "a 1");
  assertEquals(await stash.getOrSet("a", make, { force: true }), "a 2");
  assertEquals(await stash.getOrSet("b", () => undefined), undefined);
  assertEquals(await stash.getOrSet("b", make), undefined);
  await stash.getOrSet("c", make, { expiresAt: Date.now() });
  assertEquals(await stash.has("c"), false);
  await assertRejects(
    () => stash.getOrSet("d", () => Promise.reject(new RangeError("x"))),
    RangeError,
  );
  assertEquals(await stash.has("d"), false);
  await assertRejects(() => stash.getOrSet("d", 1 as never), TypeError, "Expected a function");
  await assertRejects(() => stash.getOrSet("d", make, { tll: 1 } as object), TypeError, "tll");
  await assertRejects(() => stash.getOrSet(() => 1, make), TypeError);
});

onMemory("in append mode every computed result is a version", async (stash) => {
  let count = 0;
  const next = stash.stashedResult((_: string) => ++count);
  assertEquals([await next("a"), await next("a"), await next.force("a")], [1, 1, 2]);
  assertEquals(await next.stash.getAll(["a"]), [1, 2]);
}, { appendMode: true });

onMemory("a function of a closed stash says so", async (stash) => {
  const f = stash.stashedResult((x: number) => x);
  await f(1);
  await stash.close();
  await assertRejects(() => f(1), Error, "is closed");
});

onMemory("close waits for what is being computed", async (stash) => {
  let stored: number | undefined;
  const slow = stash.stashedResult(async () => {
    await sleep(10);
    return 1;
  });
  await slow.stash.open();
  const result = slow().then((value) => stored = value);
  await sleep(1);
  await stash.close();
  await result;
  assertEquals(stored, 1);
});

Deno.test("functions: the module function makes a stash or takes one", async () => {
  await using stash = new HashStash({ engine: "memory", name: "taken" });
  let count = 0;
  const fn = (x: number) => {
    count++;
    return x + 1;
  };
  const made = stashedResult({ name: "made", engine: "memory", version: 2, ttl: 60_000 })(fn);
  const taken = stashedResult({ stash, name: "fn" })(fn);
  const plain = stashedResult(stash)(fn);
  for (const f of [made, taken, plain]) assertEquals([await f(1), await f(1)], [2, 2]);
  assertEquals(count, 3);
  assertEquals([made.stash.name, taken.stash.dbname], ["made", "main/fn"]);
  assert(made.stash.dbname.endsWith("@2"));
  await made.stash.close();
  class Api {
    @stashedResult({ stash, name: "method" })
    async get(x: number) {
      return await Promise.resolve(fn(x));
    }
  }
  assertEquals([await new Api().get(2), await new Api().get(2), count], [3, 3, 4]);
  assertThrows(() => stashedResult({ engine: "no" as never }), TypeError, "Unknown engine");
  assertThrows(() => stashedResult(fn as never), TypeError, "stashedResult()(fn)");
});

onMemory("typed like the function", async (stash) => {
  const repeat = stash.stashedResult((text: string, times = 2) => text.repeat(times));
  const twice: string = await repeat("a");
  const thrice: string | undefined = await repeat.stash.get(["a", 3]);
  assertEquals([twice, thrice], ["aa", undefined]);
  const mapped: string[] = await stash.map((text: string, times = 2) => text.repeat(times), ["b"])
    .results();
  const piped: string[] = await stash.map(repeat, ["a"]).results();
  assertEquals([mapped, piped], [["bb"], ["aa"]]);
  const ran: number = await stash.run(async (x: number) => await Promise.resolve(2 * x), 4);
  assertEquals(ran, 8);
  class Book {
    title = "t";
    @stash.stashedResult
    async *pages(count: number) {
      for (let i = 0; i < count; i++) yield await Promise.resolve(`${this.title}${i}`);
    }
  }
  const pages: string[] = [];
  for await (const page of new Book().pages(2)) pages.push(page);
  assertEquals(pages, ["t0", "t1"]);
  assertEquals(await Array.fromAsync(new Book().pages(2)), pages);
});
