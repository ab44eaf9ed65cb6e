/** Counting what is in a table, page by page. */
import { Turns } from "../../platform/timers.ts";
import type { Awaitable, StoreUsage } from "../engine.ts";
import { Tally } from "../tally.ts";
import type { SqlValue } from "./driver.ts";

/** How many rows are counted without a break. */
const PAGE = 10_000;

/** A value's bytes; those of a text are another number than its characters. */
export function bytesOf(column: string): string {
  // Of what is a BLOB the length alone is read. What is cast is read whole.
  return `CASE typeof(${column}) WHEN 'blob' THEN length(${column}) ` +
    `ELSE length(CAST(${column} AS BLOB)) END`;
}

/**
 * A query for a page of rows, each of them counted or not.
 *
 * Its parameters: now, in the table's own unit, the rowid before the page, how many rows. Its answer
 * is for `countRows`.
 *
 * @param isLive Whether a row counts; `?1` in it is now.
 */
export function pageOfRows(
  { table, isLive, bytes, time }: { table: string; isLive: string; bytes: string; time: string },
): string {
  return "SELECT count(*), max(id), total(live), total(iif(live, bytes, 0)), " +
    "max(iif(live AND typeof(time) IN ('integer', 'real'), time, NULL)) FROM (" +
    `SELECT rowid AS id, ${isLive} AS live, ${bytes} AS bytes, ${time} AS time ` +
    `FROM ${table} WHERE rowid > ?2 ORDER BY rowid LIMIT ?3)`;
}

/** What the rows of a table hold, by one page after the other. */
export async function countRows(
  page: (after: SqlValue, limit: number) => Awaitable<SqlValue[] | undefined>,
): Promise<StoreUsage> {
  const tally = new Tally();
  const turns = new Turns();
  for (let after: SqlValue = -Infinity;;) {
    const row: SqlValue[] = await page(after, PAGE) ?? [];
    const [rows, last, live, bytes, time] = row;
    const timestamp = typeof time === "number" || typeof time === "bigint"
      ? Number(time)
      : undefined;
    tally.add(Number(bytes ?? 0), timestamp, Number(live ?? 0));
    if (Number(rows ?? 0) < PAGE || row.length === 0) return tally.usage;
    after = last;
    if (turns.due()) await turns.next();
  }
}
