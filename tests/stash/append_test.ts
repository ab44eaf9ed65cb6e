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

  async "check reads the earlier versions, and removes of them only what is damaged"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    for (const value of ["first", "second", "third"]) await stash.set("k", value);
    const side = await bed.open({}, { name: stash.name, dbname: "main/.versions" });
    const texts: string[] = [];
    for await (const text of side.keys("")) texts.push(text);
    const second = texts.find((text) => text.includes("/2/"));
    assert(second !== undefined, texts.join());
    // Whole as a record, but no value can be made of it.
    const value = new TextEncoder().encode('\0HSE{"version":2}\n{"a":');
    await side.set(second, { value, timestamp: Date.now() });
    const foreign = new TextEncoder().encode("hello");
    await side.set("of another program", { value: foreign, timestamp: Date.now() });
    for (const fix of [false, true]) {
      const { problems, ok } = await stash.check({ fix });
      const found = problems.map(({ kind, key, detail, fixed }) => [kind, key, detail, fixed]);
      const [damaged, other] = found.sort((a, b) => `${a[0]}`.localeCompare(`${b[0]}`));
      assertEquals([damaged[0], damaged[1], damaged[3]], ["damaged", "k", fix]);
      assert(`${damaged[2]}`.startsWith("Version 2: "), `${damaged[2]}`);
      assertEquals([other[0], other[1], found.length], ["foreign", "of another program", 2]);
      assertEquals(ok, fix);
    }
    assertEquals(await stash.getAll("k"), ["first", "third"]);
    assertEquals(await side.has("of another program"), true);
  },

  async "versions whose key has ended are no damage, and go at prune and fix"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.versions" });
    const end = async (...steps: (() => unknown)[]) => {
      for (const step of steps) await step();
      while (await stash.has("k")) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const short = { ttl: 40 };
    const ways = [
      // Deadlines of their own: none, a later one, one that came before; moved by touch.
      [() => stash.set("k", 1), () => stash.set("k", 2, short)],
      [() => stash.set("k", 1, { ttl: 60_000 }), () => stash.set("k", 2, short)],
      [() => stash.set("k", 1), () => stash.set("k", 2, short), () => stash.set("k", 3, short)],
      [() => stash.set("k", 1), () => stash.set("k", 2), () => stash.touch("k", short)],
    ];
    for (const steps of ways) {
      await end(...steps);
      const { ok, problems } = await stash.check();
      assertEquals([ok, problems], [true, []]);
      await stash.set("k", "a new life");
      await stash.set("k", "goes on");
      assertEquals((await stash.check()).problems, []);
      for (const tidy of [() => stash.prune(), () => stash.check({ fix: true })]) {
        await tidy();
        assertEquals(await stash.getAll("k"), ["a new life", "goes on"]);
        assertEquals(await side.size(), 1);
      }
      await stash.delete("k");
      await end(...steps);
      assertEquals((await stash.check({ fix: true })).problems, []);
      assertEquals(await side.size(), 0);
    }
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
    const side = await bed.open({}, { name: first.name, dbname: "main/.versions" });
    const left = await side.size();
    await first.prune();
    assertEquals(await side.size(), left, "there was nothing to drop");
  },
});
