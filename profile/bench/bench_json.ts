import { Profile, type ProfileAbout } from "../result.ts";
import {
  encodingName,
  failedRow,
  type Operation,
  OPERATIONS,
  type ProfileRow,
  type RowCase,
  timedRow,
} from "../row.ts";

/** What `deno bench --json` prints, as far as it is used here; times in ns. */
export interface BenchJSON {
  /** The runtime and its version. */
  runtime?: string;
  /** The processor. */
  cpu?: string;
  /** The benches that ran. */
  benches: {
    /** The group's name. */
    group?: string | null;
    /** The bench's name. */
    name: string;
    /** One, unless it did not run. */
    results: ({ ok: { p75: number } } | { failed: { message?: string } })[];
  }[];
}

/**
 * The names under which a case runs in `deno bench`: all of a group do the same job on the same
 * data.
 */
export function benchNames(row: Omit<RowCase, "iteration">): { group: string; name: string } {
  return {
    group: `${row.operation}, ${row.size} B`,
    name: `${row.engine}, ${row.serializer} ${row.encoding}, ${row.rawSize} B as ${row.storedSize}`,
  };
}

const GROUP = /^([^,]+), (\d+) B(?:, |$)/;
const NAME = /^(.+), (\S+) (\S+), (\d+) B as (\d+)$/;

/**
 * The profile that runs of `deno bench --json` amount to. Each run is an iteration: one says how
 * fast, several say how sure. Their times are the 75th percentiles: Deno tells no median, and a few
 * outliers move its mean far. Benches whose names are not those of a case (`operation, size B` with
 * or without more in the group, and `engine, serializer encoding, raw B as stored`) are left out.
 *
 * @param runs What the runs printed, parsed.
 * @throws {TypeError} When no bench of any run is a case.
 *
 * @example
 * ```ts ignore
 * const profile = profileOfBenches(JSON.parse(await Deno.readTextFile("bench.json")));
 * await Deno.writeTextFile("bench.html", await profile.toHTML());
 * ```
 */
export function profileOfBenches(...runs: BenchJSON[]): Profile {
  const rows = runs.flatMap(({ benches }, run) =>
    benches.flatMap(({ group, name, results }): ProfileRow[] => {
      const row = parseNames(group ?? "", name);
      const result = results?.at(0);
      if (row === undefined || result === undefined) return [];
      return "ok" in result
        ? [timedRow({ ...row, iteration: run + 1 }, result.ok.p75 / 1e9)]
        : [failedRow(row, result.failed.message ?? "it failed")];
    })
  );
  if (rows.length === 0) {
    throw new TypeError(
      "Cannot make a profile of these benches: none is a case of profile_bench.ts",
    );
  }
  const about: ProfileAbout = {};
  if (runs[0].runtime) about.runtime = runs[0].runtime;
  if (runs[0].cpu) about.cpu = runs[0].cpu;
  return new Profile(rows, { ...about, runs: String(runs.length) });
}

function parseNames(group: string, name: string): Omit<RowCase, "iteration"> | undefined {
  const [, operation, size] = GROUP.exec(group) ?? [];
  const [, engine, serializer, encoding, rawSize, storedSize] = NAME.exec(name) ?? [];
  if (!OPERATIONS.includes(operation as Operation) || engine === undefined) return undefined;
  const layers = encoding.split("+");
  const compress = layers.find((layer) => layer !== "raw" && layer !== "b64") ?? false;
  const b64 = layers.includes("b64");
  return {
    engine,
    serializer,
    compress,
    b64,
    encoding: encodingName(compress, b64),
    operation: operation as Operation,
    size: Number(size),
    rawSize: Number(rawSize),
    storedSize: Number(storedSize),
  };
}
