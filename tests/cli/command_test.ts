/** The command line as a whole: commands, options, variables. Every command is a child process. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ENGINES, hasServer, makeEngine, TestBed } from "../support/bed.ts";
import { hashstash } from "../support/cli.ts";

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

Deno.test("HASHSTASH_* variables that are set to nothing are as those that are not set", async () => {
  await using bed = await TestBed.create("pairtree");
  const names = ["ENGINE", "NAME", "DBNAME", "URL"].map((name) => `HASHSTASH_${name}`);
  const env = { ...Object.fromEntries(names.map((name) => [name, ""])), HASHSTASH_DIR: bed.root };
  assertEquals((await hashstash(["set", "k", "1"], { env })).code, 0);
  await using stash = bed.stash({ name: "unnamed" });
  assertEquals(await stash.get("k"), 1);
  await using server = await TestBed.create("redis");
  const { options } = server.place;
  const redis = ["--engine", "redis", "--url", String(options.url)];
  assertEquals((await hashstash(["set", "k", "2", ...redis], { env })).code, 0);
  // The default server, which may be there or not.
  const { stderr } = await hashstash(["ls", "--engine", "redis"], { env });
  assert(!stderr.includes("Usage"), stderr);
  // An option that is given counts, also when it is empty.
  assertEquals((await hashstash(["ls", "--name", ""], { env })).code, 2);
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

Deno.test("--version is the package's", async () => {
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("../../deno.json", import.meta.url)),
  );
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
