/** The commands on entries: ls, get, set, rm; tags and prefixes. Every command is a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { EngineName } from "../../engines/mod.ts";
import { damage } from "../support/adapters.ts";
import { TestBed } from "../support/bed.ts";
import { hashstash, optionsOf } from "../support/cli.ts";

/** The byte order mark in UTF-8. */
const MARK = new Uint8Array([0xef, 0xbb, 0xbf]);

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
