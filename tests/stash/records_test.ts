/** Section 8 of the acceptance cases: what is stored, as rows and as a table. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type ColumnTable, fromArrow, op } from "arquero";
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

Deno.test("records: what is under a text that no key has is passed over", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  await stash.set("a", 1);
  const engine = await bed.open({}, { name: stash.name });
  await engine.set("\u0001nonsense", { value: new Uint8Array([53]), timestamp: Date.now() });
  for (const allVersions of [false, true]) {
    assertEquals(await stash.records({ allVersions }), [{ _key: "a", _value: 1 }]);
    assertEquals((await stash.table({ allVersions })).numRows(), 1);
  }
});

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

Deno.test("records: C5: names that meet lose no column", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  const cases: [value: Row, row: Row][] = [
    [{ "a.b": 1, a: { b: 2 } }, { "a.b": 1, a: { b: 2 } }],
    [{ a: { b: 2, c: 3 }, "a.b": 1 }, { a: { b: 2, c: 3 }, "a.b": 1 }],
    [{ a: { b: { c: 1 } }, "a.b": { c: 2 } }, { a: { b: { c: 1 } }, "a.b": { c: 2 } }],
    // The object that stays as it is has a name, too, that another has a column of.
    [{ "a.b": { c: 1 }, "a.b.c": 2, a: { b: 3 } }, {
      "a.b": { c: 1 },
      "a.b.c": 2,
      a: { b: 3 },
    }],
    [{ x: { "a.b": 1, a: { b: 2 } } }, { "x.a.b": 1, "x.a": { b: 2 } }],
    [{ x: { y: 1 }, z: { "a.b": 1 } }, { "x.y": 1, "z.a.b": 1 }],
    [{ _key: 1, "_value._key": 2 }, { "_value._key": 1, "_value._value._key": 2 }],
    [{ _key: 1, _value: { _key: 2 } }, { "_value._key": 1, "_value._value": { _key: 2 } }],
    [{ _value: { n: 1 } }, { "_value.n": 1 }],
  ];
  for (const [value, row] of cases) {
    await stash.set("k", value);
    const [{ _key, ...columns }] = await stash.records();
    assertEquals([_key, columns], ["k", row], JSON.stringify(value));
  }
  await stash.set("k", { _key: 1, "a.b": 2 });
  assertEquals(await stash.records({ flatten: false }), [
    { _key: "k", "_value._key": 1, "a.b": 2 },
  ]);
});

/** A value of `levels` objects, each in the next one twice: few bytes, 2 ** levels leaves. */
function doubled(levels: number): Row {
  let value: Row = { leaf: 1 };
  for (let i = 0; i < levels; i++) value = { l: value, r: value };
  return value;
}

Deno.test("records: E9: what is made of a value is in proportion to it", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  // deno-lint-ignore no-sparse-arrays -- of these it is
  const holes = [1, , 3];
  const sparse: unknown[] = ["first"];
  sparse[4_000_000_000] = { a: 1 };
  sparse.length = 4_294_967_295;
  let deep: Row = { leaf: 1 };
  for (let i = 0; i < 500; i++) deep = { v: i, "next level": deep };
  const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`n${i}`, i]));
  const values: Record<string, [value: unknown, rows: number, columns: number]> = {
    doubled: [doubled(40), 1, 10_000],
    "doubled lists": [Array(10).fill(doubled(40)), 10, 10_000],
    "empty sparse": [Array(4_294_967_295), 0, 0],
    sparse: [sparse, 2, 3],
    holes: [holes, 2, 3],
    deep: [deep, 1, 100],
    "wide, again and again": [
      {
        list: {},
        ...Object.fromEntries(
          Array.from({ length: 200 }, (_, i) => [`again${i}`, wide]),
        ),
      },
      1,
      1_300,
    ],
    "a long name": [{ ["x".repeat(100_000)]: wide }, 1, 10],
  };
  for (const [name, [value, count, columns]] of Object.entries(values)) {
    await stash.clear();
    await stash.set(name, value);
    const start = performance.now();
    const rows = await stash.records();
    assertEquals(rows.length, count, name);
    for (const row of rows) assert(Object.keys(row).length <= columns, name);
    const table = await stash.table();
    assertEquals(table.numRows(), count, name);
    for (const written of [table.toCSV(), table.toJSON(), table.toArrowIPC()]) {
      assert(written.length < 5_000_000, `${name}: ${written.length}`);
    }
    assert(performance.now() - start < 5_000, `${name} took ${performance.now() - start} ms`);
  }
  // Small objects that come again are columns wherever they are.
  const config = { host: "h", port: 1 };
  await stash.clear();
  await stash.set("list", Array.from({ length: 2_000 }, (_, n) => ({ n, config })));
  const rows = await stash.records();
  assertEquals(rows.at(-1), { _key: "list", n: 1_999, "config.host": "h", "config.port": 1 });
});

Deno.test("table: E9: a column for each row costs no table of empty cells", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  await stash.setMany(Array.from({ length: 10_000 }, (_, i) => [i, { [`id${i}`]: i }]));
  const before = Deno.memoryUsage().heapTotal;
  const table = await stash.table();
  assertEquals([table.numRows(), table.numCols()], [10_000, 10_001]);
  // 10,000 × 10,000 cells are 800 MB.
  const grown = Deno.memoryUsage().heapTotal - before;
  assert(grown < 300_000_000, `${grown} bytes`);
  assertEquals([table.get("id77", 0), table.array("_key")[77]], [
    table.array("_key")[0] === 77 ? 77 : undefined,
    77,
  ]);
  assertEquals(table.select("id77").toCSV().split("\n").filter(Boolean), ["id77", "77"]);
});

const CELLS: Record<string, { cells: unknown[]; csv: string[]; arrow: unknown[] }> = {
  "numbers, some missing": {
    cells: [1, undefined, 2.5],
    csv: ["1", "", "2.5"],
    arrow: [1, null, 2.5],
  },
  "numbers and text": { cells: [1, "a", null], csv: ["1", "a", ""], arrow: ["1", "a", null] },
  "dates and numbers": {
    cells: [new Date(0), 5, true],
    csv: ["1970-01-01", "5", "true"],
    arrow: ["1970-01-01T00:00:00.000Z", "5", "true"],
  },
  objects: {
    cells: [{ a: 1 }, { b: new Map([["x", 1n]]) }, [1, { c: "d" }]],
    csv: [
      '"{""a"":1}"',
      '"{""b"":{""$Map"":[[""x"",{""$bigint"":""1""}]]}}"',
      '"[1,{""c"":""d""}]"',
    ],
    arrow: ['{"a":1}', '{"b":{"$Map":[["x",{"$bigint":"1"}]]}}', '[1,{"c":"d"}]'],
  },
  "maps alone": {
    cells: [new Map([[1, 2]]), new Map(), undefined],
    csv: ['"{""$Map"":[[1,2]]}"', '"{""$Map"":[]}"', ""],
    arrow: ['{"$Map":[[1,2]]}', '{"$Map":[]}', null],
  },
  "lists alike": {
    cells: [[1, 2], [3], undefined],
    csv: ['"[1,2]"', "[3]", ""],
    arrow: [[1, 2], [3], null],
  },
  "lists of several": {
    cells: [[1, "a"], [], ["b"]],
    csv: ['"[1,""a""]"', "[]", '"[""b""]"'],
    arrow: ['[1,"a"]', "[]", '["b"]'],
  },
  "empty lists": { cells: [[], [], []], csv: ["[]", "[]", "[]"], arrow: ["[]", "[]", "[]"] },
  bigints: {
    cells: [1n, 2n ** 60n, undefined],
    csv: ["1", "1152921504606846976", ""],
    arrow: ["1", "1152921504606846976", null],
  },
  "bigints and numbers": {
    cells: [1, 2n ** 60n, 3],
    csv: ["1", "1152921504606846976", "3"],
    arrow: [
      "1",
      "1152921504606846976",
      "3",
    ],
  },
  "huge bigints": {
    cells: [2n ** 64n, 1n, 0n],
    csv: ["18446744073709551616", "1", "0"],
    arrow: [
      "18446744073709551616",
      "1",
      "0",
    ],
  },
  bytes: {
    cells: [new Uint8Array([1, 2]), new Uint8Array([3]), undefined],
    csv: ['"{""$Uint8Array"":""AQI=""}"', '"{""$Uint8Array"":""Aw==""}"', ""],
    arrow: [[1, 2], [3], null],
  },
};

/** Arrow's values as plain ones; its 64-bit integers as text, whichever way they come. */
function plainOf(value: unknown, asText: boolean): unknown {
  if (value === null || value === undefined) return null;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as number[]);
  return asText && typeof value !== "object" ? String(value) : value;
}

Deno.test("table: C5: every cell is written as CSV, JSON, HTML, Markdown and Arrow", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  for (const [name, { cells, csv, arrow }] of Object.entries(CELLS)) {
    await stash.clear();
    await stash.set("list", cells.map((cell) => cell === undefined ? { n: 0 } : { n: 0, cell }));
    const table = await stash.table({ flatten: false });
    const lines = table.select("cell").toCSV().split("\n").slice(1, -1);
    assertEquals(lines, csv, name);
    const rows = JSON.parse(table.toJSON()) as Row[];
    assertEquals(rows.length, 3, name);
    assert(!table.toHTML().includes("[object"), name);
    assert(!table.toMarkdown().includes("[object"), name);
    const read = fromArrow(table.toArrowIPC(), { useBigInt: true }) as ColumnTable;
    assertEquals(read.numRows(), 3, name);
    const asText = typeof arrow[0] === "string";
    const cellsRead = Array.from(read.array("cell")) as unknown[];
    assertEquals(cellsRead.map((cell) => plainOf(cell, asText)), arrow, name);
    // Tables made of it do the same.
    const derived = table.derive({ twice: (row) => row.n * 2 }).filter((row) => row.twice === 0);
    assertEquals(derived.select("cell").toCSV().split("\n").slice(1, -1), csv, name);
    assert(derived.toArrowIPC().length > 100, name);
  }
});

Deno.test("table: C5: rows with other columns each, and the caller's own formats", async () => {
  await using bed = await TestBed.create("memory");
  await using stash = bed.stash();
  await stash.set({ id: 7 }, [{ a: 1 }, { b: "x" }, 3, [4], { "__proto__x": 1 }]);
  await stash.set("k", JSON.parse('{"__proto__": 5}'));
  const table = await stash.table();
  const read = fromArrow(table.toArrowIPC()) as ColumnTable;
  assertEquals([read.numRows(), table.numRows()], [6, 6]);
  assertEquals(new Set(read.columnNames()), new Set(table.columnNames()));
  assertStringIncludes(table.select("_key").toCSV(), '"{""id"":7}"');
  const format = { _key: () => "mine" };
  assertStringIncludes(table.select("_key").toCSV({ format }), "_key\nmine\n");
  await stash.set("k", { 'a "quoted" \\ name\n': 1 });
  const quoted = await stash.table();
  for (const type of ["rows", "ndjson", "columns"] as const) {
    const text = quoted.select('a "quoted" \\ name\n').toJSON({ type });
    assertStringIncludes(text, '"a \\"quoted\\" \\\\ name\\n":', type);
  }
  assertEquals(JSON.parse(quoted.toJSON()).length, 6);
  assertEquals(table.select("__proto__").toCSV().split("\n").filter(Boolean).at(-1), "5");
});
