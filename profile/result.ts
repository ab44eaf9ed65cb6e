import { loadLibrary } from "../platform/library.ts";
import type { ArqueroTable } from "../store/arquero.ts";
import { profileText } from "./text.ts";
import { type Best, best, type BestOptions, findBest } from "./best.ts";
import type { ChartOptions } from "./chart_options.ts";
import { COLUMNS, type ProfileRow } from "./row.ts";
import { type ProfileSummary, summarize } from "./summary.ts";

// Typed here: the types of these modules would bring their packages to whoever only checks types.
const loadChart = loadLibrary<
  { chartSvg(rows: readonly ProfileRow[], options?: ChartOptions): Promise<string> }
>("chart", new URL("./chart", import.meta.url));
const loadHtml = loadLibrary<{ profileHtml(profile: Profile, title: string): Promise<string> }>(
  "chart",
  new URL("./html", import.meta.url),
);

const loadTable = loadLibrary<{ makeTable(columns: Map<string, unknown[]>): ArqueroTable }>(
  "table",
  new URL("../store/table", import.meta.url),
);

// With this module, which is itself loaded on use, so that `table()` and `toCSV()` need not be
// awaited. Nothing else needs it, so that a failure is theirs.
const { makeTable } = await Promise.resolve(loadTable()).catch((error: unknown) => ({
  makeTable(): ArqueroTable {
    throw error;
  },
}));

/** When and on what machine a profile was made: names and texts for people. */
export type ProfileAbout = Record<string, string>;

/** A profile as plain data, as `toJSON` gives it. */
export interface ProfileJSON {
  /** When and where it was made. */
  about: ProfileAbout;
  /** The rows; what is not a number, in rows with an `error`, is `null`. */
  rows: { [Column in keyof ProfileRow]: ProfileRow[Column] | null }[];
}

/**
 * What profiling measured.
 *
 * @example A table, a recommendation, a report
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * const profile = await stash.profile({ engine: ["memory"], size: [1_000], iterations: 3 });
 * console.log(String(profile));
 * console.log(profile.best({ operation: "read" }).verdict);
 * const html = await profile.toHTML();
 * ```
 */
export class Profile {
  /** One per engine, codec, size, operation and iteration. */
  readonly rows: readonly ProfileRow[];
  /** When and on what machine it was made. */
  readonly about: ProfileAbout;

  /** A profile of these rows. */
  constructor(rows: readonly ProfileRow[], about: ProfileAbout = {}) {
    this.rows = rows;
    this.about = about;
  }

  /** The rows as an Arquero table, for grouping, joining, and writing as Arrow. */
  table(): ArqueroTable {
    return makeTable(
      new Map(COLUMNS.map((column) => [column, this.rows.map((row) => row[column])])),
    );
  }

  /** Median, 95th percentile and spread of each engine, codec, size and operation. */
  summary(): ProfileSummary[] {
    return summarize(this.rows);
  }

  /**
   * The engine and codec to take: for one operation (`"read"`, `"size"`, …) or a mix, of one size
   * or all. Without options: for as many reads as writes.
   *
   * @throws {TypeError | RangeError} When the options ask for something that was not profiled.
   * @throws {Error} When no engine ran all that counts.
   */
  best(options?: BestOptions): Best {
    return best(this.rows, options);
  }

  /**
   * The recommendations for reads, for writes, for both and for small size, in words; where memory
   * wins, also the best engine whose data outlives the process.
   */
  verdicts(): string[] {
    const engines = [...new Set(this.rows.map(({ engine }) => engine))];
    const goals: BestOptions[] = [
      { operation: "read" },
      { operation: "write" },
      {},
      { operation: "size" },
    ];
    return goals.flatMap((goal) => {
      const found = findBest(this.rows, goal);
      const others = engines.filter((engine) => engine !== "memory");
      const lasting = found?.engine === "memory" && goal.operation !== "size"
        ? findBest(this.rows, { ...goal, engine: others }, "the engines that outlive the process")
        : undefined;
      return [found, lasting].flatMap((best) => best ? [best.verdict] : []);
    });
  }

  /** An aligned text table of the medians, what could not run, and the recommendations. */
  toString(): string {
    return profileText(this.rows, this.verdicts());
  }

  /** All rows as CSV, a header first; what is not a number is empty. */
  toCSV(): string {
    const numbers = COLUMNS.map((column) =>
      [column, (value: unknown) => Number.isNaN(value) ? "" : value] as const
    );
    return this.table().toCSV({ format: Object.fromEntries(numbers) });
  }

  /** The profile as plain data, for `JSON.stringify` and `Profile.fromJSON`. */
  toJSON(): ProfileJSON {
    const rows = this.rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => [column, Number.isNaN(value) ? null : value]),
      ) as ProfileJSON["rows"][number]
    );
    return { about: this.about, rows };
  }

  /** The profile that `toJSON` gave, or that was parsed from its text. */
  static fromJSON({ about, rows }: ProfileJSON): Profile {
    return new Profile(
      rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([column, value]) => [column, value ?? NaN]),
        ) as unknown as ProfileRow
      ),
      about,
    );
  }

  /**
   * A chart of the medians as an SVG; without options the speed of writes and reads by engine.
   * Loads Vega and Vega-Lite; needs no browser.
   *
   * @throws {TypeError} On a name that is no column.
   * @throws {Error} When there is nothing to draw.
   */
  async toSVG(options?: ChartOptions): Promise<string> {
    const { chartSvg } = await loadChart();
    return chartSvg(this.rows, options);
  }

  /** A report as one HTML file that needs no network: recommendations, charts, the table. */
  async toHTML(title = "HashStash profile"): Promise<string> {
    const { profileHtml } = await loadHtml();
    return profileHtml(this, title);
  }
}
