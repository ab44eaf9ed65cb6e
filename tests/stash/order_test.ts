/** Acceptance cases 125 and 126: the order of calls on one handle that nobody awaits. */
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { complete } from "../../engines/complete.ts";
import { memory } from "../../engines/memory/mod.ts";
import { HashStash } from "../../mod.ts";
import { testOnEngines } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Random numbers that are the same each time. */
function* random(seed: number): Generator<number, never> {
  for (;;) yield (seed = (seed * 48_271) % 2_147_483_647);
}

type Call = (stash: HashStash, model: Map<string, unknown>, key: string, i: number) => {
  result: Promise<unknown>;
  expected: unknown;
};

/** One call on a key, and what it gives when all before it have happened and none after it. */
const CALLS: Call[] = [
  (stash, model, key, i) => {
    model.set(key, i);
    return { result: stash.set(key, i), expected: undefined };
  },
  (stash, model, key) => ({ result: stash.get(key), expected: model.get(key) }),
  (stash, model, key) => ({ result: stash.has(key), expected: model.has(key) }),
  (stash, model, key) => ({ result: stash.delete(key), expected: model.delete(key) }),
  (stash, model, key) => {
    const expected = model.get(key);
    model.delete(key);
    return { result: stash.pop(key), expected };
  },
  (stash, model, key, i) => {
    if (!model.has(key)) model.set(key, i);
    return { result: stash.setDefault(key, i), expected: model.get(key) };
  },
  (stash, model, key, i) => {
    model.set(key, i).set("other", i);
    return { result: stash.setMany([["other", i], [key, i]]), expected: undefined };
  },
  (stash, model, key) => ({
    result: stash.getMany([key, "other"]),
    expected: [model.get(key), model.get("other")],
  }),
  (stash, model, key) => {
    const expected = [key, "other"].filter((one) => model.delete(one)).length;
    return { result: stash.deleteMany([key, "other"]), expected };
  },
  (stash, model) => {
    model.clear();
    return { result: stash.clear(), expected: undefined };
  },
  (stash, model) => ({ result: stash.size(), expected: model.size }),
];

testOnEngines("125, 126: calls in a row", {
  async "clear, then 30 set"(stash) {
    await stash.set("old", 0);
    const calls: Promise<unknown>[] = [stash.clear()];
    for (let i = 0; i < 30; i++) calls.push(stash.set(`k${i}`, i));
    await Promise.all(calls);
    assertEquals([await stash.size(), await stash.has("old")], [30, false]);
  },

  async "set, delete, set of one key"(stash) {
    const calls = [stash.set("k", 1), stash.delete("k"), stash.set("k", 2)];
    assertEquals(await Promise.all(calls), [undefined, true, undefined]);
    assertEquals(await stash.get("k"), 2);
    await Promise.all([stash.delete("k"), stash.set("k", 3), stash.clear(), stash.set("k", 4)]);
    assertEquals(await stash.get("k"), 4);
  },

  async "mixed rows on a few keys"(stash) {
    const numbers = random(7);
    for (let row = 0; row < 10; row++) {
      await stash.clear();
      const model = new Map<string, unknown>();
      const results: Promise<unknown>[] = [];
      const expected: unknown[] = [];
      for (let i = 0; i < 40; i++) {
        // Those about all keys are few: else there would be nothing for them to find.
        const one = numbers.next().value % (i % 8 === 0 ? CALLS.length : CALLS.length - 2);
        const made = CALLS[one](stash, model, `k${numbers.next().value % 3}`, i);
        results.push(made.result);
        expected.push(made.expected);
      }
      assertEquals(await Promise.all(results), expected, `row ${row}`);
      assertEquals(await stash.toMap(), model, `row ${row}`);
    }
  },

  async "a listing comes after what was called before it"(stash) {
    const writes = Array.from({ length: 20 }, (_, i) => stash.set(`k${i}`, i));
    const listing = Array.fromAsync(stash.entries());
    const late = stash.set("late", 1);
    const keys = (await listing).map(([key]) => key).filter((key) => key !== "late");
    assertEquals(keys.length, 20);
    await Promise.all([...writes, late]);
  },

  async "a slow modify delays no other key, and no call on its own"(stash) {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = stash.modify("slow", async (current) => {
      begun.resolve();
      await gate.promise;
      return [current, "modified"];
    });
    await begun.promise;
    await stash.set("other", 1);
    await stash.modify("another", () => 2);
    assertEquals(await stash.getMany(["other", "another"]), [1, 2]);
    await stash.set("slow", "set meanwhile");
    gate.resolve();
    assertEquals(await slow, ["set meanwhile", "modified"]);
  },

  async "a call that fails fails no later one"(stash) {
    const calls = [
      stash.set("k", 1),
      stash.set("k", () => 1),
      stash.modify("k", () => Promise.reject(new RangeError("no"))),
      stash.setMany([["k", 2], ["k", Symbol("no")]]),
      stash.get("k"),
      stash.set("k", 3),
    ];
    const states = (await Promise.allSettled(calls)).map(({ status }) => status);
    assertEquals(states, [
      "fulfilled",
      "rejected",
      "rejected",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
    assertEquals(await stash.get("k"), 3);
    await assertRejects(() => stash.set("k", () => 1), TypeError);
  },

  async "126: what was in the batch at the call is stored"(stash) {
    const batch: [string, number][] = [];
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 10; i++) {
      batch.push([`k${i}`, i], [`l${i}`, i]);
      calls.push(i % 2 === 0 ? stash.setMany(batch) : stash.update(batch));
      batch.length = 0;
    }
    const value = { n: 1 };
    calls.push(stash.setMany([["object", value]]));
    value.n = 2;
    await Promise.all(calls);
    assertEquals(await stash.size(), 21);
    assertEquals(await stash.get("object"), { n: 1 });
  },

  async "what a generator yields takes its place when it is written"(stash) {
    let gate: PromiseWithResolvers<void>;
    async function* late() {
      // Its own code may wait for calls that were made after the one that reads it.
      await stash.set("first", "in the generator");
      await gate.promise;
      yield* ["first", "k"].map((key) => [key, "yielded"] as const);
    }
    for (const store of [() => stash.setMany(late()), () => stash.update(late())]) {
      gate = Promise.withResolvers<void>();
      const storing = store();
      const calls = [stash.set("k", "later"), stash.get("k"), stash.size(), stash.delete("other")];
      const [, found, , deleted] = await Promise.all(calls);
      assertEquals([found, deleted], ["later", false]);
      gate.resolve();
      const last = storing.then(() => stash.getMany(["first", "k"]));
      assertEquals(await last, ["yielded", "yielded"]);
    }
    const stored = [stash.setMany(new Map([["k", "of a Map"]])), stash.set("k", "later")];
    await Promise.all(stored);
    assertEquals(await stash.get("k"), "later");
  },

  async "popItem takes nothing that was set after it"(stash) {
    await stash.set("k", 1);
    const [taken] = await Promise.all([stash.popItem(), stash.set("k", 2)]);
    assertEquals([taken, await stash.get("k")], [["k", 1], 2]);
    const closing = [stash.popItem(), stash.close()];
    assertEquals(await Promise.all(closing), [["k", 2], undefined]);
  },

  async "a dump is a listing like others: before what is called after it"(stash) {
    await stash.set("k", 1);
    const dumps = [
      Array.fromAsync(stash.dump()),
      Array.fromAsync(stash.records({ allVersions: true })),
    ];
    const [dump, rows, deleted] = await Promise.all([...dumps, stash.delete("k")]);
    assertEquals([(dump as unknown[]).length, (rows as unknown[]).length, deleted], [1, 1, true]);
  },

  async "load is in the row, and stores what was there at the call"(stash) {
    await stash.set("k", 1);
    const records = await Array.fromAsync(stash.dump());
    const calls: Promise<unknown>[] = [stash.set("k", 2), stash.load(records), stash.get("k")];
    records.length = 0;
    calls.push(stash.set("k", 3));
    assertEquals(await Promise.all(calls), [undefined, 1, 1, undefined]);
    assertEquals(await stash.get("k"), 3);
  },

  async "options are taken as they are at the call, and checked before anything happens"(stash) {
    const options = { ttl: 3_600_000 };
    const calls = [
      stash.set("set", 1, options),
      stash.setMany([["setMany", 1]], options),
      stash.modify("modify", () => 1, options),
      stash.setDefault("setDefault", 1, options),
    ];
    options.ttl = 1;
    await Promise.all(calls);
    await sleep(5);
    assertEquals(await stash.getMany(["set", "setMany", "modify", "setDefault"]), [1, 1, 1, 1]);
    let ran = 0;
    const modify = (options: object) => stash.modify("k", () => ++ran, options);
    await assertRejects(() => modify({ tll: 5 }), TypeError, "tll");
    await assertRejects(() => modify({ ttl: -1 }), RangeError);
    await assertRejects(() => stash.setDefault("k", 1, { ttl: -1 }), RangeError);
    assertEquals([ran, await stash.has("k")], [0, false]);
  },

  async "a modify that removes what is absent makes a run stale, as delete does"(stash) {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const run = stash.getOrSet("k", async () => (begun.resolve(), await gate.promise, 1));
    await begun.promise;
    await stash.modify("k", () => undefined);
    gate.resolve();
    assertEquals([await run, await stash.has("k")], [1, false]);
  },

  async "a run that has begun when a stash is opened with clear is not stored"(stash, bed) {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const run = stash.getOrSet("k", async () => (begun.resolve(), await gate.promise, 1));
    await begun.promise;
    await using cleared = bed.stash({ name: stash.name, clear: true });
    await cleared.open();
    gate.resolve();
    assertEquals([await run, await stash.has("k")], [1, false]);
  },

  async "a function is not in the order's way, and its call comes after what was called before"(
    stash,
  ) {
    const f = stash.stashedResult((x: number) => x + 1, { name: "f" });
    const calls = [f(1), f.stash.set([1], 10), f(1), f.forget(1), f(1)];
    const [, , set, forgotten, last] = await Promise.all(calls);
    assertEquals([set, forgotten, last], [10, true, 2]);
    const gate = Promise.withResolvers<void>();
    const begun = performance.now();
    const slow = stash.getOrSet("slow", async () => (await gate.promise, 1));
    await stash.set("quick", 1);
    assertLess(performance.now() - begun, 5_000);
    gate.resolve();
    await slow;
    await sleep(0);
  },
});

Deno.test("a set that can't be encoded does not let the one behind it overtake", async () => {
  const inner = complete(memory({ name: crypto.randomUUID(), dbname: "main" }, {}));
  let gate = Promise.withResolvers<void>();
  const landed: string[] = [];
  const engine = {
    name: "slow",
    path: "slow:",
    supports: { persistent: false, shared: false },
    open: () => inner.open(),
    close: () => inner.close(),
    get: (key: string) => inner.get(key),
    async set(...[key, entry]: Parameters<typeof inner.set>) {
      const value = new TextDecoder().decode(entry.value);
      if (value.includes("first")) await gate.promise;
      await inner.set(key, entry);
      landed.push(value.includes("first") ? "first" : "third");
    },
    delete: (key: string) => inner.delete(key),
    compareAndSet: (...args: Parameters<typeof inner.compareAndSet>) =>
      inner.compareAndSet(...args),
    keys: (prefix?: string) => inner.keys(prefix),
    size: () => inner.size(),
    clear: (deep?: boolean) => inner.clear(deep),
  };
  const serializer = {
    name: "refusing",
    async serialize(value: unknown) {
      await Promise.resolve();
      if (value === "bad") throw new RangeError("not this one");
      return new TextEncoder().encode(JSON.stringify(value));
    },
    deserialize: (bytes: Uint8Array) =>
      Promise.resolve(JSON.parse(new TextDecoder().decode(bytes))),
  };
  for (const isOpened of [false, true]) {
    await using stash = new HashStash({ engine, name: `opened ${isOpened}`, serializer });
    if (isOpened) await stash.open();
    landed.length = 0;
    gate = Promise.withResolvers();
    const calls = [stash.set("k", "first"), stash.set("k", "bad"), stash.set("k", "third")];
    setTimeout(gate.resolve, 20);
    const states = (await Promise.allSettled(calls)).map(({ status }) => status);
    assertEquals(states, ["fulfilled", "rejected", "fulfilled"]);
    assertEquals([landed, await stash.get("k")], [["first", "third"], "third"]);
  }
});
