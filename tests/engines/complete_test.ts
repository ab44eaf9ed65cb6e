/**
 * The contract on engines that have only what the interface requires: everything else is derived.
 */
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { DecodeError } from "../../codec/errors.ts";
import { complete } from "../../engines/complete.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import type { Engine, EngineLocation } from "../../engines/engine.ts";
import { memory as createEngine } from "../../engines/memory/mod.ts";

/** Memory without its optional methods. */
function required(location: EngineLocation): Engine {
  const engine = createEngine(location, {});
  return {
    name: "required",
    path: engine.path,
    supports: { persistent: false, shared: false },
    open: () => engine.open(),
    close: () => engine.close(),
    get: (key) => engine.get(key),
    set: (key, entry) => engine.set(key, entry),
    delete: (key) => engine.delete(key),
    compareAndSet: (key, expected, next) => engine.compareAndSet(key, expected, next),
    keys: (prefix) => engine.keys(prefix),
    size: () => engine.size(),
    clear: (deep) => engine.clear(deep),
  };
}

/** The same, with every answer after a while, as a server gives it. */
function slow(location: EngineLocation): Engine {
  const engine = required(location);
  const wait = async <T>(fn: () => T | Promise<T>): Promise<T> => {
    const result = await fn();
    await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
    return result;
  };
  return {
    ...engine,
    name: "slow",
    get: (key) => wait(() => engine.get(key)),
    set: (key, entry) => wait(() => engine.set(key, entry)),
    delete: (key) => wait(() => engine.delete(key)),
    async *keys(prefix) {
      for await (const key of engine.keys(prefix)) yield await wait(() => key);
    },
    size: () => wait(() => engine.size()),
  };
}

for (const create of [required, slow]) {
  for (const { name, fn } of engineContract({ create })) {
    Deno.test({ name: `${create.name} ${name}`, fn, sanitizeOps: true, sanitizeResources: true });
  }
}

Deno.test("derived batches keep a bounded number of calls in flight", async () => {
  const engine = slow({ name: "derived_bound", dbname: "main" });
  let flying = 0, most = 0;
  const counted = complete({
    ...engine,
    async get(key) {
      most = Math.max(most, ++flying);
      const entry = await engine.get(key);
      flying--;
      return entry;
    },
  });
  await counted.open();
  await counted.getMany(Array.from({ length: 500 }, (_, i) => `key ${i}`));
  assertEquals(most, 32);
});

Deno.test("a derived batch that fails starts no more calls", async () => {
  const engine = slow({ name: "derived_failing", dbname: "main" });
  let calls = 0;
  const failing = complete({
    ...engine,
    async get(key) {
      if (++calls > 40) throw new Error("broken");
      return await engine.get(key);
    },
  });
  await failing.open();
  const keys = Array.from({ length: 5_000 }, (_, i) => `key ${i}`);
  await assertRejects(async () => await failing.getMany(keys), Error, "broken");
  const then = calls;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(calls, then);
});

Deno.test("a derived check finds damaged entries, and removes them when asked", async () => {
  const engine = required({ name: "derived_check", dbname: "main" });
  const damaged = complete({
    ...engine,
    get(key) {
      if (key === "bad") throw new DecodeError("broken", { engine: "required", key });
      return engine.get(key);
    },
  });
  await damaged.open();
  for (const key of ["good", "bad"]) {
    await damaged.set(key, { value: Uint8Array.of(1), timestamp: 0 });
  }
  const problem = { kind: "damaged" as const, key: "bad", detail: "broken" };
  assertEquals(await damaged.check({ fix: false }), {
    checked: 2,
    problems: [{ ...problem, fixed: false }],
  });
  assertEquals((await damaged.check({ fix: true })).problems, [{ ...problem, fixed: true }]);
  assertEquals(await damaged.check({ fix: false }), { checked: 1, problems: [] });
});

Deno.test("derived batches of a synchronous engine let timers run in between", async () => {
  const engine = required({ name: "derived_turns", dbname: "main" });
  const busy = complete({
    ...engine,
    get(key) {
      const end = performance.now() + 1;
      while (performance.now() < end) continue;
      return engine.get(key);
    },
  });
  await busy.open();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await busy.getMany(Array.from({ length: 100 }, (_, i) => `key ${i}`));
  clearInterval(timer);
  // A hundred milliseconds of work in turns of eight.
  assertGreater(ticks, 5);
});
