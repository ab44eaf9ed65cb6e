/** Keyv over a stash: what both of its versions do, and inputs that once went wrong. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Keyv as Keyv5, type KeyvStoreAdapter } from "npm:keyv@^5.6.0";
import { Keyv as Keyv6, type KeyvStorageAdapter } from "npm:keyv@^6.1.0";
import { KeyvStash } from "../../adapters/keyv.ts";
import type { Engine } from "../../engines/engine.ts";
import { DecodeError, HashStash } from "../../mod.ts";
import { makeEngine, TestBed } from "../support/bed.ts";
import { damage, later, onEngines } from "../support/adapters.ts";

/** The engine, with a count of the calls of each of its methods. */
function countCalls(engine: Engine, calls: Map<string, number>): Engine {
  return new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1);
        return value.apply(target, args);
      };
    },
  });
}

for (const [version, Keyv] of [[6, Keyv6], [5, Keyv5]] as [number, typeof Keyv6][]) {
  onEngines(`keyv ${version}: values, deadlines, batches, namespaces, iteration`, async (bed) => {
    const stash = bed.stash();
    const users = new Keyv({ store: new KeyvStash(stash), namespace: "users" });
    const pages = new Keyv({ store: new KeyvStash(stash), namespace: "pages/of:it" });
    assertEquals(await users.get("absent"), undefined);
    assertEquals(await users.set("a", { n: 1 }), true);
    assertEquals(await users.get("a"), { n: 1 });
    assertEquals(await pages.get("a"), undefined);
    await pages.set("a", "page");
    await users.set("short", 1, 20);
    await later(30);
    assertEquals([await users.has("short"), await users.get("short")], [false, undefined]);
    await users.setMany([{ key: "b", value: 2 }, { key: "c", value: 3, ttl: 60_000 }]);
    assertEquals(await users.getMany(["a", "b", "c", "x"]), [{ n: 1 }, 2, 3, undefined]);
    assertEquals(await users.hasMany(["b", "x"]), [true, false]);
    assertEquals<unknown>(
      await users.deleteMany(["b", "x"]),
      version === 6 ? [true, false] : false,
    );
    assertEquals(await users.delete("b"), false);
    const seen = new Map<unknown, unknown>();
    // Keyv 5 gives its iterator the namespace.
    for await (const [key, value] of users.iterator!()) seen.set(key, value);
    assertEquals(seen, new Map<unknown, unknown>([["a", { n: 1 }], ["c", 3]]));
    await users.clear();
    assertEquals([await users.get("a"), await pages.get("a")], [undefined, "page"]);
    await users.disconnect();
    await pages.disconnect();
  });

  onEngines(`keyv ${version}: clear without a namespace empties that alone`, async (bed) => {
    const stash = bed.stash();
    const square = stash.stashedResult((n: number) => n * n, { name: "square" });
    await square(3);
    await using sub = stash.sub("other");
    await sub.set("a", 1);
    const users = new Keyv({ store: new KeyvStash(stash), namespace: "users" });
    await users.set("a", 1);
    const all = new Keyv({ store: new KeyvStash(stash), namespace: undefined });
    await all.set("a", 1);
    await all.clear();
    assertEquals(await all.get("a"), undefined);
    assertEquals([await sub.get("a"), await users.get("a"), await square.peek(3)], [1, 1, 9]);
    await square.stash.close();
    await users.disconnect();
  });

  onEngines(`keyv ${version}: of two pairs with one key the later wins`, async (bed) => {
    const keyv = new Keyv({ store: new KeyvStash(bed.stash()) });
    await keyv.setMany([
      { key: "a", value: "earlier" },
      { key: "b", value: "earlier", ttl: 60_000 },
      { key: "c", value: "earlier", ttl: 60_000 },
      { key: "a", value: "later", ttl: 60_000 },
      { key: "b", value: "later" },
      { key: "c", value: "later", ttl: 90_000 },
      { key: "d", value: "only" },
    ]);
    assertEquals(await keyv.getMany(["a", "b", "c", "d"]), ["later", "later", "later", "only"]);
    await keyv.disconnect();
  });

  onEngines(`keyv ${version}: the stash's ttl holds where Keyv says none`, async (bed) => {
    const stash = bed.stash({ ttl: 60_000 });
    const keyv = new Keyv({ store: new KeyvStash(stash), namespace: undefined });
    await keyv.set("a", 1);
    await keyv.set("long", 1, 90_000);
    await keyv.setMany([{ key: "b", value: 1 }, { key: "far", value: 1, ttl: 90_000 }]);
    const left = async (key: string) => (await stash.expiresAt(key))! - Date.now();
    for (const key of ["a", "b"]) {
      assert(await left(key) <= 60_000 && await left(key) > 50_000, key);
    }
    for (const key of ["long", "far"]) assert(await left(key) > 80_000, key);
    await keyv.disconnect();
  });

  onEngines(`keyv ${version}: lifetimes of centuries are lifetimes`, async (bed) => {
    const stash = bed.stash();
    const keyv = new Keyv({ store: new KeyvStash(stash), namespace: undefined });
    const century = 100 * 365.25 * 24 * 3_600_000;
    await keyv.set("one", 1, century);
    await keyv.set("five", 1, 5 * century);
    await keyv.setMany([{ key: "many", value: 1, ttl: century }]);
    for (
      const [key, ttl] of [["one", century], ["five", 5 * century], ["many", century]] as const
    ) {
      assert(Math.abs((await stash.expiresAt(key))! - Date.now() - ttl) < 10_000, key);
    }
    assertEquals(await keyv.getMany(["one", "five", "many"]), [1, 1, 1]);
    await keyv.disconnect();
  });

  onEngines(`keyv ${version}: namespaces are any text`, async (bed) => {
    const stash = bed.stash();
    const names = ["\uD800", "\uDFFF", "\uFFFD", "%ED%A0%80", "a\uD83D", "😀", "a/b", ".", "é"];
    const keyvs = names.map((namespace) => new Keyv({ store: new KeyvStash(stash), namespace }));
    for (const [i, keyv] of keyvs.entries()) assertEquals(await keyv.set("k", i), true, names[i]);
    assertEquals(await Promise.all(keyvs.map((keyv) => keyv.get("k"))), names.map((_, i) => i));
    await keyvs[0].clear();
    assertEquals(
      await Promise.all(keyvs.map((keyv) => keyv.get("k"))),
      names.map((_, i) => i === 0 ? undefined : i),
    );
    for (const keyv of keyvs) await keyv.disconnect();
  });

  Deno.test(`keyv ${version}: a thousand keys are a few batches`, async () => {
    const calls = new Map<string, number>();
    await using bed = await TestBed.create("sqlite");
    const engine = await makeEngine(bed.place, { name: "keyv_batches", dbname: "main" });
    const stash = new HashStash({ engine: countCalls(engine, calls) });
    const keyv = new Keyv({ store: new KeyvStash(stash), namespace: undefined });
    const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
    await keyv.setMany(keys.map((key) => ({ key, value: key })));
    calls.clear();
    assertEquals(await keyv.hasMany(keys), keys.map(() => true));
    assertEquals<unknown>(await keyv.deleteMany(keys), version === 6 ? keys.map(() => true) : true);
    assertEquals(await stash.size(), 0);
    for (const [method, times] of calls) assert(times < 10, `${method} was called ${times} times`);
    await keyv.disconnect();
  });
}

onEngines("keyv 5: a negative ttl leaves nothing", async (bed) => {
  const keyv = new Keyv5({ store: new KeyvStash(bed.stash()), throwOnErrors: true });
  await keyv.set("a", "old");
  await keyv.set("b", "old");
  assertEquals(await keyv.set("a", "new", -1), true);
  await keyv.setMany([{ key: "b", value: "new", ttl: -60_000 }]);
  await keyv.set("c", "new", -Infinity);
  assertEquals(await keyv.getMany(["a", "b", "c"]), [undefined, undefined, undefined]);
  assertEquals(await keyv.has("a"), false);
  await keyv.disconnect();
});

onEngines("keyv 6: a deadline that is past leaves nothing", async (bed) => {
  const keyv = new Keyv6({ store: new KeyvStash(bed.stash()) });
  for (const [key, expires] of [["a", Date.now() - 1], ["b", 1], ["c", -5]] as const) {
    await keyv.set(key, "old");
    assertEquals(await keyv.setRaw(key, { value: "new", expires }), true);
    assertEquals(await keyv.get(key), undefined, key);
  }
  await keyv.disconnect();
});

onEngines("keyv: a stored null and 0 are values", async (bed) => {
  const keyv = new Keyv6({ store: new KeyvStash(bed.stash()) });
  await keyv.set("null", null);
  await keyv.set("zero", 0);
  assertEquals([await keyv.get("null"), await keyv.get("zero")], [null, 0]);
  assertEquals(await keyv.has("zero"), true);
  await keyv.clear();
  assertEquals(await keyv.has("zero"), false);
  await keyv.disconnect();
});

onEngines("keyv: the store alone, without a Keyv in front", async (bed) => {
  const stash = bed.stash();
  const store = new KeyvStash(stash);
  await store.set("a", "text", 60_000);
  await store.set("b", "text", Date.now() + 60_000);
  for (const key of ["a", "b"]) {
    assert(Math.abs((await stash.expiresAt(key))! - Date.now() - 60_000) < 10_000, key);
  }
  assertEquals(await store.deleteMany(["a", "x", "a"]), [true, false, false]);
  await store.set("b", undefined);
  assertEquals([await store.has("b"), await store.hasMany(["b"])], [false, [false]]);
  // What Keyv can't have stored is not its own.
  await stash.set({ n: 1 }, "mine");
  await store.set("c", "text");
  assertEquals(await Array.fromAsync(store.iterator()), [["c", "text"]]);
  await store.disconnect();
});

onEngines("keyv: what can't be read is there, and can be removed and replaced", async (bed) => {
  const stash = bed.stash();
  const store = new KeyvStash(stash);
  await store.set("good", "text");
  await damage(bed, stash, "bad");
  await assertRejects(() => store.getMany(["good", "bad"]), DecodeError);
  assertEquals(await store.hasMany(["bad", "x", "good"]), [true, false, true]);
  assertEquals(await store.deleteMany(["bad", "x", "bad"]), [true, false, false]);
  assertEquals([await store.has("bad"), await store.has("good")], [false, true]);
  await damage(bed, stash, "bad");
  await store.setMany([{ key: "bad", value: "new" }]);
  assertEquals(await store.getMany(["good", "bad"]), ["text", "new"]);
  await store.disconnect();
});

onEngines("keyv: disconnect waits for what is under way", async (bed) => {
  const stash = bed.stash();
  const keyv = new Keyv6({ store: new KeyvStash(stash) });
  await keyv.set("a", 1);
  const deleted = keyv.deleteMany(["a", "b"]);
  const stored = keyv.setMany([{ key: "c", value: 1 }, { key: "d", value: 1, ttl: 60_000 }]);
  await later(0);
  await keyv.disconnect();
  assertEquals([await deleted, await stored], [[true, false], [true, true]]);
});

Deno.test("keyv: it is a store by the types of both versions", async () => {
  const store = new KeyvStash(new HashStash({ engine: "memory", name: "keyv_types" }));
  const of6: KeyvStorageAdapter = store;
  const of5: KeyvStoreAdapter = store;
  assertEquals(await of6.set("a", "text"), true);
  assertEquals(await of5.get<string>("a"), "text");
  await store.disconnect();
});
