/** `usage()`: what a store holds, without a look at it where it has limits. */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import { complete, Decorator, type EngineLocation, type NewEntry } from "../../engines/mod.ts";
import { loadEngine } from "../../engines/registry.ts";
import { HashStash, type HashStashOptions, type Usage } from "../../mod.ts";
import { type EngineName, ENGINES, PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";
import { RandomValues, testSeed } from "../support/random.ts";

/** Engines that take 100,000 entries within a few seconds. */
const LARGE: EngineName[] = ["memory", "sqlite", "lmdb", "redis", "postgres"];

/** A stash on the same store as another one, with other options. */
function same(bed: TestBed, stash: HashStash, options: HashStashOptions): HashStash {
  return bed.stash({ name: stash.name, ...options });
}

/** What is found when every entry is looked at. */
async function counted(stash: HashStash): Promise<Usage> {
  const own = (await stash.stores()).find(({ dbname }) => dbname === stash.dbname);
  const { entries, bytes } = own!;
  assertEquals(await stash.size(), entries);
  return { entries, bytes, exact: true };
}

/** Sets, replaces and removes keys of a store in all the ways that there are. */
async function changeAtRandom(stash: HashStash, times: number): Promise<void> {
  const random = new RandomValues(testSeed());
  const any = () => `k${random.below(60)}`;
  // No text: diskcache keeps these in a form of its own.
  const value = () => ["x".repeat(random.below(100))];
  const some = () => Array.from({ length: 1 + random.below(5) }, any);
  const actions = [
    () => stash.set(any(), value()),
    () => stash.set(any(), value()),
    () => stash.setMany(some().map((key) => [key, value()])),
    () => stash.setDefault(any(), value()),
    () => stash.modify(any(), () => random.below(3) === 0 ? undefined : value()),
    () => stash.getOrSet(any(), value),
    () => stash.delete(any()),
    () => stash.deleteMany(some()),
    () => stash.pop(any()),
    () => stash.set(any(), value(), { tags: [`t${random.below(9)}`] }),
    () => stash.invalidate({ tags: [`t${random.below(9)}`] }),
  ];
  for (let i = 0; i < times; i++) await actions[random.below(actions.length)]();
}

testOnEngines("usage", {
  async "is counted where there are no limits"(stash) {
    assertEquals(await stash.usage(), { entries: 0, bytes: 0, exact: true });
    await stash.setMany([["a", 1], ["ä", "two"]]);
    await using sub = stash.sub("inside");
    await sub.set("c", 3);
    assertEquals(await stash.usage(), await counted(stash));
    assertEquals((await stash.usage()).entries, 2);
    assertEquals((await sub.usage()).entries, 1);
  },

  async "is what a count finds, whatever one process does"(stash, bed) {
    for (const limits of [{ maxBytes: 3_000 }, { maxBytes: 3_000, maxEntries: 30 }]) {
      await using limited = same(bed, stash, limits);
      assertEquals(await limited.usage(), { entries: 0, bytes: 0, exact: true });
      const judge = async () => {
        // Of texts diskcache stores other bytes than it is handed.
        const exact = bed.engine !== "diskcache";
        assertEquals(await limited.usage(), { ...await counted(stash), exact });
      };
      for (let round = 0; round < 4; round++) {
        await changeAtRandom(limited, 40);
        await judge();
      }
      await Promise.all(Array.from({ length: 20 }, (_, i) => limited.set(`p${i}`, [i])));
      await Promise.all(Array.from({ length: 20 }, (_, i) => limited.delete(`p${2 * i}`)));
      await judge();
      await limited.clear();
      assertEquals(await limited.usage(), { entries: 0, bytes: 0, exact: true });
      await limited.set("k", 1);
      await judge();
      await limited.clear();
    }
  },

  async "has no bytes where nobody counts them"(stash, bed) {
    await using limited = same(bed, stash, { maxEntries: 20 });
    await changeAtRandom(limited, 100);
    assertEquals(await limited.usage(), { entries: await stash.size(), exact: true });
  },
});

for (const engine of PERSISTENT) {
  Deno.test(`${engine}: usage of a store that 3 processes fill, one of which is killed`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options({ name: "together", maxEntries: 60 });
    await using observer = bed.stash({ name: "together" });
    await using limited = bed.stash({ ...options });
    const start = (index: number, times: number) =>
      new WorkerProcess("./limits_worker.ts", { options, index, times });
    // While all work, an estimate.
    {
      await using first = start(0, 60);
      await using second = start(1, 60);
      const workers = [first, second];
      for (const worker of workers) assertEquals(await worker.line(), "ready");
      for (const worker of workers) await worker.endInput();
      await Promise.all(workers.map((worker) => worker.line()));
    }
    // They have told all when they were closed, and what they did at the same time they guessed.
    const estimate = await limited.usage();
    const size = await observer.size();
    assertEquals(estimate.exact, false);
    assertLessOrEqual(Math.abs(estimate.entries - size), 16);
    await limited.set("0 0", 0);
    assertEquals(await limited.usage(), { entries: await observer.size(), exact: true });

    await using killed = start(2, 100_000);
    assertEquals(await killed.line(), "ready");
    await killed.endInput();
    const isThere = async () => (await observer.keys({ prefix: "2 " }).next()).done === false;
    while (!await isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
    killed.kill();
    await killed.status;
    const after = await limited.usage();
    assertEquals(after.exact, false);
    assertLessOrEqual(Math.abs(after.entries - await observer.size()), 2 * 16);
    // Once nothing has been heard of it for a minute, a count is right: the next one that is due.
    for (const seconds of [61, 66]) await later(seconds, () => limited.set("0 0", 0));
    assertEquals(await limited.usage(), { entries: await observer.size(), exact: true });
  });
}

/** Does something some seconds later, by this process's clock. */
async function later(seconds: number, work: () => Promise<void>): Promise<void> {
  const now = Date.now;
  Date.now = () => now() + 1_000 * seconds;
  try {
    await work();
  } finally {
    Date.now = now;
  }
}

/** Counts what is asked of a store, and what it is given one by one. */
class Asked extends Decorator {
  static count = 0;

  override get(...args: Parameters<Decorator["get"]>) {
    Asked.count++;
    return super.get(...args);
  }
  override getValue(...args: Parameters<Decorator["getValue"]>) {
    Asked.count++;
    return super.getValue(...args);
  }
  override getMany(keys: string[]) {
    Asked.count += keys.length;
    return super.getMany(keys);
  }
  override getValues(keys: string[]) {
    Asked.count += keys.length;
    return super.getValues(keys);
  }
  override has(key: string) {
    Asked.count++;
    return super.has(key);
  }
  override set(...args: Parameters<Decorator["set"]>) {
    Asked.count++;
    return super.set(...args);
  }
  override compareAndSet(...args: Parameters<Decorator["compareAndSet"]>) {
    Asked.count++;
    return super.compareAndSet(...args);
  }
  override async size() {
    const size = await super.size();
    Asked.count += size;
    return size;
  }
  override async *keys(prefix?: string) {
    for await (const key of super.keys(prefix)) {
      Asked.count++;
      yield key;
    }
  }
  override async *entries(prefix?: string) {
    for await (const entry of super.entries(prefix)) {
      Asked.count++;
      yield entry;
    }
  }
  override async *stores(isCounted: boolean) {
    for await (const store of super.stores(isCounted)) {
      Asked.count += store.usage?.entries ?? 1;
      yield store;
    }
  }
}

for (const engine of ENGINES) {
  const [few, many] = LARGE.includes(engine) ? [1_000, 100_000] : [100, 1_000];
  Deno.test(`${engine}: usage costs as much with ${many} entries as with ${few}`, async () => {
    await using bed = await TestBed.create(engine);
    const { rootDir, options } = bed.place;
    const make = await loadEngine(engine);
    const asked = (location: EngineLocation) =>
      new Asked(complete(make({ rootDir, ...location }, options)));
    const cost = async (limits: HashStashOptions, entries: number) => {
      const name = `usage ${entries} ${JSON.stringify(limits)}`;
      await using stash = new HashStash({ name, rootDir, engine: asked, ...limits });
      for (let i = 0; i < entries; i += 10_000) {
        const length = Math.min(10_000, entries - i);
        await stash.setMany(Array.from({ length }, (_, j) => [`k${i + j}`, 1]));
      }
      Asked.count = 0;
      assertEquals((await stash.usage()).entries, entries);
      return Asked.count;
    };
    // What all processes know in common, where there can be several, and whether tags are pending.
    const limits = { maxEntries: 1_000_000, maxBytes: 100_000_000 };
    for (const entries of [few, many]) assertLessOrEqual(await cost(limits, entries), 3);
    assertLessOrEqual(few, await cost({}, few));
  });
}

testOnMemory(
  "usage is an estimate where deadlines come, and two handles at one key",
  async (stash) => {
    await using limited = new HashStash({ engine: "memory", name: stash.name, maxEntries: 9 });
    await limited.set("a", 1);
    assertEquals(await limited.usage(), { entries: 1, exact: true });
    await limited.set("b", 1, { ttl: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals((await limited.usage()).exact, false);
    await limited.clear();
    await limited.set("a", 1);
    assertEquals(await limited.usage(), { entries: 1, exact: true });
    // Somebody without limits writes: once a count has found that out, nothing is certain again.
    await stash.set("c", 1);
    await later(61, () => limited.set("a", 1));
    assertEquals(await limited.usage(), { entries: 2, exact: false });
  },
);

Deno.test("two handles that change one key at the same time make usage an estimate until a count", async () => {
  await using bed = await TestBed.create("shelve");
  const options = bed.options({ name: "two", maxEntries: 9 });
  await using first = bed.stash({ ...options });
  await using second = bed.stash({ ...options });
  await first.set("a", 1);
  await second.set("b", 1);
  assertEquals(await first.usage(), { entries: 2, exact: true });
  await Promise.all([first.set("c", 1), second.set("c", 2)]);
  assertEquals((await first.usage()).exact, false);
  await later(61, () => first.set("a", 1));
  assertEquals(await first.usage(), { entries: 3, exact: true });
});

Deno.test("usage of a store that expires elsewhere is never taken for certain", async () => {
  await using bed = await TestBed.create("sqlite");
  const options = bed.options({ name: "elsewhere", maxEntries: 9 });
  await using limited = bed.stash({ ...options });
  {
    await using before = bed.stash({ ...options });
    await before.set("a", 1, { ttl: 60_000 });
  }
  await limited.set("b", 1);
  assertEquals(await limited.usage(), { entries: 2, exact: false });
});

testOnMemory(
  "usage of a decorator that stores more is an estimate once that has shown",
  async (stash) => {
    class Longer extends Decorator {
      override set(key: string, entry: NewEntry) {
        return this.inner.set(key, { ...entry, value: new Uint8Array(entry.value.length + 9) });
      }
    }
    const engine = (location: EngineLocation) => new Longer(complete(memory(location)));
    await using limited = new HashStash({ engine, name: stash.name, maxBytes: 1_000 });
    await limited.set("a", 1);
    await later(61, () => limited.set("b", 1));
    assertEquals((await limited.usage()).exact, false);
  },
);
