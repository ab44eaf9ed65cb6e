import type { EngineCheck, EngineCheckOptions, EngineProblem } from "../engine.ts";
import type { PostgresConnection } from "./connection.ts";
import { isShort, MAX_KEY, rangeAfter, rangeOf, toKey } from "./format.ts";

/** How many rows are looked at at once. */
const PAGE = 1_000;

/**
 * Names rows that another program put into the table under keys that no `get` leads to. They are never
 * removed: nothing of them is ours. Postgres itself looks after the table and its indexes.
 */
export async function checkPostgres(
  connection: PostgresConnection,
  store: string,
  { prefix = "" }: EngineCheckOptions,
): Promise<EngineCheck> {
  const { queries } = connection;
  // Rows beyond what a short key can be are few: those are all that has to be looked at.
  let range = rangeOf(store, prefix);
  const { rows: [[count]] } = await connection.runRange<[string]>(queries.count, range, []);
  const problems: EngineProblem[] = [];
  while (true) {
    type Row = [key: string, longKey: string | null];
    const { rows: page } = await connection.runRange<Row>(queries.odd, range, [MAX_KEY, PAGE]);
    for (const [column, longKey] of page) {
      const key = longKey ?? column;
      if (longKey === null ? isShort(column) : toKey(longKey).key === column) continue;
      const detail = longKey === null
        ? `The row's key is too long for its column: it belongs in long_key, and its beginning and hash in key`
        : `The row's key is not what belongs to its long_key`;
      problems.push({ kind: "foreign", key, detail, fixed: false });
    }
    if (page.length < PAGE) return { checked: Number(count), problems };
    range = rangeAfter(range, page[PAGE - 1][0]);
  }
}
