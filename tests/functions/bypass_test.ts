/** `onEngineError: "bypass"`: functions go on without a store that fails. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Entry, NewEntry } from "../../engines/engine.ts";
import { memory } from "../../engines/memory/mod.ts";
import { DecodeError, EngineError, HashStash, type HashStashOptions } from "../../mod.ts";
import { Bypass } from "../../store/bypass.ts";
import { testOnEngines } from "../support/on_engines.ts";
import { whileReadOnly } from "../support/read_only.ts";
import { eventually } from "../support/servers.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** An engine as others write them, which fails when it is told to, and counts what it is asked. */
class FailingEngine {
  readonly name = "failing";
  readonly path = "";
  readonly supports = { persistent: false, shared: true };
  /** What fails. */
  fails: "nothing" | "writes" | "everything" = "nothing";
  /** How long it takes to say that something failed, ms. */
  patience = 0;
  asked = 0;
  readonly #engine = memory({ name: `failing_${crypto.randomUUID()}`, dbname: "main" });

  async #pass(isWrite: boolean): Promise<void> {
    this.asked++;
    if (this.fails !== "everything" && !(isWrite && this.fails === "writes")) return;
    await sleep(this.patience);
    throw new Error("The backend is gone");
  }

  async open(): Promise<void> {
    await this.#pass(false);
    await this.#engine.open();
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    await this.#pass(false);
    return await this.#engine.get(key);
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.#pass(true);
    await this.#engine.set(key, entry);
  }

  async delete(key: string): Promise<boolean> {
    await this.#pass(true);
    return await this.#engine.delete(key);
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    await this.#pass(true);
    return await this.#engine.compareAndSet(key, expected, next);
  }

  async *keys(): AsyncGenerator<string> {
    await this.#pass(false);
    yield* this.#engine.keys();
  }

  async size(): Promise<number> {
    await this.#pass(false);
    return await this.#engine.size();
  }

  async clear(): Promise<void> {
    await this.#pass(true);
    await this.#engine.clear();
  }
}

function stashOn(engine: FailingEngine, options: HashStashOptions = {}) {
  const stash = new HashStash({ engine, onEngineError: "bypass", ...options } as HashStashOptions);
  const errors: unknown[] = [];
  stash.events.addEventListener("error", (event) => {
    errors.push((event as CustomEvent).detail.error);
  });
  return { stash, errors };
}

for (const isOpen of [false, true]) {
  const when = isOpen ? "that is open" : "that can't be opened";
  Deno.test(`bypass: whatever runs functions does without a store ${when}`, strict, async () => {
    const engine = new FailingEngine();
    const { stash: owned, errors } = stashOn(engine);
    await using stash = owned;
    let runs = 0;
    const twice = stash.stashedResult((x: number) => (runs++, 2 * x), { name: "twice" });
    const numbers = stash.stashedResult(function* (n: number) {
      for (let i = 0; i < n; i++) yield i;
    }, { name: "numbers" });
    const later = stash.stashedResult(async function* (n: number) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i);
    }, { name: "later" });
    const batch = stash.stashedBatch((ids: number[]) => (runs++, ids.map((id) => -id)), {
      name: "batch",
    });
    const fresh = stash.stashedResult((x: number) => x, {
      name: "fresh",
      staleWhileRevalidate: 1_000,
      cacheErrors: { ttl: 1_000 },
      tags: ["t"],
    });
    if (isOpen) {
      for (const fn of [twice, fresh, batch]) await fn(0);
      await Array.fromAsync(await numbers(1));
      await Array.fromAsync(later(1));
      await stash.get("key");
      runs = 0;
    }
    engine.fails = "everything";
    assertEquals(await twice(2), 4);
    assertEquals(runs, 1);
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], EngineError);
    assertStringIncludes(errors[0].message, "The backend is gone");

    const { asked } = engine;
    assertEquals(await Promise.all(Array.from({ length: 50 }, () => twice(3))), Array(50).fill(6));
    assertEquals(runs, 2);
    assertEquals(await twice(2), 4);
    assertEquals(await twice.force(2), 4);
    assertEquals(runs, 4);
    assertEquals([...await numbers(3)], [0, 1, 2]);
    assertEquals(await Array.fromAsync(later(3)), [0, 1, 2]);
    assertEquals(await fresh(7), 7);
    assertEquals(await stash.getOrSet("key", () => "made"), "made");
    assertEquals(await stash.getOrSetMany([1, 2], (keys) => keys), [1, 2]);
    runs = 0;
    assertEquals(await batch.many([1, 2, 1]), [-1, -2, -1]);
    assertEquals(await Promise.all([batch(5), batch(6), batch.force(7)]), [-5, -6, -7]);
    assertEquals(runs, 2);
    const mapped = stash.map(twice, [1, 2, 3]);
    assertEquals(await mapped.results(), [2, 4, 6]);
    // Nobody has asked the store again, and it is told once that it fails.
    assertEquals(engine.asked, asked);
    assertEquals(errors.length, 1);

    for (
      const call of [
        () => stash.get("key"),
        () => stash.set("key", 1),
        () => stash.has("key"),
        () => stash.delete("key"),
        () => stash.setDefault("key", 1),
        () => stash.modify("key", () => 1),
        () => stash.getMany(["key"]),
        () => stash.size(),
        () => twice.peek(2),
        () => twice.forget(2),
        () => twice.stash.get([2]),
      ]
    ) await assertRejects(call, EngineError, "The backend is gone");

    engine.fails = "nothing";
    await eventually(async () => {
      await twice(2);
      assertEquals(await twice.peek(2), 4);
    });
    runs = 0;
    assertEquals(await twice(2), 4);
    assertEquals(await stash.getOrSet("key", () => "stored"), "stored");
    assertEquals(await stash.get("key"), "stored");
    assertEquals(runs, 0);
  });
}

Deno.test("bypass: a store that fails is asked again by one caller at a time", strict, async () => {
  const engine = new FailingEngine();
  const { stash: owned, errors } = stashOn(engine);
  await using stash = owned;
  const twice = stash.stashedResult((x: number) => 2 * x, { name: "twice" });
  const thrice = stash.stashedResult((x: number) => 3 * x, { name: "thrice" });
  await twice(0);
  engine.fails = "everything";
  engine.patience = 300;
  const calls = (from: number) =>
    Promise.all(Array.from({ length: 20 }, async (_, i) => {
      assertEquals(await twice(from + i), 2 * (from + i));
      assertEquals(await thrice(from + i), 3 * (from + i));
    }));
  await calls(100);
  assertEquals(errors.length, 1);
  let { asked } = engine;
  await calls(200);
  assertEquals(engine.asked, asked);
  // The first second is over: one of them asks, and not even he waits for the answer.
  await sleep(1_100);
  engine.patience = 1_000;
  asked = engine.asked;
  await calls(300);
  assertEquals(engine.asked, asked + 1);
  assertEquals(errors.length, 1);
  await eventually(() => assertEquals(errors.length, 2));
  // Now it is left alone for two.
  await sleep(900);
  await calls(400);
  assertEquals(engine.asked, asked + 1);
  engine.fails = "nothing";
  await eventually(async () => {
    await thrice(1);
    assertEquals(await thrice.peek(1), 3);
  });
  assertEquals(errors.length, 2);
});

Deno.test(
  "bypass: a store that failed in two ways is asked again when both are due",
  strict,
  async () => {
    const down = (code?: string) =>
      new EngineError("down", {
        engine: "any",
        operation: "get",
        cause: Object.assign(new Error("down"), { code }),
      });
    const failures = [down(), down("ENOSPC")];
    const reported: unknown[] = [];
    const bypass = new Bypass();
    // What the probes bring: a failure of one kind at first, and then an answer.
    const answers = [failures[0]];
    const target = {
      run: () => answers.length > 0 ? Promise.reject(answers.shift()) : Promise.resolve(),
      report: (error: unknown) => void reported.push(error),
    };
    const asking = { target, text: "key" } as unknown as Parameters<Bypass["leavesOut"]>[0];
    bypass.failedToRead(failures[0], asking);
    // The one is due when the other is not yet.
    await sleep(700);
    bypass.failedToRead(failures[1], asking);
    await eventually(() => assertEquals(bypass.leavesOut(asking), false));
    assertEquals(reported, [...failures, failures[0]]);
  },
);

Deno.test("bypass: where only writing fails, what is stored is served", strict, async () => {
  const engine = new FailingEngine();
  const { stash: owned, errors } = stashOn(engine);
  await using stash = owned;
  let runs = 0;
  await stash.set("tagged", 1, { tags: ["t"] });
  await stash.invalidate({ tags: ["t"] });
  for (const lock of ["shared", "process", false] as const) {
    const twice = stash.stashedResult((x: number) => (runs++, 2 * x), { name: `by ${lock}`, lock });
    assertEquals(await twice(1), 2);
    engine.fails = "writes";
    errors.length = runs = 0;
    assertEquals([await twice(1), await twice(2), await twice(2), await twice(1)], [2, 4, 4, 2]);
    assertEquals(runs, 2);
    assertEquals(errors.length, 1);
    assertEquals(await stash.map(twice, [1, 3, 3]).results(), [2, 6, 6]);
    runs = 0;
    const letters = stash.stashedResult(async function* () {
      runs++;
      yield await Promise.resolve("a");
    }, { name: `letters by ${lock}`, lock });
    // The first of them finds out that its store can't be claimed, or does not: they share a run.
    const read = await Promise.all([1, 2, 3].map(() => Array.fromAsync(letters())));
    assertEquals(read, [["a"], ["a"], ["a"]]);
    assertEquals(runs, lock === false ? 3 : 1);
    await assertRejects(() => stash.set("key", 1), EngineError);
    engine.fails = "nothing";
    await eventually(async () => {
      await twice(2);
      assertEquals(await twice.peek(2), 4);
    });
  }
});

Deno.test(
  "bypass: a result that was not to be stored is no sign that writing works",
  strict,
  async () => {
    const engine = new FailingEngine();
    const { stash: owned, errors } = stashOn(engine);
    await using stash = owned;
    await stash.set("key", 0);
    await stash.delete("key");
    engine.fails = "writes";
    const options = { lock: "process" } as const;
    assertEquals(await stash.getOrSet("first", () => 1, options), 1);
    assertEquals(errors.length, 1);
    // Now one may write again: the one whose result is decided against while it is made.
    await sleep(1_100);
    const decided = async () => {
      await assertRejects(() => stash.delete("key"), EngineError);
      return 2;
    };
    assertEquals(await stash.getOrSet("key", decided, options), 2);
    assertEquals(await stash.getOrSet("third", () => 3, options), 3);
    assertEquals(errors.length, 1);
  },
);

Deno.test("bypass: a store that goes while a function runs", strict, async () => {
  const engine = new FailingEngine();
  const { stash: owned, errors } = stashOn(engine);
  await using stash = owned;
  const slow = stash.stashedResult(async (x: number) => {
    engine.fails = "everything";
    await sleep(1);
    return x;
  }, { name: "slow", tags: ["t"] });
  assertEquals(await Promise.all([slow(1), slow(1)]), [1, 1]);
  assertEquals(errors.length, 1);
  assertEquals(await slow(1), 1);
});

Deno.test("bypass: what is not the engine's fault rejects as ever", strict, async () => {
  const engine = new FailingEngine();
  const { stash: owned, errors } = stashOn(engine);
  await using stash = owned;
  let runs = 0;
  const own = stash.stashedResult((x: number) => {
    runs++;
    if (x === 0) throw new Error("its own");
    throw new EngineError("of another store", { engine: "other", operation: "get" });
  }, { name: "own" });
  await assertRejects(() => own(0), Error, "its own");
  await assertRejects(() => own(1), EngineError, "of another store");
  assertEquals(runs, 2);
  const found = stash.stashedResult((x: unknown) => x, { name: "found" });
  await assertRejects(() => found(Symbol()), TypeError);
  await assertRejects(() => stash.getOrSet("symbol", () => Symbol()), TypeError);
  await stash.set("damaged", "value");
  for await (const key of engine.keys()) {
    if (key.endsWith(":damaged")) {
      await engine.set(key, { value: new Uint8Array([34, 1]), timestamp: 0 });
    }
  }
  await assertRejects(() => stash.getOrSet("damaged", () => 1), DecodeError);
  assertEquals(errors, []);
  engine.fails = "everything";
  await assertRejects(() => own(0), Error, "its own");
  await assertRejects(() => own(1), EngineError, "of another store");
  assertEquals(runs, 4);
  await assertRejects(() => stash.getOrSet("symbol", () => Symbol()), TypeError);
  await stash.close();
  await assertRejects(() => own(1), EngineError, "closed");
  await assertRejects(() => stash.getOrSet("key", () => 1), EngineError, "closed");
  await assertRejects(() => stash.map(found, [1]).results(), EngineError, "closed");
  assertEquals(runs, 4);
});

Deno.test("bypass: without it functions reject, and don't run", strict, async () => {
  for (const onEngineError of [undefined, "throw"] as const) {
    const engine = new FailingEngine();
    await using stash = new HashStash({ engine, onEngineError });
    let runs = 0;
    const twice = stash.stashedResult((x: number) => (runs++, 2 * x), { name: "twice" });
    engine.fails = "everything";
    await assertRejects(() => twice(1), EngineError);
    await assertRejects(() => stash.getOrSetMany([1], (keys) => (runs++, keys)), EngineError);
    await assertRejects(() => stash.map(twice, [1]).results(), EngineError);
    assertEquals(runs, 0);
    assertEquals("onEngineError" in stash.toJSON(), false);
  }
  for (const wrong of ["reject", true, null, 1]) {
    assertThrows(
      () => new HashStash({ onEngineError: wrong as "throw" }),
      TypeError,
      'Expected onEngineError to be "throw" or "bypass", got ',
    );
  }
  const { stash } = stashOn(new FailingEngine());
  assertEquals(stash.toJSON().onEngineError, "bypass");
  await using again = HashStash.fromJSON({ ...stash.toJSON(), engine: "memory" });
  assertEquals(again.toJSON().onEngineError, "bypass");
  assertEquals(again.sub("inside").toJSON().onEngineError, "bypass");
});

for (const engine of ["pairtree", "sqlite", "diskcache"] as const) {
  Deno.test(`bypass: a folder on ${engine} that may only be read`, strict, async () => {
    const rootDir = await Deno.makeTempDir({ prefix: "hashstash_bypass_" });
    try {
      const options = { engine, rootDir, onEngineError: "bypass" } as const;
      {
        await using stash = new HashStash(options);
        await stash.stashedResult((x: number) => x, { name: "known" })(1);
      }
      const folder = engine === "sqlite" ? `${rootDir}/unnamed` : `${rootDir}/unnamed/${engine}`;
      await using stash = new HashStash(options);
      const errors: Error[] = [];
      stash.events.addEventListener("error", (event) => {
        errors.push((event as CustomEvent).detail.error);
      });
      let runs = 0;
      const fn = stash.stashedResult((x: number) => (runs++, x), { name: "new" });
      const known = stash.stashedResult((x: number) => (runs++, x), { name: "known" });
      const inside = engine === "sqlite" ? folder : `${folder}/main+`;
      await whileReadOnly(inside, async () => {
        assertEquals([await fn(1), await fn(1)], [1, 1]);
        assertEquals(runs, 2);
        assert(errors.length > 0);
        for (const error of errors) assertInstanceOf(error, EngineError);
        // A store that can't be made keeps nobody from reading one that is there.
        assertEquals(await known(1), 1);
        if (engine !== "sqlite") assertEquals(runs, 2);
      });
      // What opened a SQLite file for reading goes on reading only.
      if (engine === "sqlite") await stash.close();
      await using later = engine === "sqlite" ? new HashStash(options) : undefined;
      const again = later?.stashedResult((x: number) => x, { name: "new" }) ?? fn;
      await eventually(async () => {
        await again(1);
        assertEquals(await again.peek(1), 1);
      });
    } finally {
      await Deno.remove(rootDir, { recursive: true });
    }
  });
}

testOnEngines("bypass", {
  async "changes nothing while the store works"(plain) {
    const options = { ...plain.toJSON(), onEngineError: "bypass" } as const;
    await using stash = HashStash.fromJSON(options);
    const errors: unknown[] = [];
    stash.events.addEventListener("error", (event) => errors.push(event));
    let runs = 0;
    const double = async (x: number) => {
      runs++;
      await sleep(5);
      return 2 * x;
    };
    const twice = stash.stashedResult(double, { name: "twice" });
    await using other = HashStash.fromJSON(options);
    const same = other.stashedResult(double, { name: "twice" });
    assertEquals(await Promise.all([twice(1), same(1), twice(1)]), [2, 2, 2]);
    assertEquals(runs, 1);
    assertEquals(await twice.peek(1), 2);
    assertEquals(await twice.force(1), 2);
    assertEquals(await twice.forget(1), true);
    assertEquals(await stash.map(twice, [1, 2, 2, 3]).results(), [2, 4, 4, 6]);
    assertEquals(runs, 5);
    assertEquals(await stash.getOrSetMany([1, 2, 1], (keys) => keys), [1, 2, 1]);
    assertEquals(await stash.get(2), 2);
    const letters = stash.stashedResult(async function* () {
      yield* ["a", "b"];
    }, { name: "letters" });
    assertEquals(await Array.fromAsync(letters()), ["a", "b"]);
    assertEquals(await Array.fromAsync((await letters.peek())!), ["a", "b"]);
    assertEquals(errors, []);
  },
});
