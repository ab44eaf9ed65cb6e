/**
 * The contract on engines that have only what the interface requires: everything else is derived.
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { DecodeError } from "../../codec/errors.ts";
import { complete } from "../../engines/complete.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import type { Engine, EngineLocation, EngineOperation } from "../../engines/engine.ts";
import { EngineError } from "../../engines/errors.ts";
import { memory as createEngine } from "../../engines/memory/mod.ts";
import { entryOf, statesOf } from "../support/entries.ts";

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

/** An engine, how often it was opened and closed, and whether that fails. */
function counted(): { engine: Engine; log: string[]; fails: { open: boolean } } {
  const engine = slow({ name: "counted", dbname: crypto.randomUUID() });
  const log: string[] = [];
  const fails = { open: false };
  const step = async (name: string) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (name === "open" && fails.open) throw new Error("not now");
    log.push(name);
  };
  return {
    engine: {
      ...engine,
      open: async () => (await step("open"), await engine.open()),
      close: async () => (await step("close"), await engine.close()),
    },
    log,
    fails,
  };
}

Deno.test("opened twice at once, an engine is closed by one close", async () => {
  const { engine, log, fails } = counted();
  const store = complete(engine);
  await Promise.all([store.open(), store.open()]);
  assertEquals(await store.size(), 0);
  await Promise.all([store.close(), store.close()]);
  assertEquals(log, ["open", "close"]);
  await store.open();
  await store.close();
  assertEquals(log.length, 4);
  fails.open = true;
  const opening = [store.open(), store.open()];
  for (const open of opening) await assertRejects(async () => await open, EngineError, "not now");
  fails.open = false;
  await store.open();
  assertEquals(await store.size(), 0);
  await store.close();
  assertEquals(log.length, 6);
});

Deno.test("closed while it is opened, an engine does not stay open", async () => {
  const { engine, log, fails } = counted();
  const store = complete(engine);
  const opening = store.open();
  await store.close();
  await opening;
  assertEquals(log, ["open", "close"]);
  await assertRejects(async () => await store.size(), TypeError, "not open");
  // And opened once more before that has ended.
  const again = [store.open(), store.close(), store.open()];
  await Promise.all(again);
  assertEquals(await store.size(), 0);
  await store.close();
  assertEquals(log.filter((step) => step === "open").length, log.length / 2);
  fails.open = true;
  const failing = store.open();
  const rejected = assertRejects(async () => await failing, EngineError, "not now");
  await store.close();
  await rejected;
});

Deno.test("a mistake in an engine's code is no error of its caller's arguments", async () => {
  const mistake = () => (undefined as unknown as { rows: string[] }).rows;
  const late = async () => {
    await 0;
    throw new RangeError("Invalid array length");
  };
  const engine: Engine = {
    ...required({ name: "mistaken", dbname: crypto.randomUUID() }),
    get: mistake as unknown as Engine["get"],
    getValue: late,
    has: late,
    keys: mistake,
    entries: mistake as unknown as Engine["entries"],
    // What fetch says when no server is there.
    set: () => Promise.reject(new TypeError("error sending request")),
    delete: () => Promise.reject(new TypeError("error sending request")),
    compareAndSet: () => Promise.reject(new RangeError("It is too large")),
    setMany: () => Promise.reject(new RangeError("They are too large")),
    explain: (error, operation) =>
      operation === "delete" ? new TypeError("Not this key", { cause: error }) : undefined,
  };
  const store = complete(engine);
  await store.open();
  const entry = entryOf("value");
  const faults: [EngineOperation, () => unknown][] = [
    ["get", () => store.get("key")],
    ["get", () => store.getValue("key")],
    ["has", () => store.has("key")],
    ["keys", () => Array.fromAsync(store.keys())],
    ["entries", () => Array.fromAsync(store.entries())],
    ["set", () => store.set("key", entry)],
  ];
  for (const [operation, fault] of faults) {
    const error = await assertRejects(async () => await fault(), EngineError);
    assertEquals([error.engine, error.operation], ["required", operation]);
    assert(error.cause instanceof TypeError || error.cause instanceof RangeError, String(error));
    assertStringIncludes(error.message, error.cause.message);
  }
  const told = async (call: () => unknown, type: new () => Error, message: string) => {
    await assertRejects(async () => await call(), type, message);
  };
  await told(() => store.compareAndSet("key", undefined, entry), RangeError, "It is too large");
  await told(() => store.setMany([["key", entry]]), RangeError, "They are too large");
  await told(() => store.delete("key"), TypeError, "Not this key");
  await store.close();
});

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

/** Memory whose bad entry only `explain` knows to be one, and is told of by its full key. */
function explaining(location: EngineLocation): Engine {
  const engine = required(location);
  return {
    ...engine,
    get(key) {
      if (key.endsWith("bad")) throw new Error("broken");
      return engine.get(key);
    },
    explain(_error, _operation, key) {
      return new DecodeError(`the file of ${key} is broken`, { key });
    },
  };
}

for (const prefix of ["", "u:"]) {
  const what = `of ${prefix === "" ? "an engine" : "a part of one"} that explains its errors`;
  const open = async () => {
    const engine = explaining({ name: `explained ${prefix}`, dbname: crypto.randomUUID() });
    const store = complete(engine, { prefix });
    await store.open();
    for (const key of ["good", "bad"]) {
      await store.set(key, { value: Uint8Array.of(1), timestamp: 0 });
    }
    return store;
  };

  Deno.test(`a derived check ${what} names the damaged entry`, async () => {
    const store = await open();
    const detail = `the file of ${prefix}bad is broken`;
    assertEquals(await store.check({ fix: true }), {
      checked: 2,
      problems: [{ kind: "damaged", key: "bad", detail, fixed: true }],
    });
    assertEquals(await store.check({ fix: false }), { checked: 1, problems: [] });
  });

  Deno.test(`each derived read ${what} names the damaged entry`, async () => {
    const store = await open();
    const reads: Record<string, () => unknown> = {
      get: () => store.get("bad"),
      getMany: () => store.getMany(["good", "bad"]),
      getValues: () => store.getValues(["good", "bad"]),
      entries: () => Array.fromAsync(store.entries()),
      byteSize: () => store.byteSize(),
    };
    for (const [read, fn] of Object.entries(reads)) {
      const error = await assertRejects(async () => await fn(), DecodeError, undefined, read);
      assertEquals([error.engine, error.key], ["required", "bad"], read);
      assertStringIncludes(error.message, `the file of ${prefix}bad is broken`, read);
    }
  });
}

Deno.test("an error in a derived read of many is one of what was called", async () => {
  const engine = slow({ name: "derived_operation", dbname: "main" });
  const failing = complete({ ...engine, get: () => Promise.reject(new Error("broken")) });
  await failing.open();
  await failing.set("key", { value: Uint8Array.of(1), timestamp: 0 });
  const reads: [string, () => unknown][] = [
    ["getMany", () => failing.getMany(["key"])],
    ["getMany", () => failing.getValues(["key"])],
    ["entries", () => Array.fromAsync(failing.entries())],
    ["byteSize", () => failing.byteSize()],
  ];
  for (const [operation, fn] of reads) {
    const error = await assertRejects(async () => await fn(), EngineError, "broken");
    assertEquals(error.operation, operation);
  }
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

Deno.test("an engine's own deleteUnchanged is given whole keys, and no empty list", async () => {
  const engine = required({ name: "own", dbname: crypto.randomUUID() });
  const calls: string[][] = [];
  const whole: Engine = {
    ...engine,
    compareAndSet: () => Promise.reject(new Error("It is to be asked for all at once")),
    deleteUnchanged(entries) {
      calls.push(entries.map(([key]) => key));
      return entries.map(([key]) => key === "a:2");
    },
  };
  const store = complete(whole, { prefix: "a:" });
  await store.open();
  await store.setMany([["1", entryOf("1")], ["2", entryOf("2")]]);
  assertEquals(await store.deleteUnchanged(await statesOf(store, ["1", "2"])), [false, true]);
  assertEquals(await store.deleteUnchanged([]), []);
  assertEquals(calls, [["a:1", "a:2"]]);
  await store.close();
});
