/** Append mode where entries are damaged, or removed while versions are added. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DecodeError, encodeKey, type HashStash } from "../../mod.ts";
import type { TestBed } from "../support/bed.ts";
import { testOnEngines } from "../support/on_engines.ts";

/** An entry whose header says nothing that one can say. */
async function damage(stash: HashStash, bed: TestBed, key: unknown): Promise<void> {
  const value = new TextEncoder().encode('\0HSE{"version":"x"}\n"v"');
  const engine = await bed.open({}, { name: stash.name });
  await engine.set(encodeKey(key), { value, timestamp: Date.now() });
}

testOnEngines("append mode", {
  async "a damaged header is named, and can be removed"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    await stash.set("good", 1);
    await damage(stash, bed, "k");
    for (const read of [() => stash.get("k"), () => stash.getAll("k"), () => stash.toMap()]) {
      const error = await assertRejects(read, DecodeError);
      assertEquals([error.key, error.engine], ["k", stash.engine]);
    }
    const { problems, ok } = await stash.check({ fix: true });
    assertEquals(problems.map(({ kind, key, fixed }) => [kind, key, fixed]), [
      ["damaged", "k", true],
    ]);
    assert(ok);
    await damage(stash, bed, "k");
    assertEquals([await stash.delete("k"), await stash.delete("k")], [true, false]);
    await damage(stash, bed, "k");
    assertEquals(await stash.deleteMany(["k", "good"]), 2);
  },

  async "keys that are removed while versions are added leave nothing behind"(_, bed) {
    await using first = bed.stash({ appendMode: true });
    await using second = bed.stash({ appendMode: true, name: first.name });
    for (let i = 0; i < 20; i++) {
      await Promise.all([
        first.set("k", i),
        second.delete("k"),
        first.set("k", -i),
        second.set("k", "second"),
        second.delete("k"),
        first.set("k", 0),
      ]);
    }
    assertEquals((await first.check()).problems, []);
  },
});
