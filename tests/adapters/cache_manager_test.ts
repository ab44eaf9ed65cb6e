/** A stash as a store of cache-manager. */
import { assert, assertEquals } from "@std/assert";
import { createCache, KeyvAdapter } from "npm:cache-manager@^7.2.0";
import { Keyv } from "npm:keyv@^5.6.0";
import { CacheManagerStash } from "../../adapters/cache_manager.ts";
import { later, onEngines } from "../support/adapters.ts";

onEngines("cache-manager: get, set, wrap, batches, ttl, clear", async (bed) => {
  const store = new CacheManagerStash(bed.stash());
  const cache = createCache({ stores: [new Keyv({ store: new KeyvAdapter(store) })] });
  assertEquals(await cache.get("absent"), undefined);
  await cache.set("a", { n: 1 });
  assertEquals(await cache.get("a"), { n: 1 });
  await cache.set("short", 1, 30);
  await later(45);
  assertEquals(await cache.get("short"), undefined);
  let runs = 0;
  const compute = () => ++runs;
  assertEquals([await cache.wrap("w", compute, 60_000), await cache.wrap("w", compute)], [1, 1]);
  await cache.mset([{ key: "m1", value: 1 }, { key: "m2", value: 2, ttl: 60_000 }]);
  assertEquals(await cache.mget(["m1", "m2", "x"]), [1, 2, undefined]);
  await cache.mdel(["m1"]);
  await cache.del("m2");
  assertEquals(await cache.mget(["m1", "m2"]), [undefined, undefined]);
  await store.set("t", 1, 50_000);
  assert(await store.ttl("t") > 40_000);
  assertEquals([await store.ttl("absent"), (await store.set("f", 1, 0), await store.ttl("f"))], [
    -2,
    -1,
  ]);
  await cache.clear();
  assertEquals(await store.keys(), []);
  await cache.disconnect();
});
