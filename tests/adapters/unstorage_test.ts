/** A stash as a driver of unstorage: what unstorage's tests ask of its drivers, and more. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createStorage, type Driver, prefixStorage, restoreSnapshot } from "npm:unstorage@^1.17.0";
import { stashDriver } from "../../adapters/unstorage.ts";
import type { TestBed } from "../support/bed.ts";
import { later, onEngines } from "../support/adapters.ts";
import { suiteOnEngines } from "../support/suite.ts";

const storageOn = (bed: TestBed) => createStorage({ driver: stashDriver(bed.stash()) });
type Storage = ReturnType<typeof storageOn>;

const sorted = async (keys: Promise<string[]>) => (await keys).sort();

class Json {
  constructor(readonly json: unknown) {}
  toJSON() {
    return this.json;
  }
}

/** After the tests of unstorage's drivers, which are not published. */
const DRIVER_CLAIMS: Record<string, (storage: Storage) => Promise<void>> = {
  async "a snapshot is restored"(storage) {
    await restoreSnapshot(storage, { initial: "works" });
    assertEquals(await storage.getItem("initial"), "works");
  },
  async "at first there is nothing"(storage) {
    assertEquals(await storage.hasItem("s1:a"), false);
    assertEquals(await storage.getItem("s2:a"), null);
    assertEquals(await storage.getKeys(), []);
  },
  async "setItem; what follows ? is no part of a key"(storage) {
    await storage.setItem("s1:a", "text");
    await storage.setItem("s3:a?q=1", "text");
    assertEquals(await storage.hasItem("s1:a"), true);
    assertEquals(await storage.getItem("s1:a"), "text");
    assertEquals(await storage.getItem("s3:a?q=2"), "text");
  },
  async "getKeys, of all and of a base"(storage) {
    for (const key of ["s1:a", "s2:a", "s3:a?q=1"]) await storage.setItem(key, "text");
    assertEquals(await sorted(storage.getKeys()), ["s1:a", "s2:a", "s3:a"]);
    assertEquals(await sorted(storage.getKeys("s1")), ["s1:a"]);
  },
  async "getKeys to a depth"(storage) {
    const keys = ["d0", "a:b:c0", "a:b:c1", "a:b0", "a:b1"];
    for (const key of keys) await storage.setItem(key, "text");
    assertEquals(await storage.getKeys(undefined, { maxDepth: 0 }), ["d0"]);
    assertEquals(await sorted(storage.getKeys(undefined, { maxDepth: 1 })), ["a:b0", "a:b1", "d0"]);
    assertEquals(await sorted(storage.getKeys(undefined, { maxDepth: 2 })), keys.sort());
  },
  async "objects"(storage) {
    await storage.setItem("/data/test.json", { json: "works" });
    assertEquals(await storage.getItem("/data/test.json"), { json: "works" });
  },
  async "primitives"(storage) {
    await storage.setItem("/data/true.json", true);
    assertEquals(await storage.getItem("/data/true.json"), true);
  },
  async "objects with toJSON"(storage) {
    await storage.setItem("one", new Json("text"));
    await storage.setItem("two", new Json({ a: "works" }));
    assertEquals(await storage.getItem("one"), "text");
    assertEquals(await storage.getItem("two"), { a: "works" });
  },
  async "other instances are refused"(storage) {
    class Other {}
    await assertRejects(() => storage.setItem("bad", new Other()), Error, "stringify");
  },
  async "raw bytes"(storage) {
    await storage.setItemRaw("raw.bin", new Uint8Array([1, 2, 3]));
    assertEquals(await storage.getItemRaw("raw.bin"), new Uint8Array([1, 2, 3]));
  },
  async "setItems"(storage) {
    await storage.setItems(["1", "2", "3"].map((n) => ({ key: `t:${n}`, value: `of ${n}` })));
    for (const n of ["1", "2", "3"]) assertEquals(await storage.getItem(`t:${n}`), `of ${n}`);
  },
  async "getItems, in the order of the keys"(storage) {
    await storage.setItem("v3:a?q=1", "three");
    await storage.setItem("v2:a", "two");
    await storage.setItem("v1:a", "one");
    assertEquals(
      await storage.getItems([{ key: "v1:a" }, "v2:a", { key: "v3:a?q=1" }, "v4:absent"]),
      [
        { key: "v1:a", value: "one" },
        { key: "v2:a", value: "two" },
        { key: "v3:a", value: "three" },
        { key: "v4:absent", value: null },
      ],
    );
  },
  async "0 and false are values"(storage) {
    await storage.setItem("zero", 0);
    await storage.setItem("flag", false);
    assertEquals([await storage.getItem("zero"), await storage.getItem("flag")], [0, false]);
  },
  async "removeItem"(storage) {
    await storage.setItem("s1:a", "text");
    await storage.removeItem("s1:a");
    assertEquals([await storage.hasItem("s1:a"), await storage.getItem("s1:a")], [false, null]);
  },
  async "clear, also of nothing"(storage) {
    await storage.setItem("s1:a", "text");
    await storage.clear();
    assertEquals(await storage.getKeys(), []);
    await storage.clear();
    assertEquals(await storage.getKeys(), []);
  },
  async "bytes of every sort"(storage) {
    await storage.setItemRaw("a", new TextEncoder().encode("Hello, world!"));
    await storage.setItemRaw("b", new Uint8Array([2, 0, 2, 255]));
    assertEquals(await storage.getItemRaw("a"), new TextEncoder().encode("Hello, world!"));
    assertEquals(await storage.getItemRaw("b"), new Uint8Array([2, 0, 2, 255]));
  },
  async "setItems with a lifetime"(storage) {
    await storage.setItems([{ key: "a", value: "1" }, { key: "b", value: "2" }], { ttl: 1_000 });
    for (const key of ["a", "b"]) assert((await storage.getMeta(key)).ttl as number > 900, key);
  },
  async "items that have ended are gone"(storage) {
    for (let i = 0; i < 10; i++) await storage.setItem(`k${i}`, "text", { ttl: 0.01 });
    await later(30);
    assertEquals(await storage.getKeys(), []);
    assertEquals(await storage.getItem("k0"), null);
  },
};

suiteOnEngines(
  "unstorage: the tests of its drivers",
  storageOn,
  DRIVER_CLAIMS,
  (storage) => storage.dispose(),
);

onEngines("unstorage: mounts, prefixes and meta", async (bed) => {
  const stash = bed.stash();
  const driver: Driver = stashDriver(stash);
  const storage = createStorage({ driver });
  await storage.setItem("long", "x", { ttl: 60 });
  const left = Number((await storage.getMeta("long")).ttl);
  assert(left > 50 && left <= 60, `${left} s`);
  await storage.setItem("short", "x", { ttl: 0.02 });
  await later(30);
  assertEquals([await storage.getItem("short"), await storage.getItem("long")], [null, "x"]);
  await storage.setItems([{ key: "m:1", value: "1" }, { key: "m:2", value: "2" }]);
  assertEquals(await sorted(prefixStorage(storage, "m").getKeys()), ["1", "2"]);
  await storage.clear();
  await using other = bed.stash();
  storage.mount("other", stashDriver(other));
  await storage.setItem("other:a", 1);
  await storage.setItem("mine", 2);
  assertEquals(await other.get("a"), "1");
  await storage.clear("other");
  assertEquals([await other.size(), await storage.getItem("mine")], [0, 2]);
  await storage.dispose();
});

onEngines("unstorage: of two items with one key the later wins", async (bed) => {
  const storage = storageOn(bed);
  await storage.setItems([
    { key: "a", value: "earlier" },
    { key: "b", value: "earlier", options: { ttl: 60 } },
    { key: "c", value: "earlier", options: { ttl: 60 } },
    { key: "a", value: "later", options: { ttl: 60 } },
    { key: "b", value: "later" },
    { key: "c", value: "later", options: { ttl: 90 } },
    { key: "d", value: "only" },
  ]);
  assertEquals(
    (await storage.getItems(["a", "b", "c", "d"])).map(({ value }) => value),
    ["later", "later", "later", "only"],
  );
  await storage.dispose();
});

onEngines("unstorage: the stash's ttl, and lifetimes of 0 and below", async (bed) => {
  const stash = bed.stash({ ttl: 60_000 });
  const storage = createStorage({ driver: stashDriver(stash) });
  await storage.setItem("own", "1");
  await storage.setItem("zero", "1", { ttl: 0 });
  await storage.setItems([{ key: "many", value: "1", options: { ttl: 0 } }]);
  for (const key of ["own", "zero", "many"]) {
    const left = Number((await storage.getMeta(key)).ttl);
    assert(left > 50 && left <= 60, `${key} has ${left} s left`);
  }
  await storage.setItem("own", "2", { ttl: -1 });
  await storage.setItems([{ key: "many", value: "2" }], { ttl: -0.001 });
  assertEquals(await storage.getKeys(), ["zero"]);
  await storage.dispose();
});

onEngines("unstorage: a base is about its keys alone", async (bed) => {
  const stash = bed.stash();
  const driver = stashDriver(stash);
  const storage = createStorage({ driver });
  for (const key of ["user:7:a", "user:7:b:c", "user:70:a", "other"]) await storage.setItem(key, 1);
  await stash.set(["user:7:a"], "not unstorage's");
  await stash.set(7, "nor this");
  assertEquals(await sorted(storage.getKeys("user:7")), ["user:7:a", "user:7:b:c"]);
  assertEquals(await sorted(storage.getKeys()), ["other", "user:70:a", "user:7:a", "user:7:b:c"]);
  assertEquals(await sorted(driver.getKeys()), ["other", "user:70:a", "user:7:a", "user:7:b:c"]);
  await driver.clear("user:7:");
  assertEquals(await sorted(storage.getKeys()), ["other", "user:70:a"]);
  assertEquals(await stash.size(), 4);
  await storage.clear();
  assertEquals(await stash.size(), 0);
  // What was being computed before is not kept after, as little as what was stored.
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const result = stash.getOrSet("user:7:a", async () => {
    begun.resolve();
    await gate.promise;
    return "2";
  });
  await begun.promise;
  await driver.clear("user:7:");
  gate.resolve();
  assertEquals([await result, await storage.getItem("user:7:a")], ["2", null]);
  await storage.dispose();
});

onEngines("unstorage: tags go to the stash", async (bed) => {
  const stash = bed.stash();
  const storage = createStorage({ driver: stashDriver(stash) });
  await storage.setItem("one", 1, { tags: ["a"], ttl: 60 });
  await storage.setItemRaw("raw", new Uint8Array([1]), { tags: ["a", "b"] });
  await storage.setItems([
    { key: "many:1", value: "1" },
    { key: "many:2", value: "2", options: { tags: ["c"] } },
    { key: "many:3", value: "3", options: { ttl: 60, tags: ["c"] } },
  ], { tags: ["a"] });
  const { expiresAt, tags } = (await stash.entry("one"))!;
  assertEquals([expiresAt !== undefined, tags], [true, ["a"]]);
  assertEquals((await stash.entry("many:3"))?.tags, ["c"]);
  assertEquals(await stash.invalidate({ tags: ["a"] }), 3);
  assertEquals(await sorted(storage.getKeys()), ["many:2", "many:3"]);
  await assertRejects(() => storage.setItem("bad", 1, { tags: "a" }), TypeError, "tags");
  await assertRejects(() => storage.setItems([{ key: "bad", value: "1" }], { tags: [""] }));
  assertEquals(await storage.hasItem("bad"), false);
  await storage.dispose();
});
