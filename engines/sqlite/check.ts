import type { EngineCheck, EngineProblem } from "../engine.ts";
import type { SqlConnection } from "./driver.ts";
import type { EntryTable } from "./store.ts";
import { isDamaged, whenFree } from "./transaction.ts";

/** Looks at the file and the table. */
export async function checkTable(
  connection: SqlConnection,
  table: EntryTable,
  fix: boolean,
): Promise<EngineCheck> {
  const problems = await integrityProblems(connection, fix ? () => table.reindex() : undefined);
  const count = await whenFree(() => unlessDamaged(() => table.count()));
  return { checked: typeof count === "number" ? count : 0, problems };
}

/**
 * What SQLite finds wrong with a file. Cost: reads the whole file, without a break.
 *
 * @param reindex When given, makes damaged indexes anew. A damaged table stays as it is.
 */
export async function integrityProblems(
  connection: SqlConnection,
  reindex: (() => void) | undefined,
): Promise<EngineProblem[]> {
  const found = await whenFree(() => integrity(connection));
  let left = found;
  if (found.length > 0 && reindex !== undefined) {
    await whenFree(() => unlessDamaged(reindex));
    left = await whenFree(() => integrity(connection));
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

function integrity(connection: SqlConnection): string[] {
  const rows = unlessDamaged(() => connection.prepare("PRAGMA integrity_check").all());
  if (rows instanceof Error) return [rows.message];
  return rows.map(([message]) => String(message)).filter((message) => message !== "ok");
}
