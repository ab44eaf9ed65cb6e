/** Section 8 of the acceptance cases: what is stored, as rows and as a table. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { op } from "arquero";
import type { HashStash } from "../../mod.ts";
import { testOnEngines } from "../support/on_engines.ts";
import { TestBed } from "../support/bed.ts";

type Row = Record<string, unknown>;

/** In the order of the keys: engines list them in an order of their own. */
function sorted(rows: Row[]): Row[] {
  const key = (row: Row) => JSON.stringify(row._key ?? row._arg1);
  return rows.sort((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

const CLAIMS: Record<string, (stash: HashStash, bed: TestBed) => Promise<void>> = {
  async "97: a row for each key, scalars under _value"(stash) {
    const values = { a: 1, b: 2, c: { result: 3 }, d: { result: 4 } };
    await stash.update(values);
    assertEquals(sorted(await stash.records()), [
      { _key: "a", _value: 1 },
      { _key: "b", _value: 2 },
      { _key: "c", result: 3 },
      { _key: "d", result: 4 },
    ]);
    assertEquals((await Array.fromAsync(stash.records())).length, 4);
  },

  async "98: a list is one row per item"(stash) {
    await stash.set({ id: 7 }, [{ a: 1 }, { b: 2 }, 3, [4, 5]]);
    const _key = { id: 7 };
    assertEquals(await stash.records(), [
      { _key, a: 1 },
      { _key, b: 2 },
      { _key, _value: 3 },
      { _key, _value: [4, 5] },
    ]);
  },

  async "99: nested objects become dotted columns, lists in them stay"(stash) {
    const value = { name: "x", other: { age: 3, deep: { list: [1, { y: 2 }], none: {} } } };
    await stash.set("k", value);
    assertEquals(await stash.records(), [
      {
        _key: "k",
        name: "x",
        "other.age": 3,
        "other.deep.list": [1, { y: 2 }],
        "other.deep.none": {},
      },
    ]);
    assertEquals(await stash.records({ flatten: false }), [{ _key: "k", ...value }]);
  },

  async "100: an empty list or object is no row"(stash) {
    await stash.update({ a: [], b: {}, c: [{}], d: null });
    assertEquals(await stash.records(), [{ _key: "d", _value: null }]);
  },

  async "101: of a function, the arguments are columns"(stash) {
    const area = stash.stashedResult((width: number, box: { height: number }) => ({
      area: width * box.height,
    }));
    await area(2, { height: 3 });
    await area(4, { height: 5 });
    assertEquals(sorted(await area.stash.records()), [
      { _arg1: 2, _arg2: { height: 3 }, area: 6 },
      { _arg1: 4, _arg2: { height: 5 }, area: 20 },
    ]);
    const keyed = stash.stashedResult((x: number) => x + 1, { key: (x) => `x${x}` });
    await keyed(1);
    assertEquals(await keyed.stash.records(), [{ _key: "x1", _value: 2 }]);
    assertEquals(await stash.records(), []);
  },

  async "102, 95: metadata, and every version"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    const before = Date.now();
    await stash.set("a", { x: 1 });
    await stash.set("a", { x: 2 });
    await stash.set("b", 3);
    assertEquals(sorted(await stash.records()), [{ _key: "a", x: 2 }, { _key: "b", _value: 3 }]);
    assertEquals(sorted(await stash.records({ allVersions: true })), [
      { _key: "a", x: 1 },
      { _key: "a", x: 2 },
      { _key: "b", _value: 3 },
    ]);
    const rows = sorted(await stash.records({ allVersions: true, withMetadata: true }));
    assertEquals(rows.map((row) => [row._key, row._version, row.x ?? row._value]), [
      ["a", 1, 1],
      ["a", 2, 2],
      ["b", 1, 3],
    ]);
    for (const { _timestamp } of rows) {
      assert(typeof _timestamp === "number" && _timestamp >= before && _timestamp <= Date.now());
    }
    const latest = sorted(await stash.records({ withMetadata: true }));
    assertEquals(latest.map((row) => row._version), [2, 1]);
  },
};

testOnEngines("records", CLAIMS);

Deno.test("records: values of every sort, and names that mean something else", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  const date = new Date(0);
  const cyclic: Row = { a: 1 };
  cyclic.self = cyclic;
  const shared = { x: 1 };
  await stash.set("date", date);
  await stash.set("map", new Map([["a", 1]]));
  await stash.set("bytes", new Uint8Array([1]));
  await stash.set("proto", JSON.parse('{"__proto__": 1, "_key": 2, "a": {"_key": 3}}'));
  await stash.set("cyclic", cyclic);
  await stash.set("shared", { a: shared, b: shared });
  const rows = new Map((await stash.records()).map((row) => [row._key, row]));
  assertEquals(rows.get("date"), { _key: "date", _value: date });
  assertEquals(rows.get("map"), { _key: "map", _value: new Map([["a", 1]]) });
  assertEquals(rows.get("bytes"), { _key: "bytes", _value: new Uint8Array([1]) });
  assertEquals(Object.entries(rows.get("proto")!), [
    ["_key", "proto"],
    ["__proto__", 1],
    ["_value._key", 2],
    ["a._key", 3],
  ]);
  assertEquals(Object.keys(rows.get("cyclic")!), ["_key", "a", "self"]);
  assertEquals(rows.get("shared"), { _key: "shared", "a.x": 1, "b.x": 1 });
  assertThrows(() => stash.records({ flaten: true } as object), TypeError, "flaten");
});

Deno.test("table: columns of all rows, for grouping, CSV and Arrow", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  await stash.set("a", [{ kind: "cat", age: 3 }, { kind: "dog", age: 5, home: { city: "Leeds" } }]);
  await stash.set("b", { kind: "cat", age: 5 });
  const table = await stash.table({ withMetadata: true });
  assertEquals(table.numRows(), 3);
  assertEquals(table.columnNames(), ["_key", "_version", "_timestamp", "kind", "age", "home.city"]);
  assertEquals(table.array("home.city"), [undefined, "Leeds", undefined]);
  const means = table.groupby("kind").rollup({ mean: op.mean("age") }).objects();
  assertEquals(means, [{ kind: "cat", mean: 4 }, { kind: "dog", mean: 5 }]);
  assertStringIncludes(table.select("_key", "age").toCSV(), "_key,age\na,3\na,5\nb,5\n");
  assert(table.select("_key", "age").toArrowIPC().length > 100);
  await stash.clear();
  assertEquals((await stash.table()).numRows(), 0);
});
