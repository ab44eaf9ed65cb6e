import { alignTable, formatNumber, formatSize, formatTime } from "./format.ts";
import { codecName, hasSerializers, type Operation, type ProfileRow } from "./row.ts";
import { type ProfileSummary, summarize } from "./summary.ts";

/** The operations that fit on a terminal's line; `serialize` and `deserialize` are part of them. */
const SHOWN: Operation[] = ["write", "read", "encode value", "decode value"];

/** The summary as a table: a line per size, engine and codec, the median times in its columns. */
export function summaryTable(rows: readonly ProfileRow[]): { head: string[]; lines: string[][] } {
  const summary = summarize(rows);
  const named = hasSerializers(summary);
  const shown = SHOWN.filter((name) => summary.some(({ operation }) => operation === name));
  const cases = Map.groupBy(
    summary,
    (row) => JSON.stringify([row.size, row.engine, row.serializer, row.encoding]),
  );
  const lines = [...cases.values()]
    .sort(([a], [b]) => a.size - b.size)
    .map((group) => {
      const of = (name: Operation) => group.find(({ operation }) => operation === name);
      const stored: ProfileSummary | undefined = of("write") ?? of("encode value") ?? of("read");
      return [
        formatSize(group[0].size),
        group[0].engine,
        codecName(group[0], named),
        formatNumber(stored?.ratio ?? NaN),
        ...shown.map((name) => formatTime(of(name)?.median ?? NaN)),
      ];
    });
  return { head: ["size", "engine", "codec", "ratio", ...shown], lines };
}

/** What could not run, each reason once: `redis: Cannot connect …`. */
export function failures(rows: readonly ProfileRow[]): string[] {
  return [...new Set(rows.flatMap(({ engine, error }) => error ? [`${engine}: ${error}`] : []))];
}

/** The profile for a terminal: the table, what could not run, what is recommended. */
export function profileText(rows: readonly ProfileRow[], verdicts: string[]): string {
  const { head, lines } = summaryTable(rows);
  const failed = failures(rows).map((text) => `Could not run ${text}`);
  return [alignTable(head, lines, 3), failed.join("\n"), verdicts.join("\n")]
    .filter(Boolean).join("\n\n");
}
