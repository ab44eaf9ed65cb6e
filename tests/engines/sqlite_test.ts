/**
 * What is particular to engine "sqlite": its file, other programs that use it, and what can be
 * wrong with it.
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { delay } from "../../platform/timers.ts";
import { whenFree } from "../../engines/sqlite/transaction.ts";
import { EngineError } from "../../engines/errors.ts";
import { HashStash } from "../../mod.ts";
import type { EngineFactory, NewEntry } from "../../engines/engine.ts";
import { sqlite } from "../../engines/sqlite/mod.ts";
import { nodeDriver } from "../../engines/sqlite/node.ts";
import { makeTablesAnew } from "../../engines/sqlite/rescue.ts";
import { runScript, type ScriptResult } from "../support/child.ts";
import { bedTests, complete, type Store, type TestBed } from "../support/bed.ts";
import { entryOf, keysOf, textAt, textOf } from "../support/entries.ts";
import { type SqliteFiles, sqliteFileTests, withoutWriting } from "../support/sqlite_files.ts";
import { DRIVERS, FFI_ERROR } from "../support/sqlite_drivers.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** With options as they come at run time, which the compiler has not checked. */
const createEngine: EngineFactory = sqlite;

if (FFI_ERROR !== undefined) {
  // Ignored, so that it is counted at the end of a run, too.
  Deno.test.ignore(
    `sqlite (@db/sqlite): NOTHING WAS TESTED, the package does not load here`,
    () => {},
  );
  console.error(
    `Driver "@db/sqlite" does not load here, so sqlite's tests run on node:sqlite alone ` +
      `(deno task test:jsr runs them on both): ${FFI_ERROR}`,
  );
}
for (const driver of DRIVERS) {
  const label = `sqlite (${driver})`;
  contractTests("sqlite", { driver }, label);
  processTests("sqlite", { driver }, label);
  killTests("sqlite", { driver }, { label });
}
behaviours("sqlite");
stashProcessesTest("sqlite");

const decoder = new TextDecoder();

function fileOf({ root }: TestBed): string {
  return join(root, "test.db");
}

function openIn(bed: TestBed, dbname = "main", path = fileOf(bed)): Promise<Store> {
  return bed.open({ path, driver: "node:sqlite" }, { dbname });
}

async function shell(file: string, sql: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("sqlite3", { args: [file, sql] })
    .output();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout).trimEnd();
}

const test = bedTests("sqlite", "sqlite");

const FILES: SqliteFiles = {
  engine: "sqlite",
  options: { driver: "node:sqlite" },
  changes: {},
  path: fileOf,
  database: (path) => path,
  table: "main",
  index: "main:expires_at",
  columns: ["key", "value", "timestamp", "expires_at", "revision"],
  unjudged: [],
};
sqliteFileTests(FILES);

test("keeps what the sqlite3 shell can read and add to", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("my_key", entryOf('{"name":"John"}'));
  assertEquals(await shell(fileOf(bed), "SELECT key, value FROM main"), 'my_key|{"name":"John"}');
  assertEquals(await shell(fileOf(bed), "SELECT json_extract(value, '$.name') FROM main"), "John");
  assertEquals(await shell(fileOf(bed), "PRAGMA journal_mode"), "wal");

  await shell(fileOf(bed), `INSERT INTO main (key, value) VALUES ('by hand', '["é"]')`);
  assertEquals(await textAt(engine, "by hand"), '["é"]');
  const found = await engine.get("by hand");
  assertLess(Math.abs(Number(found?.timestamp) - Date.now()), 60_000);
  assertEquals(await engine.compareAndSet("by hand", found, entryOf("[]")), true);
});

test("leaves other programs' tables alone", async (bed) => {
  await shell(
    fileOf(bed),
    `CREATE TABLE notes (text); INSERT INTO notes VALUES ('keep');
     CREATE TABLE "main/notes" (text); INSERT INTO "main/notes" VALUES ('keep')`,
  );
  const engine = await openIn(bed);
  await engine.set("key", entryOf("value"));
  await engine.clear(true);
  assertEquals((await engine.check({ fix: true })).problems, []);
  const error = await assertRejects(() => openIn(bed, "notes"), EngineError);
  assertStringIncludes(error.message, 'a table "notes" of another program');
  assertEquals(await shell(fileOf(bed), `SELECT * FROM notes, "main/notes"`), "keep|keep");
});

test("gives every dbname a table of its own", async (bed) => {
  const dbnames = ["main", "Main", "MAIN", "sqlite_x", 'quo"te', "semi;colon", "é", "", "a/b", "a"];
  for (const dbname of dbnames) await (await openIn(bed, dbname)).set("key", entryOf(dbname));
  for (const dbname of dbnames) {
    assertEquals(await textAt(await openIn(bed, dbname), "key"), dbname);
  }
  const tables = (await shell(fileOf(bed), "SELECT name FROM sqlite_schema WHERE type = 'table'"))
    .split("\n");
  assertEquals(tables.length, dbnames.length);
  assert(tables.includes("main") && tables.includes("a/b"), tables.join());
});

test("refuses a file that is no database", async (bed) => {
  await Deno.writeTextFile(fileOf(bed), "some text, longer than a header of SQLite. ".repeat(50));
  const error = await assertRejects(() => openIn(bed), EngineError);
  assertEquals([error.engine, error.operation], ["sqlite", "open"]);
  assertStringIncludes(error.message, "is not an SQLite database");
  assertStringIncludes(await Deno.readTextFile(fileOf(bed)), "some text");
});

test("refuses a folder where the file should be, and a file where the folder should be", async (bed) => {
  const folder = await assertRejects(() => openIn(bed, "main", bed.root), EngineError);
  assertMatch(
    folder.message,
    /Cannot open engine "sqlite": .* is a folder, a link or a device where a file/,
  );
  await Deno.writeTextFile(fileOf(bed), "");
  await assertRejects(() => openIn(bed, "main", join(fileOf(bed), "x.db")), EngineError);
});

test("writes through no link beside its file, and waits for no pipe", async (bed) => {
  const secret = join(bed.root, "secret");
  await Deno.writeTextFile(secret, "secret");
  for (const ending of ["-wal", "-shm", "-journal"]) {
    const path = join(bed.root, `links${ending}.db`);
    await Deno.symlink(secret, path + ending);
    await assertRejects(() => openIn(bed, "main", path), EngineError, "where a file should be");
  }
  const pipe = join(bed.root, "pipe.db");
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  await assertRejects(() => openIn(bed, "main", pipe), EngineError, "where a file should be");
  assertEquals(await Deno.readTextFile(secret), "secret");
});

test("waits by its own timers where a test fakes the global ones", async (bed) => {
  const engine = await openIn(bed);
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`${i}`, entryOf("value")] as const);
  const { setTimeout } = globalThis;
  const never = setTimeout(() => undefined, 0);
  clearTimeout(never);
  globalThis.setTimeout = Object.assign(() => never, setTimeout);
  try {
    await engine.setMany(pairs.map(([key, value]) => [key, value]));
    assertEquals(await engine.deleteMany(pairs.map(([key]) => key)), 20_000);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

test("finds a damaged page, says so, and reads the rest", async (bed) => {
  const writer = await openIn(bed);
  const keys = Array.from({ length: 200 }, (_, i) => `key ${String(i).padStart(3, "0")}`);
  for (const key of keys) await writer.set(key, entryOf("v".repeat(1_000)));
  await writer.close();
  const size = Number(await shell(fileOf(bed), "PRAGMA page_size"));
  const page = Number(
    await shell(
      fileOf(bed),
      "SELECT pageno FROM dbstat WHERE name = 'main' AND pagetype = 'leaf' LIMIT 1 OFFSET 20",
    ),
  );
  const bytes = await Deno.readFile(fileOf(bed));
  bytes.fill(0xFF, (page - 1) * size, page * size);
  await Deno.writeFile(fileOf(bed), bytes);

  const engine = await openIn(bed);
  let lost = 0;
  for (const key of keys) {
    try {
      assertEquals((await engine.get(key))?.value.byteLength, 1_000);
    } catch (error) {
      assert(error instanceof EngineError, String(error));
      assertStringIncludes(error.message, "is damaged");
      lost++;
    }
  }
  assertGreater(lost, 0);
  assertLess(lost, 20);
  for (const fix of [false, true]) {
    const { problems } = await engine.check({ fix });
    assertGreater(problems.length, 0);
    for (const { kind, fixed } of problems) assertEquals([kind, fixed], ["damaged", false]);
  }
});

test("clears a damaged store, and keeps the others in the file", async (bed) => {
  const writer = await openIn(bed);
  const other = await openIn(bed, "other");
  for (const engine of [writer, other]) {
    await engine.setMany(
      Array.from({ length: 200 }, (_, i) => [`key ${i}`, entryOf("v".repeat(1_000))]),
    );
  }
  await bed.close();
  const size = Number(await shell(fileOf(bed), "PRAGMA page_size"));
  const pages = await shell(fileOf(bed), "SELECT pageno FROM dbstat WHERE name = 'main'");
  const whole = await Deno.readFile(fileOf(bed));
  for (const content of [0xFF, 0]) {
    const bytes = whole.slice();
    for (const page of pages.split("\n").map(Number)) {
      bytes.fill(content, (page - 1) * size, page * size);
    }
    await Deno.writeFile(fileOf(bed), bytes);
    const engine = await openIn(bed);
    const there = await openIn(bed, "other");
    assertEquals(await textAt(there, "key 7"), "v".repeat(1_000));
    await assertRejects(async () => await engine.set("key 5", entryOf("value")), EngineError);
    await engine.clear();
    await engine.set("new", entryOf("value"));
    assertEquals([await engine.size(), await there.size()], [1, 200]);
    assertEquals(await textAt(there, "key 7"), "v".repeat(1_000));
    await there.set("key 7", entryOf("changed"));
    assertEquals((await engine.check({ fix: false })).problems, []);
    await bed.close();
  }
});

test("makes a damaged stash usable again by clear, whatever of it is damaged", async (bed) => {
  const options = bed.options({ appendMode: true });
  {
    await using stash = new HashStash(options);
    for (let i = 0; i < 40; i++) await stash.set(`key ${i % 20}`, "v".repeat(500));
    await stash.getOrSet("computed", () => 1);
  }
  const file = join(bed.root, String(options.name), "sqlite.db");
  const whole = await Deno.readFile(file);
  for (let page = 1; page < whole.byteLength / 4_096; page++) {
    await Deno.writeFile(file, whole);
    const bytes = whole.slice();
    bytes.fill(0xFF, page * 4_096, (page + 1) * 4_096);
    await Deno.writeFile(file, bytes);
    await using stash = new HashStash(options);
    // What the stash keeps for itself is among the stores inside.
    await stash.clear({ deep: true });
    await stash.set("key 1", "new");
    await stash.set("key 1", "newer");
    assertEquals(await stash.getOrSet("computed", () => 2), 2);
    assertEquals(await stash.getAll("key 1"), ["new", "newer"]);
    assertEquals((await stash.check()).problems, [], `page ${page}`);
  }
});

test("clears a store whatever page that is free is overwritten", async (bed) => {
  const pairs = Array.from(
    { length: 60 },
    (_, i): [string, NewEntry] => [`key ${i}`, entryOf("v".repeat(900))],
  );
  await openIn(bed).then((engine) => engine.setMany(pairs));
  await bed.close();
  const database = new DatabaseSync(fileOf(bed));
  database.exec("DELETE FROM main WHERE rowid BETWEEN 10 AND 55");
  assertGreater(Number(Object.values(database.prepare("PRAGMA freelist_count").get()!)[0]), 5);
  database.close();
  const whole = await Deno.readFile(fileOf(bed));
  for (let page = 1; page < whole.byteLength / 4_096; page++) {
    for (const content of [0xFF, 0]) {
      await Deno.writeFile(
        fileOf(bed),
        whole.slice().fill(content, page * 4_096, (page + 1) * 4_096),
      );
      const engine = await openIn(bed);
      await engine.clear();
      await engine.setMany(pairs);
      assertEquals((await engine.check({ fix: false })).problems, [], `page ${page}`);
      assertEquals(await engine.size(), 60);
      await bed.close();
    }
  }
});

test("looks at what it clears, and not at the rest of the file", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("value"));
  const version = () => shell(fileOf(bed), "PRAGMA schema_version");
  // A fault in it is another program's: for that the file is not written anew.
  await shell(
    fileOf(bed),
    `CREATE TABLE notes (number CHECK (number > 0)); PRAGMA ignore_check_constraints = ON;
     INSERT INTO notes VALUES (-1)`,
  );
  const before = await version();
  await engine.clear();
  assertEquals([await engine.size(), await version()], [0, before]);
});

test("has its tables also where a damaged file can't be written anew", () => {
  const connection = nodeDriver.connect(":memory:", { busyTimeout: 0 });
  const create = () => connection.exec("CREATE TABLE IF NOT EXISTS entries (key)");
  create();
  connection.exec("INSERT INTO entries VALUES ('old')");
  // As many as SQLite takes: it writes a file anew by way of one more.
  for (let i = 0; i < 10; i++) connection.exec(`ATTACH ':memory:' AS other${i}`);
  assertThrows(() => makeTablesAnew(connection, ["entries"], create), Error, "too many attached");
  assertEquals(connection.prepare("SELECT * FROM entries").all(), []);
  connection.close();
});

test("keeps an entry that is set while a check removes what was damaged", async (bed) => {
  const engine = await openIn(bed);
  const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
  await engine.setMany(keys.map((key) => [key, entryOf("old")]));
  const database = new DatabaseSync(fileOf(bed));
  database.exec("PRAGMA ignore_check_constraints = ON");
  database.exec("UPDATE main SET value = 5");
  database.close();
  const checking = engine.check({ fix: true });
  // The last first: the check, which begins with the first, comes to some that are set by then.
  for (const key of keys.toReversed()) await engine.set(key, entryOf("new"));
  const { problems } = await checking;
  for (const key of keys) assertEquals(await textAt(engine, key), "new", key);
  assertLess(problems.length, keys.length);
});

test("repairs a damaged index", async (bed) => {
  const engine = await openIn(bed);
  await engine.setMany(Array.from({ length: 100 }, (_, i) => [`key ${i}`, entryOf(`${i}`)]));
  // A row that an index doesn't know of.
  await shell(
    fileOf(bed),
    `PRAGMA writable_schema = ON;
     CREATE TEMP TABLE saved AS SELECT * FROM sqlite_schema WHERE name = 'main:expires_at';
     DELETE FROM sqlite_schema WHERE name = 'main:expires_at';
     PRAGMA writable_schema = RESET;
     INSERT INTO main (key, value, expires_at) VALUES ('late', 'value', 9999999999999);
     PRAGMA writable_schema = ON;
     INSERT INTO sqlite_schema SELECT * FROM saved`,
  );
  assertGreater((await engine.check({ fix: false })).problems.length, 0);
  const found = await engine.check({ fix: true });
  assertGreater(found.problems.length, 0);
  assertEquals(found.problems.filter(({ fixed }) => !fixed), []);
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(await textAt(engine, "key 77"), "77");
});

test("waits for another program's transaction, and leaves the event loop free", async (bed) => {
  const engine = await openIn(bed);
  const other = new DatabaseSync(fileOf(bed));
  bed.defer(() => other.close());
  other.exec("BEGIN IMMEDIATE");
  let done = false;
  const setting = Promise.resolve(engine.set("key", entryOf("value"))).then(() => done = true);
  for (let timers = 0; timers < 20; timers++) await new Promise((go) => setTimeout(go, 5));
  assertEquals(done, false);
  assertEquals(await engine.get("key"), undefined);
  other.exec("COMMIT");
  await setting;
  assertEquals(await textAt(engine, "key"), "value");
});

test("gives up when the database stays locked", async (bed) => {
  const locked = () => {
    throw new Error("database is locked");
  };
  const error = await assertRejects(async () => await whenFree(locked, 20), Error);
  const engine = createEngine({ rootDir: bed.root, name: "test", dbname: "main" }, {});
  assertStringIncludes(
    String(engine.explain?.(error, "set")),
    'another process keeps "' + engine.path + '" locked',
  );
});

test("refuses what SQLite cannot hold, and keeps the earlier value", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("earlier"));
  const large = entryOf(new Uint8Array(1_000_000_000));
  await assertRejects(async () => await engine.set("key", large), RangeError, "1000000000 bytes");
  await assertRejects(async () => await engine.setMany([["key", large]]), RangeError);
  assertEquals(await textAt(engine, "key"), "earlier");
});

test("takes a large batch without keeping the event loop to itself", async (bed) => {
  const engine = await openIn(bed);
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`${i}`, entryOf("value")] as const);
  let timers = 0;
  const timer = setInterval(() => timers++, 1);
  await engine.setMany(pairs.map(([key, value]) => [key, value]));
  assertGreater(timers, 0);
  timers = 0;
  assertEquals(await engine.deleteMany(pairs.map(([key]) => key)), 20_000);
  clearInterval(timer);
  assertGreater(timers, 0);
});

test("gives each entry of a batch a state of its own, whatever its size", async (bed) => {
  const engine = await openIn(bed);
  const texts = Array.from({ length: 70 }, (_, i) => `${i}`.repeat(i % 10 === 9 ? 50_000 : 1));
  const keys = texts.map((_, i) => `key ${i}`);
  const again = ["key 0", "key 1", "key 0"].map((key) => [key, entryOf(`${key} again`)] as const);
  const pairs = texts.map((text, i) => [keys[i], entryOf(text)] as const);
  await engine.setMany([...again, ...pairs].map(([key, value]) => [key, value]));
  const found = await engine.getMany(keys);
  assertEquals(found.map(textOf), texts);
  assertEquals(new Set(found.map((entry) => entry?.revision)).size, keys.length);
});

test("gives the space of cleared and pruned entries back", async (bed) => {
  const engine = await openIn(bed);
  const size = () => Deno.statSync(fileOf(bed)).size;
  const value = "v".repeat(10_000);
  const fill = async (expiresAt?: number) => {
    await engine.setMany(
      Array.from({ length: 500 }, (_, i) => [`${i}`, entryOf(value, expiresAt)]),
    );
    await shell(fileOf(bed), "PRAGMA wal_checkpoint(TRUNCATE)");
    assertGreater(size(), 5_000_000);
    assertGreater(await engine.byteSize(), 5_000_000);
  };
  await fill();
  await engine.clear();
  await shell(fileOf(bed), "PRAGMA wal_checkpoint(TRUNCATE)");
  assertLess(size(), 100_000);
  await fill(Date.now() - 1);
  assertEquals(await engine.prune(), 500);
  await shell(fileOf(bed), "PRAGMA wal_checkpoint(TRUNCATE)");
  assertLess(size(), 100_000);
  assertLess(await engine.byteSize(), 100_000);
});

test("shares one connection between handles, also by way of a symbolic link", async (bed) => {
  const first = await openIn(bed);
  const link = join(bed.root, "link.db");
  await Deno.symlink(fileOf(bed), link);
  const second = await openIn(bed, "main", link);
  await first.set("key", entryOf("value"));
  assertEquals(await textAt(second, "key"), "value");
  assertEquals(
    [...Deno.readDirSync(bed.root)].filter(({ name }) => /^link/.test(name)).length,
    1,
  );
});

test("does not use a file that was removed, for a second handle or the first", async (bed) => {
  const first = await openIn(bed);
  await first.set("before", entryOf("lost with the file"));
  for (const ending of ["", "-wal", "-shm"]) await Deno.remove(fileOf(bed) + ending);
  const second = await openIn(bed);
  await second.set("second", entryOf("value"));
  assertEquals(await shell(fileOf(bed), "SELECT key FROM main"), "second");
  assertEquals([await textAt(first, "second"), await textAt(first, "before")], [
    "value",
    undefined,
  ]);
  await first.set("first", entryOf("value"));
  assertEquals(await keysOf(second), ["first", "second"]);
  await second.close();
  assertEquals(await keysOf(first), ["first", "second"]);
  await first.close();
  assertEquals(await shell(fileOf(bed), "SELECT key FROM main ORDER BY key"), "first\nsecond");
});

test("makes its file anew within a second when the folder is removed under it", async (bed) => {
  const path = join(bed.root, "folder", "test.db");
  const engine = await openIn(bed, "main", path);
  await engine.set("before", entryOf("value"));
  await Deno.remove(join(bed.root, "folder"), { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 1_001));
  const values = ["a", "b", "c"].map((key) => Promise.resolve(engine.set(key, entryOf(key))));
  await Promise.all(values);
  assertEquals(await shell(path, "SELECT key FROM main ORDER BY key"), "a\nb\nc");
});

test("uses a file that was put in the place of its own", async (bed) => {
  const first = await openIn(bed);
  await first.set("key", entryOf("old"));
  const other = join(bed.root, "other.db");
  const writer = await openIn(bed, "main", other);
  await writer.set("key", entryOf("new"));
  await writer.close();
  for (const ending of ["-wal", "-shm"]) await Deno.remove(fileOf(bed) + ending);
  await Deno.rename(other, fileOf(bed));
  const second = await openIn(bed);
  assertEquals([await textAt(second, "key"), await textAt(first, "key")], ["new", "new"]);
  assertEquals((await first.check({ fix: false })).problems, []);
});

test("lists keys that sort after all others", async (bed) => {
  const engine = await openIn(bed);
  const keys = ["\u{10FFFF}", "\u{10FFFF}\u{10FFFF}a", "\u{D7FF}", "\u{E000}", "a\u{10FFFF}", "b"];
  await engine.setMany(keys.map((key) => [key, entryOf(key)]));
  for (const prefix of ["", ...keys, "a"]) {
    assertEquals(await keysOf(engine, prefix), keys.filter((key) => key.startsWith(prefix)).sort());
  }
});

test("makes files and folders that nobody else may read, or with the mode that is given", async (bed) => {
  const umask = Deno.umask(0o022);
  try {
    for (const [mode, file, folder] of [[undefined, 0o600, 0o700], [0o660, 0o660, 0o770]]) {
      const root = join(bed.root, String(mode));
      const options = mode === undefined ? {} : { mode };
      const engine = await bed.open(options, { rootDir: root, name: "a" });
      await engine.set("key", entryOf("value"));
      const modeOf = (path: string) => Number(Deno.statSync(path).mode) & 0o777;
      assertEquals([modeOf(root), modeOf(join(root, "a"))], [folder, folder]);
      for (const ending of ["", "-wal", "-shm", "-reserve"]) {
        assertEquals(modeOf(join(root, "a", `sqlite.db${ending}`)), file, ending);
      }
      await engine.close();
      const again = await bed.open({ mode: 0o666 }, { rootDir: root, name: "a" });
      assertEquals(modeOf(again.path), file);
    }
  } finally {
    Deno.umask(umask);
  }
  const location = { rootDir: bed.root, name: "test", dbname: "main" };
  assertThrows(() => createEngine(location, { mode: "600" }), TypeError, "mode");
  assertThrows(() => createEngine(location, { mode: 0o400 }), RangeError, "mode");
});

test("checks its options", async () => {
  const location = { rootDir: "/x", name: "test", dbname: "main" };
  assertThrows(() => createEngine(location, { driver: "sqlite3" }), TypeError, "@db/sqlite");
  assertThrows(() => createEngine(location, { drivre: "auto" }), TypeError, "drivre");
  assertThrows(() => createEngine(location, { path: "" }), TypeError, "path");
  await Promise.resolve();
});

const FFI = { driver: "@db/sqlite" };

/** A script that sets and gets an entry, in a store below the folder. */
function script(folder: string, options: Record<string, unknown>): string {
  return `
    import { complete } from "./engines/complete.ts";
    import { loadEngine } from "./engines/registry.ts";
    const createEngine = await loadEngine("sqlite");
    const location = { rootDir: ${JSON.stringify(folder)}, name: "test", dbname: "main" };
    const engine = complete(createEngine(location, ${JSON.stringify(options)}));
    try {
      await engine.open();
      await engine.set("key", { value: new TextEncoder().encode("value"), timestamp: Date.now() });
      console.log(new TextDecoder().decode((await engine.get("key")).value));
      await engine.close();
    } catch (error) {
      console.log(error.name, error.message);
    }`;
}

test("works with read and write permission for its folder, and asks for no more", async (bed) => {
  const { stdout, stderr } = await runScript(script(bed.root, {}), [
    `--allow-read=.,${bed.root}`,
    `--allow-write=${bed.root}`,
  ]);
  assertEquals([stdout, stderr], ["value\n", ""]);
});

test("names the permission that is refused", async (bed) => {
  const flags = [[], [`--allow-read=.,${bed.root}`]];
  for (const allowed of flags) {
    const { stdout } = await runScript(script(bed.root, {}), ["--allow-read=.", ...allowed]);
    assertStringIncludes(stdout, 'EngineError Cannot open engine "sqlite": no permission');
    assertStringIncludes(stdout, `--allow-write="${bed.root}`);
  }
});

if (DRIVERS.includes("@db/sqlite")) {
  test("lets two drivers share a file, but not in one process", async (bed) => {
    const engine = await openIn(bed);
    await engine.set("key", entryOf("value"));
    const location = { rootDir: bed.root, name: "test", dbname: "main" };
    const other = complete(createEngine(location, { path: fileOf(bed), driver: "@db/sqlite" }));
    const error = await assertRejects(async () => await other.open(), EngineError);
    assertStringIncludes(error.message, "two SQLite libraries on one file");
    await engine.close();
    await other.open();
    assertEquals(decoder.decode((await other.get("key"))?.value), "value");
    await other.close();
  });
}

/**
 * What stands for the package at the registry: node:sqlite under its names, and a library that it
 * downloads where none is named, half of it first.
 */
const PACKAGE = `
  import { DatabaseSync } from "node:sqlite";
  if (!Deno.env.get("DENO_SQLITE_PATH")) {
    const library = Deno.env.get("HASHSTASH_DIR") + "/library";
    let content;
    try {
      content = Deno.readTextFileSync(library);
    } catch {
      console.log("Downloading something");
      Deno.writeTextFileSync(library, "half");
      await new Promise((resolve) => setTimeout(resolve, 300));
      Deno.writeTextFileSync(library, content = "whole");
    }
    if (content !== "whole") throw new Error("It has loaded half a library");
  }
  const rows = (statement) => (statement.setReturnArrays(true), statement);
  export class Database {
    constructor(path) { this.db = new DatabaseSync(path); }
    exec(sql) { this.db.exec(sql); }
    close() { this.db.close(); }
    prepare(sql) {
      const statement = rows(this.db.prepare(sql));
      return {
        value: (...params) => statement.get(...params),
        values: (...params) => statement.all(...params),
        run: (...params) => Number(statement.run(...params).changes),
      };
    }
  }
`;

/** A registry that has the package, or accepts and says nothing. */
async function registry(
  isSilent: boolean,
): Promise<{ url: string; asked: string[] } & AsyncDisposable> {
  const asked: string[] = [];
  const { promise: isOver, resolve } = Promise.withResolvers<void>();
  const bytes = new TextEncoder().encode(PACKAGE);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const checksum = `sha256-${digest.toHex()}`;
  const files: Record<string, unknown> = {
    "/@db/sqlite/meta.json": { scope: "db", name: "sqlite", versions: { "0.13.0": {} } },
    "/@db/sqlite/0.13.0_meta.json": {
      manifest: { "/mod.js": { size: bytes.byteLength, checksum } },
      exports: { ".": "./mod.js" },
    },
  };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    if (isSilent) await isOver;
    if (pathname === "/@db/sqlite/0.13.0/mod.js") {
      return new Response(bytes, { headers: { "content-type": "text/javascript" } });
    }
    const found = files[pathname];
    return found === undefined ? new Response(null, { status: 404 }) : Response.json(found);
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  return {
    url,
    asked,
    async [Symbol.asyncDispose]() {
      resolve();
      await server.shutdown();
    },
  };
}

/** Runs the script in processes that start together, with a registry of their own and no cache. */
async function withRegistry(
  bed: TestBed,
  options: Record<string, unknown>,
  { isSilent = false, processes = 1, library = "" } = {},
): Promise<{ results: ScriptResult[]; asked: string[]; seconds: number }> {
  await using server = await registry(isSilent);
  const folder = await Deno.makeTempDir({ dir: bed.root });
  const start = performance.now();
  const results = await Promise.all(
    Array.from(
      { length: processes },
      (_, i) =>
        runScript(script(join(folder, String(i)), options), ["-A", "--no-lock"], {
          JSR_URL: server.url,
          DENO_DIR: join(folder, `cache ${i}`),
          HASHSTASH_DIR: folder,
          DENO_SQLITE_PATH: library,
        }),
    ),
  );
  return { results, asked: server.asked, seconds: (performance.now() - start) / 1_000 };
}

test("asks no registry and loads no native library by itself", async (bed) => {
  for (const library of ["", "/some/libsqlite3.so"]) {
    const { asked, results: [{ stdout, stderr }] } = await withRegistry(bed, {}, { library });
    assertEquals([stdout, stderr, asked], ["value\n", "", []]);
  }
});

test("loads @db/sqlite when it is asked for, with the library that is named", async (bed) => {
  const { asked, results: [{ stdout, stderr }] } = await withRegistry(bed, FFI, {
    library: "/some",
  });
  assertEquals([stdout, stderr], ["value\n", ""]);
  assertEquals(asked.at(-1), "/@db/sqlite/0.13.0/mod.js");
});

test("downloads its library once for processes that start together, and not to their output", async (bed) => {
  const { results } = await withRegistry(bed, FFI, { processes: 6 });
  assertEquals(results.map(({ stdout }) => stdout), new Array(6).fill("value\n"));
  const told = results.map(({ stderr }) => stderr).filter((text) => text !== "");
  assertEquals(told, ["Downloading something\n"]);
});

test("waits for no silent server, nor does its program at the end", async (bed) => {
  const { results, seconds } = await withRegistry(bed, FFI, { isSilent: true, library: "/some" });
  assertMatch(results[0].stdout, /^EngineError .* cannot be loaded \(it took longer than 5 s\)/);
  assertLess(seconds, 25);
});

test("says what to do when @db/sqlite is asked for and cannot be loaded", async (bed) => {
  const { stdout } = await runScript(script(bed.root, { driver: "@db/sqlite" }), [
    `--allow-read=.,${bed.root}`,
    `--allow-write=${bed.root}`,
    "--deny-ffi",
  ]);
  assertMatch(stdout, /^EngineError Cannot open engine "sqlite": driver "@db\/sqlite" cannot be/);
  assertStringIncludes(stdout, "DENO_SQLITE_PATH");
});

test("has empty stores in a file that may not be written", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("value"));
  await engine.close();
  const script = `
    const engine = await open("other");
    console.log(await engine.size(), await engine.has("key"), (await engine.check({ fix: false })).problems.length);
    console.log(await Promise.try(() => engine.set("key", value)).catch(({ name }) => name));`;
  assertEquals(await withoutWriting(FILES, bed, script), "0 false 0\nEngineError\n");
});

test("sees what is put in the place of a file that may not be written", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("before"));
  await engine.close();
  const marker = join(bed.root, "marker");
  await Deno.writeTextFile(marker, "");
  await Deno.chmod(marker, 0o666);
  const script = `
    const engine = await open("main");
    console.log(await textAt(engine, "key"));
    Deno.writeTextFileSync(${JSON.stringify(marker)}, "it has read");
    const end = performance.now() + 60_000;
    while (await textAt(engine, "key") === "before" && performance.now() < end) {
      await new Promise((go) => setTimeout(go, 10));
    }
    console.log(await textAt(engine, "key"));`;
  let isOver = false;
  const running = withoutWriting(FILES, bed, script).finally(() => isOver = true);
  running.catch(() => undefined); // Awaited below.
  while (!isOver && Deno.statSync(marker).size === 0) await delay(5);
  // The superuser, or whoever may write.
  await Deno.chmod(bed.root, 0o755);
  await Deno.chmod(fileOf(bed), 0o644);
  const writer = await openIn(bed);
  await writer.set("key", entryOf("after"));
  await writer.close();
  assertEquals(await running, "before\nafter\n");
});
