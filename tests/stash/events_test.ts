/** The events of a stash: acceptance case 156, and each type on each engine that it can concern. */
import { assertEquals, assertGreater, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  HashStash,
  type HashStashOptions,
  type StashEventDetail,
  type StashEventMessage,
  type StashEventType,
} from "../../mod.ts";
import { EVENT_TYPES } from "../../store/events.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { runScript, WorkerProcess } from "../support/child.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

type Told = StashEventDetail & { readonly type: StashEventType };

/** Everything that is told from now on. */
function listen({ events }: Pick<HashStash, "events">): Told[] {
  const told: Told[] = [];
  for (const type of EVENT_TYPES) {
    events.addEventListener(type, ({ detail }) => told.push({ type, ...detail }));
  }
  return told;
}

/** What was told since the last time, as `[type, key]`. */
function taken(told: Told[]): [StashEventType, unknown][] {
  return told.splice(0).map(({ type, key }) => [type, key]);
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

testOnEngines("events", {
  async "get, set, delete and has"(stash) {
    const told = listen(stash);
    await stash.set({ id: 1 }, "value");
    await stash.get({ id: 1 });
    await stash.get({ id: 2 });
    await stash.has({ id: 1 });
    await stash.has({ id: 2 });
    await stash.delete({ id: 1 });
    await stash.delete({ id: 1 });
    const [set, hit, miss, deleted, ...more] = told;
    assertEquals(more, []);
    const { engine, name, dbname } = stash;
    for (const [i, event] of [set, hit, miss, deleted].entries()) {
      assertEquals(event.key, { id: i === 2 ? 2 : 1 });
      assertEquals([event.engine, event.name, event.dbname], [engine, name, dbname]);
    }
    assertEquals(told.map(({ type }) => type), ["set", "hit", "miss", "delete"]);
    const stored = (await stash.encodeValue("value")).length;
    assertEquals([set.bytes, hit.bytes, miss.bytes], [stored, stored, undefined]);
    for (const { ms } of [set, hit, miss]) assertGreaterOrEqual(ms!, 0);
  },

  async "stats counts what is told, whoever reads and stores"(stash, bed) {
    await using from = bed.stash();
    await from.setMany([["x", 1], ["y", 2]]);
    const told = listen(stash);
    const steps: [() => Promise<unknown>, Partial<ReturnType<HashStash["stats"]>>][] = [
      [() => stash.load(from.dump()), { sets: 2 }],
      [() => stash.pop("x"), { hits: 1, deletes: 1 }],
      [() => stash.pop("x"), { misses: 1 }],
      [() => stash.popItem(), { hits: 1, deletes: 1 }],
      [() => stash.popItem(), {}],
      [() => stash.getMany(["a", "b"]), { misses: 2 }],
      [() => stash.update({ a: 1, b: 2 }), { sets: 2 }],
      [() => stash.setDefault("a"), { hits: 1 }],
      [() => stash.modify("a", () => undefined), { deletes: 1 }],
      [() => stash.getOrSet("b", () => 3), { hits: 1 }],
      [() => stash.getOrSet("c", () => 3), { misses: 1, sets: 1 }],
    ];
    const total = { hits: 0, misses: 0, sets: 0, deletes: 0, evictions: 0 };
    for (const [step, counts] of steps) {
      await step();
      for (const [name, n] of Object.entries(counts)) total[name as keyof typeof total] += n;
      assertEquals(stash.stats(), total, String(step));
    }
    const count = (type: StashEventType) => told.filter((event) => event.type === type).length;
    const { hits, misses, sets, deletes } = total;
    assertEquals(["hit", "miss", "set", "delete"].map((type) => count(type as StashEventType)), [
      hits,
      misses,
      sets,
      deletes,
    ]);
  },

  async "batches tell of each key that was there"(stash) {
    const told = listen(stash);
    await stash.setMany([["a", 1], ["b", 2], ["c", 3]]);
    assertEquals(taken(told), [["set", "a"], ["set", "b"], ["set", "c"]]);
    await stash.update({ d: 4 });
    assertEquals(taken(told), [["set", "d"]]);
    await stash.setMany([["a", 1], ["b", "22"], ["c", "x".repeat(10_000)]], { tags: ["t"] });
    await stash.setMany([["a", 1], ["b", "22"], ["c", "x".repeat(10_000)]]);
    const bytes = [1, 4, 10_002];
    assertEquals(told.splice(0).map((event) => event.bytes), [...bytes, ...bytes]);
    await stash.getMany(["a", "x", "c"]);
    assertEquals(taken(told), [["hit", "a"], ["miss", "x"], ["hit", "c"]]);
    assertEquals(await stash.deleteMany(["a", "x", "c", "a"]), 2);
    assertEquals(taken(told), [["delete", "a"], ["delete", "c"]]);
    assertEquals(await stash.deleteMany(["a"]), 0);
    assertEquals(taken(told), []);
  },

  async "what reads and writes in one step"(stash) {
    const told = listen(stash);
    await stash.setDefault("a", 1);
    assertEquals(taken(told), [["miss", "a"], ["set", "a"]]);
    await stash.setDefault("a", 2);
    assertEquals(taken(told), [["hit", "a"]]);
    await stash.modify("a", (value) => Number(value) + 1);
    assertEquals(taken(told), [["set", "a"]]);
    await stash.modify("a", () => undefined);
    assertEquals(taken(told), [["delete", "a"]]);
    await stash.modify("a", () => undefined);
    assertEquals(taken(told), []);
    await stash.pop("a");
    assertEquals(taken(told), [["miss", "a"]]);
    await stash.set("a", 1);
    await stash.set("b", 1);
    taken(told);
    await stash.pop("a");
    assertEquals(taken(told), [["hit", "a"], ["delete", "a"]]);
    await stash.popItem();
    assertEquals(taken(told), [["hit", "b"], ["delete", "b"]]);
    await stash.popItem();
    assertEquals(taken(told), []);
  },

  async "clear and invalidate"(stash) {
    const told = listen(stash);
    await stash.setMany([["u:1", 1], ["u:2", 2]], { tags: ["t"] });
    await stash.setMany([["v:1", 1], ["w", 2]]);
    taken(told);
    await stash.invalidate({ tags: ["t"] });
    await stash.invalidate({ prefix: "v:" });
    await stash.clear();
    assertEquals(
      told.map(({ type, key, count }) => [type, key, count]),
      [["invalidate", undefined, 2], ["invalidate", undefined, 1], ["clear", undefined, undefined]],
    );
  },

  async "prune tells of as many as it dropped"(stash) {
    const told = listen(stash);
    await stash.set("ends", 1, { ttl: 1 });
    await stash.set("ends too", 1, { ttl: 1 });
    await stash.set("stays", 1);
    await sleep(20);
    taken(told);
    const pruned = await stash.prune();
    assertEquals([...new Set(told.map(({ type }) => type))], pruned > 0 ? ["expire"] : []);
    assertEquals(told.reduce((sum, { count = 1 }) => sum + count, 0), pruned);
  },

  async "a function's go to its own stash and to the one that it is in"(stash) {
    const all = listen(stash);
    const double = stash.stashedResult((x: number) => x * 2, { name: "double" });
    const own = listen(double.stash);
    assertEquals([await double(2), await double(2)], [4, 4]);
    const expected = ["miss", "compute", "set", "hit"];
    assertEquals(own.map(({ type }) => type), expected);
    assertEquals(all.map(({ type }) => type), expected);
    for (const { key, name, dbname } of all) {
      assertEquals([key, name, dbname], [[2], stash.name, double.stash.dbname]);
    }
    assertEquals(own[1].outcome, "ok");
    assertGreaterOrEqual(own[1].ms!, 0);
    taken(all);
    await double.forget(2);
    assertEquals(taken(all), [["delete", [2]]]);
    await stash.getOrSet("own", () => 1);
    assertEquals(taken(all), [["miss", "own"], ["compute", "own"], ["set", "own"]]);
  },

  async "a run that fails, callers that wait"(stash) {
    const told = listen(stash);
    const error = new RangeError("no");
    const gate = Promise.withResolvers<void>();
    const fail = stash.stashedResult(async () => {
      await gate.promise;
      throw error;
    }, { name: "fail" });
    const calls = Promise.allSettled([fail(), fail(), fail()]);
    // One has begun by then, and the others wait for it.
    while (told.length < 3) await sleep(1);
    gate.resolve();
    await calls;
    const ends = told.filter(({ type }) => type !== "miss");
    assertEquals(ends.map(({ type }) => type), ["compute", "wait", "wait"]);
    for (const end of ends) assertEquals([end.outcome, end.error], ["error", error]);
  },

  async "stale results, and those that can't be served any more"(stash) {
    const told = listen(stash);
    let runs = 0;
    const options = { name: "f", ttl: 1, staleWhileRevalidate: 60_000 };
    const f = stash.stashedResult(() => ++runs, options);
    await f();
    await sleep(20);
    taken(told);
    assertEquals(await f(), 1);
    while (told.length < 3) await sleep(1);
    assertEquals(taken(told).map(([type]) => type), ["stale", "compute", "set"]);
    const g = stash.stashedResult(() => ++runs, { ...options, name: "g" });
    assertEquals(await g(), 3);
    await sleep(20);
    taken(told);
    // Another function of the same results, that serves none that is stale.
    const strict = stash.stashedResult(() => ++runs, { name: "g", ttl: 60_000 });
    assertEquals(await strict(), 4);
    assertEquals(taken(told).map(([type]) => type), ["expire", "miss", "compute", "set"]);
  },

  async "map and generators"(stash) {
    const told = listen(stash);
    const types = () => taken(told).map(([type]) => type).sort();
    const square = (x: number) => x * x;
    await stash.map(square, [1, 2]).results();
    assertEquals(types(), ["compute", "compute", "miss", "miss", "set", "set"]);
    await stash.map(square, [1, 2]).results();
    assertEquals(types(), ["hit", "hit"]);
    const count = stash.stashedResult(async function* () {
      yield await Promise.resolve(1);
    }, { name: "count" });
    assertEquals(await Array.fromAsync(count()), [1]);
    assertEquals(types(), ["compute", "miss", "set"]);
    assertEquals(await Array.fromAsync(count()), [1]);
    assertEquals(types(), ["hit"]);
  },

  async "batches: one run for all, a hit or miss for each"(stash) {
    const told = listen(stash);
    const many = stash.stashedBatch((ids: number[]) => ids.map((id) => id * 2), { name: "many" });
    assertEquals(await many.many([1, 2]), [2, 4]);
    const compute = told.find(({ type }) => type === "compute")!;
    assertEquals([compute.key, compute.count, compute.outcome], [undefined, 2, "ok"]);
    const keyed = (wanted: StashEventType) =>
      taken(told.filter(({ type }) => type === wanted)).map(([, key]) => key);
    // They are stored side by side.
    for (const type of ["miss", "set"] as const) assertEquals(keyed(type).sort(), [[1], [2]]);
    assertEquals(told.length, 5);
    told.length = 0;
    assertEquals(await many(1), 2);
    assertEquals(told.map(({ type, key }) => [type, key]), [["hit", [1]]]);
    assertGreaterOrEqual(told[0].ms!, 0);
  },

  async "156: listeners that throw or reject harm nobody"(stash) {
    const called: string[] = [];
    for (const type of EVENT_TYPES) {
      stash.events.addEventListener(type, () => {
        called.push(type);
        throw new Error("a listener throws");
      });
      stash.events.addEventListener(type, () => Promise.reject(new Error("a listener rejects")));
      stash.events.addEventListener(type, {
        handleEvent() {
          throw new Error("an object throws");
        },
      });
    }
    await stash.set("a", 1);
    assertEquals(await stash.get("a"), 1);
    assertEquals(await stash.getOrSet("b", () => 2), 2);
    assertEquals(await stash.pop("a"), 1);
    await stash.clear();
    assertEquals(called, ["set", "hit", "miss", "compute", "set", "hit", "delete", "clear"]);
  },
});

for (const engine of ["memory", "diskcache"] as const) {
  Deno.test(`events: ${engine} says which entries it dropped`, async () => {
    await using bed = await TestBed.create(engine);
    const engineOptions = engine === "memory"
      ? { maxEntries: 2 }
      : { sizeLimit: 1, evictionPolicy: "least-recently-stored", cullLimit: 1 };
    await using stash = bed.stash({ engineOptions } as HashStashOptions);
    const told = listen(stash);
    for (const key of [1, "two", { three: 3 }, "four"]) await stash.set(key, "value");
    const evicted = told.filter(({ type }) => type === "evict").map(({ key }) => key);
    assertGreater(evicted.length, 0);
    assertEquals(evicted, [1, "two", { three: 3 }, "four"].slice(0, evicted.length));
    assertEquals(stash.stats().evictions, evicted.length);
    await using other = bed.stash();
    const dropped = listen(other);
    await other.set({ ends: 1 }, 1, { ttl: 1 });
    await sleep(20);
    await other.prune();
    // By the prune, or on a busy machine by the set itself, which diskcache has look for such too.
    const ended = taken(dropped).filter(([type]) => type === "expire");
    assertEquals(ended, [["expire", { ends: 1 }]]);
  });
}

testOnMemory("events: a read that finds an entry over says so once", async (stash) => {
  await stash.set("a", 1, { ttl: 1 });
  await sleep(20);
  const told = listen(stash);
  await stash.get("a");
  await stash.get("a");
  assertEquals(taken(told), [["expire", "a"], ["miss", "a"], ["miss", "a"]]);
});

testOnMemory("events: an engine object that stashes share tells each of its own", async (_) => {
  const { memory } = await import("../../engines/memory/mod.ts");
  const engine = memory({ name: "shared by two", dbname: "main" }, { maxEntries: 2 });
  await using one = new HashStash({ engine, name: "one" });
  await using two = new HashStash({ engine, name: "two" });
  const [toldOne, toldTwo] = [listen(one), listen(two)];
  await one.set("a", 1);
  await two.set("b", 1);
  await two.set("c", 1);
  await two.set("d", 1);
  assertEquals(taken(toldOne), [["set", "a"], ["evict", "a"]]);
  assertEquals(taken(toldTwo).filter(([type]) => type === "evict"), [["evict", "b"]]);
});

testOnMemory("events: listeners are those of any EventTarget", async (stash) => {
  let calls = 0;
  const count = () => calls++;
  const { events } = stash;
  const sets = async (expected: number) => {
    calls = 0;
    await stash.set("a", 1);
    assertEquals([calls, events.listens("set")], [expected, expected > 0]);
  };
  events.addEventListener("set", null);
  events.removeEventListener("set", count);
  await sets(0);
  // The same one twice is one; another phase is another one.
  events.addEventListener("set", count);
  events.addEventListener("set", count);
  events.addEventListener("set", count, { capture: true });
  await sets(2);
  events.removeEventListener("set", count);
  await sets(1);
  events.removeEventListener("set", count, true);
  await sets(0);
  events.addEventListener("set", count, { once: true });
  await stash.set("a", 1);
  assertEquals([calls, events.listens("set")], [1, false]);
  await sets(0);
  const abort = new AbortController();
  events.addEventListener("set", count, { signal: abort.signal });
  await sets(1);
  // Removed and added anew without the signal: its abort is not about this one.
  events.removeEventListener("set", count);
  events.addEventListener("set", count);
  abort.abort();
  await sets(1);
  events.removeEventListener("set", count);
  events.addEventListener("set", count, { signal: abort.signal });
  await sets(0);
});

testOnMemory("events: the key is decoded when it is asked for", async (stash) => {
  const keys: unknown[] = [];
  stash.events.addEventListener("set", ({ detail }) => {
    const { get } = Object.getOwnPropertyDescriptor(detail, "key")!;
    keys.push(typeof get, detail.key);
  });
  await stash.set(new Date(1), 1);
  assertEquals(keys, ["function", new Date(1)]);
});

/** The messages of a channel while something is done. */
async function published(type: StashEventType, body: () => Promise<unknown>): Promise<unknown[]> {
  const messages: unknown[] = [];
  const take = (message: unknown) => messages.push(message);
  subscribe(`hashstash:${type}`, take);
  try {
    await body();
  } finally {
    unsubscribe(`hashstash:${type}`, take);
  }
  return messages;
}

testOnMemory(
  "events: of a channel's message no copy has the key or the error unless asked to",
  async (s) => {
    const { name, dbname } = s;
    await s.set("secret", 1);
    const hits = await published("hit", () => s.getMany(["secret", "secret"]));
    const where = { engine: "memory", name, dbname };
    const copies = hits.map((hit) => JSON.parse(JSON.stringify(hit)));
    assertEquals(copies, Array(2).fill({ type: "hit", ...where, bytes: 1 }));
    assertEquals(hits.map((hit) => (hit as StashEventMessage).key), ["secret", "secret"]);
    const failing = () => s.getOrSet("secret 2", () => Promise.reject(new RangeError("secret")));
    const [message] = await published(
      "compute",
      () => failing().catch(() => 0),
    ) as StashEventMessage[];
    const { ms, ...failed } = message;
    assertGreaterOrEqual(ms!, 0);
    assertEquals([message.key, String(message.error)], ["secret 2", "RangeError: secret"]);
    assertEquals(failed, { type: "compute", ...where, outcome: "error", errorType: "RangeError" });
    assertEquals(channel("hashstash:hit").hasSubscribers, false);
  },
);

Deno.test("events: the channel of what is stale alone tells of the time, too", async () => {
  // In a process of its own: here others listen.
  const { stdout, stderr } = await runScript(
    `
    import { subscribe } from "node:diagnostics_channel";
    import { HashStash } from "./mod.ts";
    subscribe("hashstash:stale", ({ dbname, ms }) => console.log(dbname, typeof ms));
    await using stash = new HashStash({ name: "stale", engine: "memory" });
    const options = { ttl: 1, staleWhileRevalidate: 3_600_000 };
    const fn = stash.stashedResult((n) => n, { name: "fn", version: "1", ...options });
    for (const read of [() => fn(1), () => stash.getOrSet("key", () => 1, options)]) {
      await read();
      await new Promise((resolve) => setTimeout(resolve, 5));
      await read();
    }
  `,
    ["-A"],
  );
  assertEquals(stderr, "");
  assertEquals(stdout.trim().split("\n").map((line) => line.split(" ").at(-1)), [
    "number",
    "number",
  ]);
});

Deno.test("events: the option telemetry is checked", () => {
  for (const telemetry of [null, true, [1], { keys: 1 }, { keys: null }, { key: true }]) {
    const options = { engine: "memory", telemetry } as unknown as HashStashOptions;
    assertThrows(() => new HashStash(options), TypeError);
  }
  const { telemetry } = new HashStash({ engine: "memory", telemetry: {} }).toJSON();
  assertEquals(telemetry, undefined);
});

testOnMemory("events: channels have keys with telemetry.keys", async (stash) => {
  const messages = await published("set", () => stash.set([1], 1));
  assertEquals(messages.map((message) => ({ ...message as StashEventMessage }).key), [[1]]);
  assertEquals(messages.map((message) => (message as StashEventMessage).type), ["set"]);
  assertEquals(HashStash.fromJSON(stash.toJSON()).toJSON().telemetry, { keys: true });
}, { telemetry: { keys: true } });

for (const engine of PERSISTENT) {
  Deno.test(`events: wait and takeover on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash({ name: "flights" });
    const runs = await Deno.makeTempDir();
    try {
      const options = bed.options({ name: "flights" });
      const orders = { options, lease: 500, runs, outcome: "hang", ms: 0, callers: 1 };
      await using holder = new WorkerProcess("./flight_worker.ts", orders);
      assertEquals(await holder.line(), "ready");
      await holder.endInput();
      while ((await Array.fromAsync(Deno.readDir(runs))).length === 0) await sleep(5);
      const told = listen(stash);
      const run = stash.stashedResult((_key: string) => "mine", { name: "run", lease: 500 });
      const mine = run("key");
      await sleep(50);
      holder.kill();
      assertEquals(await mine, "mine");
      const types = told.map(({ type }) => type);
      assertEquals(types, ["miss", "takeover", "wait", "compute", "set"]);
      assertEquals(new Set(told.map(({ key }) => JSON.stringify(key))), new Set(['["key"]']));
      assertEquals(told[2].outcome, "ok");
    } finally {
      await Deno.remove(runs, { recursive: true });
    }
  });
}
