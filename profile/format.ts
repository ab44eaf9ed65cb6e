const TIME_UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "\u00b5s"], [0, "ns"]] as const;
const SIZE_UNITS = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [0, "B"]] as const;

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
