import { type ColumnTable, table } from "arquero";

/** An Arquero table of these columns. */
export function makeTable(columns: Map<string, unknown[]>): ColumnTable {
  return table([...columns]);
}
