/** What the postgres engine does when the server does not do what it should. */
import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import pg from "pg";
import { DecodeError } from "../../../codec/errors.ts";
import { hash } from "../../../codec/hash.ts";
import { EngineError } from "../../../engines/errors.ts";
import { PostgresError } from "../../../engines/postgres/errors.ts";
import { HashStash } from "../../../mod.ts";
import type { Store } from "../../support/bed.ts";
import { entryOf, pair, textAt } from "../../support/entries.ts";
import { openPostgres, postgresAt } from "../../support/postgres.ts";
import { makeDatabase, type PostgresServer, startPostgres } from "../../support/postgres_server.ts";
import { fails, incrementsOnce, SECRET } from "../../support/server_claims.ts";
import { eventually } from "../../support/servers.ts";
import { smallDiskError } from "../../support/small_disk.ts";
import { TcpProxy } from "../../support/tcp_proxy.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** The server's URL by way of a proxy. */
function through(proxy: TcpProxy, server: PostgresServer): string {
  return server.url.replace(`:${server.port}`, `:${proxy.port}`);
}

const place = (server: PostgresServer) => `postgres://127.0.0.1:${server.port}/postgres`;

Deno.test("postgres: no server when it is opened", strict, async () => {
  const server = await startPostgres();
  await server[Symbol.asyncDispose]();
  const engine = postgresAt({ url: server.urlWith(SECRET) });
  const error = await fails(() => engine.open(), `no connection to ${place(server)} (`, "open");
  assert(error.message.includes("ECONNREFUSED"), error.message);
  assert(error.message.includes("start a Postgres server"), error.message);
  await engine.close();
  await fails(() => postgresAt({ url: "postgres:///d?host=/nowhere" }).open(), "ENOENT", "open");
});

Deno.test("postgres: a host that no one knows", strict, async () => {
  const url = `postgres://u:${encodeURIComponent(SECRET)}@no-such-host.invalid/d`;
  await fails(() => postgresAt({ url }).open(), "postgres://no-such-host.invalid", "open", 8_000);
});

Deno.test("postgres: wrong user, password, database, or none", strict, async () => {
  await using server = await startPostgres({ password: "the right one" });
  const open = (url: string) => () => postgresAt({ url }).open();
  await fails(open(server.urlWith(SECRET)), "refuses the login (password", "open");
  await fails(open(server.urlWith(SECRET, "nobody")), "refuses the login (password", "open");
  await fails(open(server.url), "asks for a password", "open");
  const none = server.urlWith("the right one", "postgres", "none");
  const error = await fails(open(none), "is a database that the server does not have", "open");
  assert(error.message.includes("createdb"), error.message);
  assert(!error.message.includes("the right one"), error.message);
  // One that is made later is found.
  const engine = postgresAt({ url: none });
  await fails(() => engine.open(), "does not have", "open");
  await server.sql("CREATE DATABASE none");
  await engine.open();
  await engine.close();
});

Deno.test("postgres: what answers is no Postgres, or does not speak TLS", strict, async () => {
  await using server = await startPostgres();
  await fails(
    () => postgresAt({ url: `${server.url}?sslmode=require` }).open(),
    "no TLS connection",
    "open",
  );
  await using secure = await startPostgres({ tls: true });
  const unknown = await fails(
    () => postgresAt({ url: `${secure.url}?sslmode=require` }).open(),
    "no TLS connection",
    "open",
  );
  assert(unknown.message.includes('the option "tls": { ca }'), unknown.message);
  await using web = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => new Response(),
  );
  const url = `postgres://u@127.0.0.1:${web.addr.port}/d`;
  await fails(() => postgresAt({ url, timeout: 1_000 }).open(), url.replace("u@", ""), "open");
});

Deno.test("postgres: an address that swallows what is sent to it", strict, async () => {
  // Its queue is full: connecting takes until somebody gives up.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `postgres://u@127.0.0.1:${listener.addr.port}/d`;
  await fails(
    () => postgresAt({ url, timeout: 400 }).open(),
    "does not answer within 400 ms",
    "open",
  );
});

Deno.test("postgres: a server that accepts and does not answer", strict, async () => {
  await using server = await startPostgres();
  const options = { url: server.url, timeout: 400 };
  await using engine = await openPostgres(options);
  await engine.set("key", entryOf("before"));
  const thaw = await server.freeze();
  await fails(() => engine.get("key"), "does not answer within 400 ms", "get");
  await fails(() => engine.set("key", entryOf("no")), "does not answer within 400 ms", "set");
  await fails(() => postgresAt({ ...options, timeout: 300 }).open(), "300 ms", "open");
  thaw();
  await eventually(() => engine.set("key", entryOf("after")));
  assertEquals(await textAt(engine, "key"), "after");
});

Deno.test("postgres: a link that is open and dead", strict, async () => {
  await using server = await startPostgres();
  await using proxy = new TcpProxy(server.port);
  const url = through(proxy, server);
  {
    await using engine = await openPostgres({ url, timeout: 400 });
    await engine.set("key", entryOf("before"));
    const before = await engine.get("key");
    assert(before !== undefined);
    const changes = {
      set: () => engine.set("key", entryOf("no")),
      setMany: () => engine.setMany([["key", entryOf("no")]]),
      delete: () => engine.delete("key"),
      deleteMany: () => engine.deleteMany(["key"]),
      deleteUnchanged: () => engine.deleteUnchanged([["key", before]]),
      compareAndSet: () => engine.compareAndSet("key", before, undefined),
      clear: () => engine.clear(),
      prune: () => engine.prune(),
    };
    for (const [operation, call] of Object.entries(changes)) {
      // Only what was sent may have been done.
      proxy.isSilent = false;
      await eventually(() => engine.has("key"));
      proxy.isSilent = true;
      const unsure = await fails(call, "does not answer within 400 ms", operation, 1_500);
      assert(unsure.message.includes("whether the change was made is not known"), unsure.message);
    }
    const calls = {
      get: () => engine.get("key"),
      has: () => engine.has("key"),
      size: () => engine.size(),
      byteSize: () => engine.byteSize(),
      check: () => engine.check({ fix: true }),
      getMany: () => engine.getMany(["key", "other"]),
      keys: () => Array.fromAsync(engine.keys()),
    };
    for (const [operation, call] of Object.entries(calls)) {
      const error = await fails(call, "does not answer within 400 ms", operation, 1_500);
      assert(!error.message.includes("is not known"), error.message);
    }
    // Many at once wait no longer than for a connection and for an answer.
    await Promise.all(
      Array.from({ length: 100 }, () => fails(() => engine.set("k", entryOf("")), "400 ms", "set")),
    );
    proxy.isSilent = false;
    await eventually(() => engine.set("key", entryOf("after")));
    assertEquals(await textAt(engine, "key"), "after");
    proxy.isSilent = true;
    void Promise.resolve(engine.get("key")).catch(() => undefined);
  }
  // Closed in time, though nothing was answered.
});

Deno.test("postgres: a connection cut in the middle of a batch", strict, async () => {
  await using server = await startPostgres();
  await using proxy = new TcpProxy(server.port);
  await using engine = await openPostgres({ url: through(proxy, server), timeout: 2_000 });
  const batch = (text: string) => Array.from({ length: 400 }, (_, i) => pair(`key ${i}`, text));
  const keys = batch("").map(([key]) => key);
  await engine.setMany(batch("0".repeat(20_000)));
  for (let round = 1; round <= 8; round++) {
    const work = Promise.resolve(engine.setMany(batch(String(round).repeat(20_000))));
    await new Promise((resolve) => setTimeout(resolve, round * 3));
    proxy.cut();
    const start = performance.now();
    const error = await work.then(() => undefined, (error) => error);
    assertLess(performance.now() - start, 3_000);
    if (error !== undefined) {
      assertInstanceOf(error, EngineError);
      assert(error.message.includes("was lost; try again"), error.message);
    }
    let found: (string | undefined)[] = [];
    await eventually(async () => {
      found = (await engine.getMany(keys)).map((entry) =>
        new TextDecoder().decode(entry?.value.subarray(0, 1))
      );
    });
    // One statement: all of it or nothing.
    assertEquals(new Set(found).size, 1, `round ${round}`);
    if (error === undefined) assertEquals(found[0], String(round));
  }
});

Deno.test(
  "postgres: an increment is never made twice when the connection goes",
  strict,
  async () => {
    await using database = await makeDatabase();
    await using engine = await openPostgres({ url: database.url });
    await incrementsOnce(engine, () =>
      database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() " +
          "AND datname = current_database()",
      ));
  },
);

Deno.test(
  "postgres: a server killed while work is under way, and started again",
  strict,
  async () => {
    await using server = await startPostgres({ password: SECRET });
    await using engine = await openPostgres({ url: server.urlWith(SECRET) });
    await engine.set("kept", entryOf("acknowledged"));
    const acknowledged = new Map<string, number>();
    const failures: unknown[] = [];
    let stop = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; !stop; i++) {
        try {
          await engine.set(`writer ${writer}`, entryOf(String(i)));
          acknowledged.set(`writer ${writer}`, i);
        } catch (error) {
          failures.push(error);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    await eventually(() => assertEquals(acknowledged.size, 8));
    await server.kill();
    // Those who serve its clients end a moment later.
    await eventually(() => fails(() => engine.get("kept"), "ECONNREFUSED", "get"));
    const where = place(server);
    await fails(() => engine.set("kept", entryOf("no")), where, "set");
    await fails(
      () => engine.compareAndSet("kept", undefined, entryOf("no")),
      where,
      "compareAndSet",
    );
    await fails(() => engine.getMany(["kept", "a"]), where, "getMany");
    await fails(() => engine.setMany([["a", entryOf("no")]]), where, "setMany");
    await fails(() => engine.size(), where, "size");
    await fails(() => engine.clear(), where, "clear");
    await fails(() => Promise.all([engine.get("a"), engine.get("b")]), where, "get");
    await server.restart();
    await eventually(() => engine.has("kept"));
    stop = true;
    await Promise.all(writers);

    assertEquals(await textAt(engine, "kept"), "acknowledged");
    for (const [key, count] of acknowledged) {
      assert(Number(await textAt(engine, key)) >= count, `${key} lost ${count}`);
    }
    assert(failures.length >= 8);
    for (const failure of failures) assertInstanceOf(failure, EngineError);
  },
);

Deno.test("postgres: a server stopped and started again, as for an update", strict, async () => {
  await using server = await startPostgres();
  await using engine = await openPostgres({ url: server.url });
  await Promise.all(Array.from({ length: 20 }, (_, i) => engine.set(`${i}`, entryOf("value"))));
  await server.stop();
  await server.restart();
  // Its connections have ended, and nobody's call is wasted on one of them.
  await eventually(() => engine.has("0"));
  assertEquals(await engine.size(), 20);
});

Deno.test("postgres: a server that comes back empty", strict, async () => {
  await using server = await startPostgres();
  await using engine = await openPostgres({ url: server.url });
  await engine.set("key", entryOf("value"));
  const current = await engine.get("key");
  await server.kill();
  await server.wipe();
  await server.restart();
  await eventually(async () => assertEquals(await engine.get("key"), undefined));
  assertEquals(await engine.compareAndSet("key", current, entryOf("no")), false);
  await engine.set("key", entryOf("again"));
  assertEquals(await engine.size(), 1);
});

/** What a bus brings. */
async function listenTo(engine: Store) {
  const heard: string[] = [];
  const found = { heard, gaps: 0 };
  const bus = engine.bus()!;
  const end = await bus.subscribe((message) => heard.push(message), () => void found.gaps++);
  return Object.assign(found, { bus, [Symbol.asyncDispose]: async () => await end() });
}

const LISTENERS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT'";

Deno.test(
  "postgres: a listener whose connection is cut, and a server that goes",
  strict,
  async () => {
    await using server = await startPostgres();
    {
      await using engine = await openPostgres({ url: server.url });
      {
        await using listener = await listenTo(engine);
        const { bus, heard } = listener;
        await bus.publish("before");
        await eventually(() => assertEquals(heard, ["before"]));
        assertEquals(await server.sql(`SELECT pg_terminate_backend(pid) ${LISTENERS}`), "t");
        await eventually(() => assertEquals(listener.gaps, 1));
        // What is sent from the gap on is heard.
        await bus.publish("after");
        await eventually(() => assertEquals(heard, ["before", "after"]));
        // By another program, or another version of this one: all have to agree on the channel.
        const channel = `hashstash_${hash('["hashstash","name"]').slice(0, 40)}`;
        await server.sql(`NOTIFY ${channel}, 'by SQL'`);
        await eventually(() => assertEquals(heard.at(-1), "by SQL"));
        await server.kill();
        await eventually(() =>
          assertRejects(async () => await bus.publish("lost"), Error, "ECONNREFUSED")
        );
        assertEquals(listener.gaps, 1);
        await server.restart();
        await eventually(() => assertEquals(listener.gaps, 2));
        await bus.publish("again");
        await eventually(() => assertEquals(heard.at(-1), "again"));
        assertEquals(listener.gaps, 2);
        const late = await assertRejects(async () => await bus.publish("x".repeat(8_000)));
        assertInstanceOf(late, Error);
        assert(late.message.includes("payload string too long"), late.message);
      }
      await eventually(async () => assertEquals(await server.sql(`SELECT pid ${LISTENERS}`), ""));
      // Ended while it can't connect.
      const listener = await listenTo(engine);
      await server.kill();
      await eventually(() => fails(() => engine.get("key"), "ECONNREFUSED", "get"));
      await listener[Symbol.asyncDispose]();
      await assertRejects(() => listenTo(engine), Error, "ECONNREFUSED");
    }
  },
);

Deno.test("postgres: a listener's link that is open and dead", strict, async () => {
  await using server = await startPostgres();
  await using proxy = new TcpProxy(server.port);
  await using engine = await openPostgres({ url: through(proxy, server), timeout: 400 });
  await using direct = await openPostgres({ url: server.url });
  await using listener = await listenTo(engine);
  proxy.isSilent = true;
  await direct.bus()!.publish("missed");
  assert((await assertRejects(() => listenTo(engine), PostgresError)).isLate);
  const { accepted } = proxy;
  // Found out without anybody's asking.
  await eventually(() => assert(proxy.accepted > accepted));
  assertEquals([listener.heard, listener.gaps], [[], 0]);
  proxy.isSilent = false;
  await eventually(() => assertEquals(listener.gaps, 1));
  await direct.bus()!.publish("heard");
  await eventually(() => assertEquals(listener.heard, ["heard"]));
  // Ended in time though nothing is answered.
  proxy.isSilent = true;
});

Deno.test("postgres: a table of another shape", strict, async () => {
  await using database = await makeDatabase();
  const { url } = database;
  const columns = "key text, value text";
  const cases: [definition: string, fault: string][] = [
    [`TABLE t (${columns})`, "no column store"],
    [
      'TABLE t (store text COLLATE "C", key text, long_key text, value bytea, timestamp bigint, ' +
      "expires_at bigint, revision bigint)",
      'column key is text, not text COLLATE "C"',
    ],
    [
      'TABLE t (store text COLLATE "C", key text COLLATE "C", long_key text, value jsonb, ' +
      "timestamp bigint, expires_at bigint, revision bigint)",
      "column value is jsonb, not bytea",
    ],
    [`VIEW t AS SELECT 1 AS key`, "no column store"],
  ];
  for (const [definition, fault] of cases) {
    await database.sql(`CREATE ${definition}`);
    const error = await fails(() => postgresAt({ url, table: "t" }).open(), fault, "open");
    assert(error.message.includes('name another one in the option "table"'), error.message);
    await database.sql(`DROP ${definition.split(" ").slice(0, 2).join(" ")}`);
  }
  await fails(() => postgresAt({ url, table: "nowhere.t" }).open(), "CREATE SCHEMA", "open");
  // What others added is no harm, unless it must be given.
  await openPostgres({ url }).then((engine) => engine.close());
  await database.sql("ALTER TABLE hashstash ADD note text, ADD made timestamptz DEFAULT now()");
  await openPostgres({ url }).then((engine) => engine.close());
  await database.sql("ALTER TABLE hashstash ADD owner text NOT NULL");
  await fails(() => postgresAt({ url }).open(), "column owner must be given a value", "open");
  // Without the key by which rows are found.
  await database.sql("ALTER TABLE hashstash DROP owner, DROP CONSTRAINT hashstash_pkey");
  await using engine = await openPostgres({ url });
  await fails(() => engine.set("key", entryOf("no")), "is not of this engine", "set");
});

Deno.test("postgres: a user without rights", strict, async () => {
  await using server = await startPostgres({ password: "p" });
  await server.sql(`CREATE USER guest PASSWORD '${SECRET}'`);
  const url = server.urlWith(SECRET, "guest");
  const error = await fails(() => postgresAt({ url }).open(), "does not let this user", "open");
  assert(error.message.includes("grant SELECT"), error.message);
  await using owner = await openPostgres({ url: server.urlWith("p") });
  await owner.set("key", entryOf("value"));
  // Who may not make tables can use one.
  await using engine = await openPostgres({ url });
  await fails(() => engine.get("key"), "does not let this user", "get");
  await server.sql("GRANT SELECT ON hashstash TO guest");
  assertEquals(await textAt(engine, "key"), "value");
  await fails(() => engine.set("key", entryOf("no")), "does not let this user", "set");
  await server.sql("GRANT INSERT, UPDATE, DELETE ON hashstash TO guest");
  await engine.set("key", entryOf("yes"));
  assertEquals(await engine.delete("key"), true);
});

Deno.test("postgres: too many connections", strict, async () => {
  await using server = await startPostgres({
    settings: ["max_connections=6", "superuser_reserved_connections=1"],
  });
  await server.sql("CREATE USER guest; GRANT ALL ON SCHEMA public TO guest");
  const url = server.urlWith("", "guest").replace(":@", "@");
  await using engine = await openPostgres({ url, pool: 1 });
  await engine.set("key", entryOf("value"));
  const others: { end(): Promise<void> }[] = [];
  for (let i = 0; i < 4; i++) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    others.push(client);
  }
  const error = await fails(() => postgresAt({ url }).open(), "has no connection left", "open");
  assert(error.message.includes('the option "pool"'), error.message);
  // Who has one goes on.
  assertEquals(await textAt(engine, "key"), "value");
  for (const other of others) await other.end();
  // Who could have more goes on with those that there are.
  await using wide = await openPostgres({ url, pool: 4 });
  const late: { end(): Promise<void> }[] = [];
  for (let i = 0; i < 3; i++) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    late.push(client);
  }
  for (let round = 0; round < 20; round++) {
    const [key, ...all] = await Promise.all([
      textAt(wide, "key"),
      ...Array.from({ length: 10 }, (_, i) => wide.has(i % 2 === 0 ? "key" : "none")),
    ]);
    assertEquals([key, ...all], ["value", ...Array.from({ length: 10 }, (_, i) => i % 2 === 0)]);
  }
  for (const other of late) await other.end();
  await eventually(async () => await openPostgres({ url }).then((engine) => engine.close()));
});

Deno.test(
  "postgres: rows that others keep locked, and a pool that is exhausted",
  strict,
  async () => {
    await using database = await makeDatabase();
    await using engine = await openPostgres({ url: database.url, pool: 2, timeout: 500 });
    await engine.setMany([["locked", entryOf("value")], ["free", entryOf("value")]]);
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query("BEGIN");
    await other.query("SELECT FROM hashstash WHERE key = 'locked' FOR UPDATE");
    const locked = await fails(() => engine.set("locked", entryOf("a")), "within 500 ms", "set");
    assert(locked.message.includes("what locks the rows"), locked.message);
    const waiting = [1, 2].map((i) =>
      fails(() => engine.set("locked", entryOf(`${i}`)), "500", "set")
    );
    await fails(() => engine.get("free"), "all 2 connections to", "get");
    await Promise.all(waiting);
    // Readers don't wait for who writes.
    assertEquals(await textAt(engine, "locked"), "value");
    await other.query("ROLLBACK");
    await other.end();
    // Those that were rejected waited in the server all the same, and may be done now.
    const active = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() " +
      "AND state = 'active' AND pid <> pg_backend_pid()";
    await eventually(async () => assertEquals(await database.sql(active), "0"));
    await eventually(() => engine.set("locked", entryOf("after")));
    assertEquals(await textAt(engine, "locked"), "after");
  },
);

Deno.test("postgres: a server that takes no changes", strict, async () => {
  await using server = await startPostgres();
  await using engine = await openPostgres({ url: server.url });
  await engine.set("key", entryOf("before"));
  await server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await server.sql("SELECT pg_reload_conf()");
  // Each connection hears of it in its own time.
  await eventually(() =>
    fails(() => engine.set("other", entryOf("no")), "takes no changes", "set")
  );
  const error = await eventually(() =>
    fails(() => engine.delete("other"), "takes no changes", "delete")
  );
  assert(error.message.includes("name the primary in the URL"), error.message);
  assert(!error.message.includes("is not known"), error.message);
  assertEquals(await textAt(engine, "key"), "before");
  // Where there is no table, none can be made.
  await fails(() => postgresAt({ url: server.url, table: "t" }).open(), "takes no changes", "open");
  await using reader = await openPostgres({ url: server.url, timeout: 4_000 });
  assertEquals(await textAt(reader, "key"), "before");
});

Deno.test("postgres: a failover to another server behind the same address", strict, async () => {
  await using old = await startPostgres();
  await using next = await startPostgres();
  await using proxy = new TcpProxy(old.port);
  await using engine = await openPostgres({ url: through(proxy, old), timeout: 1_000 });
  await engine.set("key", entryOf("old"));
  await openPostgres({ url: next.url }).then(async (engine) => {
    await engine.set("key", entryOf("next"));
    await engine.close();
  });
  proxy.target = next.port;
  // The old one stays up, and says that it is not the primary any more.
  await old.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await old.sql("SELECT pg_reload_conf()");
  // Until its connections have heard of it, it takes what is set.
  let attempt = 0;
  await eventually(async () => {
    await engine.set(`written ${++attempt}`, entryOf("value"));
    assertEquals(await textAt(engine, "key"), "next");
  });
  await engine.set("written", entryOf("value"));
  assertEquals(await next.sql("SELECT count(*) FROM hashstash WHERE key = 'written'"), "1");
  assertEquals(await old.sql("SELECT count(*) FROM hashstash WHERE key = 'written'"), "0");
});

Deno.test("postgres: a full disk", strict, async () => {
  const obstacle = await smallDiskError();
  if (obstacle !== undefined) {
    console.log(`NO DISK IS FILLED: ${obstacle}`);
    return;
  }
  await using server = await startPostgres({ disk: 4_000_000 });
  await using engine = await openPostgres({ url: server.url });
  await server.sql(`CREATE TABLESPACE small LOCATION '${server.disk}'`);
  await server.sql("ALTER TABLE hashstash SET TABLESPACE small");
  await engine.set("key", entryOf("before"));
  const value = new Uint8Array(500_000);
  let count = 0;
  const error = await assertRejects(async () => {
    for (; count < 20; count++) await engine.set(`key ${count}`, entryOf(value));
  }, EngineError);
  assert(/the disk of .* is full .*; free some space/.test(error.message), error.message);
  assert(!error.message.includes("is not known"), error.message);
  assert(count > 2);
  await fails(() => engine.set("key", entryOf(value)), "is full", "set");
  await fails(() => engine.setMany([["key", entryOf(value)]]), "is full", "setMany");
  assertEquals(await textAt(engine, "key"), "before");
  assertEquals(await engine.size(), count + 1);
  // To remove needs no room in the table.
  assertEquals(await engine.delete("key 0"), true);
  await engine.clear();
  assertEquals(await engine.size(), 0);
});

Deno.test("postgres: a value that is too large", strict, async () => {
  await using database = await makeDatabase();
  await using engine = await openPostgres({ url: database.url });
  await engine.set("key", entryOf("before"));
  // Its text in hex would be longer than the longest string.
  const size = 268_435_444;
  const value = new Uint8Array(size);
  for (
    const store of [
      () => engine.set("key", entryOf(value)),
      () => engine.setMany([["key", entryOf(value)]]),
      () => engine.compareAndSet("new", undefined, entryOf(value)),
    ]
  ) {
    await assertRejects(async () => void await store(), RangeError, "too large");
  }
  assertEquals(await textAt(engine, "key"), "before");
  // By hand, which the server takes.
  await database.sql(
    `ALTER TABLE hashstash ALTER value SET STORAGE EXTENDED; INSERT INTO hashstash (store, key, value) ` +
      `VALUES ('name:main', 'large', convert_to(repeat('x', ${size}), 'UTF8'))`,
  );
  for (
    const read of [
      () => engine.get("large"),
      () => engine.getValue("large"),
      () => engine.getMany(["key", "large"]),
      () => Promise.all([engine.getValue("key"), engine.getValue("large")]),
      () => Array.fromAsync(engine.entries("large")),
    ]
  ) {
    const error = await assertRejects(async () => void await read(), DecodeError);
    assert(error.message.includes("larger than the client can receive"), error.message);
    assertEquals([error.key, error.kind], ["large", "foreign"]);
  }
  assertEquals(await textAt(engine, "key"), "before");
  assertEquals([await engine.has("large"), await engine.size()], [true, 2]);
  assertEquals(await engine.delete("large"), true);
});

Deno.test("postgres: a function whose store goes away in the middle", strict, async () => {
  await using server = await startPostgres();
  await using proxy = new TcpProxy(server.port);
  const engineOptions = { url: through(proxy, server), timeout: 1_000 };
  await using stash = new HashStash("name", { engine: "postgres", engineOptions });
  const [started, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = stash.stashedResult(async function slow(x: number) {
    started.resolve();
    await cut.promise;
    return x * 2;
  });
  const running = slow(3);
  await started.promise;
  proxy.cut();
  cut.resolve();
  // A value that has been computed reaches its callers.
  assertEquals(await running, 6);
  await eventually(async () => assertEquals(await slow(3), 6));
});
