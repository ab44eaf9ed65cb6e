/**
 * How much of the code the quick tests run, in lines and branches. On its own it prints that:
 *
 *     deno run -A dev/coverage.ts
 *
 * Not of the whole suite while it runs: the tests of `map` then take 46 s instead of 20, those of
 * single flights 72 instead of 39, because every process and worker writes its own coverage.
 * `deno task test --coverage` does that, and prints file by file.
 */
import { ROOT, withOutput } from "./run.ts";

const TESTS = ["codec", "platform", "engines", "stash", "functions"].map((name) => `tests/${name}`);
/** What those tests are about: for the others figures would say nothing. */
const ROOMS = ["platform", "codec", "engines", "store", "functions", "stash"];

/** Runs the quick tests and prints a line per room; whether they passed. */
export async function printCoverage(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    const ran = await withOutput([
      "test",
      "-A",
      "--no-check",
      "--parallel",
      // When they fail, the failures are what is printed.
      "--reporter=dot",
      "--preload=./dev/quick_tests.ts",
      "--coverage-raw-data-only",
      `--coverage=${folder}`,
      ...TESTS,
    ]);
    if (!ran.success) {
      console.log(ran.output);
      return false;
    }
    const { success, output } = await withOutput(["coverage", "--lcov", folder]);
    if (!success) throw new Error(output);
    const found = countsOf(output);
    console.log(`of the quick tests (deno task test --coverage measures all)`);
    for (const room of ROOMS) {
      const { lines, branches } = found.get(room)!;
      console.log(`${room.padEnd(10)} ${share(lines)} of lines, ${share(branches)} of branches`);
    }
    return true;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** How many were run, of how many. */
type Count = [hit: number, found: number];

/** The counts of each room, from an LCOV report. */
function countsOf(report: string): Map<string, { lines: Count; branches: Count }> {
  const counts = new Map<string, { lines: Count; branches: Count }>(
    ROOMS.map((room) => [room, { lines: [0, 0], branches: [0, 0] }]),
  );
  let current: { lines: Count; branches: Count } | undefined;
  for (const line of report.split(/\r?\n/)) {
    const [, field, value] = /^(\w+):(.*)$/.exec(line) ?? [];
    if (field === "SF") {
      current = value.startsWith(ROOT)
        ? counts.get(value.slice(ROOT.length).split(/[\\/]/, 1)[0])
        : undefined;
    } else if (current !== undefined) {
      if (field === "LH") current.lines[0] += Number(value);
      if (field === "LF") current.lines[1] += Number(value);
      if (field === "BRH") current.branches[0] += Number(value);
      if (field === "BRF") current.branches[1] += Number(value);
    }
  }
  return counts;
}

const share = ([hit, found]: Count) => `${(100 * hit / found).toFixed(1).padStart(5)} %`;

if (import.meta.main && !await printCoverage()) Deno.exit(1);
