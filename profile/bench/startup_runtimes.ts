/**
 * How long it takes from the start of a process to the first `get` of a stash, ms, in Deno, Node and
 * Bun, beside a process of each that does nothing. Lowest tenths of child processes that take turns.
 *
 *     deno run -A profile/bench/startup_runtimes.ts [ENGINE...]
 */
import { join } from "node:path";
import { ENGINE_NAMES } from "../../engines/registry.ts";
import { install } from "../../tests/support/runtimes/package.ts";
import { lowTenth, serverOf, untilFirstWord } from "./startup.ts";

const RUNS = 21;
/** What is measured beside the engines. */
const NOTHING = "nothing";

const program = (module: string) => `
  import process from "node:process";
  const [engine, rootDir, url] = process.argv.slice(2);
  if (engine !== "${NOTHING}") {
    const { HashStash } = await import(${JSON.stringify(module)});
    const engineOptions = url === "" ? {} : { url };
    await new HashStash({ name: "startup", engine, rootDir, engineOptions }).get("key");
  }
  process.stdout.write("1", () => process.exit());
`;

await using installed = await install();
const { app, node22, node24, current, bun } = installed;
const inNode = join(app, "startup.mjs");
const inDeno = join(app, "startup.ts");
await Deno.writeTextFile(inNode, program("@hashstash/hashstash"));
await Deno.writeTextFile(inDeno, program(new URL("../../mod.ts", import.meta.url).href));
const config = new URL("../../deno.json", import.meta.url).pathname;
const deno = ["run", "-A", "--no-check", "--unstable-kv", `--config=${config}`, inDeno];
const sides: [name: string, program: string, args: string[]][] = [
  ["Deno", Deno.execPath(), deno],
  ...[node22, node24, current].map((runtime): [string, string, string[]] => {
    return [runtime.name, runtime.command, ["--disable-warning=ExperimentalWarning", inNode]];
  }),
  [bun.name, bun.command, [inNode]],
];

const isMissing = (engine: string, runtime: string) => engine === "shelve" && runtime === bun.name;
console.log(" ".repeat(10) + sides.map(([name]) => name.padStart(14)).join(""));
for (const engine of [NOTHING, ...ENGINE_NAMES]) {
  if (Deno.args.length > 0 && !Deno.args.includes(engine)) continue;
  await using server = await serverOf(engine);
  const times = sides.map((): number[] => []);
  // The first of each fills the caches of modules, and makes what is read.
  for (let run = -1; run < RUNS; run++) {
    for (const [i, [name, command, args]] of sides.entries()) {
      if (isMissing(engine, name)) continue;
      const folder = join(app, engine);
      const ms = await untilFirstWord(command, [...args, engine, folder, server?.url ?? ""]);
      if (run >= 0) times[i].push(ms);
    }
  }
  const columns = times.map((all) => all.length === 0 ? "–" : lowTenth(all).toFixed(0));
  console.log(engine.padEnd(10) + columns.map((column) => column.padStart(14)).join(""));
}
