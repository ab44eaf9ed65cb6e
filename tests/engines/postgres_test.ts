/** What is particular to the postgres engine. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { hash } from "../../codec/hash.ts";
import { complete } from "../../engines/complete.ts";
import { postgres as createEngine } from "../../engines/postgres/mod.ts";
import { type GiveBack, Pool } from "../../engines/postgres/pool.ts";
import { enginePath } from "../../engines/registry.ts";
import { HashStash } from "../../mod.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { entryOf, keysOf, pair, statesOf, textAt } from "../support/entries.ts";
import { killTests } from "../support/kill.ts";
import { LOCATION, openPostgres, postgresAt } from "../support/postgres.ts";
import { makeDatabase, type PostgresServer, startPostgres } from "../support/postgres_server.ts";
import { processTests } from "../support/processes.ts";
import { movesNoDeadline } from "../support/server_claims.ts";
import { eventually } from "../support/servers.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** A pool of the user's, as far as these tests use it. */
interface UserPool {
  connect(callback: unknown): void;
  query(text: string): Promise<{ rows: Record<string, string>[] }>;
  listenerCount(event: string): number;
  end(): Promise<void>;
}

const makePool = (url: string) =>
  new pg.Pool({ connectionString: url, max: 3, idleTimeoutMillis: 0 }) as UserPool;

contractTests("postgres");
contractTests("postgres", async () => {
  const server = await startPostgres({ tls: true, password: "p:@/%ss" });
  await server.sql('CREATE SCHEMA "Odd one"');
  const options = {
    url: `${server.urlWith("p:@/%ss")}?sslmode=require&application_name=hashstash`,
    table: 'Odd one.a "table"',
    tls: { ca: server.ca },
    pool: 1,
  };
  return { options, stop: () => server[Symbol.asyncDispose]() };
}, "postgres by TLS, with a password, in a table of a schema, on one connection");
contractTests("postgres", async () => {
  const database = await makeDatabase();
  const client = makePool(database.url);
  return {
    options: { client },
    async stop() {
      await client.end();
      await database[Symbol.asyncDispose]();
    },
  };
}, "postgres by a pool of the user's");
behaviours("postgres");
processTests("postgres");
killTests("postgres");
stashProcessesTest("postgres");

const strict = { sanitizeOps: true, sanitizeResources: true };

const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

Deno.test("postgres: SQL reads what a stash wrote, and the reverse", strict, async () => {
  await using database = await makeDatabase();
  const options = { engine: "postgres", engineOptions: { url: database.url } } as const;
  await using stash = new HashStash("my_cache", options);
  await stash.set("my_key", { name: "John", age: 30 });
  await stash.set("ü", [1]);
  assertEquals(
    await database.sql(
      "SELECT key, convert_from(value, 'UTF8')::jsonb->>'age' FROM hashstash " +
        "WHERE store = 'my_cache:main' ORDER BY key",
    ),
    "my_key|30\nü|",
  );
  await using sub = stash.sub("users");
  await sub.set("k", 1);
  await using odd = new HashStash("a:b", { ...options, dbname: "100%:x" });
  await odd.set("k", true);
  assertEquals(
    await database.sql("SELECT DISTINCT store FROM hashstash ORDER BY store"),
    "a%3Ab:100%25%3Ax\nmy_cache:main\nmy_cache:main/users",
  );
  const before = Date.now();
  await stash.set("later", 1, { ttl: 100_000 });
  const times = await database.sql(
    "SELECT round(extract(epoch FROM to_timestamp(expires_at / 1000.0) - to_timestamp(timestamp / 1000.0))) " +
      "FROM hashstash WHERE key = 'later'",
  );
  assertEquals(times, "100");
  assertGreater((await stash.entry("later"))?.expiresAt ?? 0, before + 99_999);

  await database.sql(
    "INSERT INTO hashstash (store, key, value) VALUES ('my_cache:main', 'by_hand', " +
      `convert_to('{"a": [1, 2]}', 'UTF8'))`,
  );
  assertEquals(await stash.get("by_hand"), { a: [1, 2] });
  assertEquals(await stash.size(), 4);
  assertEquals(await stash.modify("by_hand", () => 7), 7);
  assertEquals((await stash.check()).problems, []);
});

Deno.test("postgres: bytes are stored exactly", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) % 256);
  await engine.set("key", { value: bytes, timestamp: 0 });
  await engine.setMany([["many", { value: bytes, timestamp: 0 }]]);
  assert(await engine.compareAndSet("swapped", undefined, { value: bytes, timestamp: 0 }));
  assertEquals(
    await database.sql("SELECT DISTINCT encode(sha256(value), 'hex') FROM hashstash"),
    hash(bytes),
  );
});

Deno.test("postgres: several make the table at the same time", strict, async () => {
  await using database = await makeDatabase();
  for (let round = 0; round < 5; round++) {
    // Different options: each has connections of its own.
    const engines = Array.from(
      { length: 8 },
      (_, i) => postgresAt({ url: database.url, table: `t${round}`, timeout: 5_000 + i }),
    );
    await Promise.all(engines.map((engine) => engine.open()));
    await Promise.all(engines.map((engine, i) => engine.set(`key ${i}`, entryOf("value"))));
    assertEquals(await engines[0].size(), 8);
    await Promise.all(engines.map((engine) => engine.close()));
  }
});

Deno.test("postgres: a table that goes while it is used is made anew", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  await engine.set("key", entryOf("value"));
  await database.sql("DROP TABLE hashstash");
  assertEquals(await engine.get("key"), undefined);
  await engine.set("key", entryOf("again"));
  await database.sql("DROP TABLE hashstash");
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => engine.set(`key ${i}`, entryOf("value"))),
  );
  assertEquals(await engine.size(), 20);
});

Deno.test("postgres: keys that its index has no room for", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  const long = "é".repeat(3_000);
  const keys = [
    ...[
      "",
      "x",
      "x".repeat(1_600),
      "x".repeat(1_601),
      "x".repeat(100_000),
      `${"x".repeat(5_000)}y`,
    ],
    ...[long, `${long}1`, `${long}2`, `é${long}`, `e${long}`, "\u{10ffff}".repeat(400)],
    ...["\u{10ffff}".repeat(401), "\u{10ffff}".repeat(1_000)],
  ];
  // What could be taken for the row of a long key is too long to be a short one.
  const [column] = (await (async () => {
    await engine.set(long, entryOf("long"));
    return await database.sql("SELECT key FROM hashstash");
  })()).split("\n");
  keys.push(column);
  await engine.setMany(keys.map((key) => [key, entryOf(hash(key))]));
  assertEquals(await engine.size(), keys.length);
  assertEquals(await keysOf(engine), keys.toSorted());
  for (const key of keys) assertEquals(await textAt(engine, key), hash(key));
  for (
    const prefix of [
      "",
      "x",
      "x".repeat(1_600),
      "x".repeat(2_000),
      "é",
      long,
      `${long}1`,
      "\u{10ffff}",
    ]
  ) {
    const own = keys.filter((key) => key.startsWith(prefix)).sort();
    assertEquals(await keysOf(engine, prefix), own);
    const part = complete(createEngine(LOCATION, { url: database.url }), { prefix });
    await part.open();
    assertEquals(await part.size(), own.length, `${prefix.length}`);
    assertEquals((await Array.fromAsync(part.entries())).length, own.length);
    await part.close();
  }
  const part = complete(createEngine(LOCATION, { url: database.url }), { prefix: long });
  await part.open();
  await part.clear();
  await part.close();
  assertEquals(await keysOf(engine), keys.filter((key) => !key.startsWith(long)).sort());
  assertEquals(await engine.deleteMany(keys), keys.length - 4);
  // Names are not cut nor hashed: a nested store begins as the one that it is in.
  const name = "n".repeat(900);
  await using named = await openPostgres({ url: database.url }, { name, dbname: "main/in" });
  await named.set("x".repeat(2_000), entryOf("value"));
  assertEquals(await named.size(), 1);
  assertThrows(
    () => createEngine({ name, dbname: "d".repeat(100) }, { url: database.url }),
    RangeError,
    "1001 bytes, at most 1000",
  );
});

Deno.test("postgres: a row of another key with the same hash is no entry", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  const key = "k".repeat(3_000);
  await engine.setMany([[key, entryOf("value")], ["short", entryOf("value")]]);
  await database.sql("UPDATE hashstash SET long_key = 'another' WHERE long_key IS NOT NULL");
  for (
    const read of [
      () => engine.get(key),
      () => engine.getValue(key),
      () => engine.getMany([key, "short"]),
    ]
  ) {
    await assertRejects(async () => void await read(), Error, "that of another key");
  }
  assertEquals(await textAt(engine, "short"), "value");
  await database.sql(
    "INSERT INTO hashstash (store, key, value) VALUES ('name:main', repeat('y', 1700), '')",
  );
  const { checked, problems } = await engine.check({ fix: true });
  assertEquals(checked, 3);
  assertEquals(
    problems.map(({ kind, key, fixed }) => [kind, key?.length, fixed]).sort(),
    [["foreign", 1_700, false], ["foreign", 7, false]],
  );
});

Deno.test("postgres: clear leaves the rest of the table alone", strict, async () => {
  await using database = await makeDatabase();
  const { url } = database;
  await openPostgres({ url }).then((engine) => engine.close());
  const others = [
    ...["name", "name:", "name:mai", "name:mainx", "name:main.", "name:main0", "NAME:main"],
    ...["nam:main", "name:sub:main", "xname:main", "name%3A:main", "name:m%", "name_:main"],
  ];
  for (const store of others) {
    await database.sql(`INSERT INTO hashstash (store, key, value) VALUES ('${store}', 'k', '')`);
  }
  const count = () => database.sql("SELECT count(*) FROM hashstash");
  for (const name of ["name", "na%", "n_me", "name\\"]) {
    await using engine = await openPostgres({ url }, { ...LOCATION, name });
    // More than one statement removes.
    await engine.setMany(Array.from({ length: 12_000 }, (_, i) => [`k${i}`, entryOf("x")]));
    await using nested = await openPostgres({ url }, { name, dbname: "main/in" });
    await nested.setMany([["k", entryOf("x")], ["", entryOf("x")]]);
    assertEquals(await engine.size(), 12_000);
    await engine.clear();
    assertEquals(await count(), String(others.length + 2));
    await engine.clear(true);
    assertEquals(await count(), String(others.length));
  }
});

Deno.test("postgres: tables are apart", strict, async () => {
  await using database = await makeDatabase();
  const { url } = database;
  await database.sql('CREATE SCHEMA "S"');
  const tables = [undefined, "other", "Other", "S.hashstash", "S.other"];
  const engines = await Promise.all(tables.map((table) => openPostgres({ url, table })));
  await Promise.all(engines.map((engine, i) => engine.set("key", entryOf(String(i)))));
  for (const [i, engine] of engines.entries()) {
    assertEquals(await textAt(engine, "key"), String(i));
    assertEquals(await engine.size(), 1);
  }
  assertEquals(new Set(engines.map(({ path }) => path)).size, tables.length);
  await using raw = await openPostgres({ url, table: "other" }, { ...LOCATION, dbname: "side" });
  await raw.set("guard", entryOf("1"));
  const guard = raw.guardOn("guard", (await raw.get("guard"))!);
  await assertRejects(
    async () => void await engines[0].compareAndSet("new", undefined, entryOf("no"), guard),
    TypeError,
    "another table",
  );
  assertEquals(await engines[0].has("new"), false);
  assert(await engines[1].compareAndSet("new", undefined, entryOf("yes"), guard));
  for (const engine of engines) await engine.close();
});

for (const ms of [-30_000, 30_000, -3_600_000, 200]) {
  Deno.test(`postgres: a clock that is ${ms} ms off moves no deadline`, strict, async () => {
    await using database = await makeDatabase();
    const ask = async (what: string, key: string) =>
      Number(await database.sql(`SELECT ${what} FROM hashstash WHERE key = '${key}'`));
    await movesNoDeadline(ms, {
      open: (options) => openPostgres({ url: database.url, ...options }),
      left: (key) => ask("expires_at - extract(epoch FROM clock_timestamp()) * 1000", key),
      deadline: (key) => ask("expires_at", key),
    });
  });
}

Deno.test("postgres: concurrent gets go together, batches in one statement", strict, async () => {
  await using server = await startPostgres({ settings: ["log_statement=all"] });
  await using engine = await openPostgres({ url: server.url });
  const pairs = Array.from({ length: 1_000 }, (_, i) => pair(`key ${i}`, `value ${i}`));
  const keys = pairs.map(([key]) => key);
  /** How many statements the work takes, by the server's log. */
  const statements = async (work: () => unknown) => {
    const count = async () =>
      (await server.log()).match(/LOG: {2}execute hashstash_/g)?.length ?? 0;
    const before = await count();
    await work();
    return await count() - before;
  };
  assertEquals(await statements(() => engine.setMany(pairs)), 1);
  assertEquals(await statements(() => engine.getMany(keys)), 1);
  assertEquals(await statements(() => engine.getValues(keys)), 1);
  const together = () => Promise.all(keys.slice(0, 100).map((key) => engine.get(key)));
  assertEquals(await statements(together), 2);
  const inTurn = async () => {
    for (const key of keys.slice(0, 10)) await engine.getValue(key);
  };
  assertEquals(await statements(inTurn), 10);
  const current = await engine.get("key 0");
  const guard = engine.guardOn("key 1", (await engine.get("key 1"))!);
  const swap = () => engine.compareAndSet("key 0", current, entryOf("1"), guard);
  assertEquals(await statements(swap), 1);
  const states = await statesOf(engine, keys.slice(0, 100));
  assertEquals(await statements(() => engine.deleteUnchanged(states)), 1);
  assertEquals(await statements(() => engine.deleteMany(keys)), 1);
  assertEquals(await statements(() => engine.size()), 1);
});

Deno.test("postgres: a listing reads a bounded part at a time", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  const large = Array.from({ length: 40 }, (_, i) => pair(`big ${i}`, "x".repeat(1_000_000)));
  await engine.setMany(large);
  await engine.set("huge", entryOf(new Uint8Array(20_000_000)));
  let count = 0;
  for await (const [, { value }] of engine.entries()) count += value.byteLength;
  assertEquals(count, 60_000_000);
  assertGreater(await engine.byteSize(), 60_000_000);
  // Values are stored as they are: compressing is the stash's own choice.
  assertLessOrEqual(await engine.byteSize(), 61_000_000);
});

Deno.test("postgres: a prefix costs what it finds", strict, async () => {
  await using database = await makeDatabase();
  const count = 50_000;
  {
    await using filling = await openPostgres({ url: database.url });
    for (let i = 0; i < count; i += 5_000) {
      const keys = Array.from({ length: 5_000 }, (_, j) => `${(i + j) % 500}:${i + j}`);
      await filling.setMany(keys.map((key) => [key, entryOf("value")]));
    }
  }
  // Not a planner that knows the table by now, or does not yet, as it happens.
  await database.sql("ALTER TABLE hashstash SET (autovacuum_enabled = off)");
  await database.sql("SELECT pg_stat_reset()");
  {
    // Its index has 300 pages and more.
    const engine = createEngine(LOCATION, { url: database.url, pool: 1 });
    await engine.open();
    assertEquals((await keysOf(engine, "1:")).length, 100);
    assertEquals((await Array.fromAsync(engine.entries!("2:"))).length, 100);
    assertEquals([await engine.size("3:"), await engine.prune!("3:")], [100, 0]);
    assertGreater(await engine.byteSize!("3:"), 100);
    await engine.clear(false, "4:");
    assertEquals(await engine.size("4:"), 0);
    await engine.close();
  }
  // A session tells of what it has read at its end at the latest.
  const scans = "SELECT sum(idx_scan) FROM pg_stat_user_indexes";
  await eventually(async () => assertGreater(Number(await database.sql(scans)), 8));
  const pages = "SELECT sum(idx_blks_read + idx_blks_hit) FROM pg_statio_user_indexes";
  assertLessOrEqual(Number(await database.sql(pages)), 150);
  await using engine = await openPostgres({ url: database.url });
  assertEquals(await engine.size(), count - 100);
});

Deno.test("postgres: many write and remove the same keys in other orders", strict, async () => {
  await using database = await makeDatabase();
  const url = database.url;
  await using one = await openPostgres({ url });
  await using other = await openPostgres({ url, timeout: 6_000 });
  const pairs = Array.from({ length: 200 }, (_, i) => pair(`key ${i}`, "value"));
  const keys = pairs.map(([key]) => key);
  for (let round = 0; round < 20; round++) {
    await one.setMany(pairs);
    const states = await statesOf(one, keys);
    await Promise.all([
      one.deleteUnchanged(states),
      other.deleteUnchanged(states.toReversed()),
      one.setMany(pairs),
      other.setMany(pairs.toReversed()),
      one.deleteMany(keys.toReversed()),
      other.deleteMany(keys),
      one.setMany(pairs.toReversed()),
    ]);
  }
  // Postgres takes a second to find out that two wait for each other: nobody did.
  assertEquals(
    await database.sql(
      "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    ),
    "0",
  );
  // Those who nevertheless do are done again.
  for (let round = 0; round < 10; round++) {
    await Promise.all([one.clear(), other.setMany(pairs.toReversed()), other.deleteMany(keys)]);
  }
  const locked = new pg.Client({ connectionString: url });
  locked.on("error", () => {});
  await locked.connect();
  await one.setMany([["a", entryOf("1")], ["b", entryOf("1")]]);
  await locked.query("BEGIN; SET LOCAL deadlock_timeout = '60s'");
  await locked.query("SELECT FROM hashstash WHERE key = 'b' FOR UPDATE");
  const waiting = one.setMany([["a", entryOf("2")], ["b", entryOf("2")]]);
  await eventually(async () => {
    const waits = await database.sql("SELECT count(*) FROM pg_locks WHERE NOT granted");
    assertEquals(waits, "1");
  });
  await locked.query("UPDATE hashstash SET value = '' WHERE key = 'a'");
  await locked.query("COMMIT");
  await locked.end();
  await waiting;
  assertEquals(await textAt(one, "a"), "2");
});

/** How many connections the database has besides the one that asks. */
async function connections(server: PostgresServer): Promise<number> {
  return Number(
    await server.sql(
      "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' " +
        "AND pid <> pg_backend_pid()",
    ),
  );
}

/** Waits until the server has no connection but the one that asks. */
async function gone(server: PostgresServer): Promise<void> {
  await eventually(async () => assertEquals(await connections(server), 0));
}

Deno.test("postgres: handles share a pool and let go of it", strict, async () => {
  await using server = await startPostgres({ password: "secret" });
  const url = server.urlWith("secret");
  const handles = [
    await openPostgres({ url }),
    await openPostgres({ url }, { name: "other", dbname: "x" }),
    await openPostgres({ url: new URL(url) }),
  ];
  assertEquals(await connections(server), 1);
  // Four at most, however many call.
  await Promise.all(
    Array.from({ length: 60 }, (_, i) => handles[i % 3].set(`key ${i}`, entryOf("value"))),
  );
  assertEquals(await connections(server), 4);
  const apart = await openPostgres({ url, pool: 1 });
  await Promise.all(Array.from({ length: 20 }, (_, i) => apart.set(`${i}`, entryOf("value"))));
  assertEquals(await connections(server), 5);
  await apart.close();
  await handles[0].close();
  await handles[0].close();
  assertEquals(await handles[2].has("key 2"), true);
  await handles[1].close();
  await handles[2].close();
  await gone(server);
  const again = await openPostgres({ url });
  assertEquals(await again.has("key 0"), true);
  await again.close();
  await gone(server);
  // One that can't be opened leaves none.
  await using wrong = await startPostgres();
  const failing = postgresAt({ url: `${wrong.url}_none` });
  for (let i = 0; i < 3; i++) await assertRejects(async () => await failing.open());
  await failing.close();
  await gone(wrong);
});

Deno.test("postgres: connections that nobody uses are ended, but for one", strict, async () => {
  await using server = await startPostgres();
  const options = {
    host: server.socketFolder,
    port: server.port,
    user: "postgres",
    ssl: false,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  } as const;
  let firsts = 0;
  const pool = new Pool(options, 3, () => void firsts++, 200);
  const borrow = () =>
    new Promise<GiveBack>((resolve, reject) =>
      pool.borrow((error, _client, giveBack) => error ? reject(error) : resolve(giveBack))
    );
  for (let round = 0; round < 2; round++) {
    const lent = await Promise.all([borrow(), borrow(), borrow()]);
    assertEquals([pool.isBusy, await connections(server)], [true, 3]);
    const fourth = borrow();
    for (const giveBack of lent) giveBack(false);
    (await fourth)(false);
    assertEquals(pool.isBusy, false);
    await eventually(async () => assertEquals(await connections(server), 1));
  }
  // One that broke makes room for another.
  const broken = await Promise.all([borrow(), borrow(), borrow()]);
  const next = borrow();
  broken[0](true);
  (await next)(false);
  assertEquals(firsts, 1);
  await pool.close();
  await assertRejects(borrow, Error, "closed");
  await gone(server);
});

Deno.test("postgres: a unix socket", strict, async () => {
  await using server = await startPostgres({ password: "not asked for there" });
  const url = `postgres://postgres@localhost:${server.port}/postgres?host=${server.socketFolder}`;
  await using engine = await openPostgres({ url });
  await engine.set("key", entryOf("value"));
  assertEquals(await textAt(engine, "key"), "value");
  const path = `postgres://localhost:${server.port}/postgres?host=${server.socketFolder}`;
  assertEquals(engine.path, path);
});

Deno.test("postgres: a pool of the user's is used and left open", strict, async () => {
  await using database = await makeDatabase();
  const user = makePool(database.url);
  const listeners = user.listenerCount("error");
  const engine = await openPostgres({ client: user });
  assertEquals(engine.path, database.url.replace("postgres@", ""));
  await engine.set("key", entryOf("value"));
  await engine.close();
  assertEquals(user.listenerCount("error"), listeners);
  assertEquals((await user.query("SELECT key FROM hashstash")).rows, [{ key: "key" }]);
  await user.end();
});

Deno.test("postgres: a pool that does not say how it connects has no bus", strict, async () => {
  await using database = await makeDatabase();
  const user = makePool(database.url);
  const client = {
    connect: (callback: unknown) => user.connect(callback),
    options: { connectionString: database.url },
  };
  await using engine = await openPostgres({ client });
  await engine.set("key", entryOf("value"));
  assertEquals(engine.bus(), undefined);
  await using whole = await openPostgres({ client: user });
  assertNotEquals(whole.bus(), undefined);
  await user.end();
});

Deno.test("postgres: path and options", async (t) => {
  const path = (options: Record<string, unknown>) => enginePath("postgres", LOCATION, options);

  await t.step("the path is the server and the table, without credentials", () => {
    const paths: Record<string, string> = {
      "postgres://user:secret@db.example:6432/cache": "postgres://db.example:6432/cache",
      "postgresql://user@db.example/cache?sslmode=require": "postgres://db.example:5432/cache",
      "postgres://:secret@[::1]/cache?application_name=x": "postgres://[::1]:5432/cache",
      "postgres://u:p%40@/cache?host=/run/postgresql": "postgres:///cache?host=/run/postgresql",
      "postgres://localhost": "postgres://localhost:5432/",
      "postgres://%2Frun%2Fpg/my%20db": "postgres:///my%20db?host=/run/pg",
      // The server's choice where no database is named.
      "postgres://alice@h": "postgres://h:5432/alice",
      "postgres://b%20b@h/": "postgres://h:5432/b%20b",
    };
    for (const [url, shown] of Object.entries(paths)) {
      assertEquals(path({ url }), shown);
      // Not every one of Postgres' URLs is one of the web's.
      if (URL.canParse(url)) assertEquals(path({ url: new URL(url) }), shown);
    }
    assertEquals(
      path({ url: "postgres://u:p@h/d", table: "s.t" }),
      "postgres://h:5432/d?table=s.t",
    );
    // A pool of the user's leads to the same place.
    for (
      const url of [
        ...["postgres://u@h/my%20db", "postgres://u@h", "postgres://%2Frun%2Fpg/d"],
        "postgres://u@h:6432/d%2Fe",
      ]
    ) {
      assertEquals(path({ client: makePool(url) }), path({ url }));
    }
    const pool = new pg.Pool({ host: "h", user: "carol" });
    assertEquals(path({ client: pool }), "postgres://h:5432/carol");
  });

  await t.step("what is wrong is said, and no URL is quoted", () => {
    const secret = "s3cret";
    const url = `postgres://u:${secret}@h/d`;
    const wrong: [Record<string, unknown>, string][] = [
      [{ url: 1 }, 'Option "url" of engine "postgres" must be a URL, got number'],
      [{ url: `u:${secret}@h` }, "begins with postgres:"],
      [{ url: `//u:${secret}@h` }, "must be a URL such as"],
      [{ url: `http://u:${secret}@h` }, "begins with postgres:"],
      [{ url: `postgres://u:${secret}#x@h/d` }, "percent-encoded"],
      [{ url: `postgres://u:${secret}%zz@h/d` }, "%25"],
      [{ url: `${url}?sslmode=prefer` }, "sslmode"],
      [{ url: `${url}?schema=x` }, 'the parameter "schema"'],
      [{ url: `${url}?host=run/x` }, "absolute path"],
      [{ url, table: "" }, "table"],
      [{ url, table: "a.b.c" }, "table"],
      [{ url, table: "é".repeat(32) }, "at most 63 bytes"],
      [{ url, table: 1 }, "must be a string"],
      [{ url, timeout: 0 }, "timeout"],
      [{ url, timeout: 2 ** 31 }, "at most 2147483647"],
      [{ url, pool: 1.5 }, "pool"],
      [{ url, tls: 1 }, "must be an object"],
      [{ url, client: makePool(url) }, "exclude each other"],
      [{ client: {} }, "Pool of npm:pg"],
      [{ client: { connect() {}, options: null } }, "Pool of npm:pg"],
      [{ url, nonsense: 1 }, "the valid ones are url, table, client, tls, timeout, pool"],
    ];
    for (const [options, message] of wrong) {
      for (const make of [path, (options: object) => createEngine(LOCATION, options)]) {
        const error = assertThrows(() => make(options), Error, message);
        assert(error instanceof TypeError || error instanceof RangeError, String(error));
        assert(!error.message.includes(secret), error.message);
      }
    }
  });

  await t.step("toJSON has the options that make an equal stash", () => {
    const engineOptions = { url: "postgres://h/d", table: "t", timeout: 1_000, pool: 2 };
    const stash = new HashStash("name", { engine: "postgres", engineOptions });
    assertEquals(stash.toJSON().engineOptions, engineOptions);
    assertEquals(HashStash.fromJSON(stash.toJSON()).path, stash.path);
  });
});

/** Runs a program; what it printed. */
async function runProgram(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        "--no-prompt",
        "--config",
        CONFIG,
        ...args.slice(1),
        file,
        args[0],
      ],
      env: { ...env, NO_COLOR: "1" },
      signal: AbortSignal.timeout(30_000),
    }).output();
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  } finally {
    await Deno.remove(file);
  }
}

const MOD = JSON.stringify(new URL("../../mod.ts", import.meta.url));
const USE = `
  import { HashStash } from ${MOD};
  const url = Deno.args[0] || undefined;
  const stash = new HashStash("name", { engine: "postgres", engineOptions: { url } });
  await stash.set("key", 1);
  console.log(await stash.get("key"), stash.path);
`;

Deno.test("postgres: a program ends though it closes nothing", strict, async () => {
  await using server = await startPostgres({ tls: true });
  const path = `1 postgres://127.0.0.1:${server.port}/postgres\n`;
  for (const url of [server.url, `${server.url}?sslmode=no-verify`]) {
    const { out, err } = await runProgram(USE, [url, "-A"]);
    assertEquals([out, err], [path, ""]);
  }
});

Deno.test("postgres: what it needs, and where it looks for its server", strict, async () => {
  await using server = await startPostgres({ password: "secret" });
  const url = server.urlWith("secret");
  const path = `1 postgres://127.0.0.1:${server.port}/postgres\n`;
  const net = `--allow-net=127.0.0.1:${server.port}`;
  const local = ["--allow-read", "--allow-env"];
  assertEquals((await runProgram(USE, [url, net, ...local])).out, path);
  const byEnvironment = await runProgram(USE, ["", net, ...local], { DATABASE_URL: url });
  assertEquals(byEnvironment.out, path);
  const refused = await runProgram(USE, [url, "--allow-net=127.0.0.1:1", ...local]);
  assertNotEquals(refused.code, 0);
  assert(refused.err.includes("--allow-net"), refused.err);
  assert(refused.err.includes("EngineError"), refused.err);
  assert(!refused.err.includes("secret"), refused.err);
  const unnamed = await runProgram(USE, ["", net, ...local], { DATABASE_URL: "" });
  assert(unnamed.err.includes("set DATABASE_URL"), unnamed.err);
  const hidden = await runProgram(USE, ["", net, "--allow-read", "--allow-env=HOME"]);
  assert(hidden.err.includes("--allow-env=DATABASE_URL"), hidden.err);
});
