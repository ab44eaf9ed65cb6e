/**
 * What tags promise when the steps of several calls come between each other: each test stops one
 * call at one step, on an engine of few methods.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import { complete, Decorator } from "../../engines/mod.ts";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { Tags } from "../../store/tags.ts";
import { TagSpace } from "../../store/tag_space.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { GatedEngine } from "../support/gated_engine.ts";

let counter = 0;

/** Handles on one stash. */
function stashes(engine: GatedEngine, options: HashStashOptions = {}) {
  const name = `races_${++counter}`;
  return () => new HashStash<string, unknown>({ engine, name, ...options });
}

/** What is there, by all that tell. */
async function seen(stash: HashStash<string, unknown>): Promise<unknown> {
  const keys = await Array.fromAsync(stash.keys());
  const entries = await Array.fromAsync(stash.entries(), ([key]) => key);
  assertEquals(entries, keys);
  assertEquals(await stash.size(), keys.length);
  for (const key of keys) {
    assertEquals([await stash.has(key), await stash.get(key) !== undefined], [true, true]);
  }
  return keys;
}

/** The key of the index row of a tag and a key. */
const row = (tag: string, key: string) => `i/${tag}//${key}`;

Deno.test("tags: an entry that is stored while an invalidation ends keeps its place in the index", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await using other = open();
  await stash.set("k", 1, { tags: ["t"] });
  const listing = engine.gate(({ operation, key }) => operation === "keys" && key.includes("i/"));
  const invalidating = stash.invalidate({ tags: ["t"] });
  await listing.reached;
  // Its number is that of the invalidation already, but the one before it is still there.
  const storing = engine.gateAt("set", ":k");
  const rows = engine.gateAt("set", row("t", "k"));
  rows.open();
  const set = other.set("k", 2, { tags: ["t"] });
  await rows.reached;
  await storing.reached;
  listing.open();
  assertEquals(await invalidating, 1);
  storing.open();
  await set;
  assertEquals(await stash.get("k"), 2);
  assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
  assertEquals(await seen(stash), []);
});

Deno.test("tags: of two sets of a key, the index goes by the entry that is there", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await using other = open();
  const storing = engine.gate(({ operation, key }) => operation === "set" && key.endsWith(":k"));
  const lasting = stash.set("k", "lasting", { tags: ["t"] });
  await storing.reached;
  await other.set("k", "short", { tags: ["t"], ttl: 30 });
  storing.open();
  await lasting;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
  assertEquals(await seen(stash), []);
});

Deno.test("tags: what could not be stored leaves the index to what is there", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await using other = open();
  const rows = engine.gateAt("set", row("t", "k"));
  const short = stash.setDefault("k", "short", { tags: ["t"], ttl: 30 });
  await rows.reached;
  await other.set("k", "lasting", { tags: ["t"] });
  rows.open();
  assertEquals(await short, "lasting");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
  assertEquals(await seen(stash), []);
});

Deno.test("tags: who takes his entry back leaves that of another", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await using other = open();
  await stash.invalidate({ tags: ["other"] });
  const meant = ({ operation, key }: { operation: string; key: string }) =>
    operation === "set" && key.endsWith(":k");
  const first = engine.gate(meant);
  const late = stash.set("k", "late", { tags: ["t"] });
  await first.reached;
  const second = engine.gate(meant);
  const kept = other.set("k", "kept", { tags: ["u"] });
  await second.reached;
  await other.sub("nobody").close();
  await using third = open();
  await third.invalidate({ tags: ["t"] });
  // It looks at the floor first, when it looks at what came meanwhile.
  const looking = engine.gateAt("get", ":f");
  first.open();
  await looking.reached;
  second.open();
  await kept;
  looking.open();
  await late;
  assertEquals(await stash.get("k"), "kept");
  assertEquals(await seen(stash), ["k"]);
});

/** Stops an invalidation of "t" and "u" once it has marked the first; what lets it go on. */
async function invalidatedHalf(
  engine: GatedEngine,
  [stash, other]: HashStash<string, unknown>[],
): Promise<() => Promise<void>> {
  await stash.set("k", 1, { tags: ["t"] });
  await stash.set("l", 2, { tags: ["u"] });
  const gates = ["t", "u"].map((tag) => engine.gateAt("compareAndSet", `t/${tag}`));
  const invalidating = stash.invalidate({ tags: ["t", "u"] });
  for (const gate of gates) await gate.reached;
  gates[0].open();
  while (await other.get("k") !== undefined);
  return async () => {
    gates[1].open();
    await invalidating;
  };
}

Deno.test("tags: an invalidation that is stopped before it counts is brought to its end", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await using other = open();
  await stash.set("stays", 3, { tags: ["v"] });
  // It goes on only when all have been told that it is over.
  const goOn = await invalidatedHalf(engine, [stash, other]);
  await other.invalidate({ tags: ["another"] });
  assertEquals(await other.get("l"), undefined);
  assertEquals(await seen(other), ["stays"]);
  await other.set("k", 4, { tags: ["t"] });
  await goOn();
  assertEquals(await seen(other), ["stays", "k"]);
});

Deno.test("tags: one that is stopped between two tags is brought to its end by each listing", async () => {
  const listings: ((stash: HashStash<string, unknown>) => AsyncIterable<unknown>)[] = [
    (stash) => stash.keys(),
    (stash) => stash.keys({ tag: "u" }),
    (stash) => stash.entries(),
    (stash) => stash.entries({ tag: "u" }),
    (stash) => stash.values(),
    (stash) => stash.query({ tag: "u" }),
    (stash) => stash.records(),
    (stash) => stash.dump(),
  ];
  for (const list of listings) {
    const engine = new GatedEngine();
    const open = stashes(engine);
    await using stash = open();
    await using other = open();
    const goOn = await invalidatedHalf(engine, [stash, other]);
    const listed = await Array.fromAsync(list(other));
    const found = await other.get("l");
    await goOn();
    assertEquals([listed, found], [[], undefined], list.toString());
  }
});

Deno.test("tags: what takes the place of an invalidated key leaves none of its versions", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine, { appendMode: true });
  await using stash = open();
  await using other = open();
  for (const value of [1, 2, 3]) await stash.set("k", value, { tags: ["t"] });
  const listing = engine.gate(({ operation, key }) => operation === "keys" && key.includes("i/"));
  const invalidating = stash.invalidate({ tags: ["t"] });
  await listing.reached;
  await other.set("k", 4, { tags: ["t"] });
  assertEquals(await other.getAll("k"), [4]);
  listing.open();
  await invalidating;
  assertEquals(await other.getAll("k"), [4]);
  assertEquals((await other.check()).problems, []);
});

Deno.test("tags: what is pending where nothing can be written is passed over", async () => {
  const engine = new GatedEngine();
  const open = stashes(engine);
  await using stash = open();
  await stash.set("k", 1, { tags: ["t"] });
  await stash.set("stays", 2, { tags: ["u"] });
  await stash.set("plain", 3);
  const listing = engine.gate(({ operation, key }) => operation === "keys" && key.includes("i/"));
  const invalidating = stash.invalidate({ tags: ["t"] });
  await listing.reached;
  engine.isReadOnly = true;
  await using other = open();
  await assertRejects(() => other.set("x", 1), Error, "read-only");
  assertEquals(await seen(other), ["stays", "plain"]);
  assertEquals(await other.has("k"), false);
  assertEquals(await Array.fromAsync(other.keys({ prefix: "" })), ["stays", "plain"]);
  assertEquals(await Array.fromAsync(other.keys({ tag: "t" })), []);
  engine.isReadOnly = false;
  listing.open();
  assertEquals(await invalidating, 1);
});

Deno.test("tags: a function's store that is opened as a stash keeps to the tags of each entry", async () => {
  const engine = new GatedEngine();
  const name = `races_${++counter}`;
  await using stash = new HashStash({ engine, name });
  const f = stash.stashedResult((x: number) => x, { name: "f", tags: ["t"] });
  await f(1);
  await using alone = new HashStash<unknown, unknown>({ engine, name, dbname: f.stash.dbname });
  await alone.set([2], 2, { tags: ["t"] });
  assertEquals(await alone.touch([1], { ttl: 60_000 }), true);
  assertEquals(await stash.invalidate({ tags: ["t"] }), 1);
  assertEquals([await alone.get([1]), await alone.get([2])], [undefined, 2]);
  assertEquals([await f.peek(1), await f.peek(2)], [undefined, 2]);
  assertEquals([await f.stash.has([2]), await f.stash.size()], [true, 1]);
  assertEquals(await alone.invalidate({ tags: ["t"] }), 1);
  assertEquals([await f.peek(2), await f.stash.size()], [undefined, 0]);
});

for (const engine of PERSISTENT) {
  Deno.test(`134 on ${engine}: who comes after a removal by another process shares no run of before`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash();
    await using worker = new WorkerProcess("./tags_worker.ts", {
      options: bed.options({ name: stash.name }),
      id: 0,
    });
    assertEquals(await worker.line(), "ready");
    const generate = (text: string, gate: Promise<void>) =>
      stash.stashedResult(async function* () {
        yield text;
        await gate;
      }, { name: "generate", key: () => "user:7:g" });
    for (const order of ["prefix user:7:", "delete user:7:x"]) {
      const begun = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      const before = stash.getOrSet("user:7:x", async () => {
        begun.resolve();
        await gate.promise;
        return "old";
      });
      await begun.promise;
      await worker.write(order);
      assertEquals(await worker.line(), "done");
      const after = stash.getOrSet("user:7:x", () => "new");
      // It has joined, or not, by the time that the first one ends.
      await new Promise((resolve) => setTimeout(resolve, 50));
      gate.resolve();
      assertEquals([await before, await after], ["old", "new"], order);
      assertEquals(await stash.get("user:7:x"), "new", order);
      await stash.delete("user:7:x");
    }
    const gate = Promise.withResolvers<void>();
    const first = generate("old", gate.promise);
    const before = await first();
    assertEquals((await before.next()).value, "old");
    await worker.write(`forget ${first.stash.dbname} user:7:g`);
    assertEquals(await worker.line(), "done");
    const after = generate("new", Promise.resolve());
    assertEquals(await Array.fromAsync(await after()), ["new"]);
    gate.resolve();
    assertEquals((await before.next()).done, true);
    assertEquals(await Array.fromAsync(await after()), ["new"]);
  });
}

Deno.test("tags: a listing that is ended as it begins lets go of what it holds", async () => {
  let closed = 0;
  class Held extends Decorator {
    override entries() {
      const end = { done: true, value: undefined } as const;
      const iterator = {
        next: () => Promise.resolve(end),
        return: () => (closed++, Promise.resolve(end)),
      };
      return { [Symbol.asyncIterator]: () => iterator };
    }
  }
  const inner = new Held(complete(memory({ name: "held", dbname: "main" })));
  const space = new TagSpace("main", {
    open: () => Promise.resolve(complete(memory({ name: "held", dbname: "main/.tags" }))),
    mayBeThere: () => false,
    storeOf: () => Promise.resolve({ plain: inner, store: inner }),
  });
  const listing = new Tags(inner, "main", space, () => space).entries()[Symbol.asyncIterator]();
  const first = listing.next();
  await listing.return?.(undefined);
  assertEquals([(await first).done, closed], [true, 1]);
});
