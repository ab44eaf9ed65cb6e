/**
 * The package as others get it: the published files alone, from a project outside the repository.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { outputOf, ROOT, ROOT_URL } from "../../dev/run.ts";

async function deno(
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await outputOf(args, { cwd, env });
  assert(success, `deno ${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout + stderr;
}

/** Copies what would be published; the names of the files. */
async function pack(folder: string): Promise<string[]> {
  const listing = await deno(["publish", "--dry-run", "--allow-dirty", "--no-check"], ROOT);
  const files = Array.from(
    listing.matchAll(/^ +(file:\/\/\S+) \([\d.]+K?M?B\)$/gm),
    ([, url]) => decodeURIComponent(url.slice(ROOT_URL.href.length)),
  );
  for (const file of files) {
    await Deno.mkdir(dirname(join(folder, file)), { recursive: true });
    await Deno.copyFile(join(ROOT, file), join(folder, file));
  }
  return files;
}

/** The folders in dev/ of what stands in for packages where JSR can't be reached. */
function standIns(): string[] {
  return Array.from(Deno.readDirSync(join(ROOT, "dev")))
    .filter(({ name, isDirectory }) => isDirectory && name.startsWith("std_"))
    .map(({ name }) => name);
}

/** What a project of somebody else's does with each entry point. */
const APP = `
import { HashStash, hash, registerClass, type SetOptions } from "@hashstash/hashstash";
import { engineContract } from "@hashstash/hashstash/engines";
import { sqlite, type SqliteEngineOptions } from "@hashstash/hashstash/engines/sqlite";
import { Encoder } from "@hashstash/hashstash/codec";
import { KeyvStash } from "@hashstash/hashstash/adapters/keyv";
import { WebCache } from "@hashstash/hashstash/adapters/web-cache";

const options: SetOptions = { ttl: 60_000 };
for (const engine of ["memory", "pairtree", "sqlite"] as const) {
  await using stash = new HashStash<string, Map<number, Date>>({ engine, rootDir: "./data" });
  await stash.set("k", new Map([[1, new Date(5)]]), options);
  const value: Map<number, Date> | undefined = await stash.get("k");
  console.log(engine, value?.get(1)?.getTime());
}
const engineOptions: SqliteEngineOptions = { driver: "node:sqlite" };
const same = { engine: sqlite, rootDir: "./data", engineOptions };
await using stash = new HashStash<string, Map<number, Date>>(same);
console.log(stash.engine, await stash.get("k"));
console.log(hash("x").length, typeof registerClass, typeof Encoder, typeof KeyvStash, typeof WebCache);
console.log(engineContract({ create: () => { throw new Error("never made"); } }).length > 10);
`;

Deno.test("a project outside the repository checks and runs against the published files", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const packed = join(folder, "packed");
    const files = await pack(packed);
    for (
      const file of [
        "mod.ts",
        "deno.json",
        "README.md",
        "LICENSE",
        "cli/main.ts",
        "engines/lmdb/mod.ts",
      ]
    ) {
      assert(files.includes(file), file);
    }
    assertEquals(
      files.filter((file) => /_test\.ts$|_bench\.ts$|^(tests|dev|examples)\//.test(file)),
      [],
    );
    const app = join(folder, "app");
    await Deno.mkdir(app);
    await Deno.writeTextFile(
      join(app, "deno.json"),
      JSON.stringify({
        imports: { "@hashstash/hashstash": "jsr:@hashstash/hashstash@^0.1.0" },
        links: ["../packed", ...standIns().map((name) => relative(app, join(ROOT, "dev", name)))],
        nodeModulesDir: "none",
        minimumDependencyAge: "2026-10-01",
      }),
    );
    await Deno.writeTextFile(join(app, "app.ts"), APP);
    const output = await deno(["run", "-A", "--check", "--quiet", "app.ts"], app);
    assertEquals(
      output,
      "memory 5\npairtree 5\nsqlite 5\nsqlite Map(1) { 1 => 1970-01-01T00:00:00.005Z }\n64 function function function function\ntrue\n",
    );
    const cli = await deno(
      ["run", "-A", "--quiet", "jsr:@hashstash/hashstash@^0.1.0/cli", "get", "k", "--root", "data"],
      app,
    );
    assertMatch(cli, /Map\(1\) \{ 1 => 1970-01-01T00:00:00\.005Z \}/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a newcomer's first command, and README's first program, with an empty home", async () => {
  const home = await Deno.makeTempDir();
  try {
    const denoDir = join(home, "deno_dir");
    const env = {
      HOME: home,
      XDG_CACHE_HOME: "",
      HASHSTASH_DIR: "",
      LOCALAPPDATA: home,
      DENO_DIR: denoDir,
    };
    const readme = await Deno.readTextFile(join(ROOT, "README.md"));
    const command = /## Two commands[\s\S]*?```sh\ndeno (.*?) +#/.exec(readme)?.[1].split(" ");
    assert(command !== undefined);
    const first = await deno(command, ROOT, env);
    assertStringIncludes(first, "Computed and stored");
    assertMatch(first, /came [\d,]+ times as fast/);
    assert(first.includes(home), first);
    assertStringIncludes(await deno(command, ROOT, env), "An earlier run has stored");
    // `deno task` would fetch every npm package that deno.lock names before it runs anything.
    const npm = join(denoDir, "npm");
    assertEquals(existsSync(npm) ? readdirSync(npm) : [], []);

    const program = /## Quickstart[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1];
    assert(program !== undefined);
    const file = join(home, "program.ts");
    await Deno.writeTextFile(file, program);
    const args = [
      "run",
      "--quiet",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      "--config",
      join(ROOT, "deno.json"),
      file,
    ];
    for (let run = 0; run < 2; run++) assertEquals(await deno(args, home, env), "25\n");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
