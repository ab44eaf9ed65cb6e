/**
 * Other caches and stores from npm on the same job as a stash, in one run: set and get of a JSON
 * object of 1 and 10 kB. Each group has one sort of backend and one promise; its baseline is the
 * stash.
 *
 * - memory: gone with the process.
 * - files: an entry is a file, written without a flush to the disk. unstorage and node-persist
 *   write in place, so
 *   that a crash can leave half an entry; the stash renames a whole one.
 * - one JSON file: written whole for each set.
 * - database: a killed process loses nothing, a power failure may lose the last writes.
 * - flushed database: on the disk when set resolves.
 * - redis: one private server for all, which flushes nothing.
 * - postgres: likewise.
 *
 * ```sh
 * deno bench -A profile/bench/peers_bench.ts
 * deno bench -A --json profile/bench/peers_bench.ts > peers.json && deno task profile peers.json
 * ```
 */
import { deepStrictEqual } from "node:assert";
import { dirname, join } from "node:path";
import { type EngineName, HashStash } from "../../mod.ts";
import { makeDatabase } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { benchNames } from "./bench_json.ts";
import { sampleOf } from "../cases.ts";

/** A store, opened. */
interface Store {
  set(key: string, value: object): unknown;
  get(key: string): unknown;
  delete(key: string): unknown;
}

const root = await Deno.makeTempDir({ prefix: "hashstash_peers_" });
const redis = await startRedis();
const postgres = await makeDatabase();
addEventListener("unload", () => {
  for (const folder of [root, dirname(redis.socket)]) Deno.removeSync(folder, { recursive: true });
});
let folders = 0;
const folder = () => join(root, String(++folders));

async function stash(engine: EngineName): Promise<Store> {
  const server = engine === "redis" ? redis : engine === "postgres" ? postgres : undefined;
  const engineOptions = server === undefined ? {} : { url: server.url };
  const stash = new HashStash<string, object>({ engine, rootDir: folder(), engineOptions });
  return await stash.open();
}

/** Each store by the sort of its backend; the first of a sort is the stash. */
const STORES: Record<string, Record<string, () => Promise<Store>>> = {
  memory: {
    "stash memory": () => stash("memory"),
    keyv: async () => {
      const { default: Keyv } = await import("npm:keyv@^5.6.0");
      return new Keyv();
    },
    cacheable: async () => {
      const { Cacheable } = await import("npm:cacheable@^2.3.0");
      return new Cacheable();
    },
    "cache-manager": async () => {
      const { createCache } = await import("npm:cache-manager@^7.2.0");
      const cache = createCache();
      return {
        set: (key, value) => cache.set(key, value),
        get: (key) => cache.get(key),
        delete: (key) => cache.del(key),
      };
    },
  },
  files: {
    "stash pairtree": () => stash("pairtree"),
    "unstorage fs": async () => {
      const { createStorage } = await import("npm:unstorage@^1.17.0");
      const { default: fs } = await import("npm:unstorage@^1.17.0/drivers/fs");
      const storage = createStorage({ driver: fs({ base: folder() }) });
      return {
        set: (key, value) => storage.setItem(key, value),
        get: (key) => storage.getItem(key),
        delete: (key) => storage.removeItem(key),
      };
    },
    "node-persist": async () => {
      const { default: nodePersist } = await import("npm:node-persist@^4.0.4");
      const storage = nodePersist.create({ dir: folder() });
      await storage.init();
      return {
        set: (key, value) => storage.setItem(key, value),
        get: (key) => storage.getItem(key),
        delete: (key) => storage.removeItem(key),
      };
    },
  },
  "one JSON file": {
    "stash pickledb": () => stash("pickledb"),
    "flat-cache": async () => {
      const { FlatCache } = await import("npm:flat-cache@^6.1.0");
      const cache = new FlatCache({ cacheDir: folder(), cacheId: "bench" });
      return {
        set: (key, value) => {
          cache.setKey(key, value);
          cache.save();
        },
        get: (key) => cache.getKey(key),
        delete: (key) => cache.removeKey(key),
      };
    },
  },
  database: {
    "stash sqlite": () => stash("sqlite"),
    "@keyv/sqlite": async () => {
      const { default: Keyv } = await import("npm:keyv@^5.6.0");
      const { default: KeyvSqlite } = await import("npm:@keyv/sqlite@^4.0.8");
      return new Keyv(new KeyvSqlite(`sqlite://${folder()}.sqlite`));
    },
    "classic-level": async () => {
      const { ClassicLevel } = await import("npm:classic-level@^3.0.0");
      const database = new ClassicLevel<string, object>(folder(), { valueEncoding: "json" });
      await database.open();
      return {
        set: (key, value) => database.put(key, value),
        get: (key) => database.get(key),
        delete: (key) => database.del(key),
      };
    },
  },
  "flushed database": {
    "stash lmdb": () => stash("lmdb"),
    "bare lmdb": async () => {
      const { open } = await import("npm:lmdb@^3.5.6");
      const database = open<object, string>({ path: folder(), encoding: "json" });
      return {
        set: (key, value) => database.put(key, value),
        get: (key) => database.get(key),
        delete: (key) => database.remove(key),
      };
    },
    "classic-level, sync": async () => {
      const { ClassicLevel } = await import("npm:classic-level@^3.0.0");
      const database = new ClassicLevel<string, object>(folder(), { valueEncoding: "json" });
      await database.open();
      return {
        set: (key, value) => database.put(key, value, { sync: true }),
        get: (key) => database.get(key),
        delete: (key) => database.del(key),
      };
    },
  },
  redis: {
    "stash redis": () => stash("redis"),
    "@keyv/redis": async () => {
      const { default: Keyv } = await import("npm:keyv@^5.6.0");
      const { default: KeyvRedis } = await import("npm:@keyv/redis@^5.1.0");
      return new Keyv(new KeyvRedis(redis.url));
    },
    "unstorage redis": async () => {
      const { createStorage } = await import("npm:unstorage@^1.17.0");
      const { default: driver } = await import("npm:unstorage@^1.17.0/drivers/redis");
      const storage = createStorage({ driver: driver({ url: redis.url, base: "unstorage" }) });
      return {
        set: (key, value) => storage.setItem(key, value),
        get: (key) => storage.getItem(key),
        delete: (key) => storage.removeItem(key),
      };
    },
  },
  postgres: {
    "stash postgres": () => stash("postgres"),
    "@keyv/postgres": async () => {
      const { default: Keyv } = await import("npm:keyv@^5.6.0");
      const { default: KeyvPostgres } = await import("npm:@keyv/postgres@^2.2.3");
      return new Keyv(new KeyvPostgres({ uri: postgres.url, table: "keyv" }));
    },
  },
};

for (const [where, stores] of Object.entries(STORES)) {
  const opened: [string, Store][] = [];
  for (const [name, open] of Object.entries(stores)) {
    try {
      const store = await open();
      await store.set("try", { works: true });
      deepStrictEqual(await store.get("try"), { works: true });
      opened.push([name, store]);
    } catch (error) {
      const [reason] = String(error).split("\n");
      console.error(`Cannot bench ${name}: ${reason}`);
    }
  }
  for (const size of [1_000, 10_000]) {
    for (const [i, [name, store]] of opened.entries()) {
      await benchStore(where, i, name, store, size);
    }
  }
}

async function benchStore(
  where: string,
  index: number,
  name: string,
  store: Store,
  size: number,
): Promise<void> {
  const values = sampleOf(size).pairs.map(([, value]) => value as object);
  for (const [i, value] of values.entries()) await store.set(`${size} ${i}`, value);
  const rawSize = JSON.stringify(values[0]).length;
  const about = {
    engine: name.replaceAll(",", ""),
    serializer: "json",
    compress: false as const,
    b64: false,
    encoding: "raw",
    size,
    rawSize,
    storedSize: rawSize,
  };
  const common = { baseline: index === 0, n: 200, warmup: 50 };
  const write = benchNames({ ...about, operation: "write" }, where);
  let written = 0;
  if (where === "memory") {
    // Faster than Deno lets a bench pick what is timed; here to overwrite costs the same as to add.
    Deno.bench({
      ...write,
      ...common,
      fn: async () =>
        void await store.set(`new ${written % 1_000}`, values[written++ % values.length]),
    });
  } else {
    Deno.bench({
      ...write,
      ...common,
      async fn(timer) {
        const key = `new ${written++}`;
        const value = values[written % values.length];
        timer.start();
        await store.set(key, value);
        timer.end();
        await store.delete(key);
      },
    });
  }
  let read = 0;
  Deno.bench({
    ...benchNames({ ...about, operation: "read" }, where),
    ...common,
    async fn() {
      read = (read + 1) % values.length;
      await store.get(`${size} ${read}`);
    },
  });
}
