/**
 * What a caller's function does to the operation that it is part of is refused, where it would wait
 * for itself.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { HashStash } from "../../mod.ts";

const options = { sanitizeOps: true, sanitizeResources: true };

Deno.test(
  "modify, set and close inside a modify of the same key are refused",
  options,
  async () => {
    const stash = new HashStash<string, number>({ engine: "memory", name: "reentry modify" });
    const inside = [
      () => stash.modify("k", () => 1),
      async () => (await stash.set("k", 5), 1),
      async () => (await stash.close(), 1),
    ];
    for (const fn of inside) await assertRejects(() => stash.modify("k", fn), TypeError, "itself");
    assertEquals(await stash.has("k"), false);
    const other = async () => {
      await stash.set("other", 1);
      return await stash.modify("another", (n) => (n ?? 0) + 1);
    };
    assertEquals(await stash.modify("k", other), 1);
    await stash.close();
  },
);

Deno.test("a computation that waits for its own result is refused", options, async () => {
  await using stash = new HashStash<string, number>({ engine: "memory", name: "reentry flight" });
  await assertRejects(
    () => stash.getOrSet("k", () => stash.getOrSet("k", () => 1)),
    TypeError,
    "itself",
  );
  const count = stash.stashedResult(async (n: number): Promise<number> => {
    if (n === -1) return await count(-1);
    return n === 0 ? 0 : 1 + await count(n - 1);
  }, { name: "count" });
  assertEquals(await count(3), 3);
  await assertRejects(() => count(-1), TypeError, "itself");
  const after = await stash.getOrSet("k", () => 2);
  assertEquals(after, 2);
});

Deno.test("prune leaves no versions of a key that has expired", async () => {
  await using stash = new HashStash<string, number>({
    engine: "memory",
    name: "expired versions",
    appendMode: true,
  });
  await stash.set("k", 1);
  await stash.set("k", 2, { ttl: 0 });
  await stash.prune();
  assertEquals(await stash.getAll("k"), []);
  assertEquals((await stash.check()).problems, []);
});
