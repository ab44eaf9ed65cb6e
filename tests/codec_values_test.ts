import { assertEquals, assertThrows } from "@std/assert";
import { Codec, decodeKey, encodeKey } from "../codec/mod.ts";

Deno.test("values of every sort come back, as values and as keys", async () => {
  const codec = new Codec();
  for (const value of [1, "a", null, undefined, 1n, { a: [1, { b: 2 }] }, new Date(1), [, 1]]) {
    assertEquals(await codec.decode(await codec.encode(value)), value);
    assertEquals(decodeKey(encodeKey(value)), value);
  }
});

Deno.test("an unknown serializer is refused at construction", () => {
  assertThrows(() => new Codec({ serializer: "x" as "json" }), TypeError, "one of");
});
