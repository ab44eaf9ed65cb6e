/** Section 1 of the acceptance cases: a stash is an async Map. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { HashStash, KeyNotFoundError } from "../../../mod.ts";
import { hasServer } from "../../support/bed.ts";
import type { Behaviour } from "./mod.ts";

export const MAPPING: readonly Behaviour[] = [
  ["1: sets and gets", async (bed) => {
    await using stash = bed.stash();
    await stash.set("test_key", "test_value");
    assertEquals(await stash.get("test_key"), "test_value");
  }],
  ["2: has", async (bed) => {
    await using stash = bed.stash();
    await stash.set("a", 1);
    assertEquals(await stash.has("a"), true);
    assertEquals(await stash.has("b"), false);
  }],
  ["3: gets the default, or undefined, when absent", async (bed) => {
    await using stash = bed.stash();
    assertEquals(await stash.get("non_existent_key", "default"), "default");
    assertEquals(await stash.get("non_existent_key"), undefined);
    assertEquals(await stash.get("non_existent_key", null), null);
  }],
  ["4: clears", async (bed) => {
    await using stash = bed.stash();
    await stash.setMany([["a", 1], ["b", 2]]);
    assertEquals(await stash.size(), 2);
    await stash.clear();
    assertEquals(await stash.size(), 0);
    assertEquals(await Array.fromAsync(stash.keys()), []);
    assertEquals(await stash.get("a"), undefined);
    await stash.set("a", 3);
    assertEquals(await stash.get("a"), 3);
  }],
  ["5: counts keys", async (bed) => {
    await using stash = bed.stash();
    await stash.set("a", 1);
    await stash.set("b", 2);
    assertEquals(await stash.size(), 2);
    await stash.set("a", 3);
    assertEquals(await stash.size(), 2);
  }],
  ["6: iterates keys, and itself as pairs", async (bed) => {
    await using stash = bed.stash();
    await stash.set("a", 1);
    await stash.set(["b", 2], { c: 3 });
    const keys = await Array.fromAsync(stash.keys());
    assertEquals(keys.length, 2);
    assertEquals(new Set(keys.map((key) => JSON.stringify(key))), new Set(['"a"', '["b",2]']));
    const pairs = await Array.fromAsync(stash);
    assertEquals(
      new Map(pairs.map(([key, value]) => [JSON.stringify(key), value])),
      new Map<string, unknown>([['"a"', 1], ['["b",2]', { c: 3 }]]),
    );
  }],
  ["7: iterates values and entries", async (bed) => {
    await using stash = bed.stash();
    await stash.update({ a: 1, b: 2 });
    assertEquals(new Set(await Array.fromAsync(stash.values())), new Set([1, 2]));
    assertEquals(new Map(await Array.fromAsync(stash.entries())), new Map([["a", 1], ["b", 2]]));
  }],
  ["8: deletes", async (bed) => {
    await using stash = bed.stash();
    await stash.update({ a: 1, b: 2 });
    assertEquals(await stash.delete("a"), true);
    assertEquals(await stash.has("a"), false);
    assertEquals(await stash.size(), 1);
  }],
  ["9: says that there was nothing to delete", async (bed) => {
    await using stash = bed.stash();
    assertEquals(await stash.delete("a"), false);
  }],
  ["10: sets a default once", async (bed) => {
    await using stash = bed.stash();
    assertEquals(await stash.setDefault("k", "d"), "d");
    assertEquals(await stash.setDefault("k", "other"), "d");
    assertEquals(await stash.get("k"), "d");
    assertEquals(await stash.setDefault("n"), null);
    assertEquals(await stash.has("n"), true);
    const agreed = await Promise.all(
      Array.from({ length: 10 }, (_, i) => stash.setDefault("together", i)),
    );
    assertEquals(new Set(agreed).size, 1);
    assertEquals(await stash.get("together"), agreed[0]);
  }],
  ["11: pops", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", [1]);
    assertEquals(await stash.pop("k"), [1]);
    assertEquals(await stash.has("k"), false);
    assertEquals(await stash.pop("k", "default"), "default");
    await stash.set("k", 2);
    const popped = await Promise.all(Array.from({ length: 8 }, () => stash.pop("k", "none")));
    assertEquals(popped.filter((value) => value === 2).length, 1);
  }],
  ["12: pops undefined, and getOrThrow throws", async (bed) => {
    await using stash = bed.stash();
    assertEquals(await stash.pop("k"), undefined);
    const error = await assertRejects(() => stash.getOrThrow("k"), KeyNotFoundError, '"k"');
    assertEquals(error.key, "k");
    await stash.set("k", undefined);
    assertEquals(await stash.getOrThrow("k"), undefined);
  }],
  ["13: pops items", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", { v: 1 });
    assertEquals(await stash.popItem(), ["k", { v: 1 }]);
    assertEquals(await stash.size(), 0);
    assertEquals(await stash.popItem(), undefined);
    await stash.update(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, i])));
    const items = await Promise.all(Array.from({ length: 10 }, () => stash.popItem()));
    assertEquals(new Set(items.map((item) => item?.[0])).size, 10);
    assertEquals(await stash.size(), 0);
  }],
  ["14: updates from objects, Maps, pairs, stashes", async (bed) => {
    await using stash = bed.stash();
    await stash.set("a", 1);
    await stash.update({ b: 2 });
    await stash.update(new Map([["c", 3]]));
    await stash.update([["d", 4]]);
    await stash.update((async function* () {
      yield ["e", 5] as const;
    })());
    await using other = bed.stash();
    await other.set([1], "from another");
    await stash.update(other);
    assertEquals(await stash.size(), 6);
    assertEquals(await stash.getMany(["a", "b", "c", "d", "e", [1]]), [
      1,
      2,
      3,
      4,
      5,
      "from another",
    ]);
    await assertRejects(() => stash.update(7 as never), TypeError, "number");
    await assertRejects(() => stash.update(["ab"] as never), TypeError, "pairs");
  }],
  ["15: copies to a Map", async (bed) => {
    await using stash = bed.stash();
    await stash.update({ a: 1, b: [2] });
    const map = await stash.toMap();
    await stash.set("a", 9);
    assertInstanceOf(map, Map);
    assertEquals(map, new Map<unknown, unknown>([["a", 1], ["b", [2]]]));
  }],
  ["17: is a resource: closed at the end of its block", async (bed) => {
    const options = bed.options();
    let handle: HashStash;
    {
      await using stash = new HashStash(options);
      await stash.set("a", 1);
      handle = stash;
    }
    await assertRejects(() => handle.get("a"), Error, "closed");
    await assertRejects(() => Array.fromAsync(handle.keys()), Error, "closed");
    await handle.close();
    await using again = new HashStash(options);
    assertEquals(await again.get("a"), 1);
  }],
  ["18: keeps the last of two sets", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", 1);
    await stash.set("k", 2);
    assertEquals(await stash.get("k"), 2);
    assertEquals(await stash.getAll("k"), [2]);
  }],
  ["19: takes a stored null for a value", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", null);
    assertEquals(await stash.get("k", "d"), null);
    assertEquals(await stash.has("k"), true);
    assertEquals(await stash.setDefault("k", 1), null);
    assertEquals(await stash.pop("k", "d"), null);
  }],
  ["20: takes falsy and empty values for values", async (bed) => {
    await using stash = bed.stash();
    for (const value of [false, 0, "", [], {}, undefined, NaN]) {
      await stash.set("k", value);
      assertEquals(await stash.get("k", "d"), value);
      assertEquals(await stash.has("k"), true);
    }
  }],
  ["22: is there again when reopened", async (bed) => {
    const options = bed.options();
    {
      await using stash = new HashStash(options);
      await stash.set("k", { v: 1 });
      await stash.set([1, 2], "w");
    }
    await using again = new HashStash(options);
    assertEquals(await again.get("k"), { v: 1 });
    assertEquals(await again.get([1, 2]), "w");
    assertEquals((await Array.fromAsync(again.keys())).length, 2);
  }],
  ["23: keeps names, dbnames and roots apart", async (bed) => {
    await using stash = bed.stash({ name: "apart", dbname: "one" });
    await using dbname = bed.stash({ name: "apart", dbname: "two" });
    await using name = bed.stash({ name: "apart2", dbname: "one" });
    await stash.set("k", 1);
    const others: HashStash[] = [dbname, name];
    await using root = bed.stash({ name: "apart", dbname: "one", rootDir: `${bed.root}/other` });
    // A server's namespace is name and dbname.
    if (!hasServer(bed.engine)) others.push(root);
    for (const other of others) {
      assertEquals(await other.get("k"), undefined);
      assertEquals(await other.size(), 0);
      await other.clear();
    }
    assertEquals(await stash.get("k"), 1);
    await stash.clear();
  }],
  ["modify reads, changes and stores", async (bed) => {
    await using stash = bed.stash();
    assertEquals(await stash.modify("n", (n) => (n ?? 0) + 1), 1);
    await Promise.all(
      Array.from({ length: 20 }, () => stash.modify("n", async (n) => await n + 1)),
    );
    assertEquals(await stash.get("n"), 21);
    assertEquals(await stash.modify("n", () => undefined), undefined);
    assertEquals(await stash.has("n"), false);
    await stash.set("n", 5);
    await assertRejects(
      () =>
        stash.modify("n", () => {
          throw new SyntaxError("mine");
        }),
      SyntaxError,
      "mine",
    );
    assertEquals(await stash.get("n"), 5);
  }],
  ["many at once: values in order, the number deleted", async (bed) => {
    await using stash = bed.stash();
    const pairs = Array.from({ length: 1_200 }, (_, i) => [["key", i], { i }] as const);
    await stash.setMany(pairs);
    assertEquals(await stash.size(), 1_200);
    const keys = [["key", 1_199], "absent", ["key", 0], ["key", 1_199]];
    assertEquals(await stash.getMany(keys), [{ i: 1_199 }, undefined, { i: 0 }, { i: 1_199 }]);
    assertEquals(await stash.deleteMany([...keys, ["key", 7]]), 3);
    assertEquals(await stash.size(), 1_197);
    assertEquals(await stash.getMany([]), []);
    assertEquals(await stash.deleteMany([]), 0);
  }],
  ["query takes the pairs that both predicates accept", async (bed) => {
    await using stash = bed.stash();
    await stash.update({ a1: 1, a2: 2, b1: 1 });
    const found = await Array.fromAsync(
      stash.query({ key: (key) => String(key).startsWith("a"), value: (value) => value === 1 }),
    );
    assertEquals(found, [["a1", 1]]);
    assertEquals((await Array.fromAsync(stash.query())).length, 3);
  }],
  ["stats counts what this handle did", async (bed) => {
    await using stash = bed.stash();
    await stash.set("a", 1);
    await stash.get("a");
    await stash.get("b");
    await stash.delete("a");
    const { nearHits: _, ...counted } = stash.stats();
    assertEquals(counted, { hits: 1, misses: 1, sets: 1, deletes: 1, evictions: 0 });
  }],
  ["prune, check and byteSize on a healthy stash", async (bed) => {
    await using stash = bed.stash();
    await stash.update({ a: 1, b: new Uint8Array(2_000), c: { d: [1, 2] } });
    assertEquals(await stash.prune(), 0);
    const report = await stash.check();
    assertEquals(report.problems, []);
    assertEquals(report.ok, true);
    assert(report.checked >= 3);
    assert(await stash.byteSize() > 0);
  }],
];
