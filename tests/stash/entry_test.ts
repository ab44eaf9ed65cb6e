/** `entry` and `touch`: what is known of an entry, and a deadline that is moved. */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { testOnEngines } from "../support/on_engines.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

testOnEngines("entry and touch", {
  async "an entry has its value, times and version"(stash, bed) {
    const before = Date.now();
    assertEquals(await stash.entry("k"), undefined);
    await stash.set("k", undefined);
    const plain = await stash.entry("k");
    assert(plain !== undefined && "value" in plain);
    assertEquals([plain.value, plain.stale, plain.tags, plain.version], [undefined, false, [], 1]);
    assertEquals(["expiresAt" in plain, "freshUntil" in plain], [false, false]);
    if (plain.timestamp !== undefined) assertGreater(plain.timestamp, before - 2_000);
    await stash.set("k", { a: 1 }, { expiresAt: before + 60_000 });
    const timed = await stash.entry("k");
    assertEquals([timed?.expiresAt, timed?.freshUntil], [before + 60_000, before + 60_000]);
    await using appending = bed.stash({ appendMode: true });
    for (const value of [1, 2, 3]) await appending.set("k", value);
    const latest = await appending.entry("k");
    assertEquals([latest?.value, latest?.version], [3, 3]);
  },

  async "141: a stale result is there, and says that it is stale"(stash) {
    const f = stash.stashedResult((x: number) => x + 1, {
      name: "f",
      ttl: 1,
      staleIfError: 60_000,
    });
    await f(1);
    await sleep(5);
    const entry = await f.stash.entry([1]);
    assertEquals([entry?.value, entry?.stale], [2, true]);
    assertEquals(entry!.expiresAt! - entry!.freshUntil!, 60_000);
    assertEquals(await f.stash.touch([1], { ttl: 30_000 }), true);
    const fresh = await f.stash.entry([1]);
    assertEquals([fresh?.value, fresh?.stale], [2, false]);
    assertEquals(fresh!.expiresAt! - fresh!.freshUntil!, 60_000);
  },

  async "modify keeps with the deadline what part of it is stale"(stash) {
    await stash.getOrSet("k", () => 1, { ttl: 30_000, staleIfError: 60_000, tags: ["t"] });
    const before = await stash.entry("k");
    await stash.modify("k", (value) => Number(value) + 1);
    const after = await stash.entry("k");
    assertEquals([after?.value, after?.tags], [2, ["t"]]);
    assertEquals(after!.expiresAt! - after!.freshUntil!, 60_000);
    assertEquals(after?.freshUntil, before?.freshUntil);
    // A deadline of its own is one until which it is fresh.
    await stash.modify("k", (value) => Number(value) + 1, { ttl: 30_000 });
    const own = await stash.entry("k");
    assertEquals([own?.value, own?.freshUntil], [3, own?.expiresAt]);
  },

  async "a result that dump and load have moved is stale when it was"(stash, bed) {
    await stash.getOrSet("k", () => 1, { ttl: 20, staleIfError: 60_000 });
    const before = await stash.entry("k");
    for (const appendMode of [false, true]) {
      await using other = bed.stash({ appendMode });
      for (const [i, from] of [stash, other].entries()) {
        assertEquals(await other.load(from.dump()), 1);
        const entry = await other.entry("k");
        assertEquals(
          [entry?.value, entry?.expiresAt, entry?.freshUntil, entry?.version],
          [1, before?.expiresAt, before?.freshUntil, 1],
          `append mode ${appendMode}, load ${i}`,
        );
      }
    }
    await sleep(25);
    assertEquals((await stash.entry("k"))?.stale, true);
  },

  async "touch moves the deadline and nothing else"(stash, bed) {
    assertEquals(await stash.touch("absent"), false);
    await stash.set("k", { a: [1] }, { ttl: 1_000 });
    const until = Date.now() + 90_000;
    assertEquals(await stash.touch("k", { expiresAt: until }), true);
    assertEquals([await stash.expiresAt("k"), await stash.get("k")], [until, { a: [1] }]);
    assertEquals(await stash.touch("k"), true, "by the stash's ttl, which is forever");
    assertEquals(await stash.expiresAt("k"), Infinity);
    assertEquals(await stash.touch("k", { expiresAt: Date.now() - 1 }), true);
    assertEquals(await stash.has("k"), false);
    await using appending = bed.stash({ appendMode: true });
    await appending.set("k", 1);
    await appending.set("k", 2);
    assertEquals(await appending.touch("k", { ttl: 60_000 }), true);
    assertEquals(await appending.getAll("k"), [1, 2], "it makes no version");
    await assertRejects(() => stash.touch("k", { ttl: -1 }), RangeError, "ttl");
    await assertRejects(() => stash.touch(Symbol() as never), TypeError);
  },

  async "a run is not made stale by touch"(stash) {
    const gate = Promise.withResolvers<void>();
    await stash.set("k", "old", { ttl: 60_000 });
    const run = stash.getOrSet("k", async () => (await gate.promise, "new"), { force: true });
    await sleep(20);
    await stash.touch("k", { ttl: 90_000 });
    gate.resolve();
    assertEquals(await run, "new");
    assertEquals(await stash.get("k"), "new");
  },
});
