/**
 * What is particular to the pairtree engine: its files, their damage, what a crash leaves, locks
 * and permissions.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { basename, join } from "node:path";
import { crc32 } from "node:zlib";
import { DecodeError } from "../../codec/errors.ts";
import { bedTests, complete, type Store, type TestBed } from "../support/bed.ts";
import { FileLock } from "../../platform/file_lock.ts";
import { encodeSegment } from "../../engines/location.ts";
import { keyAt, placeOf } from "../../engines/pairtree/names.ts";
import { EngineError } from "../../engines/errors.ts";
import type { EngineFactory } from "../../engines/engine.ts";
import { pairtree } from "../../engines/pairtree/mod.ts";
import { runScript } from "../support/child.ts";
import { entryOf, keysOf, textOf } from "../support/entries.ts";
import { runOnSmallDisk } from "../support/small_disk.ts";
import { whileReadOnly } from "../support/read_only.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** With options as they come at run time, which the compiler has not checked. */
const createEngine: EngineFactory = pairtree;

contractTests("pairtree");
behaviours("pairtree");
processTests("pairtree");
killTests("pairtree");
stashProcessesTest("pairtree");

/** A bed with a store in it. */
interface Filled {
  readonly bed: TestBed;
  readonly root: string;
  readonly engine: Store;
  /** The path of an entry's file. */
  file(key: string): string;
}

const register = bedTests("pairtree", "pairtree:");

function pairtreeTest(name: string, fn: (store: Filled) => Promise<void>): void {
  register(name, async (bed) => {
    const { root } = bed;
    await fn({ bed, root, engine: await bed.open(), file: (key) => fileOf(root, key) });
  });
}

function fileOf(root: string, key: string): string {
  const { folder, name } = placeOf(key);
  return join(root, "test", "pairtree", "main", folder, name);
}

/** All files and folders below one, sorted. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    found.push(path);
    if (isDirectory) found.push(...filesBelow(path));
  }
  return found.sort();
}

async function rejection(fn: () => unknown): Promise<unknown> {
  try {
    await fn();
  } catch (error) {
    return error;
  }
  throw new Error("Expected a rejection");
}

pairtreeTest("a file is a line of JSON and the value's bytes", async ({ engine, file }) => {
  const expiresAt = Date.now() + 60_000;
  await engine.set("my_key", {
    value: new TextEncoder().encode('{"a":1}\n'),
    timestamp: 5,
    expiresAt,
  });
  const text = await Deno.readTextFile(file("my_key"));
  const end = text.indexOf("\n");
  const { line, ...header } = JSON.parse(text.slice(0, end));
  assertEquals(header, { key: "my_key", timestamp: 5, expiresAt, length: 8, crc32: 1961403206 });
  assertEquals(typeof line, "number");
  assertEquals(text.slice(end + 1), '{"a":1}\n');
});

pairtreeTest(
  "every flipped bit and every cut is found, named and removed",
  async ({ engine, file }) => {
    await engine.set("other", entryOf("intact"));
    await engine.set("key", { ...entryOf("value"), expiresAt: Date.now() + 3_600_000 });
    const whole = await Deno.readFile(file("key"));
    const damaged: Uint8Array[] = [new Uint8Array([...whole, 0x20])];
    for (let i = 0; i < whole.length; i++) {
      damaged.push(whole.subarray(0, i));
      for (const bit of [0, 5, 7]) {
        const flipped = whole.slice();
        flipped[i] ^= 1 << bit;
        damaged.push(flipped);
      }
    }
    for (const bytes of damaged) {
      await Deno.writeFile(file("key"), bytes);
      const what = new TextDecoder().decode(bytes);
      const error = await rejection(() => engine.get("key"));
      assertInstanceOf(error, DecodeError, what);
      assertEquals([error.engine, error.key], ["pairtree", "key"]);
    }
    assertEquals(textOf(await engine.get("other")), "intact");
    const before = await engine.check({ fix: false });
    assertEquals(before.checked, 2);
    assertEquals(before.problems.map(({ kind, key, fixed }) => ({ kind, key, fixed })), [
      { kind: "damaged", key: "key", fixed: false },
    ]);
    assertEquals((await engine.check({ fix: true })).problems.map(({ fixed }) => fixed), [true]);
    assertEquals(await engine.check({ fix: false }), { checked: 1, problems: [] });
    assertEquals(await keysOf(engine), ["other"]);
  },
);

pairtreeTest("damage of a large entry is found", async ({ engine, file }) => {
  for (const size of [50_000, 3_000_000]) {
    await engine.set("key", { value: new Uint8Array(size).fill(7), timestamp: 0 });
    const whole = await Deno.readFile(file("key"));
    for (const bytes of [whole.subarray(0, -1), whole.with(-1, 8), whole.with(40, 0x41)]) {
      await Deno.writeFile(file("key"), bytes);
      assertInstanceOf(await rejection(() => engine.get("key")), DecodeError);
    }
  }
});

pairtreeTest(
  "bytes after the end of a value are damage, however many",
  async ({ engine, file }) => {
    // A small value, ones that are read in two steps and end with the first, and a large one.
    const headerLength = (await Deno.stat(await writtenFile(20_000))).size - 20_000;
    for (const size of [1, 16 * 1024 - headerLength, 20_000, 1_000_000, 3_000_000]) {
      const path = await writtenFile(size);
      assertEquals((await engine.get("key"))?.value, new Uint8Array(size).fill(7));
      const whole = await Deno.readFile(path);
      for (const surplus of [1, 20_000, 1_100_000]) {
        const bytes = new Uint8Array(whole.byteLength + surplus);
        bytes.set(whole);
        await Deno.writeFile(path, bytes);
        for (const read of [() => engine.get("key"), () => engine.getMany(["key"])]) {
          const error = await rejection(read);
          assertInstanceOf(error, DecodeError, `${size} and ${surplus}`);
          assertEquals([error.engine, error.key], ["pairtree", "key"]);
          assertStringIncludes(
            error.message,
            `it has ${size + surplus} bytes of value, ${size} were`,
          );
        }
      }
    }

    async function writtenFile(size: number): Promise<string> {
      await engine.set("key", { value: new Uint8Array(size).fill(7), timestamp: 1 });
      return file("key");
    }
  },
);

pairtreeTest("a damaged entry can be set anew and deleted", async ({ engine, file }) => {
  await engine.setMany([["set", entryOf("old")], ["delete", entryOf("old")]]);
  await engine.set("expiring", { ...entryOf("v"), expiresAt: Date.now() + 3_600_000 });
  await Deno.writeFile(file("set"), new Uint8Array(3));
  await Deno.writeFile(file("delete"), new Uint8Array(3));
  assertInstanceOf(
    await rejection(() => engine.compareAndSet("set", undefined, entryOf("no"))),
    DecodeError,
  );
  assertEquals(await engine.size(), 3);
  assertEquals(await keysOf(engine), ["delete", "expiring", "set"]);
  await engine.set("set", entryOf("new"));
  assertEquals(textOf(await engine.get("set")), "new");
  assertEquals(await engine.delete("delete"), true);
  assertEquals(await keysOf(engine), ["expiring", "set"]);
});

pairtreeTest("a file in the place of another is found", async ({ engine, file }) => {
  const long = "long ".repeat(100);
  await engine.setMany([["a", entryOf("1")], ["b", entryOf("2")], [long, entryOf("3")]]);
  await Deno.copyFile(file("a"), file("b"));
  await Deno.copyFile(file("a"), file(long));
  assertInstanceOf(await rejection(() => engine.get("b")), DecodeError);
  assertInstanceOf(await rejection(() => engine.get(long)), DecodeError);
  const folder = placeOf("a").folder === "00" ? "01" : "00";
  const lost = join(engine.path, folder, placeOf("a").name);
  await Deno.mkdir(join(engine.path, folder), { recursive: true });
  await Deno.copyFile(file("a"), lost);
  assertEquals(await engine.size(), 3);
  const kinds = (await engine.check({ fix: true })).problems.map(({ kind }) => kind);
  assertEquals(kinds.sort(), ["damaged", "damaged", "orphan"]);
  assertEquals(await keysOf(engine), ["a"]);
  assertEquals((await engine.check({ fix: false })).problems, []);
});

/** Where the writers of a key's file write it first. */
function writingOf(engine: Store, key: string): string {
  return join(engine.path, ".writing", placeOf(key).folder[0]);
}

/** What is being written, or was when its process ended. */
function unfinished(engine: Store): string[] {
  return [...Deno.readDirSync(join(engine.path, ".writing"))].map(({ name }) => name);
}

pairtreeTest("what a crash left is no entry, and check removes it", async ({ engine }) => {
  await engine.set("key", entryOf("value"));
  const left = writingOf(engine, "key");
  await Deno.writeTextFile(left, '{"key":"key","timest');
  await Deno.writeTextFile(`${left}.txt`, "not ours");
  assertEquals(await engine.size(), 1);
  assertEquals(await keysOf(engine), ["key"]);
  const [problem, ...more] = (await engine.check({ fix: false })).problems;
  assertEquals([problem.kind, problem.fixed, more.length], ["leftover", false, 0]);
  assertStringIncludes(problem.detail, left);
  assertEquals((await engine.check({ fix: true })).problems.length, 1);
  assertEquals(unfinished(engine), [basename(`${left}.txt`)]);
});

pairtreeTest("the next writer removes what a crash left, of whatever key", async (store) => {
  const { bed, engine } = store;
  const keys = ["one", "two", "three", "four", "five"];
  await engine.set("one", entryOf("value"));
  for (const size of [10, 1_000_000]) {
    for (const key of keys) await Deno.writeTextFile(writingOf(engine, key), "cut o");
    const next = await bed.open();
    await next.set("one", { ...entryOf("value"), value: new Uint8Array(size) });
    assertEquals(unfinished(engine), []);
  }
  await Deno.writeTextFile(writingOf(engine, "two"), "cut o");
  await engine.clear();
  assertEquals(unfinished(engine), []);
});

pairtreeTest("the next writer leaves what another process is writing", async ({ bed, engine }) => {
  await engine.set("key", entryOf("value"));
  await engine.set("other", entryOf("value"));
  assert(placeOf("key").folder[0] !== placeOf("other").folder[0]);
  await using _holder = await holdElsewhere(
    join(engine.path, ".locks", placeOf("other").folder[0]),
  );
  const theirs = writingOf(engine, "other");
  await Deno.writeTextFile(theirs, '{"key":"other",');
  await (await bed.open()).set("key", entryOf("new"));
  assertEquals(unfinished(engine), [basename(theirs)]);
});

/** A first line whose checksum is right, whatever stands in it. */
function forged(json: string): string {
  const checked = `${json.slice(0, -1)},"line":`;
  return `${checked}${crc32(checked)}}\n`;
}

pairtreeTest("one bad file is one problem, and stands in no other entry's way", async (store) => {
  const { engine, file } = store;
  const long = "a long key ".repeat(30);
  await engine.setMany([["good", entryOf("value")], [long, entryOf("value")]]);
  await engine.set("expiring", { ...entryOf("value"), expiresAt: Date.now() + 3_600_000 });
  const rest = '"timestamp":1,"length":0,"crc32":0';
  const contents: Record<string, string> = {
    number: forged(`{"key":5,${rest}}`),
    object: forged(`{"key":{"a":"number"},${rest}}`),
    broken: forged(`{"key":"bro,${rest}}`),
    none: forged(`{${rest}}`),
    large: forged(`{"key":"large","timestamp":1,"length":${"9".repeat(400)},"crc32":0}`),
    late: forged(`{"key":"late","timestamp":${"1".repeat(30)},"length":0,"crc32":0}`),
  };
  for (const [key, text] of Object.entries(contents)) {
    await engine.set(key, entryOf(""));
    await Deno.writeTextFile(file(key), text);
  }
  // The name of a long key is in its file alone.
  const longer = `${long} too`;
  await engine.set(longer, entryOf(""));
  await Deno.writeTextFile(file(longer), contents.number);
  // Not UTF-8, and an escape that nobody needs: no key has these names.
  const bad = ["%ff~47e73a54", "%61~39361def"].map((name) => {
    return join(engine.path, name.split("~")[1].slice(0, 2), name);
  });
  for (const path of bad) {
    await Deno.mkdir(join(path, ".."), { recursive: true });
    await Deno.writeTextFile(path, contents.number);
  }
  for (const key of Object.keys(contents)) {
    const error = await rejection(() => engine.get(key));
    assertInstanceOf(error, DecodeError, key);
    assertEquals(error.key, key);
  }
  const named = Object.keys(contents);
  assertEquals(await keysOf(engine), [...named, "expiring", "good", long].sort());
  const { checked, problems } = await engine.check({ fix: false });
  assertEquals(checked, named.length + bad.length + 4);
  const expected = [...named, undefined, undefined, undefined];
  assertEquals(problems.map(({ key }) => key).sort(), expected.sort());
  assertEquals(new Set(problems.map(({ kind }) => kind)), new Set(["damaged"]));
  assertEquals(await engine.delete("number"), true);
  assertEquals(await engine.prune(), 0);
  await engine.set("broken", entryOf("anew"));
  const fixed = (await engine.check({ fix: true })).problems;
  assertEquals(fixed.filter((problem) => problem.fixed).length, named.length + 1);
  assertEquals((await engine.check({ fix: false })).problems, []);
  for (const path of bad) await Deno.writeTextFile(path, "bad");
  // A folder in an entry's place is no file of the engine's.
  await Deno.mkdir(join(file("folder"), "in it"), { recursive: true });
  assertEquals((await engine.check({ fix: true })).problems.length, bad.length);
  for (const path of bad) await Deno.writeTextFile(path, "bad");
  await engine.clear();
  assertEquals((await Deno.stat(join(file("folder"), "in it"))).isDirectory, true);
  for (const path of bad) await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
});

pairtreeTest("check leaves the writes that go on alone", async ({ engine }) => {
  const value = new Uint8Array(8_000_000);
  for (let round = 0; round < 5; round++) {
    const writes = [1, 2, 3].map((i) => engine.set(`key ${i}`, { value, timestamp: round }));
    const [check] = await Promise.all([engine.check({ fix: true }), ...writes]);
    assertEquals(check.problems, []);
    for (const i of [1, 2, 3]) assertEquals((await engine.get(`key ${i}`))?.timestamp, round);
  }
});

pairtreeTest("foreign files are ignored everywhere and by all", async ({ root, engine, file }) => {
  await engine.setMany([["my_key", entryOf("value")], ["k".repeat(300), entryOf("value")]]);
  await engine.set("late", { ...entryOf("gone"), expiresAt: 1 });
  const { name } = placeOf("my_key");
  const names = [
    ...[
      ".DS_Store",
      "notes.txt",
      "Thumbs.db",
      "desktop.ini",
      "my_key",
      "my_key~",
      "my_key~00000000",
    ],
    ...[
      `${name}~`,
      `.${name}.swp`,
      `#${name}#`,
      `${name}.bak`,
      `${name} (copy)`,
      `Copy of ${name}`,
    ],
    ...[`${name}.sync-conflict`, name.toUpperCase(), ".nfs0001", "~lock.my_key#"],
  ];
  const folders = [root, join(root, "test"), join(root, "test", "pairtree"), engine.path];
  const foreign = [...folders, join(file("my_key"), "..")].flatMap((folder) =>
    names.map((name) => join(folder, name))
  );
  for (const path of foreign) await Deno.writeTextFile(path, "foreign");
  await Deno.mkdir(join(engine.path, "folder~00000000"));
  const keys = ["k".repeat(300), "my_key"];
  assertEquals(await engine.size(), 2);
  assertEquals(await keysOf(engine), keys);
  assertEquals((await Array.fromAsync(engine.entries())).map(([key]) => key).sort(), keys);
  assertEquals(await engine.prune(), 1);
  assertEquals((await engine.check({ fix: true })).problems, []);
  await engine.clear(true);
  assertEquals(await engine.size(), 0);
  for (const path of foreign) assertEquals(await Deno.readTextFile(path), "foreign");
});

pairtreeTest("names tell their keys on every file system", async () => {
  await Promise.resolve();
  const keys = [
    "",
    "my_key",
    "MyKey",
    "mykey",
    "a/b",
    "a~b",
    "con",
    "é",
    "e\u0301",
    "😀",
    "+",
    "%41",
  ];
  for (let i = 0; i < 3_000; i++) {
    const length = Math.floor(Math.random() * 60);
    const codes = Array.from({ length }, () => 1 + Math.floor(Math.random() * 0x2fff));
    keys.push(String.fromCodePoint(...codes));
  }
  const names = new Set<string>();
  for (const key of new Set(keys)) {
    const { folder, name } = placeOf(key);
    assert(/^[a-z0-9_+%~-]{1,143}$/.test(name), name);
    assert(!/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/.test(name), name);
    assert(!names.has(name), name);
    names.add(name);
    const told = keyAt(folder, name);
    if (told !== null) assertEquals(told, key);
  }
  assertEquals(placeOf("my_key").name.split("~")[0], "my_key");
  assertEquals(keyAt("00", "my_key~00000000"), undefined);
});

pairtreeTest(
  "a store that was removed meanwhile is empty, and is made again",
  async ({ root, engine }) => {
    await engine.set("key", entryOf("value"));
    await Deno.remove(join(root, "test"), { recursive: true });
    assertEquals(await engine.get("key"), undefined);
    assertEquals(await engine.size(), 0);
    assertEquals(await engine.delete("key"), false);
    await engine.clear(true);
    await engine.set("key", { ...entryOf("again"), expiresAt: Date.now() + 3_600_000 });
    await Deno.remove(join(root, "test"), { recursive: true });
    await engine.set("large", { value: new Uint8Array(1_000_000), timestamp: 0 });
    assertEquals(await keysOf(engine), ["large"]);
  },
);

pairtreeTest(
  "a file where a folder should be is an EngineError",
  async ({ root, engine, file }) => {
    const blocked = join(root, "file");
    await Deno.writeTextFile(blocked, "");
    const open = complete(createEngine({ rootDir: blocked, name: "n", dbname: "main" }, {}));
    const error = await assertRejects(
      () => Promise.resolve(open.open()),
      EngineError,
      "a file is where a folder should be",
    );
    assertEquals([error.engine, error.operation], ["pairtree", "open"]);

    await Deno.writeTextFile(join(file("key"), ".."), "");
    for (const value of [new Uint8Array(10), new Uint8Array(1_000_000)]) {
      const failed = await rejection(() => engine.set("key", { value, timestamp: 0 }));
      assertInstanceOf(failed, EngineError);
      assertStringIncludes(
        failed.message,
        'Cannot set entry in engine "pairtree": a file is where',
      );
    }
    await Deno.mkdir(file("other"), { recursive: true });
    const read = await rejection(() => engine.get("other"));
    assertInstanceOf(read, EngineError);
    const written = await rejection(() => engine.set("other", entryOf("v")));
    assertInstanceOf(written, EngineError);
    assertEquals(unfinished(engine), []);
  },
);

pairtreeTest(
  "a read-only folder refuses changes and keeps its entries",
  async ({ bed, root, engine, file }) => {
    await engine.set("key", entryOf("value"));
    await whileReadOnly(join(file("key"), ".."), async () => {
      for (const value of [new Uint8Array(10), new Uint8Array(1_000_000)]) {
        const error = await rejection(() => engine.set("key", { value, timestamp: 0 }));
        assertInstanceOf(error, EngineError);
        assertStringIncludes(error.message, "the system does not let this user");
      }
      assertInstanceOf(await rejection(() => engine.delete("key")), EngineError);
      assertEquals(textOf(await engine.get("key")), "value");
      assertEquals(textOf(await (await bed.open()).get("key")), "value");
    });
    assertEquals((await engine.check({ fix: false })).problems, []);
    const closed = join(root, "closed");
    await Deno.mkdir(closed);
    await whileReadOnly(closed, async () => {
      await assertRejects(
        async () => await bed.open({}, { rootDir: closed }),
        EngineError,
        "the system does not let",
      );
    });
  },
);

pairtreeTest(
  "a write that fails half-way keeps the earlier value and leaves nothing",
  async ({ root, engine }) => {
    await engine.set("small", entryOf("earlier"));
    await engine.set("large", entryOf("earlier"));
    const script = join(root, "script.ts");
    await Deno.writeTextFile(
      script,
      `
    import { complete } from ${
        JSON.stringify(new URL("../../engines/complete.ts", import.meta.url).href)
      };
    import { pairtree } from ${
        JSON.stringify(new URL("../../engines/pairtree/mod.ts", import.meta.url).href)
      };
    const location = { rootDir: ${JSON.stringify(root)}, name: "test", dbname: "main" };
    const engine = complete(pairtree(location, {}));
    await engine.open();
    for (const [key, size] of [["small", 100_000], ["large", 1_000_000]] as const) {
      try {
        await engine.set(key, { value: new Uint8Array(size), timestamp: 0 });
      } catch (error) {
        if (error instanceof Error) console.log(error.name, "operation" in error && error.operation);
      }
    }
    `,
    );
    // The system refuses files of more than 64 blocks of 512 bytes, as it refuses a write when the
    // disk is full.
    const limited = 'trap "" XFSZ; ulimit -f 64; exec "$0" run -A --no-check "$1"';
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", limited, Deno.execPath(), script],
    }).output();
    const output = new TextDecoder().decode(stdout);
    assertEquals(output, "EngineError set\nEngineError set\n", new TextDecoder().decode(stderr));
    assertEquals(textOf(await engine.get("small")), "earlier");
    assertEquals(textOf(await engine.get("large")), "earlier");
    assertEquals(await engine.check({ fix: false }), { checked: 2, problems: [] });
    assertEquals(unfinished(engine), []);
  },
);

const CHILD = (root: string) => `
  import { complete } from "./engines/complete.ts";
  import { pairtree } from "./engines/pairtree/mod.ts";
  const location = { rootDir: ${JSON.stringify(root)}, name: "test", dbname: "main" };
  const engine = complete(pairtree(location, {}));
  async function attempt(what: () => unknown) {
    try {
      const result = await what();
      console.log(result instanceof Object && "value" in result ? String(result.value) : result);
    } catch (error) {
      console.log(error instanceof Error ? error.name + ": " + error.message : error);
    }
  }
  await attempt(() => engine.open());
  await attempt(() => engine.set("new", { value: new Uint8Array([1, 2]), timestamp: 0 }));
  await attempt(() => engine.get("old"));
`;

pairtreeTest("permissions that are missing are named", async ({ root, engine }) => {
  await engine.set("old", { value: Uint8Array.of(7), timestamp: 0 });
  const flags = `--allow-read="${root}" --allow-write="${root}"`;
  const none = await runScript(CHILD(root), ["--no-prompt"]);
  assertStringIncludes(none.stdout, 'EngineError: Cannot open engine "pairtree": no permission');
  assertStringIncludes(none.stdout, flags);
  const reader = (await runScript(CHILD(root), ["--no-prompt", `--allow-read=${root}`])).stdout;
  const [opened, set, got] = reader.split("\n");
  assertEquals(opened, "undefined");
  assertStringIncludes(set, 'EngineError: Cannot set entry in engine "pairtree": no permission');
  assertStringIncludes(set, flags);
  assertEquals(got, "7");
});

pairtreeTest("it needs no more than to read and write its root", async ({ root }) => {
  const contract = `
    import { engineContract } from "./engines/contract/mod.ts";
    import { pairtree as createEngine } from "./engines/pairtree/mod.ts";
    const create = (location: { name: string; dbname: string }) =>
      createEngine({ rootDir: ${JSON.stringify(root)}, ...location }, {});
    const cases = engineContract({ create });
    for (const { fn } of cases) await fn();
    console.log(cases.length > 40);
  `;
  const { stdout, stderr } = await runScript(contract, [
    "--no-prompt",
    `--allow-read=${root}`,
    `--allow-write=${root}`,
  ]);
  assertEquals(stdout, "true\n", stderr);
});

pairtreeTest(
  "a lock that another process holds keeps changes waiting, not the event loop",
  async ({ engine }) => {
    await engine.set("key", entryOf("old"));
    const path = join(engine.path, ".locks", placeOf("key").folder[0]);
    const holder = await holdElsewhere(path);
    let set = false;
    const setting = (async () => {
      await engine.set("key", entryOf("new"));
      set = true;
    })();
    for (let tick = 0; tick < 20; tick++) await new Promise((resolve) => setTimeout(resolve, 2));
    assertEquals(set, false);
    assertEquals(textOf(await engine.get("key")), "old");
    // The system takes the lock from a process that ends, however it does.
    await holder[Symbol.asyncDispose]();
    await setting;
    assertEquals(textOf(await engine.get("key")), "new");
  },
);

pairtreeTest("many large writes at once wait for each other", async ({ bed, engine }) => {
  const other = await bed.open();
  // More than the threads that could wait for locks in the system's way.
  const writes = Array.from({ length: 700 }, (_, i) => {
    const value = new Uint8Array(140_000).fill(i);
    return (i % 2 > 0 ? engine : other).set(`key ${i % 5}`, { value, timestamp: i });
  });
  await Promise.all(writes);
  assertEquals(await engine.size(), 5);
  assertEquals(await engine.check({ fix: false }), { checked: 5, problems: [] });
});

pairtreeTest("a lock excludes another holder in the same process", async ({ root }) => {
  const path = join(root, "locks", "lock");
  const order: number[] = [];
  const first = await FileLock.take(path);
  assertEquals(FileLock.tryTake(path), undefined);
  const others = [1, 2, 3].map(async (i) => {
    const lock = await FileLock.take(path);
    order.push(i);
    assertEquals(FileLock.tryTake(path), undefined);
    await new Promise((resolve) => setTimeout(resolve, 1));
    order.push(i);
    lock[Symbol.dispose]();
  });
  first[Symbol.dispose]();
  await Promise.all(others);
  assertEquals(order, [1, 1, 2, 2, 3, 3]);
});

pairtreeTest("only what is not there is a miss", async ({ bed, root, engine, file }) => {
  await engine.set("key", entryOf("value"));
  // Reads that follow a miss take a shorter way.
  assertEquals(await engine.get("absent"), undefined);
  assertEquals(await engine.has("absent"), false);
  const folder = join(file("key"), "..");
  await Deno.rename(folder, `${folder}.away`);
  await Deno.symlink(basename(folder), folder);
  const operations: Record<string, () => unknown> = {
    get: () => engine.get("key"),
    has: () => engine.has("key"),
    delete: () => engine.delete("key"),
    set: () => engine.set("key", entryOf("other")),
    getMany: () => engine.getMany(["absent", "key"]),
  };
  for (const [name, operation] of Object.entries(operations)) {
    const error = await rejection(operation);
    assertInstanceOf(error, EngineError, name);
    assertStringIncludes(error.message, "a link is where a folder should be");
  }
  await Deno.remove(folder);
  await Deno.rename(`${folder}.away`, folder);
  assertEquals(textOf(await engine.get("key")), "value");
  await Deno.rename(join(root, "test"), join(root, "away"));
  await Deno.writeTextFile(join(root, "test"), "");
  assertInstanceOf(await rejection(() => engine.get("key")), EngineError);
  assertInstanceOf(await rejection(() => engine.has("key")), EngineError);
  await assertRejects(async () => await bed.open(), EngineError, "a file is where a folder");
});

pairtreeTest("what may not be read is no miss", async ({ root, engine, file }) => {
  await engine.set("old", entryOf("value"));
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pairtree } from "./engines/pairtree/mod.ts";
    const location = { rootDir: ${JSON.stringify(root)}, name: "test", dbname: "main" };
    const engine = complete(pairtree(location));
    await engine.open();
    console.log(await engine.get("absent"), await engine.has("absent"));
    for (const read of [() => engine.get("old"), () => engine.has("old"), () => engine.get("other")]) {
      try {
        console.log(await read());
      } catch (error) {
        console.log(error.name, error.operation);
      }
    }
  `;
  const folder = join(file("old"), "..");
  const flags = ["--no-prompt", `--allow-read=${root}`, `--deny-read=${folder}`];
  const { stdout, stderr } = await runScript(script, flags);
  const expected = ["undefined false", "EngineError get", "EngineError has", "undefined", ""];
  assertEquals(stdout.split("\n"), expected, stderr);
});

pairtreeTest("a store that may only be read can be read and checked", async (store) => {
  const { root, engine, file } = store;
  await engine.setMany([["old", entryOf("value")], ["bad", entryOf("value")]]);
  await Deno.writeTextFile(file("bad"), "cut o");
  await Deno.writeTextFile(writingOf(engine, "old"), "cut o");
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pairtree } from "./engines/pairtree/mod.ts";
    const location = { rootDir: ${JSON.stringify(root)}, name: "test", dbname: "main" };
    const engine = complete(pairtree(location));
    await engine.open();
    const { checked, problems } = await engine.check({ fix: false });
    console.log(checked, problems.map(({ kind }) => kind).sort().join(" "));
    console.log(await engine.size(), (await engine.get("old")).value.length, await engine.byteSize() > 0);
    try {
      await engine.check({ fix: true });
    } catch (error) {
      console.log(error.name, error.operation);
    }
    await engine.close();
  `;
  const { stdout, stderr } = await runScript(script, ["--no-prompt", `--allow-read=${root}`]);
  assertEquals(stdout, "2 damaged leftover\n2 5 true\nEngineError check\n", stderr);
  const lock = join(engine.path, ".locks", placeOf("old").folder[0]);
  await whileReadOnly(lock, async () => {
    assertEquals((await engine.check({ fix: false })).problems.length, 2);
  });
});

pairtreeTest("what is in the way on a full disk is said, and freeing works", async ({ root }) => {
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pairtree } from "./engines/pairtree/mod.ts";
    const location = { rootDir: Deno.args[0], name: "n", dbname: "main" };
    const engine = complete(pairtree(location));
    await engine.open();
    const entry = (size: number) => ({ value: new Uint8Array(size), timestamp: 0 });
    await engine.set("kept", entry(10));
    let full = "";
    for (let i = 0; i < 100 && full === ""; i++) {
      try {
        await engine.set("key " + i, entry(100_000));
      } catch (error) {
        full = error.message;
      }
    }
    console.log(full.includes("is full; free some space"), full.includes(Deno.args[0]));
    // Until there is no room for a byte.
    for (let size = 50_000; size > 0; size >>= 1) {
      try {
        for (let i = 0;; i++) await engine.set(size + " " + i, entry(size));
      } catch {
        // Smaller ones may still fit.
      }
    }
    console.log((await engine.get("kept")).value.length, await engine.delete("key 0"));
    await engine.set("new", entry(50_000));
    console.log((await engine.check({ fix: true })).problems.length, await engine.prune());
    await engine.clear(true);
    console.log(await engine.size());
    await engine.set("new", entry(1_000_000));
  `;
  const printed = await runOnSmallDisk(root, 4_000_000, script);
  if (printed === undefined) return;
  assertEquals(printed, "true true\n10 true\n0 0\n0\n");
});

/** A process that holds a lock until it is killed, and may be stopped meanwhile. */
async function holdElsewhere(path: string): Promise<AsyncDisposable & { stop(): void }> {
  const script = `Deno.openSync(${
    JSON.stringify(path)
  }, { write: true, create: true }).lockSync(true);
    console.log("held"); setTimeout(() => undefined, 60_000);`;
  const holder = new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped" })
    .spawn();
  const reader = holder.stdout.getReader();
  await reader.read();
  return {
    stop: () => holder.kill("SIGSTOP"),
    async [Symbol.asyncDispose]() {
      holder.kill("SIGKILL");
      await reader.cancel();
      await holder.status;
    },
  };
}

pairtreeTest("one limit holds for a whole wait, however many wait before", async ({ root }) => {
  const path = join(root, "lock");
  const holder = await holdElsewhere(path);
  holder.stop();
  const start = performance.now();
  const waits = Array.from({ length: 6 }, () => FileLock.take(path, { patience: 400 }));
  const patient = FileLock.take(path, { patience: 60_000 });
  for (const result of await Promise.allSettled(waits)) {
    assert(result.status === "rejected");
    assertStringIncludes(result.reason.message, `${path} locked for 0.4 s`);
  }
  assert(performance.now() - start < 1_200);
  // Who comes later waits behind who came before, and those who gave up are in nobody's way.
  const later = FileLock.take(path, { patience: 60_000 });
  await holder[Symbol.asyncDispose]();
  const order: string[] = [];
  const locks = [["patient", patient], ["later", later]] as const;
  await Promise.all(locks.map(async ([name, taking]) => {
    using _lock = await taking;
    order.push(name);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }));
  assertEquals(order, ["patient", "later"]);
});

pairtreeTest("a lock that is not to be had keeps no program from ending", async ({ root }) => {
  const path = join(root, "lock");
  await using holder = await holdElsewhere(path);
  holder.stop();
  const script = `
    import { FileLock } from "./platform/file_lock.ts";
    const waits = [1, 2, 3].map(() => FileLock.take(${JSON.stringify(path)}, { patience: 100 }));
    console.log((await Promise.allSettled(waits)).map(({ status }) => status).join(" "));
  `;
  const start = performance.now();
  const { stdout } = await runScript(script, ["-A"]);
  assertEquals(stdout, "rejected rejected rejected\n");
  assert(performance.now() - start < 20_000);
});

pairtreeTest("close waits for what waits", async ({ engine, bed }) => {
  const path = join(engine.path, ".locks", placeOf("key").folder[0]);
  let closed = false;
  const holder = await holdElsewhere(path);
  const setting = engine.set("key", entryOf("value"));
  const closing = Promise.resolve(engine.close()).then(() => closed = true);
  for (let tick = 0; tick < 20; tick++) await new Promise((resolve) => setTimeout(resolve, 2));
  assertEquals(closed, false);
  await holder[Symbol.asyncDispose]();
  await Promise.all([setting, closing]);
  assertEquals(textOf(await (await bed.open()).get("key")), "value");
});

/** What is flushed to the disk while something runs: files by their size, folders by their name. */
async function flushes(fn: () => Promise<unknown>): Promise<string[]> {
  const flushed: string[] = [];
  const { sync, syncData } = Deno.FsFile.prototype;
  const { open } = Deno;
  const folders = new WeakMap<Deno.FsFile, string>();
  Deno.open = async (path, options) => {
    const file = await open(path, options);
    folders.set(file, String(path));
    return file;
  };
  Deno.FsFile.prototype.sync = async function () {
    await sync.call(this);
    flushed.push(basename(folders.get(this) ?? "?"));
  };
  Deno.FsFile.prototype.syncData = async function () {
    await syncData.call(this);
    flushed.push(`${this.statSync().size > 10} file`);
  };
  try {
    await fn();
  } finally {
    Object.assign(Deno.FsFile.prototype, { sync, syncData });
    Deno.open = open;
  }
  return flushed;
}

pairtreeTest("with sync each change is on the disk when it resolves", async ({ bed, engine }) => {
  const through = await bed.open({ sync: true });
  const { folder } = placeOf("key");
  const entry = entryOf("value");
  assertEquals(await flushes(async () => await engine.set("key", entry)), []);
  assertEquals(await flushes(async () => await through.set("key", entry)), ["true file", folder]);
  const large = { ...entry, value: new Uint8Array(1_000_000) };
  assertEquals(await flushes(async () => await through.set("key", large)), ["true file", folder]);
  assertEquals(await flushes(async () => await through.delete("key")), [folder]);
  // The folder of a new key is new too.
  const other = placeOf("other").folder;
  const made = await flushes(async () => await through.set("other", entry));
  assertEquals(made, ["main", "true file", other]);
  const swap = async () =>
    await through.compareAndSet("other", await through.get("other"), undefined);
  assertEquals(await flushes(swap), [other]);
  await through.set("key", entry);
  assertEquals((await flushes(async () => await through.clear())).sort(), [folder, other].sort());
  assertEquals(unfinished(engine), []);
});

pairtreeTest("files are their owner's alone, or of the mode that is asked for", async (store) => {
  if (Deno.build.os === "windows") return;
  const { bed, root } = store;
  const umask = Deno.umask(0o022);
  try {
    for (const [mode, folders] of [[undefined, 0o700], [0o640, 0o750], [0o666, 0o777]] as const) {
      const name = `Mode ${mode}`;
      const engine = await bed.open({ mode }, { name, rootDir: join(root, name, "new") });
      for (const size of [1, 1_000_000]) {
        const entry = { value: new Uint8Array(size), timestamp: 0, expiresAt: Date.now() + 99_999 };
        await engine.set(`key ${size}`, entry);
        const through = await bed.open({ mode, sync: true }, {
          name,
          rootDir: join(root, name, "new"),
        });
        await through.set(`through ${size}`, entry);
      }
      const made = [join(root, name), ...filesBelow(join(root, name))];
      assert(made.length > 15);
      for (const path of made) {
        const stat = await Deno.stat(path);
        const expected = stat.isDirectory ? folders : mode ?? 0o600;
        assertEquals((stat.mode ?? 0) & 0o777, expected, path);
      }
    }
  } finally {
    Deno.umask(umask);
  }
});

pairtreeTest(
  "a store keeps the names that hashes stand for, and is nobody else's",
  async (store) => {
    const { bed, root } = store;
    const name = "My cache";
    const engine = await bed.open({}, { name, dbname: "main/A b" });
    await engine.set("key", entryOf("value"));
    const folder = join(root, encodeSegment(name));
    assertEquals(await Deno.readTextFile(join(folder, ".name")), '"My cache"\n');
    assertEquals(await Deno.readTextFile(`${engine.path}.name`), '"A b"\n');
    assertEquals(
      textOf(await (await bed.open({}, { name, dbname: "main/A b" })).get("key")),
      "value",
    );
    await engine.clear(true);
    for (const path of [join(folder, ".name"), `${engine.path}.name`]) {
      const kept = await Deno.readTextFile(path);
      // As if another name had the same hash.
      await Deno.writeTextFile(path, '"Another"\n');
      const taken = bed.open({}, { name, dbname: "main/A b" });
      const error = await assertRejects(() => taken, EngineError, '"Another"');
      assertEquals(error.operation, "open");
      await Deno.writeTextFile(path, kept);
    }
    assertEquals(filesBelow(root).filter((path) => path.endsWith(".name")).length, 2);
  },
);

pairtreeTest("its options are checked", async ({ root }) => {
  await Promise.resolve();
  const location = { rootDir: root, name: "test", dbname: "main" };
  assertThrows(() => createEngine(location, { path: "x" }), TypeError, '"path"');
  assertThrows(() => createEngine(location, { sync: 1 }), TypeError, '"sync"');
  assertThrows(() => createEngine(location, { mode: "600" }), TypeError, '"mode"');
  assertThrows(() => createEngine(location, { mode: 0o200 }), RangeError, '"mode"');
});
