import type { EngineCheck, EngineProblem } from "../engine.ts";
import { messageOf } from "../errors.ts";
import type { DatabaseHandle } from "./database.ts";
import type { SqlConnection } from "./driver.ts";
import type { EntryTable } from "./store.ts";
import { isDamaged } from "./transaction.ts";

/** Looks at the file and the table. */
export async function checkTable(
  database: DatabaseHandle<EntryTable>,
  fix: boolean,
): Promise<EngineCheck> {
  const reindex = (table: EntryTable) => table.reindex();
  const problems = await integrityProblems(database, fix ? reindex : undefined);
  const count = await database.run((table) => unlessDamaged(() => table.count()));
  return { checked: typeof count === "number" ? count : 0, problems };
}

/**
 * What SQLite finds wrong with a file. Cost: reads the whole file, without a break.
 *
 * @param reindex When given, makes damaged indexes anew. A damaged table stays as it is.
 */
export async function integrityProblems<T>(
  database: DatabaseHandle<T>,
  reindex: ((table: T) => void) | undefined,
): Promise<EngineProblem[]> {
  const look = () => database.run(() => integrity(database.connection));
  const found = await look();
  let left = found;
  if (found.length > 0 && reindex !== undefined) {
    await database.run((table) => tryToReindex(() => reindex(table)));
    left = await look();
  }
  return found.map((detail) => ({ kind: "damaged", detail, fixed: !left.includes(detail) }));
}

/** The result of an action; the error, where the file is too damaged for it. */
export function unlessDamaged<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error && isDamaged(error)) return error;
    throw error;
  }
}

/** Makes indexes anew where the table that they are of has nothing against it. */
function tryToReindex(reindex: () => void): void {
  try {
    unlessDamaged(reindex);
  } catch (error) {
    // Rows that are there twice: a page that was written over by another.
    if (!/constraint failed/.test(messageOf(error))) throw error;
  }
}

function integrity(connection: SqlConnection): string[] {
  const rows = unlessDamaged(() => connection.prepare("PRAGMA integrity_check").all());
  if (rows instanceof Error) return [rows.message];
  return rows.map(([message]) => String(message)).filter((message) => message !== "ok");
}
