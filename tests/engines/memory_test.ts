import { assert, assertEquals, assertThrows } from "@std/assert";
import { memory as createEngine } from "../../engines/memory/mod.ts";
import type { Engine } from "../../engines/engine.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { entryOf } from "../support/entries.ts";
import { contractTests } from "../support/contract.ts";

contractTests("memory");
behaviours("memory");

let stores = 0;

function open(options: Record<string, unknown> = {}, name = `memory_test_${++stores}`): Engine {
  const engine = createEngine({ name, dbname: "main" }, options);
  engine.open();
  return engine;
}

function keys(engine: Engine): string[] {
  return [...engine.keys() as Iterable<string>].sort();
}

Deno.test("memory: maxEntries drops what was used least recently, and get counts as use", () => {
  const engine = open({ maxEntries: 2 });
  engine.set("a", entryOf("1"));
  engine.set("b", entryOf("2"));
  engine.get("a");
  engine.set("c", entryOf("3"));
  assertEquals(keys(engine), ["a", "c"]);
  assertEquals(engine.evictions, 1);
});

Deno.test("memory: maxBytes counts keys and values", () => {
  const engine = open({ maxBytes: 10 });
  engine.set("a", entryOf("1234"));
  engine.set("b", entryOf("1234"));
  assertEquals(keys(engine), ["a", "b"]);
  engine.set("b", entryOf("12345"));
  assertEquals(keys(engine), ["b"]);
  engine.set("c", entryOf("too long for it"));
  assertEquals(keys(engine), []);
  assertEquals(engine.evictions, 3);
  assertEquals(engine.byteSize?.(), 0);
});

Deno.test("memory: limits are those of the handle that writes", () => {
  const free = open({}, "memory_limits");
  for (let i = 0; i < 10; i++) free.set(`k${i}`, entryOf("v"));
  const limited = open({ maxEntries: 4 }, "memory_limits");
  assertEquals(limited.evictions, 6);
  assertEquals(keys(free), ["k6", "k7", "k8", "k9"]);
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
  assert(bytes < 2_000 * 6, `${bytes} bytes are kept`);
  assertEquals(engine.size(), 0);
});

Deno.test("memory: an iteration ends though each step sets new keys", () => {
  const engine = open();
  for (let i = 0; i < 3; i++) engine.set(`k${i}`, entryOf("v"));
  let count = 0;
  for (const key of engine.keys() as Iterable<string>) {
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
