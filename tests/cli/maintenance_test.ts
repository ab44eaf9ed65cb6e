/** The commands on whole stashes. Every command is a child process. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { StoreInfo } from "../../mod.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { hashstash, optionsOf } from "../support/cli.ts";

async function* files(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* files(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
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
