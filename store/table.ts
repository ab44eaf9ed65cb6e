import { table } from "arquero";
import type { ArqueroTable } from "./arquero.ts";

/** An Arquero table of these columns. */
export function makeTable(columns: Map<string, unknown[]>): ArqueroTable {
  return table([...columns]);
}
