/** What the redis engine does when the server does not do what it should. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Redis, type RedisOptions } from "ioredis";
import { DecodeError } from "../../../codec/errors.ts";
import { EngineError } from "../../../engines/errors.ts";
import { HashStash } from "../../../mod.ts";
import { entryOf, pair, textAt } from "../../support/entries.ts";
import { openRedis, redisAt } from "../../support/redis.ts";
import { fails, incrementsOnce, SECRET } from "../../support/server_claims.ts";
import { eventually } from "../../support/servers.ts";
import { RedisProxy } from "../../support/redis_proxy.ts";
import {
  type RedisCluster,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startSentinel,
} from "../../support/redis_server.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("redis: no server when it is opened", strict, async () => {
  const server = await startRedis();
  await server[Symbol.asyncDispose]();
  const url = server.urlWith(SECRET);
  const engine = redisAt({ url });
  const error = await fails(() => engine.open(), `no connection to ${server.url} (`, "open");
  assert(error.message.includes("ECONNREFUSED"), error.message);
  assert(error.message.includes("start a Redis server"), error.message);
  await engine.close();
  await fails(() => redisAt({ cluster: [url] }).open(), server.url, "open");
  await fails(() => redisAt({ url: "unix:///nowhere/redis.sock" }).open(), "ENOENT", "open");
});

Deno.test("redis: a host that no one knows", strict, async () => {
  const url = `redis://:${encodeURIComponent(SECRET)}@no-such-host.invalid:6379`;
  await fails(() => redisAt({ url }).open(), "redis://no-such-host.invalid:6379", "open", 8_000);
});

Deno.test("redis: a server that accepts and does not answer", strict, async () => {
  await using server = await startRedis();
  const options = { url: server.url, timeout: 400 };
  server.freeze();
  await fails(() => redisAt(options).open(), "does not answer within 400 ms", "open");
  server.thaw();
  await using engine = await openRedis(options);
  await engine.set("key", entryOf("before"));
  server.freeze();
  await fails(() => engine.get("key"), "does not answer within 400 ms", "get");
  await fails(() => engine.set("key", entryOf("no")), "is not known", "set");
  server.thaw();
  await eventually(() => engine.set("key", entryOf("after")));
  assertEquals(await textAt(engine, "key"), "after");
});

Deno.test("redis: functions run while the server is out of memory", strict, async () => {
  await using server = await startRedis();
  await using stash = new HashStash({ engine: "redis", engineOptions: { url: server.url } });
  const twice = stash.stashedResult((x: number) => 2 * x, { name: "twice" });
  await server.cli("CONFIG", "SET", "maxmemory", "100kb");
  const errors: string[] = [];
  stash.events.addEventListener("error", (event) => {
    errors.push(String((event as CustomEvent).detail.error));
  });
  assertEquals(await stash.getOrSet("key", () => "made"), "made");
  assertEquals(await twice(2), 4);
  assertEquals(errors.length, 2);
  for (const error of errors) assertStringIncludes(error, "is out of memory (OOM");
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  assertEquals(await twice(2), 4);
  assertEquals(await twice.peek(2), 4);
  assertEquals(errors.length, 2);
});

Deno.test("redis: check says when the server may drop any key", strict, async () => {
  await using server = await startRedis();
  await using stash = new HashStash({ engine: "redis", engineOptions: { url: server.url } });
  await stash.set("key", 1);
  const found = async (policy: string, maxmemory: string) => {
    await server.cli("CONFIG", "SET", "maxmemory-policy", policy);
    await server.cli("CONFIG", "SET", "maxmemory", maxmemory);
    const { ok, problems } = await stash.check({ fix: true });
    assertEquals([ok, await stash.get("key")], [true, 1]);
    return problems.map(({ kind, detail, fixed }) => `${kind} ${fixed} ${detail}`);
  };
  assertEquals(await found("noeviction", "100mb"), []);
  assertEquals(await found("volatile-lru", "100mb"), []);
  assertEquals(await found("allkeys-lru", "0"), []);
  for (const policy of ["allkeys-lru", "allkeys-lfu", "allkeys-random"]) {
    const [problem, ...more] = await found(policy, "100mb");
    assertEquals(more, []);
    assertStringIncludes(problem, `unknown false With maxmemory-policy ${policy} the server drops`);
  }
});

Deno.test("redis: a link that is open and dead", strict, async () => {
  await using server = await startRedis();
  await using proxy = new RedisProxy(server.port);
  {
    await using engine = await openRedis({ url: proxy.url, timeout: 400 });
    await engine.set("key", entryOf("before"));
    const before = await engine.get("key");
    assert(before !== undefined);
    proxy.isSilent = true;
    await fails(() => engine.get("key"), "does not answer within 400 ms", "get", 1_000);
    const remove = () => engine.deleteUnchanged([["key", before]]);
    await fails(remove, "whether the change was made is not known", "deleteUnchanged", 1_000);
    const calls = {
      get: () => engine.get("key"),
      has: () => engine.has("key"),
      size: () => engine.size(),
      byteSize: () => engine.byteSize(),
      check: () => engine.check({ fix: true }),
    };
    for (const [operation, call] of Object.entries(calls)) {
      await fails(call, "", operation, 1_000);
    }
    await fails(() => engine.set("key", entryOf("no")), "", "set", 1_000);
    // Many at once wait no longer than one.
    await Promise.all(
      Array.from({ length: 100 }, () => fails(() => engine.get("key"), "", "get", 1_000)),
    );
    const opening = performance.now();
    await fails(() => redisAt({ url: proxy.url, timeout: 300 }).open(), "300 ms", "open", 1_000);
    assertLess(performance.now() - opening, 1_000);
    proxy.isSilent = false;
    await eventually(() => engine.set("key", entryOf("after")));
    assertEquals(await textAt(engine, "key"), "after");
    proxy.isSilent = true;
    void Promise.resolve(engine.get("key")).catch(() => undefined);
  }
  // Closed in time, though nothing was answered.
});

Deno.test("redis: an answer cut off in the middle", strict, async () => {
  await using server = await startRedis();
  await using proxy = new RedisProxy(server.port);
  await using engine = await openRedis({ url: proxy.url, timeout: 1_000 });
  const pairs = Array.from({ length: 400 }, (_, i) => pair(`key ${i}`, "x".repeat(20_000)));
  await engine.setMany(pairs);
  for (
    const call of [() => engine.getMany(pairs.map(([key]) => key)), () => engine.setMany(pairs)]
  ) {
    const work = Promise.resolve(call());
    await new Promise((resolve) => setTimeout(resolve, 5));
    proxy.cut();
    const start = performance.now();
    await work.then(() => undefined, (error) => assertInstanceOf(error, EngineError));
    assertLess(performance.now() - start, 2_000);
    await eventually(async () => {
      const found = await engine.getMany(pairs.map(([key]) => key));
      assert(found.every((entry) => entry?.value.byteLength === 20_000));
    });
  }
});

Deno.test("redis: an address that swallows what is sent to it", strict, async () => {
  // Its queue is full: connecting takes until somebody gives up.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `redis://127.0.0.1:${listener.addr.port}`;
  await fails(() => redisAt({ url, timeout: 400 }).open(), "does not answer", "open", 1_000);
  await fails(() => redisAt({ cluster: [url], timeout: 400 }).open(), url, "open", 2_500);
});

Deno.test("redis: a cluster whose node answers no more", strict, async () => {
  await using cluster = await startRedisCluster();
  await using engine = await openRedis({ cluster: cluster.urls, timeout: 500 });
  const pairs = Array.from({ length: 60 }, (_, i) => pair(`key ${i}`, "value"));
  await engine.setMany(pairs);
  cluster.nodes[2].freeze();
  await fails(() => engine.size(), "does not answer", "size", 2_000);
  await fails(() => engine.setMany(pairs), "", "setMany", 2_000);
  await fails(() => engine.getMany(pairs.map(([key]) => key)), "", "getMany", 2_000);
  const opened = performance.now();
  await using other = redisAt({ cluster: cluster.urls, timeout: 500 });
  await other.open();
  assertLess(performance.now() - opened, 2_000);
  cluster.nodes[2].thaw();
  await eventually(() => engine.setMany(pairs));
  assertEquals(await engine.size(), pairs.length);
});

Deno.test("redis: a server killed while work is under way, and started again", strict, async () => {
  await using server = await startRedis({ durable: true, password: SECRET });
  await using engine = await openRedis({ url: server.urlWith(SECRET) });
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
  await new Promise((resolve) => setTimeout(resolve, 100));
  await server.kill();
  await fails(() => engine.get("kept"), server.url, "get");
  await fails(() => engine.set("kept", entryOf("no")), server.url, "set");
  await fails(
    () => engine.compareAndSet("kept", undefined, entryOf("no")),
    server.url,
    "compareAndSet",
  );
  await fails(() => engine.getMany(["kept", "a"]), server.url, "getMany");
  await fails(() => engine.setMany([["a", entryOf("no")]]), server.url, "setMany");
  await fails(() => engine.size(), server.url, "size");
  await fails(() => engine.clear(), server.url, "clear");
  await fails(() => Promise.all([engine.get("a"), engine.get("b")]), server.url, "get");
  const atTheKill = new Map(acknowledged);
  await server.restart();
  await eventually(() => engine.has("kept"));
  stop = true;
  await Promise.all(writers);

  assertEquals(await textAt(engine, "kept"), "acknowledged");
  assertEquals(atTheKill.size, 8);
  for (const [key, count] of acknowledged) {
    assert(Number(await textAt(engine, key)) >= count, `${key} lost ${count}`);
  }
  assert(failures.length >= 8);
  for (const failure of failures) assertInstanceOf(failure, EngineError);
});

Deno.test("redis: an increment is never made twice when the connection goes", strict, async () => {
  await using server = await startRedis({ durable: true });
  await using engine = await openRedis({ url: server.url });
  await incrementsOnce(engine, () => server.cli("CLIENT", "KILL", "TYPE", "normal"));
});

Deno.test("redis: a wrong password, or none", strict, async () => {
  await using server = await startRedis({ password: "the right one" });
  const wrong = { url: server.urlWith(SECRET) };
  await fails(() => redisAt(wrong).open(), "refuses the login (WRONGPASS", "open");
  await fails(() => redisAt({ url: server.url }).open(), "refuses the login (NOAUTH", "open");
  await fails(() => redisAt({ cluster: [server.urlWith(SECRET)] }).open(), server.url, "open");
  await fails(() => redisAt({ url: server.urlWith(SECRET, "who") }).open(), "WRONGPASS", "open");
});

Deno.test("redis: a user without rights", strict, async () => {
  await using server = await startRedis();
  await server.cli(
    "ACL",
    "SETUSER",
    "reader",
    "on",
    `>${SECRET}`,
    "~name:*",
    "+@read",
    "+hello",
    "+info",
  );
  await using engine = await openRedis({ url: server.urlWith(SECRET, "reader") });
  assertEquals(await engine.get("key"), undefined);
  await fails(
    () => engine.set("key", entryOf("no")),
    "does not let this user do it (NOPERM",
    "set",
  );
});

/** The server of a cluster that has the Redis key. */
async function ownerOf(cluster: RedisCluster, name: string): Promise<RedisServer> {
  for (const node of cluster.nodes) {
    if (await node.cli("EXISTS", name) === "1") return node;
  }
  throw new Error(`No server has ${name}`);
}

/** A client of the user's own. */
function clientOf(server: RedisServer, options: RedisOptions = {}): Redis & AsyncDisposable {
  const client = new Redis({
    port: server.port,
    lazyConnect: true,
    disconnectTimeout: 20,
    ...options,
  });
  client.on("error", () => undefined);
  return Object.assign(client, {
    async [Symbol.asyncDispose]() {
      client.disconnect();
      await new Promise((resolve) => setTimeout(resolve, 100));
    },
  });
}

/** A user with all rights on entries but for those named. */
async function setUser(server: RedisServer, ...without: string[]): Promise<void> {
  const rights = ["~name:*", "+@all", ...without.map((command) => `-${command}`)];
  await server.cli("ACL", "SETUSER", "partial", "reset", "on", `>${SECRET}`, ...rights);
}

Deno.test("redis: a database that the server does not have", strict, async () => {
  await using server = await startRedis({ args: ["--databases", "4"] });
  await server.cli("SET", "name:main:key", "of database 0");
  const wrong = { url: `${server.url}/99` };
  await fails(() => redisAt(wrong).open(), 'raise "databases" in the server\'s settings', "open");
  await using user = clientOf(server, { db: 99 });
  await fails(() => redisAt({ client: user }).open(), "", "open");
  assertEquals(await server.cli("GET", "name:main:key"), "of database 0");
});

Deno.test("redis: a database that a restarted server does not have any more", strict, async () => {
  await using server = await startRedis({ args: ["--databases", "4"] });
  await using engine = await openRedis({ url: `${server.url}/3` });
  await engine.set("key", entryOf("of database 3"));
  await server.stop();
  await using smaller = await startRedis({ port: server.port, args: ["--databases", "2"] });
  await smaller.cli("SET", "name:main:key", "of database 0");
  for (let i = 0; i < 3; i++) {
    await fails(() => engine.get("key"), "", "get");
    await fails(() => engine.set("key", entryOf("lost")), "", "set");
    await fails(() => engine.clear(), "", "clear");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await fails(() => engine.clear(), "out of range", "clear");
  assertEquals(await smaller.cli("GET", "name:main:key"), "of database 0");
  await smaller.stop();
  await server.restart();
  await eventually(() => engine.set("key", entryOf("back")));
  assertEquals(await server.cli("-n", "3", "GET", "name:main:key"), "back");
});

Deno.test("redis: a user who may not select a database", strict, async () => {
  await using server = await startRedis();
  await server.cli("SET", "name:main:key", "of database 0");
  await setUser(server, "select");
  const url = server.urlWith(SECRET, "partial");
  await fails(
    () => redisAt({ url: `${url}/2` }).open(),
    "does not let this user do it (NOPERM",
    "open",
  );
  await using zero = await openRedis({ url });
  assertEquals(await textAt(zero, "key"), "of database 0");

  await setUser(server);
  await using engine = await openRedis({ url: `${url}/2` });
  await engine.set("key", entryOf("of database 2"));
  await setUser(server, "select");
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  for (let i = 0; i < 5; i++) {
    await fails(() => engine.get("key"), "", "get");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await fails(() => engine.clear(), "NOPERM", "clear");
  assertEquals(await server.cli("GET", "name:main:key"), "of database 0");
  await setUser(server);
  await eventually(() => engine.get("key"));
  assertEquals(await textAt(engine, "key"), "of database 2");
});

Deno.test("redis: a user whose password changes while it is connected", strict, async () => {
  await using server = await startRedis();
  await setUser(server);
  await using engine = await openRedis({ url: server.urlWith(SECRET, "partial") });
  await engine.set("key", entryOf("value"));
  await server.cli("ACL", "SETUSER", "partial", "resetpass", ">another");
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  const refused = () => fails(() => engine.get("key"), "refuses the login (WRONGPASS", "get");
  await eventually(refused);
  await refused();
});

Deno.test("redis: a server out of memory", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  await engine.set("key", entryOf("before"));
  await server.cli("CONFIG", "SET", "maxmemory", "100kb");
  await fails(() => engine.set("key", entryOf("after")), "is out of memory (OOM", "set");
  await fails(() => engine.setMany([["key", entryOf("after")]]), "OOM", "setMany");
  const current = await engine.get("key");
  await fails(() => engine.compareAndSet("key", current, entryOf("after")), "OOM", "compareAndSet");
  assertEquals(await textAt(engine, "key"), "before");
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  await engine.set("key", entryOf("after"));
  assertEquals(await textAt(engine, "key"), "after");
});

Deno.test("redis: a value larger than Redis takes", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  const value = new Uint8Array(512 * 1024 * 1024 + 1);
  await fails(() => engine.set("key", { value, timestamp: 0 }), "is too large", "set");
  await fails(() => engine.setMany([["key", { value, timestamp: 0 }]]), "is too large", "setMany");
  assertEquals(await engine.size(), 0);
});

Deno.test("redis: a read-only replica", strict, async () => {
  await using server = await startRedis({ args: ["--replicaof", "127.0.0.1", "1"] });
  await using engine = await openRedis({ url: server.url });
  const change = "is a replica and takes no changes (READONLY";
  await fails(() => engine.set("key", entryOf("no")), change, "set");
  await fails(() => engine.setMany([["key", entryOf("no")]]), change, "setMany");
  await fails(() => engine.compareAndSet("key", undefined, entryOf("no")), change, "compareAndSet");
  // What is read at the same time goes on.
  for (let i = 0; i < 10; i++) {
    const [read] = await Promise.all([
      engine.get("key"),
      fails(() => engine.delete("key"), change, "delete"),
    ]);
    assertEquals(read, undefined);
  }
});

for (const way of ["set", "setMany", "compareAndSet"] as const) {
  Deno.test(`redis: a failover, after which the old primary stays up: ${way}`, strict, async () => {
    const atOnce = ["--repl-diskless-sync-delay", "0"];
    await using first = await startRedis({ args: atOnce });
    await using second = await startRedis({
      args: [...atOnce, "--replicaof", "127.0.0.1", `${first.port}`],
    });
    await using proxy = new RedisProxy(first.port);
    await using engine = await openRedis({ url: proxy.url });
    await engine.set("key", entryOf("before"));
    await eventually(async () => {
      assertEquals(await second.cli("GET", "name:main:key"), "before");
    });
    await second.cli("REPLICAOF", "NO", "ONE");
    await first.cli("REPLICAOF", "127.0.0.1", `${second.port}`);
    proxy.target = second.port;
    const change = async () => {
      const after = entryOf("after");
      if (way === "set") await engine.set("key", after);
      else if (way === "setMany") await engine.setMany([["key", after], ["other", after]]);
      else assert(await engine.compareAndSet("key", await engine.get("key"), after));
    };
    const start = performance.now();
    await eventually(change);
    assertLess(performance.now() - start, 5_000);
    assertEquals(await second.cli("GET", "name:main:key"), "after");
  });
}

Deno.test("redis: Sentinels and a failover", strict, async (t) => {
  const atOnce = ["--repl-diskless-sync-delay", "0"];
  await using first = await startRedis({ args: atOnce });
  await using second = await startRedis({
    args: [...atOnce, "--replicaof", "127.0.0.1", `${first.port}`],
  });
  await using sentinel = await startSentinel(first);
  const sentinels = [{ host: "127.0.0.1", port: 1 }, sentinel.url];

  await t.step("a name that they don't know, and none that answers", async () => {
    await fails(
      () => redisAt({ url: "redis://other", sentinels: [sentinel.url], timeout: 1_000 }).open(),
      "no Sentinel tells where redis://other is",
      "open",
    );
    const nobody = [{ host: "127.0.0.1", port: 1 }];
    await fails(
      () => redisAt({ url: "redis://primary", sentinels: nobody, timeout: 1_000 }).open(),
      "All sentinels are unreachable",
      "open",
    );
  });

  await t.step("the next calls are to the new primary", async () => {
    await using engine = await openRedis({ url: "redis://primary/3", sentinels, timeout: 1_000 });
    assertEquals(engine.path, "redis://primary/3");
    await engine.set("key", entryOf("before"));
    assertEquals(await first.cli("-n", "3", "GET", "name:main:key"), "before");
    await eventually(async () => {
      const known = await sentinel.cli("SENTINEL", "REPLICAS", "primary");
      assert(known.includes(`${second.port}`));
      assertEquals(await second.cli("-n", "3", "GET", "name:main:key"), "before");
    });
    await first.kill();
    await fails(() => engine.set("key", entryOf("no")), "redis://primary/3", "set");
    await eventually(() => engine.set("key", entryOf("after")));
    assertEquals(await second.cli("-n", "3", "GET", "name:main:key"), "after");
    assertEquals(await textAt(engine, "key"), "after");
    // Nobody is left: calls and the close end in time all the same.
    await sentinel.kill();
    await second.kill();
    await fails(() => engine.get("key"), "redis://primary/3", "get");
    await fails(() => engine.get("key"), "redis://primary/3", "get");
    const start = performance.now();
    await engine.close();
    assertLess(performance.now() - start, 2_000);
  });

  // The clients with which ioredis asks Sentinels have a timer that runs on after their end.
  await new Promise((resolve) => setTimeout(resolve, 2_100));
});

Deno.test("redis: a replica that lost its primary", strict, async () => {
  const lost = ["--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no"];
  await using server = await startRedis({ args: lost });
  await fails(
    () => redisAt({ url: server.url }).open(),
    "is a replica without its primary (MASTERDOWN",
    "open",
  );
});

Deno.test("redis: a server that is still reading its data", strict, async () => {
  // It answers while it reads, as it does with more data than a test has.
  await using server = await startRedis({
    args: ["--loading-process-events-interval-bytes", "1024"],
  });
  await using engine = await openRedis({ url: server.url, timeout: 600 });
  await engine.set("key", entryOf("value"));
  await server.cli("DEBUG", "POPULATE", "20000");
  await server.cli("CONFIG", "SET", "key-load-delay", "150");
  const reading = server.cli("DEBUG", "RELOAD");
  await eventually(() =>
    fails(() => engine.get("key"), "is still reading its data (LOADING", "get")
  );
  await fails(() => engine.set("key", entryOf("no")), "LOADING", "set");
  await fails(() => redisAt({ url: server.url, timeout: 500 }).open(), "reading its data", "open");
  // Who waits longer is let in as soon as it is done.
  await using patient = redisAt({ url: server.url, timeout: 20_000 });
  const opening = patient.open();
  await reading;
  const start = performance.now();
  await opening;
  assertLess(performance.now() - start, 1_000);
  assertEquals(await textAt(patient, "key"), "value");
  await eventually(() => engine.get("key"));
});

Deno.test(
  "redis: a server with too few replicas",
  strict,
  async () => {
    await using server = await startRedis();
    await using engine = await openRedis({ url: server.url });
    await server.cli("CONFIG", "SET", "min-replicas-to-write", "1");
    await fails(() => engine.set("key", entryOf("no")), "has too few replicas", "set");
    await fails(
      () => engine.compareAndSet("key", undefined, entryOf("no")),
      "too few",
      "compareAndSet",
    );
  },
);

Deno.test("redis: a server that a script keeps busy", strict, async () => {
  await using server = await startRedis({ args: ["--busy-reply-threshold", "50"] });
  await using engine = await openRedis({ url: server.url });
  const script = server.cli("EVAL", "while true do end", "0").catch(() => "killed");
  await eventually(() => fails(() => engine.get("key"), "is kept busy by a script (BUSY", "get"));
  await server.cli("SCRIPT", "KILL");
  await script;
  assertEquals(await engine.get("key"), undefined);
});

Deno.test("redis: a cluster that has no server for a part of its keys", strict, async () => {
  await using cluster = await startRedisCluster();
  await using engine = await openRedis({ cluster: cluster.urls });
  const pairs = Array.from({ length: 30 }, (_, i) => pair(`key ${i}`, "value"));
  await engine.setMany(pairs);
  await cluster.nodes[0].cli("CLUSTER", "DELSLOTSRANGE", "0", "5460");
  const down = "a part of the cluster";
  await eventually(() => fails(() => engine.setMany(pairs), down, "setMany", 6_000));
  await fails(() => engine.getMany(pairs.map(([key]) => key)), "", "getMany", 6_000);
  await cluster.nodes[0].cli("CLUSTER", "ADDSLOTSRANGE", "0", "5460");
  await eventually(() => engine.setMany(pairs));
  assertEquals(await engine.size(), pairs.length);
});

Deno.test("redis: a cluster that moves keys to a server that joined", strict, async () => {
  await using cluster = await startRedisCluster();
  await using engine = await openRedis({ cluster: cluster.urls });
  const pairs = Array.from({ length: 30 }, (_, i) => pair(`key ${i}`, "value"));
  await engine.setMany(pairs);
  await using joined = await cluster.join();
  const [first] = cluster.nodes;
  const slot = await first.cli("CLUSTER", "KEYSLOT", "name:main:key 1");
  const from = await ownerOf(cluster, "name:main:key 1");
  const [source, target] = [await from.cli("CLUSTER", "MYID"), await joined.cli("CLUSTER", "MYID")];
  await joined.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source);
  await from.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target);
  // The slot has both servers' keys now: one asks where they are.
  await engine.set("key 1", entryOf("in between"));
  const keys = (await from.cli("CLUSTER", "GETKEYSINSLOT", slot, "100")).split("\n");
  await from.cli("MIGRATE", "127.0.0.1", `${joined.port}`, "", "0", "5000", "KEYS", ...keys);
  assertEquals(await textAt(engine, "key 1"), "in between");
  assertEquals((await engine.getMany(["key 1", "key 2"])).length, 2);
  for (const node of [joined, from, ...cluster.nodes]) {
    await node.cli("CLUSTER", "SETSLOT", slot, "NODE", target);
  }
  // Nobody has asked the new server for a key yet, and none of its keys is missed.
  assertEquals(await engine.size(), pairs.length);
  const current = await engine.get("key 1");
  assertEquals(await engine.compareAndSet("key 1", current, entryOf("moved")), true);
  assertEquals(await textAt(engine, "key 1"), "moved");
  assert((await joined.cli("DBSIZE")) !== "0");
  await engine.clear();
  assertEquals(await joined.cli("DBSIZE"), "0");
});

Deno.test("redis: another program's data under the stash's prefix", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  await server.cli("RPUSH", "name:main:list", "a", "b");
  await server.cli("EVAL", "redis.call('SET', 'name:main:\\255', 'x')", "0");
  await engine.setMany([["good", entryOf("value")], ["other", entryOf("value")]]);
  const current = await engine.get("good");

  const damaged = async (work: () => unknown) => {
    const error = await assertRejects(async () => await work(), DecodeError, "name:main:list");
    assertEquals(error.engine, "redis");
    assertEquals(error.key, "list");
  };
  await damaged(() => engine.get("list"));
  await damaged(() => engine.getMany(["good", "list", "absent"]));
  await damaged(() => engine.getValue("list"));
  await damaged(() => engine.getValues(["good", "list", "absent"]));
  await damaged(() => engine.compareAndSet("list", current, entryOf("no")));
  // It keeps nobody from the others, and is told of in the end.
  const listed: string[] = [];
  await damaged(async () => {
    for await (const [key] of engine.entries()) listed.push(key);
  });
  assertEquals(listed.sort(), ["good", "other"]);
  for (const method of ["get", "getValue"] as const) {
    const together = await Promise.allSettled(
      ["good", "list", "absent"].map((key) => engine[method](key)),
    );
    const outcomes = together.map(({ status }) => status);
    assertEquals(outcomes, ["fulfilled", "rejected", "fulfilled"]);
  }
  assertEquals(await textAt(engine, "other"), "value");
  const keys: string[] = [];
  for await (const key of engine.keys()) keys.push(key);
  assertEquals(keys.sort(), ["good", "list", "other"]);

  const found = await engine.check({ fix: false });
  assertEquals(found.checked, 4);
  const kinds = found.problems.map(({ kind, key, fixed }) => ({ kind, key, fixed }));
  assertEquals(kinds.sort((a) => a.key === "list" ? -1 : 1), [
    { kind: "foreign", key: "list", fixed: false },
    { kind: "foreign", key: undefined, fixed: false },
  ]);
  // What others wrote is theirs: only who asks for it by its key, or for all, removes it.
  assertEquals(await engine.check({ fix: true }), found);
  assertEquals(await server.cli("LLEN", "name:main:list"), "2");
  assertEquals(await engine.size(), 3);
  assertEquals(await engine.delete("list"), true);
  await server.cli("HSET", "name:main:hash", "field", "value");
  await engine.set("hash", entryOf("ours now"));
  assertEquals(await textAt(engine, "hash"), "ours now");
  await server.cli("SADD", "name:main:set", "member");
  await engine.clear();
  assertEquals(await server.cli("DBSIZE"), "0");
});

Deno.test("redis: check fixes nothing that it cannot judge", strict, async () => {
  await using server = await startRedis();
  const foreign: Record<string, string[]> = {
    hash: ["HSET", "name:main:hash", "field", "value"],
    set: ["SADD", "name:main:set", "member"],
    zset: ["ZADD", "name:main:zset", "1", "member"],
    stream: ["XADD", "name:main:stream", "*", "field", "value"],
  };
  for (const command of Object.values(foreign)) await server.cli(...command);
  await using stash = new HashStash("name", {
    engine: "redis",
    engineOptions: { url: server.url },
  });
  await stash.set("ours", 1);
  const { problems } = await stash.check({ fix: true });
  const named = problems.map(({ kind, key, fixed }) => ({ kind, key, fixed }));
  assertEquals(
    named.sort((a, b) => String(a.key) < String(b.key) ? -1 : 1),
    Object.keys(foreign).sort().map((key) => ({ kind: "foreign", key, fixed: false })),
  );
  for (const type of Object.keys(foreign)) {
    assertEquals(await server.cli("TYPE", `name:main:${type}`), type);
    assert(problems.some(({ detail }) => detail.includes(`holds a ${type}`)));
  }
});

Deno.test("redis: servers of the wrong kind", strict, async () => {
  await using server = await startRedis();
  await fails(() => redisAt({ cluster: [server.url] }).open(), "no Redis Cluster", "open");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answer = (async () => {
    for await (const connection of listener) {
      await connection.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
      connection.close();
    }
  })();
  const url = `redis://127.0.0.1:${listener.addr.port}`;
  await fails(() => redisAt({ url }).open(), url, "open");
  listener.close();
  await answer;
});

Deno.test("redis: TLS with a certificate of an unknown issuer, and with none", strict, async () => {
  await using server = await startRedis({ tls: true });
  await using plain = await startRedis();
  await fails(
    () => redisAt({ url: server.url }).open(),
    `no TLS connection to ${server.url}`,
    "open",
  );
  const swapped = { url: plain.url.replace("redis:", "rediss:"), timeout: 500 };
  await fails(() => redisAt(swapped).open(), swapped.url, "open");
  await fails(
    () => redisAt({ url: server.url.replace("rediss", "redis"), timeout: 500 }).open(),
    "redis://127",
    "open",
  );
});

Deno.test(
  "redis: functions go on without a server that is stopped and started",
  strict,
  async () => {
    await using server = await startRedis({ durable: true });
    const engineOptions = { url: server.url };
    await using stash = new HashStash({ engine: "redis", engineOptions, onEngineError: "bypass" });
    const errors = errorsOf(stash);
    let runs = 0;
    const twice = stash.stashedResult((x: number) => (runs++, 2 * x), { name: "twice" });
    const batch = stash.stashedBatch((ids: number[]) => (runs++, ids.map((id) => -id)), {
      name: "batch",
    });
    assertEquals([await twice(1), await batch(1)], [2, -1]);
    for (let round = 0; round < 2; round++) {
      runs = errors.length = 0;
      await server.stop();
      // With a handle that knew the server, and with one that comes when there is none.
      await using late = new HashStash({ engine: "redis", engineOptions, onEngineError: "bypass" });
      for (const one of [stash, late]) {
        assertEquals(
          await Promise.all([1, 2, 3].map((x) => one.getOrSet("key", () => x))),
          [1, 1, 1],
        );
      }
      assertEquals(await Promise.all([twice(1), twice(1), twice(2)]), [2, 2, 4]);
      assertEquals(await Promise.all([batch(1), batch(2)]), [-1, -2]);
      assertEquals(await stash.map(twice, [1, 2, 3]).results(), [2, 4, 6]);
      assertEquals(runs, 2 + 1 + 3);
      for (const error of errors) assertInstanceOf(error, EngineError);
      assertEquals(errors.length, 1);
      await assertRejects(() => stash.get("key"), EngineError);
      await assertRejects(() => stash.set("key", 1), EngineError);
      await assertRejects(() => twice.peek(1), EngineError);
      await server.restart();
      await eventually(async () => {
        await Promise.all([twice(4), late.getOrSet("late", () => "late")]);
        assertEquals(await twice.peek(4), 8);
        assertEquals(await stash.get("late"), "late");
      });
      assertEquals(await twice.forget(4), true);
      await stash.delete("late");
    }
    // What was stored before is what it was.
    runs = 0;
    assertEquals([await twice(1), await batch(1)], [2, -1]);
    assertEquals(runs, 0);
  },
);

Deno.test("redis: functions go on without a server that hangs", strict, async () => {
  await using server = await startRedis();
  await using proxy = new RedisProxy(server.port);
  const engineOptions = { url: proxy.url, timeout: 500 };
  {
    await using stash = new HashStash({ engine: "redis", engineOptions, onEngineError: "bypass" });
    const errors = errorsOf(stash);
    const gate = Promise.withResolvers<void>();
    const slow = stash.stashedResult(async (x: number) => {
      await gate.promise;
      return x;
    }, { name: "slow", tags: ["t"], lease: 60_000 });
    const fns = Array.from(
      { length: 10 },
      (_, i) => stash.stashedResult((x: number) => i * x, { name: `times ${i}` }),
    );
    for (const fn of fns) await fn(0);
    const running = slow(1);
    await eventually(async () => assertEquals(await server.cli("EXISTS", leaseOf("slow")), "1"));
    proxy.isSilent = true;
    gate.resolve();
    assertEquals(await running, 1);
    assert(errors.length > 0);
    // All who find out together wait for one time limit or two, and those who come then for none.
    await Promise.all(fns.map((fn) => fn(1)));
    const told = errors.length;
    const start = performance.now();
    for (let n = 0; n < 20; n++) {
      for (const [i, fn] of fns.entries()) assertEquals(await fn(n), i * n);
    }
    assertLess(performance.now() - start, 200 * engineOptions.timeout / 10);
    assertLess(errors.length - told, 10);
    await assertRejects(() => stash.get("key"), EngineError);
    proxy.isSilent = false;
    await eventually(async () => {
      await fns[3](7);
      assertEquals(await fns[3].peek(7), 21);
    });
    proxy.isSilent = true;
    // Nor does one that comes to a server that never answers.
    await using late = new HashStash({ engine: "redis", engineOptions, onEngineError: "bypass" });
    assertEquals(await late.getOrSet("key", () => "made"), "made");
  }
});

/** The Redis key of the lease of a function's call with 1. */
function leaseOf(name: string): string {
  return `unnamed:main/${name}/.leases:l/\u0001[1]`;
}

/** The errors that a stash tells of. */
function errorsOf(stash: HashStash): unknown[] {
  const errors: unknown[] = [];
  stash.events.addEventListener("error", (event) => {
    errors.push((event as CustomEvent).detail.error);
  });
  return errors;
}
