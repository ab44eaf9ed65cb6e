import { formatSize, formatTime } from "./text.ts";
import type { ChartOptions } from "./chart_options.ts";
import { codecName, hasSerializers, type Operation, type ProfileRow } from "./row.ts";
import { summarize } from "./summary.ts";

/** A row of the summary, with everything that a channel may ask for. */
export type Point = Record<string, string | number>;

/**
 * The rows that a chart of these options shows.
 *
 * @throws {Error} When there are none.
 */
export function chooseRows(rows: readonly ProfileRow[], options: ChartOptions): ProfileRow[] {
  const timed = rows.filter(({ error }) => error === undefined);
  const stored: Operation[] = ["write", "read"];
  const usual = timed.some(({ operation }) => stored.includes(operation)) ? stored : undefined;
  const { operation = usual, size, engine, encoding } = options;
  const wanted = Object.entries({ operation, size, engine, encoding })
    .filter(([, values]) => values !== undefined)
    .map(([column, values]) => [column as keyof ProfileRow, [values].flat() as unknown[]] as const);
  const chosen = timed.filter((row) =>
    wanted.every(([column, values]) => values.includes(row[column]))
  );
  if (chosen.length === 0) {
    throw new Error("Cannot draw a chart: no row that ran is among what it should show");
  }
  return chosen;
}

/** What is drawn of the rows: their medians and quartiles, or `each` row of its own. */
export function pointsOf(rows: ProfileRow[], each: boolean): Point[] {
  const named = hasSerializers(rows);
  const groups = each
    ? rows.map((row) => ({ ...row, median: row.time, q25: row.time, q75: row.time }))
    : summarize(rows).map((summary) => ({ ...summary, iteration: NaN }));
  return groups.map((group) => {
    const { median, q25, q75, rawSize } = group;
    return {
      engine: group.engine,
      serializer: group.serializer,
      compress: String(group.compress),
      b64: String(group.b64),
      encoding: group.encoding,
      codec: codecName(group, named),
      operation: group.operation,
      size: group.size,
      sizeName: formatSize(group.size),
      rawSize,
      storedSize: group.storedSize,
      ratio: group.ratio,
      iteration: group.iteration,
      time: median,
      timeLow: q25,
      timeHigh: q75,
      rate: 1 / median,
      rateLow: 1 / q75,
      rateHigh: 1 / q25,
      speed: rawSize / median,
      speedLow: rawSize / q75,
      speedHigh: rawSize / q25,
      words: `${group.engine}, ${codecName(group, true)}, ${group.operation} of ${
        formatSize(group.size)
      }: ${formatTime(median)}, ${formatSize(rawSize / median)}/s, stored in ${
        formatSize(group.storedSize)
      }`,
    };
  });
}
