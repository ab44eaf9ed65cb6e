/** Stashes whose engine is given as a factory: a built-in one's, or somebody else's. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { existsSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { memory } from "../../engines/memory/mod.ts";
import type { Engine, EngineFactory, EngineLocation } from "../../engines/mod.ts";
import { pairtree } from "../../engines/pairtree/mod.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { EngineError, HashStash } from "../../mod.ts";

/** Runs a test with a folder of its own. */
function inFolder(name: string, fn: (rootDir: string) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      const folder = await Deno.makeTempDir();
      try {
        await fn(folder);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

for (const [engine, factory] of Object.entries({ memory, pairtree, sqlite })) {
  const name = `factory_${engine}`;
  const byName = { engine: engine as "memory", name };
  const byFactory = { engine: factory, name };

  inFolder(`${engine} by its factory is the same store as by its name`, async (rootDir) => {
    await using one = new HashStash({ ...byName, rootDir });
    await using other = new HashStash({ ...byFactory, rootDir });
    await one.set("a", 1);
    await other.set("b", 2);
    assertEquals([await other.get("a"), await one.get("b")], [1, 2]);
    assertEquals([other.engine, other.path], [engine, one.path]);
    assertEquals(other.toJSON(), one.toJSON());
    await using again = HashStash.fromJSON(JSON.stringify(other));
    assertEquals(await again.size(), 2);
    await using inside = other.sub("inside");
    await inside.set("c", 3);
    assertEquals([await one.sub("inside").get("c"), await one.size()], [3, 2]);
    await one.clear({ deep: true });
    assertEquals([await inside.size(), await other.size()], [0, 0]);
  });

  inFolder(`${engine} by its factory shares the flight of a computation`, async (rootDir) => {
    await using one = new HashStash({ ...byName, rootDir });
    await using other = new HashStash({ ...byFactory, rootDir });
    let runs = 0;
    const compute = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return ++runs;
    };
    const stashes = [one, other, one, other];
    const values = await Promise.all(stashes.map((stash) => stash.getOrSet("key", compute)));
    assertEquals(values, [1, 1, 1, 1]);
    const square = (x: number) => (runs++, x * x);
    const [f, g] = [one, other].map((stash) => stash.stashedResult(square, { name: "square" }));
    assertEquals([...await Promise.all([f(3), g(3), f(3), g(3)]), runs], [9, 9, 9, 9, 2]);
  });

  inFolder(`${engine} by its factory leaves nothing of a temporary stash`, async (rootDir) => {
    await using stash = new HashStash({ ...byFactory, rootDir });
    await stash.set("a", 1);
    const before = filesIn(rootDir);
    {
      await using scratch = stash.tmp();
      await scratch.set("a", 2);
      assertNotEquals(scratch.path, stash.path);
    }
    assertEquals(filesIn(rootDir), before);
    assertEquals(await stash.get("a"), 1);
  });
}

Deno.test("a factory has its options checked, and cannot lose its name", async () => {
  const engineOptions: Record<string, unknown> = { maxEntires: 1 };
  await using stash = new HashStash({ engine: memory, engineOptions });
  await assertRejects(() => stash.open(), TypeError, "maxEntires");
  assertThrows(() => stash.path, TypeError, "maxEntires");
  assertEquals(Object.getOwnPropertyDescriptor(memory, "name")?.writable, false);
});

Deno.test("profile takes factories", async () => {
  await using stash = new HashStash({ name: "factory_profile", engine: memory });
  const options = { size: 100, iterations: 1, compress: false, b64: false } as const;
  const profile = await stash.profile({ ...options, engine: [memory, mine], operation: "read" });
  assertEquals(profile.rows.map(({ engine }) => engine), ["memory", "mine"]);
  assertEquals(await stash.size(), 0);
});

/** Which files are in a folder, at any depth. */
function filesIn(folder: string): string[] {
  const files: string[] = [];
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    files.push(path, ...isDirectory ? filesIn(path) : []);
  }
  return files.sort();
}

/** What a third party would write: here memory under another name. */
function mine(location: EngineLocation, options: { readonly limit?: number }): Engine {
  const engine = memory({ ...location, name: `mine ${location.name}` }, {
    maxEntries: options.limit,
  });
  return Object.defineProperty(engine, "name", { value: "mine" });
}

Deno.test("a factory of a third party makes the stores that a stash needs", async () => {
  await using stash = new HashStash({ name: "third", engine: mine, engineOptions: { limit: 3 } });
  await using inside = stash.sub("inside");
  await stash.update({ a: 1, b: 2, c: 3, d: 4 });
  await inside.set("a", 5);
  assertEquals([stash.engine, stash.path], ["mine", `memory:mine%20third/main`]);
  assertEquals([await stash.size(), stash.stats().evictions], [3, 1]);
  assertEquals([await stash.get("d"), await inside.get("a")], [4, 5]);
  const { engine, engineOptions } = stash.toJSON();
  assertEquals([engine, engineOptions], ["mine", { limit: 3 }]);
  {
    await using scratch = stash.tmp();
    await scratch.set("a", 6);
    assertEquals(await stash.get("a"), undefined);
  }
  await using appending = stash.sub("appending", { appendMode: true });
  await appending.set("a", 1);
  await appending.set("a", 2);
  assertEquals(await appending.getAll("a"), [1, 2]);
  await stash.clear({ deep: true });
  assertEquals([await stash.size(), await inside.size()], [0, 0]);
});

inFolder("a factory of a third party is given an absolute root", async (folder) => {
  const roots: (string | undefined)[] = [];
  const files: EngineFactory = (location) => {
    roots.push(location.rootDir);
    return pairtree(location);
  };
  const relativeRoot = relative(Deno.cwd(), folder);
  for (const rootDir of [relativeRoot, folder, pathToFileURL(folder)]) {
    await using stash = new HashStash({ name: "files", engine: files, rootDir });
    await stash.set("a", 1);
    assertEquals([await stash.get("a"), stash.toJSON().rootDir], [1, folder]);
    const before = filesIn(folder);
    {
      await using scratch = stash.tmp();
      await scratch.set("a", 2);
      assert(scratch.path.startsWith(folder), scratch.path);
    }
    assertEquals(filesIn(folder), before);
  }
  assert(roots.length > 0 && roots.every((root) => root?.startsWith(folder)), String(roots));
  // Without one it is the factory's to know the default.
  const own = new HashStash({ name: "files", engine: files });
  assert(isAbsolute(own.path));
  assertEquals(roots.at(-1), undefined);
});

inFolder("a factory that has the name of a built-in engine is not that engine", async (rootDir) => {
  const made: Record<string, EngineFactory> = {
    memory: (location) => memory({ ...location, name: "another" }),
  };
  await using builtIn = new HashStash({ name: "namesake", engine: "memory", rootDir });
  await using other = new HashStash({ name: "namesake", engine: made.memory, rootDir });
  let runs = 0;
  const compute = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return ++runs;
  };
  const both = [builtIn, other].map((stash) => stash.getOrSet("key", compute));
  assertEquals((await Promise.all(both)).sort(), [1, 2]);
  assertEquals(existsSync(join(rootDir, "namesake")), false);
});

Deno.test("what a factory throws, and what it makes that is no engine, is said when it is opened", async () => {
  const failing: EngineFactory = () => {
    throw new RangeError("limit must be at least 1");
  };
  await using stash = new HashStash({ engine: failing });
  await assertRejects(() => stash.get("a"), RangeError, "limit must be");
  const unreachable: EngineFactory = (location) =>
    Object.create(memory(location), {
      name: { value: "unreachable" },
      open: {
        value() {
          throw new Error("no answer");
        },
      },
    }) as Engine;
  await using dead = new HashStash({ engine: unreachable });
  const error = await assertRejects(() => dead.get("a"), EngineError, "no answer");
  assertEquals([error.engine, error.operation], ["unreachable", "open"]);
});

Deno.test("a factory that fails, or gives no engine, is said to", async () => {
  const failing = function broken(): Engine {
    throw new Error("no disk");
  };
  await using stash = new HashStash({ engine: failing });
  const error = await assertRejects(() => stash.get("k"), EngineError, "no disk");
  assertEquals([error.engine, error.operation], ["broken", "open"]);
  for (const wrong of [5, {}, Promise.resolve({}), null]) {
    await using stash = new HashStash({ engine: (() => wrong) as never });
    await assertRejects(() => stash.get("k"), TypeError, "methods of an engine");
  }
});

Deno.test("an explain that fails does not hide the error", async () => {
  const engine = memory({ name: crypto.randomUUID(), dbname: "main" });
  const broken: Engine = {
    name: "broken",
    path: "broken:",
    supports: { persistent: false, shared: false },
    open: () => engine.open(),
    close: () => engine.close(),
    get() {
      throw new Error("the real one");
    },
    set: (key, entry) => engine.set(key, entry),
    delete: (key) => engine.delete(key),
    compareAndSet: (key, expected, next) => engine.compareAndSet(key, expected, next),
    keys: (prefix) => engine.keys(prefix),
    size: () => engine.size(),
    clear: (deep) => engine.clear(deep),
    explain() {
      throw new Error("another");
    },
  };
  await using stash = new HashStash({ engine: broken });
  await assertRejects(() => stash.get("k"), EngineError, "the real one");
});
