/** Near: this process's memory in front of an engine. */
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Redis } from "ioredis";
import { type Bus, complete, Decorator, type Entry, type Store } from "../../engines/mod.ts";
import { memory } from "../../engines/memory/mod.ts";
import { HashStash, type HashStashOptions, type NearOptions } from "../../mod.ts";
import { type EngineName, PERSISTENT, TestBed } from "../support/bed.ts";
import { runScript, WorkerProcess } from "../support/child.ts";
import { testOnEngines } from "../support/on_engines.ts";
import { RedisProxy } from "../support/redis_proxy.ts";
import { startRedis, startSentinel } from "../support/redis_server.ts";
import { socketBus, SocketBusServer } from "../support/socket_bus.ts";

const HOUR = 3_600_000;

/** Engines with a bus of their own. */
const WITH_BUS: readonly EngineName[] = ["postgres", "redis", "shelve"];

/** A stash in another process. */
class Other implements AsyncDisposable {
  readonly #worker: WorkerProcess;
  readonly #ready: Promise<string>;

  constructor(options: HashStashOptions, bus?: number) {
    this.#worker = new WorkerProcess("./near_worker.ts", { options, bus });
    this.#ready = this.#worker.line();
  }

  /** Calls a method of it. */
  async call(method: keyof HashStash, ...args: unknown[]): Promise<unknown> {
    await this.#ready;
    await this.#worker.write(JSON.stringify([method, ...args]));
    const [value, error] = JSON.parse(await this.#worker.line());
    if (error !== undefined) throw new Error(error);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ready;
    await this.#worker[Symbol.asyncDispose]();
  }
}

/** Waits until something is so. */
async function eventually(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!await isSo()) {
    if (Date.now() > end) throw new Error(`It never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Whether a read of the key comes from memory. */
async function isKept(stash: HashStash, key: string): Promise<boolean> {
  const { nearHits } = stash.stats();
  await stash.get(key);
  return stash.stats().nearHits! > nearHits!;
}

/** What another process may do to a key that was read, and what is read of it afterwards. */
const CHANGES: Record<string, [method: keyof HashStash, args: unknown[], after: unknown]> = {
  set: ["set", ["k", 2], 2],
  setMany: ["setMany", [[["j", 1], ["k", 3]]], 3],
  update: ["update", [{ k: 4 }], 4],
  delete: ["delete", ["k"], undefined],
  deleteMany: ["deleteMany", [["j", "k"]], undefined],
  pop: ["pop", ["k"], undefined],
  clear: ["clear", [], undefined],
  "invalidate by a tag": ["invalidate", [{ tags: ["t"] }], undefined],
  "invalidate by a prefix": ["invalidate", [{ prefix: "k" }], undefined],
};

/** Has another process do each of these things, and waits until this one sees it. */
async function follows(stash: HashStash, other: Other): Promise<void> {
  for (const [what, [method, args, after]] of Object.entries(CHANGES)) {
    await stash.set("k", 1, { tags: ["t"] });
    assertEquals(await stash.get("k"), 1, what);
    await other.call(method, ...args);
    await eventually(what, async () => await stash.get("k") === after);
  }
}

/** A bus inside this process, and what went over it. */
function ownBus(): Bus & { sent: string[]; gap(): void; hear(message: string): void } {
  const [listeners, gaps] = [new Set<(message: string) => void>(), new Set<() => void>()];
  const sent: string[] = [];
  const hear = (message: string) => {
    for (const listener of listeners) listener(message);
  };
  return {
    sent,
    hear,
    gap() {
      for (const gap of gaps) gap();
    },
    publish(message) {
      sent.push(message);
      hear(message);
    },
    subscribe(onMessage, onGap) {
      listeners.add(onMessage);
      gaps.add(onGap);
      return () => {
        listeners.delete(onMessage);
        gaps.delete(onGap);
      };
    },
  };
}

/** The same message as another process would send it. */
function fromOther(message: string): string {
  return JSON.stringify({ ...JSON.parse(message), from: "another process" });
}

/** Memory that counts what it is asked, and keeps reads waiting when told to. */
class Watched extends Decorator {
  static asked: string[] = [];
  static gate: Promise<void> | undefined;

  override async get(key: string): Promise<Entry | undefined> {
    Watched.asked.push(key);
    const found = await this.inner.get(key);
    await Watched.gate;
    return found;
  }

  override getValue(key: string): Promise<Entry | undefined> {
    return this.get(key);
  }

  override async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return await Promise.all(keys.map((key) => this.get(key)));
  }

  override getValues(keys: string[]): Promise<(Entry | undefined)[]> {
    return this.getMany(keys);
  }
}

let names = 0;

function watched(near: NearOptions | boolean = {}, more: HashStashOptions = {}): HashStash {
  Watched.asked = [];
  return new HashStash({
    name: `near ${++names}`,
    near,
    ...more,
    engine: (location): Store => new Watched(complete(memory(location))),
  });
}

/**
 * The object that two reads in a row give. When a subscription is only just there, all is read anew,
 * as messages may have been lost before it: that may come between two reads, and not again and again.
 */
async function sharedBy<T>(read: () => Promise<T>): Promise<T> {
  let first = await read();
  for (let tries = 0; tries < 5; tries++) {
    const second = await read();
    if (first === second) return first;
    first = second;
  }
  throw new Error("each read gives another object");
}

testOnEngines("near", {
  async "147: what was read and written is served from memory"(_, bed) {
    await using stash = bed.stash({ near: { bus: false } });
    assertEquals(await stash.get("k"), undefined);
    await stash.set("k", { a: 1 });
    assertEquals(await stash.get("k"), { a: 1 });
    assertEquals(await stash.getMany(["k", "l"]), [{ a: 1 }, undefined]);
    assertEquals(stash.stats().nearHits, 2);
    await using again = bed.stash({ name: stash.name, near: { bus: false } });
    assertEquals(await again.get("k"), { a: 1 });
    assertEquals(again.stats().nearHits, 1, "handles of one process share it");
  },

  async "in this process any write is seen at once, whoever writes"(_, bed) {
    await using stash = bed.stash({ near: { ttl: HOUR, bus: false } });
    const { name } = stash;
    const expected = new Map<string, unknown>();
    const see = async (what: string) => {
      for (const key of ["k", "l"]) assertEquals(await stash.get(key), expected.get(key), what);
    };
    for (const near of [undefined, { bus: false }]) {
      await using other = bed.stash({ name, near });
      let n = 0;
      const writes: Record<string, () => Promise<unknown>> = {
        set: () => other.set("k", ++n).then(() => expected.set("k", n)),
        modify: () => other.modify("k", () => ++n).then(() => expected.set("k", n)),
        "modify that deletes": () =>
          other.modify("k", () => undefined).then(() => expected.delete("k")),
        setDefault: () => other.setDefault("k", ++n).then(() => expected.set("k", n)),
        pop: () => other.pop("k").then(() => expected.delete("k")),
        setMany: async () => {
          await other.setMany([["k", ++n], ["l", n], ["k", n + 1]]);
          expected.set("l", n).set("k", ++n);
        },
        getOrSet: async () => {
          await other.getOrSet("k", () => ++n, { force: true });
          expected.set("k", n);
        },
        delete: () => other.delete("k").then(() => expected.delete("k")),
        deleteMany: async () => {
          await other.set("k", ++n);
          await stash.get("k");
          await other.deleteMany(["k", "l"]);
          expected.clear();
        },
        "set with a tag": () =>
          other.set("k", ++n, { tags: ["t"] }).then(() => expected.set("k", n)),
        "invalidate by a tag": () =>
          other.invalidate({ tags: ["t"] }).then(() => expected.delete("k")),
        "set again": () => other.set("k", ++n, { tags: ["t"] }).then(() => expected.set("k", n)),
        "invalidate by a prefix": () =>
          other.invalidate({ prefix: "k" }).then(() => expected.delete("k")),
        popItem: async () => {
          await other.set("k", ++n);
          assertEquals(await stash.get("k"), n);
          await other.popItem();
        },
        load: async () => {
          await other.set("k", ++n);
          const dumped = await Array.fromAsync(other.dump());
          await other.set("k", ++n);
          await other.load(dumped);
          expected.set("k", n - 1);
        },
        clear: () => other.clear().then(() => expected.clear()),
      };
      for (const [what, write] of Object.entries(writes)) {
        await see(`before ${what}`);
        await write();
        await see(what);
      }
    }
    await stash.set("k", 1, { ttl: HOUR });
    await using other = bed.stash({ name });
    await other.touch("k", { expiresAt: Date.now() - 1 });
    assertEquals(await stash.get("k"), undefined, "touch");
  },

  async "keys that are deleted with their versions are not served from memory"(_, bed) {
    const near = { ttl: HOUR, bus: false } as const;
    await using stash = bed.stash({ near, appendMode: true });
    await stash.setMany([["k", 1], ["l", 2], ["m", 3]]);
    assertEquals(await stash.getMany(["k", "l", "m"]), [1, 2, 3]);
    assertEquals(await stash.deleteMany(["k", "l"]), 2);
    assertEquals(await stash.getMany(["k", "l", "m"]), [undefined, undefined, 3]);
  },

  async "a clear of all that is inside reaches the tiers there"(stash, bed) {
    await using inside = bed.stash({ name: stash.name, dbname: "main/a/b", near: true });
    await using beside = bed.stash({ name: stash.name, dbname: "main2/a", near: true });
    for (const one of [inside, beside]) {
      await one.set("k", 1);
      assertEquals(await one.get("k"), 1);
    }
    {
      await using temporary = stash.tmp();
      await using within = temporary.sub("x", { near: true });
      await within.set("k", 1);
      assertEquals(await within.get("k"), 1);
    }
    const store = await bed.open({}, { name: stash.name });
    await store.clear(true);
    // Opened without a stash, so that nobody knows: what is there now is the engine's to say.
    assertEquals(await inside.has("k"), false);
    assertEquals(await beside.get("k"), 1);
  },

  async "an entry ends when it ends"(_, bed) {
    await using stash = bed.stash({ near: { ttl: HOUR } });
    const expiresAt = Date.now() + 60;
    await stash.set("k", 1, { expiresAt });
    while (Date.now() < expiresAt) {
      const value = await stash.get("k");
      // The clock may have come to it meanwhile.
      if (value !== 1) assert(Date.now() >= expiresAt);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    assertEquals(await stash.get("k"), undefined);
    await stash.set("gone", 1, { expiresAt: Date.now() - 1 });
    assertEquals(await stash.get("gone"), undefined);
    await using reader = bed.stash({ name: stash.name, near: { ttl: HOUR } });
    await stash.set("k", 1, { ttl: 1_000 });
    assertEquals(await reader.get("k"), 1);
    await new Promise((resolve) => setTimeout(resolve, 1_020));
    assertEquals(await reader.get("k"), undefined);
  },

  async "149: frozen values are shared until somebody sets the key"(_, bed) {
    await using stash = bed.stash({ near: true, frozen: true });
    const given = { a: [{ b: 1 }], none: null };
    await stash.set("k", given);
    given.a[0].b = 2;
    const first = await sharedBy(() => stash.get("k"));
    assertEquals(first, { a: [{ b: 1 }], none: null });
    assertThrows(() => first.a.push(1), TypeError);
    assertThrows(() => first.a[0].b = 7, TypeError);
    await using other = bed.stash({ name: stash.name });
    await other.set("k", { a: [{ b: 1 }], none: null });
    assert(await stash.get("k") !== first);
    await stash.set("t", { tagged: [1] }, { tags: ["t"] });
    await sharedBy(() => stash.get("t"));
    await using versions = bed.stash({ near: true, frozen: true, appendMode: true });
    for (const n of [1, 2]) await versions.set("k", { n });
    await sharedBy(() => versions.get("k"));
    assertEquals(await versions.getAll("k"), [{ n: 1 }, { n: 2 }]);
  },

  async "149: what can't be frozen is each reader's own"(_, bed) {
    await using stash = bed.stash({ near: true, frozen: true });
    const values = [new Map([[1, 1]]), new Date(0), new Uint8Array([1]), /a/g, new Set([1])];
    for (const value of values) {
      await stash.set("k", { plain: [1], value });
      const [first, second] = [await stash.get("k"), await stash.get("k")];
      assertEquals(first, { plain: [1], value });
      assert(first.value !== second.value);
      assertEquals(Object.isFrozen(first.value), false);
      assertThrows(() => first.plain.push(2), TypeError);
      await stash.set("k", value);
      const bare = await stash.get("k");
      assert(bare !== await stash.get("k"));
    }
    const bytes = new Uint8Array([1, 2, 3]);
    await stash.set("k", bytes);
    bytes[0] = 9;
    const read = await stash.get("k");
    read[1] = 9;
    assertEquals(await stash.get("k"), new Uint8Array([1, 2, 3]));
  },

  async "149: what a function gives is frozen for its first caller, too"(_, bed) {
    await using stash = bed.stash({ near: true, frozen: true });
    const made = { a: [1] };
    const f = stash.stashedResult((_: number) => made, { name: "f" });
    const results = [await f(1), await f(1), await stash.getOrSet("k", () => made)];
    results.push(await stash.getOrSet("k", () => made));
    results.push(await stash.setDefault("d", made), await stash.setDefault("d", made));
    results.push(await stash.modify("m", () => made), await f.peek(1) as typeof made);
    for (const value of results) {
      assert(value !== made);
      assertEquals(value, { a: [1] });
      assert(Object.isFrozen(value) && Object.isFrozen(value.a));
    }
    await sharedBy(() => f(1));
    assertEquals(Object.isFrozen(made), false);
    assertEquals(await stash.modify("m", () => undefined), undefined);
    const g = stash.stashedResult(function* () {
      yield [1];
    }, { name: "g" });
    for (let i = 0; i < 2; i++) {
      assertEquals([...await g()].map((item) => Object.isFrozen(item)), [true]);
    }
  },
});

Deno.test("149: in memory two reads give the same object without a near tier", async () => {
  await using stash = new HashStash<string, { a: number[] }>({
    engine: "memory",
    name: "frozen memory",
    frozen: true,
  });
  await stash.set("k", { a: [1] });
  const first = await stash.get("k");
  assertStrictEquals(first, await stash.get("k"));
  await stash.set("k", { a: [1] });
  assert(first !== await stash.get("k"));
});

for (const engine of PERSISTENT) {
  Deno.test(`146: on ${engine} a change by another process is seen`, async (t) => {
    await using bed = await TestBed.create(engine);
    await using server = new SocketBusServer();
    const name = "two processes";
    const kinds: Record<string, [NearOptions, number | undefined]> = {
      "by a bus of the user's own": [{ ttl: HOUR, bus: socketBus(server.port) }, server.port],
      "by time, without a bus": [{ ttl: 100, bus: false }, undefined],
    };
    if (WITH_BUS.includes(engine)) kinds["by its own bus"] = [{ ttl: HOUR }, undefined];
    for (const [kind, [near, port]] of Object.entries(kinds)) {
      await t.step(kind, async () => {
        await using stash = bed.stash({ name, near });
        const { bus: _, ...plain } = near;
        await using other = new Other(
          bed.options({ name, near: near.bus === false ? near : plain }),
          port,
        );
        await other.call("open");
        await stash.clear();
        await follows(stash, other);
        await using sub = stash.sub("inside");
        await sub.set("k", 1);
        assertEquals(await sub.get("k"), 1);
        await using inside = new Other(
          bed.options({ name, dbname: "main/inside", near: near.bus === false ? near : plain }),
          port,
        );
        await inside.call("set", "k", 2);
        await eventually("a store inside", async () => await sub.get("k") === 2);
      });
    }
  });
}

Deno.test("near: a user of redis who may use no channel is told, and follows by time", async () => {
  await using bed = await TestBed.create("redis");
  const url = new URL(String(bed.place.options.url));
  const admin = new Redis(url.href);
  await admin.acl("SETUSER", "reader", "on", ">secret", "~*", "+@all", "resetchannels");
  url.username = "reader";
  url.password = "secret";
  const errors: string[] = [];
  {
    await using stash = bed.stash({
      name: "acl",
      near: { ttl: 50 },
      engineOptions: { url: url.href },
    });
    stash.events.addEventListener(
      "error",
      (event) => errors.push((event as CustomEvent).detail.error.message),
    );
    await stash.set("k", 1);
    assertEquals(await stash.get("k"), 1);
    await using other = new Other(bed.options({ name: "acl" }));
    await other.call("set", "k", 2);
    await eventually("seen", async () => await stash.get("k") === 2);
  }
  assertEquals(errors.filter((message) => !message.includes("NOPERM")), []);
  assert(errors.length >= 2, errors.join());
  assert(!errors.join().includes("secret"));
  await admin.acl("SETUSER", "reader", "&hashstash:*");
  await using stash = bed.stash({
    name: "acl",
    near: { ttl: HOUR },
    engineOptions: { url: url.href },
  });
  await using other = new Other(bed.options({ name: "acl", near: true }));
  await follows(stash, other);
  admin.disconnect();
});

Deno.test("near: a program that does not close its stash ends all the same", async (t) => {
  for (const engine of WITH_BUS) {
    await t.step(engine, async () => {
      await using bed = await TestBed.create(engine);
      const { success, stderr } = await runScript(
        `
        import { HashStash } from "./mod.ts";
        const stash = new HashStash(${JSON.stringify(bed.options({ near: true }))});
        await stash.set("k", 1);
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (await stash.get("k") !== 1) throw new Error("not there");
        `,
        ["-A", "--unstable-kv"],
      );
      assertEquals([success, stderr], [true, ""]);
    });
  }
});

Deno.test("146: tags are judged from memory, and follow an invalidation elsewhere", async (t) => {
  await t.step("a near hit of a tagged entry asks the engine nothing", async () => {
    await using stash = watched();
    await stash.set("k", 1, { tags: ["a", "b"] });
    await stash.get("k");
    Watched.asked = [];
    assertEquals(await stash.get("k"), 1);
    assertEquals(await stash.getMany(["k", "k"]), [1, 1]);
    assertEquals(Watched.asked, []);
    await stash.invalidate({ tags: ["b"] });
    assertEquals(await stash.get("k"), undefined);
  });
  await t.step("what is set anew after it is seen, though memory has the old one", async () => {
    const bus = ownBus();
    await using stash = watched({ ttl: HOUR, bus });
    await stash.set("k", 1, { tags: ["t"] });
    assertEquals(await stash.get("k"), 1);
    // As another process does it whose message about the key is late.
    const engine = complete(memory({ name: stash.name, dbname: "main" }));
    const side = complete(memory({ name: stash.name, dbname: "main/.tags" }));
    await engine.open();
    await side.open();
    const old = (await engine.get("k"))!;
    const text = new TextDecoder().decode(old.value).replace(/"seq":\d+/, '"seq":9');
    const value = new TextEncoder().encode(text.replace(/1$/, "2"));
    await side.set("t/t", { value: new TextEncoder().encode("9 0"), timestamp: 0 });
    await engine.set("k", { value, timestamp: 0 });
    const about = bus.sent.find((message) => message.includes("/.tags"))!;
    bus.hear(fromOther(about).replace(/"keys":\[.*\]/, '"keys":["t/t"]'));
    assertEquals(await stash.get("k"), 2);
    assertEquals(await stash.getMany(["k"]), [2]);
    await engine.close();
    await side.close();
  });
});

Deno.test("147: after a gap nothing that was read before it is served", async (t) => {
  await t.step("of the user's own bus", async () => {
    const bus = ownBus();
    await using stash = watched({ ttl: HOUR, bus });
    await stash.set("k", 1);
    await stash.get("k");
    Watched.asked = [];
    bus.gap();
    await stash.get("k");
    assertEquals(Watched.asked, ["k"]);
    await stash.get("k");
    assertEquals(Watched.asked, ["k"]);
  });

  await t.step("of a bus between two processes that is cut and mended", async () => {
    await using bed = await TestBed.create("sqlite");
    await using server = new SocketBusServer();
    const name = "cut";
    await using stash = bed.stash({ name, near: { ttl: HOUR, bus: socketBus(server.port) } });
    await using other = new Other(bed.options({ name, near: { bus: false } }));
    await stash.set("k", 1);
    await eventually("connected", () => server.size === 1);
    await eventually("served from memory", () => isKept(stash, "k"));
    await other.call("set", "k", 2);
    assertEquals(await stash.get("k"), 1, "nobody told");
    server.cut();
    await eventually("mended", async () => await stash.get("k") === 2);
  });

  await t.step("of redis, cut by a proxy", async () => {
    await using bed = await TestBed.create("redis");
    const url = new URL(String(bed.place.options.url));
    await using proxy = new RedisProxy(Number(url.port));
    const [name, target] = ["cut", proxy.target];
    const here = { engineOptions: { url: proxy.url, timeout: 500 } };
    await using stash = bed.stash({ name, near: { ttl: HOUR }, ...here });
    await using other = new Other(bed.options({ name, near: true }));
    await stash.set("k", 0);
    // Until it listens.
    for (let n = 1; n < 3; n++) {
      await other.call("set", "k", n);
      await eventually("heard", async () => await stash.get("k") === n);
    }
    // What a message overtook is not kept.
    await eventually("served from memory", () => isKept(stash, "k"));
    proxy.target = 1;
    proxy.cut();
    await other.call("set", "k", 7);
    assertEquals(await stash.get("k"), 2, "within its time");
    proxy.target = target;
    await eventually("mended", async () => await stash.get("k").catch(() => 2) === 7);
    await other.call("set", "k", 8);
    await eventually("heard again", async () => await stash.get("k") === 8);
    await eventually("served from memory again", () => isKept(stash, "k"));
    // A link that is dead though it is open: it is found out that nobody answers on it.
    proxy.isSilent = true;
    await other.call("set", "k", 9);
    assertEquals(await stash.get("k"), 8, "within its time");
    const { accepted } = proxy;
    await eventually("found dead", () => proxy.accepted > accepted);
    proxy.isSilent = false;
    await eventually("mended again", async () => await stash.get("k").catch(() => 8) === 9);
  });

  await t.step("of redis, whose Sentinels make another server the primary", async () => {
    const atOnce = ["--repl-diskless-sync-delay", "0"];
    await using first = await startRedis({ args: atOnce });
    await using second = await startRedis({
      args: [...atOnce, "--replicaof", "127.0.0.1", `${first.port}`],
    });
    await using sentinel = await startSentinel(first);
    const options: HashStashOptions = {
      name: "failover",
      engine: "redis",
      engineOptions: { url: "redis://primary", sentinels: [sentinel.url], timeout: 1_000 },
      near: { ttl: HOUR },
    };
    await using stash = new HashStash(options);
    await using other = new Other(options);
    const set = (n: number) => other.call("set", "k", n).then(() => true, () => false);
    const isSeen = async (n: number) => await stash.get("k").catch(() => undefined) === n;
    let n = 0;
    const keepsStep = async (when: string) => {
      // Until both are connected again, and then by the bus alone.
      for (const limit = n + 3; n < limit; n++) {
        await eventually(`set ${when}`, () => set(n));
        await eventually(`seen ${when}`, () => isSeen(n));
        await eventually(`kept ${when}`, () => isKept(stash, "k").catch(() => false));
      }
    };
    await keepsStep("at first");
    await eventually("a replica with all of it", async () => {
      const replicas = await sentinel.cli("SENTINEL", "REPLICAS", "primary");
      return replicas.includes(`${second.port}`) &&
        await second.cli("GET", "failover:main:k") === String(n - 1);
    });
    await first.kill();
    await keepsStep("after the primary was killed");
    assertEquals(await second.cli("GET", "failover:main:k"), String(n - 1));
  });
});

Deno.test("148: a read that a message overtakes does not fill memory", async () => {
  const bus = ownBus();
  await using stash = watched({ ttl: HOUR, bus });
  await stash.set("k", 1);
  const about = fromOther(bus.sent[0]);
  const changes: Record<string, () => unknown> = {
    "a message about the key": () => bus.hear(about),
    "one about all keys": () => bus.hear(about.replace(/"keys":\[.*\]/, '"deep":false')),
    "a gap": () => bus.gap(),
    "a clear of a store around it": () =>
      bus.hear(about.replace('"dbname":"main"', '"dbname":"ma"')),
  };
  for (const [what, change] of Object.entries(changes)) {
    bus.hear(about);
    const gate = Promise.withResolvers<void>();
    Watched.gate = gate.promise;
    const reading = stash.get("k");
    await new Promise((resolve) => setTimeout(resolve, 1));
    change();
    Watched.gate = undefined;
    gate.resolve();
    assertEquals(await reading, 1);
    Watched.asked = [];
    await stash.get("k");
    const isOfAnother = what.startsWith("a clear");
    assertEquals(Watched.asked, isOfAnother ? [] : ["k"], what);
    await stash.get("k");
    assertEquals(Watched.asked, isOfAnother ? [] : ["k"], what);
  }
  // Nor one that a write of this process overtakes, by a handle without a near tier.
  await using plain = new HashStash({ name: stash.name, engine: "memory" });
  bus.hear(about);
  const gate = Promise.withResolvers<void>();
  Watched.gate = gate.promise;
  const reading = stash.get("k");
  await new Promise((resolve) => setTimeout(resolve, 1));
  Watched.gate = undefined;
  gate.resolve();
  await reading;
  assertEquals(await plain.get("k"), 1);
});

Deno.test("near: a bus that brings nonsense, or too much, harms nobody", async () => {
  const bus = ownBus();
  await using stash = watched({ ttl: HOUR, bus });
  await stash.set("k", 1);
  const whole = JSON.parse(fromOther(bus.sent[0]));
  const nonsense: unknown[] = [
    "",
    "{",
    "null",
    "7",
    "[]",
    '"text"',
    JSON.stringify({ ...whole, keys: "k" }),
    JSON.stringify({ ...whole, keys: [1] }),
    JSON.stringify({ ...whole, name: 7 }),
    JSON.stringify({ ...whole, deep: "yes" }),
    JSON.stringify({ ...whole, from: undefined }),
    `${JSON.stringify(whole)}${" ".repeat(100_000)}`,
    7,
    undefined,
    { ...whole },
  ];
  for (const message of nonsense) bus.hear(message as string);
  Watched.asked = [];
  assertEquals(await stash.get("k"), 1);
  assertEquals(Watched.asked, []);
  const flood = JSON.stringify({ ...whole, keys: Array.from({ length: 100 }, (_, i) => `${i}`) });
  for (let i = 0; i < 20_000; i++) bus.hear(i % 2 === 0 ? flood : "x".repeat(1_000));
  assertEquals(await stash.get("k"), 1);
  assertEquals(Watched.asked, []);
});

Deno.test("near: many changes are told in few messages that are not too long", async () => {
  const bus = ownBus();
  const sent: string[] = [];
  const slow: Bus = {
    subscribe: bus.subscribe,
    async publish(message) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      sent.push(message);
    },
  };
  {
    await using stash = watched({ bus: slow }, { name: `${"é".repeat(100)} ${++names}` });
    for (let i = 0; i < 1_000; i++) await stash.set(`a key of söme length ${i}`, "a value");
    await stash.set("x".repeat(10_000), 1);
    for (let i = 0; i < 5_000; i++) void stash.set(`b${i}`, "a value");
  }
  assert(sent.length < 300, `${sent.length} messages`);
  const bytes = sent.map((message) => new TextEncoder().encode(message).length);
  assertEquals(bytes.filter((length) => length > 7_000), []);
  assertEquals(sent.filter((message) => message.includes("a value")).length, 0);
  assert(sent.some((message) => JSON.parse(message).keys === undefined), "all keys");
});

Deno.test("near: long names make no long messages, and are heard of all the same", async () => {
  const bus = ownBus();
  const long = "é".repeat(9_000);
  const options = { name: `${long} ${++names}`, engine: "memory", dbname: `main/${long}` } as const;
  await using stash = new HashStash({ ...options, near: { bus, ttl: HOUR } });
  await using inside = stash.sub("a");
  await using beside = new HashStash({ ...options, near: { bus }, dbname: `main/${long}2` });
  for (const one of [inside, beside, stash]) await one.set("k", 1);
  const bytes = bus.sent.map((message) => new TextEncoder().encode(message).length);
  assertEquals(bytes.filter((length) => length > 7_000), []);
  const about = fromOther(bus.sent.at(-1)!);
  const keep = async () => [
    await isKept(stash, "k"),
    await isKept(inside, "k"),
    await isKept(beside, "k"),
  ];
  bus.hear(about);
  assertEquals(await keep(), [false, true, true]);
  bus.hear(JSON.stringify({ ...JSON.parse(about), keys: undefined, deep: true }));
  assertEquals(await keep(), [false, false, true]);
  assertEquals(await keep(), [true, true, true]);
});

Deno.test("near: a bus that fails is told of, and the set is done", async () => {
  const failing: Bus = {
    publish: () => Promise.reject(new Error("no publish")),
    subscribe: () => Promise.reject(new Error("no subscribe")),
  };
  const throwing: Bus = {
    publish() {
      throw new Error("no publish");
    },
    subscribe() {
      throw new Error("no subscribe");
    },
  };
  const wrong: Bus = {
    publish: () => Promise.reject(new Error("no publish")),
    subscribe: () => undefined as never,
  };
  for (const bus of [failing, throwing, wrong]) {
    const details: { key: unknown; error: Error }[] = [];
    {
      await using stash = watched({ bus });
      stash.events.addEventListener(
        "error",
        (event) => details.push((event as CustomEvent).detail),
      );
      await stash.set("k", 1);
      assertEquals(await stash.get("k"), 1);
    }
    const messages = details.map(({ key, error }) => `${key}: ${error.message}`);
    assert(messages.includes("k: no publish"), messages.join());
    assert(messages.some((message) => message.startsWith("undefined: ")), messages.join());
  }
});

/** What a stash tells of what goes wrong, as `key: message`. */
function errorsOf(stash: HashStash): string[] {
  const errors: string[] = [];
  stash.events.addEventListener("error", ({ detail: { key, error } }) => {
    errors.push(`${key}: ${(error as Error).message}`);
  });
  return errors;
}

Deno.test("near: whose bus fails is told of it, by the key if it is one", async () => {
  const failing: Bus = {
    publish: () => Promise.reject(new Error("no publish")),
    subscribe: () => () => {},
  };
  const options = { engine: "memory", name: `near ${++names}` } as const;
  await using other = new HashStash({ ...options, near: { bus: ownBus() } });
  await using none = new HashStash({ ...options, near: { bus: false } });
  const stash = new HashStash({ ...options, near: { bus: failing } });
  const errors = [other, none, stash].map(errorsOf);
  for (const one of [other, none, stash]) await one.open();
  await other.setMany([["a", 1], ["b", 2], ["c", 3]]);
  await eventually("told of", () => errors[2].length > 0);
  await stash.set("d", 4);
  await stash.close();
  assertEquals(errors, [[], [], ["undefined: no publish", "d: no publish"]]);
});

Deno.test("near: what a slow bus has not taken is told of at close, and not sent later", async () => {
  const sent: string[] = [];
  const taken: (() => void)[] = [];
  const slow: Bus = {
    publish(message) {
      sent.push(JSON.parse(message).keys.join());
      return new Promise((resolve) => taken.push(resolve));
    },
    subscribe: () => () => {},
  };
  const stash = watched({ bus: slow });
  const inside = stash.sub("inside");
  const errors = [stash, inside].map(errorsOf);
  await stash.set("a", 1);
  await stash.set("b", 2);
  await inside.setMany([["c", 3], ["d", 4]]);
  await Promise.all([stash.close(), inside.close()]);
  const late = "The bus has not taken a message for 5 s";
  const closed = "The stash was closed before the bus had taken what was to be told: other " +
    "processes follow within near.ttl";
  assertEquals(errors, [[`a: ${late}`, `b: ${closed}`], [`undefined: ${closed}`]]);
  for (const take of taken) take();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(sent, ["a", "b"]);
});

Deno.test("near: the least recently used go", async () => {
  await using stash = watched({ maxEntries: 3 });
  for (const key of ["a", "b", "c"]) await stash.set(key, key);
  await stash.get("a");
  await stash.set("d", "d");
  Watched.asked = [];
  for (const key of ["a", "c", "d"]) await stash.get(key);
  assertEquals(Watched.asked, []);
  await stash.get("b");
  assertEquals(Watched.asked, ["b"]);

  await using small = watched({ maxBytes: 3_000 });
  await small.set("large", "x".repeat(3_000));
  assertEquals(await small.get("large"), "x".repeat(3_000));
  for (const key of ["a", "b", "c"]) await small.set(key, "x".repeat(500));
  Watched.asked = [];
  for (const key of ["b", "c", "a", "large"]) await small.get(key);
  assertEquals(Watched.asked, ["a", "large"]);
});

Deno.test("near: a reader with narrow limits leaves what others have asked to be kept", async () => {
  const bus = ownBus();
  const options = { engine: "memory", name: `near ${++names}` } as const;
  const wide = new HashStash({ ...options, near: { bus, ttl: HOUR } });
  const limits = { maxEntries: 1, maxBytes: 1_000 };
  await using narrow = new HashStash({ ...options, near: { bus: false, ttl: HOUR, ...limits } });
  await narrow.open();
  const keys = Array.from({ length: 20 }, (_, i) => `${i}`);
  await wide.setMany(keys.map((key) => [key, key]));
  const kept = async (stash: HashStash) => {
    const before = stash.stats().nearHits!;
    await stash.getMany(keys);
    return stash.stats().nearHits! - before;
  };
  assertEquals(await kept(narrow), 20);
  // Nothing is kept any more.
  bus.gap();
  await wide.getMany(keys.slice(1));
  await narrow.get("0");
  assertEquals(await kept(wide), 20);
  await wide.close();
  await narrow.set("1", 1);
  assertEquals(await kept(narrow), 1, "its own, once it is alone");
});

Deno.test("near: what decides something comes from the engine", async () => {
  await using stash = watched({ ttl: HOUR, bus: false });
  await stash.set("k", 1);
  const engine = complete(memory({ name: stash.name, dbname: "main" }));
  await engine.open();
  const encode = (value: unknown) => ({
    value: new TextEncoder().encode(JSON.stringify(value)),
    timestamp: Date.now(),
  });
  await engine.set("k", encode(5));
  assertEquals(await stash.get("k"), 1);
  assertEquals(await stash.modify("k", (n) => Number(n) + 1), 6);
  assertEquals(await stash.get("k"), 6);
  await engine.set("k", encode(7));
  assertEquals(await Array.fromAsync(stash.values()), [7]);
  assertEquals((await stash.entry("k"))?.value, 7);
  assertEquals(await stash.get("k"), 7, "what was read on the way");
  await engine.delete("k");
  assertEquals([await stash.has("k"), await stash.size()], [false, 0]);
  assertEquals(await stash.pop("k", "none"), "none");
  await engine.close();
});

Deno.test("near: results of functions with a stale time come from memory, too", async () => {
  await using stash = watched({ bus: false });
  let runs = 0;
  const f = stash.stashedResult((x: number) => x + ++runs, {
    name: "f",
    ttl: HOUR,
    staleWhileRevalidate: HOUR,
    tags: ["t"],
  });
  assertEquals([await f(1), await f(1)], [2, 2]);
  Watched.asked = [];
  assertEquals(await f(1), 2);
  assertEquals(await stash.map(f, [1]).results(), [2]);
  assertEquals(Watched.asked, []);
  await stash.invalidate({ tags: ["t"] });
  assertEquals(await f(1), 3);
});

Deno.test("near: bad options are refused", async () => {
  const bad: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [7, TypeError, "Expected near to be a boolean or an object of options, got number"],
    [[], TypeError, "got an array"],
    [{ size: 1 }, TypeError, 'Unknown option "size"'],
    [{ maxEntries: "1" }, TypeError, "near.maxEntries"],
    [{ maxEntries: 0 }, RangeError, "near.maxEntries"],
    [{ maxBytes: 1.5 }, RangeError, "near.maxBytes"],
    [{ ttl: -1 }, RangeError, "near.ttl"],
    [{ ttl: "1" }, TypeError, "near.ttl"],
    [{ bus: "redis" }, TypeError, "near.bus"],
    [{ bus: { publish() {} } }, TypeError, 'Expected near.bus to have a method "subscribe"'],
  ];
  for (const [near, Kind, message] of bad) {
    assertThrows(() => new HashStash({ near } as HashStashOptions), Kind, message);
  }
  assertThrows(() => new HashStash({ frozen: 1 } as never), TypeError, "frozen");
  await using stash = new HashStash({ engine: "memory", near: { bus: true } });
  await assertRejects(() => stash.open(), TypeError, 'Engine "memory" has no bus here');
});

Deno.test("near: toJSON keeps it, and stashes inside have it", async () => {
  const near = { maxEntries: 5, maxBytes: 7, ttl: 9, bus: false };
  await using stash = new HashStash({ name: "near json", engine: "memory", near, frozen: true });
  assertEquals(stash.toJSON().near, near);
  assertEquals(stash.toJSON().frozen, true);
  await using again = HashStash.fromJSON(JSON.stringify(stash));
  assertEquals(again.toJSON(), stash.toJSON());
  assertEquals(stash.sub("a").toJSON().near, near);
  assertEquals(stash.sub("a", { near: false }).toJSON().near, undefined);
  await using own = new HashStash({ engine: "memory", near: { bus: ownBus(), ttl: Infinity } });
  assertEquals(own.toJSON().near, { maxEntries: 10_000, ttl: Number.MAX_SAFE_INTEGER });
  assertEquals(new HashStash({ engine: "memory" }).toJSON().near, undefined);
  assertEquals(new HashStash({ engine: "memory" }).stats().nearHits, undefined);
});
