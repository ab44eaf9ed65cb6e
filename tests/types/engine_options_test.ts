/**
 * `engineOptions` are typed by the engine's name. Each `@ts-expect-error` is a claim of its own: the
 * check fails when the line compiles. What the compiler refuses is refused when it is run, too.
 */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { EngineFactory, EngineOptionsByName, EngineOptionsOf } from "../../engines/mod.ts";
import type { SqliteEngineOptions } from "../../engines/mod.ts";
import { memory } from "../../engines/memory/mod.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { type EngineName, HashStash, type HashStashOptions } from "../../mod.ts";
import { loadEngine } from "../../engines/registry.ts";
import { ENGINES } from "../support/bed.ts";

/** Only `true` is one, for types that are the same. */
type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false;

/** Rejects unless the engine, too, says that the option is wrong. */
async function refuses(option: string, make: () => HashStash): Promise<void> {
  const stash = make();
  await assertRejects(() => stash.open(), TypeError, `"${option}"`);
  await stash.close();
}

Deno.test("types: options that the engine does not have do not compile", async () => {
  // @ts-expect-error -- misspelt
  await refuses("max", () => new HashStash({ engine: "memory", engineOptions: { max: 1 } }));
  // @ts-expect-error -- an option of other engines
  await refuses("path", () => new HashStash({ engine: "memory", engineOptions: { path: "x" } }));
  // @ts-expect-error -- pairtree has none
  await refuses("path", () => new HashStash({ engine: "pairtree", engineOptions: { path: "x" } }));
  // @ts-expect-error -- with the name apart
  await refuses("size", () => new HashStash("n", { engine: "lmdb", engineOptions: { size: 1 } }));
  // @ts-expect-error -- the engine may be any, and none has it
  await refuses("no", () => new HashStash({ engine: anyOf("sqlite"), engineOptions: { no: 1 } }));
  // @ts-expect-error -- in a constant
  const misspelt: HashStashOptions = { engine: "memory", engineOptions: { max: 1 } };
  await refuses("max", () => new HashStash(misspelt));
});

Deno.test("types: values that an option does not take do not compile", async () => {
  // @ts-expect-error -- none of the drivers
  const driver: HashStashOptions = { engine: "sqlite", engineOptions: { driver: "sqlite3" } };
  await refuses("driver", () => new HashStash(driver));
  // @ts-expect-error -- not a number
  const entries: HashStashOptions = { engine: "memory", engineOptions: { maxEntries: "1" } };
  await refuses("maxEntries", () => new HashStash(entries));
  // @ts-expect-error -- not an object
  assertThrows(() => new HashStash({ engine: "memory", engineOptions: 1 }), TypeError);
});

Deno.test("types: an unknown engine does not compile", () => {
  // @ts-expect-error -- misspelt
  assertThrows(() => new HashStash({ engine: "memry" }), TypeError, "memry");
  // @ts-expect-error -- neither an engine nor a factory
  assertThrows(() => new HashStash({ engine: { name: "mine" } }), TypeError, "no method");
});

Deno.test("types: factories take the options of their engine", () => {
  const location = { name: "n", dbname: "main" };
  assertThrows(
    // @ts-expect-error -- an option of memory
    () => sqlite(location, { maxEntries: 1 }),
    TypeError,
    "maxEntries",
  );
  const name: string = memory(location, { maxEntries: 1 }).name;
  assertEquals([name, memory(location).name], ["memory", "memory"]);
  const given: EngineOptionsOf<typeof sqlite> = { driver: "auto" };
  const same: Same<EngineOptionsOf<typeof sqlite>, SqliteEngineOptions> = true;
  assertEquals([given.driver, same], ["auto", true]);
});

Deno.test("types: every built-in engine takes the options that its type names", async () => {
  const named: Same<keyof EngineOptionsByName, EngineName> = true;
  const ofEach: { [E in EngineName]: EngineOptionsOf<E> } = {
    memory: { maxEntries: 1, maxBytes: 1 },
    pairtree: { mode: 0o600, sync: true },
    sqlite: { driver: "auto", path: "x" },
    shelve: { path: new URL("file:///x") },
    redis: { url: "redis://localhost", timeout: 1 },
    pickledb: { path: "x" },
    diskcache: {
      path: "x",
      sizeLimit: 1,
      cullLimit: 1,
      evictionPolicy: "none",
      minFileSize: 1,
    },
    postgres: { url: "postgres://localhost/db", table: "t", timeout: 1, pool: 1 },
    lmdb: { path: "x", mapSize: 1, maxReaders: 1, mode: 0o600 },
  };
  assertEquals([named, Object.keys(ofEach).sort()], [true, ENGINES.toSorted()]);
  for (const engine of ENGINES) {
    const create = await loadEngine(engine);
    const location = { rootDir: "x", name: "n", dbname: "main" };
    assertEquals(create(location, { ...ofEach[engine] }).name, engine);
    assertThrows(() => create(location, { ...ofEach[engine], none: 1 }), TypeError, "none");
  }
});

/** The engine as programs have it that run with any. */
function anyOf(name: EngineName): EngineName {
  return name;
}

Deno.test("types: what compiled before there were types still does", async () => {
  const engine = anyOf("memory");
  const options: HashStashOptions = { engine: "memory", engineOptions: { maxEntries: 2 } };
  const untyped: Record<string, unknown> = { maxEntries: 2 };
  const url: { url?: string } = engine === "redis" ? { url: "redis://localhost" } : {};
  const part: Partial<HashStashOptions> = { engine };
  const rest: Omit<HashStashOptions, "name"> = options;
  const picked: Pick<HashStashOptions, "engine" | "engineOptions"> = options;
  const factory: EngineFactory = (location) => memory(location, {});
  const { name = "none", engine: kind = "memory", ...others } = options;
  const made: HashStash<string, number>[] = [
    new HashStash<string, number>({ engine, engineOptions: {} }),
    new HashStash<string, number>({ engine, engineOptions: untyped }),
    new HashStash<string, number>({ engine, engineOptions: { maxEntries: 2 } }),
    new HashStash<string, number>({ engine, engineOptions: url }),
    new HashStash<string, number>({ engine: "memory", engineOptions: untyped }),
    new HashStash<string, number>({ engine: memory, engineOptions: { maxEntries: 2 } }),
    new HashStash<string, number>({ engine: factory, engineOptions: { anything: 1 } }),
    new HashStash<string, number>({ engine: memory({ name: "o", dbname: "main" }, {}) }),
    new HashStash<string, number>({ ...options, name: "x" }),
    new HashStash<string, number>({ name: "x", engine, ...options }),
    new HashStash<string, number>({ ...options, engineOptions: { ...options.engineOptions } }),
    new HashStash<string, number>({ ...rest, name: "x" }),
    new HashStash<string, number>({ name: "x", ...picked }),
    new HashStash<string, number>({ name, engine: kind, ...others }),
    new HashStash<string, number>("x", { ...options, ...part }),
    new HashStash<string, number>(part),
    new HashStash<string, number>("x", options).sub("inside", options),
    new HashStash<string, number>("x", options).sub("inside", { engineOptions: { maxEntries: 1 } }),
    new HashStash<string, number>("x", options).tmp({ ...options, name: "y" }),
  ];
  for (const stash of made) {
    await stash.set("key", 1);
    assertEquals(await stash.get("key"), 1);
    await stash.clear();
    await stash.close();
  }
});
