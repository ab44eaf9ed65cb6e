/**
 * What is particular to the engine "shelve": places, chunks, damage, and the data as Deno KV has
 * it.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DecodeError } from "../../codec/errors.ts";
import { bedTests, disposable, type Options, type Store } from "../support/bed.ts";
import { entryOf } from "../support/entries.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import { EngineError } from "../../engines/errors.ts";
import { enginePath } from "../../engines/registry.ts";
import type { EngineFactory } from "../../engines/engine.ts";
import { shelve } from "../../engines/shelve/mod.ts";
import { runScript } from "../support/child.ts";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { startKvConnect, TOKEN } from "../support/kv_connect_server.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { whileReadOnly } from "../support/read_only.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** With options as they come at run time, which the compiler has not checked. */
const createEngine: EngineFactory = shelve;

contractTests("shelve");
contractTests("shelve", { path: ":memory:" }, "shelve in memory");
contractTests("shelve", startKvConnect, "shelve on a server");
contractTests("shelve", { consistency: "eventual" }, "shelve with eventual reads");
behaviours("shelve");
processTests("shelve");
killTests("shelve");
stashProcessesTest("shelve");

const NAME = "shelve_test";
const MB = 1024 * 1024;

function make(options: Options, dbname = "main"): Store & AsyncDisposable {
  return disposable(createEngine({ name: NAME, dbname }, options));
}

/** A database that the test looks into too. */
async function withKv(
  fn: (engine: Store, kv: Deno.Kv) => Promise<void>,
): Promise<void> {
  using kv = await Deno.openKv(":memory:");
  await using engine = make({ kv });
  await engine.open();
  await fn(engine, kv);
}

/** All keys but the mark of a store that has had chunks. */
async function kvKeys(kv: Deno.Kv): Promise<Deno.KvKey[]> {
  const keys = (await Array.fromAsync(kv.list({ prefix: [] }))).map(({ key }) => key);
  return keys.filter((key) => key.length !== 4 || key[3] !== 0);
}

const test = bedTests("shelve", "shelve:");

test("path tells where the data lives, without credentials", () => {
  const location = { rootDir: "/root", name: "n", dbname: "main" };
  const paths: [unknown, string][] = [
    [undefined, join("/root", "n", "shelve.kv")],
    [":memory:", ":memory:"],
    ["default", "default"],
    ["/x/y.kv", "/x/y.kv"],
    [new URL("file:///x/y.kv"), "/x/y.kv"],
    ["https://user:secret@kv.example.org/db?token=secret#secret", "https://kv.example.org/db"],
    [new URL("http://user@localhost:4512/"), "http://localhost:4512/"],
  ];
  for (const [path, expected] of paths) {
    assertEquals(enginePath("shelve", location, { path }), expected);
    assertEquals(createEngine(location, { path }).path, expected);
  }
});

test("options are checked when the engine is made", () => {
  assertThrows(() => make({ path: 1 }), TypeError, "path");
  assertThrows(() => make({ path: "" }), TypeError, "path");
  assertThrows(() => make({ path: "https://" }), TypeError, "URL");
  assertThrows(() => make({ kv: {} }), TypeError, "Deno.Kv");
  assertThrows(() => make({ size: 1 }), TypeError, '"size"');
});

test("memory is neither persistent nor shared, and lives as long as a handle", async () => {
  const first = make({ path: ":memory:" });
  assertEquals(first.supports, { persistent: false, shared: false, guard: true, stores: true });
  assertEquals(make({ path: "default" }).supports, {
    persistent: true,
    shared: true,
    guard: true,
    stores: true,
  });
  await first.open();
  await first.set("key", entryOf("value"));
  const second = make({ path: ":memory:" });
  await second.open();
  await first.close();
  assertEquals(await second.size(), 1);
  await second.close();
  await second.open();
  assertEquals(await second.size(), 0);
  await second.close();
});

test("works in a database that is given, beside its other data, and leaves it open", async () => {
  await withKv(async (engine, kv) => {
    await kv.set([NAME, "main", "key"], "not ours");
    assertEquals(await engine.size(), 0);
    await engine.setMany([["key", entryOf("value")], ["big", entryOf(new Uint8Array(200_000))]]);
    await engine.clear(true);
    const left = await Array.fromAsync(kv.list({ prefix: [] }));
    assertEquals(left.map(({ key }) => key), [[NAME, "main", "key"]]);
    await engine.close();
    assertEquals((await kv.get([NAME, "main", "key"])).value, "not ours");
  });
});

test("an entry is a line of JSON and the bytes, under name, dbname and key", async () => {
  await withKv(async (engine, kv) => {
    const expiresAt = Date.now() + 3_600_000;
    await engine.set("my_key", { value: new TextEncoder().encode("[1]"), timestamp: 5, expiresAt });
    const { value } = await kv.get(["hashstash", NAME, "main", "my_key"]);
    assert(value instanceof Uint8Array);
    const expected = `{"timestamp":5,"expiresAt":${expiresAt},"size":3}\n[1]`;
    assertEquals(new TextDecoder().decode(value), expected);
  });
});

test("chunks go with the entry that they belong to", async () => {
  await withKv(async (engine, kv) => {
    for (const [first, second] of [[300_000, 2 * MB], [2 * MB, 70_000], [12 * MB, 10]]) {
      await engine.set("key", entryOf(new Uint8Array(first)));
      await engine.set("key", entryOf(new Uint8Array(second).fill(7)));
      assertEquals((await engine.get("key"))?.value, new Uint8Array(second).fill(7));
      const pieces = second > 65_000 ? Math.ceil(second / 65_536) + 1 : 0;
      assertEquals((await kvKeys(kv)).length, 1 + pieces);
      const current = await engine.get("key");
      await engine.compareAndSet("key", current, entryOf(new Uint8Array(first)));
      await engine.setMany([["key", entryOf("small")], ["other", entryOf("small")]]);
      assertEquals((await kvKeys(kv)).length, 2);
      await engine.set("key", entryOf(new Uint8Array(first)));
      assertEquals(await engine.deleteMany(["key", "other"]), 2);
      assertEquals(await kvKeys(kv), []);
    }
    assertEquals(await engine.compareAndSet("key", undefined, entryOf(new Uint8Array(MB))), true);
    assertEquals(await engine.compareAndSet("key", undefined, entryOf(new Uint8Array(MB))), false);
    await engine.set("key", { ...entryOf(new Uint8Array(MB)), expiresAt: Date.now() + 3_600_000 });
    assertEquals((await engine.check({ fix: false })).problems, []);
    await engine.delete("key");
    assertEquals(await kvKeys(kv), []);
  });
});

test("a reader never meets a mix of two writes", async () => {
  await withKv(async (engine) => {
    const sizes = [3 * MB, 200_000, 1_000, MB, 66_000];
    let writing = true;
    const write = async () => {
      for (let i = 0; i < 60; i++) {
        await engine.set("key", entryOf(new Uint8Array(sizes[i % sizes.length]).fill(i)));
      }
      writing = false;
    };
    const read = async () => {
      while (writing) {
        const value = (await engine.get("key"))?.value ?? new Uint8Array();
        assert(value.every((byte) => byte === value[0]), "a mix");
        assert(value.byteLength === 0 || sizes.includes(value.byteLength), "a part");
      }
    };
    await Promise.all([write(), read(), read()]);
    assertEquals((await engine.check({ fix: false })).problems, []);
  });
});

test("writers of one large entry and clear leave it whole or absent", async () => {
  await withKv(async (engine, kv) => {
    for (let round = 0; round < 5; round++) {
      const writers = [1, 2, 3].map((byte) =>
        engine.set("key", entryOf(new Uint8Array(3 * MB).fill(byte)))
      );
      await Promise.all([...writers, engine.clear(), engine.delete("key")]);
      const value = (await engine.get("key"))?.value;
      if (value === undefined) assertEquals(await kvKeys(kv), []);
      else assert(value.byteLength === 3 * MB && value.every((byte) => byte === value[0]));
      assertEquals((await engine.check({ fix: false })).problems, []);
    }
  });
});

test("check finds what a killed writer left, and leaves a living one alone", async () => {
  await withKv(async (engine, kv) => {
    await engine.setMany([["big", entryOf(new Uint8Array(300_000))], ["small", entryOf("value")]]);
    const chunk = (key: string, age: number, i: number) => {
      const generation = `${Date.now() - age}-${crypto.randomUUID()}`;
      return ["hashstash", NAME, "main", 0, key, generation, i];
    };
    await kv.set(chunk("new", 3_600_000, 0), new Uint8Array(10));
    await kv.set(chunk("big", 3_600_000, 0), new Uint8Array(10));
    await kv.set(["hashstash", NAME, "main", "gone", 0], { generation: "1-x", count: 1 });
    const living = chunk("small", 1_000, 0);
    await kv.set(living, new Uint8Array(10));
    for (const fixed of [false, true]) {
      const { checked, problems } = await engine.check({ fix: fixed });
      assertEquals(checked, 2);
      assertEquals(problems.map(({ kind, key, fixed }) => `${kind} ${key} ${fixed}`), [
        `orphan gone ${fixed}`,
        `orphan big ${fixed}`,
        `orphan new ${fixed}`,
      ]);
    }
    assertEquals((await engine.check({ fix: true })).problems, []);
    assertEquals((await kv.get(living)).versionstamp !== null, true);
    assertEquals((await engine.get("big"))?.value, new Uint8Array(300_000));
  });
});

test("damage is found, named and repaired, and other entries stay readable", async () => {
  await withKv(async (engine, kv) => {
    const long = "long ".repeat(1_000);
    const keys = ["garbage", "foreign", "short", "chunks"];
    for (const key of [...keys, long, "healthy"]) {
      await engine.set(key, entryOf(new Uint8Array(key === "chunks" ? 200_000 : 100)));
    }
    const place = (key: string) => ["hashstash", NAME, "main", key];
    const bytes = async (key: Deno.KvKey) => (await kv.get<Uint8Array>(key)).value;
    await kv.set(place("garbage"), new Uint8Array(10));
    await kv.set(place("foreign"), { some: "object" });
    await kv.set(place("short"), (await bytes(place("short")))?.subarray(0, -1));
    const all = await kvKeys(kv);
    const chunks = all.filter((key) => key[3] === 0 && key[4] === "chunks");
    await kv.delete(chunks[0]);
    const [longPlace] = all.filter((key) => String(key[3]).startsWith("long"));
    await kv.set([...longPlace.slice(0, 4), new Uint8Array(32)], await bytes(longPlace));

    for (const key of keys) {
      const error = await assertRejects(async () => await engine.get(key), DecodeError);
      assertEquals([error.engine, error.key], ["shelve", key]);
      assertStringIncludes(error.message, `Cannot read entry "${key}" in engine "shelve"`);
    }
    assertEquals((await engine.get("healthy"))?.value, new Uint8Array(100));
    const { checked, problems } = await engine.check({ fix: false });
    assertEquals(checked, 7);
    const named = problems.map(({ kind, key, fixed }) => `${kind} ${key?.slice(0, 8)} ${fixed}`);
    assertEquals(named.sort(), [
      "damaged chunks false",
      "damaged foreign false",
      "damaged garbage false",
      "damaged long lon false",
      "damaged short false",
    ]);
    assert((await engine.check({ fix: true })).problems.every(({ fixed }) => fixed));
    assertEquals((await engine.check({ fix: true })).problems, []);
    assertEquals((await Array.fromAsync(engine.keys())).sort(), ["healthy", long]);
  });
});

test("long names and keys fit into Deno KV's keys", async () => {
  using kv = await Deno.openKv(":memory:");
  const location = { name: "n".repeat(3_000), dbname: `${"d".repeat(1_000)}/${"e".repeat(1_000)}` };
  await using engine = disposable(createEngine(location, { kv }));
  await engine.open();
  const keys = [
    "a",
    "ä".repeat(499),
    "ä".repeat(501),
    "k".repeat(200_000),
    `${"k".repeat(200_000)}2`,
  ];
  await engine.setMany(keys.map((key) => [key, entryOf(key.slice(0, 3))]));
  for (const key of keys) {
    assertEquals((await engine.get(key))?.value, entryOf(key.slice(0, 3)).value);
  }
  assertEquals((await Array.fromAsync(engine.keys("k"))).length, 2);
  assertEquals((await Array.fromAsync(engine.keys("k".repeat(199_999)))).length, 2);
  assertEquals((await Array.fromAsync(engine.keys("k".repeat(249)))).length, 2);
  assertEquals((await Array.fromAsync(engine.keys("ä"))).length, 2);
  assertEquals((await engine.check({ fix: false })).problems, []);
  await engine.close();
});

test("a file that is no database is refused and left as it is", async ({ root: folder }) => {
  const path = join(folder, "notes.kv");
  await Deno.writeTextFile(path, "my notes\n".repeat(1_000));
  const error = await assertRejects(async () => await make({ path }).open(), EngineError);
  assertStringIncludes(error.message, 'Cannot open engine "shelve"');
  assertStringIncludes(error.message, path);
  assertEquals(await Deno.readTextFile(path), "my notes\n".repeat(1_000));
  await assertRejects(
    async () => await make({ path: folder }).open(),
    EngineError,
    "cannot be opened",
  );
});

test("another program's SQLite database is refused and left as it is", async ({ root }) => {
  const sizes = [1, 200];
  for (const tables of sizes) {
    const path = join(root, `foreign ${tables}.db`);
    using database = new DatabaseSync(path);
    for (let i = 0; i < tables; i++) database.exec(`CREATE TABLE notes_of_mine_${i} (text TEXT)`);
    const before = await Deno.readFile(path);
    const error = await assertRejects(async () => await make({ path }).open(), EngineError);
    assertStringIncludes(error.message, "an SQLite database of another program");
    assertEquals(await Deno.readFile(path), before);
  }
  // One that is empty is like a new one.
  const path = join(root, "empty.db");
  await Deno.writeFile(path, new Uint8Array(0));
  await using engine = make({ path });
  await engine.open();
  await engine.set("key", entryOf("value"));
});

test("follows when the file at its path is removed or replaced", async (bed) => {
  const folder = join(bed.root, "test");
  const first = await bed.open();
  await first.set("key", entryOf("old"));
  await Deno.remove(folder, { recursive: true });
  const second = await bed.open();
  await second.set("key", entryOf("new"));
  assertEquals((await first.get("key"))?.value, entryOf("new").value);
  await first.set("other", entryOf("value"));
  assertEquals(await second.has("other"), true);
  // Alone it notices within a second.
  await Deno.remove(folder, { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await first.set("alone", entryOf("value"));
  await bed.close();
  assertEquals(await Array.fromAsync((await bed.open()).keys()), ["alone"]);
});

test("reads and checks a file that nobody may write to", async (bed) => {
  if (Deno.build.os !== "linux") return;
  const path = join(bed.root, "test", "shelve.kv");
  await (await bed.open()).set("key", entryOf("value"));
  await bed.close();
  const read = async () => {
    const engine = await bed.open();
    assertEquals((await engine.get("key"))?.value, entryOf("value").value);
    assertEquals(await Array.fromAsync(engine.keys()), ["key"]);
    assertEquals((await engine.check({ fix: false })).problems, []);
    for (const write of [() => engine.set("key", entryOf("no")), () => engine.clear()]) {
      const error = await assertRejects(async () => await write(), EngineError);
      assertStringIncludes(error.message, "can only be read here");
    }
    await bed.close();
  };
  await whileReadOnly(path, read);
  // Nothing can be made beside it, either.
  await whileReadOnly(dirname(path), () => whileReadOnly(path, read));
  const engine = await bed.open();
  await engine.set("key", entryOf("new"));
  assertEquals((await engine.get("key"))?.value, entryOf("new").value);
});

test("gives files and folders the mode that the option says", async (bed) => {
  if (Deno.build.os === "windows") return;
  const modes = (path: string) => {
    const paths = [dirname(path), path, `${path}-wal`, `${path}-shm`];
    return paths.map((path) => ((Deno.statSync(path).mode ?? 0) & 0o777).toString(8));
  };
  await (await bed.open()).set("key", entryOf("value"));
  assertEquals(modes(join(bed.root, "test", "shelve.kv")), ["700", "600", "600", "600"]);
  const path = join(bed.root, "deep", "own.kv");
  await (await bed.open({ path, mode: 0o664 })).set("key", entryOf("value"));
  assertEquals(modes(path), ["775", "664", "664", "664"]);
});

test("a damaged file is an error and a problem that check names", async ({ root: folder }) => {
  const path = join(folder, "damaged.kv");
  const engine = make({ path });
  await engine.open();
  const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`);
  await engine.setMany(keys.map((key) => [key, entryOf(new Uint8Array(1_000))]));
  await engine.close();
  const bytes = await Deno.readFile(path);
  for (let i = 40_960; i < bytes.length; i += 500) bytes[i] ^= 0xff;
  await Deno.writeFile(path, bytes);
  await engine.open();
  await assertRejects(async () => await engine.size(), EngineError, "is damaged");
  const { problems } = await engine.check({ fix: false });
  assert(problems.some(({ kind, key }) => kind === "damaged" && key === undefined));
  await engine.close();
});

test("methods of a closed engine reject", async () => {
  const engine = make({ path: ":memory:" });
  await assertRejects(async () => await engine.get("key"), TypeError, "not open");
  await engine.open();
  await engine.open();
  await engine.close();
  await engine.close();
  await assertRejects(async () => await engine.size(), TypeError, "not open");
});

test("a server that refuses the token or is not there is an error without secrets", async () => {
  const { options: { path }, stop } = await startKvConnect();
  const url = path.replace("//", "//user:secret@");
  const token = Deno.env.get("DENO_KV_ACCESS_TOKEN") ?? "";
  Deno.env.set("DENO_KV_ACCESS_TOKEN", "other");
  const refused = await assertRejects(async () => await make({ path: url }).open(), EngineError);
  assertStringIncludes(refused.message, "401");
  Deno.env.set("DENO_KV_ACCESS_TOKEN", token);
  await stop();
  const gone = await assertRejects(async () => await make({ path: url }).open(), EngineError);
  assertStringIncludes(gone.message, path);
  for (const { message, cause } of [refused, gone]) {
    assert(!`${message} ${cause}`.includes("secret"), message);
  }
});

/** Makes a server's reads those of a replica, or its own again. */
async function tellServer(url: string, what: "lag" | "catch_up"): Promise<void> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const { ok, body } = await fetch(new URL(what, url), { method: "POST", headers });
  await body?.cancel();
  assert(ok);
}

test("eventual reads are served from where strong ones are not, and nothing is decided by them", async () => {
  const { options: { path }, stop } = await startKvConnect();
  try {
    const options = (consistency?: "strong" | "eventual"): HashStashOptions => ({
      name: NAME,
      engine: "shelve",
      engineOptions: { path, consistency },
    });
    await using eventual = new HashStash(options("eventual"));
    await using strong = new HashStash(options());
    const large = "x".repeat(200_000);
    await eventual.setMany([["key", 1], ["large", large]]);
    await eventual.set("tagged", 1, { tags: ["tag"] });
    assertEquals(await eventual.getMany(["key", "large", "tagged"]), [1, large, 1]);

    await tellServer(path, "lag");
    await eventual.set("key", 2);
    assertEquals([await eventual.get("key"), await eventual.getMany(["key"])], [1, [1]]);
    assertEquals(await eventual.getOrSet("key", () => 4), 1);
    for (
      const read of [
        () => strong.get("key"),
        () => strong.getMany(["key"]),
        // What tells whether its tags are valid, what a change rests on, and chunks.
        () => eventual.get("tagged"),
        () => eventual.modify("key", () => 3),
        () => eventual.getOrSet("absent", () => 4),
        () => eventual.get("large"),
      ]
    ) {
      const error = await assertRejects(async () => await read(), EngineError, "", String(read));
      assertMatch(error.message, /strong consistency/i);
    }
    await tellServer(path, "catch_up");
    assertEquals([await eventual.get("key"), await eventual.get("large")], [2, large]);
    assertEquals(await eventual.getOrSet("key", () => 4), 2);
  } finally {
    await stop();
  }
});

test("a large value that has been replaced since is read as it is now", async () => {
  await using engine = make({ path: ":memory:", consistency: "eventual" });
  await engine.open();
  const value = (byte: number) => new Uint8Array(MB).fill(byte);
  await engine.set("key", { value: value(1), timestamp: 1 });
  await engine.set("key", { value: value(2), timestamp: 2 });
  assertEquals((await engine.getValue("key"))?.value[0], 2);
  assertEquals((await engine.getValues(["key", "absent"])).map((entry) => entry?.value[0]), [
    2,
    undefined,
  ]);
});

test("only the two consistencies of Deno KV are taken", () => {
  assertThrows(
    () => make({ path: ":memory:", consistency: "weak" }),
    TypeError,
    'Option "consistency" of engine "shelve" must be one of strong, eventual, got "weak"',
  );
});

/** Flags for a process that has no `Deno.openKv`, which deno.json asks for, yet its imports. */
const WITHOUT_KV = [
  "--no-config",
  `--import-map=data:application/json,${
    JSON.stringify({
      imports: { "@std/encoding/hex": import.meta.resolve("@std/encoding/hex") },
    })
  }`,
];

/** Sets and gets an entry in a process with these flags; what it printed. */
async function runWith(flags: string[], options: unknown, env: Record<string, string> = {}) {
  const script = `
    import { shelve as createEngine } from "./engines/shelve/mod.ts";
    import { complete } from "./engines/complete.ts";
    const place = { name: "n", dbname: "main" };
    const engine = complete(createEngine(place, ${JSON.stringify(options)}));
    try {
      await engine.open();
      console.log("had", await engine.size());
      await engine.set("key", { value: new Uint8Array(100_000).fill(3), timestamp: 1 });
      console.log("got", (await engine.get("key")).value.byteLength);
      await engine.close();
    } catch (error) {
      console.log(error.name, error.message);
    }
  `;
  const { stdout, stderr } = await runScript(script, ["--no-prompt", ...flags], env);
  return stdout + stderr;
}

test("needs no permission in memory and in Deno's own place", async ({ root: home }) => {
  const cache = Deno.env.get("DENO_DIR") ?? join(Deno.env.get("HOME") ?? "", ".cache", "deno");
  assertEquals(await runWith(["--unstable-kv"], { path: ":memory:" }), "had 0\ngot 100000\n");
  for (const had of [0, 1]) {
    // A location of its own: Deno's own place depends on it.
    const flags = ["--unstable-kv", "--location=https://hashstash.test/"];
    const printed = await runWith(flags, { path: "default" }, { DENO_DIR: home });
    assertEquals(printed.replace(/^(Download|Check).*\n/gm, ""), `had ${had}\ngot 100000\n`, cache);
  }
});

test("needs to read and write its file and nothing else, and names the flag that it lacks", async ({ root: folder }) => {
  const path = join(folder, "new", "shelve.kv");
  const read = `--allow-read=${folder}`, write = `--allow-write=${folder}`;
  assertEquals(await runWith(["--unstable-kv", read, write], { path }), "had 0\ngot 100000\n");
  const [readFile, writeFile] = [read, write].map((flag) => `${flag}/new/shelve.kv`);
  assertEquals(
    await runWith(["--unstable-kv", readFile, writeFile], { path }),
    "had 1\ngot 100000\n",
  );
  assertStringIncludes(await runWith(["--unstable-kv", write], { path }), "--allow-read");
  const refused = await runWith(["--unstable-kv", read], { path });
  assertStringIncludes(refused, 'EngineError Cannot open engine "shelve"');
  assertStringIncludes(refused, "--allow-write");
});

test("without Deno.openKv, npm:@deno/kv opens the same file, or the error says --unstable-kv", async ({ root: folder }) => {
  const path = join(folder, "shelve.kv");
  const refused = await runWith(WITHOUT_KV, { path });
  assertStringIncludes(refused, "EngineError");
  assertStringIncludes(refused, "--unstable-kv");
  assertStringIncludes(await runWith([...WITHOUT_KV, "-A"], { path: "default" }), "--unstable-kv");
  assertEquals(await runWith(["--unstable-kv", "-A"], { path }), "had 0\ngot 100000\n");
  assertEquals(await runWith([...WITHOUT_KV, "-A"], { path }), "had 1\ngot 100000\n");
  assertEquals(await runWith(["--unstable-kv", "-A"], { path }), "had 1\ngot 100000\n");
  assertEquals(await runWith([...WITHOUT_KV, "-A"], { path: ":memory:" }), "had 0\ngot 100000\n");
});

test("the contract holds with npm:@deno/kv too", async ({ root: rootDir }) => {
  const script = `
    import { engineContract } from "./engines/contract/mod.ts";
    import { shelve } from "./engines/shelve/mod.ts";
    const rootDir = ${JSON.stringify(rootDir)};
    let passed = 0;
    for (const options of [{}, { path: ":memory:" }]) {
      const create = (location) => shelve({ rootDir, ...location }, options);
      for (const { name, fn } of engineContract({ create })) {
        try {
          await fn();
          passed++;
        } catch (error) {
          console.log(JSON.stringify(options), name, error.message);
        }
      }
    }
    console.log(typeof Deno.openKv, passed);
  `;
  const { stdout, stderr } = await runScript(script, [...WITHOUT_KV, "-A"]);
  const cases = engineContract({ create: () => make({ path: ":memory:" }) }).length;
  assertEquals(stdout, `undefined ${2 * cases}\n`, stderr);
});

test("keys that begin with a byte order mark are kept as they are", async () => {
  await withKv(async (engine) => {
    const keys = ["\uFEFF", "\uFEFFa", `\uFEFF${"long".repeat(500)}`, "a"];
    await engine.setMany(keys.map((key) => [key, entryOf(key)]));
    assertEquals((await Array.fromAsync(engine.keys())).sort(), keys.toSorted());
    assertEquals((await Array.fromAsync(engine.keys("\uFEFF"))).length, 3);
    for (const key of keys) assertEquals((await engine.get(key))?.value, entryOf(key).value);
    assertEquals(await engine.deleteMany(keys), 4);
    assertEquals(await engine.size(), 0);
  });
});

test("one record that promises too much blocks nothing", async () => {
  const records = [
    '{"timestamp":1,"size":9007199254740991}\n',
    '{"timestamp":1,"size":9007199254740991,"chunks":{"generation":"","count":137438953472}}\n',
    '{"timestamp":1,"size":65536,"chunks":{"generation":"","count":4294967295}}\n',
    '{"timestamp":1,"size":4294967296,"chunks":{"generation":"","count":65536}}\n',
    '{"timestamp":1,"size":10,"keySize":9,"chunks":{"generation":"x","count":1}}\n',
    `{"timestamp":1,"size":10,"chunks":{"generation":"${"x".repeat(5_000)}","count":1}}\n`,
    '{"timestamp":1,"size":10,"chunks":{"generation":"","count":1,"expiresAt":"soon"}}\n',
  ];
  await withKv(async (engine, kv) => {
    const place = (...rest: Deno.KvKeyPart[]) => ["hashstash", NAME, "main", ...rest];
    const plant = async () => {
      await engine.set("healthy", entryOf("value"));
      for (const [i, record] of records.entries()) {
        await kv.set(place(`bad ${i}`), new TextEncoder().encode(record));
      }
      await kv.set(place(0), true);
      await kv.set(place("pointed", 0), { generation: "", count: Number.MAX_SAFE_INTEGER });
      await kv.set(place("foreign", "part"), 1);
      await kv.set(place("foreign", 5n, true), 1);
    };
    await plant();
    const names = records.map((_, i) => `bad ${i}`);
    assertEquals((await Array.fromAsync(engine.keys())).sort(), [...names, "healthy"]);
    assertEquals((await engine.get("healthy"))?.value, entryOf("value").value);
    for (const name of names) await assertRejects(async () => await engine.get(name), DecodeError);
    const { problems } = await engine.check({ fix: true });
    assert(problems.every(({ fixed }) => fixed), JSON.stringify(problems));
    const named = problems.map(({ key }) => key).sort();
    assertEquals(named, [...names, "foreign…", "foreign…", "pointed"].sort());
    assertEquals((await engine.check({ fix: false })).problems, []);
    assertEquals(await kvKeys(kv), [place("healthy")]);
    await plant();
    for (const name of names) assertEquals(await engine.delete(name), true);
    await plant();
    await engine.clear();
    assertEquals(await kvKeys(kv), []);
  });
});

test("batches work with npm:@deno/kv too, which takes fewer checks in a commit", async () => {
  const script = `
    import { shelve as createEngine } from "./engines/shelve/mod.ts";
    import { complete } from "./engines/complete.ts";
    const engine = complete(createEngine({ name: "s", dbname: "main" }, { path: ":memory:" }));
    await engine.open();
    const entry = { value: new Uint8Array(1), timestamp: 1 };
    const keys = Array.from({ length: 250 }, (_, i) => "k" + i);
    await engine.setMany(keys.map((key) => [key, entry]));
    console.log(await engine.size(), await engine.deleteMany(keys.slice(0, 120)));
    await engine.clear();
    console.log(await engine.size());
    await engine.close();
  `;
  const { stdout, stderr } = await runScript(script, [...WITHOUT_KV, "-A"]);
  assertEquals(stdout, "250 120\n0\n", stderr);
});

test("large values of long keys that begin alike stay apart", async () => {
  await withKv(async (engine, kv) => {
    const keys = ["1", "2", "3"].map((end) => "k".repeat(1_500) + end);
    await engine.setMany(
      keys.map((key) => [key, entryOf(new Uint8Array(200_000).fill(Number(key.at(-1))))]),
    );
    // As if Deno KV had removed the entry, past its deadline, and not yet its chunks.
    const [first] = (await kvKeys(kv)).filter((key) => key.length === 5 && key[3] !== 0);
    await kv.delete(first);
    assertEquals((await engine.check({ fix: true })).problems.map(({ kind }) => kind), [
      "orphan",
      "orphan",
    ]);
    assertEquals((await engine.check({ fix: false })).problems, []);
    assertEquals(await engine.size(), 2);
    for await (const [key, { value }] of engine.entries()) {
      assertEquals(value, new Uint8Array(200_000).fill(Number(key.at(-1))));
    }
  });
});

test("what is set goes to the file that is there, though it was replaced while it was opened", async (bed) => {
  const options = bed.options();
  const { openKv } = Deno;
  const own = Object.getOwnPropertyDescriptor(Deno, "openKv")!;
  const restore = () => Object.defineProperty(Deno, "openKv", own);
  // Between two steps of the opening, as another process may come.
  const value = async (path: string) => {
    restore();
    const kv = await openKv(path);
    await Deno.rename(path, `${path}.away`);
    await Deno.writeFile(path, new Uint8Array());
    return kv;
  };
  Object.defineProperty(Deno, "openKv", { ...own, get: () => value });
  try {
    await using first = new HashStash<string, number>(options);
    await first.set("key", 1);
  } finally {
    restore();
  }
  await using second = new HashStash<string, number>(options);
  assertEquals(await second.get("key"), 1);
});
