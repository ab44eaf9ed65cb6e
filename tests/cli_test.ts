/** Every command as a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { EngineName } from "../engines/mod.ts";
import { hashstash } from "./support/cli.ts";
import { PERSISTENT, TestBed } from "./support/bed.ts";

const COMMANDS = [
  "ls",
  "get",
  "set",
  "rm",
  "clear",
  "stats",
  "copy",
  "export",
  "import",
  "check",
  "prune",
  "profile",
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

for (const engine of ["pairtree", "sqlite", "redis"] satisfies EngineName[]) {
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
    await stash.set("ends", 1, { expiresAt: ends });
    const exported = `${bed.root}/export.ndjson`;
    assertEquals((await hashstash(["export", exported, ...optionsOf(bed)])).code, 0);
    assertEquals((await Deno.readTextFile(exported)).trimEnd().split("\n").length, 7);

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
      assertEquals(await other.size(), 6, name);
      for (const [key, value] of values.slice(1)) assertEquals(await other.get(key), value);
      assertEquals(await other.getAll("plain"), [{ a: [1, "x", null] }, "second version"]);
      assertEquals(await other.expiresAt("ends"), ends);
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

Deno.test("profile prints a table and writes files", async () => {
  await using bed = await TestBed.create("sqlite");
  const args = [
    "profile",
    ...optionsOf(bed),
    "--engines",
    "memory,sqlite",
    "--compressors",
    "none,zstd",
    "--base64",
    "false",
    "--sizes",
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
