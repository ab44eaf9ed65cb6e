/**
 * Writes a profile as `profile.html`, `profile.csv` and `profile.json`: of a run now, or of what
 * `deno bench --json` printed.
 *
 * @module
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { ENGINE_NAMES } from "../../engines/registry.ts";
import { HashStash } from "../../mod.ts";
import { ARGUMENTS, profileArguments } from "./arguments.ts";
import { type BenchJSON, profileOfBenches } from "./bench_json.ts";
import { profile } from "../profile.ts";
import { Profile } from "../result.ts";

const HELP = `Usage: deno task profile [OPTIONS] [BENCH.json ...]

Profiles engines and codecs in a temporary folder, prints the medians and writes profile.html, profile.csv
and profile.json. Of files that "deno bench --json" printed it makes the same report; several are
iterations of each other.

${ARGUMENTS}
  --out FOLDER                 default: report
  --dir FOLDER                 where to store while profiling; default: the system's temporary folder`;

/** Writes the three files, making the folder when needed. */
export async function writeReport(profile: Profile, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "profile.html"), await profile.toHTML());
  await Deno.writeTextFile(join(folder, "profile.csv"), profile.toCSV());
  await Deno.writeTextFile(join(folder, "profile.json"), JSON.stringify(profile));
}

/** Runs the cases that the arguments ask for in a temporary folder. */
async function profileNow(args: ReturnType<typeof profileArguments>): Promise<Profile> {
  const rootDir = await Deno.makeTempDir({ dir: args.rest.dir, prefix: "hashstash_profile_" });
  // Otherwise Ctrl-C would leave the folder, and entries in a Redis.
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Interrupted());
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    await using stash = new HashStash({ engine: "memory", rootDir });
    // Below the temporary folder, not below memory's name for it.
    const engine = args.options.engine ?? ENGINE_NAMES;
    const { rows, about } = await profile(stash, {
      ...args.options,
      engine,
      progress: true,
      signal: controller.signal,
    });
    return new Profile(rows, { ...about, cpu: cpus()[0]?.model ?? "unknown" });
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
    await Deno.remove(rootDir, { recursive: true });
  }
}

class Interrupted extends Error {}

async function readBenches(paths: string[]): Promise<Profile> {
  const texts = await Promise.all(paths.map((path) => Deno.readTextFile(path)));
  return profileOfBenches(...texts.map((text) => JSON.parse(text) as BenchJSON));
}

async function main(): Promise<void> {
  if (Deno.args.includes("--help")) return console.log(HELP);
  const args = profileArguments(Deno.args, ["out", "dir"]);
  const { positionals, rest: { out = "report" } } = args;
  const profile = positionals.length > 0 ? await readBenches(positionals) : await profileNow(args);
  await writeReport(profile, out);
  console.log(`${profile}\n\nWritten: ${join(out, "profile.html")}, profile.csv, profile.json`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (error instanceof Interrupted) Deno.exit(130);
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    console.error(`${error.message}\nSee --help`);
    Deno.exit(2);
  }
}
