/**
 * What holds for the files of both engines on SQLite, whatever damage, other programs, full disks
 * and missing permissions do to them.
 */
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DecodeError } from "../../codec/errors.ts";
import { bedTests, type Options, type Store, type TestBed } from "./bed.ts";
import { runScript } from "./child.ts";
import { entryOf, keysOf, textAt } from "./entries.ts";
import { runOnSmallDisk } from "./small_disk.ts";

/** An engine's files. */
export interface SqliteFiles {
  readonly engine: "sqlite" | "diskcache";
  /** `engineOptions` besides the path. */
  readonly options: Options;
  /** `engineOptions` of which a store that may not be written must take no notice. */
  readonly changes: Options;
  /** The option `path` of a bed's store. */
  path(bed: TestBed): string;
  /** The database at such a path. */
  database(path: string): string;
  /** The table of the dbname "main". */
  readonly table: string;
  /** Its index of deadlines. */
  readonly index: string;
  /** Its columns. */
  readonly columns: readonly string[];
  /** Those of which `check` does not judge all that may be in them. */
  readonly unjudged: readonly string[];
}

/** Contents of a column, as other programs and their errors leave them. */
const ODD = [
  ...["NULL", "-1", "5", "'x'", "9223372036854775807", "-9223372036854775808", "9e999", "x''"],
  ...["CAST(x'61ff62' AS TEXT)", "'a' || char(0) || 'b'", "'../x'", "char(1) || 'x'"],
];

/** Registers the tests that both engines have. */
export function sqliteFileTests(files: SqliteFiles): void {
  const { engine: name, table } = files;
  const test = bedTests(name, name);
  const openIn = (bed: TestBed, path = files.path(bed)): Promise<Store> =>
    bed.open({ path, ...files.options });

  test("checks a file whatever page of it is overwritten, and names the damage", async (bed) => {
    const writer = await openIn(bed);
    await writer.setMany(
      Array.from({ length: 200 }, (_, i) => [
        `key ${i}`,
        entryOf("v".repeat(i * 7), i % 2 === 0 ? undefined : Date.now() + 1e9),
      ]),
    );
    await writer.close();
    const path = files.database(files.path(bed));
    const whole = await Deno.readFile(path);
    const page = (number: number) => whole.subarray(number * 4_096, (number + 1) * 4_096);
    const pages = whole.byteLength / 4_096;
    let named = 0;
    let checks = 0;
    // Of the first page the file itself can't do without.
    for (let number = 1; number < pages; number++) {
      for (const content of [new Uint8Array(4_096).fill(0xFF), page(number % (pages - 1) + 1)]) {
        const damaged = whole.slice();
        damaged.set(content, number * 4_096);
        await Deno.writeFile(path, damaged);
        const engine = await openIn(bed);
        for (const fix of [false, true]) {
          checks++;
          if ((await engine.check({ fix })).problems.length > 0) named++;
        }
        await engine.close();
      }
    }
    // Nobody watches over the bytes of values and over pages that are free.
    assertGreater(named, checks * 0.7);
  });

  test("is cleared whatever page of it is overwritten", async (bed) => {
    const path = files.path(bed);
    const database = files.database(path);
    const entries = (engine: Store) =>
      engine.setMany(
        Array.from({ length: 60 }, (_, i) => [
          `key ${i}`,
          entryOf("v".repeat(i * 20), i % 2 === 0 ? undefined : Date.now() + 1e9),
        ]),
      );
    const large = entryOf("w".repeat(30_000));
    const writer = await openIn(bed);
    await entries(writer);
    await writer.set("large", large);
    await writer.close();
    const whole = await Deno.readFile(database);
    const page = (number: number) => whole.subarray(number * 4_096, (number + 1) * 4_096);
    const pages = whole.byteLength / 4_096;
    for (let number = 1; number < pages; number++) {
      for (const content of [new Uint8Array(4_096).fill(0xFF), page(number % (pages - 1) + 1)]) {
        const damaged = whole.slice();
        damaged.set(content, number * 4_096);
        await Deno.writeFile(database, damaged);
        const engine = await openIn(bed);
        const other = await openIn(bed);
        await engine.clear();
        assertEquals([await engine.size(), await keysOf(engine)], [0, []], `page ${number}`);
        await engine.set("new", entryOf("value"));
        assertEquals(await textAt(other, "new"), "value");
        assertEquals((await other.check({ fix: false })).problems, [], `page ${number}`);
        await entries(other);
        await engine.set("large", large);
        assertEquals(await engine.size(), 62);
        await engine.close();
        await other.close();
      }
    }
  });

  test("is not blocked by one row, whatever is in it", async (bed) => {
    for (const [i, column] of files.columns.entries()) {
      for (const [j, odd] of ODD.entries()) {
        const what = `${column} = ${odd}`;
        const path = join(bed.root, `${i}_${j}`);
        const engine = await openIn(bed, path);
        const keys = ["bad", "good", "other"];
        for (const key of keys) await engine.set(key, entryOf("{}", Date.now() + 1e6));
        const database = new DatabaseSync(files.database(path), {
          enableDoubleQuotedStringLiterals: true,
        });
        try {
          database.exec("PRAGMA ignore_check_constraints = ON");
          database.exec(`UPDATE ${table} SET ${column} = ${odd} WHERE key = 'bad'`);
        } catch {
          continue; // NULL, where there can be none.
        } finally {
          database.close();
        }
        const listed = await keysOf(engine);
        assert(listed.includes("good") && listed.includes("other"), what);
        const problems = (await engine.check({ fix: false })).problems.length;
        for (const key of listed) {
          try {
            assert(await engine.get(key) !== undefined, `${what}: ${JSON.stringify(key)}`);
          } catch (error) {
            assert(error instanceof DecodeError, `${what}: ${error}`);
            assert(problems > 0 || files.unjudged.includes(column), what);
          }
        }
        for (const { fixed, kind } of (await engine.check({ fix: true })).problems) {
          assert(fixed || kind === "foreign", what);
        }
        const left = (await engine.check({ fix: false })).problems;
        assertEquals(left.filter(({ kind }) => kind !== "foreign"), [], what);
        assertEquals(await textAt(engine, "good"), "{}", what);
        await engine.clear();
        assertEquals(await engine.size(), 0, what);
        await engine.close();
      }
    }
  });

  test("lists what it can of keys that are not UTF-8", async (bed) => {
    const engine = await openIn(bed);
    await engine.setMany(Array.from({ length: 1_500 }, (_, i) => [`k${i}`, entryOf("{}")]));
    const database = new DatabaseSync(files.database(files.path(bed)));
    database.exec(
      `UPDATE ${table} SET key = CAST(x'6bff' || CAST(key AS BLOB) AS TEXT) WHERE rowid % 3 = 0`,
    );
    database.close();
    await engine.set("k\uFFFD", entryOf("{}"));
    const keys = await keysOf(engine);
    assertEquals(new Set(keys).size, 1_001);
    const { problems } = await engine.check({ fix: true });
    assertEquals(problems.length, 500);
    assertEquals([await engine.size(), await keysOf(engine)], [1_001, keys]);
  });

  for (const size of [100, 2_000, 50_000]) {
    test(`removes on a full disk, after values of ${size} bytes`, async (bed) => {
      const printed = await runOnSmallDisk(bed.root, 5_000_000, fillDisk(name, size));
      if (printed === undefined) return;
      const [message, ...rest] = printed.split("\n");
      const expected =
        `^EngineError: Cannot set entry in engine "${name}": the disk of .* is full;`;
      assertMatch(message, new RegExp(expected));
      assertEquals(rest, ["true true", "true 4", "true 0", "6", "true", "1 0", ""]);
    });
  }

  test("mends an index on a full disk", async (bed) => {
    const script = mendOnFullDisk(files);
    const printed = await runOnSmallDisk(bed.root, 5_000_000, script);
    if (printed !== undefined) assertEquals(printed, "true true\ntrue 0\n");
  });

  for (const isClosed of [true, false]) {
    test(`reads and checks a store that may not be written, ${isClosed ? "" : "not "}closed by its writer`, async (bed) => {
      const engine = await openIn(bed);
      await engine.set("small", entryOf("a value"));
      await engine.set("large", entryOf("v".repeat(50_000)));
      if (isClosed) await engine.close();
      const lines = (await withoutWriting(files, bed, readAll(files.changes))).trim().split("\n");
      assertEquals(lines.slice(0, 3), [
        "a value vvvvvvvvvv 2",
        '[ "large", "small" ] true 0',
        "2 false",
      ]);
      assertEquals(lines.length, 9);
      const refusal = `^Cannot .* engine "${name}": .* cannot be written; check its permissions$`;
      for (const line of lines.slice(3)) assertMatch(line, new RegExp(refusal));
      assertEquals(await textAt(isClosed ? await openIn(bed) : engine, "small"), "a value");
    });
  }
}

/** Fills a disk of 5 MB with values of this size, and then removes some, and all. */
const fillDisk = (engine: string, size: number) => `
  import { complete } from "./engines/complete.ts";
  import { loadEngine } from "./engines/registry.ts";
  const createEngine = await loadEngine("${engine}");
  const location = { rootDir: Deno.args[0], name: "test", dbname: "main" };
  const open = async () => {
    const engine = complete(createEngine(location, {}));
    await engine.open();
    return engine;
  };
  let engine = await open();
  const fill = async (size) => {
    const value = crypto.getRandomValues(new Uint8Array(size));
    for (let count = 0;; count++) {
      try {
        await engine.set(size + " " + count, { value, timestamp: Date.now() });
      } catch (error) {
        return [count, error.name + ": " + error.message];
      }
    }
  };
  const [count, message] = await fill(${size});
  const [more] = await fill(10);
  console.log(message);
  const before = await engine.size();
  console.log(before === count + more, count > 1_000_000 / ${size});
  const keys = await Array.fromAsync(engine.keys());
  console.log(await engine.delete(keys[0]), await engine.deleteMany(keys.slice(1, 5)));
  const entry = await engine.get(keys[5]);
  console.log(await engine.compareAndSet(keys[5], entry, undefined), await engine.prune());
  console.log(before - await engine.size());
  await engine.close();
  engine = await open();
  console.log((await engine.get(keys[6])).value.byteLength > 0);
  await fill(${size});
  await engine.clear();
  await engine.set("key", { value: new Uint8Array(${size}), timestamp: Date.now() });
  console.log(await engine.size(), (await engine.check({ fix: false })).problems.length);
  await engine.close();`;

/** Checks a store with a row that an index does not know, where no byte is free on the disk. */
const mendOnFullDisk = ({ engine, index }: SqliteFiles) => `
  import { DatabaseSync } from "node:sqlite";
  import { complete } from "./engines/complete.ts";
  import { loadEngine } from "./engines/registry.ts";
  const createEngine = await loadEngine("${engine}");
  const engine = complete(createEngine({ rootDir: Deno.args[0], name: "test", dbname: "main" }, {}));
  await engine.open();
  const entry = (size) => ({
    value: crypto.getRandomValues(new Uint8Array(size)),
    timestamp: Date.now(),
    expiresAt: Date.now() + 1e9,
  });
  const file = engine.path.endsWith(".db") ? engine.path : engine.path + "/cache.db";
  const other = new DatabaseSync(file, { defensive: false });
  other.exec(\`PRAGMA writable_schema = ON;
    CREATE TEMP TABLE saved AS SELECT * FROM sqlite_schema WHERE name = '${index}';
    DELETE FROM sqlite_schema WHERE name = '${index}';
    PRAGMA schema_version = 1001;
    PRAGMA writable_schema = RESET;\`);
  await engine.set("unknown to the index", entry(10));
  other.exec(\`PRAGMA writable_schema = ON;
    INSERT INTO sqlite_schema SELECT * FROM saved;
    PRAGMA schema_version = 1002;
    PRAGMA writable_schema = RESET;\`);
  other.close();
  for (const size of [2_000, 10]) {
    try {
      for (let i = 0;; i++) await engine.set(size + " " + i, entry(size));
    } catch {
      continue;
    }
  }
  const rest = await Deno.open(Deno.args[0] + "/rest", { createNew: true, write: true });
  try {
    for (;;) await rest.write(new Uint8Array(1));
  } catch {
    rest.close();
  }
  const mended = await engine.check({ fix: true });
  console.log(mended.problems.length > 0, mended.problems.every(({ fixed }) => fixed));
  const { problems } = await engine.check({ fix: false });
  console.log(await engine.has("unknown to the index"), problems.length);
  await engine.close();`;

/** Reads all there is in a store, and tries each way of writing. */
const readAll = (options: Options) => `
  const engine = await open("main", ${JSON.stringify(options)});
  const { checked, problems } = await engine.check({ fix: true });
  console.log(await textAt(engine, "small"), await textAt(engine, "large"), await engine.size());
  console.log(await Array.fromAsync(engine.keys()), checked > 0, problems.length);
  console.log((await engine.getMany(["small", "no"])).length, await engine.has("no"));
  for (const write of [
    () => engine.set("small", value),
    () => engine.delete("small"),
    () => engine.setMany([["small", value]]),
    () => engine.clear(),
    async () => engine.compareAndSet("small", await engine.get("small"), value),
    () => engine.compareAndSet("new", undefined, value),
  ]) console.log(await Promise.try(write).then(String, (error) => error.message));
  await engine.close();`;

/**
 * Makes a bed's store and the folders around it read-only, and runs a script that is not the
 * superuser's: in it are `open(dbname, options?)`, `textAt(engine, key)` and an entry, `value`.
 *
 * @returns What it printed.
 */
export async function withoutWriting(
  files: SqliteFiles,
  bed: TestBed,
  script: string,
): Promise<string> {
  const { engine: name } = files;
  const path = files.path(bed);
  const database = files.database(path);
  const there = ["", "-wal", "-shm"].map((ending) => database + ending)
    .filter((path) => existsSync(path));
  for (const path of there) await Deno.chmod(path, 0o444);
  await Deno.chmod(dirname(database), 0o555);
  await Deno.chmod(bed.root, 0o555);
  try {
    const { stdout, stderr } = await runScript(
      `import process from "node:process";
       import { complete } from "./engines/complete.ts";
       import { ${name} } from "./engines/${name}/mod.ts";
       if (process.geteuid() === 0) process.seteuid(65534);
       const open = async (dbname, options = {}) => {
         const location = { name: "test", dbname };
         const engine = complete(
           ${name}(location, { path: ${JSON.stringify(path)}, ...options }),
         );
         await engine.open();
         return engine;
       };
       const textAt = async (engine, key) => {
         const entry = await engine.get(key);
         return entry && new TextDecoder().decode(entry.value).slice(0, 10);
       };
       const value = { value: new Uint8Array(2), timestamp: Date.now() };
       ${script}`,
      ["-A"],
    );
    // Where the package of the native driver was not fetched before, Deno says that it looks for it.
    assertEquals(stderr.replaceAll(/^Download .*\n/gm, ""), "");
    return stdout;
  } finally {
    await Deno.chmod(bed.root, 0o755);
    await Deno.chmod(dirname(database), 0o755);
    for (const path of there) await Deno.chmod(path, 0o644);
  }
}
