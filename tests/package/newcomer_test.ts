/** What a newcomer meets in a clone of the repository: README's first command and program. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { outputOf, ROOT } from "../../dev/run.ts";

async function deno(
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await outputOf(args, { cwd, env });
  assert(success, `deno ${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout + stderr;
}

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
