/** Stashes on an engine object of the user's own. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import type {
  Engine,
  EngineCheck,
  EngineCheckOptions,
  EngineSupports,
  Entry,
  NewEntry,
} from "../../engines/mod.ts";
import { engineContract } from "../../engines/mod.ts";
import { partOf } from "../../store/open.ts";
import { DecodeError, EngineError, HashStash } from "../../mod.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a user would write: the required methods alone, over a Map. */
class MapEngine implements Engine {
  readonly name = "map";
  readonly path = "map:";
  readonly supports: EngineSupports = { persistent: false, shared: false };
  readonly entriesByKey = new Map<string, Entry>();
  opened = 0;
  closed = 0;
  failure: unknown;

  open(): void {
    this.opened++;
  }

  close(): void {
    this.closed++;
  }

  get(key: string): Entry | undefined {
    if (this.failure !== undefined) throw this.failure;
    const entry = this.entriesByKey.get(key);
    return entry && entry.expiresAt !== undefined && entry.expiresAt <= Date.now()
      ? undefined
      : entry;
  }

  set(key: string, entry: NewEntry): void {
    if (this.failure !== undefined) throw this.failure;
    this.entriesByKey.set(key, { ...entry, revision: {} });
  }

  delete(key: string): boolean {
    const there = this.get(key) !== undefined;
    this.entriesByKey.delete(key);
    return there;
  }

  compareAndSet(key: string, expected: Entry | undefined, next: NewEntry | undefined): boolean {
    if (this.get(key)?.revision !== expected?.revision) return false;
    if (next === undefined) this.entriesByKey.delete(key);
    else this.set(key, next);
    return true;
  }

  keys(prefix = ""): Iterable<string> | AsyncIterable<string> {
    return this.living(prefix);
  }

  protected *living(prefix = ""): Generator<string> {
    for (const key of [...this.entriesByKey.keys()]) {
      if (key.startsWith(prefix) && this.get(key) !== undefined) yield key;
    }
  }

  size(): number {
    return [...this.living()].length;
  }

  clear(): void {
    this.entriesByKey.clear();
  }
}

Deno.test("stashes and those inside them share one engine object and stay apart", async () => {
  const engine = new MapEngine();
  {
    await using stash = new HashStash({ engine, name: "a" });
    await using inner = stash.sub("inner");
    await using other = new HashStash({ engine, name: "a:b" });
    await using appending = new HashStash({ engine, name: "c", appendMode: true });
    await stash.set("k", 1);
    await inner.set("k", 2);
    await other.set("k", 3);
    await appending.set("k", 4);
    await appending.set("k", 5);
    assertEquals([await stash.get("k"), await inner.get("k"), await other.get("k")], [1, 2, 3]);
    assertEquals([await stash.size(), await inner.size(), await other.size()], [1, 1, 1]);
    assertEquals(await appending.getAll("k"), [4, 5]);
    assertEquals(await Array.fromAsync(stash), [["k", 1]]);
    await stash.clear();
    assertEquals([await stash.size(), await inner.size()], [0, 1]);
    await stash.clear({ deep: true });
    assertEquals([await inner.size(), await other.size()], [0, 1]);
    assertEquals(stash.engine, "map");
    assertEquals((await other.check()).problems, []);
    assert(await other.byteSize() > 0);
    assertEquals([engine.opened, engine.closed], [1, 0]);
  }
  assertEquals([engine.opened, engine.closed], [1, 1]);
});

Deno.test("what a user's engine throws becomes an EngineError, with its cause", async () => {
  const engine = new MapEngine();
  await using stash = new HashStash({ engine });
  await stash.open();
  engine.failure = new Error("no space left");
  for (
    const operation of [
      () => stash.get("k"),
      () => stash.set("k", 1),
      () => stash.modify("k", () => 1),
    ]
  ) {
    const error = await assertRejects(operation, EngineError, "no space left");
    assertEquals([error.engine, error.cause], ["map", engine.failure]);
  }
  engine.failure = new DecodeError("checksum differs");
  const damaged = await assertRejects(() => stash.get([1]), DecodeError, "checksum differs");
  assertEquals([damaged.engine, damaged.key], ["map", [1]]);
  engine.failure = undefined;
  await stash.set("k", 1);
  assertEquals(await stash.get("k"), 1);
});

Deno.test("21, 53: damaged bytes are a DecodeError with engine and key, found by check", async () => {
  const engine = new MapEngine();
  await using stash = new HashStash({ engine, name: "d" });
  await stash.update({ good: 1, bad: { text: "x".repeat(100) } });
  const key = [...engine.entriesByKey.keys()].find((key) => key.endsWith("bad"))!;
  const entry = engine.entriesByKey.get(key)!;
  engine.entriesByKey.set(key, { ...entry, value: entry.value.subarray(0, 20) });
  for (
    const read of [
      () => stash.get("bad", "default"),
      () => stash.getMany(["good", "bad"]),
      () => stash.pop("bad"),
      () => stash.toMap(),
    ]
  ) {
    const error = await assertRejects(read, DecodeError, '"bad"');
    assertEquals([error.engine, error.key], ["map", "bad"]);
    assertInstanceOf(error.cause, Error);
  }
  assertEquals(await stash.get("good"), 1);
  const report = await stash.check();
  assertEquals([report.ok, report.problems.map(({ key, fixed }) => [key, fixed])], [false, [[
    "bad",
    false,
  ]]]);
  assertEquals(await stash.size(), 2);
  assertEquals((await stash.check({ fix: true })).ok, true);
  assertEquals(await stash.toMap(), new Map([["good", 1]]));
  assertEquals((await stash.check()).problems, []);
});

Deno.test("check and prune of one stash leave the entries of others in the engine object", async () => {
  /** With methods that mend and drop what they find in the whole engine, or with the prefix. */
  class MendingEngine extends MapEngine {
    override readonly supports: EngineSupports;
    readonly prefixes: (string | undefined)[] = [];

    constructor(prefix: boolean) {
      super();
      this.supports = { persistent: false, shared: false, prefix };
    }

    override size(prefix = ""): number {
      return [...this.living(prefix)].length;
    }

    prune(prefix = ""): number {
      this.prefixes.push(prefix);
      return this.#drop(prefix);
    }

    check({ fix, prefix = "" }: EngineCheckOptions): EngineCheck {
      this.prefixes.push(prefix);
      const checked = [...this.living(prefix)].length;
      if (fix) this.#drop(prefix);
      return { checked, problems: [] };
    }

    #drop(prefix: string): number {
      const keys = [...this.entriesByKey.keys()].filter((key) => key.startsWith(prefix));
      return keys.filter((key) => this.entriesByKey.delete(key)).length;
    }
  }

  for (const prefix of [false, true]) {
    const engine = new MendingEngine(prefix);
    await using a = new HashStash({ engine, name: "a" });
    await using inside = a.sub("b");
    await using b = new HashStash({ engine, name: "b" });
    for (const stash of [a, inside, b]) await stash.set("k", 1);
    assertEquals((await a.check({ fix: true })).checked, 1);
    assertEquals([await inside.get("k"), await b.get("k")], [1, 1]);
    await b.prune();
    assertEquals(await inside.get("k"), 1);
    // What an engine can only do with all its entries it isn't asked to do.
    assertEquals(engine.prefixes, prefix ? ["a:main:", "b:main:", "b:main/.tags:"] : []);
    assertEquals([await a.size(), await b.size()], prefix ? [0, 0] : [1, 1]);
  }
});

const shared = new MapEngine();
const contract = engineContract({
  create: ({ name, dbname }) => partOf(shared, name, dbname),
});
for (const { name, fn } of contract) {
  Deno.test(`a part of an engine object ${name}`, fn);
}

Deno.test("setMany takes from a generator no more than a batch of bytes", async () => {
  let taken = 0;
  let stored = 0;
  let most = 0;
  class Counting extends MapEngine {
    override set(key: string, entry: NewEntry): void {
      stored++;
      super.set(key, { ...entry, value: entry.value.subarray(0, 1) });
    }
  }
  const values = async function* () {
    for (; taken < 40; taken++, most = Math.max(most, taken - stored)) {
      yield [taken, new Uint8Array(1_000_000)] as const;
    }
    await Promise.resolve();
  };
  const custom = {
    name: "slow",
    serialize: async (value: unknown) => (await sleep(1), value as Uint8Array),
    deserialize: (bytes: Uint8Array) => Promise.resolve(bytes),
  };
  for (const serializer of ["hashstash", custom] as const) {
    taken = stored = most = 0;
    await using stash = new HashStash({ engine: new Counting(), serializer });
    await stash.setMany(values());
    assertEquals(stored, 40);
    assert(most <= 10, `${most} values of a megabyte at once`);
  }
});

Deno.test("close waits for what a listing is reading, and ends the listing", async () => {
  const gate = Promise.withResolvers<void>();
  const reading = Promise.withResolvers<void>();
  class Slow extends MapEngine {
    readAfterClose = false;
    override async *keys(prefix?: string): AsyncGenerator<string> {
      let count = 0;
      for (const key of this.living(prefix)) {
        if (count++ === 80) {
          reading.resolve();
          await gate.promise;
          this.readAfterClose ||= this.closed > 0;
        }
        yield key;
      }
    }
  }
  const engine = new Slow();
  const stash = new HashStash<number, number>({ engine });
  await stash.setMany(Array.from({ length: 100 }, (_, i) => [i, i] as const));
  let listed = 0;
  const listing = (async () => {
    for await (const _ of stash.keys()) listed++;
  })();
  const refused = assertRejects(() => listing, EngineError, "is closed");
  await reading.promise;
  const closing = stash.close();
  await sleep(5);
  gate.resolve();
  await Promise.all([closing, refused]);
  assertEquals([engine.readAfterClose, engine.closed, listed], [false, 1, 81]);
});

Deno.test("an engine object without one of the methods that every engine has is refused", () => {
  for (const method of ["open", "get", "compareAndSet", "keys", "size", "clear"]) {
    const engine = Object.assign(new MapEngine(), { [method]: undefined });
    assertThrows(() => new HashStash({ engine }), TypeError, `no method "${method}"`);
  }
});
