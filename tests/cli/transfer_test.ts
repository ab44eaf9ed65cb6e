/** import, export and copy. Every command is a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { HashStash } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";
import { hashstash, optionsOf } from "../support/cli.ts";
import { runPython } from "../support/python.ts";

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
  const guide = await Deno.readTextFile(new URL("../../docs/migrating.md", import.meta.url));
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
      import { HashStash } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
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
        new URL("../../deno.json", import.meta.url).pathname,
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
