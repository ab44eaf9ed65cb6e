/** JSON written in pieces is what JSON.stringify writes, to the last character. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type Divisible, jsonText, mayBeDictionary } from "../../codec/pieces.ts";
import { isPlain, plainText } from "../../codec/plain.ts";
import { hashstash } from "../../codec/serializers/hashstash.ts";
import { json } from "../../codec/serializers/json.ts";
import { seededRandom } from "../../profile/statistics.ts";

/** An object with names made from numbers. */
function record<T>(count: number, name: (i: number) => string, part: (i: number) => T) {
  const object: Record<string, T> = {};
  for (let i = 0; i < count; i++) object[name(i)] = part(i);
  return object;
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i / 7);
const small = (i: number) => ({ id: `a${i}`, tags: ["x", "y"], from: { name: "é😀" } });
const large = (i: number) => ({ id: i, vector: numbers(150) });

const VALUES: [name: string, value: unknown][] = [
  ["a dictionary alone", record(30, (i) => `k${i}`, (i) => i)],
  ["a dictionary of records", record(50, (i) => `k${i}`, small)],
  ["a dictionary of large records", record(25, (i) => `k${i}`, large)],
  ["a dictionary of lists", record(25, (i) => `k${i}`, () => numbers(120))],
  ["names that are integers", { list: numbers(50), by: record(3, String, small) }],
  ["names out of order", { b: { 9: 1, 10: 2, 1: { x: 1 }, a: [], "-1": 3, "01": 4 }, a: 1 }],
  ["names with quotes", { 'a"b\\\n': record(20, (i) => `"${i}\u2028\ud800`, small), "": [] }],
  ["a name like the prototype's", JSON.parse(`{"a":{"__proto__":{"1":{"x":[]}}},"b":[1]}`)],
  ["leaves beside", { a: null, b: true, c: 1e300, d: "é", e: record(22, (i) => `${i}`, small) }],
  ["empty ones", { "0": {}, "1": [], two: {} }],
  ["a short list on the way", [1, null, "x", { a: record(20, (i) => `k${i}`, large) }, []]],
  ["a long list on the way", Array.from({ length: 40 }, () => ({ a: { 1: [1.5] } }))],
  ["dictionaries in dictionaries", record(21, (i) => `a${i}`, () => record(21, String, large))],
  ["a late large part", record(200, (i) => `k${i}`, (i) => i === 199 ? numbers(1_000) : small(i))],
];

for (const [name, value] of VALUES) {
  Deno.test(`json in pieces: ${name}`, () => {
    assert(isPlain(value));
    assertStrictEquals(plainText(value), JSON.stringify(value));
    assertStrictEquals(hashstash.text?.(value), JSON.stringify(value));
    assertStrictEquals(json.text?.(value), JSON.stringify(value));
  });
}

Deno.test("json in pieces: any tree of objects and lists", () => {
  const random = seededRandom(7);
  const below = (n: number) => Math.floor(random() * n);
  const tree = (depth: number): unknown => {
    const kind = depth > 5 ? 4 + below(3) : below(7);
    if (kind === 0) return record(18 + below(4), (i) => `n${i}`, () => tree(depth + 2));
    if (kind === 1) return record(below(4), (i) => `${i * 3}`, () => tree(depth + 1));
    if (kind === 2) return record(below(5), (i) => `p${i}`, () => tree(depth + 1));
    if (kind === 3) return Array.from({ length: below(20) }, () => tree(depth + 2));
    return [null, below(1e9) / 8, "text\n\u{1f600}"][kind - 4];
  };
  let divided = 0;
  for (let i = 0; i < 500; i++) {
    const value = tree(0);
    const text = JSON.stringify(value);
    assertStrictEquals(plainText(value), text);
    if (text.length > 1_000) divided++;
  }
  assert(divided > 50);
});

Deno.test("json in pieces: thousands of levels are as deep as JSON.stringify goes", () => {
  let value: unknown = { 1: [] };
  for (let i = 0; i < 3_000; i++) value = { [i % 2 === 0 ? "1" : "a"]: value };
  assertStrictEquals(plainText(value), JSON.stringify(value));
});

Deno.test("json in pieces: every part on the way is written once, no more", () => {
  let reads = 0;
  const way = {
    get part() {
      reads++;
      return 1;
    },
    by: { 1: [1] },
  };
  assertStrictEquals(plainText({ way, list: [1] }), '{"way":{"part":1,"by":{"1":[1]}},"list":[1]}');
  assertEquals(reads, 2); // To look, and to write.
});

Deno.test("json in pieces: what a getter takes back is left out, as JSON.stringify does", () => {
  const object = { a: 1, by: { 1: [1] }, u: undefined };
  const list = [undefined, object];
  const ways: Divisible = new Map();
  ways.set(object, "way").set(list, "way").set(object.by, "objects");
  assertStrictEquals(jsonText(object, ways), '{"a":1,"by":{"1":[1]}}');
  assertStrictEquals(jsonText(list, ways), '[null,{"a":1,"by":{"1":[1]}}]');
});

Deno.test("json in pieces: which objects may be dictionaries", () => {
  assert(mayBeDictionary(20, "a"));
  assert(mayBeDictionary(1, "0"));
  assert(!mayBeDictionary(19, "a"));
  assert(!mayBeDictionary(1, ""));
  assert(!mayBeDictionary(0, ""));
});
