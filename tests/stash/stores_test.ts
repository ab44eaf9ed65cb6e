/** What a stash and the stores inside it hold, and doing away with functions' earlier ones. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import { complete, Decorator, type Engine, type EngineLocation } from "../../engines/mod.ts";
import { HashStash, type StoreInfo } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";
import { GatedEngine } from "../support/gated_engine.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

/** A function as it was before and after edits: one name, and sources that differ. */
const EDITS = {
  first: async function slow(x: number) {
    return await Promise.resolve(x + 1);
  },
  second: async function slow(x: number) {
    return await Promise.resolve(x + 2);
  },
  third: async function slow(x: number) {
    return await Promise.resolve(x + 3);
  },
  longer: async function slower(x: number) {
    return await Promise.resolve(x);
  },
};

/** Names that file systems, SQL, patterns or our own separators would not take as they are. */
const ODD = [
  ...["a:b", "a%3Ab", "*", "[x]", "Case", "case", "é", "ada@example.com", "x~y", "con"],
  ...["\"'", "*/ x", " ", "\u{1f600}", "x".repeat(250), "deep/er/still"],
  ...[".hidden", ".tagsy", "deep/.git"],
];

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/** The bytes of pairs, as they are stored. */
async function sizeOf(stash: HashStash, pairs: [unknown, unknown][]): Promise<number> {
  let bytes = 0;
  for (const [key, value] of pairs) {
    bytes += bytesOf(stash.encodeKey(key)) + (await stash.encodeValue(value)).byteLength;
  }
  return bytes;
}

function dbnames(stores: StoreInfo[]): string[] {
  return stores.map(({ dbname }) => dbname);
}

/** Puts an entry into a store inside a stash, which is closed again. */
async function fill(stash: HashStash, dbname: string, value: unknown = "value"): Promise<void> {
  await using sub = stash.sub(dbname);
  await sub.set("key", value);
}

/** What is said of one store. */
function infoOf(stores: StoreInfo[], dbname: string): StoreInfo | undefined {
  return stores.find((info) => info.dbname === dbname);
}

testOnEngines("stores", {
  async "lists three edits of a function, and retire leaves the newest alone"(stash, bed) {
    const [first, second, third, longer] = Object.values(EDITS)
      .map((fn) => stash.stashedResult(fn));
    for (let i = 0; i < 3; i++) await first(i);
    for (let i = 0; i < 2; i++) await second(i);
    await third(1);
    await longer(1);
    await fill(second.stash as HashStash, "inside");
    await stash.set("key", "value");
    await using sub = stash.sub("sub");
    const elsewhere = sub.stashedResult(EDITS.first);
    await elsewhere(1);
    await fill(sub, "slow");

    const open = await stash.stores();
    const counts = open.map(({ dbname, kind, entries }) => [dbname, kind, entries]);
    const expected = [
      ["main", "stash", 1],
      ["main/sub/slow", "stash", 1],
      [first.stash.dbname, "function", 3],
      [second.stash.dbname, "function", 2],
      [`${second.stash.dbname}/inside`, "stash", 1],
      [third.stash.dbname, "function", 1],
      [longer.stash.dbname, "function", 1],
      [elsewhere.stash.dbname, "function", 1],
    ] as [string, string, number][];
    assertEquals(counts, expected.sort(([a], [b]) => a < b ? -1 : 1));
    const bytes = await sizeOf(first.stash as HashStash, [[[0], 1], [[1], 2], [[2], 3]]);
    assertEquals(infoOf(open, first.stash.dbname)?.bytes, bytes);
    for (const { lastWrite } of open) {
      assert(bed.engine === "redis" ? lastWrite === undefined : lastWrite! <= Date.now());
    }

    // By a handle that has opened none of them.
    await using other = HashStash.fromJSON(stash.toJSON());
    assertEquals(await other.stores(), open);
    assertEquals(await first.stash.stores(), [infoOf(open, first.stash.dbname)!]);

    assertEquals(await third.retire(), 2);
    const isOld = (dbname: string) =>
      dbname.startsWith(first.stash.dbname) || dbname.startsWith(second.stash.dbname);
    assertEquals(await other.stores(), open.filter(({ dbname }) => !isOld(dbname)));
    assertEquals([await first.peek(1), await second.peek(1), await third.peek(1)], [
      undefined,
      undefined,
      4,
    ]);
    assertEquals(await third.retire(), 0);
    // The older one, used again, is a store again.
    await first(1);
    assertEquals(infoOf(await other.stores(), first.stash.dbname)?.entries, 1);
  },

  async "retires versions and names, and no stash that is only called so"(stash) {
    const named = (version?: number) =>
      stash.stashedResult(EDITS.first, { name: "work", version, cacheErrors: { ttl: 60_000 } });
    const fails = stash.stashedResult(() => {
      throw new Error("as it should");
    }, { name: "work", version: "fails", cacheErrors: { ttl: 60_000 } });
    const alike = ["work@example.com", "work~0123456789", "work~0123456789@2"];
    for (const name of alike) await fill(stash, name);
    await named()(1);
    await named(1)(1);
    await named(2)(1);
    await assertRejects(() => fails(), Error, "as it should");
    await stash.stashedResult(EDITS.first, { name: "workshop" })(1);
    await stash.stashedResult(EDITS.first, { name: "work/shop" })(1);
    const kinds = (await stash.stores()).map(({ dbname, kind }) => `${kind} ${dbname}`);
    assertEquals(
      kinds.sort(),
      [
        "function main/work",
        "function main/work%2fshop",
        "function main/work@1",
        "function main/work@2",
        "function main/workshop",
        "stash main",
        ...alike.map((name) => `stash main/${name}`),
      ].sort(),
    );
    assertEquals((await named().stash.stores()).map(({ kind }) => kind), ["function"]);
    await using other = HashStash.fromJSON({ ...stash.toJSON(), dbname: "main/work" });
    assertEquals((await other.stores())[0].kind, "function");

    // One of the three has no results, but an error that is kept.
    assertEquals(await named(2).retire(), 3);
    assertEquals(dbnames(await stash.stores()), [
      "main",
      "main/work%2fshop",
      "main/work@2",
      "main/work@example.com",
      "main/workshop",
      "main/work~0123456789",
      "main/work~0123456789@2",
    ]);
  },

  async "counts what is there after sets, deletes, expiry and versions"(stash, bed) {
    const inside = stash.sub("inside");
    const usage = async () => {
      const { entries, bytes } = infoOf(await stash.stores(), "main/inside") ??
        { entries: 0, bytes: 0 };
      return [entries, bytes];
    };
    assertEquals(await stash.stores(), [{ dbname: "main", kind: "stash", entries: 0, bytes: 0 }]);
    const big = { text: crypto.randomUUID().repeat(4_000) };
    const pairs: [unknown, unknown][] = [
      ["key", { n: [1, null] }],
      [["é", 2], { u: "ü" }],
      ["k".repeat(3_000), new Uint8Array([1, 2, 3])],
      ["big", big],
    ];
    for (const [key, value] of pairs) await inside.set(key, value);
    // JSON in a file of ASCII has escapes.
    const escapes = bed.engine === "pickledb" ? bytesOf("\\u00fc") - bytesOf("ü") : 0;
    assertEquals(await usage(), [4, await sizeOf(inside, pairs) + escapes]);
    await inside.set("ended", "value", { expiresAt: Date.now() - 1 });
    assertEquals(await usage(), [4, await sizeOf(inside, pairs) + escapes]);
    await inside.set("key", 1);
    pairs[0][1] = 1;
    await inside.delete("big");
    pairs.pop();
    assertEquals(await usage(), [3, await sizeOf(inside, pairs) + escapes]);
    await inside.clear();
    assertEquals(await usage(), [0, 0]);
    await inside.setMany([["a", 1], ["b", 2]], { tags: ["odd"] });
    await inside.set("c", 3);
    assertEquals((await usage())[0], 3);
    await inside.invalidate({ tags: ["odd"] });
    assertEquals(await usage(), [1, 2]);
    assertEquals(dbnames(await stash.stores()), ["main", "main/inside"]);
    await inside.close();

    await using append = stash.sub("append", { appendMode: true });
    await append.set("key", "1");
    const one = infoOf(await stash.stores(), "main/append")!;
    await append.set("key", "2");
    const two = infoOf(await stash.stores(), "main/append")!;
    assertEquals([one.entries, two.entries], [1, 1]);
    assert(two.bytes > one.bytes, "the earlier version does not count");
  },

  async "knows odd names"(stash) {
    for (const name of ODD) await fill(stash, name);
    const odd = stash.stashedResult(EDITS.first, { name: "*/ ~@:é\0", version: "[1]/2" });
    await odd(1);
    await using other = HashStash.fromJSON(stash.toJSON());
    const expected = ["main", odd.stash.dbname, ...ODD.map((name) => `main/${name}`)].sort();
    const stores = await other.stores();
    assertEquals(dbnames(stores), expected);
    const functions = stores.filter(({ kind }) => kind === "function");
    assertEquals(dbnames(functions), [odd.stash.dbname]);
    await using deep = other.sub("deep");
    assertEquals(dbnames(await deep.stores()), [
      "main/deep",
      "main/deep/.git",
      "main/deep/er/still",
    ]);
    // By its name each can be opened.
    for (const { dbname, entries } of stores) {
      await using one = HashStash.fromJSON({ ...stash.toJSON(), dbname });
      assertEquals(await one.size(), entries, dbname);
    }
  },

  async "knows functions in a stash whose name begins with a dot"(stash) {
    await using hidden = stash.sub(".hidden");
    await hidden.stashedResult(EDITS.first, { name: "work", version: 1 })(1);
    const work = hidden.stashedResult(EDITS.first, { name: "work", version: 2 });
    await work(1);
    await hidden.set("key", 1, { tags: ["t"] });
    const kinds = async () => (await stash.stores()).map(({ dbname, kind }) => [dbname, kind]);
    assertEquals(await kinds(), [
      ["main", "stash"],
      ["main/.hidden", "stash"],
      ["main/.hidden/work@1", "function"],
      ["main/.hidden/work@2", "function"],
    ]);
    assertEquals(await work.retire(), 1);
    assertEquals((await kinds()).length, 3);
  },

  async "knows 500 stores"(stash) {
    for (let i = 0; i < 500; i++) await fill(stash, `s${i}${"~".repeat(i % 2)}`);
    const stores = await stash.stores();
    const full = stores.filter(({ entries }) => entries === 1);
    assertEquals([stores.length, full.length], [501, 500]);
  },

  async "lets no run of a retired source store its result"(stash) {
    let finish = () => {};
    const waiting = new Promise<void>((resolve) => finish = resolve);
    let begin = () => {};
    const begun = new Promise<void>((resolve) => begin = resolve);
    const before = stash.stashedResult(
      async (_: number) => {
        begin();
        await waiting;
        return "late";
      },
      { name: "fenced", version: 1 },
    );
    const after = stash.stashedResult(EDITS.first, { name: "fenced", version: 2 });
    await after(1);
    const result = before(1);
    await begun;
    await after.retire();
    finish();
    assertEquals(await result, "late");
    assertEquals(await before.peek(1), undefined);
    assertEquals(dbnames(await stash.stores()), ["main", "main/fenced@2"]);
  },
});

for (const engine of PERSISTENT) {
  Deno.test(`stores on ${engine} that another process wrote`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash();
    const options = JSON.stringify(stash.toJSON());
    const { stdout, stderr } = await runScript(
      `
      import { HashStash } from "./mod.ts";
      await using stash = HashStash.fromJSON(${options});
      await stash.stashedResult(function slow(x) { return x; })(1);
      await stash.stashedResult((x) => x, { name: "named" })(1);
      await stash.sub("sub").set("key", "value");
      console.log(JSON.stringify(await stash.stores()));
    `,
      ["-A", "--unstable-kv"],
    );
    assert(stdout !== "", stderr);
    const stores = await stash.stores();
    assertEquals(stores, JSON.parse(stdout));
    assertEquals(stores.map(({ kind }) => kind).sort(), [
      "function",
      "function",
      "stash",
      "stash",
    ]);
  });
}

Deno.test("stores on an engine object", async () => {
  const engine = memory({ name: "shared", dbname: "object" });
  await using stash = new HashStash({ name: "a:b", engine });
  await using other = new HashStash({ name: "a:b%", engine });
  await fill(other, "sub");
  const [first, second] = [EDITS.first, EDITS.second].map((fn) => stash.stashedResult(fn));
  await first(1);
  await second(1);
  await using odd = stash.sub("x:y/%3A");
  await odd.set("kéy", "value");
  const stores = await stash.stores();
  assertEquals(
    dbnames(stores),
    ["main", first.stash.dbname, second.stash.dbname, "main/x:y/%3A"].sort(),
  );
  assertEquals(infoOf(stores, "main/x:y/%3A")?.bytes, 4 + 7);
  assertEquals(await second.retire(), 1);
  assertEquals((await stash.stores()).length, 3);
});

Deno.test("an engine that lists no stores tells of its own, and can't retire", async () => {
  class Lone extends Decorator {
    override get supports() {
      return { ...this.inner.supports, stores: false };
    }
    override async *stores(counted: boolean) {
      for await (const store of this.inner.stores(counted)) if (store.dbname === "") yield store;
    }
  }
  const lone = (location: EngineLocation): Engine => new Lone(complete(memory(location)));
  await using stash = new HashStash({ name: "lone", engine: lone });
  await stash.set("key", "value");
  const fn = stash.stashedResult(EDITS.first);
  await fn(1);
  assertEquals(dbnames(await stash.stores()), ["main"]);
  await assertRejects(() => fn.retire(), TypeError, 'the engine "lone" does not tell');
});

Deno.test("of several first calls of a function one says that its store is a function's", async () => {
  const engine = new GatedEngine();
  await using stash = new HashStash({ name: "marked", engine });
  const fn = stash.stashedResult((x: number) => x, { name: "fn" });
  const key = "marked:main/fn/.function:function";
  const gate = () => engine.gate((call) => call.operation !== "get" && call.key === key);
  const first = gate();
  const calls = [fn(1)];
  await first.reached;
  const begun = Date.now();
  while (Date.now() === begun) await new Promise((resolve) => setTimeout(resolve, 1));
  // This one has seen that nobody has said so yet, too.
  const second = gate();
  calls.push(fn(2));
  await second.reached;
  second.open();
  await calls[1];
  const written = await engine.get(key);
  first.open();
  assertEquals(await Promise.all(calls), [1, 2]);
  assert(written !== undefined);
  assertEquals(await engine.get(key), written);
});

testOnMemory("retire refuses a function without a name", async (stash) => {
  const [one, two] = [stash.stashedResult(() => 1), stash.stashedResult(() => 2)];
  await one();
  await two();
  await assertRejects(() => one.retire(), TypeError, "give it a name");
  assertEquals(await two.peek(), 2);
});

testOnMemory("retire of a method is about its class", async (stash) => {
  const version = (n: number) => {
    class Api {
      @stash.stashedResult({ version: n })
      async user(id: number) {
        return await Promise.resolve(id + n);
      }
    }
    return new Api();
  };
  class Other {
    @stash.stashedResult()
    async user(id: number) {
      return await Promise.resolve(id);
    }
  }
  await version(1).user(1);
  const api = version(2);
  await api.user(1);
  await new Other().user(1);
  const method = api.user as unknown as { with(o: { receiver: object }): { retire(): unknown } };
  assertEquals(await method.with({ receiver: api }).retire(), 1);
  assertEquals((await stash.stores()).length, 3);
});

testOnMemory("stores and retire end with the stash", async (stash) => {
  const fn = stash.stashedResult(EDITS.first);
  await stash.close();
  await assertRejects(() => stash.stores(), Error, "is closed");
  await assertRejects(() => fn.retire(), Error, "is closed");
});
