import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { outputOf } from "../../dev/run.ts";
import { memory as createEngine } from "../../engines/memory/mod.ts";
import type { Engine, Entry } from "../../engines/engine.ts";
import { HashStash } from "../../mod.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { disposable } from "../support/bed.ts";
import { entryOf, keysOf, textAt } from "../support/entries.ts";
import { contractTests } from "../support/contract.ts";

contractTests("memory");
behaviours("memory");

let stores = 0;

function open(options: Record<string, unknown> = {}, name = `memory_test_${++stores}`): Engine {
  const engine = createEngine({ name, dbname: "main" }, options);
  engine.open();
  return engine;
}

Deno.test("memory: maxEntries drops what was used least recently, and get counts as use", async () => {
  const engine = open({ maxEntries: 2 });
  engine.set("a", entryOf("1"));
  engine.set("b", entryOf("2"));
  engine.get("a");
  engine.set("c", entryOf("3"));
  assertEquals(await keysOf(engine), ["a", "c"]);
  assertEquals(engine.evictions, 1);
});

Deno.test("memory: maxBytes counts what entries take", async () => {
  const measuring = open();
  measuring.set("a", entryOf("1234"));
  const one = measuring.byteSize?.() as number;
  const engine = open({ maxBytes: 2 * one });
  engine.set("a", entryOf("1234"));
  engine.set("b", entryOf("1234"));
  assertEquals(await keysOf(engine), ["a", "b"]);
  engine.set("b", entryOf("12345"));
  assertEquals(await keysOf(engine), ["b"]);
  assertEquals(engine.evictions, 1);
  assertEquals(engine.byteSize?.(), one + 1);
  engine.delete("b");
  assertEquals(engine.byteSize?.(), 0);
});

Deno.test("memory: a value larger than maxBytes is refused and evicts nobody", async () => {
  await using engine = disposable(createEngine({ name: "memory_large", dbname: "main" }, {
    maxBytes: 10_000,
  }));
  await engine.open();
  const large = { value: new Uint8Array(10_000), timestamp: 0 };
  await engine.setMany([["a", entryOf("1")], ["b", entryOf("2")]]);
  const current = await engine.get("a");
  for (
    const attempt of [
      () => engine.set("a", large),
      () => engine.set("new", large),
      () => engine.compareAndSet("a", current, large),
      () => engine.compareAndSet("new", undefined, large),
      () => engine.setMany([["new", large]]),
      () => engine.set("x".repeat(10_000), entryOf("3")),
    ]
  ) await assertRejects(async () => await attempt(), RangeError, '"maxBytes" is 10000');
  assertEquals(await textAt(engine, "a"), "1");
  assertEquals(await engine.size(), 2);
  assertEquals(engine.evictions, 0);
});

Deno.test("memory: a value that is a part of a larger buffer keeps no more than itself", () => {
  const engine = open();
  const pool = new Uint8Array(1_000_000);
  engine.set("part", { value: pool.subarray(500, 510), timestamp: 0 });
  const entry = engine.get("part") as Entry;
  assertEquals(entry.value.byteLength, 10);
  assertLess(entry.value.buffer.byteLength, 1_000);
});

Deno.test("memory: byteSize tells what the process grew by", async () => {
  const program = `
    const { memory } = await import(${
    JSON.stringify(new URL("../../engines/memory/mod.ts", import.meta.url))
  });
    const [count, bytes] = Deno.args.map(Number);
    const engine = memory({ name: "name", dbname: "main" }, {});
    engine.open();
    gc();
    const before = Deno.memoryUsage().rss;
    for (let i = 0; i < count; i++) {
      engine.set("key " + i, { value: new Uint8Array(bytes), timestamp: 0 });
    }
    gc();
    console.log((Deno.memoryUsage().rss - before) / engine.byteSize());
  `;
  for (const [count, bytes] of [[500_000, 5], [500_000, 100], [50_000, 4_000]]) {
    const args = ["eval", "--v8-flags=--expose-gc", program, `${count}`, `${bytes}`];
    const { stdout, stderr } = await outputOf(args);
    const ratio = Number(stdout);
    assert(ratio > 0.6 && ratio < 1.7, `${count} × ${bytes}: ${ratio}${stderr}`);
  }
});

Deno.test("memory: limits are those of the handle that writes", async () => {
  const free = open({}, "memory_limits");
  for (let i = 0; i < 10; i++) free.set(`k${i}`, entryOf("v"));
  const limited = open({ maxEntries: 4 }, "memory_limits");
  assertEquals(limited.evictions, 6);
  assertEquals(await keysOf(free), ["k6", "k7", "k8", "k9"]);
  free.set("more", entryOf("v"));
  assertEquals(free.size(), 5);
  assertEquals(free.evictions, 0);
});

Deno.test("memory: entries survive the close of all handles", () => {
  const first = open({}, "memory_survives");
  first.set("k", entryOf("v"));
  first.close();
  const second = open({}, "memory_survives");
  assertEquals(second.size(), 1);
});

Deno.test("memory: root option, name and dbname tell stores apart", () => {
  const make = (rootDir: string | undefined, name: string, dbname: string) => {
    const engine = createEngine({ rootDir, name, dbname }, {});
    engine.open();
    return engine;
  };
  make(undefined, "memory_apart", "main").set("k", entryOf("v"));
  for (
    const other of [
      make("/root", "memory_apart", "main"),
      make(undefined, "memory_apart2", "main"),
      make(undefined, "memory_apart", "main2"),
    ]
  ) assertEquals(other.size(), 0);
  assertEquals(make(undefined, "memory_apart", "main").size(), 1);
});

Deno.test("memory: expired entries that nobody asks for are dropped by later sets", () => {
  const engine = open();
  const expiresAt = Date.now() - 1;
  for (let i = 0; i < 5_000; i++) engine.set(`k${i}`, { ...entryOf("v"), expiresAt });
  const bytes = engine.byteSize?.() as number;
  assert(bytes < 2_000 * 700, `${bytes} bytes are kept`);
  assertEquals(engine.size(), 0);
});

Deno.test("memory: an iteration ends though each step sets new keys", async () => {
  const engine = open();
  for (let i = 0; i < 3; i++) engine.set(`k${i}`, entryOf("v"));
  let count = 0;
  for await (const key of engine.keys()) {
    engine.delete(key);
    engine.set(key, entryOf("again"));
    engine.set(`new ${++count}`, entryOf("v"));
  }
  assertEquals(count, 3);
  assertEquals(engine.size(), 6);
});

Deno.test("memory: options are checked", () => {
  const make = (options: Record<string, unknown>) => () => open(options);
  assertThrows(make({ maxEntries: "10" }), TypeError, "maxEntries");
  assertThrows(make({ maxEntries: 0 }), RangeError, "maxEntries");
  assertThrows(make({ maxBytes: 1.5 }), RangeError, "maxBytes");
  assertThrows(make({ maxBytes: NaN }), RangeError, "maxBytes");
  assertThrows(make({ maxItems: 1 }), TypeError, "maxEntries, maxBytes");
  assertEquals(open({ maxEntries: Infinity, maxBytes: undefined }).size(), 0);
});

Deno.test("memory: counting leaves others their turns, and counts what they set once", async () => {
  const engine = open();
  const entry = entryOf("1");
  for (let i = 0; i < 100_000; i++) engine.set(`k${i}`, entry);
  let turns = 0;
  const again = () => {
    for (let i = 0; i < 100; i++) engine.set(`k${turns * 100 + i}`, entry);
    turns++;
    timer = setTimeout(again);
  };
  let timer = setTimeout(again);
  const [found] = await Array.fromAsync(engine.stores!(true));
  clearTimeout(timer);
  assert(turns > 0, "another timer had its turn");
  assertEquals(found.usage?.entries, 100_000);
  engine.clear(true);
});

Deno.test("memory: a listing leaves others their turns, and names each key once", async () => {
  const engine = open();
  const entry = entryOf("1");
  const count = 300_000;
  for (let i = 0; i < count; i++) engine.set(`k${i}`, entry);
  let turns = 0;
  const again = () => {
    // What is set anew is as new: it comes after what is listed.
    for (let i = 100 * turns++; i < 100 * turns; i++) {
      engine.delete(`k${i}`);
      engine.set(`k${i}`, entry);
    }
    timer = setTimeout(again);
  };
  let timer = setTimeout(again);
  const found = await keysOf(engine);
  clearTimeout(timer);
  assert(turns > 0, "another timer had its turn");
  assertEquals(new Set(found).size, found.length);
  assert(found.length <= count && found.length >= count - 100 * turns, `${found.length} keys`);
  engine.clear(true);
});

Deno.test("memory: what is kept as text is bytes for all who ask for an entry", async () => {
  const engine = createEngine({ name: `memory_test_${++stores}`, dbname: "main" });
  engine.open();
  const set = (key: string, text: string) => engine.setText!(key, text, { timestamp: 7 });
  const texts = { ascii: '["text"]', wide: '["é漢"]', long: JSON.stringify("x".repeat(200_000)) };
  for (const [key, text] of Object.entries(texts)) set(key, text);
  // What is no ASCII or long is bytes at once.
  assertEquals(Object.keys(texts).map((key) => engine.getText!(key)), [
    texts.ascii,
    undefined,
    undefined,
  ]);
  assertEquals(engine.getText!("absent"), undefined);

  const decoder = new TextDecoder();
  const ways: Record<string, () => Promise<Entry | undefined>> = {
    get: async () => await engine.get("ascii"),
    getMany: async () => (await engine.getMany!(["ascii"]))[0],
    entries: async () => {
      for await (const [key, entry] of engine.entries!()) if (key === "ascii") return entry;
    },
  };
  for (const [way, read] of Object.entries(ways)) {
    set("ascii", texts.ascii);
    const bytes = engine.byteSize!();
    const entry = await read();
    assertEquals(decoder.decode({ ...entry! }.value), texts.ascii, way);
    assertEquals(entry?.timestamp, 7, way);
    assertEquals((await read())?.value, entry?.value, way);
    assertEquals(engine.byteSize!(), bytes, way);
    // A state is a state, as whatever it is kept.
    assert(engine.compareAndSet("ascii", entry, entryOf("next")), way);
    assertEquals(engine.getText!("ascii"), undefined, way);
  }
  set("ascii", texts.ascii);
  assertEquals(engine.delete("ascii"), true);
  engine.setText!("ascii", texts.ascii, { timestamp: 7, expiresAt: Date.now() - 1 });
  assertEquals(engine.getText!("ascii"), undefined);
  engine.clear();
  assertEquals(engine.byteSize!(), 0);
});

Deno.test("memory: texts take a part of the heap, and what is more is bytes", async () => {
  const engine = open();
  const text = JSON.stringify("x".repeat(130_000));
  const most = 256 * 2 ** 20;
  const fill = () => {
    let count = 0;
    for (; engine.getText!(`k${count - 1}`) !== undefined || count === 0; count++) {
      engine.setText!(`k${count}`, text, { timestamp: 0 });
    }
    return count - 1;
  };
  const count = fill();
  assert(count > 0 && count * text.length <= most && (count + 1) * text.length > most - 1_000_000);
  assertEquals((await engine.get(`k${count}`))?.value.length, text.length);
  // What has gone makes room for others, be it by a delete, a set, a reader of bytes or a clear.
  engine.delete("k0");
  engine.set("k1", entryOf("bytes"));
  await engine.get("k2");
  for (const key of ["a", "b", "c", "d"]) engine.setText!(key, text, { timestamp: 0 });
  assertEquals(["a", "b", "c"].map((key) => engine.getText!(key)), [text, text, text]);
  assertEquals(engine.getText!("d"), undefined);
  engine.clear();
  assertEquals(fill(), count);
  engine.clear();
});

Deno.test("memory: handles read each other's values, whatever they keep them as", async () => {
  const name = `memory_test_${++stores}`;
  await using text = new HashStash({ engine: "memory", name });
  const others = [
    { compress: "lz4" },
    { b64: true },
    { serializer: "v8" },
    { serializer: "json" },
    { near: true },
    { frozen: true },
    { maxEntries: 100 },
    { ttl: 60_000 },
  ] as const;
  await text.open();
  for (const options of others) {
    await using other = new HashStash({ engine: "memory", name, ...options });
    await other.open();
    const value = { a: ["text", 1.5, -2], b: { c: null } };
    for (const [writer, reader] of [[text, other], [other, text]]) {
      await writer.set("key", value);
      assertEquals(await reader.get("key"), value);
      assertEquals(await reader.getMany(["key", "absent", "key"]), [value, undefined, value]);
      assertEquals(await writer.getMany(["key"]), [value]);
      await writer.set("key", "another", { tags: ["tag"] });
      assertEquals(await reader.get("key"), "another");
      assertEquals(await reader.invalidate({ tags: ["tag"] }), 1);
      assertEquals(await writer.get("key"), undefined);
      const list = [[1, value], [2, new Uint8Array([1])], [1, "é"], [3, new Date(0)]] as const;
      await text.setMany(list);
      assertEquals(await reader.getMany([1, 2, 3]), ["é", new Uint8Array([1]), new Date(0)]);
      assertEquals((await Array.fromAsync(reader.values())).length, 3);
      await reader.clear();
    }
  }
});

Deno.test("memory: a value is the one at the call of set, and each reader's own", async () => {
  await using stash = new HashStash({ engine: "memory", name: `memory_test_${++stores}` });
  await stash.open();
  const value = { list: [1] };
  const stored = stash.set("key", value);
  value.list.push(2);
  await stored;
  const first = await stash.get("key") as typeof value;
  first.list.push(3);
  assertEquals(await stash.get("key"), { list: [1] });
  await assertRejects(() => stash.set("key", () => 1), TypeError, "function");
  assertEquals(await stash.get("key"), { list: [1] });
});
