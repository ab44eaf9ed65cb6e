/** The header of an entry: written only when it is used, and never trusted. */
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { openHeader, withHeader } from "../../store/header.ts";
import { DecodeError, encodeKey } from "../../mod.ts";
import { testOnEngines } from "../support/on_engines.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const MARK = "\0HSE";

Deno.test("header: its fields come back, merged, and the value behind it is untouched", () => {
  const value = utf8('{"a":1}\n\0');
  const first = withHeader(value, { version: 1, series: "s", timestamp: 5 });
  const second = withHeader(first, { version: 2, series: "s" });
  assertEquals(openHeader(second), { header: { version: 2, series: "s", timestamp: 5 }, value });
  assertEquals(openHeader(value), { value });
  assertEquals(new TextDecoder().decode(first.subarray(0, 4)), MARK);
});

testOnEngines("header", {
  "damage in it is a DecodeError that check removes": async (stash, bed) => {
    const engine = await bed.open({}, { name: stash.name });
    const damaged = ["", "{}", "{\n", "[]\n1", '{"version":0,"series":"s"}\n1', '{"version":2}\n1'];
    for (const [i, text] of damaged.entries()) {
      await engine.set(`k${i}`, { value: utf8(MARK + text), timestamp: 0 });
      await assertRejects(() => stash.get(`k${i}`), DecodeError, "header");
    }
    const { problems } = await stash.check({ fix: true });
    assertEquals(problems.map(({ kind }) => kind), damaged.map(() => "damaged"));
    assertEquals(await stash.size(), 0);
  },
  "a version that nobody can have counted to costs nothing": async (stash, bed) => {
    const engine = await bed.open({}, { name: stash.name });
    const header = { version: Number.MAX_SAFE_INTEGER, series: "s", timestamp: 1 };
    const put = () =>
      engine.set(encodeKey("k"), { value: withHeader(utf8("7"), header), timestamp: 0 });
    const start = performance.now();
    await put();
    assertEquals(await stash.getAll("k"), [7]);
    assertEquals((await Array.fromAsync(stash.dump())).length, 1);
    assertEquals(await stash.records({ allVersions: true }), [{ _key: "k", _value: 7 }]);
    assertEquals(await stash.pop("k"), 7);
    await put();
    await using appending = bed.stash({ name: stash.name, appendMode: true });
    assertEquals(await appending.delete("k"), true);
    assertLess(performance.now() - start, 10_000);
  },
});
