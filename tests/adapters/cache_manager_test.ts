/**
 * A stash as a store of cache-manager, through its KeyvAdapter and as a store of Keyv itself: what
 * cache-manager's tests say of a cache, without those of its own events and errors.
 */
import { assert, assertEquals } from "@std/assert";
import { type CacheManagerStore, createCache, KeyvAdapter } from "npm:cache-manager@^7.2.0";
import { Keyv } from "npm:keyv@^5.6.0";
import { CacheManagerStash } from "../../adapters/cache_manager.ts";
import { KeyvStash } from "../../adapters/keyv.ts";
import type { HashStash } from "../../mod.ts";
import type { TestBed } from "../support/bed.ts";
import { later, onEngines, until } from "../support/adapters.ts";
import { suiteOnEngines } from "../support/suite.ts";

interface Context {
  readonly keyv: Keyv;
  readonly cache: ReturnType<typeof createCache>;
  /** Another layer. */
  readonly second: Keyv;
}

const CLAIMS: Record<string, (context: Context) => Promise<void>> = {
  async "get: absent and there"({ cache }) {
    assertEquals(await cache.get("key"), undefined);
    await cache.set("key", "value");
    assertEquals(await cache.get("key"), "value");
  },
  async "get: ended"({ cache }) {
    await cache.set("key", "value", 30);
    await later(50);
    assertEquals(await cache.get("key"), undefined);
  },
  async "set: gives the value, of every sort"({ cache }) {
    for (const value of ["text", 5, false, 0, "", { a: [1, { b: null }] }, [1, 2]]) {
      assertEquals(await cache.set("key", value), value);
      assertEquals(await cache.get("key"), value);
    }
  },
  async "set: the default ttl"({ keyv }) {
    const long = createCache({ stores: [keyv], ttl: 60_000 });
    await long.set("key", "value");
    assertEquals(await long.get("key"), "value");
    const short = createCache({ stores: [keyv], ttl: 20 });
    await short.set("key", "value");
    await later(30);
    assertEquals(await short.get("key"), undefined);
  },
  async "del"({ cache }) {
    await cache.set("key", "value", 5_000);
    assertEquals(await cache.del("key"), true);
    assertEquals(await cache.get("key"), undefined);
  },
  async "clear"({ cache }) {
    for (const n of [1, 2, 3]) await cache.set(`key${n}`, n, 5_000);
    assertEquals(await cache.clear(), true);
    for (const n of [1, 2, 3]) assertEquals(await cache.get(`key${n}`), undefined);
  },
  async "has"({ keyv }) {
    assertEquals(await keyv.has("key"), false);
    await keyv.set("key", "value");
    assertEquals(await keyv.has("key"), true);
  },
  async "mset and mget"({ cache, keyv }) {
    const list = [{ key: "a", value: 1 }, { key: "b", value: 2, ttl: 5_000 }];
    assertEquals((await cache.mset(list)).map(({ key }) => key), ["a", "b"]);
    assertEquals(await cache.mget(["b", "x", "a"]), [2, undefined, 1]);
    assertEquals(await keyv.get(["a", "b"]), [1, 2]);
  },
  async "mset: each with its own ttl"({ cache }) {
    await cache.mset([{ key: "short", value: 1, ttl: 30 }, { key: "long", value: 2 }]);
    await later(50);
    assertEquals(await cache.mget(["short", "long"]), [undefined, 2]);
  },
  async "mdel"({ cache }) {
    await cache.mset(["a", "b", "c"].map((key) => ({ key, value: key })));
    await cache.mdel(["a", "b"]);
    assertEquals(await cache.mget(["a", "b", "c"]), [undefined, undefined, "c"]);
  },
  async "Keyv's own delete of many"({ keyv }) {
    await keyv.set("a", 1);
    await keyv.set("b", 2);
    await keyv.delete(["a", "b"]);
    assertEquals(await keyv.get(["a", "b"]), [undefined, undefined]);
  },
  async "mget: asks the layers for what the earlier lack"({ keyv, second }) {
    const cache = createCache({ stores: [keyv, second] });
    await keyv.set("a", 1);
    await second.set("b", 2);
    assertEquals(await cache.mget(["a", "b", "c"]), [1, 2, undefined]);
  },
  async "ttl: of what has none, and of what is absent"({ cache }) {
    await cache.set("key", "value");
    assertEquals([await cache.ttl("key"), await cache.ttl("absent")], [undefined, undefined]);
  },
  async "ttl: when it ends"({ cache }) {
    await cache.set("key", "value", 5_000);
    const left = (await cache.ttl("key"))! - Date.now();
    assert(left > 4_000 && left <= 5_000, `${left} ms`);
  },
  async "wrap: computes once"({ cache }) {
    let runs = 0;
    for (let i = 0; i < 3; i++) assertEquals(await cache.wrap("key", () => ++runs), 1);
  },
  async "wrap: for a ttl"({ cache }) {
    await cache.wrap("long", () => "value", 60_000);
    await cache.wrap("short", () => "value", 20);
    await later(30);
    assertEquals([await cache.get("long"), await cache.get("short")], ["value", undefined]);
  },
  async "wrap: for a ttl that the value says"({ cache }) {
    await cache.wrap("long", () => 60_000, (ms) => ms);
    await cache.wrap("short", () => 20, (ms) => ms);
    await later(30);
    assertEquals([await cache.get("long"), await cache.get("short")], [60_000, undefined]);
  },
  async "wrap: for a ttl in options"({ cache }) {
    await cache.wrap("key", () => "value", { ttl: 30 });
    await later(50);
    assertEquals(await cache.get("key"), undefined);
  },
  async "wrap: the value with its deadline"({ cache }) {
    await cache.wrap("key", () => "value", 5_000);
    const raw = await cache.wrap("key", () => "other", { ttl: 5_000, raw: true });
    assertEquals([raw?.value, typeof raw?.expires], ["value", "number"]);
  },
  async "wrap: ten calls at once compute once"({ cache }) {
    let runs = 0;
    const compute = async () => {
      await later(10);
      return ++runs;
    };
    const calls = Array.from({ length: 10 }, () => cache.wrap("key", compute, 5_000));
    assertEquals(await Promise.all(calls), Array(10).fill(1));
  },
  async "wrap: refreshes in the background near its end"({ cache }) {
    // Less is left than this from the first moment on.
    assertEquals(await cache.wrap("key", () => 0, 60_000, 60_001), 0);
    assertEquals(await cache.wrap("key", () => 1, 60_000, 60_001), 0);
    await until(async () => await cache.get("key") !== 0);
    assertEquals(await cache.get("key"), 1);
  },
  async "wrap: caches within caches share nothing"({ cache, second }) {
    const other = createCache({ stores: [second] });
    const value = await cache.wrap(
      "key",
      () => other.wrap("key", () => "B").then((inner) => `${inner}A`),
    );
    assertEquals([value, await second.get("key")], ["BA", "B"]);
  },
  async "two layers: set and del reach both"({ keyv, second }) {
    const cache = createCache({ stores: [keyv, second] });
    await cache.set("key", "value");
    assertEquals([await keyv.get("key"), await second.get("key")], ["value", "value"]);
    await cache.del("key");
    assertEquals([await keyv.get("key"), await second.get("key")], [undefined, undefined]);
  },
  async "two layers: get finds what the second has"({ keyv, second }) {
    const cache = createCache({ stores: [keyv, second] });
    await second.set("key", "value");
    assertEquals(await cache.get("key"), "value");
  },
  async "nonBlocking: set, get, ttl, del, clear"({ keyv, second }) {
    const cache = createCache({ stores: [keyv, second], nonBlocking: true });
    await cache.set("key", "value", 60_000);
    await until(async () => await cache.get("key") !== undefined);
    assertEquals(await cache.get("key"), "value");
    assert((await cache.ttl("key"))! > Date.now());
    await cache.del("key");
    await until(async () => await second.get("key") === undefined);
    await until(async () => await keyv.get("key") === undefined);
    await cache.set("key", "value");
    await until(async () => await second.get("key") !== undefined);
    await cache.clear();
    await until(async () => await second.get("key") === undefined);
    assertEquals(await second.get("key"), undefined);
  },
  async "negative ttl: the old value is gone"({ cache }) {
    await cache.set("key", "old");
    await cache.set("key", "new", -1);
    assertEquals(await cache.get("key"), undefined);
  },
};

const WAYS: Record<string, (stash: HashStash) => Keyv> = {
  "its own adapter": (stash) => new Keyv({ store: new KeyvAdapter(new CacheManagerStash(stash)) }),
  "Keyv": (stash) => new Keyv({ store: new KeyvStash(stash) }),
};

for (const [way, keyvOn] of Object.entries(WAYS)) {
  suiteOnEngines<Context>(
    `cache-manager through ${way}`,
    (bed: TestBed) => {
      const keyv = keyvOn(bed.stash());
      return { keyv, cache: createCache({ stores: [keyv] }), second: keyvOn(bed.stash()) };
    },
    CLAIMS,
    async ({ keyv, second }) => {
      await keyv.disconnect();
      await second.disconnect();
    },
  );
}

onEngines("cache-manager: the store by itself", async (bed) => {
  const stash = bed.stash();
  const store: CacheManagerStore = new CacheManagerStash(stash);
  await store.set("t", 1, 50_000);
  assert(await store.ttl("t") > 40_000);
  await store.set("f", 1, 0);
  assertEquals([await store.ttl("absent"), await store.ttl("f")], [-2, -1]);
  await store.mset({ a: 1, b: 2 }, -5);
  await store.set("t", 2, -Infinity);
  assertEquals(await store.mget("a", "b", "t"), [undefined, undefined, undefined]);
  // What cache-manager can't have stored is not its own.
  await stash.set({ n: 1 }, "mine");
  assertEquals(await store.keys(), ["f"]);
  await store.reset?.();
  assertEquals(await store.keys(), []);
  await store.disconnect?.();
});
