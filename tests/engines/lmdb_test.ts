/**
 * What is particular to engine "lmdb": its files, what can be wrong with them, its index of
 * deadlines.
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { walkSync } from "@std/fs";
import { open } from "lmdb";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { DecodeError } from "../../codec/errors.ts";
import { EngineError } from "../../engines/errors.ts";
import { type LmdbStats, openEnvironment } from "../../engines/lmdb/environment.ts";
import { lmdb as createEngine } from "../../engines/lmdb/mod.ts";
import { Room } from "../../engines/lmdb/room.ts";
import { bedTests, complete, type TestBed } from "../support/bed.ts";
import { entryOf, textAt } from "../support/entries.ts";
import { type Output, outputOf, ROOT } from "../../dev/run.ts";
import { runScript } from "../support/child.ts";
import { whileReadOnly } from "../support/read_only.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

contractTests("lmdb");
behaviours("lmdb");
processTests("lmdb");
killTests("lmdb");
stashProcessesTest("lmdb");

const decoder = new TextDecoder();
const LOCATION = { name: "test", dbname: "main" };

function folderOf({ root }: TestBed): string {
  return join(root, "test", "lmdb");
}

function fileOf(bed: TestBed): string {
  return join(folderOf(bed), "data.mdb");
}

/** Another program's look at an environment: a database with keys of bytes. */
function bare(path: string, name: string) {
  const root = open({ path, encoding: "binary", keyEncoding: "binary" });
  const useVersions = name.startsWith("entries:");
  const database = root.openDB<Uint8Array, Uint8Array>({
    name,
    encoding: "binary",
    keyEncoding: "binary",
    useVersions,
  });
  return {
    database,
    async [Symbol.asyncDispose]() {
      await root.close();
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

/** Changes a bit where the text stands in the file. */
async function damage(file: string, text: string): Promise<void> {
  const bytes = await Deno.readFile(file);
  const wanted = new TextEncoder().encode(text);
  let count = 0;
  // Older copies of a page are still in the file: all of them, so that the one in use is among
  // them.
  for (let i = bytes.indexOf(wanted[0]); i >= 0; i = bytes.indexOf(wanted[0], i + 1)) {
    if (!wanted.every((byte, j) => bytes[i + j] === byte)) continue;
    bytes[i + 3] ^= 1;
    count++;
  }
  assertGreater(count, 0, `${text} is not in the file`);
  await Deno.writeFile(file, bytes);
}

/** How to run a program that gets no input; its imports are relative to the repository's folder. */
async function programOf({ root }: TestBed, script: string): Promise<string[]> {
  const path = join(root, `${crypto.randomUUID()}.ts`);
  const engines = new URL("../../engines", import.meta.url).href;
  await Deno.writeTextFile(path, script.replaceAll("./engines", engines));
  const config = join(ROOT, "deno.json");
  return [Deno.execPath(), "run", "-A", "--no-check", "--config", config, path, root];
}

/** Runs it. */
async function runProgram([command, ...args]: string[]): Promise<Output> {
  return await outputOf(args, {}, command);
}

/** Mounts a folder so that nobody can write to it while `fn` runs. */
async function whileMountedReadOnly(folder: string, fn: () => Promise<void>): Promise<void> {
  if (Deno.uid() !== 0) {
    const paths = [folder, ...Array.from(walkSync(folder), ({ path }) => path)];
    const modes = paths.map((path) => Deno.statSync(path).mode! & 0o777);
    for (const [i, path] of paths.entries()) Deno.chmodSync(path, modes[i] & 0o555);
    try {
      return await fn();
    } finally {
      for (const [i, path] of paths.entries()) Deno.chmodSync(path, modes[i]);
    }
  }
  const mount = async (command: string, ...args: string[]) => {
    const { success, stderr } = await new Deno.Command(command, { args }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  await mount("mount", "--bind", folder, folder);
  try {
    await mount("mount", "-o", "remount,bind,ro", folder);
    await fn();
  } finally {
    await mount("umount", "--lazy", folder);
  }
}

/** The beginning of a program with an engine of a test's bed. */
const OPEN_ENGINE = `
  import { complete } from "./engines/complete.ts";
  import { lmdb as createEngine } from "./engines/lmdb/mod.ts";
  const location = { rootDir: Deno.args[0], name: "test", dbname: "main" };
  const engine = complete(createEngine(location, {}));
`;

const test = bedTests("lmdb", "lmdb");

test("stores nothing behind a guard whose removal is not committed yet", async (bed) => {
  const [store, side] = [await bed.open(), await bed.open({}, { dbname: "main/side" })];
  for (let round = 0; round < 20; round++) {
    await side.set("guard", entryOf(`${round}`));
    const expected = await side.get("guard");
    if (expected === undefined) throw new Error("The entry of the guard is absent");
    const guard = { engine: side, key: "guard", expected };
    // Until the commit the entry can still be read.
    const removed = side.compareAndSet("guard", expected, undefined);
    const made = store.compareAndSet("key", undefined, entryOf("value"), guard);
    assertEquals(await Promise.all([removed, made]), [true, false]);
    await store.set("old", entryOf("value"));
    const old = await store.get("old");
    await side.set("guard", entryOf(`${round} again`));
    const again = await side.get("guard");
    if (again === undefined) throw new Error("The entry of the guard is absent");
    const set = side.set("guard", entryOf("other"));
    const replaced = store.compareAndSet("old", old, undefined, { ...guard, expected: again });
    assertEquals([await replaced, await textAt(store, "old")], [false, "value"]);
    await set;
  }
  assertEquals(await store.size(), 1);
});

test("keeps an entry as its module says, for other programs to read", async (bed) => {
  const engine = await bed.open();
  const text = '{"name":"John"}';
  await engine.set("my_key", { value: new TextEncoder().encode(text), timestamp: 1_000 });
  await bed.close();
  await using other = bare(folderOf(bed), "entries:main");
  const record = other.database.getBinary(new TextEncoder().encode("my_key"));
  assert(record !== undefined);
  assertEquals(new TextDecoder().decode(record.subarray(28)), text);
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  assertEquals(view.getUint32(0, true), 1);
  assertEquals(view.getFloat64(8, true), 1_000);
  assertEquals(view.getFloat64(16, true), Infinity);
});

test("opens an environment by its folder, its file, or as a file by itself", async (bed) => {
  await (await bed.open()).set("key", entryOf("value"));
  // At once, by other names: they must be one environment.
  const folder = await bed.open({ path: folderOf(bed) });
  const file = await bed.open({ path: fileOf(bed) });
  assertEquals(await textAt(folder, "key"), "value");
  await file.set("key", entryOf("changed"));
  assertEquals(await textAt(folder, "key"), "changed");
  assertEquals(file.path, fileOf(bed));
  await bed.close();

  const single = join(bed.root, "deep", "single.mdb");
  await (await bed.open({ path: single })).set("key", entryOf("single"));
  await bed.close();
  assert((await Deno.stat(single)).isFile);
  assertEquals(await textAt(await bed.open({ path: single }), "key"), "single");
  const names = Array.from(Deno.readDirSync(dirname(single)), ({ name }) => name);
  assertEquals(names.sort(), ["single.mdb", "single.mdb-lock", "single.mdb.lock"]);
});

test("closes the file with the last handle", async (bed) => {
  const first = await bed.open();
  const second = await bed.open({}, { dbname: "other" });
  await first.close();
  await second.set("key", entryOf("value"));
  await second.close();
  if (Deno.build.os !== "linux") return;
  const maps = await Deno.readTextFile("/proc/self/maps");
  assertEquals(maps.split("\n").filter((line) => line.includes(bed.root)), []);
});

test("lets writes of one turn share a commit", async (bed) => {
  const engine = await bed.open();
  await engine.set("key", entryOf("value"));
  const transaction = () => {
    const file = Deno.readFileSync(fileOf(bed));
    const view = new DataView(file.buffer);
    const pageSize = view.getUint32(48, true);
    return Number([0, pageSize].map((page) => view.getBigUint64(page + 152, true)).sort().at(-1));
  };
  const before = transaction();
  const writes = Array.from({ length: 100 }, (_, i) => engine.set(`key ${i}`, entryOf("value")));
  await Promise.all([...writes, engine.delete("key")]);
  assertLess(transaction() - before, 10);
  assertEquals(await engine.size(), 100);
});

test("grows its map, also when another process has written more than it", async (bed) => {
  const engine = await bed.open({ mapSize: 64 * 1024 });
  await engine.set("first", entryOf("value"));
  const { success, stderr } = await runScript(
    `
      import { lmdb as createEngine } from "./engines/lmdb/mod.ts";
      const location = { rootDir: ${JSON.stringify(bed.root)}, name: "test", dbname: "main" };
      const engine = createEngine(location, { mapSize: 64 * 1024 });
      await engine.open();
      for (let i = 0; i < 100; i++) {
        await engine.set("child " + i, { value: new Uint8Array(50_000).fill(i), timestamp: 1 });
      }
      await engine.close();
    `,
    ["-A"],
  );
  assert(success, stderr);
  assertEquals((await engine.get("child 99"))?.value, new Uint8Array(50_000).fill(99));
  for (let i = 0; i < 100; i++) {
    await engine.set(`own ${i}`, entryOf(new Uint8Array(50_000).fill(i)));
  }
  for (let i = 0; i < 100; i++) {
    assertEquals((await engine.get(`own ${i}`))?.value, new Uint8Array(50_000).fill(i));
  }
  assertEquals(await engine.size(), 201);
  assertEquals((await engine.check({ fix: false })).problems, []);
});

test("sees what another process wrote, without a turn of the event loop", async (bed) => {
  const engine = await bed.open();
  await engine.set("go", entryOf("value"));
  const script = `
    import { lmdb as createEngine } from "./engines/lmdb/mod.ts";
    const engine = createEngine({ rootDir: ${
    JSON.stringify(bed.root)
  }, name: "test", dbname: "main" }, {});
    await engine.open();
    await engine.set("ready", { value: new Uint8Array(1), timestamp: 1 });
    // Reads without a pause: nothing but the engine itself lets a change be seen.
    const end = Date.now() + 20_000;
    while (await engine.has("go") && Date.now() < end);
    console.log(await engine.has("go"));
    await engine.close();
  `;
  const child = runScript(script, ["-A"]);
  while (!await engine.has("ready")) await new Promise((resolve) => setTimeout(resolve, 5));
  await engine.delete("go");
  const { stdout, stderr } = await child;
  assertEquals(stdout, "false\n", stderr);
});

test("sees at once what another process wrote, in the same millisecond too", async (bed) => {
  const engine = await bed.open();
  await engine.setMany([["key", entryOf("old")], ["gone", entryOf("value")]]);
  const flag = join(bed.root, "written");
  const program = await programOf(
    bed,
    `
      ${OPEN_ENGINE}
      await engine.open();
      const entry = { value: new TextEncoder().encode("new"), timestamp: 1 };
      await engine.set("key", entry);
      await engine.set("more", entry);
      await engine.delete("gone");
      await Deno.writeTextFile(Deno.args[1], "");
      await engine.close();
    `,
  );
  const child = runProgram([...program, flag]);
  const { now } = Date;
  const time = now();
  // Time stands still, and nothing lets the event loop turn.
  Date.now = () => time;
  let found: unknown[];
  try {
    assertEquals(await textAt(engine, "key"), "old");
    assertEquals(await engine.size(), 2);
    const end = performance.now() + 20_000;
    while (!existsSync(flag) && performance.now() < end);
    found = [await textAt(engine, "key"), await engine.has("gone"), await engine.size()];
    found.push(await Array.fromAsync(engine.keys()));
  } finally {
    Date.now = now;
  }
  const { stderr } = await child;
  assertEquals(found, ["new", false, 2, ["key", "more"]], stderr);
});

test("loses nothing while other processes open and close the environment", async (bed) => {
  const program = await programOf(
    bed,
    `
    ${OPEN_ENGINE}
    const [, role, index] = Deno.args;
    const end = Date.now() + 3_000;
    let times = 0;
    let lost = 0;
    if (role === "open") {
      for (; Date.now() < end; times++) {
        await engine.open();
        await engine.close();
      }
    } else {
      await engine.open();
      const text = () => new TextDecoder().decode(engine.get(index)?.value);
      for (; Date.now() < end; times++) {
        // Nobody else sets this key.
        if (times > 0 && text() !== String(times - 1)) lost++;
        await engine.set(index, { value: new TextEncoder().encode(String(times)), timestamp: 1 });
      }
      await engine.close();
    }
    console.log(JSON.stringify({ times, lost }));
  `,
  );
  const orders = [["write", "0"], ["write", "1"], ["open", "2"], ["open", "3"]];
  // Nobody else has it open, too: then the last to close it takes down what the next one needs.
  const alone = ["0", "1", "2", "3"].map((index) => ["open", index]);
  for (const group of [orders, alone]) {
    const results = await Promise.all(group.map((order) => runProgram([...program, ...order])));
    for (const { stdout, stderr } of results) {
      assert(stdout !== "", stderr);
      const { times, lost } = JSON.parse(stdout);
      assertGreater(times, 20);
      assertEquals(lost, 0);
    }
  }
  assertEquals((await (await bed.open()).check({ fix: false })).problems, []);
});

test("serves threads of one process", async (bed) => {
  const engine = await bed.open();
  const source = `
    import { lmdb as createEngine } from "${new URL("../../engines/lmdb/mod.ts", import.meta.url)}";
    self.onmessage = async ({ data: { rootDir, id } }) => {
      const engine = createEngine({ rootDir, name: "test", dbname: "main" }, {});
      await engine.open();
      for (let i = 0; i < 40; i++) {
        await engine.set(id + " " + i, { value: new Uint8Array(5_000).fill(i), timestamp: 1 });
      }
      await engine.close();
      self.postMessage("done");
    };
  `;
  const script = join(bed.root, "worker.js");
  await Deno.writeTextFile(script, source);
  const workers = [1, 2].map((id) => {
    const worker = new Worker(new URL(`file://${script}`), { type: "module" });
    const done = new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
    });
    worker.postMessage({ rootDir: bed.root, id });
    return { worker, done };
  });
  for (let i = 0; i < 40; i++) await engine.set(`own ${i}`, entryOf("value"));
  for (const { worker, done } of workers) {
    await done;
    worker.terminate();
  }
  assertEquals(await engine.size(), 120);
  assertEquals((await engine.check({ fix: false })).problems, []);
});

test("says no to a folder or file that is something else", async (bed) => {
  const cases: [string, Uint8Array, RegExp][] = [
    [
      "text.mdb",
      new TextEncoder().encode("some text, longer than a head. ".repeat(500)),
      /no LMDB/,
    ],
    ["short.mdb", new TextEncoder().encode("short"), /no LMDB/],
    ["format1.mdb", format(16, 1), /data format 1/],
    ["format3.mdb", format(24, 3), /data format 3/],
    ["zeros.mdb", new Uint8Array(8192), /no LMDB/],
  ];
  for (const [name, bytes, reason] of cases) {
    const path = join(bed.root, name);
    await Deno.writeFile(path, bytes);
    const error = await assertRejects(() => bed.open({ path }), EngineError);
    assertEquals([error.engine, error.operation], ["lmdb", "open"]);
    assertMatch(error.message, /^Cannot open engine "lmdb": .*[^.]$/);
    assertMatch(error.message, reason);
    assertEquals(await Deno.readFile(path), bytes, "the file is as it was");
    assert(!existsSync(`${path}.lock`) && !existsSync(`${path}-lock`), "nothing is beside it");
  }
  const below = join(bed.root, "text.mdb", "lmdb");
  await assertRejects(() => bed.open({ path: below }), EngineError);
});

function format(offset: number, version: number): Uint8Array {
  const bytes = new Uint8Array(8192);
  const view = new DataView(bytes.buffer);
  view.setUint32(offset, 0xBEEFC0DE, true);
  view.setUint32(offset + 4, version, true);
  return bytes;
}

test("says so when the folder is read-only", async (bed) => {
  if (Deno.build.os !== "linux") return;
  const error = await whileReadOnly(
    bed.root,
    () => assertRejects(() => bed.open(), EngineError),
  );
  assertMatch(error.message, /^Cannot open engine "lmdb": .*lmdb.*[^.]$/);
  await Deno.mkdir(folderOf(bed), { recursive: true });
  await whileReadOnly(folderOf(bed), () => assertRejects(() => bed.open(), EngineError));
  await (await bed.open()).set("key", entryOf("value"));
});

test("leaves another program's environment alone", async (bed) => {
  const path = join(bed.root, "foreign");
  {
    const foreign = open({ path });
    await foreign.put("key", { of: "another program" });
    await foreign.close();
  }
  const before = await Deno.readFile(join(path, "data.mdb"));
  const error = await assertRejects(() => bed.open({ path }), EngineError);
  assertStringIncludes(error.message, "another program's data");
  assertEquals(await Deno.readFile(join(path, "data.mdb")), before);
  if (Deno.build.os !== "linux") return;
  await whileMountedReadOnly(path, async () => {
    // What is only read stays open, and is no more ours at the second try.
    for (let tries = 0; tries < 2; tries++) {
      await assertRejects(() => bed.open({ path }), EngineError, "another program's data");
    }
  });
});

test("says no to a truncated file, wherever it ends", async (bed) => {
  const engine = await bed.open();
  await engine.setMany(
    Array.from({ length: 200 }, (_, i) => [`key ${i}`, entryOf("x".repeat(i * 40))]),
  );
  await bed.close();
  const file = await Deno.readFile(fileOf(bed));
  // Without the room behind it.
  const whole = file.subarray(0, file.findLastIndex((byte) => byte !== 0) + 1);
  for (let part = 1; part < 20; part++) {
    const path = join(bed.root, `truncated${part}.mdb`);
    await Deno.writeFile(path, whole.subarray(0, Math.floor(whole.length * part / 20)));
    await assertRejects(() => bed.open({ path }), EngineError);
    await Deno.remove(path);
  }
  const path = join(bed.root, "empty.mdb");
  await Deno.writeFile(path, new Uint8Array(0));
  assertEquals(await (await bed.open({ path })).size(), 0);
});

test("never lets a damaged page end the process", async (bed) => {
  const engine = await bed.open();
  await engine.setMany(
    Array.from({ length: 120 }, (_, i) => [`key ${i}`, entryOf("x".repeat(i * 70))]),
  );
  await bed.close();
  const whole = await Deno.readFile(fileOf(bed));
  let refused = 0;
  for (let page = 0; page * 4096 < whole.length; page++) {
    for (const bytes of [new Uint8Array(4096), new Uint8Array(4096).fill(0xA5)]) {
      const path = join(bed.root, "damaged.mdb");
      const copy = whole.slice();
      copy.set(bytes, page * 4096);
      await Deno.writeFile(path, copy);
      try {
        const damaged = await bed.open({ path });
        await damaged.check({ fix: true });
        for await (const key of damaged.keys()) await damaged.get(key);
        await bed.close();
      } catch (error) {
        assert(error instanceof EngineError || error instanceof DecodeError, String(error));
        await bed.close();
        refused++;
      }
      await Deno.remove(path);
    }
  }
  assertGreater(refused, 10);
});

test("finds a damaged entry, reads the others, and drops it when asked", async (bed) => {
  const writer = await bed.open();
  for (let i = 0; i < 20; i++) {
    await writer.set(`key ${i}`, entryOf(`value of entry ${i}, in full`));
  }
  await bed.close();
  await damage(fileOf(bed), "value of entry 7,");
  const engine = await bed.open();
  const error = await assertRejects(async () => await engine.get("key 7"), DecodeError);
  assertEquals([error.engine, error.key], ["lmdb", "key 7"]);
  assertEquals(await textAt(engine, "key 8"), "value of entry 8, in full");
  assertEquals(await engine.compareAndSet("key 7", undefined, entryOf("no")), false);

  const found = await engine.check({ fix: false });
  assertEquals(found.checked, 20);
  assertEquals(found.problems.map(({ kind, key, fixed }) => [kind, key, fixed]), [
    ["damaged", "key 7", false],
  ]);
  const fixed = await engine.check({ fix: true });
  assertEquals(fixed.problems.map(({ fixed }) => fixed), [true]);
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(await engine.get("key 7"), undefined);
  assertEquals(await engine.size(), 19);
});

test("finds a damaged key, and lets a damaged entry be replaced or deleted", async (bed) => {
  const writer = await bed.open();
  for (const key of ["alpha key", "beta key", "gamma key"]) {
    await writer.set(key, entryOf(`of ${key}`));
  }
  await bed.close();
  await damage(fileOf(bed), "alpha key");
  await damage(fileOf(bed), "of beta key");
  await damage(fileOf(bed), "of gamma key");
  const engine = await bed.open();
  assertEquals((await engine.check({ fix: false })).problems.map(({ kind }) => kind), [
    "damaged",
    "damaged",
    "damaged",
  ]);
  await engine.set("beta key", entryOf("again"));
  assertEquals(await textAt(engine, "beta key"), "again");
  assertEquals(await engine.delete("gamma key"), true);
  assertEquals((await engine.check({ fix: true })).problems.length, 1);
  assertEquals((await engine.check({ fix: false })).problems, []);
});

test("names entries that a damaged page above them hides", async (bed) => {
  const writer = await bed.open();
  const keys = Array.from({ length: 400 }, (_, i) => `key ${i}`);
  await writer.setMany(keys.map((key) => [key, entryOf(key.repeat(20))]));
  await bed.close();
  const bytes = await Deno.readFile(fileOf(bed));
  const view = new DataView(bytes.buffer);
  const pageSize = view.getUint32(48, true);
  for (let page = 2 * pageSize; page < bytes.length; page += pageSize) {
    if (view.getUint16(page + 18, true) !== 1) continue;
    // In a page of branches: the key from which on the second one leads to.
    const node = page + 24 + view.getUint16(page + 26, true);
    bytes[node + 8 + view.getUint16(node + 6, true) - 1] += 1;
  }
  await Deno.writeFile(fileOf(bed), bytes);
  const engine = await bed.open();
  const hidden = [];
  for (const key of keys) if (!await engine.has(key)) hidden.push(key);
  assertGreater(hidden.length, 0);
  const { checked, problems } = await engine.check({ fix: false });
  assertEquals(checked, 400);
  assertEquals(problems.map(({ key }) => key).sort(), hidden.sort());
});

test("lists and clears a store with records that have no key, and check names them", async (bed) => {
  await (await bed.open()).set("healthy", entryOf("value", Date.now() + 3_600_000));
  await bed.close();
  /** A record as this engine writes it, but for what is in it. */
  const recordOf = (lmdbKey: Uint8Array, text: Uint8Array, timestamp: number) => {
    const record = new Uint8Array(28 + text.length + 5);
    const view = new DataView(record.buffer);
    view.setUint32(0, 1, true);
    view.setFloat64(8, timestamp, true);
    view.setFloat64(16, Infinity, true);
    view.setUint32(24, text.length, true);
    record.set(text, 28);
    view.setUint32(4, crc32(record.subarray(8), crc32(lmdbKey)), true);
    return record;
  };
  const noText = Uint8Array.of(0xC3, 0x28);
  const shortened = new Uint8Array(1_900).fill(0x61);
  shortened[1_900 - 33] = 0xFF;
  const named = new TextEncoder().encode("named");
  const plant = async () => {
    {
      await using other = bare(folderOf(bed), "entries:main");
      await other.database.put(noText, recordOf(noText, new Uint8Array(), 1), 1);
      await other.database.put(shortened, recordOf(shortened, noText, 1), 2);
      await other.database.put(named, recordOf(named, new Uint8Array(), NaN), 3);
    }
    await using other = bare(folderOf(bed), "deadlines:main");
    await other.database.put(new Uint8Array(8), new Uint8Array());
  };
  await plant();
  const engine = await bed.open();
  assertEquals(await Array.fromAsync(engine.keys()), ["healthy", "named"]);
  assertEquals(await engine.size(), 4);
  const error = await assertRejects(() => Array.fromAsync(engine.entries()), DecodeError);
  assertEquals(error.key, "named");
  assertEquals(await engine.delete("named"), true);
  assertEquals((await Array.fromAsync(engine.entries())).map(([key]) => key), ["healthy"]);
  for (const fix of [false, true]) {
    const { checked, problems } = await engine.check({ fix });
    assertEquals(checked, 3);
    assertEquals(problems.map(({ kind, fixed }) => [kind, fixed]), [
      ["damaged", fix],
      ["damaged", fix],
    ]);
  }
  assertEquals((await engine.check({ fix: false })).problems, []);
  await engine.prune();
  await bed.close();
  await plant();
  const again = await bed.open();
  await again.clear();
  assertEquals([await again.size(), await Array.fromAsync(again.keys())], [0, []]);
});

test("finds a deadline that is not in the index, and puts it there", async (bed) => {
  const expiresAt = Date.now() + 3_600_000;
  await (await bed.open()).set("key", entryOf("value", expiresAt));
  await bed.close();
  {
    await using other = bare(folderOf(bed), "deadlines:main");
    for (const key of [...other.database.getKeys({ start: undefined })]) {
      await other.database.remove(key);
    }
  }
  const engine = await bed.open();
  const { problems } = await engine.check({ fix: true });
  assertEquals(problems.map(({ kind, key, fixed }) => [kind, key, fixed]), [[
    "orphan",
    "key",
    true,
  ]]);
  assertEquals((await engine.check({ fix: false })).problems, []);
  await bed.close();
  await using other = bare(folderOf(bed), "deadlines:main");
  assertEquals([...other.database.getKeys({ start: undefined })].length, 1);
});

test("counts and drops thousands of expired entries, and no replaced one", async (bed) => {
  const engine = await bed.open();
  const late = Date.now() - 1_000;
  const keys = Array.from({ length: 2_500 }, (_, i) => `key ${i}`);
  await engine.setMany(keys.map((key, i) => [key, entryOf("value", late + i % 7)]));
  await engine.setMany(keys.slice(0, 100).map((key) => [key, entryOf("again")]));
  await engine.setMany(keys.slice(100, 200).map((key) => [key, entryOf("again", 8.64e15)]));
  await engine.set("expired before time began", entryOf("value", -5));
  assertEquals(await engine.size(), 200);
  assertEquals(await Array.fromAsync(engine.keys("key 1")).then(({ length }) => length), 111);
  await engine.prune();
  assertEquals(await engine.prune(), 0);
  assertEquals(await engine.size(), 200);
  await bed.close();
  await using other = bare(folderOf(bed), "entries:main");
  assertEquals([...other.database.getKeys({ start: undefined })].length, 200);
});

test("drops expired entries on the way, so that what nobody asks for does not stay", async (bed) => {
  const engine = await bed.open();
  const late = Date.now() - 1;
  for (let round = 0; round < 30; round++) {
    const pairs = Array.from({ length: 100 }, (_, i) => `key ${round} ${i}`);
    await engine.setMany(pairs.map((key) => [key, entryOf("value", late)]));
  }
  await bed.close();
  await using other = bare(folderOf(bed), "entries:main");
  assertLess([...other.database.getKeys({ start: undefined })].length, 1_500);
});

test("lists page after page of long and short keys", async (bed) => {
  const engine = await bed.open();
  const keys = Array.from(
    { length: 2_300 },
    (_, i) => i % 10 === 0 ? "long".repeat(600) + i : `key ${i}`,
  );
  await engine.setMany(keys.map((key) => [key, entryOf(key)]));
  assertEquals((await Array.fromAsync(engine.keys())).sort(), keys.toSorted());
  const long = keys.filter((key) => key.startsWith("long"));
  assertEquals((await Array.fromAsync(engine.keys("long"))).sort(), long.toSorted());
  const one = "long".repeat(600) + "12";
  const some = (await Array.fromAsync(engine.keys(one))).sort();
  assertEquals(some, keys.filter((key) => key.startsWith(one)).sort());
  for await (const [key, { value }] of engine.entries()) {
    assertEquals(new TextDecoder().decode(value), key);
  }
});

test("keeps what was there when a write fails, and works on", async (bed) => {
  if (Deno.build.os === "windows") return; // No limit for files there.
  const script = `
    ${OPEN_ENGINE}
    await engine.open();
    const entry = (i, size) => ({ value: new Uint8Array(size).fill(i), timestamp: 1 });
    const kept = new Map();
    const messages = new Set();
    for (let i = 0; i < 60; i++) {
      try {
        await engine.set("key " + i % 40, entry(i, 20_000));
        kept.set("key " + i % 40, i);
      } catch (error) {
        messages.add(error.name + ": " + error.message);
      }
    }
    const batch = await Promise.allSettled([engine.set("a", entry(1, 9e5)), engine.delete("key 0")]);
    for (const [key, i] of kept) {
      if (key === "key 0") continue;
      const { value } = await engine.get(key);
      if (!value.every((byte) => byte === i)) throw new Error("torn");
    }
    const size = await engine.size();
    const { problems } = await engine.check({ fix: false });
    // Freeing works, and makes room.
    if (!await engine.delete("key 1")) throw new Error("not deleted");
    await engine.set("key 1", entry(1, 15_000));
    await engine.clear();
    await engine.set("after", entry(1, 10));
    await engine.close();
    const outcomes = batch.map(({ status }) => status);
    console.log(
      JSON.stringify({ size, kept: kept.size, problems, messages: [...messages], outcomes }),
    );
  `;
  const program = await programOf(bed, script);
  // A disk that is full, as far as this process can tell.
  const limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 1200; exec "$@"', "bash", ...program];
  const { stdout, stderr, success } = await runProgram(limited);
  assert(success, stderr);
  assertEquals(stderr, "");
  const { size, kept, problems, messages, outcomes } = JSON.parse(stdout);
  assertEquals([size, problems], [kept - 1, []]);
  assertEquals(outcomes, ["rejected", "fulfilled"]);
  assertGreater(kept, 5);
  assertLess(kept, 40);
  assertEquals(messages, [
    'EngineError: Cannot set entry in engine "lmdb": it is larger than the file system of ' +
    `${folderOf(bed)}, or the limit of this process (ulimit -f), allows`,
  ]);
});

test("says that a process has no room for more files, whatever it lacks room for", async (bed) => {
  if (Deno.build.os === "windows") return;
  const program = await programOf(
    bed,
    `
    ${OPEN_ENGINE}
    // The library is loaded.
    await engine.open();
    await engine.close();
    const held = [];
    try {
      for (;;) held.push(Deno.openSync(Deno.args[0]));
    } catch {
      // No more.
    }
    const results = [];
    for (let free = 0; free < 12; free++) {
      try {
        await engine.open();
        await engine.close();
        results.push("opened");
      } catch (error) {
        results.push(error.name + ": " + error.message);
      }
      held.pop().close();
    }
    console.log(JSON.stringify(results));
  `,
  );
  const limited = ["bash", "-c", 'ulimit -n 200; exec "$@"', "bash", ...program];
  const { success, stdout, stderr } = await runProgram(limited);
  assert(success, stderr);
  const results: string[] = JSON.parse(stdout);
  assertEquals([...new Set(results)], [
    'EngineError: Cannot open engine "lmdb": this process has too many open files; raise its limit (ulimit -n)',
    "opened",
  ]);
});

test("makes its lock file whole, so that to map it needs no more room", async (bed) => {
  if (Deno.build.os !== "linux") return;
  await bed.open();
  const { size, blocks } = await Deno.stat(join(folderOf(bed), "lock.mdb"));
  assertGreaterOrEqual((blocks ?? 0) * 512, size);
});

test("leaves what other runtimes say in its lock when it makes a data file", async (bed) => {
  const lock = `${fileOf(bed)}.lock`;
  const word = "Node and Bun take part: lock the file .held beside this one, too\n";
  await Deno.mkdir(folderOf(bed), { recursive: true });
  await Deno.writeTextFile(lock, word);
  await bed.open();
  assertEquals(await Deno.readTextFile(lock), word);
  assert(existsSync(`${lock}.held`));
});

test("takes as much room for the first write as for later ones, whatever its pages are", async (bed) => {
  const file = join(bed.root, "file");
  await Deno.writeFile(file, new Uint8Array(65_536));
  const room = new Room(file, { pageSize: 65_536, pages: () => 1, free: () => 0 });
  // Each is longer than pages of another size, and stands among others on these.
  const lengths = Array<number>(1_000).fill(20_000);
  const sizes = [1, 2].map((hold) => {
    room.take({ entries: 1, lengths }, hold)();
    return Deno.statSync(file).size;
  });
  assertEquals(sizes[1], sizes[0]);
  // Twice each, as their pages may be half full.
  assertGreater(sizes[0], 1_000 * 40_000);
});

test("knows which pages hold something, also those of noted names", async (bed) => {
  const path = join(bed.root, "env");
  const hold = await openEnvironment(path, {
    mapSize: undefined,
    maxReaders: undefined,
    mode: 0o600,
  });
  const environment = hold.resource;
  for (let i = 0; i < 50; i++) await environment.databases(`${"É".repeat(60)} ${i}`);
  const used = await environment.write(() => environment.usedPages(), { entries: 0 });
  await hold.release();
  // As another program sees it.
  const root = open({ path, encoding: "binary", keyEncoding: "binary", maxDbs: 200 });
  const stats = [
    root,
    ...Array.from(root.getKeys({}), (name) => {
      const text = decoder.decode(name as unknown as Uint8Array).replace(/\0$/, "");
      return root.openDB({ name: text, useVersions: text.startsWith("entries:") });
    }),
  ].map((database) => database.getStats() as unknown as LmdbStats);
  await root.close();
  await new Promise((resolve) => setTimeout(resolve, 0));
  const seen = [stats[0].free, ...stats].reduce(
    (sum, { treeBranchPageCount, treeLeafPageCount, overflowPages }) =>
      sum + treeBranchPageCount + treeLeafPageCount + overflowPages,
    0,
  );
  assertEquals(used, seen);
});

test("says when it has no room for readers", async (bed) => {
  await (await bed.open({ maxReaders: 1 })).set("key", entryOf("value"));
  const program = await programOf(
    bed,
    `
    ${OPEN_ENGINE}
    console.log(await engine.open().catch((error) => error.message));
  `,
  );
  const { stdout, stderr } = await runProgram(program);
  assertMatch(
    stdout,
    /^Cannot open engine "lmdb": as many threads .* as "maxReaders" allows/,
    stderr,
  );
});

test("gives files and folders the mode that the option says", async (bed) => {
  if (Deno.build.os === "windows") return;
  const modesIn = (folder: string) => {
    const names = [".", ...Array.from(Deno.readDirSync(folder), ({ name }) => name)].sort();
    return names.map((name) =>
      `${name} ${(Deno.statSync(join(folder, name)).mode! & 0o777).toString(8)}`
    );
  };
  await (await bed.open()).set("key", entryOf("value"));
  assertEquals(modesIn(folderOf(bed)), [
    ". 700",
    "data.mdb 600",
    "data.mdb.lock 600",
    "lock.mdb 600",
  ]);
  const path = join(bed.root, "deep", "single.mdb");
  await (await bed.open({ path, mode: 0o664 })).set("key", entryOf("value"));
  assertEquals(modesIn(dirname(path)), [
    ". 775",
    "single.mdb 664",
    "single.mdb-lock 664",
    "single.mdb.lock 664",
  ]);
  await assertRejects(() => bed.open({ mode: 0o400 }), RangeError);
});

test("reads and checks what nobody may write to", async (bed) => {
  if (Deno.build.os !== "linux") return;
  const writer = await bed.open();
  await writer.setMany([["key", entryOf("value")], ["expired", entryOf("value", Date.now() - 1)]]);
  await bed.close();
  await whileMountedReadOnly(bed.root, async () => {
    const engine = await bed.open();
    assertEquals(await textAt(engine, "key"), "value");
    assertEquals(await Array.fromAsync(engine.keys()), ["key"]);
    assertEquals(await engine.size(), 1);
    assertEquals((await engine.check({ fix: false })).problems, []);
    const other = await bed.open({}, { dbname: "other" });
    assertEquals([await other.size(), await other.has("key"), await other.byteSize()], [
      0,
      false,
      0,
    ]);
    for (
      const write of [
        () => engine.set("key", entryOf("no")),
        () => engine.delete("key"),
        () => engine.clear(),
      ]
    ) {
      const error = await assertRejects(async () => await write(), EngineError);
      assertStringIncludes(error.message, "can only be read here");
    }
    await bed.close();
  });
  assertEquals(await textAt(await bed.open(), "key"), "value");
});

test("counts what is left where thousands have expired and nobody may drop them", async (bed) => {
  if (Deno.build.os !== "linux") return;
  const writer = await bed.open();
  const late = Date.now() - 1;
  await writer.setMany(
    Array.from({ length: 5_000 }, (_, i) => [`${i}`, entryOf("value", i < 500 ? undefined : late)]),
  );
  await bed.close();
  await whileMountedReadOnly(bed.root, async () => {
    assertEquals(await (await bed.open()).size(), 500);
    await bed.close();
  });
});

test("follows when what is at its path is removed or replaced", async (bed) => {
  const first = await bed.open();
  await first.set("key", entryOf("old"));
  await Deno.remove(folderOf(bed), { recursive: true });
  const second = await bed.open();
  await second.set("key", entryOf("new"));
  assertEquals(await textAt(first, "key"), "new");
  await first.set("other", entryOf("value"));
  assertEquals(await textAt(second, "other"), "value");

  // Alone, too: what a write acknowledges is there.
  await Deno.remove(folderOf(bed), { recursive: true });
  await second.set("alone", entryOf("value"));
  await first.set("at once", entryOf("value"));
  await bed.close();
  const third = await bed.open();
  assertEquals((await Array.fromAsync(third.keys())).sort(), ["alone", "at once"]);
});

test("follows at once where nothing in its folder has changed for long", async (bed) => {
  const engine = await bed.open();
  const rest = (seconds: number) => Deno.utimeSync(folderOf(bed), seconds, seconds);
  await engine.set("key", entryOf("first"));
  rest(1_000_000);
  await engine.set("key", entryOf("second"));
  // The lock that writers take stays: to make one would be a change of the folder.
  for (const name of ["data.mdb", "lock.mdb"]) await Deno.remove(join(folderOf(bed), name));
  rest(2_000_000);
  await engine.set("other", entryOf("value"));
  assertEquals(await Array.fromAsync(engine.keys()), ["other"]);
  rest(3_000_000);
  await engine.set("other", entryOf("second"));
  await Deno.rename(folderOf(bed), `${folderOf(bed)}.moved`);
  await Deno.mkdir(folderOf(bed));
  await Deno.writeTextFile(`${fileOf(bed)}.lock`, "");
  rest(3_000_000);
  await engine.set("last", entryOf("value"));
  await bed.close();
  assertEquals(await Array.fromAsync((await bed.open()).keys()), ["last"]);
});

test("waits for a process that was stopped while it wrote, and keeps the event loop free", async (bed) => {
  if (Deno.build.os === "windows") return;
  const engine = await bed.open();
  await engine.set("key", entryOf("value"));
  for (const dbname of ["main/in", "main/É"]) {
    await (await bed.open({}, { dbname })).set("key", entryOf("value"));
  }
  const program = await programOf(
    bed,
    `
    ${OPEN_ENGINE}
    import { FileLock } from "./engines/../platform/file_lock.ts";
    await engine.open();
    // As in the middle of a write.
    await FileLock.take(Deno.args[1]);
    console.log("locked");
    setTimeout(() => Deno.exit(), 60_000);
  `,
  );
  const [command, ...args] = [...program, `${fileOf(bed)}.lock`];
  await using child = new Deno.Command(command, { args, stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  child.kill("SIGSTOP");
  let done = 0;
  const count = (work: PromiseLike<unknown>) => work.then(() => done++);
  const writes = [
    count(Promise.resolve(engine.set("key", entryOf("new")))),
    count(bed.open({}, { dbname: "new" })),
  ];
  const start = performance.now();
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assertLess(performance.now() - start, 5_000);
  // Reads go on, and so does nothing else.
  assertEquals(await textAt(engine, "key"), "value");
  const stores = await Array.fromAsync(engine.stores(true));
  assertEquals(stores.map(({ dbname }) => dbname).sort(), ["", "in", "É"]);
  assertEquals(stores.map(({ usage }) => usage?.entries), [1, 1, 1]);
  assertEquals(done, 0);
  child.kill("SIGKILL");
  await Promise.all(writes);
  assertEquals(await textAt(engine, "key"), "new");
  await reader.cancel();
});

test("works with the permissions that it names, and names them", async (bed) => {
  const script = `
    import { lmdb as createEngine } from "./engines/lmdb/mod.ts";
    import { complete } from "./engines/complete.ts";
    const location = { rootDir: ${JSON.stringify(bed.root)}, name: "test", dbname: "main" };
    const engine = complete(createEngine(location, {}));
    try {
      await engine.open();
      await engine.set("key", { value: new Uint8Array(3), timestamp: 1 });
      console.log((await engine.get("key")).value.length);
      await engine.close();
    } catch (error) {
      console.log(error.name + ": " + error.message);
    }
  `;
  const write = `--allow-write=${bed.root}`;
  const flags = ["--no-prompt", "--allow-read", write, "--allow-env", "--allow-ffi"];
  const { stdout, stderr } = await runScript(script, flags);
  assertEquals(stdout, "3\n", stderr);
  for (const missing of flags.slice(1)) {
    const { stdout } = await runScript(script, flags.filter((flag) => flag !== missing));
    assertMatch(stdout, /^EngineError: Cannot open engine "lmdb": .*[^.]\n$/);
    assertStringIncludes(
      stdout,
      `--allow-read --allow-write=${folderOf(bed)} --allow-env --allow-ffi`,
      missing,
    );
  }
});

test("refuses bad options, and work when it is not open", async (bed) => {
  const create = (options: Record<string, unknown>) =>
    createEngine({ ...LOCATION, rootDir: bed.root }, options);
  assertThrows(() => create({ mapsize: 1 }), TypeError, "path, mapSize, maxReaders");
  assertThrows(() => create({ mapSize: "1" }), TypeError);
  assertThrows(() => create({ mapSize: 0 }), RangeError);
  assertThrows(() => create({ maxReaders: 1.5 }), RangeError);
  assertThrows(() => create({ path: 1 }), TypeError);
  const engine = complete(create({ maxReaders: 10, mapSize: 1024 * 1024 }));
  assertThrows(() => engine.get("key"), TypeError, "not open");
  await engine.open();
  await engine.open();
  await engine.set("key", entryOf("value"));
  await engine.close();
  await engine.close();
  await assertRejects(async () => await engine.set("key", entryOf("value")), TypeError, "not open");
});
