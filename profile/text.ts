/** A profile as text: its figures, its table, the whole. */
import { codecName, hasSerializers, type Operation, type ProfileRow } from "./row.ts";
import { type ProfileSummary, summarize } from "./summary.ts";

const TIME_UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "\u00b5s"], [0, "ns"]] as const;
const SIZE_UNITS = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [0, "B"]] as const;

/** The operations that fit on a terminal's line; `serialize` and `deserialize` are part of them. */
const SHOWN: Operation[] = ["write", "read", "encode value", "decode value"];

/** Three digits that count: `123`, `12.3`, `1.23`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 100) return value.toFixed(0);
  return value.toPrecision(3);
}

/** Seconds with the unit that suits: `12.3 µs`. */
export function formatTime(seconds: number): string {
  if (!Number.isFinite(seconds)) return "-";
  const [, unit] = TIME_UNITS.find(([least]) => seconds >= least) ?? TIME_UNITS[3];
  const scale = { s: 1, ms: 1e3, "\u00b5s": 1e6, ns: 1e9 }[unit];
  return `${formatNumber(seconds * scale)} ${unit}`;
}

/** Bytes with the unit that suits, in powers of 1,000: `10.0 kB`, `1 kB`. */
export function formatSize(bytes: number): string {
  if (!Number.isFinite(bytes)) return "-";
  const [least, unit] = SIZE_UNITS.find(([least]) => bytes >= least) ?? SIZE_UNITS[3];
  return `${Number(formatNumber(least ? bytes / least : bytes))} ${unit}`;
}

/** A probability as whole percents that never claim certainty: `93 %`, `> 99 %`. */
export function formatPercent(share: number): string {
  return share > 0.99 ? "> 99 %" : `${Math.round(share * 100)} %`;
}

/**
 * Columns under their heads, aligned; the first `left` ones to the left, numbers to the right.
 */
export function alignTable(head: string[], lines: string[][], left: number): string {
  const widths = head.map((text, i) =>
    Math.max(text.length, ...lines.map((line) => line[i].length))
  );
  const rule = widths.map((width) => "\u2500".repeat(width));
  return [head, rule, ...lines].map((line) =>
    line.map((text, i) => i < left ? text.padEnd(widths[i]) : text.padStart(widths[i]))
      .join("  ").trimEnd()
  ).join("\n");
}

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
