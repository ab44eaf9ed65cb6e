/**
 * A hit in the memory in front of a shared redis, frozen and decoded for each reader, beside the
 * engine without it, a bare Map, and other caches of npm with the same two tiers. Each bench reads
 * one of 100 objects of 1 kB, 100 times. Those of npm and the Map give every reader the same object,
 * which any of them can change for the others.
 *
 *     deno bench -A profile/bench/near_bench.ts
 *
 * How long it takes until a set by one process is seen by another: `near_lag.ts`.
 */
import { Redis } from "npm:ioredis@^6.0.0";
import { deepStrictEqual } from "node:assert";
import { dirname } from "node:path";
import { HashStash } from "../../mod.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { generateData } from "../data.ts";

const COUNT = 100;
const TTL = 3_600_000;

const redis = await startRedis();
addEventListener("unload", () => Deno.removeSync(dirname(redis.socket), { recursive: true }));
const values = Array.from({ length: COUNT }, (_, i) => generateData(1_000, i));
const keys = values.map((_, i) => `key ${i}`);

/** Reads one key. */
type Read = (key: string) => unknown;

async function stash(near: boolean, frozen: boolean): Promise<Read> {
  const stash = new HashStash({
    engine: "redis",
    name: "near",
    engineOptions: { url: redis.url },
    near: near && { ttl: TTL },
    frozen,
  });
  await stash.setMany(keys.map((key, i) => [key, values[i]]));
  return (key) => stash.get(key);
}

const client = new Redis(redis.url);

const CACHES: Record<string, () => Read | Promise<Read>> = {
  "near, frozen": () => stash(true, true),
  near: () => stash(true, false),
  "a bare Map": () => {
    const map = new Map(keys.map((key, i) => [key, values[i]]));
    return (key) => map.get(key);
  },
  "lru-cache": async () => {
    const { LRUCache } = await import("npm:lru-cache@^11.0.0");
    await Promise.all(keys.map((key, i) => client.set(`lru:${key}`, JSON.stringify(values[i]))));
    const cache = new LRUCache<string, object>({
      max: 10_000,
      ttl: TTL,
      fetchMethod: async (key) => JSON.parse(await client.get(`lru:${key}`) ?? "null"),
    });
    return (key) => cache.fetch(key);
  },
  "cache-manager": async () => {
    const { createCache } = await import("npm:cache-manager@^7.2.0");
    const { default: Keyv } = await import("npm:keyv@^5.6.0");
    const { CacheableMemory } = await import("npm:cacheable@^2.3.0");
    const { default: KeyvRedis } = await import("npm:@keyv/redis@^5.1.0");
    const cache = createCache({
      stores: [
        new Keyv({ store: new CacheableMemory({ ttl: TTL, lruSize: 10_000 }) }),
        new Keyv({ store: new KeyvRedis(redis.url) }),
      ],
    });
    for (const [i, key] of keys.entries()) await cache.set(key, values[i]);
    return (key) => cache.get(key);
  },
  cacheable: async () => {
    const { Cacheable } = await import("npm:cacheable@^2.3.0");
    const { default: KeyvRedis } = await import("npm:@keyv/redis@^5.1.0");
    const cache = new Cacheable({ secondary: new KeyvRedis(redis.url), ttl: TTL });
    for (const [i, key] of keys.entries()) await cache.set(key, values[i]);
    return (key) => cache.get(key);
  },
  bentocache: async () => {
    const { BentoCache, bentostore } = await import("npm:bentocache@^1.6.0");
    const { memoryDriver } = await import("npm:bentocache@^1.6.0/drivers/memory");
    const { redisDriver } = await import("npm:bentocache@^1.6.0/drivers/redis");
    const { hostname: host, port } = new URL(redis.url);
    const store = bentostore()
      .useL1Layer(memoryDriver({ maxItems: 10_000, serialize: false }))
      .useL2Layer(redisDriver({ connection: { host, port: Number(port) } }));
    const cache = new BentoCache({ default: "two", stores: { two: store } });
    for (const [i, key] of keys.entries()) await cache.set({ key, value: values[i], ttl: TTL });
    return (key) => cache.get({ key });
  },
  "redis without near": () => stash(false, false),
};

for (const [name, open] of Object.entries(CACHES)) {
  try {
    const read = await open();
    for (const [i, key] of keys.entries()) deepStrictEqual(await read(key), values[i]);
    Deno.bench({
      name,
      group: "100 hits, 1 kB",
      baseline: name === "near, frozen",
      async fn() {
        for (const key of keys) await read(key);
      },
    });
  } catch (error) {
    console.error(`Cannot bench ${name}: ${String(error).split("\n")[0]}`);
  }
}
