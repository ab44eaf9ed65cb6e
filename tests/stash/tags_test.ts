/** Section 12 of the acceptance cases: tags and prefixes. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { complete } from "../../engines/complete.ts";
import { Decorator } from "../../engines/decorator.ts";
import type { EngineFactory, Entry, Guard, NewEntry } from "../../engines/engine.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { computation, type HashStash, type SetOptions } from "../../mod.ts";
import { ENGINES, PERSISTENT, TestBed } from "../support/bed.ts";
import { movedClocks } from "../support/clocks.ts";
import { WorkerProcess } from "../support/child.ts";
import { testOnEngines } from "../support/on_engines.ts";

/** What each way to read says of a key: whether it is there. */
async function seen(stash: HashStash, key: string): Promise<boolean[]> {
  const keys = await Array.fromAsync(stash.keys());
  const entries = await Array.fromAsync(stash.entries());
  return [
    await stash.get(key) !== undefined,
    (await stash.getMany([key]))[0] !== undefined,
    await stash.has(key),
    await stash.expiresAt(key) !== undefined,
    await stash.entry(key) !== undefined,
    (await stash.getAll(key)).length > 0,
    keys.includes(key),
    entries.some(([of]) => of === key),
    (await stash.toMap()).has(key),
    (await Array.fromAsync(stash.dump())).some((record) => record.key === key),
    (await Array.fromAsync(stash.query({ key: (of) => of === key }))).length > 0,
  ];
}

const isThere = (answers: boolean[]) => answers.every((answer) => answer);
const isGone = (answers: boolean[]) => answers.every((answer) => !answer);

/** Names of the stores and files that a stash has made. */
async function sideStores(bed: TestBed, name: string): Promise<string[]> {
  const side = await bed.open({}, { name, dbname: "main/.tags" });
  return await Array.fromAsync(side.keys());
}

testOnEngines("tags", {
  async "127: those with a tag go, the others stay, and the number is right"(stash) {
    await stash.set("a", 1, { tags: ["a"] });
    await stash.set("both", 2, { tags: ["a", "b"] });
    await stash.set("b", 3, { tags: ["b"] });
    await stash.set("none", 4);
    await stash.set("twice", 5, { tags: ["a", "a"] });
    assertEquals((await stash.entry("both"))?.tags, ["a", "b"]);
    assertEquals((await stash.entry("twice"))?.tags, ["a"]);
    assertEquals((await stash.entry("none"))?.tags, []);
    assertEquals(await stash.invalidate({ tags: ["a"] }), 3);
    for (const key of ["a", "both", "twice"]) assert(isGone(await seen(stash, key)), key);
    for (const key of ["b", "none"]) assert(isThere(await seen(stash, key)), key);
    assertEquals(await stash.size(), 2);
    assertEquals(await stash.invalidate({ tags: ["a"] }), 0);
    assertEquals(await stash.invalidate({ tags: ["never", "b"] }), 1);
    assertEquals(await stash.invalidate({ tags: [] }), 0);
    assertEquals(await Array.fromAsync(stash.keys()), ["none"]);
    // And everything can be stored anew.
    await stash.set("a", 6, { tags: ["a"] });
    assertEquals(await stash.setDefault("both", 7, { tags: ["b"] }), 7);
    assertEquals(await stash.modify("b", (now) => now ?? 8), 8);
    assertEquals(await stash.getMany(["a", "both", "b"]), [6, 7, 8]);
  },

  async "127: every way to store takes tags"(stash) {
    await stash.setMany([["x", 1], ["y", 2]], { tags: ["t"] });
    await stash.setDefault("z", 3, { tags: ["t"] });
    await stash.modify("m", () => 4, { tags: ["t"] });
    await stash.getOrSet("g", () => 5, { tags: ["t"] });
    await stash.getOrSet("h", () => 6, { tags: (value, key) => [`${key} ${value}`, "t"] });
    const f = stash.stashedResult((x: number) => x, { name: "f", tags: (r, x) => [`f${r}${x}`] });
    await f(1);
    await stash.map((x: number) => x + 1, [1, 2], { name: "m", tags: ["t"] })
      .results();
    assertEquals((await stash.entry("h"))?.tags, ["h 6", "t"]);
    assertEquals((await f.stash.entry([1]))?.tags, ["f11"]);
    assertEquals(await stash.invalidate({ tags: ["f11"] }), 1);
    assertEquals(await f.peek(1), undefined);
    assertEquals(await f.stash.size(), 0);
    // The stash and its functions have their tags in common: one call, from either.
    assertEquals(await f.stash.invalidate({ tags: ["t"] }), 8);
    assertEquals(await stash.size(), 0);
  },

  async "modify keeps tags unless others are given; touch keeps them"(stash) {
    await stash.set("k", 1, { tags: ["a"] });
    await stash.modify("k", (now) => Number(now) + 1);
    assertEquals((await stash.entry("k"))?.tags, ["a"]);
    await stash.touch("k", { ttl: 60_000 });
    assertEquals((await stash.entry("k"))?.tags, ["a"]);
    await stash.modify("k", (now) => Number(now) + 1, { tags: ["b"] });
    assertEquals(await stash.invalidate({ tags: ["a"] }), 0);
    assertEquals(await stash.get("k"), 3);
    await stash.touch("k", { ttl: Infinity });
    assertEquals(await stash.invalidate({ tags: ["b"] }), 1);
    assertEquals(await stash.touch("k"), false);
    await stash.set("k", 1, { tags: ["a"] });
    await stash.modify("k", (now) => now, { tags: [] });
    assertEquals(await stash.invalidate({ tags: ["a"] }), 0);
  },

  async "131: an entry that is set again without its tag stays"(stash) {
    await stash.set("k", 1, { tags: ["old"] });
    await stash.set("k", 2);
    await stash.set("l", 1, { tags: ["old", "new"] });
    await stash.set("l", 2, { tags: ["new"] });
    assertEquals(await stash.invalidate({ tags: ["old"] }), 0);
    assertEquals(await stash.getMany(["k", "l"]), [2, 2]);
    assertEquals(await stash.invalidate({ tags: ["new"] }), 1);
  },

  async "128: a run in progress whose result will name the tag is not kept"(stash) {
    const ways: Record<string, (make: () => Promise<unknown>) => Promise<unknown>> = {
      "a tag of the options": (make) => stash.getOrSet("k", make, { tags: ["t"] }),
      "one that only the result names": (make) =>
        stash.getOrSet("k", make, { tags: (value) => [String(value).slice(0, 1)] }),
      "one that is said inside": (make) =>
        stash.getOrSet("k", async () => {
          const made = await make();
          computation()!.options({ tags: ["t"] });
          return made;
        }),
    };
    for (const [way, call] of Object.entries(ways)) {
      for (const isRepeated of [false, true]) {
        const begun = Promise.withResolvers<void>();
        const gate = Promise.withResolvers<void>();
        const made = async () => {
          begun.resolve();
          await gate.promise;
          return "told too late";
        };
        const first = call(made);
        await begun.promise;
        const waiting = call(() => Promise.reject(new Error("runs once")));
        // Who waits has joined, and looked at what time it is, before the tag is invalidated.
        await new Promise((resolve) => setTimeout(resolve, 50));
        assertEquals(await stash.invalidate({ tags: ["t"] }), 0);
        const after = call(() => Promise.resolve("t new"));
        await new Promise((resolve) => setTimeout(resolve, 50));
        // Then the last invalidation is one that who came after the first was there before.
        if (isRepeated) assertEquals(await stash.invalidate({ tags: ["t"] }), 0);
        gate.resolve();
        assertEquals(await first, "told too late", `${way}, ${isRepeated}`);
        assertEquals(await waiting, "told too late", `${way}, ${isRepeated}`);
        assertEquals(await after, "t new", `${way}, ${isRepeated}`);
        assertEquals(await stash.get("k"), "t new", `${way}, ${isRepeated}`);
        assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
      }
    }
    assertEquals(await stash.size(), 0);
  },

  async "128: nor what an async generator yields"(stash) {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let runs = 0;
    const f = stash.stashedResult(async function* () {
      runs++;
      yield `before ${runs}`;
      begun.resolve();
      await gate.promise;
    }, { name: "g", tags: ["t"] });
    const first = Array.fromAsync(f());
    await begun.promise;
    await stash.invalidate({ tags: ["t"] });
    const later = Array.fromAsync(f());
    await new Promise((resolve) => setTimeout(resolve, 50));
    gate.resolve();
    assertEquals(await first, ["before 1"]);
    assertEquals(await later, ["before 2"]);
    assertEquals(await Array.fromAsync(f()), ["before 2"]);
    assertEquals(runs, 2);
  },

  async "133: without tags nothing is made for them"(stash, bed) {
    await stash.set("k", { a: 1 }, { tags: [] });
    await stash.set("l", { a: 1 });
    await stash.getOrSet("m", () => 1);
    await stash.run((x: number) => x, 1);
    await Array.fromAsync(stash.keys());
    await stash.has("k");
    const store = await bed.open({}, { name: stash.name });
    const [k, l] = await store.getMany(["k", "l"]);
    assertEquals(k?.value.toHex(), l?.value.toHex());
    assertEquals(k?.value.toHex(), (await stash.encodeValue({ a: 1 })).toHex());
    if (bed.engine === "pairtree" || bed.engine === "diskcache") {
      const folder = await Array.fromAsync(Deno.readDir(`${bed.root}/${stash.name}`));
      const inside = folder.length === 1
        ? await Array.fromAsync(Deno.readDir(`${bed.root}/${stash.name}/${folder[0].name}`))
        : [];
      const names = [...folder, ...inside].map(({ name }) => name).join();
      assertEquals(names.includes("tags"), false, names);
    }
    assertEquals(await sideStores(bed, stash.name), []);
  },

  async "134: a prefix is about the keys that are strings"(stash) {
    const mine = ["user:7:", "user:7:a", "user:7:\0", "user:7:\ud800", "user:7:é"];
    const others = ["user:70:", "user:7", "USER:7:a", ["user:7:"], { a: "user:7:" }, 7];
    for (const key of [...mine, ...others]) await stash.set(key, key, { tags: ["t"] });
    const listed = await Array.fromAsync(stash.keys({ prefix: "user:7:" }));
    assertEquals(listed.toSorted(), mine.toSorted());
    const both = await Array.fromAsync(stash.keys({ prefix: "user:7:", tag: "t" }));
    assertEquals(both.toSorted(), mine.toSorted());
    assertEquals((await Array.fromAsync(stash.keys({ tag: "t" }))).length, 11);
    assertEquals(await Array.fromAsync(stash.values({ prefix: "user:7:a" })), ["user:7:a"]);
    const queried = stash.query({ tag: "t", key: (key) => Array.isArray(key) });
    assertEquals(await Array.fromAsync(queried), [[["user:7:"], ["user:7:"]]]);
    assertEquals(await Array.fromAsync(stash.keys({ prefix: "user:7:\ud800" })), [mine[3]]);
    assertEquals(await stash.invalidate({ prefix: "user:7:" }), mine.length);
    assertEquals(await stash.size(), others.length);
    assertEquals(await stash.invalidate({ prefix: "user:7:" }), 0);
  },

  async "134: a run in progress whose key begins so is not kept"(stash) {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const result = stash.getOrSet("user:7:x", async () => {
      begun.resolve();
      await gate.promise;
      return "old";
    });
    const other = stash.getOrSet("user:8:x", async () => {
      await gate.promise;
      return "other";
    });
    await begun.promise;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await stash.invalidate({ prefix: "user:7:" });
    gate.resolve();
    assertEquals(await Promise.all([result, other]), ["old", "other"]);
    assertEquals(await stash.getMany(["user:7:x", "user:8:x"]), [undefined, "other"]);
  },

  async "append mode: the key goes with its versions"(_, bed) {
    await using stash = bed.stash({ appendMode: true });
    for (const value of [1, 2, 3]) await stash.set("k", value, { tags: ["t"] });
    await stash.set("l", 1);
    assertEquals(await stash.getAll("k"), [1, 2, 3]);
    assertEquals((await stash.entry("k"))?.tags, ["t"]);
    assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
    assert(isGone(await seen(stash, "k")));
    assertEquals((await stash.check()).problems, []);
    await stash.set("k", 4);
    assertEquals(await stash.getAll("k"), [4]);
  },

  async "a copy keeps tags, which count there from then on"(stash, bed) {
    await stash.invalidate({ tags: ["a"] });
    await stash.set("k", 1, { tags: ["a", "b"], ttl: 60_000 });
    await stash.set("l", 2);
    for (const appendMode of [false, true]) {
      await using copy = bed.stash({ appendMode });
      assertEquals(await copy.load(stash.dump()), 2);
      assertEquals((await copy.entry("k"))?.tags, ["a", "b"]);
      assertEquals(await stash.invalidate({ tags: ["never"] }), 0);
      assertEquals(await copy.invalidate({ tags: ["b"] }), 1);
      assertEquals(await Array.fromAsync(copy.keys()), ["l"]);
    }
  },

  async "a stash inside has tags of its own"(stash) {
    await using sub = stash.sub("inside");
    await sub.set("k", 1, { tags: ["t"] });
    await stash.set("k", 1, { tags: ["t"] });
    assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
    assertEquals(await sub.get("k"), 1);
    assertEquals(await sub.invalidate({ tags: ["t"] }), 1);
  },

  async "any text is a tag"(stash) {
    const tags = ["a/b", "%2F", "\0", "\ud800", "\u0001", "../x", "ü", "x".repeat(3_000), " "];
    for (const [i, tag] of tags.entries()) await stash.set(`${i}`, i, { tags: [tag] });
    for (const [i, tag] of tags.entries()) {
      assertEquals((await stash.entry(`${i}`))?.tags, [tag]);
      assertEquals(await Array.fromAsync(stash.keys({ tag })), [`${i}`]);
      assertEquals(await stash.invalidate({ tags: [tag] }), 1, JSON.stringify(tag));
    }
    assertEquals(await stash.size(), 0);
  },

  async "what makes no sense is refused, and nothing is stored"(stash) {
    const bad: [unknown, string][] = [
      ["t", "Expected tags to be an array of strings, got string"],
      [[1], "Expected each of the tags to be a string, got number"],
      [[""], "Expected tags that are not empty"],
      [Array.from({ length: 101 }, (_, i) => `${i}`), "Expected up to 100 tags, got 101"],
    ];
    for (const [tags, message] of bad) {
      const options = { tags } as SetOptions;
      await assertRejects(() => stash.set("k", 1, options), Error, message);
      await assertRejects(() => stash.setMany([["k", 1]], options), Error, message);
      await assertRejects(() => stash.setDefault("k", 1, options), Error, message);
      await assertRejects(() => stash.modify("k", () => 1, options), Error, message);
      await assertRejects(() => stash.getOrSet("k", () => 1, options), Error, message);
      await assertRejects(
        () => stash.getOrSet("k", () => 1, { tags: () => options.tags }),
        Error,
        message,
      );
      await assertRejects(() => stash.invalidate(options), Error, message);
    }
    const what: [unknown, string][] = [
      [{}, "Expected tags or a prefix to invalidate, got undefined"],
      [{ prefix: "" }, "Expected a prefix that is not empty"],
      [{ prefix: "a", tags: ["b"] }, "Expected tags or a prefix to invalidate, got both"],
      [{ prefix: 7 }, "got number"],
      [{ tag: "a" }, 'Unknown option "tag"'],
      [undefined, "Expected an object of options, got undefined"],
    ];
    for (const [one, message] of what) {
      await assertRejects(() => stash.invalidate(one as never), TypeError, message);
    }
    await assertRejects(() => Array.fromAsync(stash.keys({ prefix: 1 } as never)), TypeError);
    await assertRejects(() => Array.fromAsync(stash.keys({ tag: "" })), TypeError);
    await assertRejects(() => stash.touch("k", { tags: ["a"] } as never), TypeError);
    assertEquals(await stash.size(), 0);
    const full = Array.from({ length: 100 }, (_, i) => `${i}`);
    await stash.set("k", 1, { tags: full });
    assertEquals(await stash.invalidate({ tags: full }), 1);
  },

  async "an entry that is invalidated when it is read anew is in nobody's way"(stash, bed) {
    // As a process leaves it that was killed between the moment that counts and the removal.
    await stash.invalidate({ tags: ["before"] });
    await stash.set("k", 1, { tags: ["t"] });
    await stash.set("l", 2, { tags: ["t"] });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.tags" });
    const encode = (text: string) => ({
      value: new TextEncoder().encode(text),
      timestamp: Date.now(),
    });
    const number = Date.now() + 1_000;
    await side.set("p", encode(JSON.stringify({ t: number })));
    await side.set("c", encode(`${number}`));
    await side.set("t/t", encode(`${number} ${Date.now()}`));
    assertEquals([await stash.get("k"), await stash.has("k")], [undefined, false]);
    assertEquals(await stash.delete("nothing"), false);
    assertEquals(await stash.setDefault("k", 3), 3);
    assertEquals(await stash.size(), 1);
    assertEquals(await side.has("p"), false);
    assertEquals(await stash.get("l"), undefined);
    await stash.set("l", 4, { tags: ["t"] });
    assertEquals(await stash.get("l"), 4);
  },

  async "a count that was lost goes on above its marks"(stash, bed) {
    await stash.invalidate({ tags: ["t"] });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.tags" });
    await side.delete("c");
    await stash.set("k", 1, { tags: ["t"] });
    // The first is taken for older than the mark; from then on all is well.
    await stash.set("k", 2, { tags: ["t"] });
    assertEquals(await stash.get("k"), 2);
    assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
  },

  async "prune drops the marks and rows that nobody needs"(stash, bed) {
    await stash.set("gone", 1, { tags: ["a"] });
    await stash.delete("gone");
    await stash.set("there", 2, { tags: ["before"] });
    await stash.set("there", 2, { tags: ["b"] });
    await stash.invalidate({ tags: ["c"] });
    const side = await bed.open({}, { name: stash.name, dbname: "main/.tags" });
    const count = async () => (await Array.fromAsync(side.keys())).length;
    const all = await count();
    await stash.prune();
    assertEquals(await count(), all, "nothing of today");
    const aged = new TextEncoder();
    for (const key of await Array.fromAsync(side.keys())) {
      const old = Date.now() - 2 * 86_400_000;
      const entry = (await side.get(key))!;
      const text = new TextDecoder().decode(entry.value);
      const value = key.startsWith("i/")
        ? `${old} x`
        : key.startsWith("t/")
        ? `${text.split(" ")[0]} ${old}`
        : text;
      await side.set(key, { value: aged.encode(value), timestamp: old });
    }
    await stash.prune();
    assertEquals((await Array.fromAsync(side.keys())).map((key) => key[0]).toSorted(), [
      "c",
      "f",
      "i",
    ]);
    assertEquals(await stash.get("there"), 2);
    // What is older than the marks that were dropped can be kept on: it was there all the time.
    assertEquals(await stash.touch("there", { ttl: 600_000 }), true);
    assertEquals(await stash.get("there"), 2);
    assertEquals(await stash.modify("there", (value) => Number(value) + 1), 3);
    assertEquals([await stash.get("there"), (await stash.entry("there"))?.tags], [3, ["b"]]);
    assertEquals(await stash.invalidate({ tags: ["b"] }), 1);
    assertEquals(await stash.get("there"), undefined);
  },

  async "modify through a stash on a function's store leaves the entry the tags that it has"(
    stash,
    bed,
  ) {
    const f = stash.stashedResult((x: number) => x, { name: "f", tags: ["t"] });
    await f(2);
    await using own = bed.stash({ name: stash.name, dbname: f.stash.dbname });
    assertEquals(await own.modify([2], (value) => Number(value) + 1), 3);
    assertEquals(await f.peek(2), 3);
    assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
    assertEquals([await f.peek(2), await own.size()], [undefined, 0]);
  },

  async "load keeps the tags as they were at the call"(stash) {
    const value = await stash.encodeValue(1);
    const tags = ["a", "a"];
    await stash.load([{ key: "k", value, version: 1, tags }]);
    tags.push("zzz");
    tags[0] = "q";
    assertEquals((await stash.entry("k"))?.tags, ["a"]);
    assertEquals(await stash.invalidate({ tags: ["a"] }), 1);
  },
});

for (const engine of PERSISTENT) {
  Deno.test(`132 on ${engine}: 4 processes x 50 tagged sets beside 50 invalidations`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash();
    await using stack = new AsyncDisposableStack();
    const options = bed.options({ name: stash.name });
    const workers = Array.from(
      { length: 4 },
      (_, id) => stack.use(new WorkerProcess("./tags_worker.ts", { options, id })),
    );
    for (const worker of workers) assertEquals(await worker.line(), "ready");
    for (const worker of workers) await worker.write("mix 50");
    for (let i = 0; i < 50; i++) await stash.invalidate({ tags: ["t"] });
    for (const worker of workers) assertEquals(await worker.line(), "done");
    await stash.invalidate({ tags: ["t"] });
    assertEquals(await stash.size(), 0);
    assertEquals(await Array.fromAsync(stash.keys()), []);
    // And what is set from now on is there for all of them.
    for (const worker of workers) await worker.write("set");
    for (const worker of workers) assertEquals(await worker.line(), "done");
    assertEquals(await stash.size(), 4);
    assertEquals(await stash.invalidate({ tags: ["t"] }), 4);
  });

  Deno.test(`130 on ${engine}: SIGKILL in the middle of an invalidation`, async () => {
    const COUNT = 2_000;
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash();
    const pairs = Array.from({ length: COUNT }, (_, i): [string, number] => [`k${i}`, i]);
    await stash.setMany(pairs, { tags: ["t"] });
    await stash.set("other", 1, { tags: ["u"] });
    await using worker = new WorkerProcess("./tags_worker.ts", {
      options: bed.options({ name: stash.name }),
      id: 0,
    });
    assertEquals(await worker.line(), "ready");
    await worker.write("invalidate");
    const side = await bed.open({}, { name: stash.name, dbname: "main/.tags" });
    // From the moment that it counts; before, this process has just seen that there was none.
    while (!await side.has("t/t")) {
      await stash.has("k0");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    worker.kill();
    await worker.status;
    const [first, last] = [await stash.get("k0"), await stash.get(`k${COUNT - 1}`)];
    assertEquals([first, last], [undefined, undefined]);
    assertEquals([await stash.has("k0"), await stash.has(`k${COUNT - 1}`)], [false, false]);
    assertEquals(await stash.size(), 1);
    assertEquals(await Array.fromAsync(stash.keys()), ["other"]);
    assertEquals(await stash.invalidate({ tags: ["t", "u"] }), 1);
    assertEquals(await stash.size(), 0);
    assertEquals(await side.has("p"), false);
  });
}

Deno.test("129: clocks that differ by an hour mean nothing to tags", async (t) => {
  const moved = await movedClocks();
  if (typeof moved === "string") {
    console.log(`No moved clocks: ${moved}`);
    return;
  }
  for (const engine of PERSISTENT) {
    for (const ms of [-3_600_000, 3_600_000]) {
      await t.step(`${engine}, ${ms} ms`, async () => {
        await using bed = await TestBed.create(engine);
        await using stash = bed.stash();
        await using worker = new WorkerProcess("./tags_worker.ts", {
          options: bed.options({ name: stash.name }),
          id: 7,
        }, moved(ms));
        assertEquals(await worker.line(), "ready");
        for (let i = 0; i < 2; i++) {
          await worker.write("set");
          assertEquals(await worker.line(), "done");
          assertEquals(await stash.get("mine 7"), 7);
          assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
          await worker.write("get mine 7");
          assertEquals(await worker.line(), "undefined");
          await stash.set("here", 1, { tags: ["t"] });
          await worker.write("get here");
          assertEquals(await worker.line(), "1");
          await worker.write("invalidate");
          assertEquals(await worker.line(), "done");
          assertEquals(await stash.get("here"), undefined);
        }
      });
    }
  }
});

for (const engine of ENGINES) {
  Deno.test(`tags on ${engine}: those of functions that nobody has open`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options();
    await using _keepsMemory = bed.stash(options);
    {
      await using stash = bed.stash(options);
      const f = stash.stashedResult((x: number) => x, { name: "f", tags: ["t"] });
      await f(1);
      await f(2);
    }
    await using stash = bed.stash(options);
    assertEquals(await stash.invalidate({ tags: ["t"] }), 2);
    let runs = 0;
    const f = stash.stashedResult((x: number) => (runs++, x), { name: "f", tags: ["t"] });
    await f(1);
    assertEquals([runs, await f.stash.size()], [1, 1]);
  });
}

Deno.test("tags: an invalidation removes entries and rows many at once", async () => {
  const calls = { compareAndSet: 0, deleteUnchanged: 0 };
  class Counted extends Decorator {
    override compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
      calls.compareAndSet++;
      return this.inner.compareAndSet(key, expected, next, guard);
    }

    override deleteUnchanged(entries: [string, Entry][]) {
      calls.deleteUnchanged++;
      return this.inner.deleteUnchanged(entries);
    }
  }
  await using bed = await TestBed.create("sqlite");
  const engine: EngineFactory = (location) => new Counted(complete(sqlite(location)));
  for (const appendMode of [false, true]) {
    await using stash = bed.stash({ engine, appendMode });
    const pairs = Array.from({ length: 1_000 }, (_, i) => [i, i] as const);
    for (let version = 0; version < 2; version++) {
      await stash.setMany(pairs, { tags: ["t", "u"] });
    }
    calls.compareAndSet = 0;
    assertEquals(await stash.invalidate({ tags: ["t"] }), 1_000);
    assert(calls.compareAndSet < 20, `${calls.compareAndSet} single steps`);
    assert(calls.deleteUnchanged > 0);
    const { name } = stash;
    const side = await bed.open({}, { name, dbname: "main/.tags" });
    assertEquals(await Array.fromAsync(side.keys("i/")), [], "no row of either tag is left");
    const versions = await bed.open({}, { name, dbname: "main/.versions" });
    assertEquals(await versions.size(), 0, "no earlier version is");
    await stash.setMany(pairs);
    await stash.setMany(pairs);
    calls.compareAndSet = 0;
    assertEquals(await stash.deleteMany([...pairs.keys(), 7]), 1_000);
    assert(calls.compareAndSet < 20, `${calls.compareAndSet} single steps`);
    assertEquals(await versions.size(), 0, "no earlier version is");
  }
});
