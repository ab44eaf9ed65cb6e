/**
 * What is particular to the engine "pickledb": the file as people and Python have it, bursts,
 * damage.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { basename, dirname, join } from "node:path";
import { DecodeError } from "../../codec/errors.ts";
import { bedTests, type Store, type TestBed } from "../support/bed.ts";
import { entryOf, textAt } from "../support/entries.ts";
import { runPython } from "../support/python.ts";
import { EngineError } from "../../engines/errors.ts";
import type { EngineFactory, EngineProblem } from "../../engines/engine.ts";
import { pickledb } from "../../engines/pickledb/mod.ts";
import { runScript } from "../support/child.ts";
import { checkDocument } from "../../engines/pickledb/check.ts";
import { Document } from "../../engines/pickledb/store.ts";
import { makeItem } from "../../engines/pickledb/format.ts";
import { runOnSmallDisk } from "../support/small_disk.ts";
import { whileReadOnly } from "../support/read_only.ts";
import { RandomValues, testSeed } from "../support/random.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** With options as they come at run time, which the compiler has not checked. */
const createEngine: EngineFactory = pickledb;

contractTests("pickledb");
behaviours("pickledb");
processTests("pickledb");
killTests("pickledb", undefined, {
  async debris(root) {
    const names = await Array.fromAsync(Deno.readDir(`${root}/kill/pickledb`));
    return names.map(({ name }) => name).filter((name) => !/^main\.json(\.lock)?$/.test(name));
  },
});
stashProcessesTest("pickledb");

/** A file in a folder of its own, and an engine on it. */
interface Filled {
  readonly bed: TestBed;
  readonly path: string;
  readonly engine: Store;
}

const register = bedTests("pickledb", "pickledb:");

/** Registers a test on a file; with `content`, that is in it at first. */
function test(name: string, fn: (store: Filled) => Promise<void>, content?: string): void {
  register(name, async (bed) => {
    const path = join(bed.root, "db.json");
    if (content !== undefined) await Deno.writeTextFile(path, content);
    await fn({ bed, path, engine: await bed.open({ path }) });
  });
}

const encoder = new TextEncoder();

async function read(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Reads a file as the strictest version of Python's pickleDB does; its keys. */
const STRICT = `
import json, sys
def refuse(token): raise ValueError(token)
def integer(digits):
    number = int(digits)
    assert -2**63 <= number < 2**64, digits
    return number
with open(sys.argv[1], encoding="ascii") as file:
    data = json.load(file, parse_constant=refuse, parse_int=integer)
json.dumps(data, ensure_ascii=False).encode("utf-8")
print(json.dumps(data["plain"]), len(data))
`;

test("JSON stands in the file as it is, in a line that a person can read", async ({ path, engine }) => {
  await engine.set("my_key", entryOf('{"name":"John","age":30}'));
  await engine.setMany([["list", entryOf("[1, 2.50,true]")], ["é\n", entryOf('"naïve 😀"')]]);
  assertEquals(
    await Deno.readTextFile(path),
    '{\n"my_key": {"name":"John","age":30},\n"list": [1, 2.50,true],\n' +
      '"\\u00e9\\n": "na\\u00efve \\ud83d\\ude00"\n}\n',
  );
  assertEquals(await textAt(engine, "list"), "[1, 2.50,true]");
  assertEquals(JSON.parse(await textAt(engine, "é\n") ?? ""), "naïve 😀");
});

test("what is not JSON, or too much for Python's pickleDB, is coded and comes back", async ({ path, engine }) => {
  const deep = "[".repeat(800) + "]".repeat(800);
  const values: [string, string | Uint8Array, string][] = [
    ["bytes", Uint8Array.of(0, 1, 255), "base64"],
    ["no UTF-8", Uint8Array.of(0x22, 0xff, 0x22), "base64"],
    ["base64", "KLUv_SAAAQAA", "text"],
    ["empty", "", "text"],
    ["NaN", "NaN", "text"],
    ["broken", '{"a":', "text"],
    ["large integer", "[1,100000000000000000000]", "text"],
    ["large exponent", "1e999", "text"],
    ["half a character", '["\\ud800"]', "text"],
    ["deep", deep, "text"],
    ["deep with numbers", deep.replace("]", "1,2.5e3]"), "text"],
    ["marked", '{"$hashstash":{"timestamp":1,"text":"x"}}', "json"],
    ["spaced mark", '{ "$hashstash" : 1}', "json"],
    ["non-ASCII, large", '["é",100000000000000000000]', "base64"],
  ];
  for (const [key, value, form] of values) {
    await engine.set(key, entryOf(value));
    const coded = (await read(path))[key] as Record<string, Record<string, unknown>>;
    assertEquals(Object.keys(coded), ["$hashstash"], key);
    assertEquals(Object.keys(coded.$hashstash), ["timestamp", form], key);
  }
  await engine.set("plain", entryOf('[9223372036854775808,-1,1e99,"\\ud83d\\ude00 1e999"]'));
  await engine.set("expiring", entryOf("[1]", Date.now() + 3_600_000));
  await engine.close();
  await engine.open();
  for (const [key, value] of values) {
    assertEquals((await engine.get(key))?.value, entryOf(value).value, key);
  }
  assertEquals(await textAt(engine, "expiring"), "[1]");
  assertEquals(
    await runPython(STRICT, path),
    '[9223372036854775808, -1, 1e+99, "\\ud83d\\ude00 1e999"] 16',
  );
});

test("what Python wrote is read as what it is, and kept when others are set", async ({ path, engine }) => {
  await runPython(
    `
import json, sys
data = {"text": "caf\\u00e9", "big": 2**60, "huge": 2**80, "float": 0.1, "none": None, "deep": {"a": [1, {"b": []}]},
  "esc\\\\aped \\"key\\"": " \\n", "$hashstash": {"$hashstash": 1, "two": 2}, "nan": float("nan"), "\\u0001": [], "": {}}
json.dump(data, open(sys.argv[1], "w"), indent=4)
`,
    path,
  );
  const expected: [string, string][] = [
    ["text", '"caf\\u00e9"'],
    ["big", "1152921504606846976"],
    ["huge", "1208925819614629174706176"],
    ["float", "0.1"],
    ["none", "null"],
    ['esc\\aped "key"', '" \\n"'],
    ["nan", '{"$rich":{"$":"NaN"}}'],
    ["\u0001", "[]"],
    ["", "{}"],
  ];
  for (let i = 0; i < 2; i++) {
    for (const [key, text] of expected) assertEquals(await textAt(engine, key), text, key);
    assertEquals(JSON.parse(await textAt(engine, "deep") ?? ""), { a: [1, { b: [] }] });
    assertEquals(JSON.parse(await textAt(engine, "$hashstash") ?? ""), { $hashstash: 1, two: 2 });
    await engine.set("new", entryOf("1"));
  }
  assertEquals((await engine.check({ fix: false })).problems, []);
  await runPython(
    'import json, sys; d = json.load(open(sys.argv[1])); assert d["huge"] == 2**80 and d["new"] == 1',
    path,
  );
});

test("long texts of another program stay as they are, of whatever characters", async ({ path, engine }) => {
  await engine.set("ours", entryOf("1"));
  // Of all lengths in UTF-8, across the ends of what is written at once.
  const texts = [0, 1, 2, 3].map((i) => "x".repeat(i) + "é€😀".repeat(100_000));
  const others = texts.map((text, i) => `"${i}": "${text}"`).join(", ");
  await Deno.writeTextFile(path, `{${others}, "ours": 1}`);
  await engine.setMany([["ours", entryOf("2")], ["large", entryOf(`"${"y".repeat(1_000_000)}"`)]]);
  const saved = JSON.parse(await Deno.readTextFile(path));
  assertEquals(texts.map((text, i) => saved[i] === text), [true, true, true, true]);
  assertEquals([saved.ours, saved.large.length], [2, 1_000_000]);
});

test("Python's NaN and infinities are values, and stay as they are", async ({ bed, path }) => {
  await runPython(
    `
import json, sys
nan, inf = float("nan"), float("inf")
data = {"nan": nan, "inf": inf, "minus": -inf, "list": [1, nan, [inf], "NaN \\" -Infinity", 2**70],
  "object": {"NaN": nan, "$x": {"$y": nan}, "\u00e9": "Infinity"}, "text": "NaN", "deep": [[[[nan]]]]}
json.dump(data, open(sys.argv[1], "w"))
`,
    path,
  );
  await using stash = bed.stash({ engineOptions: { path } });
  for (let i = 0; i < 2; i++) {
    assertEquals(await stash.get("nan"), NaN);
    assertEquals([await stash.get("inf"), await stash.get("minus")], [Infinity, -Infinity]);
    assertEquals(await stash.get("list"), [1, NaN, [Infinity], 'NaN " -Infinity', 2n ** 70n]);
    const object = { NaN: NaN, $x: { $y: NaN }, "é": "Infinity" };
    assertEquals(await stash.get("object"), object);
    assertEquals(await stash.get("text"), "NaN");
    assertEquals(await stash.get("deep"), [[[[NaN]]]]);
    await stash.set("new", 1);
  }
  assertEquals((await stash.check()).problems, []);
  assertEquals(await stash.modify("nan", (value) => [value]), [NaN]);
  assertEquals(await stash.get("nan"), [NaN]);
  assertStringIncludes(await Deno.readTextFile(path), '"list": [1, NaN, [Infinity],');
});

test("coded entries survive that Python loads and saves the file", async ({ path, engine }) => {
  await engine.set("bytes", entryOf(Uint8Array.of(1, 2, 3)));
  const expiresAt = Date.now() + 3_600_000;
  await engine.set("expiring", {
    ...entryOf('{"big":12345678901234567890}', expiresAt),
    timestamp: 5,
  });
  await runPython(
    `
import json, os, sys
data = json.load(open(sys.argv[1]))
data["python"] = [1]
with open(sys.argv[1] + ".tmp", "w") as file: json.dump(data, file, sort_keys=True, separators=(" , ", " : "))
os.replace(sys.argv[1] + ".tmp", sys.argv[1])
`,
    path,
  );
  assertEquals((await engine.get("bytes"))?.value, Uint8Array.of(1, 2, 3));
  const { expiresAt: found, timestamp } = await engine.get("expiring") ?? {};
  assertEquals([found, timestamp], [expiresAt, 5]);
  assertEquals(await textAt(engine, "expiring"), '{"big" : 12345678901234567890}');
  assertEquals(await textAt(engine, "python"), "[1]");
  assertEquals(await engine.size(), 3);
  await engine.set("key", entryOf("1"));
  assertEquals(Object.keys(await read(path)), ["bytes", "expiring", "python", "key"]);
});

test("a plain value was set when the file was saved, or before", async ({ path, engine }) => {
  const before = Date.now();
  await engine.set("key", entryOf("1"));
  const timestamp = (await engine.get("key"))?.timestamp ?? 0;
  assert(timestamp >= before && timestamp <= Date.now() + 1_000);
  assertEquals(timestamp, (await Deno.stat(path)).mtime?.getTime());
});

test("the last of two members with one key wins, as in JSON", async ({ engine }) => {
  assertEquals(await textAt(engine, "a"), "3");
  assertEquals(await engine.size(), 2);
}, '{"a": 1, "b": 2, "a": 3}');

test("a burst of sets shares saves", async ({ path, engine }) => {
  const watcher = Deno.watchFs(dirname(path));
  let saves = 0;
  const watching = (async () => {
    for await (const { kind, paths } of watcher) {
      if (kind === "create" && paths.some((path) => path.endsWith(".saving"))) saves++;
    }
  })();
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => engine.set(`key ${i}`, entryOf(String(i)))),
  );
  assertEquals(Object.keys(await read(path)).length, 1_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  watcher.close();
  await watching;
  assert(saves >= 1 && saves <= 5, `${saves} saves`);
});

test("any number of sets can wait for one save", async ({ engine }) => {
  const entry = entryOf("1");
  // More than a call takes as arguments.
  const sets = Array.from({ length: 150_000 }, (_, i) => engine.set(`key ${i}`, entry));
  await Promise.all(sets);
  assertEquals(await engine.size(), sets.length);
});

test("a set that can't be saved rejects and leaves what was there", async ({ path, engine }) => {
  await engine.set("key", entryOf("1"));
  const content = await Deno.readTextFile(path);
  await Deno.remove(`${path}.lock`);
  await Deno.mkdir(`${path}.lock`);
  const failed = await Promise.allSettled([
    engine.set("key", entryOf("2")),
    engine.setMany([["a", entryOf("3")]]),
    engine.compareAndSet("key", await engine.get("key"), entryOf("4")),
  ]);
  for (const result of failed) {
    assert(result.status === "rejected" && result.reason instanceof EngineError);
    assertStringIncludes(result.reason.message, 'engine "pickledb"');
  }
  assertEquals(await textAt(engine, "key"), "1");
  assertEquals(await Deno.readTextFile(path), content);
  await Deno.remove(`${path}.lock`);
  await engine.set("key", entryOf("5"));
  assertEquals(await read(path), { key: 5 });
});

test("two quick saves of the same length never look the same to another reader", async ({ path, engine }) => {
  const states = new Set<string>();
  for (let i = 0; i < 30; i++) {
    await engine.set("key", entryOf(String(100 + i)));
    const { mtime, size } = await Deno.stat(path);
    states.add(`${mtime?.getTime()} ${size}`);
  }
  assertEquals(states.size, 30);
});

const DAMAGED: Record<string, string> = {
  "empty, as a power failure may leave it": "",
  "only spaces": " \n\n ",
  "truncated": '{\n"a": 1,\n"b": [1,2',
  "truncated inside a string": '{\n"a": 1,\n"b": "x',
  "no end": '{\n"a": 1,\n"b": 2,\n',
  "an array": "[1]",
  "text": "my notes",
  "two objects": '{"a":1}{"b":2}',
  "a missing comma": '{\n"a": 1\n"b": 2\n}\n',
};

for (const [what, content] of Object.entries(DAMAGED)) {
  test(`a damaged file is an error and stays as it is: ${what}`, async ({ path, engine }) => {
    await Deno.utime(path, new Date(), new Date(Date.now() - 10_000));
    const operations: Record<string, () => unknown> = {
      get: () => engine.get("a"),
      has: () => engine.has("a"),
      size: () => engine.size(),
      keys: () => Array.fromAsync(engine.keys()),
      set: () => engine.set("a", entryOf("1")),
      delete: () => engine.delete("a"),
      compareAndSet: () => engine.compareAndSet("a", undefined, entryOf("1")),
    };
    for (const operation of Object.values(operations)) {
      const error = await assertRejects(async () => await operation(), DecodeError, path);
      assertEquals(error.engine, "pickledb");
    }
    const { problems } = await engine.check({ fix: false });
    assertEquals(problems.map(({ kind, fixed }) => [kind, fixed]), [["damaged", false]]);
    assertEquals(await Deno.readTextFile(path), content);
  }, content);
}

test("check with fix keeps what can be read of a damaged file, and a copy of it", async ({ path, engine }) => {
  const content =
    '{\n"a": {"x":\n[1]},\n"b": [1,,2 "oops\n"c": "3",\n"d": {"$hashstash": {"base64": 1}},\n"e": tru,\n"f": 6';
  await Deno.writeTextFile(path, content);
  await Deno.utime(path, new Date(), new Date(Date.now() - 10_000));
  const { problems } = await engine.check({ fix: true });
  assertEquals(problems.map(({ kind, fixed }) => [kind, fixed]), [["damaged", true]]);
  assertEquals(await read(path), { a: { x: [1] }, c: "3" });
  assertEquals((await engine.check({ fix: true })).problems, []);
  const aside = [...Deno.readDirSync(dirname(path))].filter(({ name }) => name.includes("damaged"));
  assertEquals(aside.length, 1);
  assertEquals(await Deno.readTextFile(join(dirname(path), aside[0].name)), content);
  await engine.set("b", entryOf("2"));
  assertEquals(await engine.size(), 3);
});

test(
  "one damaged entry leaves the others readable",
  async ({ path, engine }) => {
    const found = await assertRejects(async () => await engine.get("coded"), DecodeError);
    assertEquals([found.engine, found.key], ["pickledb", "coded"]);
    assertEquals(await textAt(engine, "a"), "1");
    await engine.set("b", entryOf("2"));
    const named = (await engine.check({ fix: false })).problems.map(({ key }) => key);
    assertEquals(named, ["coded", "cut", "plain"]);
    assertEquals((await engine.check({ fix: true })).problems.every(({ fixed }) => fixed), true);
    assertEquals((await engine.check({ fix: true })).problems, []);
    assertEquals(await read(path), { a: 1, b: 2 });
    assertEquals([...Deno.readDirSync(dirname(path))].length, 3);
  },
  '{"a": 1, "coded": {"$hashstash": {"timestamp": 1, "base64": "?"}}, "cut": {"$hashstash": {}}, "plain": [1,,2]}',
);

const CODED: Record<string, string> = {
  "a number for base64": '{"timestamp":1,"base64":5}',
  "an object for text": '{"timestamp":1,"text":{}}',
  "a text for the time": '{"timestamp":"1","text":"x"}',
  "a deadline that is none": '{"timestamp":1,"expiresAt":null,"text":"x"}',
  "no time": '{"text":"x"}',
  "no object": "5",
  "null": "null",
  "deep": `{"timestamp":1,"json":${"[".repeat(100_000)}`,
};

test("one bad entry is one problem, and stands in no other's way", async ({ path, engine }) => {
  const deep = `${"[".repeat(100_000)}NaN${"]".repeat(100_000)}`;
  const write = async () => {
    const bad = Object.entries(CODED).map(([key, text]) => {
      return `"${key}": {"$hashstash":${text}${key === "deep" ? "]".repeat(100_000) + "}" : ""}}`;
    });
    await Deno.writeTextFile(path, `{"good": 1, ${bad.join()}, "NaN": [NaN,,], "last": ${deep}}`);
  };
  await write();
  const keys = [...Object.keys(CODED).filter((key) => key !== "deep"), "NaN", "last"];
  for (const key of keys.slice(0, -2)) {
    const error = await assertRejects(async () => await engine.get(key), DecodeError);
    assertEquals([error.engine, error.key], ["pickledb", key]);
  }
  assertEquals(await engine.size(), keys.length + 2);
  assertEquals((await Array.fromAsync(engine.keys())).length, keys.length + 2);
  const { checked, problems } = await engine.check({ fix: false });
  assertEquals(checked, keys.length + 2);
  assertEquals(problems.map(({ key }) => key), keys);
  assertEquals(await engine.delete(keys[0]), true);
  assertEquals(await engine.prune(), 0);
  assertEquals((await engine.check({ fix: true })).problems.length, keys.length - 1);
  assertEquals((await Array.fromAsync(engine.keys())).sort(), ["deep", "good"]);
  await write();
  await engine.clear();
  assertEquals(await read(path), {});
});

test("a large damaged file is repaired in time that grows with its size", async ({ path, engine }) => {
  // In each line a bracket, or a string, that is not closed.
  const lines = Array.from({ length: 20_000 }, (_, i) => `"${i}": ${i % 3 > 0 ? '[{"a' : i},`);
  await Deno.writeTextFile(path, `{\n${lines.join("\n")}\n`);
  await Deno.utime(path, new Date(), new Date(Date.now() - 10_000));
  const start = performance.now();
  const [problem] = (await engine.check({ fix: true })).problems;
  assert(performance.now() - start < 5_000);
  assertStringIncludes(problem.detail, "6667 entries");
  assertEquals(await engine.size(), 6_667);
});

test("clear empties a damaged file and keeps a copy", async ({ path, engine }) => {
  await Deno.utime(path, new Date(), new Date(Date.now() - 10_000));
  await engine.clear();
  assertEquals(await engine.size(), 0);
  assertEquals(await Deno.readTextFile(path), "{}\n");
  assert([...Deno.readDirSync(dirname(path))].some(({ name }) => name.includes("damaged")));
}, "my notes");

test("a reader waits for a program that writes the file in place", async ({ path, engine }) => {
  using file = await Deno.open(path, { write: true });
  await file.write(encoder.encode('{"key": "a va'));
  const writing = (async () => {
    await new Promise((resolve) => setTimeout(resolve, 60));
    await file.write(encoder.encode('lue"}'));
  })();
  assertEquals(await textAt(engine, "key"), '"a value"');
  await writing;
}, "");

test("check removes what killed writers left, and nothing else", async ({ path, engine }) => {
  await engine.set("key", entryOf("1"));
  const left = `${path}.saving`;
  const others = [`${path}.tmp`, join(dirname(path), "notes.txt")];
  for (const other of [left, ...others]) await Deno.writeTextFile(other, "text");
  const { problems } = await engine.check({ fix: false });
  assertEquals(problems.map(({ kind }) => kind), ["leftover"]);
  assertEquals((await engine.check({ fix: true })).problems[0].fixed, true);
  const names = [...Deno.readDirSync(dirname(path))].map(({ name }) => name).sort();
  assertEquals(names, ["db.json", "db.json.lock", "db.json.tmp", "notes.txt"]);
});

test("the next writer replaces what a killed one left", async ({ path, engine }) => {
  for (const value of ["1", `"${"x".repeat(2_000_000)}"`]) {
    await Deno.writeTextFile(`${path}.saving`, '{"key": "cut o');
    await engine.set("key", entryOf(value));
    assertEquals((await engine.check({ fix: false })).problems, []);
    assertEquals([...Deno.readDirSync(dirname(path))].length, 2);
    assertEquals(await textAt(engine, "key"), value);
  }
});

/**
 * Writes to a file as another program does that takes no lock: while a save is written, as often as
 * there are texts. Gives how many saves there were.
 */
async function withOtherProgram(
  path: string,
  texts: string[],
  fn: () => unknown,
): Promise<number> {
  const { syncData } = Deno.FsFile.prototype;
  let saves = 0;
  Deno.FsFile.prototype.syncData = async function () {
    await syncData.call(this);
    const text = texts[saves++];
    if (text === undefined) return;
    Deno.writeTextFileSync(path, text);
    Deno.utimeSync(path, saves, saves);
  };
  try {
    await fn();
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
  }
  return saves;
}

/** The contents of the copies that were kept of a damaged file. */
function copiesOf(path: string): string[] {
  const names = [...Deno.readDirSync(dirname(path))].map(({ name }) => name);
  const copies = names.filter((name) => name.startsWith(`${basename(path)}.damaged-`));
  return copies.map((name) => Deno.readTextFileSync(join(dirname(path), name)));
}

test("a change of another program while a save is written is not lost", async ({ path, engine }) => {
  await engine.set("key", entryOf("1"));
  const set = () => engine.set("ours", entryOf("3"));
  assertEquals(await withOtherProgram(path, ['{"key": 1, "theirs": 2}'], set), 2);
  assertEquals(await read(path), { key: 1, theirs: 2, ours: 3 });
});

test("a change of another program while check mends the file is not lost", async ({ path, engine }) => {
  const cut = '{\n"a": 1,\n"bad": [1,,2,';
  const damaged = '{"a": 1, "bad": [1,,2], "theirs": 2}';
  for (const before of ['{"a": 1, "bad": [1,,2]}', cut]) {
    for (const meanwhile of [[damaged], [`${cut} `, damaged], ['{"sound": 1}']]) {
      await Deno.writeTextFile(path, before);
      await Deno.utime(path, 1_000, 1_000);
      for (const { name } of [...Deno.readDirSync(dirname(path))]) {
        if (name.includes(".damaged-")) await Deno.remove(join(dirname(path), name));
      }
      let problems: readonly EngineProblem[] = [];
      await withOtherProgram(path, meanwhile, async () => {
        ({ problems } = await engine.check({ fix: true }));
      });
      const isSound = meanwhile[0].includes("sound");
      assertEquals(problems.map(({ key, fixed }) => [key, fixed]), isSound ? [] : [["bad", true]]);
      assertEquals(await read(path), isSound ? { sound: 1 } : { a: 1, theirs: 2 });
      assertEquals(copiesOf(path), isSound ? [] : [damaged]);
    }
  }
});

test("a change of another program after check has read the file is not lost", async ({ path }) => {
  await Deno.writeTextFile(path, '{"a": 1, "bad": [1,,2]}');
  const document = new Document(path, { mode: 0o600 });
  const items = document.items.bind(document);
  let reads = 0;
  document.items = async () => {
    const found = await items();
    if (++reads === 1) await Deno.writeTextFile(path, '{"a": 1, "bad": [1,,2], "theirs": 2}');
    return found;
  };
  const { checked, problems } = await checkDocument(document, true);
  assertEquals(checked, 3);
  assertEquals(problems.map(({ key, fixed }) => [key, fixed]), [["bad", true]]);
  assertEquals(await read(path), { a: 1, theirs: 2 });
});

test("clear empties a damaged file though another program writes to it", async ({ path, engine }) => {
  for (const meanwhile of [["still damaged"], ["still damaged", '{"sound": 1}']]) {
    await Deno.writeTextFile(path, "damaged");
    await Deno.utime(path, 1_000, 1_000);
    await withOtherProgram(path, meanwhile, () => engine.clear());
    assertEquals(await read(path), {});
  }
  assertEquals(copiesOf(path), ["still damaged"]);
});

test("damaged files of one millisecond are all kept", async ({ path, engine }) => {
  const { toISOString } = Date.prototype;
  Date.prototype.toISOString = () => "2026-01-01T00:00:00.000Z";
  try {
    for (const text of ["first", "second", "third"]) {
      await Deno.writeTextFile(path, text);
      await engine.check({ fix: true });
    }
    // A copy that turns out to be of no use takes none of the others with it.
    await Deno.writeTextFile(path, "fourth");
    await withOtherProgram(path, ["fifth"], () => engine.check({ fix: true }));
  } finally {
    Date.prototype.toISOString = toISOString;
  }
  assertEquals(copiesOf(path).sort(), ["fifth", "first", "second", "third"]);
});

test("what would make the file longer than can be read is refused", async ({ path }) => {
  const document = new Document(path, { mode: 0o600, longest: 1_000 });
  const put = (key: string, size: number) => {
    const item = makeItem(key, entryOf(`"${"x".repeat(size)}"`));
    return document.change((draft) => draft.set(key, item));
  };
  await put("a", 400);
  await put("b", 400);
  const before = await Deno.readTextFile(path);
  const error = await assertRejects(() => put("the third", 200), RangeError, '"the third"');
  assertStringIncludes(error.message, "215 bytes");
  assertStringIncludes(error.message, "1000");
  // Those that share its save are saved, and of one that is refused nothing is.
  const settled = await Promise.allSettled([
    put("c", 10),
    put("d", 900),
    document.change((draft) => {
      draft.set("e", makeItem("e", entryOf("1")));
      draft.delete("a");
      draft.set("f", makeItem("f", entryOf(`"${"x".repeat(900)}"`)));
    }),
    put("b", 401),
  ]);
  const statuses = settled.map(({ status }) => status);
  assertEquals(statuses, ["fulfilled", "rejected", "rejected", "fulfilled"]);
  assertEquals(Object.keys(await read(path)), ["a", "b", "c"]);
  assertEquals(
    (await Deno.readTextFile(path)).length,
    before.length + 1 + '"c": "",\n'.length + 10,
  );
  // What another program has formatted is shorter when it is saved.
  const spaced = JSON.stringify(await read(path), undefined, "\t".repeat(10));
  await Deno.writeTextFile(path, spaced + " ".repeat(2_000));
  await put("d", 50);
  assertEquals((await Deno.readTextFile(path)).length < 1_000, true);
  await document.change((draft) => draft.delete("a"));
  await put("the third", 200);
});

test("a value that is longer than any text, and a file that is, are named", async ({ path, engine }) => {
  await engine.set("key", entryOf("1"));
  for (const size of [450, 600]) {
    const value = new Uint8Array(size * 1024 * 1024);
    const set = async () => await engine.set("large", { value, timestamp: 0 });
    const error = await assertRejects(set, RangeError, '"large"');
    assertStringIncludes(error.message, String(value.byteLength));
  }
  assertEquals(await textAt(engine, "key"), "1");
  await Deno.truncate(path, 600 * 1024 * 1024);
  for (const operation of [() => engine.get("key"), () => engine.set("key", entryOf("2"))]) {
    const error = await assertRejects(async () => await operation(), EngineError, path);
    assertStringIncludes(error.message, "629145600 bytes");
  }
  const [problem] = (await engine.check({ fix: true })).problems;
  assertEquals([problem.kind, problem.fixed], ["damaged", false]);
  assertStringIncludes(problem.detail, "629145600 bytes");
  await engine.clear();
  assertEquals(await engine.size(), 0);
  assertEquals([...Deno.readDirSync(dirname(path))].length, 2);
});

test("a store that may only be read can be read and checked", async ({ bed, path, engine }) => {
  await engine.set("key", entryOf("1"));
  await Deno.writeTextFile(path, '{"key": 1, "bad": [1,,2]}');
  await Deno.writeTextFile(`${path}.saving`, "{");
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pickledb } from "./engines/pickledb/mod.ts";
    const engine = complete(pickledb({ name: "n", dbname: "main" }, ${JSON.stringify({ path })}));
    await engine.open();
    const { checked, problems } = await engine.check({ fix: false });
    console.log(checked, problems.map(({ kind }) => kind).sort().join(" "), await engine.size());
    try {
      await engine.check({ fix: true });
    } catch (error) {
      console.log(error.name, error.operation);
    }
    await engine.close();
  `;
  const flags = ["--no-prompt", `--allow-read=${bed.root}`];
  const { stdout, stderr } = await runScript(script, flags);
  assertEquals(stdout, "2 damaged leftover 2\nEngineError check\n", stderr);
  await whileReadOnly(`${path}.lock`, async () => {
    assertEquals((await engine.check({ fix: false })).problems.length, 2);
  });
});

test("clear works on a full disk, and a set that fails leaves what was there", async ({ bed }) => {
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pickledb } from "./engines/pickledb/mod.ts";
    const path = Deno.args[0] + "/db.json";
    const engine = complete(pickledb({ name: "n", dbname: "main" }, { path }));
    await engine.open();
    const entry = (size: number) => ({
      value: new TextEncoder().encode(JSON.stringify("x".repeat(size))),
      timestamp: 0,
    });
    await engine.set("kept", entry(100_000));
    let full = "";
    try {
      for (let i = 0; i < 100; i++) await engine.set("key " + i, entry(100_000));
    } catch (error) {
      full = error.message;
    }
    console.log(full.includes("is full; free some space"), (await engine.get("kept")).value.length);
    // Until there is no room for a byte.
    for (let i = 0, size = 500_000; size > 0; size >>= 1) {
      try {
        for (;; i++) Deno.writeFileSync(Deno.args[0] + "/" + i, new Uint8Array(size));
      } catch {
        // A smaller one may still fit.
      }
    }
    console.log((await engine.check({ fix: false })).problems.length);
    await engine.clear();
    console.log(await engine.size());
    await engine.set("new", entry(100));
    Deno.writeTextFileSync(path, "damaged");
    Deno.utimeSync(path, 1, 1);
    console.log((await engine.check({ fix: true })).problems.map(({ fixed }) => fixed).join());
    await engine.clear();
    await engine.close();
  `;
  const printed = await runOnSmallDisk(bed.root, 2_000_000, script);
  if (printed === undefined) return;
  assertEquals(printed, "true 100002\n0\n0\ntrue\n");
});

test("links and pipes lead nowhere in nested stores, and a pipe in the file's place is named", async ({ bed, path, engine }) => {
  if (Deno.build.os === "windows") return;
  const nested = await bed.open({ path }, { dbname: "main/nested" });
  await nested.set("key", entryOf("1"));
  await engine.set("key", entryOf("1"));
  const outside = join(bed.root, "outside.json");
  const folder = join(bed.root, "outside");
  await Deno.writeTextFile(outside, '{"precious": 1}');
  await Deno.mkdir(folder);
  await Deno.writeTextFile(join(folder, "in it.json"), '{"precious": 2}');
  const pipe = async (path: string) => {
    assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  };
  const within = `${path}+`;
  await Deno.symlink(outside, join(within, "link.json"));
  await Deno.symlink(folder, join(within, "folder"));
  await pipe(join(within, "pipe.json"));
  await engine.clear(true);
  assertEquals(await nested.size(), 0);
  assertEquals(await read(outside), { precious: 1 });
  assertEquals(await read(join(folder, "in it.json")), { precious: 2 });
  await Deno.rename(within, `${within}.away`);
  await Deno.symlink(folder, within);
  await assertRejects(async () => await engine.clear(true), EngineError, "a link is where");
  assertEquals(await read(join(folder, "in it.json")), { precious: 2 });

  await Deno.remove(path);
  await pipe(path);
  const operations = [() => engine.get("key"), () => engine.set("key", entryOf("1"))];
  for (const operation of operations) {
    await assertRejects(async () => await operation(), EngineError, "is not a file");
  }
  await assertRejects(() => bed.open({ path }), EngineError, "is not a file");
  await Deno.remove(path);
  await Deno.symlink("/dev/zero", path);
  await assertRejects(() => bed.open({ path }), EngineError, "is not a file");
  await Deno.remove(path);
  await Deno.remove(`${path}.lock`);
  await pipe(`${path}.lock`);
  await assertRejects(async () => await engine.set("key", entryOf("1")), EngineError, "a file");
});

test("files are their owner's alone, or of the mode that is asked for", async ({ bed }) => {
  if (Deno.build.os === "windows") return;
  const umask = Deno.umask(0o022);
  try {
    for (const [mode, folders] of [[undefined, 0o700], [0o660, 0o770]] as const) {
      const rootDir = join(bed.root, String(mode), "new");
      const engine = await bed.open({ mode }, { rootDir, name: "A name", dbname: "A b" });
      await engine.set("key", entryOf("1"));
      let count = 0;
      const look = async (folder: string) => {
        assertEquals(((await Deno.stat(folder)).mode ?? 0) & 0o777, folders, folder);
        for (const { name, isDirectory } of Deno.readDirSync(folder)) {
          count++;
          const path = join(folder, name);
          if (isDirectory) await look(path);
          else assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, mode ?? 0o600, path);
        }
      };
      await look(join(bed.root, String(mode)));
      // The store's file, its lock, two names, and the folders that they are in.
      assertEquals(count, 7);
    }
  } finally {
    Deno.umask(umask);
  }
});

test("a store keeps the names that hashes stand for, and is nobody else's", async ({ bed }) => {
  const location = { name: "My cache", dbname: "main/A b" };
  const engine = await bed.open({}, location);
  await engine.set("key", entryOf("1"));
  const file = `${engine.path.slice(0, -".json".length)}.name`;
  assertEquals(await Deno.readTextFile(file), '"A b"\n');
  assertEquals(await textAt(await bed.open({}, location), "key"), "1");
  // As if another name had the same hash.
  await Deno.writeTextFile(file, '"Another"\n');
  await assertRejects(() => bed.open({}, location), EngineError, '"Another"');
});

test("clear goes into nested stores when asked, and leaves other files alone", async ({ bed, path, engine }) => {
  const nested = await bed.open({ path }, { dbname: "main/a/b" });
  const beside = await bed.open({ path }, { dbname: "other" });
  for (const store of [nested, beside]) await store.set("key", entryOf("1"));
  await engine.clear(true);
  assertEquals(await nested.size(), 0);
  assertEquals(await beside.size(), 1);
  assertEquals(dirname(nested.path), `${path}+/a+`);
});

test("a new file lets the same people in, and a link stays one", async ({ bed, path, engine }) => {
  if (Deno.build.os === "windows") return;
  const link = join(dirname(path), "link.json");
  await Deno.chmod(path, 0o600);
  await Deno.symlink(path, link);
  const other = await bed.open({ path: link });
  await other.set("key", entryOf("1"));
  await other.close();
  assertEquals((await Deno.lstat(link)).isSymlink, true);
  assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
  assertEquals(await textAt(engine, "key"), "1");
}, "{}");

test("options and use are checked", async ({ path, engine }) => {
  assertThrows(
    () => createEngine({ name: "n", dbname: "main" }, { file: path }),
    TypeError,
    '"file"',
  );
  assertThrows(() => createEngine({ name: "n", dbname: "main" }, { path: 1 }), TypeError, "path");
  assertEquals(basename(engine.path), "db.json");
  await engine.close();
  await assertRejects(async () => await engine.get("key"), TypeError, "not open");
  await assertRejects(async () => await engine.set("key", entryOf("1")), TypeError, "not open");
});

test("needs to read and write its folder, and names the flags that it lacks", async ({ path }) => {
  const script = `
    import { complete } from "./engines/complete.ts";
    import { pickledb } from "./engines/pickledb/mod.ts";
    const engine = complete(pickledb({ name: "n", dbname: "main" }, ${JSON.stringify({ path })}));
    try {
      await engine.open();
      await engine.set("key", { value: new TextEncoder().encode("[1]"), timestamp: 1 });
      console.log(new TextDecoder().decode((await engine.get("key")).value), await engine.size());
      await engine.clear(true);
    } catch (error) {
      console.log(error.name, error.message);
    }
  `;
  const run = async (...flags: string[]) =>
    (await runScript(script, ["--no-prompt", ...flags])).stdout;
  const folder = dirname(path);
  assertEquals(await run(`--allow-read=${folder}`, `--allow-write=${folder}`), "[1] 1\n");
  for (const flag of ["--allow-env", `--allow-read=${folder}`, `--allow-write=${folder}`]) {
    const printed = await run(flag);
    assertStringIncludes(printed, "EngineError Cannot");
    assertStringIncludes(printed, `--allow-read="${folder}" --allow-write="${folder}"`);
  }
});

test("random JSON comes back, however the file was formatted", async ({ path, engine }) => {
  const random = new RandomValues(testSeed(), { plain: true });
  const texts = Array.from({ length: 300 }, () => JSON.stringify(random.value()) ?? "null");
  const data = Object.fromEntries(texts.map((text, i) => [`${i} "\\{`, JSON.parse(text)]));
  const check = async () => {
    assertEquals(await engine.size(), texts.length);
    for (const [key, value] of Object.entries(data)) {
      assertEquals(JSON.parse(await textAt(engine, key) ?? ""), value, key);
    }
  };
  for (const indent of ["", 1, "\t"]) {
    await Deno.writeTextFile(path, JSON.stringify(data, undefined, indent));
    await check();
  }
  await engine.clear();
  await engine.setMany(
    Object.entries(data).map(([key, value]) => [key, entryOf(JSON.stringify(value))]),
  );
  await engine.close();
  await engine.open();
  await check();
  await engine.set("plain", entryOf("1"));
  assertEquals(await runPython(STRICT, path), "1 301");
});

test("what is saved is on the disk before it takes the file's place", async ({ path, engine }) => {
  await engine.set("key", entryOf("0"));
  // What the file has whenever something is flushed.
  const flushed: string[] = [];
  const { syncData } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncData = async function () {
    await syncData.call(this);
    const { key } = await read(path);
    flushed.push(`${key} with ${this.statSync().size > 0}`);
  };
  try {
    await engine.set("key", entryOf("1"));
    await engine.setMany([["key", entryOf("2")], ["large", entryOf("7".repeat(2_000_000))]]);
    await engine.clear();
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
  }
  assertEquals(flushed, ["0 with true", "1 with true", "2 with true"]);
  assertEquals(await read(path), {});
});

test("a set that comes when the last save ends resolves too", async ({ path, engine }) => {
  for (let turns = 0; turns < 40; turns++) {
    const first = engine.set("first", entryOf(String(turns)));
    for (let i = 0; i < turns; i++) await undefined;
    await Promise.all([first, engine.set("second", entryOf(String(turns)))]);
    await first;
    await engine.set("third", entryOf(String(turns)));
    assertEquals(await read(path), { first: turns, second: turns, third: turns });
  }
});

/** A file that takes several turns of the event loop to be read, and how another process sets. */
async function largeFile(path: string): Promise<(key: string) => void> {
  const text = "x".repeat(300);
  const data = Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`member ${i}`, text]));
  const replace = () => {
    Deno.writeTextFileSync(`${path}.other`, JSON.stringify(data));
    Deno.renameSync(`${path}.other`, path);
  };
  await Promise.resolve(replace());
  return (key) => {
    data[key] = "1";
    replace();
  };
}

test("no set is lost to another process that sets while this one reads", async ({ path, engine }) => {
  const setElsewhere = await largeFile(path);
  for (let round = 0; round < 3; round++) {
    setElsewhere(`before ${round}`);
    const reading = engine.get("member 1");
    setElsewhere(`theirs ${round}`);
    await engine.set(`ours ${round}`, entryOf('"1"'));
    await reading;
    assertEquals(Object.hasOwn(await read(path), `theirs ${round}`), true, `round ${round}`);
  }
});

test("what another process has set is in every read that begins after it", async ({ path, engine }) => {
  const setElsewhere = await largeFile(path);
  for (let round = 0; round < 3; round++) {
    setElsewhere(`before ${round}`);
    const early = engine.get("member 1");
    setElsewhere(`theirs ${round}`);
    assertEquals(await textAt(engine, `theirs ${round}`), '"1"');
    await early;
  }
});

test("nothing is lost between processes that read and set at once", async ({ bed, path }) => {
  await largeFile(path);
  const script = (own: string) => `
    import { pickledb } from "./engines/pickledb/mod.ts";
    const engine = pickledb({ name: "n", dbname: "main" }, ${JSON.stringify({ path })});
    await engine.open();
    const value = new TextEncoder().encode("1");
    for (let i = 0; i < 20; i++) {
      const reading = engine.get("member 1");
      await Promise.all([engine.set("${own} " + i, { value, timestamp: 1 }), reading]);
      console.log("${own} " + i);
    }
    await engine.close();
  `;
  const flags = ["--no-prompt", `--allow-read=${bed.root}`, `--allow-write=${bed.root}`];
  const outputs = await Promise.all(
    ["a", "b"].map((own) => runScript(script(own), flags)),
  );
  for (const { success, stderr } of outputs) assert(success, stderr);
  const acknowledged = outputs.flatMap(({ stdout }) => stdout.trim().split("\n"));
  const found = await read(path);
  assertEquals(acknowledged.length, 40);
  assertEquals(acknowledged.filter((key) => !(key in found)), []);
});
