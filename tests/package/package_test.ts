/**
 * What holds of the package as a whole: which way its imports go, what it downloads, what its texts
 * name.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT_URL = new URL("../../", import.meta.url);
const ROOT = fileURLToPath(ROOT_URL);

interface Graph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
  }[];
}

async function run(command: string, args: string[], env?: Record<string, string>): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env, cwd: ROOT })
    .output();
  assert(success, `${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function graphOf(file: string): Promise<Graph> {
  return JSON.parse(await run(Deno.execPath(), ["info", "--json", file]));
}

/** The repository's files, as git knows them, new ones that are not ignored included. */
async function repositoryFiles(): Promise<string[]> {
  const list = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  return list.split("\0").filter((file) => file !== "" && existsSync(join(ROOT, file)));
}

/**
 * The floors, from the lowest: a file imports from its own folder and from lower floors. `"."` is
 * mod.ts.
 */
const FLOORS = [
  ["platform"],
  ["codec"],
  ["engines"],
  ["store"],
  ["functions", "profile"],
  ["stash"],
  ["."],
  ["cli", "adapters", "profile/bench"],
];

/** The path of a module of ours, or `undefined` for anyone else's. */
function pathOf(specifier: string): string | undefined {
  return specifier.startsWith(ROOT_URL.href) ? specifier.slice(ROOT_URL.href.length) : undefined;
}

/** The folder that a file of ours counts to, one of the floors' or another. */
function folderOf(path: string): string {
  if (path.startsWith("profile/bench/")) return "profile/bench";
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : ".";
}

function heightOf(folder: string): number {
  return FLOORS.findIndex((floor) => floor.includes(folder));
}

/** What each published file imports of ours, types included. */
async function publishedImports(): Promise<Map<string, string[]>> {
  const files = (await repositoryFiles()).filter((file) =>
    file.endsWith(".ts") && heightOf(folderOf(file)) >= 0 &&
    !/_(test|bench)\.ts$|^profile\/bench\/bare\//.test(file)
  );
  assertGreater(files.length, 100);
  const folder = await Deno.makeTempDir();
  try {
    const all = join(folder, "all.ts");
    await Deno.writeTextFile(
      all,
      files.map((file) => `import "${new URL(file, ROOT_URL).href}";`).join("\n"),
    );
    const config = join(ROOT, "deno.json");
    const { modules }: Graph = JSON.parse(
      await run(Deno.execPath(), ["info", "--json", "--config", config, all]),
    );
    const imports = new Map<string, string[]>();
    for (const { specifier, dependencies = [] } of modules) {
      const file = pathOf(specifier);
      if (file === undefined || !files.includes(file)) continue;
      const targets = dependencies.flatMap(({ code, type }) => [code, type])
        .map((target) => target && pathOf(target.specifier));
      imports.set(file, [...new Set(targets.filter((target) => target !== undefined))]);
    }
    assertEquals([...imports.keys()].sort(), files.sort());
    return imports;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A way from a file back to itself, or `undefined`. */
function circleThrough(start: string, imports: Map<string, string[]>): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const reached = [start];
  for (const file of reached) {
    for (const target of imports.get(file) ?? []) {
      if (target === start) {
        const circle = [start];
        for (let at = file; at !== start; at = cameFrom.get(at)!) circle.unshift(at);
        return [start, ...circle];
      }
      if (cameFrom.has(target)) continue;
      cameFrom.set(target, file);
      reached.push(target);
    }
  }
  return undefined;
}

Deno.test("imports go down the floors, file by file, and in no circle", async () => {
  const imports = await publishedImports();
  const wrong: string[] = [];
  for (const [file, targets] of imports) {
    const folder = folderOf(file);
    for (const target of targets) {
      const other = folderOf(target);
      // Stand-ins for packages that this machine can't reach.
      if (other === "dev" || other === folder) continue;
      const height = heightOf(other);
      if (height < 0 || height >= heightOf(folder)) wrong.push(`${file} → ${target}`);
    }
  }
  assertEquals(wrong, []);
  const circles = [...imports.keys()].map((file) => circleThrough(file, imports));
  assertEquals(circles.filter((circle) => circle !== undefined), []);
  assertEquals(imports.get("engines/engine.ts"), []);
});

Deno.test("mod.ts runs no third-party package", async () => {
  const { modules } = await graphOf("mod.ts");
  const dependencies = new Map(modules.map((module) => [module.specifier, module.dependencies]));
  const reached = new Set([new URL("mod.ts", ROOT_URL).href]);
  for (const specifier of reached) {
    // What is only a type is fetched by who checks types, never by who runs the program.
    for (const { code } of dependencies.get(specifier) ?? []) if (code) reached.add(code.specifier);
  }
  assertGreater(reached.size, 10);
  const foreign = [...reached].filter((specifier) =>
    pathOf(specifier) === undefined && !specifier.startsWith("node:") &&
    !/^(jsr:|https:\/\/jsr\.io\/)@std\//.test(specifier)
  );
  assertEquals(foreign, []);
});

Deno.test("a program that uses memory downloads no npm package", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const program = `
      import { HashStash } from "@hashstash/hashstash";
      await using stash = new HashStash({ engine: "memory" });
      await stash.set("key", { value: 1 });
      console.log(JSON.stringify(await stash.get("key")));
    `;
    const file = join(folder, "program.ts");
    await Deno.writeTextFile(file, program);
    const cache = join(folder, "deno_dir");
    const config = join(ROOT, "deno.json");
    const output = await run(Deno.execPath(), ["run", "--no-lock", "--config", config, file], {
      DENO_DIR: cache,
    });
    assertEquals(output.trim(), '{"value":1}');
    assert(existsSync(cache), "the program ran with a cache of its own");
    const npm = join(cache, "npm"); // Deno makes the folder for every program.
    assertEquals(existsSync(npm) ? readdirSync(npm) : [], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("no text of the repository names a machine's folders", async () => {
  const folders = ["root", "home", "Users", "work"].join("|");
  const machinePath = new RegExp(`(?<![\\w.$}/-])/(${folders})/[A-Za-z0-9_.-]`);
  const found: string[] = [];
  const files = await repositoryFiles();
  assertGreater(files.length, 10);
  for (const file of files) {
    const lines = (await Deno.readTextFile(join(ROOT, file))).split("\n");
    lines.forEach((line, i) => {
      if (machinePath.test(line)) found.push(`${file}:${i + 1}: ${line.trim().slice(0, 100)}`);
    });
  }
  assertEquals(found, []);
});
