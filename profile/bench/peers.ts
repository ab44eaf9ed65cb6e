/**
 * HashStash beside other caches and stores from npm that stand on the same sort of backend: `get` and
 * `set` of a JSON object of 1, 10 and 100 KB, the stash and the other one in turns, lowest tenths.
 * In the end a table of how many times the other one's time the stash takes.
 *
 * A group has one backend and one promise, besides what `but` says of a package:
 *
 * - memory: gone with the process; who changes his object later changes nothing in the cache.
 * - files: an entry is a file, which is not flushed to the disk; a crash leaves the old one or the
 *   new one.
 * - one JSON file: written whole for each `set`, and flushed.
 * - database: a killed process loses nothing, a power failure may lose the last writes.
 * - flushed database: on the disk when `set` resolves.
 * - redis, postgres: one private server for all.
 *
 *     deno run -A profile/bench/peers.ts [GROUP...]
 */
import { deepStrictEqual } from "node:assert";
import { dirname, join } from "node:path";
import { type EngineName, HashStash } from "../../mod.ts";
import { makeDatabase } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { generateData } from "../data.ts";
import { compare, type Rounds } from "./turns.ts";

const ROUNDS: Rounds = { rounds: 61, ms: 4 };
const SIZES = [1_000, 10_000, 100_000];
/** As many as no key gets the same value twice running. */
const KEYS = 20;
const VALUES = 19;

/** A store, opened. */
interface Store {
  set(key: string, value: object): unknown;
  get(key: string): unknown;
}

interface Peer {
  /** Which promise of the group it does not make. */
  readonly but?: string;
  open(): Promise<Store>;
}

interface Group {
  readonly engine: EngineName;
  readonly peers: Record<string, Peer>;
}

const root = await Deno.makeTempDir({ prefix: "hashstash_peers_" });
const redis = await startRedis();
const postgres = await makeDatabase();
addEventListener("unload", () => {
  for (const folder of [root, dirname(redis.socket)]) Deno.removeSync(folder, { recursive: true });
});
let folders = 0;
const folder = () => join(root, String(++folders));

async function openStash(engine: EngineName): Promise<Store> {
  const server = engine === "redis" ? redis : engine === "postgres" ? postgres : undefined;
  const engineOptions = server === undefined ? {} : { url: server.url };
  const stash = new HashStash<string, object>({ engine, rootDir: folder(), engineOptions });
  return await stash.open();
}

async function openLevel(options: { sync: boolean }): Promise<Store> {
  const { ClassicLevel } = await import("npm:classic-level@^3.0.0");
  const database = new ClassicLevel<string, object>(folder(), { valueEncoding: "json" });
  await database.open();
  return {
    set: (key, value) => database.put(key, value, options),
    get: (key) => database.get(key),
  };
}

/** A storage of unstorage, over one of its drivers. */
async function openUnstorage(name: string, driver: unknown): Promise<Store> {
  const { createStorage } = await import("npm:unstorage@^1.17.0");
  const storage = createStorage({ driver } as Parameters<typeof createStorage>[0]);
  return {
    set: (key, value) => storage.setItem(`${name}:${key}`, value),
    get: (key) => storage.getItem(`${name}:${key}`),
  };
}

/** A cache of bentocache with one layer; `layer` gives it. */
async function openBento(
  layer: (store: ReturnType<typeof import("npm:bentocache@^1.6.0").bentostore>) => unknown,
): Promise<Store> {
  const { BentoCache, bentostore } = await import("npm:bentocache@^1.6.0");
  const store = layer(bentostore()) as ReturnType<typeof bentostore>;
  const cache = new BentoCache({ default: "one", stores: { one: store } });
  return {
    set: (key, value) => cache.set({ key, value }),
    get: (key) => cache.get({ key }),
  };
}

/** A cache of cache-manager; on its own store, or on one of keyv's. */
async function openCacheManager(open?: () => Promise<unknown>): Promise<Store> {
  const { createCache } = await import("npm:cache-manager@^7.2.0");
  const stores = open && [await open()];
  const cache = createCache({ stores } as Parameters<typeof createCache>[0]);
  return {
    set: (key, value) => cache.set(key, value),
    get: (key) => cache.get(key),
  };
}

async function openKeyv(store?: unknown): Promise<Store> {
  const { default: Keyv } = await import("npm:keyv@^6.1.0");
  return new Keyv(store as ConstructorParameters<typeof Keyv>[0]) as Store;
}

const GROUPS: Record<string, Group> = {
  memory: {
    engine: "memory",
    peers: {
      keyv: { open: () => openKeyv() },
      "cache-manager, keyv": { open: () => openCacheManager(openKeyv) },
      "cache-manager": {
        but: "gives back the very object that it was given",
        open: () => openCacheManager(),
      },
      cacheable: {
        but: "keeps the object that it was given, and copies it at `get`",
        async open() {
          const { Cacheable } = await import("npm:cacheable@^2.3.0");
          return new Cacheable();
        },
      },
      bentocache: {
        async open() {
          const { memoryDriver } = await import("npm:bentocache@^1.6.0/drivers/memory");
          return await openBento((store) => store.useL1Layer(memoryDriver({})));
        },
      },
      unstorage: {
        async open() {
          const { default: memory } = await import("npm:unstorage@^1.17.0/drivers/memory");
          return await openUnstorage("memory", memory());
        },
      },
    },
  },
  files: {
    engine: "pairtree",
    peers: {
      unstorage: {
        but: "writes in place: a crash may leave half an entry",
        async open() {
          const { default: fs } = await import("npm:unstorage@^1.17.0/drivers/fs");
          return await openUnstorage("fs", fs({ base: folder() }));
        },
      },
      "node-persist": {
        but: "writes in place: a crash may leave half an entry",
        async open() {
          const { default: nodePersist } = await import("npm:node-persist@^4.0.4");
          const storage = nodePersist.create({ dir: folder() });
          await storage.init();
          return {
            set: (key, value) => storage.setItem(key, value),
            get: (key) => storage.getItem(key),
          };
        },
      },
      bentocache: {
        but: "writes in place: a crash may leave half an entry",
        async open() {
          const { fileDriver } = await import("npm:bentocache@^1.6.0/drivers/file");
          const driver = fileDriver({ directory: folder(), pruneInterval: false });
          return await openBento((store) => store.useL2Layer(driver));
        },
      },
    },
  },
  "one JSON file": {
    engine: "pickledb",
    peers: {
      "flat-cache": {
        but: "does not flush the file, writes it in place, and keeps the object that it was given",
        async open() {
          const { FlatCache } = await import("npm:flat-cache@^6.1.0");
          const cache = new FlatCache({ cacheDir: folder(), cacheId: "bench" });
          return {
            set: (key, value) => {
              cache.setKey(key, value);
              cache.save();
            },
            get: (key) => cache.getKey(key),
          };
        },
      },
    },
  },
  database: {
    engine: "sqlite",
    peers: {
      "unstorage, node:sqlite": {
        async open() {
          const { createDatabase } = await import("npm:db0@^0.3.0");
          const { default: connect } = await import("npm:db0@^0.3.0/connectors/node-sqlite");
          const { default: driver } = await import("npm:unstorage@^1.17.0/drivers/db0");
          const database = createDatabase(connect({ path: `${folder()}.sqlite` }));
          await database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
          return await openUnstorage("db0", driver({ database }));
        },
      },
      "@keyv/sqlite": {
        async open() {
          const { default: KeyvSqlite } = await import("npm:@keyv/sqlite@^4.0.8");
          return await openKeyv(new KeyvSqlite(`sqlite://${folder()}.sqlite`));
        },
      },
      "classic-level": { open: () => openLevel({ sync: false }) },
    },
  },
  "flushed database": {
    engine: "lmdb",
    peers: {
      "lmdb alone": {
        but: "keeps no deadline, time or checksum",
        async open() {
          const { open } = await import("npm:lmdb@^3.5.6");
          const database = open<object, string>({ path: folder(), encoding: "json" });
          return {
            set: (key, value) => database.put(key, value),
            get: (key) => database.get(key),
          };
        },
      },
      "classic-level, sync": { open: () => openLevel({ sync: true }) },
    },
  },
  redis: {
    engine: "redis",
    peers: {
      "@keyv/redis": { open: async () => await openKeyv(await openKeyvRedis()) },
      "cache-manager, @keyv/redis": {
        open: () => openCacheManager(async () => await openKeyv(await openKeyvRedis())),
      },
      unstorage: {
        async open() {
          const { default: driver } = await import("npm:unstorage@^1.17.0/drivers/redis");
          return await openUnstorage("redis", driver({ url: redis.url, base: "unstorage" }));
        },
      },
      bentocache: {
        async open() {
          const { redisDriver } = await import("npm:bentocache@^1.6.0/drivers/redis");
          const { hostname: host, port } = new URL(redis.url);
          const driver = redisDriver({ connection: { host, port: Number(port) } });
          return await openBento((store) => store.useL2Layer(driver));
        },
      },
    },
  },
  postgres: {
    engine: "postgres",
    peers: {
      "@keyv/postgres": {
        async open() {
          const { default: KeyvPostgres } = await import("npm:@keyv/postgres@^2.2.3");
          return await openKeyv(new KeyvPostgres({ uri: postgres.url, table: "keyv" }));
        },
      },
    },
  },
};

async function openKeyvRedis(): Promise<unknown> {
  const { default: KeyvRedis } = await import("npm:@keyv/redis@^5.1.0");
  return new KeyvRedis(redis.url);
}

/** How many times the time of the other store the stash takes: `get` of each size, then `set`. */
async function beside(name: string, stash: Store, peer: Store): Promise<number[]> {
  const ratios = { get: [] as number[], set: [] as number[] };
  for (const size of SIZES) {
    const values = Array.from({ length: VALUES }, (_, i) => generateData(size, i + 1) as object);
    const keys = Array.from({ length: KEYS }, (_, i) => `${size}_${i}`);
    for (const store of [stash, peer]) {
      for (const [i, key] of keys.entries()) await store.set(key, values[i % VALUES]);
      deepStrictEqual(await store.get(keys[1]), values[1]);
    }
    let turn = 0;
    const get = (store: Store) => () => store.get(keys[turn++ % KEYS]);
    const set = (store: Store) => () => store.set(keys[turn % KEYS], values[turn++ % VALUES]);
    for (const [operation, side] of [["get", get], ["set", set]] as const) {
      const title = `${name}: ${operation} ${size / 1_000} KB`;
      const [other, own] = await compare(title, [side(peer), side(stash)], ROUNDS);
      ratios[operation].push(own / other);
    }
  }
  return [...ratios.get, ...ratios.set];
}

const unknown = Deno.args.filter((name) => !(name in GROUPS));
if (unknown.length > 0) {
  throw new TypeError(`No group ${unknown.join(", ")}: they are ${Object.keys(GROUPS).join(", ")}`);
}
const heads = ["get", "set"].flatMap((name) => SIZES.map((size) => `${name} ${size / 1_000} KB`));
const table = [`| backend | beside | ${heads.join(" | ")} |`, `|${" --- |".repeat(8)}`];
const notes: string[] = [];
for (const [where, { engine, peers }] of Object.entries(GROUPS)) {
  if (Deno.args.length > 0 && !Deno.args.includes(where)) continue;
  for (const [name, { but, open }] of Object.entries(peers)) {
    try {
      const ratios = await beside(`${where}, ${name}`, await openStash(engine), await open());
      table.push(`| ${where} | ${name} | ${ratios.map((ratio) => ratio.toFixed(2)).join(" | ")} |`);
      if (but !== undefined) notes.push(`- ${where}, ${name}: ${but}.`);
    } catch (error) {
      notes.push(`- ${where}, ${name} did not run: ${String(error).split("\n")[0]}.`);
    }
  }
}
console.log(["", ...table, "", ...notes].join("\n"));
Deno.exit(0);
