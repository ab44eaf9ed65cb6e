/** What is particular to the redis engine. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Cluster, Redis } from "ioredis";
import { join } from "node:path";
import { outputOf, ROOT } from "../../dev/run.ts";
import { DecodeError } from "../../codec/errors.ts";
import type { Awaitable, EntryValue } from "../../engines/engine.ts";
import { enginePath } from "../../engines/registry.ts";
import { redis as createEngine } from "../../engines/redis/mod.ts";
import { HashStash } from "../../mod.ts";
import { entryOf, keysOf, pair, statesOf } from "../support/entries.ts";
import { LOCATION, openRedis, redisAt } from "../support/redis.ts";
import { movesNoDeadline } from "../support/server_claims.ts";
import { eventually } from "../support/servers.ts";
import {
  type RedisCluster,
  type RedisServer,
  startRedis,
  startRedisCluster,
} from "../support/redis_server.ts";
import type { Store } from "../support/bed.ts";
import { RandomValues } from "../support/random.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { linesOf } from "../support/child.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

const stopping = (server: RedisServer | RedisCluster) => () => server[Symbol.asyncDispose]();

async function ownCluster() {
  const cluster = await startRedisCluster();
  return { options: { cluster: cluster.urls }, stop: stopping(cluster) };
}

contractTests("redis");
contractTests("redis", async () => {
  const server = await startRedis({ tls: true, password: "p:@/%ss" });
  const url = `${server.urlWith("p:@/%ss")}/3`;
  return { options: { url, tls: { ca: server.ca } }, stop: stopping(server) };
}, "redis by TLS, with a password, in database 3");
contractTests("redis", async () => {
  const server = await startRedis();
  const client = new Redis(server.socket, { lazyConnect: true });
  return {
    options: { client },
    async stop() {
      await client.quit();
      await server[Symbol.asyncDispose]();
    },
  };
}, "redis by a client on a unix socket");
contractTests("redis", ownCluster, "redis cluster");
contractTests("redis", ownCluster, "redis cluster, names with a hash tag", (name) => `{${name}}`);
behaviours("redis");
processTests("redis");
processTests("redis", ownCluster, "redis cluster");
killTests("redis");
stashProcessesTest("redis");

const strict = { sanitizeOps: true, sanitizeResources: true };

const CONFIG = join(ROOT, "deno.json");

/** How many clients the server has besides the one that asks. */
async function clients(server: RedisServer): Promise<number> {
  return (await server.cli("CLIENT", "LIST")).split("\n").length - 1;
}

Deno.test("redis: redis-cli reads what a stash wrote, and the reverse", strict, async () => {
  await using server = await startRedis();
  const options = { engine: "redis", engineOptions: { url: server.url } } as const;
  await using stash = new HashStash("my_cache", options);
  await stash.set("my_key", { name: "John", age: 30 });
  assertEquals(await server.cli("GET", "my_cache:main:my_key"), '{"name":"John","age":30}');
  await stash.set("a:b c", "ü");
  assertEquals(await server.cli("GET", "my_cache:main:a:b c"), '"ü"');
  await using sub = stash.sub("users");
  await sub.set("my_key", 1);
  assertEquals(await server.cli("GET", "my_cache:main/users:my_key"), "1");
  await using odd = new HashStash("a:b", { ...options, dbname: "100%:x" });
  await odd.set("k", true);
  assertEquals(await server.cli("GET", "a%3Ab:100%25%3Ax:k"), "true");

  await server.cli("SET", "my_cache:main:by_hand", "[1, 2]", "EX", "100");
  assertEquals(await stash.get("by_hand"), [1, 2]);
  assertEquals(await stash.size(), 3);
});

Deno.test("redis: bytes are stored exactly", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) % 256);
  await engine.set("key", { value: bytes, timestamp: 0 });
  await engine.setMany([["many", { value: bytes, timestamp: 0 }]]);
  await using raw = await client(server);
  for (const key of ["key", "many"]) {
    const stored = await raw.getBuffer(`name:main:${key}`);
    assert(stored !== null && stored.equals(bytes));
  }
});

Deno.test("redis: deadlines are Redis' own", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  const deadline = Date.now() + 100_000;
  await engine.set("key", entryOf("value", deadline));
  // The server drops a key after this millisecond.
  assertEquals(await server.cli("PEXPIRETIME", "name:main:key"), String(deadline - 1));
  await engine.set("key", entryOf("value"));
  assertEquals(await server.cli("PEXPIRETIME", "name:main:key"), "-1");
  await engine.set("soon", entryOf("value", Date.now() + 20));
  await new Promise((resolve) => setTimeout(resolve, 400));
  assertEquals(await server.cli("DBSIZE"), "1");
});

for (const ms of [-30_000, 30_000, -3_600_000, 200]) {
  Deno.test(`redis: a clock that is ${ms} ms off moves no deadline`, strict, async () => {
    await using server = await startRedis();
    const ask = async (command: string, key: string) =>
      Number(await server.cli(command, `name:main:${key}`));
    await movesNoDeadline(ms, {
      open: (options) => openRedis({ url: server.url, ...options }),
      left: (key) => ask("PTTL", key),
      // Redis still has an entry in the millisecond of its deadline.
      deadline: async (key) => await ask("PEXPIRETIME", key) + 1,
    });
  });
}

Deno.test(
  "redis: of clients with clocks apart one computes and the other waits",
  strict,
  async () => {
    await using server = await startRedis();
    const program = `
    import { HashStash } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url))};
    const ms = Number(Deno.args[1]);
    const { now } = Date;
    Date.now = () => now() + ms;
    await using stash = new HashStash("name", {
      engine: "redis", engineOptions: { url: Deno.args[0] }, ttl: 20_000,
    });
    await stash.open();
    console.log("open");
    await Deno.stdin.read(new Uint8Array(1));
    const value = await stash.getOrSet("key", async () => {
      await new Promise((resolve) => setTimeout(resolve, 700));
      return ms;
    });
    console.log(value, await stash.get("key"));
  `;
    const children = [-30_000, 30_000, 0].map((ms) =>
      new Deno.Command(Deno.execPath(), {
        args: ["eval", "--config", CONFIG, program, server.url, String(ms)],
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn()
    );
    const outputs = children.map(({ stdout }) => linesOf(stdout));
    for (const lines of outputs) assertEquals((await lines.next()).value, "open");
    for (const { stdin } of children) {
      const writer = stdin.getWriter();
      await writer.write(new Uint8Array(1));
      await writer.close();
    }
    const answers = await Promise.all(outputs.map(async (lines) => (await lines.next()).value));
    assertEquals(new Set(answers).size, 1, answers.join());
    const [computed, read] = String(answers[0]).split(" ");
    assertEquals(computed, read);
    for (const lines of outputs) await lines.return();
    for (const { status } of children) assert((await status).success);
  },
);

Deno.test("redis: an older server that tells no deadlines", strict, async () => {
  await using server = await startRedis({ args: ["--rename-command", "PEXPIRETIME", ""] });
  await using engine = await openRedis({ url: server.url });
  const deadline = Date.now() + 100_000;
  await engine.setMany([["a", entryOf("1", deadline)], ["b", entryOf("2")]]);
  const found = [await engine.get("a"), ...await engine.getMany(["a", "b", "absent"])];
  for (const a of found.slice(0, 2)) {
    assertLessOrEqual(Math.abs((a?.expiresAt ?? 0) - deadline), 2_000);
  }
  assertEquals(found[2]?.expiresAt, undefined);
  assertEquals(found[3], undefined);
  assert(await engine.compareAndSet("a", found[0], entryOf("2", deadline)));
  assert(!await engine.compareAndSet("a", found[0], entryOf("3")));
});

Deno.test("redis: clear leaves the rest of the database alone", strict, async () => {
  await using server = await startRedis();
  const others = [
    ...["name", "name:", "name:main", "name:mainx:k", "name:main/x", "nam:main:k", "xname:main:k"],
    ...["name:sub:main:k", "name%3Asub:main:k", "NAME:main:k", "name:mai:k", "other", "name:m*:k"],
  ];
  for (const key of others) await server.cli("SET", key, "x");
  for (const name of ["name", "na*", "n?me", "[name]", "name\\", "na%me"]) {
    await using engine = await openRedis({ url: server.url }, { ...LOCATION, name });
    await engine.setMany(Array.from({ length: 1_500 }, (_, i) => [`k${i}`, entryOf("x")]));
    await using nested = await openRedis({ url: server.url }, { name, dbname: "main/in*" });
    await nested.set("k", entryOf("x"));
    assertEquals(await engine.size(), 1_500);
    await engine.clear();
    assertEquals(await server.cli("DBSIZE"), String(others.length + 1));
    await engine.clear(true);
    assertEquals(await server.cli("DBSIZE"), String(others.length));
  }
  for (const command of ["keys", "flushdb", "flushall"]) {
    assertEquals(await server.info("commandstats", `cmdstat_${command}`), "");
  }
});

Deno.test("redis: concurrent gets go together, a lone one at once", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  const options = { engine: "redis", engineOptions: { url: server.url } } as const;
  await using stash = new HashStash<number, string>("name", options);
  const numbers = Array.from({ length: 100 }, (_, i) => i);
  await stash.setMany(numbers.map((i) => [i, `value ${i}`]));
  const texts = numbers.map((i) => stash.encodeKey(i));

  /** How often the server was asked for something, by the reads it made from its sockets. */
  const trips = async () => Number(await server.info("stats", "total_reads_processed"));
  const calls = async (command: string) =>
    Number(/calls=(\d+)/.exec(await server.info("commandstats", `cmdstat_${command}`))?.[1] ?? 0);
  // What looking at the statistics adds.
  const first = await trips();
  const own = await trips() - first;

  const ways: Record<string, () => Promise<unknown[]>> = {
    entries: () => Promise.all(texts.map((text) => engine.get(text))),
    values: () => Promise.all(texts.map((text) => engine.getValue(text))),
    stash: () => Promise.all(numbers.map((i) => stash.get(i))),
  };
  for (const [way, read] of Object.entries(ways)) {
    await read();
    const [gets, mgets, before] = [await calls("get"), await calls("mget"), await trips()];
    const found = await read();
    const took = await trips() - before - own;
    assertLessOrEqual(took, 5, `${way}: ${took} round trips`);
    assertEquals(await calls("get") - gets, 1, way);
    assertEquals(await calls("mget") - mgets, 1, way);
    assertEquals(found.filter((value) => value !== undefined).length, 100);
  }
  assertEquals(await stash.get(7), "value 7");
  const [before, mgets] = [await trips(), await calls("mget")];
  for (const i of numbers) assertEquals(await stash.get(i), `value ${i}`);
  assertLessOrEqual(await trips() - before, 100 + 3 * own);
  assertEquals(await calls("mget"), mgets);
});

/** Claims that calls which nobody awaits do and tell what they would one after another. */
async function inOrder(engine: Store, random: RandomValues): Promise<void> {
  const model = new Map<string, string>();
  const [actual, expected]: [unknown[], unknown[]] = [[], []];
  const text = (entry: EntryValue | undefined) => entry && new TextDecoder().decode(entry.value);
  for (let i = 0; i < 300; i++) {
    const key = random.pick(["a", "b", "c"]);
    const value = `value ${i}`;
    const calls: (() => [Awaitable<unknown>, unknown])[] = [
      () => [Promise.resolve(engine.get(key)).then(text), model.get(key)],
      () => [Promise.resolve(engine.getValue(key)).then(text), model.get(key)],
      () => [
        Promise.resolve(engine.getMany([key, "absent"])).then(([found]) => text(found)),
        model.get(key),
      ],
      () => [
        Promise.resolve(engine.getValues([key, "absent"])).then(([found]) => text(found)),
        model.get(key),
      ],
      () => [engine.has(key), model.has(key)],
      () => [engine.set(key, entryOf(value)), void model.set(key, value)],
      () => [engine.set(key, entryOf(value, Date.now() + 60_000)), void model.set(key, value)],
      () => [engine.setMany([[key, entryOf(value)]]), void model.set(key, value)],
      () => [engine.delete(key), model.delete(key)],
      () => [engine.deleteMany([key, "absent"]), Number(model.delete(key))],
      () => [
        engine.compareAndSet(key, undefined, entryOf(value)),
        !model.has(key) && model.set(key, value) !== undefined,
      ],
    ];
    const [answer, right] = random.pick(calls)();
    actual.push(answer);
    expected.push(right);
  }
  assertEquals(await Promise.all(actual), expected);
}

Deno.test("redis: calls that nobody awaits come in their order", strict, async () => {
  await using server = await startRedis();
  for (let seed = 0; seed < 10; seed++) {
    await using engine = await openRedis({ url: server.url }, { ...LOCATION, name: `s${seed}` });
    await inOrder(engine, new RandomValues(seed));
  }
});

Deno.test("redis: calls that nobody awaits come in their order in a cluster", strict, async () => {
  await using cluster = await startRedisCluster();
  for (let seed = 0; seed < 5; seed++) {
    await using engine = await openRedis(
      { cluster: cluster.urls },
      { ...LOCATION, name: `s${seed}` },
    );
    await inOrder(engine, new RandomValues(seed));
  }
});

Deno.test("redis: what is no entry is none that is as it was read", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  await engine.setMany([pair("key", "value"), pair("other", "value")]);
  const states = await statesOf(engine, ["key", "other"]);
  const client = new Redis(server.url);
  const name = `${LOCATION.name}:${LOCATION.dbname}:key`;
  await client.multi().del(name).lpush(name, "of another program").exec();
  assertEquals(await engine.deleteUnchanged(states), [false, true]);
  assertEquals(await client.llen(name), 1);
  await client.quit();
});

Deno.test("redis: batches take few round trips and bounded pieces", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  const pairs = Array.from(
    { length: 1_000 },
    (_, i) => pair(`key ${i}`, `value ${i}`, i % 3 === 0 ? Date.now() + 60_000 : undefined),
  );
  const calls = async () => Number(await server.info("stats", "total_reads_processed"));
  const before = await calls();
  await engine.setMany(pairs);
  const found = await engine.getMany(pairs.map(([key]) => key));
  assertEquals(await engine.deleteMany(pairs.map(([key]) => key)), 1_000);
  assertLessOrEqual(await calls() - before, 60);
  await engine.setMany(pairs);
  const states = await statesOf(engine, pairs.map(([key]) => key));
  const then = await calls();
  assertEquals(await engine.deleteUnchanged(states), states.map(() => true));
  assertLessOrEqual(await calls() - then, 20);
  assertEquals(
    found.map((entry) => entry?.value.byteLength),
    pairs.map(([, { value }]) => value.length),
  );
  assertEquals(found.map((entry) => entry?.expiresAt), pairs.map(([, { expiresAt }]) => expiresAt));

  const big = Array.from({ length: 40 }, (_, i) => pair(`big ${i}`, "x".repeat(1_000_000)));
  await engine.setMany(big);
  let count = 0;
  for await (const [, { value }] of engine.entries("big")) count += value.byteLength;
  assertEquals(count, 40_000_000);
});

Deno.test("redis: values that are all there take one command", strict, async () => {
  await using server = await startRedis();
  await using engine = await openRedis({ url: server.url });
  await engine.setMany([pair("a", "value"), pair("b", "value", Date.now() + 60_000)]);
  const client = new Redis(server.url);
  await client.lpush(`${LOCATION.name}:${LOCATION.dbname}:list`, "of another program");
  await client.quit();
  const commands = async (keys?: string[]) => {
    const count = async () => Number(await server.info("stats", "total_commands_processed"));
    const before = await count();
    if (keys !== undefined) await engine.getValues(keys);
    return await count() - before;
  };
  const none = await commands();
  assertEquals(await commands(["a", "b"]) - none, 1);
  // Where some are missing, also whether these are something else.
  assertEquals(await commands(["a", "absent"]) - none, 2);
  assertEquals(await commands(["a", "absent"]) - none, 2);
  for (const keys of [["absent", "list"], ["list", "a"]]) {
    await assertRejects(async () => await engine.getValues(keys), DecodeError);
    await assertRejects(async () => await engine.getValues(keys), DecodeError);
    await engine.getValues(["a", "b"]);
  }
  assertEquals(await commands(["a", "b"]) - none, 1);
});

Deno.test("redis: handles share a connection and let go of it", strict, async () => {
  await using server = await startRedis({ password: "secret" });
  const url = server.urlWith("secret");
  const handles = [
    await openRedis({ url }),
    await openRedis({ url }, { name: "other", dbname: "x" }),
    await openRedis({ url: new URL(url) }),
  ];
  assertEquals(await clients(server), 1);
  const apart = await openRedis({ url: `${url}/1` });
  assertEquals(await clients(server), 2);
  await handles[0].set("key", entryOf("value"));
  assertEquals(await apart.has("key"), false);
  await apart.close();
  await handles[0].close();
  await handles[0].close();
  assertEquals(await handles[2].has("key"), true);
  await handles[1].close();
  await handles[2].close();
  await gone(server);
  const again = await openRedis({ url });
  assertEquals(await again.has("key"), true);
  await again.close();
  await gone(server);
});

Deno.test("redis: a failed open leaves no connection", strict, async () => {
  await using server = await startRedis({ password: "secret" });
  const engine = redisAt({ url: server.url });
  for (let i = 0; i < 3; i++) {
    let failed = false;
    try {
      await engine.open();
    } catch {
      // Only whether it failed counts.
      failed = true;
    }
    assert(failed);
  }
  await engine.close();
  await gone(server);
});

Deno.test("redis: a client of the user's is used and left open", strict, async () => {
  await using server = await startRedis();
  await using user = await client(server);
  const engine = await openRedis({ client: user });
  assertEquals(engine.path, server.url);
  assertEquals(await clients(server), 1);
  await engine.set("key", entryOf("value"));
  const listeners = user.listenerCount("error");
  await engine.close();
  assertEquals(user.listenerCount("error"), listeners - 1);
  assertEquals(await user.get("name:main:key"), "value");
  user.options.keyPrefix = "prefix:";
  assertThrows(() => createEngine(LOCATION, { client: user }), TypeError, "keyPrefix");
});

Deno.test("redis: a cluster", strict, async (t) => {
  await using cluster = await startRedisCluster();
  const options = { cluster: cluster.urls, timeout: 2_000 };
  const fill = Array.from({ length: 600 }, (_, i) => pair(`key ${i}`, `value ${i}`));

  await t.step("spreads its entries and lists those of all servers", async () => {
    await using engine = await openRedis(options);
    assertEquals(engine.path, cluster.urls.join(",").replaceAll(/,redis:\/\//g, ","));
    await engine.setMany(fill);
    for (const node of cluster.nodes) assertGreater(Number(await node.cli("DBSIZE")), 100);
    assertEquals(await engine.size(), fill.length);
    const found = await engine.getMany(fill.map(([key]) => key));
    assertEquals(found.every((entry) => entry !== undefined), true);
    assertGreater(await engine.byteSize(), 600 * 10);
    assertEquals((await engine.check({ fix: false })).checked, 600);
  });

  await t.step("works by a client of the user's", async () => {
    const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    const user = new Cluster(nodes, { lazyConnect: true });
    const engine = await openRedis({ client: user });
    assertEquals(engine.path, "redis://cluster");
    assertEquals(await engine.size(), fill.length);
    await engine.close();
    await user.quit();
  });

  await t.step("misses no server's keys in silence, and finds them again", async () => {
    await using engine = await openRedis(options);
    assertEquals((await keysOf(engine)).length, fill.length);
    await cluster.nodes[1].kill();
    const failed = { size: 0, get: 0, getMany: 0, set: 0, clear: 0 };
    const all = fill.map(([key]) => key);
    const attempts: Record<keyof typeof failed, () => unknown> = {
      size: () => engine.size(),
      get: () => Promise.all(all.map((key) => engine.get(key))),
      getMany: () => engine.getMany(all),
      set: () => Promise.all(all.map((key) => engine.set(key, entryOf("new")))),
      clear: () => engine.clear(),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        await attempt();
      } catch (error) {
        failed[name as keyof typeof failed]++;
        assertEquals((error as Error).name, "EngineError");
      }
    }
    assertEquals(failed, { size: 1, get: 1, getMany: 1, set: 1, clear: 1 });
    await cluster.nodes[1].restart();
    await eventually(() => engine.setMany(fill));
    assertEquals(await engine.size(), fill.length);
  });

  await t.step("leaves no connection behind", async () => {
    for (const node of cluster.nodes) await gone(node);
  });
});

Deno.test("redis: path and options", async (t) => {
  const path = (options: Record<string, unknown>) => enginePath("redis", LOCATION, options);

  await t.step("the path shows the server and no credentials", () => {
    assertEquals(path({}), "redis://127.0.0.1:6379");
    assertEquals(path({ url: "redis://user:secret@example.org/2" }), "redis://example.org:6379/2");
    assertEquals(path({ url: "rediss://:secret@[::1]:7000" }), "rediss://[::1]:7000");
    assertEquals(
      path({ url: "unix://u:secret@localhost/run/r.sock?db=1" }),
      "unix:///run/r.sock?db=1",
    );
    const cluster = ["redis://:secret@a:1", { host: "b", port: 2 }, { host: "c" }];
    assertEquals(path({ cluster }), "redis://a:1,b:2,c:6379");
    const sentinels = ["redis://:secret@a", { host: "b", port: 2 }];
    assertEquals(path({ url: "redis://:secret@primary/2", sentinels }), "redis://primary/2");
    assertEquals(path({ url: "rediss://primary", sentinels }), "rediss://primary");
    const stash = new HashStash({ engine: "redis", engineOptions: { url: "redis://:secret@a" } });
    assertEquals(stash.path, "redis://a:6379");
  });

  await t.step("wrong options are refused without a word of the password", () => {
    const wrong: [Record<string, unknown>, string][] = [
      [{ url: "redis://:secret@host:port" }, "must be a URL"],
      [{ url: "http://:secret@host" }, "begins with redis:"],
      [{ url: "redis://:secret@host/x" }, "by its number"],
      [{ url: "redis://:secret@host/1?password=secret" }, 'without "?"'],
      [{ url: "redis://:secret%@host" }, 'a "%" that encodes nothing'],
      [{ url: "redis://secret@host" }, "a user without a password"],
      [{ url: 1 }, "must be a URL"],
      [{ url: "unix://:secret@host/x" }, "absolute path"],
      [{ cluster: [] }, "must be an array"],
      [{ cluster: ["redis://:secret@host/1"] }, "database 0 only"],
      [{ cluster: [{ port: 1 }] }, "without a host"],
      [{ cluster: [{ host: "a", port: 0 }] }, "port is 0"],
      [{ url: "redis://:secret@a", cluster: ["redis://b"] }, "exclude each other"],
      [{ url: "redis://:secret@a", tls: {} }, "begins with rediss:"],
      [{ url: "rediss://:secret@a", tls: true }, "must be an object"],
      [{ sentinels: ["redis://:secret@a"] }, `needs the server's name in "url"`],
      [{ url: "redis://:secret@primary", sentinels: [] }, "must be an array"],
      [{ url: "redis://primary", sentinels: [{ port: 1 }] }, "without a host"],
      [{ url: "unix:///x", sentinels: ["redis://:secret@a"] }, 'as "sentinels" know it'],
      [{ client: {} }, "must be a Redis or Cluster"],
      [{ timeout: 2 ** 31 }, "must be at most"],
      [{ urls: "redis://:secret@a" }, "Unknown option"],
    ];
    for (const [options, includes] of wrong) {
      for (const make of [() => path(options), () => createEngine(LOCATION, options)]) {
        const error = assertThrows(make, TypeError, includes);
        const shown = Deno.inspect(error, { depth: 20 }) + error.stack;
        assert(!shown.replaceAll(import.meta.url, "").includes(":secret"), shown);
        assert(!error.message.includes("secret"), error.message);
      }
    }
    assertThrows(() => path({ timeout: 0 }), RangeError, "at least 1");
  });
});

Deno.test("redis: a program ends though it closes nothing", strict, async () => {
  await using server = await startRedis();
  await using secure = await startRedis({ tls: true });
  await using cluster = await startRedisCluster();
  const program = `
    import { redis as createEngine } from ${
    JSON.stringify(new URL("../../engines/redis/mod.ts", import.meta.url))
  };
    const engine = createEngine({ name: "name", dbname: "main" }, JSON.parse(Deno.args[0]));
    await engine.open();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await engine.set("key", { value: new Uint8Array([49]), timestamp: Date.now() });
    await new Promise((resolve) => setTimeout(resolve, 20));
    console.log(new TextDecoder().decode((await engine.get("key")).value), await engine.size());
  `;
  const ways = [
    { url: server.url },
    { url: secure.url, tls: { ca: secure.ca } },
    { cluster: cluster.urls },
  ];
  for (const options of ways) {
    const args = ["eval", "--config", CONFIG, program, JSON.stringify(options)];
    const { stdout, stderr } = await outputOf(args, { signal: AbortSignal.timeout(20_000) });
    assertEquals(stdout + stderr, "1 1\n");
  }
});

Deno.test("redis: it needs the network and the environment, no more", strict, async () => {
  await using server = await startRedis({ password: "secret" });
  const folder = await Deno.makeTempDir();
  try {
    const program = `
      import { redis as createEngine } from ${
      JSON.stringify(new URL("../../engines/redis/mod.ts", import.meta.url))
    };
      import { complete } from ${
      JSON.stringify(new URL("../../engines/complete.ts", import.meta.url))
    };
      const engine = complete(
        createEngine({ name: "name", dbname: "main" }, { url: Deno.args[0] }),
      );
      await engine.open();
      await engine.set("key", { value: new Uint8Array([49]), timestamp: Date.now() });
      console.log((await engine.get("key")).value.length, await engine.size());
      await engine.close();
    `;
    const file = `${folder}/program.ts`;
    await Deno.writeTextFile(file, program);
    const run = (...flags: string[]) =>
      outputOf(
        ["run", "--no-prompt", "--config", CONFIG, ...flags, file, server.urlWith("secret")],
      );
    const net = `--allow-net=127.0.0.1:${server.port}`;
    assertEquals((await run(net, "--allow-env")).stdout, "1 1\n");
    const refused = await run("--allow-net=127.0.0.1:1", "--allow-env");
    assertNotEquals(refused.code, 0);
    assert(refused.stderr.includes("--allow-net"), refused.stderr);
    assert(refused.stderr.includes("EngineError"), refused.stderr);
    assert(!refused.stderr.includes("secret@"), refused.stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Waits until the server has no client but the one that asks; at once, as a rule. */
async function gone(server: RedisServer): Promise<void> {
  for (let i = 0; i < 100 && await clients(server) > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(await clients(server), 0);
}

async function client(server: RedisServer): Promise<Redis & AsyncDisposable> {
  const client = new Redis(server.url, { lazyConnect: true });
  await client.connect();
  return Object.assign(client, {
    async [Symbol.asyncDispose]() {
      await client.quit();
    },
  });
}
