import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { generateData } from "../../profile/mod.ts";

Deno.test("generateData: JSON of the size that was asked for, give or take a tenth", () => {
  for (const size of [200, 333, 1_000, 10_000, 100_000, 1_000_000]) {
    for (let seed = 1; seed <= 10; seed++) {
      const { length } = JSON.stringify(generateData(size, seed));
      assert(Math.abs(length / size - 1) < 0.1, `${length} bytes for ${size}, seed ${seed}`);
    }
  }
});

Deno.test("generateData: a string, a number, a list and nested objects, each a fair part", () => {
  const data = generateData(10_000);
  assertEquals(typeof data.number, "number");
  const share = (part: unknown) => JSON.stringify(part).length / 10_000;
  for (const part of [data.text, data.list, data.nested]) assert(share(part) > 0.25);
  assert(data.list.every((item) => typeof item === "number"));
  const [record] = Object.values(data.nested);
  assertEquals(
    [record.id, record.score, record.active, record.origin].map((part) => typeof part),
    ["string", "number", "boolean", "object"],
  );
  assert(Array.isArray(record.tags));
});

Deno.test("generateData: the same for the same seed, other for another, plain JSON", () => {
  assertEquals(generateData(2_000, 7), generateData(2_000, 7));
  assertNotEquals(generateData(2_000, 7), generateData(2_000, 8));
  assertEquals(JSON.parse(JSON.stringify(generateData(2_000))), generateData(2_000));
  assert(JSON.stringify(generateData(1)).length < 100);
});
