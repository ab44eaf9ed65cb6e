/** Canonical key text: which keys are equal, and that they come back. Acceptance cases 24-35. */
import { assert, assertEquals, assertInstanceOf, assertNotEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { DecodeError, decodeKey, encodeKey, registerClass } from "../../codec/mod.ts";
import { difference } from "../support/same.ts";

const MARK = "\u0001";

class Version {
  constructor(readonly major: number, readonly minor: number) {}
  toJSON(): number[] {
    return [this.major, this.minor];
  }
  static fromJSON([major, minor]: number[]): Version {
    return new Version(major, minor);
  }
}
registerClass(Version);

Deno.test("a string key is its own text", () => {
  for (
    const key of [
      "my_key",
      "",
      "../../x",
      "a/b",
      "CON",
      ".key",
      "__proto__",
      "A",
      "a",
      "1",
      "null",
      "é😀",
      "x\u0001",
      '"',
      "x".repeat(10_000),
      " ",
      "\n",
    ]
  ) {
    assertEquals(encodeKey(key), key);
    assertEquals(decodeKey(key), key);
  }
});

Deno.test("strings that could be taken for something else are marked", () => {
  for (const key of ["\u0001", "\u00011", "\0", "a\0b", "\ud800", "x\udc00y", '\u0001"a"']) {
    const text = encodeKey(key);
    assertEquals(text, MARK + JSON.stringify(key));
    assert(text.isWellFormed() && !text.includes("\0"));
    assertEquals(decodeKey(text), key);
  }
});

Deno.test("keys that differ have different texts, and each comes back", () => {
  const keys: unknown[] = [
    "x",
    1,
    1.5,
    1n,
    "1",
    "1n",
    true,
    "true",
    false,
    null,
    "null",
    undefined,
    "undefined",
    [1],
    ["1"],
    [],
    [[]],
    [[1]],
    "[1]",
    new Date(1),
    new Date(2),
    new Date(NaN),
    {},
    "{}",
    { a: undefined },
    { a: null },
    { a: 1 },
    { a: { b: 1 } },
    [undefined],
    [null],
    [, 1],
    [1, ,],
    NaN,
    "NaN",
    Infinity,
    -Infinity,
    0,
    "",
    -1,
    2 ** 53,
    2n ** 53n,
    10n ** 30n,
    1e30,
    new Set(),
    new Set([1]),
    new Set(["1"]),
    new Set([[1]]),
    new Map(),
    new Map([[1, 2]]),
    new Map([["1", 2]]),
    [[1, 2]],
    new Uint8Array(),
    new Uint8Array([1]),
    new Uint8Array([2]),
    new Int8Array([1]),
    new Uint8ClampedArray([1]),
    new Uint16Array([1]),
    new ArrayBuffer(1),
    new Uint8Array([1]).buffer,
    new DataView(new ArrayBuffer(1)),
    new Float32Array([1]),
    new BigInt64Array([1n]),
    /a/,
    /a/g,
    /b/,
    "/a/",
    new URL("http://a/"),
    "http://a/",
    new URL("http://b/"),
    Object.create(null),
    Object.assign(Object.create(null), { a: 1 }),
    JSON.parse('{"__proto__":1}'),
    { ["__proto__x"]: 1 },
    new Error("a"),
    new Error("b"),
    new TypeError("a"),
    new Error("a", { cause: 1 }),
    Object.assign(new Error("a"), { code: 1 }),
    new Version(1, 2),
    new Version(2, 1),
    [1, 2],
    { major: 1, minor: 2 },
    { $: "undefined" },
    { $: "NaN" },
    { $bigint: "1" },
    { $$bigint: "1" },
    { $Date: null },
    { $Set: [1] },
    { $class: ["Version", [1, 2]] },
    { $object: ["__proto__", 1] },
    { $sparse: [2, [[1, 1]]] },
    { $null: [] },
    { $a: 1, $b: 1 },
    { $id: [1, 2] },
    { $ref: 1 },
    "\ud800",
    "\ufffd",
    "\0",
    "\\u0000",
    "A",
    "a",
    "é",
    "e\u0301",
  ];
  const texts = new Map<string, unknown>();
  for (const key of keys) {
    const text = encodeKey(key);
    assert(!texts.has(text), `${Deno.inspect(key)} and ${Deno.inspect(texts.get(text))}: ${text}`);
    texts.set(text, key);
    assertEquals(difference(decodeKey(text), key), undefined, text);
  }
});

Deno.test("keys that are equal by meaning have one text", () => {
  const equal: [unknown, unknown][] = [
    [{ a: 1, b: 2 }, { b: 2, a: 1 }],
    [{ x: [{ a: 1, b: { c: 1, d: 2 } }] }, { x: [{ b: { d: 2, c: 1 }, a: 1 }] }],
    [new Set([1, 2, "x"]), new Set(["x", 2, 1])],
    [new Set([{ a: 1, b: 2 }, [1]]), new Set([[1], { b: 2, a: 1 }])],
    [
      new Map<unknown, unknown>([[1, "a"], ["b", 2]]),
      new Map<unknown, unknown>([["b", 2], [1, "a"]]),
    ],
    [[{ k: new Set([new Map([[1, 2], [3, 4]])]) }], [{ k: new Set([new Map([[3, 4], [1, 2]])]) }]],
    [-0, 0],
    [[-0, "x"], [0, "x"]],
    [{ a: -0 }, { a: 0 }],
    [NaN, -NaN],
    [1.0, 1],
    [1e21, 1000000000000000000000],
    [{ 1: "x" }, { "1": "x" }],
    [{ 10: 1, 9: 2, b: 1, a: 2 }, { a: 2, 9: 2, b: 1, 10: 1 }],
    [Buffer.from("hi"), new Uint8Array([104, 105])],
    [[Buffer.from("hi")], [new Uint8Array([0, 104, 105, 0]).subarray(1, 3)]],
    [new Date(5), new Date("1970-01-01T00:00:00.005Z")],
    [new URL("http://a"), new URL("http://a/")],
    [
      Object.assign(Object.create(null), { a: 1, b: 2 }),
      Object.assign(Object.create(null), { b: 2, a: 1 }),
    ],
    [new Version(1, 2), new Version(1, 2)],
    [["a", 1], ["a", 1]],
  ];
  for (const [one, other] of equal) assertEquals(encodeKey(one), encodeKey(other));
  const shared = { a: 1 };
  assertEquals(encodeKey([shared, shared]), encodeKey([{ a: 1 }, { a: 1 }]));
  assertNotEquals(encodeKey(new Set([1, 2])), encodeKey([1, 2]));
});

Deno.test("key text is what people and other programs can read", () => {
  assertEquals(encodeKey(1), `${MARK}1`);
  assertEquals(encodeKey(-0), `${MARK}0`);
  assertEquals(encodeKey(["a", 1, null, true]), `${MARK}["a",1,null,true]`);
  assertEquals(encodeKey({ b: [1], a: "x" }), `${MARK}{"a":"x","b":[1]}`);
  assertEquals(encodeKey([1, undefined]), `${MARK}[1,{"$":"undefined"}]`);
  assertEquals(encodeKey(new Set(["b", "a"])), `${MARK}{"$Set":["a","b"]}`);
  assertEquals(encodeKey(12n), `${MARK}{"$bigint":"12"}`);
  assertEquals(encodeKey({ $a: 1 }), `${MARK}{"$$a":1}`);
});

Deno.test("the short cut for flat lists writes what the long way does", () => {
  for (const list of [[], [1], ["a", -0, 1e21, 1e-7, null, true, "\ud800\0"], [0.1, "é"]]) {
    const [nested] = [encodeKey([list])];
    assertEquals(`${MARK}[${encodeKey(list).slice(1)}]`, nested);
  }
});

Deno.test("keys that are no data are a TypeError with the path", () => {
  const cycle: unknown[] = [];
  cycle.push({ in: cycle });
  const match = "a1".match(/1/);
  for (
    const [key, message] of [
      [() => 1, "$ is a function"],
      [Symbol("s"), "$ is a symbol"],
      [cycle, "$[0].in is part of a cycle"],
      [Promise.resolve(), "$ is a Promise"],
      [new WeakMap(), "$ is a WeakMap"],
      [[1, { a: () => 1 }], "$[1].a is a function"],
      [new Map([[{ k: Symbol("s") }, 1]]), "$.keys[0].k is a symbol"],
      [new (class Foo {})(), "$ is an instance of Foo"],
      [Object(1), "$ is a boxed primitive"],
      [{ [Symbol("s")]: 1 }, "$ has a property named by a symbol"],
      [match, "$ is an array with a property"],
      [[match], "$[0] is an array with a property"],
    ] as [unknown, string][]
  ) {
    assertThrows(() => encodeKey(key), TypeError, `Cannot encode key: ${message}`);
  }
  let deep: unknown = 1;
  for (let i = 0; i < 10_000; i++) deep = [deep];
  assertThrows(() => encodeKey(deep), TypeError, "nested");
});

Deno.test("marked text that is damaged or not canonical is a DecodeError", () => {
  for (
    const rest of [
      "",
      "x",
      "{",
      "1 ",
      " 1",
      "01",
      "1.0",
      "1e0",
      '"a"',
      "[1, 2]",
      '{"b":1,"a":2}',
      '{"a":1,"a":2}',
      '{"$nope":1}',
      '{"$":"x"}',
      '{"$Set":[2,1]}',
      '{"$Date":1}',
      '{"$id":[1,{}]}',
      '{"$ref":1}',
      '{"$class":["Nope",1]}',
      '{"$bigint":"01"}',
      "1152921504606846976",
      '"\\u0061"',
      "NaN",
      '{"$Uint8Array":"AB=="}',
      '{"$Map":[[2,1],[1,2]]}',
      '"\\ud800',
      "-0",
      `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
    ]
  ) {
    const error = assertThrows(
      () => decodeKey(MARK + rest),
      DecodeError,
      "Cannot decode key",
      rest.slice(0, 40),
    );
    assertInstanceOf(error, DecodeError);
    assertEquals(error.key, MARK + rest);
  }
});

Deno.test("key text sets no prototype", () => {
  const key = decodeKey(`${MARK}{"$object":["__proto__",{"polluted":1}]}`) as {
    polluted?: unknown;
  };
  assertEquals(key.polluted, undefined);
  assertEquals(Object.keys(key), ["__proto__"]);
  assertThrows(() => decodeKey(`${MARK}{"__proto__":{"polluted":1}}`), DecodeError);
});
