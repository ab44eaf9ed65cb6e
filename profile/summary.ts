import { median, quantile } from "./statistics.ts";
import type { ProfileRow } from "./row.ts";

/** What the iterations of one engine, codec, size and operation have in common. */
export interface ProfileSummary
  extends Omit<ProfileRow, "iteration" | "time" | "rate" | "speed" | "error"> {
  /** How many rows this sums up. */
  count: number;
  /** The median of `time`, seconds per operation. */
  median: number;
  /** The time that 95 % of the rows kept under, s. */
  p95: number;
  /** The fastest row's time, s. */
  min: number;
  /** The slowest row's time, s. */
  max: number;
  /** A quarter of the rows were faster than this, s. */
  q25: number;
  /** A quarter of the rows were slower than this, s. */
  q75: number;
  /** The noise: the distance of the quartiles in parts of the median. */
  spread: number;
  /** Operations per second at the median. */
  rate: number;
  /** MB per second at the median. */
  speed: number;
}

/**
 * The rows of each engine, codec, size and operation together; rows that could not run are left
 * out.
 */
export function groupRows(rows: readonly ProfileRow[]): ProfileRow[][] {
  const timed = rows.filter(({ error }) => error === undefined);
  return [
    ...Map.groupBy(
      timed,
      (row) => JSON.stringify([row.engine, row.serializer, row.encoding, row.operation, row.size]),
    ).values(),
  ];
}

/** Sums up each group of rows, in the order in which they first came. */
export function summarize(rows: readonly ProfileRow[]): ProfileSummary[] {
  return groupRows(rows).map((group) => {
    const { engine, serializer, compress, b64, encoding, operation, size } = group[0];
    const times = group.map(({ time }) => time).sort((a, b) => a - b);
    const middle = quantile(times, 0.5);
    const q25 = quantile(times, 0.25);
    const q75 = quantile(times, 0.75);
    const rawSize = median(group.map((row) => row.rawSize));
    const storedSize = median(group.map((row) => row.storedSize));
    return {
      engine,
      serializer,
      compress,
      b64,
      encoding,
      operation,
      size,
      rawSize,
      storedSize,
      ratio: storedSize / rawSize,
      count: times.length,
      median: middle,
      p95: quantile(times, 0.95),
      min: times[0],
      max: times[times.length - 1],
      q25,
      q75,
      spread: (q75 - q25) / middle,
      rate: 1 / middle,
      speed: rawSize / 1e6 / middle,
    };
  });
}
