/**
 * Arguments that make no sense, as programs pass them by mistake: each is refused, by a message
 * that says what is wrong.
 */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { decodeKey } from "../../codec/mod.ts";
import { deserialize, HashStash, stashedResult } from "../../mod.ts";

// deno-lint-ignore no-explicit-any -- what is passed here, the types refuse
type Loose = any;

const loose = (name: string): Loose => new HashStash({ name, engine: "memory" });

Deno.test("the constructor takes a name and options, options alone, or an absent name", () => {
  const Make: Loose = HashStash;
  assertEquals(new Make(undefined, { engine: "memory" }).engine, "memory");
  assertEquals(new Make("n", { engine: "memory", name: "other" }).name, "n");
  assertThrows(() => new Make({ engine: "memory" }, { name: "n" }), TypeError, "options twice");
});

Deno.test("the dbnames that a stash keeps for itself are refused", () => {
  const stash = loose("reserved");
  for (const reserved of [".versions", ".errors", ".leases", ".tags", ".use", ".function"]) {
    for (const name of [reserved, `a/${reserved}`, `${reserved}/a`]) {
      assertThrows(() => stash.sub(name), TypeError, `keeps "${reserved}" for itself`);
    }
    const named = stash.stashedResult(() => 1, { name: reserved });
    assertEquals(named.stash.dbname, `main/%2e${reserved.slice(1)}`);
  }
  assertEquals(stash.sub(".version").dbname, "main/.version");
});

Deno.test("load refuses records whose times are none, and stores nothing of them", async () => {
  for (const appendMode of [false, true]) {
    await using stash: Loose = new HashStash({
      name: `times ${appendMode}`,
      engine: "memory",
      appendMode,
    });
    const record = { key: "k", value: await stash.encodeValue(1), version: 1 };
    for (const name of ["timestamp", "expiresAt", "stale"]) {
      for (const [time, error] of [["soon", TypeError], [NaN, RangeError]] as const) {
        const bad = [record, { ...record, [name]: time }];
        await assertRejects(() => stash.load(bad), error, name);
      }
    }
    assertEquals(await stash.size(), 0);
    assertEquals(await stash.load([{ ...record, expiresAt: Infinity }]), 1);
    assertEquals([await stash.get("k"), await stash.expiresAt("k")], [1, Infinity]);
  }
});

Deno.test("load refuses what is no collection of records", async () => {
  await using stash = loose("records");
  for (const records of [null, undefined, 5, "ab", {}, stash.set("key", 1)]) {
    await assertRejects(() => stash.load(records), TypeError, "iterable of records");
  }
  assertEquals(await stash.sub("copy").load(stash.dump()), 1);
});

Deno.test("methods refuse options that are none, or have other names", async () => {
  await using stash = loose("options");
  await stash.set("key", 1, undefined);
  for (const options of [null, 5_000, "1 h", { tll: 5 }]) {
    await assertRejects(() => stash.set("key", 2, options), TypeError, "option");
    await assertRejects(() => stash.setMany([["key", 2]], options), TypeError, "option");
    await assertRejects(() => stash.getOrSet("key", () => 2, options), TypeError, "option");
    await assertRejects(() => stash.getAll("key", options), TypeError, "option");
    await assertRejects(() => stash.clear(options), TypeError, "option");
    await assertRejects(() => stash.check(options), TypeError, "option");
    await assertRejects(() => Array.fromAsync(stash.query(options)), TypeError, "option");
    await assertRejects(() => stash.profile(options), TypeError, "option");
    assertThrows(() => stash.records(options), TypeError, "option");
  }
  await assertRejects(() => stash.check({ fix: "yes" }), TypeError, "boolean");
  for (const name of ["flatten", "withMetadata", "allVersions"]) {
    assertThrows(() => stash.records({ [name]: "no" }), TypeError, "boolean");
  }
  await assertRejects(() => Array.fromAsync(stash.query({ key: "k" })), TypeError, "predicate");
  await assertRejects(() => stash.getOrSet("k", () => 1, { signal: {} }), TypeError, "AbortSignal");
  assertThrows(() => stash.map(() => 1, [], { force: 1 }), TypeError, "boolean");
  assertThrows(() => stashedResult({ stash: {} } as Loose), TypeError, "HashStash");
  assertEquals(await stash.toMap(), new Map([["key", 1]]));
});

Deno.test("update and the batches refuse what is no collection", async () => {
  await using stash = loose("collections");
  class Point {
    x = 1;
  }
  for (const other of [null, undefined, 3, "ab", new Date(), new Point(), Promise.resolve({})]) {
    await assertRejects(() => stash.update(other), TypeError, "Expected a Map");
    await assertRejects(() => stash.setMany(other), TypeError, "Expected a Map");
  }
  for (const keys of [null, undefined, 3, "ab", {}]) {
    await assertRejects(() => stash.getMany(keys), TypeError, "iterable of keys");
    await assertRejects(() => stash.deleteMany(keys), TypeError, "iterable of keys");
  }
  await stash.update({ a: 1 });
  await stash.update(Object.assign(Object.create(null), { b: 2 }));
  assertEquals(await stash.getMany(new Set(["a", "b"])), [1, 2]);
});

Deno.test("what a getter or a trap throws names the place in the value, with the cause", async () => {
  await using stash = loose("getters");
  const cause = new RangeError("out of order");
  const fail = (): never => {
    throw cause;
  };
  const broken = Object.defineProperty({}, "b", { get: fail, enumerable: true });
  for (const serializer of ["hashstash", "json", "msgpack", "v8"] as const) {
    await using other: HashStash = stash.sub(serializer, { serializer });
    const error = await assertRejects(() => other.set("k", { a: [broken] }), TypeError, "$.a[0].b");
    assertEquals(error.cause, cause);
    assert(!await other.has("k"));
  }
  const key = await assertRejects(() => stash.get({ a: broken }), TypeError, "Cannot encode key");
  assert(key.message.includes("$.a.b cannot be read: out of order"), key.message);
  const trapped = new Proxy({}, { getPrototypeOf: fail });
  assertInstanceOf(
    (await assertRejects(() => stash.set("k", trapped), TypeError)).cause,
    RangeError,
  );
  const detached = new DataView(new ArrayBuffer(8));
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  await assertRejects(
    () => stash.set("k", [detached]),
    TypeError,
    "$[0] is a DataView on a detached",
  );
});

Deno.test("functions that a closed stash is given say that it is closed", async () => {
  const stash = loose("closed");
  await stash.close();
  const one = () => 1;
  await assertRejects(() => stash.run(one), Error, "is closed");
  await assertRejects(() => stash.stashedResult(one)(), Error, "is closed");
  await assertRejects(() => stash.map(one, [1]).results(), Error, "is closed");
});

Deno.test("a key of fewer arguments does not narrow those of the function", async () => {
  await using stash = new HashStash({ name: "typed", engine: "memory" });
  const join = (a: string, b = "x", ...more: string[]) => [a, b, ...more].join("");
  const stashed = stash.stashedResult(join, { key: (a) => a, ttl: (text) => text.length });
  const text: string = await stashed("a", "b", "c");
  assertEquals(text, "abc");
  assertEquals(stashed.key("a", "b"), "a");
});

Deno.test("what is no stored bytes, or no text of a key, is a TypeError and no damage", async () => {
  await using stash = loose("bytes");
  for (const other of ["{}", null, undefined, 5, [1, 2], new ArrayBuffer(2), new Uint16Array(2)]) {
    const bytes = other as unknown as Uint8Array;
    for (const read of [deserialize, (bytes: Uint8Array) => stash.decodeValue(bytes)]) {
      await assertRejects(() => read(bytes), TypeError, "bytes: expected a Uint8Array, got");
    }
  }
  for (const other of [null, undefined, 5, ["a"], new Uint8Array([97])]) {
    const text = other as unknown as string;
    for (const read of [decodeKey, (text: string) => stash.decodeKey(text)]) {
      assertThrows(() => read(text), TypeError, "Cannot decode key: expected its text, got");
    }
  }
});
