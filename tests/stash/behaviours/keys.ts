/** Section 2 of the acceptance cases: what keys are equal, and that every key is legal. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Behaviour } from "./mod.ts";

/** Keys that are all different from each other, and that some backend would stumble over. */
const STRANGE: readonly unknown[] = [
  "",
  "x".repeat(10_000),
  "y".repeat(600),
  "../../x",
  "a/b",
  "a\\b",
  "CON",
  "con",
  "nul.txt",
  ".key",
  "..",
  "__proto__",
  "constructor",
  "trailing ",
  "trailing\n",
  "with:colon",
  "glob*?[a]",
  "%2e",
  "\u0000",
  "a\u0000b",
  "\u0001",
  "\u0001[1]",
  "\ud800",
  "\udc00 x",
  "\ufffd",
  "日本語 🎉 é",
  "e\u0301",
  "\u00e9",
  "Key",
  "KEY",
  "key",
  '"quoted"',
  "x",
  1,
  "1",
  1.5,
  1n,
  -1,
  NaN,
  Infinity,
  true,
  "true",
  false,
  null,
  "null",
  undefined,
  "undefined",
  [],
  [1],
  [[1]],
  ["a", 1],
  ["a", undefined],
  {},
  { a: 1 },
  { a: undefined },
  { a: null },
  new Date(1),
  new Set([1]),
  new Map([[1, 2]]),
  new Map([["1", 2]]),
  new Uint8Array([1]),
  new Uint8Array([2]),
  new Uint16Array([1]),
  /x/g,
];

export const KEYS: readonly Behaviour[] = [
  ["24, 25, 29, 31-34: every key is legal and itself", async (bed) => {
    const options = bed.options();
    {
      await using stash = bed.stash(options);
      for (const [i, key] of STRANGE.entries()) await stash.set(key, i);
      assertEquals(await stash.size(), STRANGE.length);
      for (const [i, key] of STRANGE.entries()) {
        assertEquals(await stash.get(key), i, Deno.inspect(key, { strAbbreviateSize: 30 }));
        assert(await stash.has(key));
      }
    }
    await using again = bed.stash(options);
    assertEquals(await again.getMany([...STRANGE]), [...STRANGE.keys()]);
    const found = new Map(
      (await Array.fromAsync(again.entries())).map(([key, value]) => [value, key]),
    );
    assertEquals(found.size, STRANGE.length);
    for (const [i, key] of STRANGE.entries()) assertEquals(found.get(i), key);
    for (const key of STRANGE) assert(await again.delete(key));
    assertEquals(await again.size(), 0);
  }],
  ["26, 27, 28: equality is by meaning", async (bed) => {
    await using stash = bed.stash();
    const equal: [unknown, unknown][] = [
      [{ b: 2, a: { d: 1, c: 2 } }, { a: { c: 2, d: 1 }, b: 2 }],
      [new Set(["a", "b", [1, 2]]), new Set([[1, 2], "b", "a"])],
      [
        new Map<unknown, unknown>([["a", 1], [2, "b"]]),
        new Map<unknown, unknown>([[2, "b"], ["a", 1]]),
      ],
      [["a", 1], ["a", 1]],
      [-0, 0],
      [[NaN], [NaN]],
      [new Uint8Array([1, 2]), new Uint8Array([0, 1, 2]).subarray(1)],
    ];
    for (const [i, [one, other]] of equal.entries()) {
      await stash.set(one, i);
      assertEquals(await stash.get(other), i);
      await stash.set(other, i);
    }
    assertEquals(await stash.size(), equal.length);
  }],
  ["30: number-like property names are strings; Maps keep the types of their keys", async (bed) => {
    await using stash = bed.stash();
    await stash.set({ 1: "x" }, new Map<unknown, unknown>([[1, "n"], ["1", "s"]]));
    const map = await stash.get({ "1": "x" });
    assertEquals(map, new Map<unknown, unknown>([[1, "n"], ["1", "s"]]));
  }],
  ["33: nothing is written outside the root", async (bed) => {
    const before = (await Array.fromAsync(Deno.readDir(bed.root))).map(({ name }) => name);
    await using stash = bed.stash({ name: "../escape", dbname: "../x" });
    await stash.set("../../x", 1);
    await stash.set("/etc/hashstash", 2);
    assertEquals(await stash.getMany(["../../x", "/etc/hashstash"]), [1, 2]);
    const after = (await Array.fromAsync(Deno.readDir(bed.root))).map(({ name }) => name);
    assert(after.length <= before.length + 1, after.join());
    await stash.clear();
  }],
  ["35: bad keys are TypeErrors of every method", async (bed) => {
    await using stash = bed.stash();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    class Unknown {}
    for (
      const key of [
        () => 1,
        Symbol("s"),
        cycle,
        { a: Symbol.iterator },
        new Unknown(),
        new WeakMap(),
        Promise.resolve(),
      ]
    ) {
      await assertRejects(() => stash.get(key), TypeError);
      await assertRejects(() => stash.set(key, 1), TypeError);
      await assertRejects(() => stash.has(key), TypeError);
      await assertRejects(() => stash.delete(key), TypeError);
      await assertRejects(() => stash.pop(key), TypeError);
      await assertRejects(() => stash.setDefault(key, 1), TypeError);
      await assertRejects(() => stash.modify(key, () => 1), TypeError);
      await assertRejects(() => stash.getMany([key]), TypeError);
      await assertRejects(() => stash.setMany([[key, 1]]), TypeError);
      await assertRejects(() => stash.deleteMany([key]), TypeError);
      await assertRejects(() => stash.getAll(key), TypeError);
      await assertRejects(() => stash.getOrThrow(key), TypeError);
    }
    assertEquals(await stash.size(), 0);
  }],
];
