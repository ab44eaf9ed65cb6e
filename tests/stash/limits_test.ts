/** Limits of a store: how much there may be, and what goes when there is more. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import {
  complete,
  Decorator,
  type EngineLocation,
  type Entry,
  type NewEntry,
  type Store,
} from "../../engines/mod.ts";
import { DecodeError, HashStash, type HashStashOptions } from "../../mod.ts";
import { Occupancy } from "../../store/occupancy.ts";
import { addUses, type Use, Uses } from "../../store/uses.ts";
import { type EngineName, PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { startRedis } from "../support/redis_server.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

type Numbers = HashStash<string, number>;

/** A stash on the same store as another one, with other options. */
function same(bed: TestBed, stash: HashStash, options: HashStashOptions): HashStash {
  return bed.stash({ name: stash.name, ...options });
}

/** Sets `k0`, `k1`, … from one number up to another one. */
async function fill(stash: HashStash, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await stash.set(`k${i}`, i);
}

async function keysOf(stash: HashStash): Promise<unknown[]> {
  return (await Array.fromAsync(stash.keys())).sort();
}

function named(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `k${from + i}`).sort();
}

/** Bytes of what a store holds, as `stores` tells. */
async function bytesIn(stash: HashStash): Promise<number> {
  const own = (await stash.stores()).find(({ dbname }) => dbname === stash.dbname);
  return own!.bytes;
}

testOnEngines("limits", {
  async "keep no more entries than there may be, and count who went"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 8 });
    for (let i = 0; i < 20; i++) {
      await limited.set(`k${i}`, i);
      assertLessOrEqual(await stash.size(), 8);
    }
    assertEquals(await keysOf(stash), named(12, 20));
    assertEquals(limited.stats().evictions, 12);
    assertEquals(limited.stats().deletes, 0);
    await limited.set("k15", 1);
    assertEquals([await stash.size(), limited.stats().evictions], [8, 12]);
  },

  async "hold for calls at the same time too"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 8 });
    const sizes: number[] = [];
    await Promise.all(Array.from({ length: 40 }, async (_, i) => {
      await limited.set(`k${i}`, i);
      sizes.push(await stash.size());
    }));
    assertLessOrEqual(Math.max(...sizes), 8);
    assertEquals(limited.stats().evictions + await stash.size(), 40);
  },

  async "let the least recently used go, by what earlier handles read too"(stash, bed) {
    {
      await using first = same(bed, stash, { maxEntries: 6 });
      await fill(first, 0, 6);
      assertEquals(await first.get("k0"), 0);
      assertEquals(await first.getMany(["k2"]), [2]);
    }
    await using second = same(bed, stash, { maxEntries: 6, evict: "lru" });
    await fill(second, 6, 10);
    assertEquals(await keysOf(stash), ["k0", "k2", ...named(6, 10)]);
  },

  async "let the least frequently used go"(stash, bed) {
    {
      await using first = same(bed, stash, { maxEntries: 6, evict: "lfu" });
      await fill(first, 0, 6);
      for (let i = 0; i < 3; i++) await first.getMany(["k0", "k1"]);
    }
    await using second = same(bed, stash, { maxEntries: 6, evict: "lfu" });
    // Each of these was used last, but once only.
    await fill(second, 6, 20);
    const keys = await keysOf(stash);
    assertEquals([keys.includes("k0"), keys.includes("k1"), keys.length], [true, true, 6]);
  },

  async "let the oldest go, however often it is read"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 4, evict: "oldest" });
    await fill(limited, 0, 4);
    for (let i = 0; i < 3; i++) await limited.get("k1");
    // Set anew, it is new.
    await limited.set("k0", 0);
    await fill(limited, 4, 6);
    assertEquals(await keysOf(stash), ["k0", "k3", "k4", "k5"]);
  },

  async "keep no more bytes than there may be"(stash, bed) {
    const value = "x".repeat(98);
    await using limited = same(bed, stash, { maxBytes: 1_000 });
    for (let i = 0; i < 20; i++) {
      await limited.set(`ä${i % 10}${i}`, value);
      assertLessOrEqual(await bytesIn(stash), 1_000);
    }
    // 104 bytes each.
    assertEquals(await stash.size(), 9);
    assertEquals(limited.stats().evictions, 11);
    await limited.set("large", "y".repeat(500));
    assertLessOrEqual(await bytesIn(stash), 1_000);
    assertEquals(await stash.size(), 5);
    await limited.set("large", "y".repeat(900));
    assertLessOrEqual(await bytesIn(stash), 1_000);
    assertEquals(await stash.has("large"), true);
    await limited.delete("large");
    for (let i = 0; i < 9; i++) await limited.set(`b${i}`, value);
    assertEquals((await keysOf(stash)).filter((key) => `${key}`.startsWith("b")).length, 9);
  },

  async "refuse what is larger than all that there may be, and remove nothing for it"(stash, bed) {
    await using limited = same(bed, stash, { maxBytes: 300 });
    for (let i = 0; i < 3; i++) await limited.set(`k${i}`, "x".repeat(90));
    const large = "x".repeat(400);
    const refused = async (call: () => Promise<unknown>) => {
      await assertRejects(call, RangeError, "maxBytes is 300; raise maxBytes");
      assertEquals(await keysOf(stash), named(0, 3));
      assertEquals(await stash.get("k0"), "x".repeat(90));
    };
    await refused(() => limited.set("k0", large));
    await refused(() => limited.set("new", large));
    await refused(() => limited.setMany([["new", 1], ["newer", large]]));
    await refused(() => limited.setDefault("new", large));
    await refused(() => limited.modify("k0", () => large));
    assertEquals(limited.stats().evictions, 0);
    // What was computed is its callers', though it is not kept.
    assertEquals(await limited.getOrSet("new", () => large), large);
    assertEquals(await keysOf(stash), named(0, 3));
  },

  async "take more at once than there may be"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 7 });
    await limited.setMany(Array.from({ length: 20 }, (_, i) => [`k${i}`, i]));
    assertEquals(await keysOf(stash), named(13, 20));
    assertEquals(limited.stats().evictions, 13);
    await limited.setMany([["k13", 1], ["k14", 1], ["k13", 2]]);
    assertEquals([await stash.size(), await stash.get("k13")], [7, 2]);
    // What is being set is no victim, though nothing else was used longer ago.
    await limited.setMany([["new", 0], ...named(15, 20).map((key): [string, number] => [key, 1])]);
    assertEquals((await keysOf(stash)).length, 7);
    assertEquals((await keysOf(stash)).slice(1), [...named(15, 20), "new"]);
    await limited.deleteMany(await keysOf(limited));
    await limited.setMany(Array.from({ length: 7 }, (_, i) => [`k${13 + i}`, i]));
    await limited.load(stash.dump());
    assertEquals(await keysOf(stash), named(13, 20));
    assertEquals(limited.stats().evictions, 14);
  },

  async "are those of each store on its own"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 3 });
    await using sub = limited.sub("inside");
    await using wider = limited.sub("wider", { maxEntries: 5 });
    const double = limited.stashedResult((n: number) => 2 * n, { name: "double" });
    for (let i = 0; i < 8; i++) {
      await limited.set(`k${i}`, i);
      await sub.set(`k${i}`, i);
      await wider.set(`k${i}`, i);
      assertEquals(await double(i), 2 * i);
    }
    assertEquals(await keysOf(limited), named(5, 8));
    assertEquals(await keysOf(sub), named(5, 8));
    assertEquals(await keysOf(wider), named(3, 8));
    assertEquals(await keysOf(double.stash), [[5], [6], [7]]);
    assertEquals(double.stash.stats().evictions, 5);
    assertEquals(await double.peek(7), 14);
  },

  async "hold for whatever stores"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 4 }) as Numbers;
    for (let i = 0; i < 6; i++) await limited.setDefault(`d${i}`, i);
    assertEquals(await stash.size(), 4);
    for (let i = 0; i < 6; i++) await limited.modify(`m${i}`, (n = 0) => n + 1);
    assertEquals(await stash.size(), 4);
    for (let i = 0; i < 6; i++) assertEquals(await limited.getOrSet(`g${i}`, () => i), i);
    assertEquals(await keysOf(stash), ["g2", "g3", "g4", "g5"]);
    await limited.modify("g3", () => undefined);
    assertEquals(await limited.pop("g4"), 4);
    assertEquals(await limited.deleteMany(["g2", "absent"]), 1);
    await fill(limited, 0, 3);
    assertEquals(await keysOf(stash), ["g5", ...named(0, 3)]);
    await limited.clear();
    await fill(limited, 0, 4);
    assertEquals(await keysOf(stash), named(0, 4));
  },

  async "let what has expired go first"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 4 });
    await fill(limited, 0, 2);
    await limited.set("short", 1, { ttl: 500 });
    await limited.set("brief", 1, { ttl: 500 });
    await new Promise((resolve) => setTimeout(resolve, 550));
    await fill(limited, 2, 4);
    assertEquals(await keysOf(stash), named(0, 4));
    assertEquals(limited.stats().evictions, 0);
  },

  async "remove the versions of what goes"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 3, appendMode: true });
    for (let i = 0; i < 6; i++) {
      await limited.set(`k${i}`, `first ${i}`);
      await limited.set(`k${i}`, `second ${i}`);
    }
    assertEquals(await keysOf(limited), named(3, 6));
    assertEquals(await limited.getAll("k4"), ["first 4", "second 4"]);
    assertEquals(await limited.getAll("k0"), []);
    assertEquals((await limited.check()).problems, []);
    // Three keys with two versions each, and nothing of the others.
    const text = await limited.encodeValue("second 4");
    assertLessOrEqual(await bytesIn(limited), 6 * (text.length + 200));
    await limited.set("k0", "anew");
    assertEquals(await limited.getAll("k0"), ["anew"]);
  },

  async "go with tags"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 4 });
    for (let i = 0; i < 6; i++) await limited.set(`k${i}`, i, { tags: [`t${i % 2}`] });
    assertEquals(await keysOf(limited), named(2, 6));
    assertEquals(await limited.invalidate({ tags: ["t0"] }), 2);
    assertEquals(await keysOf(limited), ["k3", "k5"]);
    const { evictions } = limited.stats();
    await fill(limited, 6, 8);
    assertEquals(await keysOf(limited), ["k3", "k5", "k6", "k7"]);
    assertEquals(limited.stats().evictions, evictions);

    const tagged = limited.stashedResult((n: number) => n, { name: "tagged", tags: ["t"] });
    for (let i = 0; i < 6; i++) await tagged(i);
    assertEquals(await tagged.stash.size(), 4);
    // By the stash, whose store it is not.
    assertEquals(await limited.invalidate({ tags: ["t"] }), 4);
    for (let i = 6; i < 10; i++) await tagged(i);
    assertEquals(tagged.stash.stats().evictions, 2);
  },

  async "count what is there when a store is opened"(stash, bed) {
    await fill(stash, 0, 9);
    await using limited = same(bed, stash, { maxEntries: 5 });
    // Reading removes nothing.
    assertEquals([await limited.get("k8"), await limited.size()], [8, 9]);
    await limited.set("k9", 9);
    assertEquals(await stash.size(), 5);
    assertEquals(limited.stats().evictions, 5);
    assertEquals([await stash.get("k8"), await stash.get("k9")], [8, 9]);
  },

  async "let go what others have stored before what was set just now"(stash, bed) {
    // With a share of its own, as a handle of another process has.
    await using other = same(bed, stash, { maxEntries: 50, evict: "oldest" });
    for (let i = 0; i < 50; i++) await other.set(`other ${i}`, i);
    await using limited = same(bed, stash, { maxEntries: 50 });
    await fill(limited, 0, 30);
    const left = await limited.getMany(named(0, 30));
    assertEquals(left.filter((value) => value === undefined).length, 0);
  },

  async "are no limits of another handle"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 3 });
    await fill(limited, 0, 3);
    await fill(stash, 3, 12);
    assertEquals(await stash.size(), 12);
    assertEquals(stash.stats().evictions, 0);
    const plain = JSON.parse(JSON.stringify(stash));
    assertEquals("maxEntries" in plain, false);
  },
});

/** Runs processes that fill a store at the same time, and looks on. */
async function fillTogether(
  options: HashStashOptions,
  times: number,
  look: () => Promise<number>,
  at?: string,
): Promise<{ most: number; evictions: number }> {
  await using stack = new AsyncDisposableStack();
  const workers = Array.from(
    { length: 4 },
    (_, index) => stack.use(new WorkerProcess("./limits_worker.ts", { options, index, times, at })),
  );
  for (const worker of workers) assertEquals(await worker.line(), "ready");
  for (const worker of workers) await worker.endInput();
  let most = 0;
  let isDone = false;
  const watching = (async () => {
    while (!isDone) {
      most = Math.max(most, await look());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  const evictions = await Promise.all(workers.map(async (worker) => Number(await worker.line())));
  isDone = true;
  await watching;
  return { most, evictions: evictions.reduce((a, b) => a + b) };
}

/** Engines whose sets take so long that fewer have to do. */
const SLOW: EngineName[] = ["pairtree", "shelve", "pickledb", "lmdb", "postgres"];

/** Engines whose `size` takes in what comes and goes while it counts. */
const WALKED: EngineName[] = ["pairtree", "shelve"];

for (const engine of PERSISTENT) {
  const [maxEntries, times] = SLOW.includes(engine) ? [200, 150] : [1_000, 1_250];
  Deno.test(`${engine}: 4 processes × ${times} sets keep to ${maxEntries} entries`, async () => {
    await using server = engine === "redis" ? await startRedis() : undefined;
    await using bed = await TestBed.create(engine, server && { url: server.url });
    const options = bed.options({ name: "together", maxEntries });
    await using observer = bed.stash({ name: "together" });
    const look = async () => {
      // All but the side store.
      if (server !== undefined) return Number(await server.cli("DBSIZE")) - 17;
      return WALKED.includes(engine) ? 0 : await observer.size();
    };
    const { most, evictions } = await fillTogether(options, times, look);
    const beyond = maxEntries / 100 + 16;
    assertLessOrEqual(most, maxEntries + beyond, "while they write");
    const size = await observer.size();
    assertLessOrEqual(size, maxEntries + beyond);
    // What each makes room for ahead of need is no more than a hundredth.
    assertGreater(size, maxEntries * 0.9);
    assertEquals(evictions + size, 4 * times);
    assertEquals((await observer.check()).problems, []);
  });

  Deno.test(`${engine}: a process that was killed leaves a store that keeps to its limits`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options({ name: "killed", maxEntries: 50 });
    await using observer = bed.stash({ name: "killed" });
    for (let round = 0; round < 2; round++) {
      const argument = { options, index: round, times: 100_000 };
      await using worker = new WorkerProcess("./limits_worker.ts", argument);
      assertEquals(await worker.line(), "ready");
      await worker.endInput();
      while (await observer.size() < 45) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, 50));
      worker.kill();
      await worker.status;
      assertLessOrEqual(await observer.size(), 50 + 16);
    }
    await using limited = bed.stash({ name: "killed", maxEntries: 50 });
    for (let i = 0; i < 10; i++) {
      await limited.set(`k${i}`, i);
      assertLessOrEqual(await observer.size(), 50);
    }
    assertEquals(await limited.getMany(named(0, 10)), Array.from({ length: 10 }, (_, i) => i));
  });
}

Deno.test("what a handle without limits stores is counted by the others within 10 s", async () => {
  const engines: EngineName[] = ["memory", "sqlite", "pairtree", "redis"];
  await Promise.all(engines.map(async (engine) => {
    await using bed = await TestBed.create(engine);
    await using limited = bed.stash({ name: "other", maxEntries: 20 });
    await fill(limited, 0, 20);
    await using other = bed.stash({ name: "other" });
    await fill(other, 20, 70);
    assertEquals(await other.size(), 70);
    const end = Date.now() + 10_000;
    while (await other.size() > 20 && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      // Also when nothing new comes.
      await limited.set("k19", 19);
    }
    assertEquals(await other.size(), 20, engine);
    assertEquals(other.stats().evictions, 0);
  }));
});

for (const at of ["once", "in batches"]) {
  Deno.test(`4 processes that set many ${at} keep to the limits`, async () => {
    await using bed = await TestBed.create("sqlite");
    const options = bed.options({ name: "together", maxEntries: 500 });
    await using observer = bed.stash({ name: "together" });
    const { most, evictions } = await fillTogether(options, 500, () => observer.size(), at);
    assertLessOrEqual(most, 521);
    assertEquals(evictions + await observer.size(), 2_000);
  });

  Deno.test(`4 processes that set many ${at} keep to a number of bytes`, async () => {
    await using bed = await TestBed.create("sqlite");
    const options = bed.options({ name: "together", maxBytes: 4_000 });
    await using observer = bed.stash({ name: "together" });
    // About 8 bytes each.
    const { most } = await fillTogether(options, 500, () => bytesIn(observer), at);
    assertLessOrEqual(most, 4_000 + 40 + 16 * 8);
    assertGreater(await bytesIn(observer), 3_000);
  });
}

/** An engine in memory whose writes are counted. */
function counting(): { engine: (location: EngineLocation) => Decorator; writes(): number } {
  let writes = 0;
  class Counting extends Decorator {
    override set(...args: Parameters<Decorator["set"]>) {
      writes++;
      return super.set(...args);
    }
    override setMany(...args: Parameters<Decorator["setMany"]>) {
      writes++;
      return super.setMany(...args);
    }
    override compareAndSet(...args: Parameters<Decorator["compareAndSet"]>) {
      writes++;
      return super.compareAndSet(...args);
    }
  }
  const engine = (location: EngineLocation) => new Counting(complete(memory(location)));
  return { engine, writes: () => writes };
}

Deno.test("no read writes by itself, and what was read is noted when the handle is closed", async () => {
  const { engine, writes } = counting();
  const options: HashStashOptions = { name: crypto.randomUUID(), engine, rootDir: "/counted" };
  await using observer = new HashStash(options);
  {
    await using limited = new HashStash({ ...options, maxEntries: 20 });
    await fill(limited, 0, 20);
    const before = writes();
    assertEquals(before, 20);
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 10; i++) await limited.get(`k${i}`);
    }
    await limited.getMany(named(0, 10));
    await limited.has("k11");
    assertEquals(writes(), before);
    await limited.close();
    assertEquals(writes(), before + 1);
  }
  await using limited = new HashStash({ ...options, maxEntries: 20 });
  await fill(limited, 20, 30);
  assertEquals(await keysOf(observer), [...named(0, 10), ...named(20, 30)].sort());
});

testOnMemory("a store without limits has none, and nothing is noted of it", async (stash) => {
  for (let i = 0; i < 100; i++) await stash.set(`k${i}`, i);
  for (let i = 0; i < 100; i++) await stash.get(`k${i}`);
  await using again = new HashStash({ engine: "memory", name: stash.name, maxEntries: Infinity });
  await again.set("more", 1);
  assertEquals([await stash.size(), stash.stats().evictions], [101, 0]);
  const notes = complete(memory({ name: stash.name, dbname: "main/.use" }));
  await notes.open();
  assertEquals(await notes.size(), 0);
  await notes.close();
});

testOnMemory("a store of some size keeps what was used of late, nearly", async (stash) => {
  await using limited = new HashStash({ engine: "memory", name: stash.name, maxEntries: 2_000 });
  await fill(limited, 0, 2_000);
  for (let i = 0; i < 500; i++) await limited.get(`k${i}`);
  await fill(limited, 2_000, 3_400);
  assertEquals(await limited.getMany(["k0", "k499", "k500", "k1800"]), [
    0,
    499,
    undefined,
    undefined,
  ]);
  assertLessOrEqual(await stash.size(), 2_000);
  // No more than a hundredth goes ahead of need.
  assertGreater(await stash.size(), 1_979);
});

testOnMemory("a near tier keeps nothing of what goes, and its reads are uses", async (stash) => {
  const options = { engine: "memory", name: stash.name, maxEntries: 3, near: true } as const;
  await using limited = new HashStash(options);
  await fill(limited, 0, 3);
  for (let i = 0; i < 3; i++) assertEquals(await limited.getMany(["k0"]), [0]);
  await fill(limited, 3, 5);
  assertEquals(await limited.getMany(named(0, 5)), [0, undefined, undefined, 3, 4]);
  assertEquals(await keysOf(stash), ["k0", "k3", "k4"]);
});

testOnMemory("a function with limits can be retired", async (stash) => {
  await using limited = new HashStash({ engine: "memory", name: stash.name, maxEntries: 3 });
  for (const version of ["1", "2"]) {
    const fn = limited.stashedResult((n: number) => n, { name: "fn", version });
    for (let i = 0; i < 5; i++) await fn(i);
    await fn.stash.close();
  }
  const fn = limited.stashedResult((n: number) => n, { name: "fn", version: "2" });
  assertEquals([await fn.retire(), await fn.retire()], [1, 0]);
  assertEquals((await limited.stores()).map(({ entries }) => entries), [0, 3]);
});

testOnMemory("who listens is told of what goes", async (stash) => {
  await using limited = new HashStash({ engine: "memory", name: stash.name, maxEntries: 3 });
  const told: unknown[] = [];
  limited.events.addEventListener("evict", ({ detail: { key, bytes } }) => told.push([key, bytes]));
  await fill(limited, 0, 5);
  assertEquals(told, [["k0", 1], ["k1", 1]]);
});

Deno.test("no more uses wait to be told than there are keys that are known", () => {
  const uses = new Uses("lru");
  for (let i = 0; i < 1_000; i++) {
    uses.note(`k${i}`, 1);
    if (i >= 10) uses.delete(`k${i - 10}`);
  }
  assertEquals(uses.untold, 10);
  uses.note("k999", null);
  assertEquals([...uses.tell().keys()].sort(), named(990, 1_000));
  assertEquals([uses.untold, uses.tell().size], [0, 0]);
  // More than are remembered.
  for (let i = 0; i < 70_000; i++) uses.note(`k${i}`, 1);
  assertGreater(uses.forgotten, 0);
  assertLessOrEqual(uses.untold, 70_000 - uses.forgotten);
  uses.clear();
  assertEquals(uses.untold, 0);
});

Deno.test("uses that could not be written down are written down later", async () => {
  let failures = 0;
  let isFailing = true;
  const told = new Map<string, Use>();
  class Busy extends Decorator {
    override compareAndSet(key: string, expected: Entry | undefined, next: NewEntry | undefined) {
      if (isFailing) {
        failures++;
        throw new Error("busy");
      }
      if (next !== undefined) addUses(told, next.value);
      return this.inner.compareAndSet(key, expected, next);
    }
  }
  let canOpen = false;
  const occupancy = new Occupancy({
    policy: "lru",
    hasBytes: false,
    isShared: true,
    isVerbatim: true,
    hasFileTimes: false,
    async openSide(): Promise<Store> {
      if (!canOpen) throw new Error("cannot be opened");
      const side = new Busy(complete(memory({ name: crypto.randomUUID(), dbname: "main/.use" })));
      await side.open();
      return side;
    },
  });
  const use = async (from: number, to: number) => {
    for (let i = from; i < to; i++) occupancy.use(`k${i}`);
    await occupancy.settled();
  };
  await use(0, 1_000);
  assertEquals(occupancy.uses.untold, 1_000);
  canOpen = true;
  await use(1_000, 2_000);
  assertEquals([occupancy.uses.untold, failures], [2_000, 1]);
  // Not tried again for each use.
  await use(2_000, 2_500);
  assertEquals([occupancy.uses.untold, failures], [2_500, 1]);
  isFailing = false;
  await use(2_500, 2_501);
  occupancy.use("k0");
  await occupancy.close();
  assertEquals([...told.keys()].sort(), named(0, 2_501));
  assertEquals([told.get("k0")?.count, told.get("k1")?.count], [2, 1]);
});

testOnEngines("a stash with limits, whose entries others replace,", {
  async "finds as many that it does not know"(_stash, bed) {
    const maxEntries = 5;
    const limited: Numbers = bed.stash({ name: "replaced", maxEntries });
    const other: Numbers = bed.stash({ name: "replaced" });
    for (let round = 0; round < 3; round++) {
      // So often that it has looked for keys it does not know, and found none.
      await fill(limited, 0, 40);
      assertEquals(await other.size(), maxEntries);
      await other.deleteMany(await Array.fromAsync(other.keys()));
      await fill(other, 100, 100 + maxEntries);
      await limited.setMany([["x", 1], ["y", 2], ["z", 3]]);
      assertLessOrEqual(await other.size(), maxEntries);
      assertEquals(await limited.getMany(["x", "y", "z"]), [1, 2, 3]);
    }
  },
});

/** What a process knows of a store. */
function occupancyOf(side: Store): Occupancy {
  return new Occupancy({
    policy: "lru",
    hasBytes: false,
    isShared: true,
    isVerbatim: true,
    hasFileTimes: false,
    openSide: () => Promise.resolve(side),
  });
}

for (const then of ["tells of something else", "closes the stash"]) {
  Deno.test(`what is written behind a count by who then ${then} is not taken for room`, async () => {
    const side = complete(memory({ name: crypto.randomUUID(), dbname: "main/.use" }));
    await side.open();
    const limits = { maxEntries: 500, maxBytes: Infinity };
    const [writer, counter] = [occupancyOf(side), occupancyOf(side)];
    let there = 400;
    await writer.recount(limits, () => Promise.resolve({ entries: there, bytes: 0 }));
    const more = { entries: 100, bytes: 0 };
    assert(await writer.takeTold(more, limits, undefined));
    await counter.recount(limits, async () => {
      const found = { entries: there, bytes: 0 };
      there += more.entries;
      writer.done(more);
      if (then === "closes the stash") await writer.close();
      else await writer.takeTold({ entries: 0, bytes: 0 }, limits, undefined);
      await side.open();
      return found;
    });
    assertEquals(counter.amount.entries, there);
    assertEquals(await counter.takeTold({ entries: 1, bytes: 0 }, limits, undefined), false);
    await counter.close();
  });
}

Deno.test("what others are about to write when a store is cleared is not taken for room", async () => {
  const side = complete(memory({ name: crypto.randomUUID(), dbname: "main/.use" }));
  await side.open();
  const limits = { maxEntries: 500, maxBytes: Infinity };
  const [writer, clearer, counter] = [occupancyOf(side), occupancyOf(side), occupancyOf(side)];
  await writer.recount(limits, () => Promise.resolve({ entries: 400, bytes: 0 }));
  const more = { entries: 100, bytes: 0 };
  assert(await writer.takeTold(more, limits, undefined));
  await clearer.clear();
  assertEquals(await clearer.estimate(), undefined);
  await counter.look(limits, () => Promise.resolve({ entries: 0, bytes: 0 }));
  writer.done(more);
  assertGreaterOrEqual(counter.amount.entries, 100);
  for (const one of [writer, counter]) {
    await one.close();
    await side.open();
  }
  // Nobody writes any more.
  await clearer.clear();
  assertEquals(await Array.fromAsync(side.keys()), []);
  await clearer.close();
});

Deno.test("that a count has become unknown stays so when writers have paused for it", async () => {
  const side = complete(memory({ name: crypto.randomUUID(), dbname: "main/.use" }));
  await side.open();
  const occupancy = occupancyOf(side);
  const limits = { maxEntries: 500, maxBytes: Infinity };
  await occupancy.recount(limits, () => Promise.resolve({ entries: 1, bytes: 0 }));
  const seen: boolean[] = [];
  for (const isUnsettled of [false, true]) {
    const more = { entries: 1, bytes: 0 };
    assert(occupancy.take(more, limits, undefined));
    const pause = occupancy.quiet();
    if (isUnsettled) occupancy.unsettle();
    occupancy.done(more);
    await pause;
    seen.push(occupancy.isKnown);
  }
  assertEquals(seen, [true, false]);
  await occupancy.close();
});

/** An engine that others can use, whose batches take a while; and what they came to. */
function slowEngine() {
  const seen = { most: 0, batches: 0 };
  class Slow extends Decorator {
    override get supports() {
      return { ...super.supports, shared: true };
    }
    override async setMany(pairs: [string, NewEntry][]) {
      seen.batches++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      await super.setMany(pairs);
      seen.most = Math.max(seen.most, await this.size());
    }
  }
  return { engine: (location: EngineLocation) => new Slow(complete(memory(location))), seen };
}

for (const maxEntries of [10, 500]) {
  Deno.test(`several that write all ${maxEntries} that there may be keep to the limits`, async () => {
    const { engine, seen } = slowEngine();
    const name = crypto.randomUUID();
    // Each policy has a count of its own, as another process has.
    await Promise.all((["lru", "lfu", "oldest"] as const).map(async (evict) => {
      await using stash = new HashStash({ name, engine, maxEntries, evict });
      for (let i = 0; i < 3; i++) {
        await stash.setMany(
          Array.from({ length: maxEntries }, (_, n) => [`${evict} ${i} ${n}`, n]),
        );
      }
    }));
    assertGreaterOrEqual(seen.most, 0.8 * maxEntries);
    assertLessOrEqual(seen.most, 1.01 * maxEntries + 16);
  });
}

Deno.test("who is alone writes half of what there may be at once", async () => {
  const { engine, seen } = slowEngine();
  const limits = { maxEntries: 800, maxBytes: 20_000 };
  await using stash = new HashStash({ name: crypto.randomUUID(), engine, ...limits });
  await stash.set("first", 0);
  await stash.setMany(Array.from({ length: 400 }, (_, i) => [i, i]));
  assertEquals(seen.batches, 1);
});

for (const engine of PERSISTENT) {
  Deno.test(`${engine}: a store that was cleared is empty for all, whatever they count`, async () => {
    await using bed = await TestBed.create(engine);
    const limits = { name: crypto.randomUUID(), maxEntries: 500 };
    await using other = bed.stash(limits);
    await using both = bed.stash({ ...limits, maxBytes: 1_000_000 });
    for (const stash of [other, both]) await stash.setMany([["a", 1], ["b", 2]]);
    await both.clear();
    await using late = bed.stash({ ...limits, maxBytes: 1_000_000, evict: "oldest" });
    for (const stash of [both, late, other]) assertEquals((await stash.usage()).entries, 0);
    assertEquals([(await both.usage()).bytes, (await late.usage()).bytes], [0, 0]);
  });
}

Deno.test("with maxBytes, too, what is damaged can be replaced and removed", async (t) => {
  const actions: Record<string, (stash: HashStash) => Promise<unknown>> = {
    set: (stash) => stash.set("a", 1),
    setMany: (stash) => stash.setMany([["a", 1], ["b", 2]]),
    delete: (stash) => stash.delete("a"),
    deleteMany: (stash) => stash.deleteMany(["a", "b"]),
  };
  const after: Record<string, unknown[]> = {
    set: [1, 2],
    setMany: [1, 2],
    delete: [undefined, 2],
    deleteMany: [undefined, undefined],
  };
  for (const [name, act] of Object.entries(actions)) {
    await t.step(name, async () => {
      const rootDir = await Deno.makeTempDir();
      try {
        const options = { engine: "pairtree", name: "damaged", rootDir } as const;
        await using stash = new HashStash(options);
        await stash.set("a", "x".repeat(50));
        const before = await filesIn(rootDir);
        for (const path of before) await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
        await stash.set("b", 2);
        await assertRejects(() => stash.get("a"), DecodeError);
        await using limited = new HashStash({ ...options, maxBytes: 1_000 });
        await act(limited);
        assertEquals(await stash.getMany(["a", "b"]), after[name]);
        // And once it is known how much there is.
        await act(limited);
        await limited.set("c", 3);
        assertEquals(await limited.get("c"), 3);
      } finally {
        await Deno.remove(rootDir, { recursive: true });
      }
    });
  }
});

/** The paths of all files in a directory, however deep. */
async function filesIn(directory: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isFile } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    paths.push(...isFile ? [path] : await filesIn(path));
  }
  return paths;
}

function fail(message: string): never {
  throw new Error(message);
}

Deno.test("a handle whose close fails leaves nothing open", async () => {
  let open = 0;
  class Failing extends Decorator {
    override async open() {
      await super.open();
      open++;
    }
    override async close() {
      open--;
      await super.close();
    }
    override async *keys() {
      try {
        yield* this.inner.keys();
      } finally {
        fail("no end");
      }
    }
  }
  const stash = new HashStash({
    name: crypto.randomUUID(),
    engine: (location: EngineLocation) => new Failing(complete(memory(location))),
    maxEntries: 200,
  });
  const plain = new HashStash({ name: stash.name, engine: "memory" });
  await fill(plain, 0, 1_000);
  await stash.set("k", 1);
  await assertRejects(() => stash.close(), Error, "no end");
  assertEquals(open, 0);
  await plain.close();
});

Deno.test("limits are checked at once, and say what they take", () => {
  const made = (options: object) => () => new HashStash(options as HashStashOptions);
  for (const name of ["maxEntries", "maxBytes"]) {
    for (const bad of [0, -1, 1.5, NaN, -Infinity, 2 ** 60]) {
      const says = `Expected ${name} to be a whole number from 1 on, or Infinity for no limit`;
      assertThrows(made({ [name]: bad }), RangeError, says);
    }
    for (const bad of ["1", null, true, 1n]) {
      assertThrows(made({ [name]: bad }), TypeError, `Expected ${name} to be a number`);
    }
  }
  const says = "Expected evict to be one of: lru, lfu, oldest, got";
  for (const bad of ["least-recently-used", "", null, 1]) {
    assertThrows(made({ maxEntries: 1, evict: bad }), TypeError, says);
  }
});

Deno.test("limits go with the options of a stash", () => {
  const options = { name: "options", maxEntries: 5, maxBytes: 500, evict: "lfu" } as const;
  const json = new HashStash(options).toJSON();
  assertEquals([json.maxEntries, json.maxBytes, json.evict], [5, 500, "lfu"]);
  assert(JSON.stringify(HashStash.fromJSON(json)) === JSON.stringify(json));
});
