/** Section 3 of the acceptance cases: values come back exactly, or are refused. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { registerClass } from "../../../mod.ts";
import { difference } from "../../support/same.ts";
import type { Behaviour } from "./mod.ts";

class Point {
  constructor(readonly x: number, readonly y: number) {}
  toJSON() {
    return { x: this.x, y: this.y };
  }
  static fromJSON({ x, y }: { x: number; y: number }) {
    return new Point(x, y);
  }
}
registerClass(Point);

class Unregistered {
  field = 1;
}

const VALUES_THAT_STAY: readonly unknown[] = [
  1,
  -1,
  1.5,
  0.1 + 0.2,
  1e300,
  5e-324,
  2 ** 53,
  "text",
  "",
  "é日🎉",
  "ends in space \n",
  "\ud800",
  "a\u0000b",
  true,
  false,
  null,
  undefined,
  NaN,
  Infinity,
  -Infinity,
  -0,
  10n ** 40n,
  -5n,
  [],
  {},
  [1, [2, [3, [4]]]],
  { a: { b: { c: { d: [] } } } },
  [undefined, null],
  { a: undefined },
  new Date(0),
  new Date(NaN),
  /a\/b/giu,
  new URL("https://user@example.com/a?b#c"),
  new Map<unknown, unknown>([[1, "a"], [{ k: 1 }, new Map([[[], null]])]]),
  new Set<unknown>([1, "1", [2, 3], new Set([4])]),
  new Uint8Array([0, 1, 255]),
  new Uint8Array(),
  new Int8Array([-1]),
  new Uint8ClampedArray([255]),
  new Int16Array([-300]),
  new Uint16Array([300]),
  new Int32Array([-70_000]),
  new Uint32Array([4_000_000_000]),
  new Float32Array([1.5]),
  new Float64Array([NaN, -0]),
  new BigInt64Array([-1n]),
  new BigUint64Array([2n ** 63n]),
  new Uint8Array([1, 2, 3]).buffer,
  new DataView(new Uint8Array([1, 2]).buffer),
  { __py__: "os.getcwd" },
  { __pytype__: "reducer", __py__: "os.system", __args__: ["id"] },
  { $: "Date", v: 0 },
  { $type: "Date", value: 0 },
  { $hashstash: { v: 1 } },
  { "@type": "Map" },
  { toJSON: 1 },
  { then: 1 },
  { length: 0 },
];

export const VALUES: readonly Behaviour[] = [
  ["36, 37, 40-43, 45, 120: values come back exactly", async (bed) => {
    await using stash = bed.stash();
    await stash.setMany(VALUES_THAT_STAY.map((value, i) => [i, value]));
    for (const [i, value] of VALUES_THAT_STAY.entries()) {
      const back = await stash.get(i);
      assertEquals(difference(back, value), undefined, `value ${i}`);
    }
    await stash.set("all", VALUES_THAT_STAY);
    assertEquals(difference(await stash.get("all"), VALUES_THAT_STAY), undefined);
  }],
  ["38, 52 1,000: keys of 7 kB in one object", async (bed) => {
    await using stash = bed.stash();
    const value = Object.fromEntries(
      Array.from(
        { length: 1_000 },
        (_, i) => [`key ${i}`, `value ${i} `.repeat(640).slice(0, 7_000)],
      ),
    );
    await stash.set("big", value);
    assertEquals(await stash.get("big"), value);
    if (stash.compress) {
      assert((await stash.encodeValue(value)).length < JSON.stringify(value).length / 4);
    }
  }],
  ["39: a 1 MB random string, 1,000 numbers and 100 objects", async (bed) => {
    await using stash = bed.stash();
    const bytes = new Uint8Array(500_000);
    for (let i = 0; i < bytes.length; i += 50_000) {
      crypto.getRandomValues(bytes.subarray(i, i + 50_000));
    }
    const value = {
      text: encodeHex(bytes),
      numbers: Array.from({ length: 1_000 }, Math.random),
      nested: Array.from({ length: 100 }, (_, i) => ({ i, inner: { list: [i, { i }] } })),
    };
    await stash.set("big", value);
    assertEquals(await stash.get("big"), value);
    await stash.set("bytes", bytes);
    assertEquals(await stash.get("bytes"), bytes);
  }],
  ["42: errors, cycles, shared parts, holes, null prototypes, order", async (bed) => {
    await using stash = bed.stash();
    const cause = new RangeError("inner");
    const error = Object.assign(new TypeError("outer", { cause }), { code: "E1" });
    await stash.set("error", error);
    const back = await stash.get("error") as TypeError & { code: string };
    assertInstanceOf(back, TypeError);
    assertEquals([back.message, back.code], ["outer", "E1"]);
    assertInstanceOf(back.cause, RangeError);
    const shared = { s: 1 };
    const value: Record<string, unknown> = { z: shared, a: shared, list: [1, , 3] };
    value.self = value;
    await stash.set("graph", value);
    const graph = await stash.get("graph");
    assertStrictEquals(graph.self, graph);
    assertStrictEquals(graph.z, graph.a);
    assertEquals(Object.keys(graph), ["z", "a", "list", "self"]);
    assertEquals([graph.list.length, 1 in graph.list], [3, false]);
    const bare = Object.assign(Object.create(null), { a: 1 });
    await stash.set("bare", bare);
    assertStrictEquals(Object.getPrototypeOf(await stash.get("bare")), null);
  }],
  ["46: __proto__ stays a property", async (bed) => {
    await using stash = bed.stash();
    const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": 1}}');
    for (const stored of [value, { inner: value, date: new Date(1) }]) {
      await stash.set("k", stored);
      assertEquals(await stash.get("k"), stored);
      const back = await stash.get("k");
      const own = back.inner ?? back;
      assert(Object.hasOwn(own, "__proto__"));
      assertStrictEquals(Object.getPrototypeOf(own), Object.prototype);
      assertEquals(Reflect.get({}, "polluted"), undefined);
    }
  }],
  ["47: instances of registered classes; others are refused by name", async (bed) => {
    await using stash = bed.stash();
    await stash.set("p", { points: [new Point(1, 2)] });
    const { points } = await stash.get("p");
    assertInstanceOf(points[0], Point);
    assertEquals(points[0], new Point(1, 2));
    const error = await assertRejects(
      () => stash.set("p", { a: [1, new Unregistered()] }),
      TypeError,
    );
    assert(
      error.message.includes("Unregistered") && error.message.includes("$.a[1]"),
      error.message,
    );
    assertEquals((await stash.get("p")).points, [new Point(1, 2)]);
  }],
  [
    "35, 112 what can't be stored is refused by its place, and the earlier value stays",
    async (bed) => {
      await using stash = bed.stash();
      await stash.set("k", "earlier");
      const refused = [() => 1, Symbol("s"), Promise.resolve(1), new WeakSet(), Object(1)];
      for (const bad of refused) {
        await assertRejects(() => stash.set("k", bad), TypeError);
        await assertRejects(() => stash.set("k", { a: [1, 2, bad] }), TypeError, "$.a[2]");
        await assertRejects(() => stash.setMany([["k", bad]]), TypeError);
        await assertRejects(() => stash.modify("k", () => [bad]), TypeError);
      }
      assertEquals(await stash.get("k"), "earlier");
    },
  ],
];
