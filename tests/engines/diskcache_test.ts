/**
 * What is particular to engine "diskcache": directories that Python's DiskCache shares, judged by
 * Python itself.
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
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { decodeKey, encodeKey } from "../../codec/key.ts";
import { DecodeError } from "../../codec/errors.ts";
import type { EngineFactory } from "../../engines/engine.ts";
import { diskcache } from "../../engines/diskcache/mod.ts";
import { EngineError } from "../../engines/errors.ts";
import { HashStash } from "../../mod.ts";
import { ROOT } from "../../dev/run.ts";
import { runScript, WorkerProcess } from "../support/child.ts";
import { answerOf, python, startPython } from "../support/python.ts";
import { bedTests, type Options, type Store, type TestBed } from "../support/bed.ts";
import { entryOf, keysOf, statesOf, textAt, textOf } from "../support/entries.ts";
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { runOnSmallDisk } from "../support/small_disk.ts";
import { sqliteFileTests } from "../support/sqlite_files.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

/** With options as they come at run time, which the compiler has not checked. */
const createEngine: EngineFactory = diskcache;

contractTests("diskcache");
behaviours("diskcache");
processTests("diskcache");
killTests("diskcache", undefined, {
  async debris(rootDir) {
    return await python(join(rootDir, "kill/diskcache/main"), "answer(check())") as string[];
  },
});
stashProcessesTest("diskcache");

const test = bedTests("diskcache", "diskcache");
const KB = 1024;

function directoryOf({ root }: TestBed): string {
  return join(root, "cache");
}

function openIn(
  bed: TestBed,
  options: Options = {},
  dbname = "main",
): Promise<Store> {
  return bed.open({ path: directoryOf(bed), ...options }, { dbname });
}

sqliteFileTests({
  engine: "diskcache",
  options: {},
  changes: { sizeLimit: 1e9 },
  path: directoryOf,
  database: (path) => join(path, "cache.db"),
  table: "Cache",
  index: "Cache_expire_time",
  columns: ["key", "raw", "store_time", "expire_time", "size", "mode", "filename", "value"],
  unjudged: ["value"],
});

/** The directory's database, as any other program sees it. */
function databaseOf(bed: TestBed): DatabaseSync {
  const database = new DatabaseSync(join(directoryOf(bed), "cache.db"), { timeout: 1_000 });
  bed.defer(() => database.close());
  return database;
}

/** Value files, relative to the directory. */
function valueFiles(bed: TestBed): string[] {
  const directory = directoryOf(bed);
  const folders = Array.from(Deno.readDirSync(directory))
    .filter(({ name }) => /^[0-9a-f]{2}$/.test(name))
    .flatMap(({ name }) =>
      Array.from(Deno.readDirSync(join(directory, name)), (inner) => join(name, inner.name))
    );
  return folders.flatMap((folder) =>
    Array.from(Deno.readDirSync(join(directory, folder)), ({ name }) => join(folder, name))
  );
}

test("makes the directory that Python makes, but for the limit", async (bed) => {
  const engine = await openIn(bed);
  const theirs = join(bed.root, "theirs");
  await python(theirs, "pass");
  const schema = (database: DatabaseSync) => ({
    objects: database.prepare(
      "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
    ).all(),
    columns: database.prepare("PRAGMA table_info(Cache)").all(),
    settingColumns: database.prepare("PRAGMA table_info(Settings)").all(),
    vacuum: database.prepare("PRAGMA auto_vacuum").get(),
    journal: database.prepare("PRAGMA journal_mode").get(),
    settings: database.prepare(
      "SELECT key, value, typeof(value) AS type FROM Settings WHERE key <> 'size_limit' ORDER BY key",
    ).all(),
  });
  const database = new DatabaseSync(join(theirs, "cache.db"));
  bed.defer(() => database.close());
  assertEquals(schema(databaseOf(bed)), schema(database));
  await engine.set("key", entryOf("value"));
  assertEquals(
    await python(directoryOf(bed), "answer([cache.size_limit, cache['key'].decode(), check()])"),
    [2 ** 63, "value", []],
  );
});

test("writes what Python reads", async (bed) => {
  const engine = await openIn(bed);
  const large = "é".repeat(40 * KB);
  const keys = ["my_key", "", "é\u{1F600}", "a\0b", 1, -7, 1.5, 2n ** 60n, 1e300, Infinity];
  const pairs = keys.map((key, i) => [encodeKey(key), entryOf(`value ${i}`)] as const);
  await engine.setMany(pairs.map(([key, entry]) => [key, entry]));
  await engine.set(encodeKey(new Uint8Array([0, 255])), entryOf("bytes"));
  await engine.set(encodeKey([1, { a: 2 }]), entryOf("array"));
  await engine.set("large", entryOf(large));
  const expiresAt = Date.now() + 3_600_001;
  await engine.set("expiring", entryOf("value", expiresAt));
  const answer = await python(
    directoryOf(bed),
    `
keys = ['my_key', '', 'é\\U0001F600', 'a\\0b', 1, -7, 1.5, 2**60, 1e300, float('inf')]
answer({
    'values': [cache[key].decode() for key in keys],
    'bytes': cache[b'\\x00\\xff'].decode(),
    'array': cache['\\x01[1,{"a":2}]'].decode(),
    'large': cache['large'].decode(),
    'expiring': cache.get('expiring', expire_time=True)[1],
    'count': len(cache),
    'kinds': sorted({type(key).__name__ for key in cache}),
    'problems': check(),
})`,
  );
  assertEquals(answer, {
    values: keys.map((_, i) => `value ${i}`),
    bytes: "bytes",
    array: "array",
    large,
    expiring: expiresAt / 1_000,
    count: keys.length + 4,
    kinds: ["bytes", "float", "int", "str"],
    problems: [],
  });
});

test("reads what Python wrote, as what it is", async (bed) => {
  await python(
    directoryOf(bed),
    `
cache['text'] = 'é "quoted"\\n'
cache['text with nul'] = 'a\\0b'
cache['large text'] = 'é' * 50000
cache['int'] = 42
cache['large int'] = 2 ** 60
cache['float'] = 1.5
cache['whole float'] = 2.0
cache['infinite'] = float('inf')
cache['nan'] = float('nan')
cache['json'] = b'{"a": [1, null]}'
cache['large json'] = b'[' + b' ' * 40000 + b']'
cache[1] = 'by int'
cache[2.0] = 'by float'
cache[1.5] = 'by fraction'
cache[2 ** 60] = 'by large int'
cache[1e20] = 'by large float'
cache[b'\\x00'] = 'by bytes'
cache['a\\0b'] = 'by text with nul'`,
  );
  const expected = new Map<unknown, unknown>([
    ["text", 'é "quoted"\n'],
    ["text with nul", "a\0b"],
    ["large text", "é".repeat(50_000)],
    ["int", 42],
    ["large int", 2n ** 60n],
    ["float", 1.5],
    ["whole float", 2],
    ["infinite", Infinity],
    ["nan", null],
    ["json", { a: [1, null] }],
    ["large json", []],
    [1, "by int"],
    [2, "by float"],
    [1.5, "by fraction"],
    [2n ** 60n, "by large int"],
    [1e20, "by large float"],
    ["a\0b", "by text with nul"],
  ]);
  await using stash = new HashStash({
    engine: "diskcache",
    rootDir: bed.root,
    engineOptions: { path: directoryOf(bed) },
  });
  const bytes = new Uint8Array([0]);
  assertEquals(await stash.get(bytes), "by bytes");
  assertEquals(await stash.delete(bytes), true);
  assertEquals(await stash.toMap(), expected);
  for (const [key, value] of expected) assertEquals(await stash.get(key), value);
  assertEquals(await stash.size(), expected.size);
  for (const key of expected.keys()) await stash.set(key, "ours");
  assertEquals(await stash.size(), expected.size);
  assertEquals(await python(directoryOf(bed), "answer(check())"), []);
});

test("gives the right time to what others stored and will read", async (bed) => {
  const engine = await openIn(bed);
  const now = Date.now();
  for (let i = 0; i < 300; i++) {
    // Soon and late, up to the last time that JavaScript knows.
    const deadline = now + 10_000 + Math.floor(Math.random() * 10 ** (i % 16));
    const timestamp = now - Math.floor(Math.random() * 10 ** (i % 12));
    await engine.set("key", { ...entryOf("value", deadline), timestamp });
    const found = await engine.get("key");
    assertEquals([found?.expiresAt, found?.timestamp], [deadline, timestamp]);
  }
  const expireTime = await python(
    directoryOf(bed),
    `
cache.set('theirs', 'text', expire=1000)
answer(cache.get('theirs', expire_time=True)[1])`,
  );
  const expiresAt = (await engine.get("theirs"))?.expiresAt;
  assertEquals(expiresAt, Math.ceil(Number(expireTime) * 1_000));
});

test("lists any key of Python's, and finds it again", async (bed) => {
  const theirs = [
    ...["\u0001", "\u0001hello", "\u0001[1, 2]", "\u0001[1]", "\u0001{", '\u0001"a"', "\u00011"],
    ...['\u0001"\u0001hello"', '\u0001"\\u0001hello"', "\u0001\u0001~x", "\u0001{}", "\u0001null"],
    ...["\u0001undefined", '\u0001{"a": 1}', "\u0001\u0001", "", "plain"],
  ];
  await python(
    directoryOf(bed),
    `
for i, key in enumerate(json.loads(${JSON.stringify(JSON.stringify(theirs))})):
    cache[key] = i
cache[b'\\x01'] = -1`,
  );
  await using stash = new HashStash({
    engine: "diskcache",
    rootDir: bed.root,
    engineOptions: { path: directoryOf(bed) },
  });
  const keys = await Array.fromAsync(stash.keys());
  assertEquals(keys.length, theirs.length + 1);
  assertEquals(await stash.size(), keys.length);
  const found = new Set<unknown>();
  for (const key of keys) found.add(await stash.get(key));
  assertEquals(found.size, keys.length);
  // Those that aren't texts of keys of ours are the strings that they are.
  const ours = new Map<string, unknown>([["\u0001[1]", [1]], ["\u0001{}", {}], [
    "\u0001null",
    null,
  ]]);
  for (const [i, key] of theirs.entries()) {
    assertEquals(await stash.get(ours.has(key) ? ours.get(key) : key), i, JSON.stringify(key));
  }
  const more = [...theirs, "\u0001\u0001~\u0001x", '\u0001"\\u0001x"', "\u0001x", "\u0001\ud800"];
  for (const key of more) await stash.set(key, `our ${key}`);
  for (const key of more) assertEquals(await stash.get(key), `our ${key}`);
  assertEquals(await stash.get([1]), theirs.indexOf("\u0001[1]"));
  assertEquals((await stash.check()).problems, []);
  for (const key of await Array.fromAsync(stash.keys())) assert(await stash.delete(key));
  assertEquals(await python(directoryOf(bed), "answer([len(cache), check()])"), [0, []]);
});

test("gives Python texts and numbers as what they are, where that is exact", async (bed) => {
  await using stash = new HashStash({
    engine: "diskcache",
    rootDir: bed.root,
    engineOptions: { path: directoryOf(bed) },
  });
  const large = "é\n".repeat(30_000);
  const native = new Map<string, string | number>([
    ["text", 'é "quoted"\n\u2028'],
    ["empty", ""],
    ["nul", "a\0b"],
    ["large", large],
    ["zero", 0],
    ["integer", -42],
    ["large integer", 2 ** 53],
    ["float", 1.5],
    ["small", 5e-324],
    ["huge", 1e300],
    ["round", 1e20],
  ]);
  for (const [key, value] of native) await stash.set(key, value);
  assertEquals(
    await python(directoryOf(bed), `answer({key: cache[key] for key in cache})`),
    Object.fromEntries(native),
  );
  assertEquals(
    await python(directoryOf(bed), "answer([type(cache[k]).__name__ for k in ('zero', 'float')])"),
    ["int", "float"],
  );
  const other = new Map<string, unknown>([
    ["lines", "a\r\n".repeat(30_000)],
    ["surrogate", "\ud800"],
    ["minus zero", -0],
    ["bigint", 2n ** 60n],
    ["large bigint", 2n ** 70n],
    ["not a number", NaN],
    ["true", true],
    ["null", null],
    ["bytes", new Uint8Array([0x22, 0x61])],
    ["digits", new Uint8Array([0x31, 0x32])],
  ]);
  for (const [key, value] of other) await stash.set(key, value);
  for (const [key, value] of [...native, ...other]) assertEquals(await stash.get(key), value, key);
  await stash.modify("integer", (value) => (value as number) + 1);
  assertEquals(await python(directoryOf(bed), "answer([cache['integer'], check()])"), [-41, []]);
  const engine = await openIn(bed);
  for (
    const json of [
      '"a"',
      '"\\u0061"',
      "1",
      "1.0",
      "-0",
      "01",
      "1e3",
      '"',
      '"a" ',
      "12345678901234567890",
    ]
  ) {
    await engine.set("exact", entryOf(json));
    assertEquals(await textAt(engine, "exact"), json);
    const entry = await engine.get("exact");
    assertEquals(await engine.compareAndSet("exact", entry, entryOf(`${json}!`)), true);
  }
});

test("keeps bytes that only begin like a number or a text", async (bed) => {
  const engine = await openIn(bed);
  for (const hex of ["37856169", "2dff", "30c3", "22ff22", "22", "2d", "3765"]) {
    const value = Uint8Array.fromHex(hex);
    await engine.set(hex, { value, timestamp: Date.now() });
    assertEquals((await engine.get(hex))?.value, value, hex);
  }
});

test("refuses a FanoutCache, and leaves it as it is", async (bed) => {
  await python(
    join(bed.root, "other"),
    `
from diskcache import FanoutCache
with FanoutCache(${JSON.stringify(directoryOf(bed))}, shards=2) as fanout:
    fanout['key'] = 'value'`,
  );
  await assertRejects(() => openIn(bed), EngineError, "is a FanoutCache of Python's DiskCache");
  const names = Array.from(Deno.readDirSync(directoryOf(bed)), ({ name }) => name).sort();
  assertEquals(names, ["000", "001"]);
  const shards = await Promise.all(
    names.map((name) => openIn(bed, { path: join(directoryOf(bed), name) })),
  );
  const found = (await Promise.all(shards.map((shard) => textAt(shard, "key")))).filter(Boolean);
  assertEquals(found, ['"value"']);
});

test("keeps expired entries from both", async (bed) => {
  const engine = await openIn(bed);
  const gone = await python(
    directoryOf(bed),
    `
import time
cache.set('theirs', 'text', expire=0.001)
time.sleep(0.01)
answer(len(cache))`,
  );
  assertEquals(gone, 1);
  assertEquals(await engine.get("theirs"), undefined);
  assertEquals([await engine.size(), await keysOf(engine)], [0, []]);
  await engine.set("ours", entryOf("value", Date.now() - 1));
  const script = "answer([cache.get('ours'), 'ours' in cache, check()])";
  assertEquals(await python(directoryOf(bed), script), [null, false, []]);
});

test("never runs a pickle", async (bed) => {
  const marker = join(bed.root, "ran");
  await python(
    directoryOf(bed),
    `
class Trap:
    def __reduce__(self):
        return (open, (${JSON.stringify(marker)}, 'w'))
cache['trap'] = Trap()
cache['large trap'] = [Trap(), 'x' * 50000]
cache[(1, Trap())] = 'value'
cache[None] = 'value'
cache['fine'] = 'value'`,
  );
  const engine = await openIn(bed);
  // Pickled keys can't be told; pickled values are there, and can't be read.
  assertEquals(await keysOf(engine), ["fine", "large trap", "trap"]);
  assertEquals(await engine.size(), 3);
  await assertRejects(() => Array.fromAsync(engine.entries()), DecodeError, "pickled by Python");
  for (const key of ["trap", "large trap"]) {
    const error = await assertRejects(async () => await engine.get(key), DecodeError);
    assertStringIncludes(error.message, "pickled by Python");
    assertEquals(await engine.has(key), true);
  }
  for (const fix of [false, true]) {
    const { problems } = await engine.check({ fix });
    assertEquals(
      problems.map(({ kind, fixed }) => [kind, fixed]),
      Array(4).fill(["foreign", false]),
    );
    assertEquals(problems.map(({ key }) => key ?? ""), ["trap", "large trap", "", ""]);
  }
  await engine.set("trap", entryOf("value"));
  assertEquals(await textAt(engine, "trap"), "value");
  assertEquals(await engine.delete("large trap"), true);
  await engine.clear();
  assertEquals(await python(directoryOf(bed), "answer([len(cache), check()])"), [0, []]);
  await assertRejects(() => Deno.stat(marker), Deno.errors.NotFound);
});

test("reads the zlib JSON of Python's JSONDisk", async (bed) => {
  await python(
    directoryOf(bed),
    `
from diskcache import JSONDisk
with Cache(sys.argv[1], disk=JSONDisk) as cache:
    cache['small'] = {'a': [1, 2, None]}
    cache['large'] = list(range(30000))`,
  );
  await using stash = new HashStash({
    engine: "diskcache",
    rootDir: bed.root,
    engineOptions: { path: directoryOf(bed) },
  });
  const values = [];
  for await (const value of stash.values()) values.push(value);
  values.sort((a, b) => JSON.stringify(a).length - JSON.stringify(b).length);
  assertEquals(values, [{ a: [1, 2, null] }, Array.from({ length: 30_000 }, (_, i) => i)]);
});

test("keeps the tag that Python gave a key", async (bed) => {
  await python(directoryOf(bed), "cache.set('key', 'text', tag='red')");
  const engine = await openIn(bed);
  await engine.set("key", entryOf("value"));
  const entry = await engine.get("key");
  assertEquals(await engine.compareAndSet("key", entry, entryOf("next")), true);
  const answer = await python(
    directoryOf(bed),
    "answer([cache.get('key', tag=True)[1], cache.evict('red'), len(cache)])",
  );
  assertEquals(answer, ["red", 1, 0]);
});

test("gives Python the only tag of an entry, to evict by", async (bed) => {
  const location = { engine: "diskcache", rootDir: bed.root, name: "test" } as const;
  await using stash = new HashStash(location);
  const directory = stash.path;
  const large = "x".repeat(50 * KB);
  await stash.set("one", 1, { tags: ["red"] });
  await stash.set("large", large, { tags: ["red"] });
  await stash.setMany([["many", 1]], { tags: ["red"] });
  await stash.set("two", 2, { tags: ["red", "blue"] });
  await stash.set("untagged", 1, { tags: ["red"] });
  await stash.set("untagged", 1);
  await stash.set("odd", 1, { tags: ["\0"] });
  const tag = (key: string) => python(directory, `answer(cache.get('${key}', tag=True)[1])`);
  assertEquals([await tag("one"), await tag("two"), await tag("untagged")], ["red", null, null]);
  assertEquals(await python(directory, "answer(cache.evict('red'))"), 3);
  const keys = await Array.fromAsync(stash.keys());
  assertEquals(keys.toSorted(), ["odd", "two", "untagged"]);
  assertEquals(await stash.get("one"), undefined);
  assertEquals(await stash.invalidate({ tags: ["red"] }), 1);
  assertEquals(await python(directory, "answer(check())"), []);
});

test("counts hits and misses where Python asked for it", async (bed) => {
  await python(directoryOf(bed), "cache.stats(enable=True)\ncache['key'] = 'text'");
  const engine = await openIn(bed);
  await engine.get("key");
  await engine.get("key");
  await engine.get("absent");
  assertEquals(await python(directoryOf(bed), "answer(cache.stats())"), [2, 1]);
  assertEquals((await engine.getMany(["key", "absent", "key"])).map(Boolean), [true, false, true]);
  assertEquals(await python(directoryOf(bed), "answer(cache.stats())"), [4, 2]);
  // Listing is no look-up, as with Python.
  await Array.fromAsync(engine.entries());
  assertEquals(await python(directoryOf(bed), "answer(cache.stats())"), [4, 2]);
});

test("loses nothing when Python writes at the same time", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("counter", entryOf("0"));
  const times = 60;
  const child = startPython(
    directoryOf(bed),
    `
for i in range(${times}):
    with cache.transact(retry=True):
        cache['counter'] = str(int(cache['counter']) + 1).encode()
    cache['theirs %d' % i] = b'x' * (i * 1500)
    cache['both'] = b'theirs' * (i * 300)
    value = cache.get('both')
    assert value is None or set(value) in (set(b'theirs'), set(b'ours'), set()), value[:20]
answer(True)`,
  );
  for (let i = 0; i < times; i++) {
    for (;;) {
      const entry = await engine.get("counter");
      const next = Number(new TextDecoder().decode(entry?.value)) + 1;
      if (await engine.compareAndSet("counter", entry, entryOf(`${next}`))) break;
    }
    await engine.set(`ours ${i}`, entryOf("x".repeat(i * 1_500)));
    await engine.set("both", entryOf("ours".repeat(i * 500)));
    const both = await textAt(engine, "both");
    assert(/^((ours)*|(theirs)*)$/.test(both ?? ""), both?.slice(0, 20));
  }
  assertEquals(await answerOf(child), true);
  assertEquals(await textAt(engine, "counter"), String(2 * times));
  assertEquals(await engine.size(), 2 * times + 2);
  for (let i = 0; i < times; i++) {
    for (const whose of ["ours", "theirs"]) {
      assertEquals((await engine.get(`${whose} ${i}`))?.value.byteLength, i * 1_500);
    }
  }
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(await python(directoryOf(bed), "answer(check())"), []);
});

test("has no limit of size unless asked, whatever else wrote there", async (bed) => {
  const engine = await openIn(bed);
  await engine.setMany(Array.from({ length: 50 }, (_, i) => [`${i}`, entryOf("value")]));
  // As if there were files of 3 GiB: what Python and we go by.
  const pretend = (database: DatabaseSync) => {
    database.exec("UPDATE Settings SET value = value + 3221225472 WHERE key = 'size'");
  };
  pretend(databaseOf(bed));
  await engine.set("more", entryOf("value"));
  await python(directoryOf(bed), "cache['theirs'] = 'value'");
  assertEquals([await engine.size(), engine.evictions], [52, 0]);

  const theirs = join(bed.root, "theirs");
  await python(theirs, "for i in range(50): cache[str(i)] = 'value'");
  const database = new DatabaseSync(join(theirs, "cache.db"));
  pretend(database);
  database.close();
  const limited = await openIn(bed, { path: theirs });
  await limited.set("more", entryOf("value"));
  assertEquals([await limited.size(), limited.evictions], [41, 10]);
});

test("keeps more than the 1 GiB at which Python would begin to evict", async (bed) => {
  const engine = await openIn(bed);
  const value = new Uint8Array(50_000_000);
  for (let i = 0; i < 22; i++) await engine.set(`key ${i}`, entryOf(value));
  assertGreater(await engine.byteSize(), 2 ** 30);
  await python(directoryOf(bed), "cache['theirs'] = 'value'");
  assertEquals([await engine.size(), engine.evictions], [23, 0]);
  assertEquals((await engine.get("key 0"))?.value.byteLength, value.byteLength);
});

const SURVIVORS: Record<string, boolean> = {
  "least-recently-stored": false,
  "least-recently-used": true,
  "least-frequently-used": true,
};

for (const [evictionPolicy, survives] of Object.entries(SURVIVORS)) {
  test(`evicts the ${evictionPolicy} beyond the limit`, async (bed) => {
    const engine = await openIn(bed, { sizeLimit: 500 * KB, evictionPolicy });
    const store = async (i: number) => {
      const timestamp = Date.now() + i;
      await engine.set(`key ${i}`, { ...entryOf("x".repeat(9 * KB)), timestamp });
    };
    for (let i = 0; i < 40; i++) await store(i);
    assertEquals(engine.evictions, 0);
    for (let i = 40; i < 100; i++) {
      await engine.get("key 0");
      await engine.getMany(["key 1", "key 2"]);
      await store(i);
    }
    const used = ["key 0", "key 1", "key 2"].map((key) => engine.has(key));
    assertEquals(await Promise.all(used), Array(3).fill(survives));
    assertGreater(engine.evictions, 30);
    assertEquals(await engine.size(), 100 - engine.evictions);
    assertLess(await engine.byteSize(), 700 * KB);
    assertEquals(await python(directoryOf(bed), "answer([cache.eviction_policy, check()])"), [
      evictionPolicy,
      [],
    ]);
  });
}

test("evicts nothing by the policy none, and little by little with a cull limit", async (bed) => {
  const none = await openIn(bed, { sizeLimit: 100 * KB, evictionPolicy: "none" });
  for (let i = 0; i < 50; i++) await none.set(`key ${i}`, entryOf("x".repeat(9 * KB)));
  assertEquals([await none.size(), none.evictions], [50, 0]);
  const few = await openIn(bed, { evictionPolicy: "least-recently-stored", cullLimit: 2 });
  await few.set("more", entryOf("value"));
  assertEquals([await few.size(), few.evictions], [49, 2]);
  const off = await openIn(bed, { cullLimit: 0 });
  await off.set("and more", entryOf("value"));
  assertEquals(await off.size(), 50);
});

test("keeps the settings of a directory, and changes those that are given", async (bed) => {
  await python(
    directoryOf(bed),
    "Cache(sys.argv[1], size_limit=5_000_000, eviction_policy='least-recently-used', " +
      "disk_min_file_size=100, sqlite_cache_size=1000)",
  );
  const engine = await openIn(bed);
  await engine.set("key", entryOf("x".repeat(200)));
  assertEquals(valueFiles(bed).length, 1);
  const settings = "answer([cache.size_limit, cache.eviction_policy, cache.disk_min_file_size, " +
    "cache.sqlite_cache_size, cache.cull_limit])";
  const before = [5_000_000, "least-recently-used", 100, 1_000, 10];
  assertEquals(await python(directoryOf(bed), settings), before);
  await engine.close();
  const changed = await openIn(bed, {
    sizeLimit: Infinity,
    evictionPolicy: "least-frequently-used",
    minFileSize: 1_000,
    cullLimit: 3,
  });
  await changed.set("key", entryOf("x".repeat(200)));
  assertEquals(valueFiles(bed), []);
  const after = [2 ** 63, "least-frequently-used", 1_000, 1_000, 3];
  assertEquals(await python(directoryOf(bed), settings), after);
});

test("keeps nested stores out of the directory, where Python's check would remove them", async (bed) => {
  const engine = await openIn(bed);
  const nested = await openIn(bed, {}, "main/sub");
  await nested.set("key", entryOf("x".repeat(50 * KB)));
  await engine.set("key", entryOf("value"));
  const checked = await python(
    directoryOf(bed),
    "answer([str(w.message) for w in cache.check(fix=True)])",
  );
  assertEquals(checked, []);
  assertEquals((await textAt(nested, "key"))?.length, 50 * KB);
});

test("ignores the files of other programs", async (bed) => {
  const engine = await openIn(bed);
  const foreign = ["notes.txt", ".DS_Store", "ab/notes.txt", "ab/cd/editor.val~"];
  await Deno.mkdir(join(directoryOf(bed), "ab/cd"), { recursive: true });
  for (const name of foreign) await Deno.writeTextFile(join(directoryOf(bed), name), "keep");
  await engine.set("key", entryOf("x".repeat(50 * KB)));
  assertEquals((await engine.check({ fix: true })).problems, []);
  await engine.clear();
  for (const name of foreign) {
    assertEquals(await Deno.readTextFile(join(directoryOf(bed), name)), "keep");
  }
});

test("removes the file of a value that is replaced, deleted, expired or cleared", async (bed) => {
  const engine = await openIn(bed);
  const large = (expiresAt?: number) => entryOf("x".repeat(50 * KB), expiresAt);
  for (const key of ["a", "b", "c", "d"]) await engine.set(key, large());
  assertEquals(valueFiles(bed).length, 4);
  await engine.set("a", large());
  await engine.set("b", entryOf("small"));
  await engine.delete("c");
  assertEquals(valueFiles(bed).length, 2);
  await engine.setMany([["a", large()], ["a", large()], ["d", large(Date.now() - 1)]]);
  const current = await engine.get("a");
  assertEquals(await engine.compareAndSet("a", undefined, large()), false);
  assertEquals(await engine.compareAndSet("a", current, large()), true);
  await engine.prune();
  assertEquals(valueFiles(bed).length, 1);
  await engine.setMany([["e", large()], ["f", large()]]);
  const states = await statesOf(engine, ["a", "e", "f"]);
  await engine.set("f", large());
  assertEquals(await engine.deleteUnchanged(states), [true, true, false]);
  assertEquals(valueFiles(bed).length, 1);
  await engine.clear();
  assertEquals(valueFiles(bed), []);
  assertEquals(await python(directoryOf(bed), "answer(check())"), []);
});

test("replaces values in files by a batch of small ones, and the reverse", async (bed) => {
  const engine = await openIn(bed);
  const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
  const isLarge = (i: number) => i % 7 === 0;
  const text = (i: number, large: boolean) => `${i} `.repeat(large ? 20_000 : 1);
  for (const round of [0, 1, 2]) {
    const texts = keys.map((_, i) => text(i, isLarge(i + round)));
    // Of each some that are replaced within the batch.
    const before = keys.slice(0, 9).map((key, i) => [key, entryOf(text(i, i % 2 === 0))] as const);
    const pairs = keys.map((key, i) => [key, entryOf(texts[i])] as const);
    await engine.setMany([...before, ...pairs].map(([key, entry]) => [key, entry]));
    assertEquals((await engine.getMany(keys)).map(textOf), texts);
    assertEquals(valueFiles(bed).length, keys.filter((_, i) => isLarge(i + round)).length);
    assertEquals((await engine.check({ fix: false })).problems, []);
  }
});

test("opens no more files than a process may have, however many it is asked for at once", async (bed) => {
  const script = `
    import { complete } from "./engines/complete.ts";
    import { loadEngine } from "./engines/registry.ts";
    const createEngine = await loadEngine("diskcache");
    const location = { rootDir: ${JSON.stringify(bed.root)}, name: "test", dbname: "main" };
    const engine = complete(createEngine(location, {}));
    await engine.open();
    const entry = (size) => ({ value: new Uint8Array(size), timestamp: Date.now() });
    const numbers = Array.from({ length: 600 }, (_, i) => i);
    const results = await Promise.allSettled([
      ...numbers.map((i) => engine.set(String(i), entry(40_000))),
      ...numbers.slice(0, 9).map((i) => {
        return engine.setMany(numbers.map((j) => ["batch " + (i * 1_000 + j), entry(33_000)]));
      }),
      engine.set("large", entry(2_000_000)),
    ]);
    const reads = await Promise.allSettled(numbers.map(() => engine.get("large")));
    const failed = [...results, ...reads].filter(({ status }) => status === "rejected");
    console.log(failed.length, failed[0]?.reason, await engine.size());
    console.log((await engine.check({ fix: false })).problems.length);
    await engine.close();`;
  const child = new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 128 && exec "$0" "$@"', Deno.execPath(), "run", "-A", "--no-check"]
      .concat("--ext=ts", "-"),
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(script));
  await input.close();
  const { stdout } = await child.output();
  assertEquals(new TextDecoder().decode(stdout), `0 undefined ${600 * 10 + 1}\n0\n`);
});

test("finds missing and truncated files, and reads the rest", async (bed) => {
  const engine = await openIn(bed);
  for (const key of ["missing", "short", "whole"]) {
    await engine.set(key, entryOf(`${key} `.repeat(10 * KB)));
  }
  const database = databaseOf(bed);
  const fileOf = (key: string) => {
    const row = database.prepare("SELECT filename FROM Cache WHERE key = ?").get(key);
    return join(directoryOf(bed), String(row?.filename));
  };
  await Deno.remove(fileOf("missing"));
  await Deno.truncate(fileOf("short"), 10);
  const missing = await assertRejects(async () => await engine.get("missing"), DecodeError);
  assertStringIncludes(missing.message, "is missing");
  const short = await assertRejects(async () => await engine.get("short"), DecodeError);
  assertStringIncludes(short.message, "has 10 bytes");
  assertEquals((await textAt(engine, "whole"))?.length, 60 * KB);
  for (const fix of [false, true]) {
    const { problems } = await engine.check({ fix });
    assertEquals(problems.map(({ kind, key, fixed }) => [kind, key, fixed]), [
      ["damaged", "missing", fix],
      ["damaged", "short", fix],
      ["leftover", undefined, fix],
    ]);
  }
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(await python(directoryOf(bed), "answer(check())"), []);
  assertEquals(await keysOf(engine), ["whole"]);
});

test("removes what crashes left, and sets the counters right", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("x".repeat(50 * KB)));
  const directory = directoryOf(bed);
  const orphan = join("ab", "cd", `${"0".repeat(28)}.val`);
  for (const folder of ["ab/cd", "ef/01", "23"]) {
    await Deno.mkdir(join(directory, folder), { recursive: true });
  }
  await Deno.writeTextFile(join(directory, orphan), "left");
  databaseOf(bed).exec("UPDATE Settings SET value = 77 WHERE key IN ('count', 'size')");
  const kinds = ["orphan", "leftover", "leftover", "damaged", "damaged"];
  for (const fix of [false, true]) {
    const { problems } = await engine.check({ fix });
    assertEquals(
      problems.map(({ kind, fixed }) => [kind, fixed]),
      kinds.map((kind) => [kind, fix]),
    );
  }
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(await python(directory, "answer(check())"), []);
});

test("the next writer removes what a killed one left", async (bed) => {
  const directory = join(bed.root, "kill/diskcache/main");
  for (let round = 0; round < 20; round++) {
    await using writer = new WorkerProcess("./kill_worker.ts", {
      place: bed.place,
      name: "kill",
      start: round * 1_000,
      atomic: round % 2 > 0,
    });
    await writer.line();
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    // Another handle is at work all the time.
    const other = await bed.open({}, { name: "kill" });
    const writing = other.set("other", entryOf("x".repeat(2_000_000)));
    writer.kill();
    await writer.status;
    const engine = await bed.open({}, { name: "kill" });
    await engine.set("small", entryOf("value"));
    await writing;
    await bed.close();
    assertEquals(await python(directory, "answer(check())"), [], `round ${round}`);
    const names = Array.from(Deno.readDirSync(directory), ({ name }) => name);
    assertEquals(names.filter((name) => name.includes("writer")), [], `round ${round}`);
  }
});

test("processes that come and go take nobody at work for dead", async (bed) => {
  const options = bed.options({ name: "come_and_go" });
  const results = await Promise.all([0, 1, 2, 3].map((i) =>
    runScript(
      `
      import { HashStash } from "./mod.ts";
      const options = ${JSON.stringify(options)};
      for (let i = 0; i < 60; i++) {
        const stash = new HashStash(options);
        const key = "${i} " + i % 3;
        const value = String(i).padEnd(40_000);
        await stash.set(key, value);
        if (await stash.get(key) !== value) throw new Error("it is gone");
        await stash.close();
      }`,
      ["-A"],
    )
  ));
  assertEquals(results.map(({ stderr }) => stderr), ["", "", "", ""]);
  await bed.stash(options).set("key", "value");
  const names = Array.from(
    Deno.readDirSync(join(bed.root, "come_and_go/diskcache/main")),
    ({ name }) => name,
  );
  assertEquals(names.filter((name) => name.includes("writer")), []);
});

test("a log whose lock somebody has for a moment leaves nothing", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("small", entryOf("value"));
  const own = Deno.FsFile.prototype.tryLockSync;
  let left = 2;
  Deno.FsFile.prototype.tryLockSync = function (exclusive) {
    return left-- > 0 ? false : own.call(this, exclusive);
  };
  try {
    await engine.set("key", entryOf("x".repeat(50 * KB)));
  } finally {
    Deno.FsFile.prototype.tryLockSync = own;
  }
  await engine.close();
  assertLess(left, 0);
  const names = Array.from(Deno.readDirSync(directoryOf(bed)), ({ name }) => name);
  assertEquals(names.filter((name) => name.includes("writer")), []);
});

test("leaves what a log of a writer names, where it is in use or no file of the kind", async (bed) => {
  const engine = await openIn(bed);
  await engine.set("key", entryOf("x".repeat(50 * KB)));
  const directory = directoryOf(bed);
  const [kept] = valueFiles(bed);
  const left = join("ab", "cd", `${"0".repeat(28)}.val`);
  await Deno.mkdir(join(directory, "ab/cd"), { recursive: true });
  await Deno.mkdir(join(directory, "ef/01"), { recursive: true });
  await Deno.writeTextFile(join(directory, left), "left");
  await Deno.writeTextFile(join(bed.root, "secret"), "secret");
  const log = join(directory, "cache.db-writer-1");
  const gone = join("ef", "01", `${"0".repeat(28)}.val`);
  await Deno.writeTextFile(log, [kept, left, "../secret", gone, "cache.db", kept, ""].join("\n"));
  const held = await Deno.open(`${log}.lock`, { write: true, create: true });
  await held.lock(true);
  const second = await openIn(bed);
  await second.set("small", entryOf("value"));
  assertEquals(valueFiles(bed).sort(), [kept, left].sort());
  held.close();
  const third = await openIn(bed);
  await third.set("small", entryOf("value"));
  assertEquals(valueFiles(bed), [kept]);
  assertEquals(await Deno.readTextFile(join(bed.root, "secret")), "secret");
  assertEquals((await textAt(engine, "key"))?.length, 50 * KB);
  assertEquals((await engine.check({ fix: false })).problems, []);
  assertEquals(existsSync(log), false);
});

test("leaves a file alone whose writer is at work", async (bed) => {
  const engine = await openIn(bed);
  const directory = directoryOf(bed);
  const path = join(directory, "ab", "cd", `${"0".repeat(28)}.val`);
  await Deno.mkdir(join(directory, "ab/cd"), { recursive: true });
  await Deno.writeTextFile(path, "value");
  const log = join(directory, "cache.db-writer-1");
  await Deno.writeTextFile(log, `${relative(directory, path)}\n`);
  const writer = await Deno.open(`${log}.lock`, { create: true, write: true });
  await writer.lock(true);
  assertEquals((await engine.check({ fix: true })).problems, []);
  writer.close();
  assertEquals((await engine.check({ fix: true })).problems.length, 1);
});

test("touches nothing outside of its directory, whatever a row says", async (bed) => {
  const secret = join(bed.root, "secret");
  await Deno.writeTextFile(secret, "secret");
  const engine = await openIn(bed);
  const insert = databaseOf(bed).prepare(
    "INSERT INTO Cache (key, raw, store_time, access_time, size, mode, filename) " +
      "VALUES (?, 1, 1.0, 1.0, 6, 2, ?)",
  );
  const paths = ["../secret", secret, "ab/../../secret", "..\\secret"];
  for (const path of paths) insert.run(path, path);
  for (const key of paths) {
    await assertRejects(async () => await engine.get(key), DecodeError, "not in the directory");
  }
  const { problems } = await engine.check({ fix: true });
  assertEquals(problems.map(({ kind, fixed }) => [kind, fixed]), Array(4).fill(["damaged", true]));
  assertEquals(await Deno.readTextFile(secret), "secret");
});

test("follows no link out of its directory", async (bed) => {
  const outside = join(bed.root, "outside");
  await Deno.mkdir(join(outside, "bb"), { recursive: true });
  const name = `${"0".repeat(28)}.val`;
  const kept = [join(outside, "bb", name), join(outside, name)];
  for (const path of kept) await Deno.writeTextFile(path, "secret");
  const engine = await openIn(bed);
  const directory = directoryOf(bed);
  for (const folder of ["cc/cc", "dd/dd", "ee/ee"]) {
    await Deno.mkdir(join(directory, folder), { recursive: true });
  }
  await Deno.symlink(outside, join(directory, "aa"));
  await Deno.symlink(outside, join(directory, "cc", "bb"));
  await Deno.symlink(kept[0], join(directory, "cc/cc", name));
  await Deno.symlink("/dev/zero", join(directory, "dd/dd", name));
  await new Deno.Command("mkfifo", { args: [join(directory, "ee/ee", name)] }).output();
  const insert = databaseOf(bed).prepare(
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, size, mode, filename) " +
      "VALUES (?, 1, 1.0, ?, 1.0, 6, 2, ?)",
  );
  const rows = ["aa/bb", "cc/bb", "cc/cc", "dd/dd", "ee/ee"].map((folder) => join(folder, name));
  for (const filename of rows) insert.run(filename, null, filename);
  for (const key of rows) {
    await assertRejects(async () => await engine.get(key), DecodeError, "Its file");
  }
  const { problems } = await engine.check({ fix: false });
  assertEquals(problems.map(({ kind, key }) => [kind, key]), rows.map((key) => ["damaged", key]));
  for (const filename of rows) insert.run(`expired ${filename}`, 2, filename);
  assertEquals(await engine.prune(), rows.length);
  await engine.delete(rows[0]);
  await engine.set(rows[1], entryOf("value"));
  await engine.check({ fix: true });
  await engine.clear();
  for (const path of kept) assertEquals(await Deno.readTextFile(path), "secret");
  // Every folder that a new file could go to.
  for (let i = 0; i < 256; i++) {
    const folder = join(directory, i.toString(16).padStart(2, "0"));
    await Deno.remove(folder, { recursive: true }).catch(() => undefined);
    await Deno.symlink(outside, folder);
  }
  const large = entryOf("x".repeat(50 * KB));
  await assertRejects(async () => await engine.set("key", large), EngineError, "lead out of");
  assertEquals(Array.from(Deno.readDirSync(outside)).length, 2);
});

test("opens and clears no directory of another by a link", async (bed) => {
  const outside = await openIn(bed, { path: join(bed.root, "outside") });
  await outside.set("key", entryOf("value"));
  const engine = await openIn(bed);
  const nested = join(bed.root, "cache+");
  await Deno.mkdir(join(nested, "file"), { recursive: true });
  await Deno.symlink(join(bed.root, "outside"), join(nested, "sub"));
  await Deno.symlink(join(bed.root, "outside/cache.db"), join(nested, "file/cache.db"));
  await engine.clear(true);
  await Deno.remove(nested, { recursive: true });
  await Deno.mkdir(join(bed.root, "far/sub"), { recursive: true });
  await Deno.rename(join(bed.root, "outside"), join(bed.root, "far/outside"));
  await Deno.symlink(join(bed.root, "far"), nested);
  await engine.clear(true);
  const moved = await openIn(bed, { path: join(bed.root, "far/outside") });
  assertEquals(await keysOf(moved), ["key"]);
  await Deno.symlink(join(bed.root, "far/outside/cache.db"), join(bed.root, "far/sub/cache.db"));
  const linked = () => openIn(bed, { path: join(bed.root, "far/sub") });
  await assertRejects(linked, EngineError, "is a link or no file");
});

test("refuses a database that is none of DiskCache", async (bed) => {
  const directory = directoryOf(bed);
  await Deno.mkdir(directory);
  const other = new DatabaseSync(join(directory, "cache.db"));
  other.exec("CREATE TABLE Cache (key, value)");
  other.close();
  await assertRejects(() => openIn(bed), EngineError, "another program's");
  await Deno.writeTextFile(join(directory, "cache.db"), "no database, but some text ".repeat(99));
  await assertRejects(() => openIn(bed), EngineError, "is not an SQLite database");
  const file = join(bed.root, "file");
  await Deno.writeTextFile(file, "");
  await assertRejects(() => openIn(bed, { path: file }), EngineError, "a file is where a folder");
});

test("maps any key to one of its own", async (bed) => {
  const engine = await openIn(bed);
  const keys = [
    ...["", "1", "a\0b", "\u0001", "\u0001[1]", "\u00011", "\ud800", "\u{10FFFF}"],
    ...[0, 1, -1, 1.5, 2 ** 53, 2 ** 60, 1e16, 2 ** 63, -(2 ** 63), 1e20, 1e300, 5e-324],
    ...[NaN, Infinity, -Infinity, true, false, null, undefined],
    ...[0n, 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 60n, -(2n ** 63n), 2n ** 63n, 2n ** 70n],
    ...[new Uint8Array([]), new Uint8Array([49]), new Uint8ClampedArray([49]), [1], { a: 1 }],
  ];
  const texts = keys.map(encodeKey);
  assertEquals(new Set(texts).size, keys.length);
  await engine.setMany(texts.map((text) => [text, entryOf(text)]));
  assertEquals(await keysOf(engine), texts.toSorted());
  for (const text of texts) assertEquals(await textAt(engine, text), text);
  for (const prefix of ["\u0001", "\u0001{", '\u0001"', "\u00011", "1"]) {
    const matching = texts.filter((text) => text.startsWith(prefix));
    assertEquals(await keysOf(engine, prefix), matching.sort());
  }
  assertEquals(decodeKey(texts[2]), "a\0b");
  assertEquals(await python(directoryOf(bed), "answer(check())"), []);
  assertEquals(await engine.deleteMany(texts), keys.length);
});

test("does not use a directory that was removed, for a second handle or the first", async (bed) => {
  const first = await openIn(bed);
  const large = "x".repeat(50 * KB);
  await first.set("before", entryOf(large));
  await Deno.remove(directoryOf(bed), { recursive: true });
  const second = await openIn(bed);
  await second.set("second", entryOf(large));
  assertEquals(await python(directoryOf(bed), "answer(list(cache))"), ["second"]);
  await first.set("first", entryOf(large));
  assertEquals(await textAt(second, "first"), large);
  await first.close();
  await second.set("third", entryOf("value"));
  assertEquals(await keysOf(second), ["first", "second", "third"]);
  assertEquals(await python(directoryOf(bed), "answer([len(cache), check()])"), [3, []]);
});

test("reads on a full disk, which has no room to note what is used", async (bed) => {
  const printed = await runOnSmallDisk(
    bed.root,
    5_000_000,
    `
    import { complete } from "./engines/complete.ts";
    import { diskcache } from "./engines/diskcache/mod.ts";
    const location = { rootDir: Deno.args[0], name: "test", dbname: "main" };
    const options = { sizeLimit: 1e9, evictionPolicy: "least-recently-used" };
    const engine = complete(diskcache(location, options));
    await engine.open();
    for (const size of [2_000, 10]) {
      const value = crypto.getRandomValues(new Uint8Array(size));
      try {
        for (let i = 0;; i++) await engine.set(size + " " + i, { value, timestamp: Date.now() });
      } catch (error) {
        console.log(error.message.replace(/.*: /, ""));
      }
    }
    // Nothing is left of what the log of changes has taken already.
    const rest = await Deno.open(Deno.args[0] + "/rest", { createNew: true, write: true });
    try {
      for (;;) await rest.write(new Uint8Array(1));
    } catch {
      rest.close();
    }
    const counts = { read: 0, listed: 0 };
    const keys = await Array.fromAsync(engine.keys());
    for (const key of keys) if (await engine.get(key) !== undefined) counts.read++;
    for (let i = 0; i < keys.length; i += 100) {
      counts.listed += (await engine.getMany(keys.slice(i, i + 100))).filter(Boolean).length;
    }
    console.log(keys.length > 1_000, keys.length - counts.read, keys.length - counts.listed);
    await engine.close();`,
  );
  if (printed === undefined) return;
  assertMatch(printed, /^(the disk of .* is full; free some space\n){2}true 0 0\n$/);
});

test("makes its directory as Python does, in folders that are their owner's", async (bed) => {
  const modeOf = (path: string) => Number(Deno.statSync(path).mode) & 0o777;
  for (const umask of [0o022, 0o002, 0o077]) {
    const before = Deno.umask(umask);
    try {
      const root = join(bed.root, `umask_${umask}`);
      const engine = await bed.open({}, { rootDir: root, name: "a" });
      await engine.set("key", entryOf("x".repeat(50 * KB)));
      const theirs = join(bed.root, `theirs_${umask}`);
      await python(theirs, "cache['key'] = 'x' * 50_000");
      const modes = (directory: string) => [directory, join(directory, "cache.db")].map(modeOf);
      assertEquals(modes(engine.path), modes(theirs));
      const file = (await python(
        engine.path,
        "answer(cache._sql('SELECT filename FROM Cache').fetchone()[0])",
      )) as string;
      const theirFile = (await python(
        theirs,
        "answer(cache._sql('SELECT filename FROM Cache').fetchone()[0])",
      )) as string;
      const paths = (directory: string, name: string) => [
        join(directory, name),
        join(directory, name, ".."),
        join(directory, name, "../.."),
      ];
      assertEquals(paths(engine.path, file).map(modeOf), paths(theirs, theirFile).map(modeOf));
      const around = [root, join(root, "a"), join(root, "a/diskcache")];
      assertEquals(around.map(modeOf), [0o700, 0o700, 0o700]);
      await Deno.remove(root, { recursive: true });
      const second = await bed.open({}, { rootDir: root, name: "a" });
      await second.close();
      assertEquals(around.map(modeOf), [0o700, 0o700, 0o700]);
    } finally {
      Deno.umask(before);
    }
  }
});

test("checks its options", async () => {
  const location = { rootDir: "/x", name: "test", dbname: "main" };
  assertThrows(() => createEngine(location, { evictionPolicy: "lru" }), TypeError, "none");
  assertThrows(() => createEngine(location, { sizeLimit: -1 }), RangeError, "sizeLimit");
  assertThrows(() => createEngine(location, { cullLimit: 1.5 }), RangeError, "cullLimit");
  assertThrows(() => createEngine(location, { minFileSize: "1" }), TypeError, "minFileSize");
  assertThrows(() => createEngine(location, { size_limit: 1 }), TypeError, "sizeLimit");
  await Promise.resolve();
});

test("works with read and write permission for its folder, and asks for no more", async (bed) => {
  const script = `
    import { complete } from "./engines/complete.ts";
    import { loadEngine } from "./engines/registry.ts";
    const createEngine = await loadEngine("diskcache");
    const location = { rootDir: ${JSON.stringify(bed.root)}, name: "test", dbname: "main" };
    const engine = complete(createEngine(location, {}));
    const value = new TextEncoder().encode("x".repeat(50_000));
    try {
      await engine.open();
      await engine.set("key", { value, timestamp: Date.now() });
      console.log((await engine.get("key")).value.byteLength);
      console.log((await engine.check({ fix: true })).problems.length);
      await engine.close();
    } catch (error) {
      console.log(error.name, error.message);
    }`;
  const allowed = [`--allow-read=.,${bed.root}`, `--allow-write=${bed.root}`];
  const { stdout, stderr } = await runScript(script, allowed);
  assertEquals([stdout, stderr], ["50000\n0\n", ""]);
  const refused = await runScript(script, allowed.slice(0, 1));
  assertStringIncludes(refused.stdout, 'EngineError Cannot open engine "diskcache": no permission');
  assertStringIncludes(refused.stdout, "--allow-write");
});
