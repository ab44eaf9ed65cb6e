/** Every command as a child process. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Output } from "../cli/io.ts";
import type { EngineName } from "../engines/mod.ts";
import { HashStash, type StoreInfo } from "../mod.ts";
import { ARGUMENTS } from "../profile/bench/arguments.ts";
import { damage } from "./support/adapters.ts";
import { runScript } from "./support/child.ts";
import { hashstash, hashstashArguments, hashstashInterrupted, MAIN } from "./support/cli.ts";
import { ENGINES, hasServer, makeEngine, PERSISTENT, TestBed } from "./support/bed.ts";
import { runPython } from "./support/python.ts";

const COMMANDS = [
  "ls",
  "get",
  "set",
  "rm",
  "clear",
  "invalidate",
  "stats",
  "stores",
  "copy",
  "export",
  "import",
  "check",
  "prune",
  "profile",
  "serve",
];

/** The options that name a stash of the bed. */
function optionsOf(bed: TestBed, name = "cli"): string[] {
  const { url } = (bed.options().engineOptions ?? {}) as { url?: string };
  return [
    "--engine",
    bed.engine,
    "--name",
    name,
    "--root",
    bed.root,
    ...(url ? ["--url", url] : []),
  ];
}

for (const engine of ["pairtree", "sqlite", "redis", "postgres"] satisfies EngineName[]) {
  Deno.test(`ls, get, set, rm, clear, stats, check, prune on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    const where = optionsOf(bed);
    const run = (...args: string[]) => hashstash([...args, ...where]);

    assertEquals((await run("get", "absent")).code, 1);
    assertEquals((await run("set", "a", '{"n": [1, null]}')).code, 0);
    assertEquals(JSON.parse((await run("get", "a")).stdout), { n: [1, null] });
    assertEquals((await run("get", "a", "--json")).stdout, '{"n":[1,null]}\n');
    assertEquals((await run("set", "t", "plain text", "--text")).code, 0);
    assertEquals((await run("get", "t")).stdout, "plain text\n");
    assertEquals((await run("set", "[1,2]", "5", "--json-key")).code, 0);
    assertEquals((await run("get", "[1,2]", "-k")).stdout, "5\n");

    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    assertEquals(
      (await hashstash(["set", "bytes", "--binary", ...where], { input: bytes })).code,
      0,
    );
    assertEquals((await run("get", "bytes")).bytes, bytes);
    const file = `${bed.root}/value.bin`;
    await Deno.writeFile(file, bytes);
    assertEquals((await run("set", "from file", "--binary", "--file", file)).code, 0);
    assertEquals((await run("get", "from file")).bytes, bytes);
    assertEquals((await hashstash(["set", "json", "-", ...where], { input: "[true]" })).code, 0);

    const listed = (await run("ls", "--json")).stdout.trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(listed.length, 6);
    const strange = listed.find((key) => key.startsWith("\u0001"));
    assertEquals((await run("get", "--json-key", JSON.stringify(strange))).stdout, "5\n");
    assertEquals((await run("ls", "fr")).stdout, "from file\n");
    assertEquals((await run("ls", "--limit", "2")).stdout.trimEnd().split("\n").length, 2);

    assertEquals((await run("set", "short", "1", "--ttl", "1")).code, 0);
    assertMatch((await run("ls", "--long")).stdout, /^forever +a$/m);
    assertEquals((await run("get", "short")).code, 1);
    assertEquals((await run("prune")).code, 0);

    const stats = JSON.parse((await run("stats", "--json")).stdout);
    assertEquals([stats.name, stats.dbname, stats.engine, stats.entries], [
      "cli",
      "main",
      engine,
      6,
    ]);
    assert(stats.bytes > 0 && stats.path !== "");
    assertStringIncludes((await run("stats")).stdout, "entries");

    const check = await run("check", "--json");
    assertEquals([check.code, JSON.parse(check.stdout)], [0, {
      ok: true,
      checked: JSON.parse(check.stdout).checked,
      problems: [],
    }]);

    assertEquals((await run("rm", "t", "absent")).code, 0);
    assertEquals((await run("rm", "absent")).code, 1);
    assertEquals((await run("clear")).code, 2);
    assertEquals(JSON.parse((await run("stats", "--json")).stdout).entries, 5);
    assertEquals((await run("clear", "--yes")).code, 0);
    assertEquals(JSON.parse((await run("stats", "--json")).stdout).entries, 0);
  });
}

for (const engine of PERSISTENT) {
  Deno.test(`stores on ${engine} lists what no program has open`, async () => {
    await using bed = await TestBed.create(engine);
    const where = optionsOf(bed);
    const before = await Array.fromAsync(Deno.readDir(bed.root));
    const none = await hashstash(["stores", "--json", ...where]);
    const lone = [{ dbname: "main", kind: "stash", entries: 0, bytes: 0 }];
    assertEquals([none.code, JSON.parse(none.stdout)], [0, lone], none.stderr);
    assertEquals(await Array.fromAsync(Deno.readDir(bed.root)), before);

    const stash = bed.stash({ name: "cli" });
    // The stash itself is opened by nobody.
    const slow = stash.stashedResult(function slow(x: number) {
      return x;
    });
    await slow(1);
    await using sub = stash.sub("\u202ebus");
    await sub.setMany([["a", 1], ["b", 2]]);
    await stash.close();

    const json = await hashstash(["stores", "--json", ...where]);
    const found: StoreInfo[] = JSON.parse(json.stdout);
    const facts = found.map(({ dbname, kind, entries, bytes }) => [dbname, kind, entries, bytes]);
    assertEquals(facts, [
      ["main", "stash", 0, 0],
      [slow.stash.dbname, "function", 1, slow.stash.encodeKey([1]).length + 1],
      ["main/\u202ebus", "stash", 2, 4],
    ]);
    const { code, stdout } = await hashstash(["stores", ...where]);
    assertEquals(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assertMatch(lines[0], /^dbname +kind +entries +bytes +last write$/);
    assertEquals(lines.length, 4);
    assertMatch(lines[3], /^main\/\\u202ebus +stash +2 +4( +\d{4}-\d\d-\d\dT.*Z)?$/);
    const inner = await hashstash(["stores", "--json", "-d", slow.stash.dbname, ...where]);
    assertEquals(JSON.parse(inner.stdout), [found[1]]);
    assertEquals((await hashstash(["stores", "main", ...where])).code, 2);
  });
}

for (const engine of ["pairtree", "sqlite", "redis"] satisfies EngineName[]) {
  Deno.test(`tags and prefixes: set, ls, invalidate on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    const run = (...args: string[]) => hashstash([...args, ...optionsOf(bed)]);
    const lines = async (...args: string[]) =>
      (await run(...args)).stdout.split("\n").filter((line) => line !== "").sort();
    assertEquals((await run("set", "user:7:name", "1", "--tag", "users", "--tag", "a b")).code, 0);
    assertEquals((await run("set", "user:7:mail", "2", "--tag", "mail")).code, 0);
    assertEquals((await run("set", "user:70", "3", "--tag", "users", "--ttl", "3600000")).code, 0);
    assertEquals((await run("set", '["user:7:"]', "4", "-k", "--tag", "users")).code, 0);
    assertEquals((await run("set", "none", "5")).code, 0);
    await using stash = bed.stash({ name: "cli" });
    const f = stash.stashedResult((x: number) => x, { name: "f", tags: ["users"] });
    await f(1);
    assertEquals((await stash.entry("user:7:name"))?.tags, ["users", "a b"]);

    assertEquals(await lines("ls", "--prefix", "user:7:"), ["user:7:mail", "user:7:name"]);
    assertEquals(await lines("ls", "user:7:"), ["user:7:mail", "user:7:name"]);
    assertEquals(await lines("ls", "--tag", "users", "--prefix", "user:"), [
      "user:70",
      "user:7:name",
    ]);
    assertEquals(await lines("ls", "--tag", "users"), ['[ "user:7:" ]', "user:70", "user:7:name"]);
    assertEquals(await lines("ls", "--tag", "never"), []);
    const long = (await run("ls", "--long")).stdout;
    assertMatch(long, /^forever +none$/m);
    assertMatch(long, /^forever +user:7:name {2}\[users, a b\]$/m);
    assertMatch(long, /^2\S+Z +user:70 {2}\[users\]$/m);
    const facts = (await lines("ls", "--long", "--json", "--prefix", "user:7:"))
      .map((line) => JSON.parse(line));
    assertEquals(facts, [
      { key: "user:7:mail", tags: ["mail"] },
      { key: "user:7:name", tags: ["users", "a b"] },
    ]);
    assertEquals((await run("ls", "--long", "--json", "none")).stdout, '{"key":"none"}\n');

    assertEquals((await run("invalidate", "--prefix", "user:7:")).stdout, "Removed 2 entries\n");
    assertEquals(await lines("ls"), ['[ "user:7:" ]', "none", "user:70"]);
    const removed = await run("invalidate", "--tag", "users", "--tag", "mail", "--json");
    assertEquals([removed.code, removed.stdout], [0, '{"removed":3}\n']);
    assertEquals(await f.peek(1), undefined);
    assertEquals(await lines("ls"), ["none"]);
    // Nothing to remove is no failure: whoever computes from before is told all the same.
    const again = await run("invalidate", "--tag", "users");
    assertEquals([again.code, again.stdout], [0, "Removed 0 entries\n"]);
    for (
      const [args, message] of [
        [["invalidate"], "Expected --tag or --prefix"],
        [["invalidate", "users"], 'Unexpected argument "users"'],
        [["invalidate", "--tag", ""], "Expected tags that are not empty"],
        [["invalidate", "--prefix", ""], "Expected a prefix that is not empty"],
        [["invalidate", "--tag", "a", "--prefix", "b"], "got both"],
        [["set", "k", "1", "--tag", ""], "Expected tags that are not empty"],
        [["ls", "--tag", ""], "Expected tags that are not empty"],
        [["ls", "--tag", "a", "--tag", "b"], "Expected one --tag"],
        [["ls", "a", "--prefix", "b"], "Expected PREFIX or --prefix, got both"],
      ] as [string[], string][]
    ) {
      const { code, stderr, stdout } = await run(...args);
      assertEquals([args, code, stdout], [args, 2, ""], stderr);
      assertStringIncludes(stderr, message);
    }
    assertEquals(await lines("ls"), ["none"]);
  });
}

Deno.test("ls --long lists what can't be read, too", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("good", 1, { tags: ["t"] });
  await damage(bed, stash, "bad");
  const { code, stdout } = await hashstash(["ls", "--long", ...optionsOf(bed)]);
  assertEquals(code, 0);
  assertEquals(stdout.trimEnd().split("\n").map((line) => line.slice(26)).sort(), [
    "bad",
    "good  [t]",
  ]);
});

Deno.test("clear --deep claims no number: the stashes inside have entries too", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await using inner = stash.sub("inner");
  const clear = async (...more: string[]) => {
    await stash.set("a", 1);
    await inner.setMany([["b", 2], ["c", 3]]);
    return await hashstash(["clear", "--deep", ...more, ...optionsOf(bed)]);
  };
  const asked = await clear();
  assertEquals(asked.code, 2);
  assertMatch(asked.stderr, /Remove all entries, those of the stashes inside it too, of stash/);
  assertEquals(await inner.size(), 2);
  assertEquals((await clear("--yes")).stdout, "Removed all entries\n");
  assertEquals([await stash.size(), await inner.size()], [0, 0]);
  assertEquals(JSON.parse((await clear("--yes", "--json")).stdout), { deep: true });
  assertEquals(await inner.size(), 0);
});

Deno.test("--help on each command, and what is wrong is status 2", async () => {
  const overview = await hashstash(["--help"]);
  assertEquals(overview.code, 0);
  for (const command of COMMANDS) assertStringIncludes(overview.stdout, command);
  await Promise.all(COMMANDS.map(async (command) => {
    const { code, stdout } = await hashstash([command, "--help"]);
    assertEquals(code, 0, command);
    assertStringIncludes(stdout, `Usage: hashstash ${command}`);
    assertStringIncludes(stdout, "--engine");
  }));
  const wrong: string[][] = [
    [],
    ["frobnicate"],
    ["get"],
    ["get", "k", "--engine", "leveldb"],
    ["get", "k", "--nonsense"],
    ["get", "a", "b"],
    ["set", "k", "not json", "--engine", "memory"],
    ["set", "k", "1", "--ttl", "soon", "--engine", "memory"],
    ["get", "{", "--json-key", "--engine", "memory"],
    ["copy", "--engine", "memory"],
    ["profile", "--output", "x.exe"],
  ];
  await Promise.all(wrong.map(async (args) => {
    const { code, stderr, stdout } = await hashstash(args);
    assertEquals([args.join(" "), code], [args.join(" "), 2]);
    assert((stderr + stdout).length > 0);
    assert(!stderr.includes("    at "), stderr);
  }));
  // The usage of a command names each of its options once.
  await Promise.all(COMMANDS.map(async (command) => {
    const { stderr } = await hashstash([command, "--nonsense"]);
    const usage = stderr.split("\n").find((line) => line.startsWith("Usage: ")) ?? "";
    const options = usage.match(/--[\w-]+/g) ?? [];
    assertStringIncludes(usage, `hashstash ${command}`);
    assertEquals(options, [...new Set(options)]);
  }));
});

Deno.test("HASHSTASH_* variables name the stash", async () => {
  await using bed = await TestBed.create("sqlite");
  const env = {
    HASHSTASH_ENGINE: "sqlite",
    HASHSTASH_NAME: "by_env",
    HASHSTASH_DBNAME: "inner",
    HASHSTASH_DIR: bed.root,
  };
  assertEquals((await hashstash(["set", "k", "1"], { env })).code, 0);
  await using stash = bed.stash({ name: "by_env", dbname: "inner" });
  assertEquals(await stash.get("k"), 1);
});

Deno.test("a damaged entry is status 1 and named; check --fix removes it", async () => {
  await using bed = await TestBed.create("pairtree");
  {
    await using stash = bed.stash({ name: "cli" });
    await stash.update({ good: 1, bad: "x".repeat(500) });
    for await (const path of files(stash.path)) {
      const text = await Deno.readTextFile(path);
      if (text.includes("xxxx")) await Deno.writeTextFile(path, text.slice(0, -50));
    }
  }
  const where = optionsOf(bed);
  const got = await hashstash(["get", "bad", ...where]);
  assertEquals(got.code, 1);
  assertStringIncludes(got.stderr, '"bad"');
  const found = await hashstash(["check", ...where]);
  assertEquals(found.code, 1);
  assertStringIncludes(found.stdout, "bad");
  assertEquals((await hashstash(["check", "--fix", ...where])).code, 2);
  const fixed = await hashstash(["check", "--fix", "--yes", ...where]);
  assertEquals(fixed.code, 0);
  assertStringIncludes(fixed.stdout, "fixed");
  assertEquals((await hashstash(["get", "good", ...where])).stdout, "1\n");
  assertEquals((await hashstash(["check", ...where])).code, 0);
});

async function* files(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* files(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

for (const engine of PERSISTENT) {
  Deno.test(`export, import and copy keep types, deadlines and versions on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    const ends = Date.now() + 3_600_000;
    const values: [unknown, unknown][] = [
      ["plain", { a: [1, "x", null] }],
      ["map", new Map<unknown, unknown>([[1, new Date(5)], ["b", new Set([1n])]])],
      ["bytes", new Uint8Array([0, 255, 10])],
      [["key", { n: 1 }], [NaN, -0, undefined]],
      ["日本\n", "é\u2028"],
    ];
    await using stash = bed.stash({ name: "cli", appendMode: true });
    await stash.setMany(values);
    await stash.set("plain", "second version");
    await stash.set("ends", 1, { expiresAt: ends, tags: ["t", "\ud800"] });
    await stash.getOrSet("stale", () => 1, { ttl: 60_000, staleIfError: 90_000 });
    const exported = `${bed.root}/export.ndjson`;
    assertEquals((await hashstash(["export", exported, ...optionsOf(bed)])).code, 0);
    assertEquals((await Deno.readTextFile(exported)).trimEnd().split("\n").length, 8);

    const imported = await hashstash([
      "import",
      exported,
      "--append",
      ...optionsOf(bed, "imported"),
    ]);
    assertEquals([imported.code, imported.stderr], [0, ""]);
    const target = optionsOf(bed, "copied").flatMap((text) =>
      text.startsWith("--") ? [`--to-${text.slice(2)}`] : [text]
    );
    const copied = await hashstash(["copy", ...optionsOf(bed), ...target, "--to-append"]);
    assertEquals([copied.code, copied.stderr], [0, ""]);
    for (const name of ["imported", "copied"]) {
      await using other = bed.stash({ name, appendMode: true });
      assertEquals(await other.size(), 7, name);
      for (const [key, value] of values.slice(1)) assertEquals(await other.get(key), value);
      assertEquals(await other.getAll("plain"), [{ a: [1, "x", null] }, "second version"]);
      assertEquals(await other.expiresAt("ends"), ends);
      assertEquals((await other.entry("ends"))?.tags, ["t", "\ud800"]);
      assertEquals((await other.entry("plain"))?.tags, []);
      const [moved, own] = [await other.entry("stale"), await stash.entry("stale")];
      assertEquals([moved?.expiresAt, moved?.freshUntil], [own?.expiresAt, own?.freshUntil]);
      assertEquals(
        await other.getAll("plain", { withMetadata: true }),
        await stash.getAll("plain", { withMetadata: true }),
      );
    }
  });
}

Deno.test("import says which line is bad, and keeps those before it", async () => {
  await using bed = await TestBed.create("sqlite");
  const input = '{"key":"a","value":1}\n\n{"key":"b","value":\n{"key":"c","value":3}\n';
  const { code, stderr } = await hashstash(["import", ...optionsOf(bed)], { input });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "line 3");
  await using stash = bed.stash({ name: "cli" });
  assertEquals(await stash.toMap(), new Map([["a", 1]]));
});

Deno.test("import --append leaves out a history that a bad line cuts off", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli", appendMode: true });
  for (const version of [1, 2, 3]) await stash.set("k", version);
  const before = await stash.getAll("k", { withMetadata: true });
  const exported = (await hashstash(["export", ...optionsOf(bed)])).stdout.split("\n");
  for (const bad of ["{broken", "{}"]) {
    const input = ['{"key":"a","value":1}', ...exported.slice(0, 2), bad, exported[2]].join("\n");
    const args = ["import", "--append", ...optionsOf(bed)];
    const { code, stdout, stderr } = await hashstash(args, { input });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^hashstash import: line 4: .*; 1 entries before it are imported, /);
    assertStringIncludes(stderr, "those of the key k are left out: it may have more versions");
    assertEquals(await stash.getAll("k", { withMetadata: true }), before);
    assertEquals(await stash.get("a"), 1);
  }
});

Deno.test("numbers are stored as they are written: set, import, --json-key", async () => {
  await using bed = await TestBed.create("sqlite");
  const where = optionsOf(bed);
  await using stash = bed.stash({ name: "cli" });
  const id = 1152921504606846977n;
  for (
    const [json, value] of [
      [`{"id":${id},"text":"${id}"}`, { id, text: String(id) }],
      [`[-${id}, 12345678901234567890.0]`, [-id, 12345678901234567000]],
      ["-0", -0],
      ['{"$rich":-0}', { $rich: -0 }],
    ] as const
  ) {
    assertEquals((await hashstash(["set", ...where, "--", "k", json])).code, 0, json);
    assertEquals(await stash.get("k"), value);
    const input = `{"key":"k","value":${json.replace("$rich", "$other")}}\n`;
    assertEquals((await hashstash(["import", ...where], { input })).code, 0, json);
    const imported = "$rich" in Object(value) ? { $other: -0 } : value;
    assertEquals(await stash.get("k"), imported);
  }
  const tagged = `{"key":"t","value":{"$rich":{"n":${id},"zero":-0,"$$":[{"$bigint":"5"}]}}}`;
  assertEquals((await hashstash(["import", ...where], { input: tagged })).code, 0);
  assertEquals(await stash.get("t"), { n: id, zero: -0, $$: [5n] });

  await stash.set(id, "by a bigint");
  assertEquals((await hashstash(["get", String(id), "-k", ...where])).stdout, "by a bigint\n");
  const large = await hashstash(["set", "k", "[1e400]", ...where]);
  assertEquals(large.code, 2);
  assertStringIncludes(large.stderr, "1e400");
});

Deno.test("bytes that are not UTF-8 are refused, a byte order mark is text", async () => {
  await using bed = await TestBed.create("sqlite");
  const where = optionsOf(bed);
  await using stash = bed.stash({ name: "cli" });
  const set = (input: Uint8Array | string, ...args: string[]) =>
    hashstash(["set", "k", ...args, ...where], { input });
  // "é" in Latin-1, alone and in JSON; a surrogate as UTF-8; a character that is cut off.
  for (const bytes of [[0xe9], [0x22, 0xe9, 0x22], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    for (const args of [[], ["--text"]]) {
      const { code, stderr } = await set(Uint8Array.from(bytes), ...args);
      assertEquals([code, stderr.includes("UTF-8")], [2, true], `${bytes} ${args}`);
    }
  }
  assertEquals(await stash.size(), 0);

  assertEquals((await set("\ufefftext", "--text")).code, 0);
  assertEquals(await stash.get("k"), "\ufefftext");
  assertEquals((await hashstash(["get", "k", ...where])).bytes.slice(0, 3), MARK);
  assertEquals((await hashstash(["set", "k", "\ufeffa", "--text", ...where])).code, 0);
  assertEquals(await stash.get("k"), "\ufeffa");
  // In front of JSON it says that the file is UTF-8, and is no part of the value.
  assertEquals((await set('\ufeff"\ufeff"')).code, 0);
  assertEquals(await stash.get("k"), "\ufeff");
  const lines = '\ufeff{"key":"a","value":1}\n{"key":"b","value":"\ufeff"}\n';
  assertEquals((await hashstash(["import", ...where], { input: lines })).code, 0);
  assertEquals([await stash.get("a"), await stash.get("b")], [1, "\ufeff"]);

  const input = new TextEncoder().encode('{"key":"c","value":1}\n{"key":"d","value":"?"}\n');
  input[input.lastIndexOf("?".charCodeAt(0))] = 0xe9;
  const { code, stderr } = await hashstash(["import", ...where], { input });
  assertEquals(code, 1);
  assertMatch(stderr, /line 2: .*1 entries before it/);
  assertEquals([await stash.get("c"), await stash.has("d")], [1, false]);
});

/** The byte order mark in UTF-8. */
const MARK = new Uint8Array([0xef, 0xbb, 0xbf]);

Deno.test("import refuses a line whose fields are not what they should be", async () => {
  await using bed = await TestBed.create("sqlite");
  const where = optionsOf(bed);
  const wrong: [string, string][] = [
    ['{"key":"k","value":1,"expiresAt":"soon"}', "expiresAt"],
    ['{"key":"k","value":1,"expiresAt":-1}', "expiresAt"],
    ['{"key":"k","value":1,"expiresAt":NaN}', "expiresAt"],
    ['{"key":"k","value":1,"timestamp":"2026-01-01"}', "timestamp"],
    ['{"key":"k","value":1,"timestamp":Infinity}', "timestamp"],
    ['{"key":"k","value":1,"version":"two"}', "version"],
    ['{"key":"k","value":1,"version":0}', "version"],
    ['{"key":"k","value":1,"ttl":5}', "ttl"],
    ['{"key":"k","value":1,"tags":"t"}', "tags"],
    ['{"key":"k","value":1,"tags":[1]}', "tags"],
    ['{"key":"k","value":1,"tags":[""]}', "tags"],
    ['{"key":"k","value":1,"stored":"MQ=="}', "twice"],
    ['{"key":"k","stored":5}', "base64"],
    ['{"key":"k","stored":"*"}', "line 1"],
    ['{"key":5,"value":1}', "key"],
    ['{"value":1}', "key"],
    ['{"key":"k"}', "value"],
    ['["k",1]', "object"],
    ["null", "object"],
    ['{"key":"k","value":{"$rich":{"$nonsense":1}}}', "nonsense"],
    ['{"key":"\\u0001[","value":1}', "line 1"],
    ['{"key":"\\u0001{\\"$nonsense\\":1}","value":1}', "nonsense"],
  ];
  for (const [input, named] of wrong) {
    const { code, stderr } = await hashstash(["import", ...where], { input });
    assertEquals([code, stderr.split("\n").length], [1, 2], `${input}: ${stderr}`);
    assertStringIncludes(stderr, named);
  }
  await using stash = bed.stash({ name: "cli" });
  assertEquals(await stash.size(), 0);
  const ends = Date.now() + 60_000.5;
  const lines = [
    { key: "some", value: null, expiresAt: ends, timestamp: 1.5, version: null, tags: null },
    { key: "none", value: 1, expiresAt: null },
    { key: "past", value: 1, expiresAt: 0 },
  ].map((line) => JSON.stringify(line));
  const input = [...lines, '{"key":"never","value":2,"expiresAt":9223372036854775807}'].join("\n");
  assertEquals((await hashstash(["import", ...where], { input })).code, 0);
  assertEquals(await stash.expiresAt("some"), Math.ceil(ends));
  assertEquals(await stash.expiresAt("none"), Infinity);
  assertEquals(await stash.expiresAt("past"), undefined);
  assertEquals(await stash.expiresAt("never"), Infinity);
});

Deno.test("what Python's json writes is imported: the recipe of docs/migrating.md", async () => {
  await using bed = await TestBed.create("sqlite");
  const guide = await Deno.readTextFile(new URL("../docs/migrating.md", import.meta.url));
  const [recipe] = guide.match(/^ {4}for key, value[^]*?(?=^```)/m) ?? [];
  assert(recipe !== undefined);
  const { stdout, stderr } = await hashstash(["import", ...optionsOf(bed)], {
    input: await runPython(String.raw`
import json, sys
nan = float("nan")
pairs = [
    ("text", 2 ** 60 + 1), ("caf\u00e9", [1.0, -0.0, 1e16, 1e22]), ("\x01odd", "\ud83d\ude00"),
    ("nan", {"a": nan, "b": [float("inf"), -float("inf")], "c": "NaN, -Infinity"}),
    (("caf\u00e9",), 1), (2.0, 2), (1e16, 3), (-0.0, 4), (nan, 5), (float("inf"), 6),
    (2 ** 60 + 1, 7), (("b", ("a", 1.5)), 8), (None, 9), (True, 10), ("a\0b", 11), ("\ud800", 12),
]
class HashStash(dict):
    def __init__(self, name):
        super().__init__(pairs)
if True:
    out = sys.stdout
${recipe}`),
  });
  assertEquals([stdout, stderr], ["Imported 16 entries\n", ""]);
  const id = 2n ** 60n + 1n;
  await using stash = bed.stash({ name: "cli" });
  assertEquals(
    await stash.toMap(),
    new Map<unknown, unknown>([
      ["text", id],
      ["caf\u00e9", [1, -0, 1e16, 1e22]],
      ["\u0001odd", "\ud83d\ude00"],
      ["nan", { a: NaN, b: [Infinity, -Infinity], c: "NaN, -Infinity" }],
      [["caf\u00e9"], 1],
      [2, 2],
      [1e16, 3],
      [0, 4],
      [NaN, 5],
      [Infinity, 6],
      [id, 7],
      [["b", ["a", 1.5]], 8],
      [null, 9],
      [true, 10],
      ["a\0b", 11],
      ["\ud800", 12],
    ]),
  );
  for (const key of [["caf\u00e9"], 1e16, -0, NaN, id]) assert(await stash.has(key), String(key));
});

Deno.test("export writes compressed values as what they are", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli", compress: "gzip", b64: true });
  await stash.set("k", "x".repeat(500));
  const { stdout } = await hashstash(["export", ...optionsOf(bed)]);
  assertEquals(JSON.parse(stdout).value, "x".repeat(500));
});

Deno.test("copy goes to the same server and path unless told otherwise", async () => {
  await using redis = await TestBed.create("redis");
  const { url } = redis.options().engineOptions as { url: string };
  await using one = redis.stash({ name: "one" });
  await one.set("k", 1);
  const copy = (args: string[], env = {}) => hashstash(["copy", ...args], { env });
  const where = ["--engine", "redis", "--url", url, "--name", "one"];
  const same = await copy([...where, "--to-name", "two"]);
  assertEquals([same.code, same.stderr], [0, ""]);
  await using two = redis.stash({ name: "two" });
  assertEquals(await two.get("k"), 1);

  // Paths: where a path holds stores of many names, and where of many dbnames.
  const path = `${redis.root}/store`;
  for (const [engine, to] of [["shelve", { name: "n" }], ["sqlite", { dbname: "d" }]] as const) {
    const engineOptions = { path: `${path}.${engine}` };
    await using from = new HashStash({ engine, engineOptions });
    await from.set("k", engine);
    const [[option, value]] = Object.entries(to);
    const there = ["--engine", engine, "--path", engineOptions.path];
    const { code, stderr } = await copy([...there, `--to-${option}`, value]);
    assertEquals([code, stderr], [0, ""]);
    await using copied = new HashStash({ engine, engineOptions, ...to });
    assertEquals(await copied.get("k"), engine);
    // Another root is another place.
    const root = `${redis.root}/${engine}`;
    assertEquals((await copy([...there, "--to-root", root])).code, 0);
    await using rooted = new HashStash({ engine, rootDir: root });
    assertEquals(await rooted.get("k"), engine);
  }
  const itself = await copy(["--engine", "sqlite", "--path", `${path}.sqlite`, "--to-name", "x"]);
  assertEquals(itself.code, 2);
  assertStringIncludes(itself.stderr, "--to-path");

  // A variable is for whichever of the two is on redis.
  const env = { HASHSTASH_URL: url };
  const toRedis = await copy(
    ["--engine", "sqlite", "--path", `${path}.sqlite`, "--to-engine", "redis", "--to-name", "e"],
    env,
  );
  assertEquals([toRedis.code, toRedis.stderr], [0, ""]);
  await using byVariable = redis.stash({ name: "e" });
  assertEquals(await byVariable.get("k"), "sqlite");
  const fromRedis = await copy(
    ["--engine", "redis", "--name", "e", "--to-engine", "sqlite", "--to-root", redis.root],
    env,
  );
  assertEquals([fromRedis.code, fromRedis.stderr], [0, ""]);

  // Nor for another kind of server than its URL is of.
  await using postgres = await TestBed.create("postgres");
  const { url: other } = postgres.options().engineOptions as { url: string };
  const toPostgres = await copy(
    ["--engine", "redis", "--name", "e", "--to-engine", "postgres", "--to-url", other],
    env,
  );
  assertEquals([toPostgres.code, toPostgres.stderr], [0, ""]);
  await using there = postgres.stash({ name: "e" });
  assertEquals(await there.get("k"), "sqlite");
  for (const variable of ["HASHSTASH_URL", "DATABASE_URL"]) {
    const get = ["get", "--engine", "postgres", "--name", "e", "k"];
    const { stdout, stderr } = await hashstash(get, { env: { ...env, [variable]: other } });
    assertEquals([stdout, stderr], ["sqlite\n", ""]);
  }
});

Deno.test("--path and --url are for the engines that have them, a variable for redis", async () => {
  await using bed = await TestBed.create("memory");
  const place = { path: `${bed.root}/place`, url: "redis://127.0.0.1:1" };
  const postgres = { ...place, url: "postgres://127.0.0.1:1/d" };
  await Promise.all(
    ENGINES.flatMap((engine) =>
      Object.entries(engine === "postgres" ? postgres : place).map(async ([option, value]) => {
        let isKnown = true;
        try {
          await makeEngine(
            { engine, rootDir: bed.root, options: { [option]: value } },
            { name: "n", dbname: "main" },
          );
        } catch (error) {
          isKnown = !(error instanceof TypeError);
        }
        // Stops short of the engine: the other stash is the same one.
        const args = ["copy", "--engine", engine, "--root", bed.root, `--${option}`, value];
        const { code, stderr } = await hashstash(args);
        const refused = stderr.includes(`--${option} is for`);
        assertEquals([engine, option, code, refused], [engine, option, 2, !isKnown]);
      })
    ),
  );
  const env = { HASHSTASH_URL: place.url, HASHSTASH_DIR: bed.root };
  for (const engine of ["sqlite", "pairtree", "memory"]) {
    const { code, stderr } = await hashstash(["ls", "--engine", engine], { env });
    assertEquals([engine, code, stderr], [engine, 0, ""]);
  }
  for (
    const args of [
      ["ls", "--engine", "redis", "--url", "http://127.0.0.1:1"],
      ["ls", "--engine", "redis", "--url", "nonsense"],
      ["ls", "--engine", "postgres", "--url", place.url],
      ["ls", "--engine", "shelve", "--path", "https://"],
      ["ls", "--engine", "sqlite", "--path", ""],
      ["copy", "--engine", "memory", "--to-engine", "sqlite", "--to-url", place.url],
    ]
  ) {
    const { code, stderr } = await hashstash(args);
    assertEquals([args, code], [args, 2]);
    assertStringIncludes(stderr, "Usage");
  }
});

Deno.test("copy and export count nothing when they show no progress", async () => {
  await using bed = await TestBed.create("pairtree");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", 1);
  const { success, stdout, stderr } = await runScript(
    `
    import { HashStash } from "./mod.ts";
    import { main } from "./cli/main.ts";
    let counts = 0;
    const { size } = HashStash.prototype;
    HashStash.prototype.size = function () { counts++; return size.call(this); };
    const where = ${JSON.stringify(optionsOf(bed))};
    await main(["copy", ...where, "--to-name", "other"]);
    await main(["export", ...where]);
    console.log(counts);
  `,
    ["-A", "--quiet", "--unstable-kv"],
  );
  assert(success, stderr);
  assertMatch(stdout, /^Copied 1 entries .*\n.*"value":1}\n0\n$/);
});

Deno.test("copy --resume leaves what is there", async () => {
  await using bed = await TestBed.create("sqlite");
  await using from = bed.stash({ name: "from" });
  await using to = bed.stash({ name: "to" });
  await from.update({ a: 1, b: 2, c: 3 });
  await to.set("b", "already here");
  const args = ["copy", ...optionsOf(bed, "from"), "--to-name", "to", "--resume", "--json"];
  assertEquals(JSON.parse((await hashstash(args)).stdout), { copied: 2 });
  assertEquals(
    new Map(await Array.fromAsync(to.entries())),
    new Map<string, unknown>([["a", 1], ["b", "already here"], ["c", 3]]),
  );
});

Deno.test("100,000 entries are copied in little memory", async () => {
  await using bed = await TestBed.create("sqlite");
  await using from = bed.stash({ name: "from" });
  const pairs = function* () {
    for (let i = 0; i < 100_000; i++) yield [`key ${i}`, { i, text: "x".repeat(400) }] as const;
  };
  await from.setMany(pairs());
  const peak = async (entries: number) => {
    const code = `
      import { HashStash } from ${JSON.stringify(new URL("../mod.ts", import.meta.url).href)};
      const [options, entries] = JSON.parse(Deno.args[0]);
      await using from = HashStash.fromJSON(options);
      await using to = HashStash.fromJSON({ ...options, name: "to" });
      let peak = 0;
      const measure = () => { peak = Math.max(peak, Deno.memoryUsage().rss); };
      const timer = setInterval(measure, 20);
      let seen = 0;
      const some = async function* () {
        for await (const record of from.dump()) { if (seen++ === entries) return; yield record; }
      };
      console.log(await to.load(some()), Math.max(peak, (measure(), peak)));
      clearInterval(timer);`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        new URL("../deno.json", import.meta.url).pathname,
        "--v8-flags=--max-old-space-size=200",
        `data:text/typescript,${encodeURIComponent(code)}`,
        JSON.stringify([from.toJSON(), entries]),
      ],
      stderr: "inherit",
    }).output();
    return new TextDecoder().decode(stdout).trim().split(" ").map(Number);
  };
  const [few, little] = await peak(10_000);
  const [all, much] = await peak(100_000);
  assertEquals([few, all], [10_000, 100_000]);
  // 90,000 entries more are 50 MB of values: held in memory, they would show.
  assert(much - little < 45_000_000, `${little} bytes for 10,000 entries, ${much} for 100,000`);
});

/** What a command leaves when its reader goes after the first piece: status and messages. */
async function readFirstPiece(args: string[]): Promise<{ code: number; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...hashstashArguments, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assert((await reader.read()).value);
  await reader.cancel();
  const [{ code }, stderr] = await Promise.all([
    child.status,
    new Response(child.stderr).text(),
  ]);
  return { code, stderr };
}

Deno.test("a reader that has enough is no failure", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  // More than a pipe holds.
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`key number ${i}, of a few`, i] as const);
  await stash.setMany(pairs);
  await stash.set("text", "x".repeat(2_000_000));
  await stash.set("bytes", new Uint8Array(2_000_000));
  for (
    const args of [["ls"], ["ls", "--json", "--long"], ["export"], ["get", "text"], [
      "get",
      "bytes",
    ]]
  ) {
    const { code, stderr } = await readFirstPiece([...args, ...optionsOf(bed)]);
    assertEquals([args, code, stderr], [args, 0, ""]);
  }
});

Deno.test("what the system refuses is said in one line, with status 1", async () => {
  await using bed = await TestBed.create("sqlite");
  const where = optionsOf(bed);
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", "value");
  const file = `${bed.root}/file`;
  await Deno.writeTextFile(file, "");
  for (
    const [args, named] of [
      [["import", "/"], "/"],
      [["import", `${bed.root}/absent`], "absent"],
      [["set", "k", "--file", "/"], "/"],
      [["set", "k", "--file", `${file}/inside`], "inside"],
      [["export", "/"], "/"],
      [["export", `${bed.root}/absent/export`], "absent"],
      [["profile", "--engine", "memory", "--size", "9", "-i", "1", "--output", "/a/b.csv"], "/a/b"],
    ] as [string[], string][]
  ) {
    const { code, stderr } = await hashstash([...args, ...where]);
    assertEquals([args, code, stderr.trimEnd().split("\n").length], [args, 1, 1], stderr);
    assertMatch(stderr, /^hashstash \w+: Cannot (read|write to) /);
    assertStringIncludes(stderr, named);
  }
  const denied = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", MAIN, "ls"],
  }).output();
  assertEquals(denied.code, 1);
  assertMatch(new TextDecoder().decode(denied.stderr), /^hashstash ls: .*--allow-env.*\n$/);
});

Deno.test("a full disk is said in one line, with status 1", async () => {
  if (Deno.build.os !== "linux") return; // Elsewhere there is no /dev/full.
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", "value");
  const where = optionsOf(bed);
  for (
    const command of [["ls"], ["get", "k"], ["stats"], ["export"], ["--help"], ["--version"]]
  ) {
    const { code, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        'exec "$@" > /dev/full',
        "sh",
        Deno.execPath(),
        ...hashstashArguments,
        ...command,
        ...(command[0].startsWith("-") ? [] : where),
      ],
    }).output();
    const text = new TextDecoder().decode(stderr);
    assertEquals([command, code], [command, 1]);
    assertMatch(text, /^hashstash.*: Cannot write to the standard output: No space left.*\n$/);
  }
  const exported = await hashstash(["export", "/dev/full", ...where]);
  assertEquals(exported.code, 1);
  assertMatch(exported.stderr, /^hashstash export: Cannot write to \/dev\/full: .*\n$/);
});

Deno.test("ls shows each key on a line, and nothing that a terminal obeys", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  const keys: [key: unknown, shown: string][] = [
    ["plain é 日本 👩‍👧", "plain é 日本 👩‍👧"],
    ["", '""'],
    ["two\nlines", '"two\\nlines"'],
    ["\x1b[31mred", '"\\u001b[31mred"'],
    ["\x9b31m\x7f", '"\\u009b31m\\u007f"'],
    ["abc\u202ecba", '"abc\\u202ecba"'],
    ['"quoted"', '"\\"quoted\\""'],
    [["a\x1b"], '[ "a\\x1b" ]'],
  ];
  for (const [key] of keys) await stash.set(key, 1);
  const { stdout } = await hashstash(["ls", ...optionsOf(bed)]);
  assertEquals(stdout.trimEnd().split("\n").sort(), keys.map(([, shown]) => shown).sort());
});

Deno.test("what is printed is written in large pieces, what comes slowly at once", async () => {
  const pieces: string[] = [];
  const output = new Output("here", (bytes) => {
    pieces.push(new TextDecoder().decode(bytes));
    return Promise.resolve();
  });
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`);
  for (const line of lines) await output.print(line);
  await output.write(new Uint8Array([0x2e]));
  assertEquals(pieces.join(""), `${lines.join("")}.`);
  assert(pieces.length < 20, `${pieces.length} pieces`);
  pieces.length = 0;
  await new Promise((resolve) => setTimeout(resolve, 150));
  await output.print("slow");
  assertEquals(pieces, ["slow"]);
});

Deno.test("get leaves nothing out", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  const items = Array.from({ length: 1_500 }, (_, i) => i);
  let deep: unknown = "innermost";
  for (let i = 0; i < 50; i++) deep = { deep };
  const values = {
    map: new Map(items.map((i) => [i, `item ${i}`])),
    set: new Set(items.map((i) => `item ${i}`)),
    array: [1n, ...items.map((i) => `item ${i}`)],
    text: [1n, `${"x".repeat(20_000)} item 1499`],
    deep: [1n, deep, "item 1499"],
    bytes: [new Uint8Array(5_000).fill(7), "item 1499"],
  };
  for (const [key, value] of Object.entries(values)) {
    await stash.set(key, value);
    const { stdout } = await hashstash(["get", key, ...optionsOf(bed)]);
    assert(!/more items|\.\.\. |\[Object\]/.test(stdout), key);
    assertStringIncludes(stdout, key === "deep" ? "innermost" : "item 1499");
  }
});

Deno.test("--version is the package's", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  for (const option of ["--version", "-V"]) {
    const { code, stdout } = await hashstash([option]);
    assertEquals([code, stdout], [0, `hashstash ${version}\n`]);
  }
});

for (const engine of ENGINES.filter((engine) => !hasServer(engine))) {
  Deno.test(`looking for what is not there makes no folder on ${engine}`, async () => {
    await using bed = await TestBed.create(engine);
    const root = `${bed.root}/root`;
    const looks: [args: string[], code: number, stdout?: string][] = [
      [["stats", "--json"], 0],
      [["ls"], 0, ""],
      [["ls", "--tag", "t"], 0, ""],
      [["invalidate", "--prefix", "k"], 0, "Removed 0 entries\n"],
      [["invalidate", "--tag", "t"], 0, "Removed 0 entries\n"],
      [["get", "k"], 1, ""],
      [["get", "k", "--all", "--append"], 1, ""],
      [["rm", "k", "--yes"], 1, ""],
      [["clear", "--yes"], 0, "Removed 0 entries\n"],
      [["clear", "--yes", "--deep"], 0, "Removed all entries\n"],
      [["check"], 0, "0 checked, 0 problems\n"],
      [["check", "--fix", "--yes"], 0, "0 checked, 0 problems\n"],
      [["prune"], 0, "Dropped 0 entries\n"],
      [["export"], 0, ""],
    ];
    await Promise.all(looks.map(async ([args, code, stdout]) => {
      const run = await hashstash([...args, "--engine", engine, "--root", root]);
      assertEquals([args, run.code], [args, code], run.stderr);
      if (stdout !== undefined) assertEquals(run.stdout, stdout);
      else assertEquals(JSON.parse(run.stdout).engine, engine);
    }));
    await assertRejects(() => Deno.stat(root), Deno.errors.NotFound);
  });
}

Deno.test("profile has the options of deno task profile", async () => {
  const names = [...ARGUMENTS.matchAll(/--\w+/g)].map(([name]) => name);
  assert(names.length >= 8);
  const { stdout } = await hashstash(["profile", "--help"]);
  for (const name of names) assertMatch(stdout, new RegExp(`${name} `));
  const args = "--engine memory --serializer json --compress false,gzip --b64 true --size 50";
  const run = await hashstash(["profile", ...args.split(" "), "--iterations", "1", "--json"]);
  assertEquals(run.code, 0, run.stderr);
  const rows: Record<string, unknown>[] = JSON.parse(run.stdout).rows;
  const seen = (name: string) => [...new Set(rows.map((row) => row[name]))];
  assertEquals(seen("engine"), ["memory"]);
  assertEquals(seen("serializer"), ["json"]);
  assertEquals(seen("compress"), [false, "gzip"]);
  assertEquals(seen("b64"), [true]);
  assertEquals(seen("size"), [50]);
  const wrong = [
    "--engine x",
    "--compress x",
    "--b64 yes",
    "--size small",
    "--operation x",
    "-i 0",
  ];
  await Promise.all(wrong.map(async (args) => {
    const run = await hashstash(["profile", "--engine", "memory", ...args.split(" ")]);
    assertEquals([args, run.code, run.stdout], [args, 2, ""]);
  }));
});

Deno.test("profile prints a table and writes files", async () => {
  await using bed = await TestBed.create("sqlite");
  const args = [
    "profile",
    ...optionsOf(bed),
    "--engine",
    "memory,sqlite",
    "--compress",
    "false,zstd",
    "--b64",
    "false",
    "--size",
    "500",
    "-i",
    "2",
  ];
  const file = `${bed.root}/profile.csv`;
  const { code, stdout, stderr } = await hashstash([...args, "--output", file]);
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "memory");
  assertStringIncludes(await Deno.readTextFile(file), "engine,serializer");
  const json = JSON.parse((await hashstash([...args, "--json"])).stdout);
  assertEquals(
    new Set((json.rows ?? json).map(({ engine }: { engine: string }) => engine)),
    new Set(["memory", "sqlite"]),
  );
});

/** Interrupts after so many records have been read from a stash. */
const afterRecords = (count: number) => `
  const { dump } = HashStash.prototype;
  HashStash.prototype.dump = async function* (options) {
    let read = 0;
    for await (const record of dump.call(this, options)) {
      if (read++ === ${count}) await interrupt();
      yield record;
    }
  };`;

/** Fills a stash: keys k0, k1, …, whose values are their numbers. */
async function fill(stash: HashStash, count: number): Promise<void> {
  await stash.setMany(Array.from({ length: count }, (_, i) => [`k${i}`, i] as const));
}

/** What a store holds, as `dump` says it, but for the times. */
async function contentOf(stash: HashStash): Promise<string[]> {
  const records = await Array.fromAsync(stash.dump());
  return records.map(({ key, version, value }) => `${key} ${version} ${value.toHex()}`).sort();
}

for (const [from, to] of [["pairtree", "sqlite"], ["sqlite", "sqlite"], ["sqlite", "redis"]]) {
  Deno.test(`copy from ${from} to ${to} is interrupted, and --resume goes on`, async () => {
    await using bed = await TestBed.create(from as EngineName);
    await using target = await TestBed.create(to as EngineName);
    await using source = bed.stash({ name: "cli" });
    await using copied = target.stash({ name: "to" });
    await fill(source, 2_000);
    const { url } = (target.options().engineOptions ?? {}) as { url?: string };
    const args = ["copy", ...optionsOf(bed), "--to-name", "to", "--to-engine", to]
      .concat("--to-root", target.root, url ? ["--to-url", url] : []);
    for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      await copied.clear();
      const run = await hashstashInterrupted(args, afterRecords(1_000), signal);
      assertEquals([run.code, run.stdout], [status, ""], run.stderr);
      const [, told] = run.stderr.match(
        /^hashstash copy: interrupted, (\d+) entries are in .*: .* run it again with --resume, .*\n$/,
      ) ?? [];
      assertEquals(Number(told), 1_000, run.stderr);
      assertEquals(await copied.size(), 1_000);
    }
    // What is there stays as it is: it is not copied once more.
    const rest = await hashstash([...args, "--resume", "--json"]);
    assertEquals([rest.code, rest.stdout, rest.stderr], [0, '{"copied":1000}\n', ""]);
    assertEquals(await contentOf(copied), await contentOf(source));
  });
}

Deno.test("copy is interrupted between two keys, never within a history", async () => {
  await using bed = await TestBed.create("sqlite");
  await using source = bed.stash({ name: "cli", appendMode: true });
  await using copied = bed.stash({ name: "to", appendMode: true });
  for (const round of [1, 2, 3]) {
    await source.setMany(Array.from({ length: 100 }, (_, i) => [`k${i}`, round] as const));
  }
  const args = ["copy", ...optionsOf(bed), "--append", "--to-append", "--to-name", "to"];
  const { code, stderr } = await hashstashInterrupted(args, afterRecords(100));
  assertEquals(code, 130, stderr);
  // 33 whole histories have 99 records.
  assertStringIncludes(stderr, "interrupted, 34 entries are in");
  const keys = await Array.fromAsync(copied.keys());
  assertEquals(keys.length, 34);
  for (const key of keys) assertEquals((await copied.getAll(key)).length, 3);
  assertEquals((await hashstash([...args, "--resume"])).code, 0);
  assertEquals(await contentOf(copied), await contentOf(source));
});

Deno.test("copy --resume that is interrupted lists no further where all is there", async () => {
  await using bed = await TestBed.create("sqlite");
  await using source = bed.stash({ name: "cli" });
  await fill(source, 2_000);
  const args = ["copy", ...optionsOf(bed), "--to-name", "to", "--resume"];
  assertEquals((await hashstash(args)).code, 0);
  const run = await hashstashInterrupted(
    args,
    `
    const { dump, has } = HashStash.prototype;
    let asked = 0;
    HashStash.prototype.dump = function ({ wanted }) {
      return dump.call(this, { wanted: (keys) => (asked++, wanted(keys)) });
    };
    let isFirst = true;
    HashStash.prototype.has = async function (key) {
      if (isFirst) {
        isFirst = false;
        await interrupt();
      }
      return await has.call(this, key);
    };
    globalThis.addEventListener("unload", () => console.log(asked));`,
  );
  assertEquals(run.code, 130, run.stderr);
  assertMatch(
    run.stderr,
    /^hashstash copy: interrupted, 200 entries are in .*: .* run it again\n$/,
  );
  // The batch in which it came, and the one that was not looked at.
  assertEquals(run.stdout, "2\n");
});

Deno.test("export that is interrupted leaves its file as it was", async () => {
  await using bed = await TestBed.create("pairtree");
  await using stash = bed.stash({ name: "cli" });
  await fill(stash, 2_000);
  const folder = `${bed.root}/exports`;
  await Deno.mkdir(folder);
  const file = `${folder}/all.ndjson`;
  const args = ["export", ...optionsOf(bed)];
  for (const before of [undefined, "as it was\n"]) {
    if (before !== undefined) await Deno.writeTextFile(file, before);
    const run = await hashstashInterrupted([...args, file], afterRecords(1_000));
    assertEquals([run.code, run.stdout], [130, ""], run.stderr);
    assertEquals(
      run.stderr,
      `hashstash export: interrupted, after 1000 entries ${file} is left as it was: ` +
        "run it again to export all from the beginning\n",
    );
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    assertEquals(names, before === undefined ? [] : ["all.ndjson"]);
    if (before !== undefined) assertEquals(await Deno.readTextFile(file), before);
  }
  const piped = await hashstashInterrupted(args, afterRecords(1_000));
  assertEquals([piped.code, piped.stdout.trimEnd().split("\n").length], [130, 1_000]);
  assertStringIncludes(piped.stderr, "after 1000 entries the output ends there");
  for (const line of piped.stdout.trimEnd().split("\n")) JSON.parse(line);

  // A whole one takes the place of the file that a link leads to, with its mode.
  await Deno.chmod(file, 0o640);
  await Deno.symlink(file, `${folder}/link`);
  assertEquals((await hashstash([...args, `${folder}/link`])).code, 0);
  assert(Deno.lstatSync(`${folder}/link`).isSymlink);
  assertEquals((await Deno.readTextFile(file)).trimEnd().split("\n").length, 2_000);
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o640);
  assertEquals(Array.from(Deno.readDirSync(folder)).length, 2);
});

Deno.test("export opens its file with its mode, and has it on the disk before it is named", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", "secret");
  const file = `${bed.root}/all.ndjson`;
  await Deno.writeTextFile(file, "as it was");
  await Deno.chmod(file, 0o600);
  const { success, stdout, stderr } = await runScript(
    `
    import { main } from "./cli/main.ts";
    const { open, rename } = Deno;
    Deno.open = async (path, options) => {
      const file = await open(path, options);
      if (!String(path).endsWith(".part")) return file;
      console.log("mode", (file.statSync().mode & 0o777).toString(8));
      const syncData = file.syncData.bind(file);
      file.syncData = async () => {
        await syncData();
        console.log("synced", file.statSync().size > 0);
      };
      return file;
    };
    Deno.rename = async (...paths) => {
      await rename(...paths);
      console.log("renamed");
    };
    Deno.exit(await main(${JSON.stringify(["export", file, ...optionsOf(bed)])}));
  `,
    ["-A", "--unstable-kv"],
  );
  assert(success, stderr);
  assertEquals(stdout, "mode 600\nsynced true\nrenamed\n");
  assertStringIncludes(await Deno.readTextFile(file), "secret");
});

Deno.test("clear that is interrupted says how many are removed, and can be run again", async () => {
  for (const engine of ["pairtree", "redis", "sqlite"] as const) {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash({ name: "cli" });
    await fill(stash, 1_200);
    const args = ["clear", "--yes", ...optionsOf(bed)];
    const run = await hashstashInterrupted(
      args,
      `
      const { size, deleteMany } = HashStash.prototype;
      HashStash.prototype.deleteMany = async function (keys) {
        const removed = await deleteMany.call(this, keys);
        await interrupt();
        return removed;
      };`,
    );
    const left = await stash.size();
    if (engine === "sqlite") {
      // All at once: nothing is left to interrupt.
      assertEquals([run.code, run.stdout, left], [0, "Removed 1200 entries\n", 0]);
      continue;
    }
    assertEquals([run.code, run.stdout], [130, ""], run.stderr);
    assertEquals(left, 700);
    const how = "run it again to remove the rest";
    assertEquals(run.stderr, `hashstash clear: interrupted, 500 entries are removed: ${how}\n`);
    const rest = await hashstash(args);
    assertEquals([rest.code, rest.stdout], [0, "Removed 700 entries\n"]);
    assertEquals([await stash.size(), (await stash.check()).problems], [0, []]);
  }
});

Deno.test("check that is interrupted says what it has found", async () => {
  for (const engine of ["pairtree", "sqlite"] as const) {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash({ name: "cli" });
    await fill(stash, 3_000);
    const args = ["check", ...optionsOf(bed)];
    const inTheMiddle = (body: string) => `
      const { check } = HashStash.prototype;
      HashStash.prototype.check = async function (options) { ${body} };`;
    const how = "run it again to check all of them";
    // Before the engine has looked at its files, and while the values are decoded.
    const first = await hashstashInterrupted(
      args,
      inTheMiddle("await interrupt(); return await check.call(this, options);"),
    );
    assertEquals([first.code, first.stdout], [130, ""], first.stderr);
    const none = `hashstash check: interrupted, 0 entries are checked, 0 problems: ${how}\n`;
    assertEquals(first.stderr, none);
    const later = await hashstashInterrupted(
      [...args, "--json"],
      inTheMiddle(`
        let entries = 0;
        const onEntry = () => {
          options.onEntry();
          if (++entries !== 1_000) return;
          interrupt();
          // The system delivers it meanwhile.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
        };
        return await check.call(this, { ...options, onEntry });`),
    );
    assertEquals(later.code, 130, later.stderr);
    const { ok, interrupted, problems } = JSON.parse(later.stdout);
    assertEquals([ok, interrupted, problems], [false, true, []]);
    const [, told] = later.stderr.match(/interrupted, (\d+) entries are checked/) ?? [];
    assert(Number(told) >= 1_000 && Number(told) < 3_000, later.stderr);
    const whole = await hashstash(args);
    assertEquals([whole.code, whole.stderr], [0, ""]);
  }
});

Deno.test("import that waits for more is interrupted, and keeps whole histories", async () => {
  for (const append of [false, true]) {
    await using bed = await TestBed.create("sqlite");
    await using stash = bed.stash({ name: "cli", appendMode: append });
    await stash.set("last", "before");
    const child = new Deno.Command(Deno.execPath(), {
      args: [...hashstashArguments, "import", ...optionsOf(bed), ...(append ? ["--append"] : [])],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const line = (key: string, version = 1) => JSON.stringify({ key, value: version, version });
    const keys = Array.from({ length: 300 }, (_, i) => stash.encodeKey(`k${i}`));
    const lines = keys.map((key) => line(key)).concat(append ? line(stash.encodeKey("last")) : []);
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
    // It stores what it has, and waits for the rest.
    while (await stash.size() < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await child.output();
    await writer.abort().catch(() => undefined);
    const text = new TextDecoder().decode(stderr);
    assertEquals([code, stdout.length], [130, 0], text);
    const [, told] = text.match(
      /^hashstash import: interrupted, (\d+) entries are imported: run it again with the whole .*\n$/,
    ) ?? [];
    assert(Number(told) >= 1, text);
    assertEquals(await stash.size(), Number(told) + 1);
    // Of its new history nobody knows whether all has come.
    assertEquals(await stash.get("last"), "before");
    const again = await hashstash(
      ["import", ...optionsOf(bed), ...(append ? ["--append"] : [])],
      { input: lines.join("\n") },
    );
    assertEquals([again.code, again.stdout], [0, `Imported ${lines.length} entries\n`]);
    assertEquals(await stash.size(), 301);
  }
});

Deno.test("a second Ctrl-C ends a long command at once", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", 1);
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const { code, stdout, stderr } = await hashstashInterrupted(
      ["clear", "--yes", ...optionsOf(bed)],
      `
      HashStash.prototype.clear = async () => {
        await interrupt();
        console.log("still at it");
        Deno.kill(Deno.pid, "${signal}");
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      };`,
      signal,
    );
    assertEquals([code, stdout, stderr], [status, "still at it\n", ""]);
  }
});

Deno.test("long commands draw a bar on a terminal, and none with --quiet", async () => {
  await using bed = await TestBed.create("pairtree");
  await using stash = bed.stash({ name: "cli" });
  await fill(stash, 300);
  const where = optionsOf(bed);
  const file = `${bed.root}/all.ndjson`;
  // script(1), from Debian's bsdutils, runs the command on a pseudo-terminal.
  const onTerminal = async (...args: string[]) => {
    const command = [Deno.execPath(), ...hashstashArguments, ...args, ...where].join(" ");
    const { code, stdout } = await new Deno.Command("script", {
      args: ["-qec", `${command} 2>&1 >/dev/null`, "/dev/null"],
      stdin: "null",
    }).output();
    assertEquals(code, 0);
    return new TextDecoder().decode(stdout);
  };
  const bar = `${"\u2588".repeat(30)} 300/300`;
  for (
    const [args, end] of [
      [["export", file], `export ${bar}`],
      [["import", file], "import 300"],
      [["check"], `check ${bar}`],
      [["copy", "--to-name", "other"], `copy ${bar}`],
      [["clear", "--yes"], `clear ${bar}`],
    ] as const
  ) {
    assertEquals(await onTerminal(...args, "--quiet"), "");
    if (args[0] === "clear") await fill(stash, 300);
    const text = await onTerminal(...args);
    assertStringIncludes(text, end);
    assert(text.lastIndexOf("\x1b[?7h") > text.lastIndexOf("\x1b[?7l"), text);
  }
});
