/** profile. Every command is a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ARGUMENTS } from "../../profile/bench/arguments.ts";
import { TestBed } from "../support/bed.ts";
import { hashstash, optionsOf } from "../support/cli.ts";

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
