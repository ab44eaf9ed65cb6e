/**
 * What holds of the package as a whole: which way its imports go, what it downloads, what its texts
 * name.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { outputOf, ROOT, ROOT_URL } from "../../dev/run.ts";

interface Graph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
  }[];
}

async function run(command: string, args: string[], env?: Record<string, string>): Promise<string> {
  const { success, stdout, stderr } = await outputOf(args, { env }, command);
  assert(success, `${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function graphOf(file: string): Promise<Graph> {
  return JSON.parse(await run(Deno.execPath(), ["info", "--json", file]));
}

/** The repository's files, as git knows them, new ones that are not ignored included. */
async function repositoryFiles(): Promise<string[]> {
  const list = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  return list.split("\0").filter((file) => file !== "" && existsSync(join(ROOT, file)));
}

/** The path of a module of ours, or `undefined` for anyone else's. */
function pathOf(specifier: string): string | undefined {
  return specifier.startsWith(ROOT_URL.href) ? specifier.slice(ROOT_URL.href.length) : undefined;
}

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
