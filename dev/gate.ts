/**
 * `deno task gate`: what must hold of every commit besides the tests. Runs all of it, then names
 * what failed.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { printCoverage } from "./coverage.ts";
import { printFloors } from "./floors.ts";
import { deno, ROOT } from "./run.ts";
import config from "../deno.json" with { type: "json" };

const entryPoints = Object.values(config.exports);
const documented = new Set(
  [...entryPoints.map((file) => dirname(file) === "." ? file : dirname(file)), "README.md", "docs"]
    .filter((path) => existsSync(join(ROOT, path))),
);

// Examples may use the default folder: it must not be the user's.
const HASHSTASH_DIR = await Deno.makeTempDir();
const run = (...args: string[]) => () => deno(args, { HASHSTASH_DIR });
const STEPS: Record<string, () => Promise<boolean>> = {
  "format": run("fmt", "--check"),
  "lint": run("lint"),
  "types": run("check"),
  "floors": printFloors,
  "coverage": printCoverage,
  "documentation": run("doc", "--lint", ...entryPoints),
  "examples in the documentation": run("test", "-A", "--doc", ...documented),
  "publishing": run("publish", "--dry-run", "--allow-dirty"),
};

const failed: string[] = [];
for (const [name, step] of Object.entries(STEPS)) {
  console.log(`\ngate: ${name}`);
  if (!await step()) failed.push(name);
}
await Deno.remove(HASHSTASH_DIR, { recursive: true });
console.log(failed.length === 0 ? "\ngate: passed" : `\ngate: failed: ${failed.join(", ")}`);
Deno.exit(failed.length === 0 ? 0 : 1);
