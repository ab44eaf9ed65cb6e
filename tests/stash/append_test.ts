/** Append mode where entries are damaged, or removed while versions are added. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DecodeError, encodeKey, HashStash, type StoredRecord } from "../../mod.ts";
import type { TestBed } from "../support/bed.ts";
import { GatedEngine } from "../support/gated_engine.ts";
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

  async "a stash that is loaded with its own dump stays as it is"(plain, bed) {
    await using stash = bed.stash({ appendMode: true });
    for (let i = 0; i < 300; i++) await stash.set("long", i);
    for (let i = 0; i < 120; i++) {
      await stash.set(`k${i}`, i);
      await stash.set(`k${i}`, -i, { ttl: 3_600_000 });
    }
    await plain.setMany(Array.from({ length: 600 }, (_, i) => [`k${i}`, i]));
    const dumped = async (from: HashStash) => {
      const records = await Array.fromAsync(from.dump());
      // Without append mode not every engine keeps the time of each entry.
      if (from === plain) { for (const record of records) delete record.timestamp; }
      return records.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.version - b.version);
    };
    for (const each of [stash, plain]) {
      const before = await dumped(each);
      assert(await each.load(each.dump()) >= before.length);
      assertEquals(await dumped(each), before);
      assertEquals(await each.load(before), before.length);
      assertEquals(await dumped(each), before);
    }
  },

  async "load puts a history in the place of the one that was there"(_, bed) {
    await using from = bed.stash({ appendMode: true });
    await using to = bed.stash({ appendMode: true });
    for (const value of [1, 2, 3]) await from.set("k", value);
    const [one, two, three] = await Array.fromAsync(from.dump());
    const other = { ...two, value: await from.encodeValue("other") };
    const histories: [StoredRecord[], unknown[]][] = [
      [[one, two, three], [1, 2, 3]],
      [[one, two], [1, 2]],
      [[one, two, three], [1, 2, 3]],
      [[one, other, three], [1, "other", 3]],
      [[three], [3]],
      [[other, one], ["other", 1]],
    ];
    for (const [records, values] of histories) {
      for (const given of [records, Iterator.from(records)]) {
        assertEquals(await to.load(given), records.length);
        assertEquals(await to.getAll("k"), values);
      }
    }
    await damage(to, bed, "k");
    assertEquals(await to.load([one, two]), 2);
    assertEquals(await to.getAll("k"), [1, 2]);
    // A source that fails leaves what was there.
    const failing = function* () {
      yield three;
      throw new RangeError("no more");
    };
    await assertRejects(() => to.load(failing()), RangeError, "no more");
    assertEquals(await to.getAll("k"), [1, 2]);
    assertEquals((await to.check()).problems, []);
  },

  async "a load of what has ended leaves nothing"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.versions" });
    const value = await stash.encodeValue(0);
    const ended = { key: "k", value, version: 2, expiresAt: Date.now() - 1 };
    for (let i = 0; i < 3; i++) {
      await stash.set("k", 1);
      assertEquals(await stash.load([{ key: "k", value, version: 1 }, ended]), 2);
      assertEquals([await stash.getAll("k"), await stash.has("k")], [[], false]);
    }
    await stash.prune();
    assertEquals(await side.size(), 0);
  },

  async "what one who was killed has left of a load goes at prune, an hour later"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.versions" });
    await stash.set("k", 1);
    const before = (minutes: number) => Date.now() - 60_000 * minutes;
    const entry = { value: await stash.encodeValue(0), timestamp: Date.now() };
    for (const time of [before(59), before(61)]) {
      await side.set(`z01234567${time.toString(36)}/1/k`, entry);
    }
    await stash.prune();
    assertEquals(await side.size(), 1);
    assertEquals((await stash.check()).problems, []);
    assertEquals(await stash.getAll("k"), [1]);
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

Deno.test("append mode: a load that is stopped at any step leaves one history or the other", async () => {
  const engine = new GatedEngine();
  const open = () => new HashStash({ engine, name: "stopped", appendMode: true });
  await using stash = open();
  await using other = open();
  const value = async (value: string) => await stash.encodeValue(value);
  const seen = new Set<string>();
  for (let steps = 1, isStopped = true; isStopped; steps++) {
    await stash.delete("k");
    for (const value of ["a", "b", "c"]) await stash.set("k", value);
    let step = 0;
    const gate = engine.gate(({ operation }) => /set|delete/i.test(operation) && ++step === steps);
    const loading = stash.load([
      { key: "k", value: await value("x"), version: 1 },
      { key: "k", value: await value("y"), version: 2 },
    ]);
    isStopped = await Promise.race([gate.reached.then(() => true), loading.then(() => false)]);
    const there = [await other.get("k"), ...await other.getAll("k")].join();
    // What is being loaded belongs to no key yet.
    if (isStopped) await other.prune();
    gate.open();
    await loading;
    seen.add(there);
    assertEquals(await other.getAll("k"), ["x", "y"]);
  }
  assertEquals([...seen], ["c,a,b,c", "y,x,y"]);
});
