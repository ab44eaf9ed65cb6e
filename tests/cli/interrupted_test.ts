/** Long commands that are interrupted (Ctrl-C). Every command is a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { EngineName } from "../../engines/mod.ts";
import type { HashStash } from "../../mod.ts";
import { TestBed } from "../support/bed.ts";
import { hashstash, hashstashArguments, hashstashInterrupted, optionsOf } from "../support/cli.ts";

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
