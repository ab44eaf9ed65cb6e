/** What would wait for itself is refused, and nothing else is. */
import { assertEquals, assertRejects } from "@std/assert";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

testOnEngines("what waits for what", {
  async "in append mode a slow modify and a set of its key both end"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = stash.modify("k", async (current) => {
      begun.resolve();
      await gate.promise;
      return [current, "modified"];
    });
    await begun.promise;
    // It waits for no function of others.
    await stash.set("k", "set meanwhile");
    gate.resolve();
    assertEquals(await slow, ["set meanwhile", "modified"]);
    assertEquals(await stash.getAll("k"), ["set meanwhile", ["set meanwhile", "modified"]]);
  },

  async "two modifies that need each other's key: one is refused"(stash) {
    const both = Promise.withResolvers<void>();
    let begun = 0;
    const nested = (outer: string, inner: string) =>
      stash.modify(outer, async () => {
        if (++begun === 2) both.resolve();
        await both.promise;
        return await stash.modify(inner, () => outer);
      });
    const ends = await Promise.allSettled([nested("a", "b"), nested("b", "a")]);
    assertEquals(ends.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    // Who was refused stands in nobody's way.
    await Promise.all([stash.modify("a", () => 1), stash.modify("b", () => 2)]);
    assertEquals(await stash.getMany(["a", "b"]), [1, 2]);
  },

  async "a modify and a result that need each other: one is refused"(stash) {
    const both = Promise.withResolvers<void>();
    let begun = 0;
    const met = async () => {
      if (++begun === 2) both.resolve();
      await both.promise;
    };
    const ends = await Promise.allSettled([
      stash.modify("a", async () => (await met(), await stash.getOrSet("x", () => 5))),
      stash.getOrSet("x", async () => (await met(), await stash.modify("a", () => 2), 1)),
    ]);
    assertEquals(ends.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  },

  async "the function of a modify may close another handle on the store, not its own"(stash, bed) {
    await stash.set("other", 1);
    const next = await stash.modify("k", async () => {
      await using second = bed.stash({ name: stash.name });
      return await second.get("other");
    });
    assertEquals(next, 1);
    await assertRejects(() => stash.modify("k", () => stash.close() as never), TypeError, "close");
  },

  async "the function of a modify can't load its own key"(stash) {
    await stash.set("k", 1);
    const records = await Array.fromAsync(stash.dump());
    await assertRejects(
      () => stash.modify("k", async () => (await stash.load(records), 2)),
      TypeError,
      "wait for itself",
    );
  },

  async "the function of a modify can touch other keys, and not its own"(stash) {
    await stash.setMany({ k: 1, other: 1 });
    let runs = 0;
    const touching = (key: string) =>
      stash.modify("k", async () => {
        if (++runs > 3) throw new RangeError("it runs again and again");
        await stash.touch(key, { ttl: 60_000 });
        return 2;
      });
    await assertRejects(() => touching("k"), TypeError, "wait for itself");
    assertEquals([runs, await stash.get("k")], [1, 1]);
    assertEquals(await touching("other"), 2);
  },
});

/** A serializer that takes its time and then fails. */
const failing = {
  name: "failing",
  async serialize(): Promise<Uint8Array> {
    await sleep(1);
    throw new RangeError("not this one");
  },
  deserialize: () => Promise.resolve(undefined),
};

testOnMemory("a setDefault that can't be encoded is told to its caller alone", async (stash) => {
  const ahead = stash.setMany((async function* () {
    await sleep(5);
    yield ["other", 1] as const;
  })());
  const failed = [stash.setDefault("k", 1), stash.setDefault("k", 2)];
  for (const one of failed) await assertRejects(() => one, RangeError, "not this one");
  await assertRejects(() => ahead, RangeError);
  await stash.close();
  await assertRejects(() => stash.setDefault("k", 1), Error, "is closed");
  // What nobody handles would end the test by now.
  await sleep(20);
}, { serializer: failing });
