import type { Awaitable, EngineProblem } from "../engine.ts";
import type { SqlConnection } from "./driver.ts";
import { isDamaged } from "./runner.ts";

/** Runs an action as part of `check`. */
export type Attempt = <T>(action: () => T) => Awaitable<T>;

/**
 * What SQLite finds wrong with a file. Cost: reads the whole file, without a break.
 *
 * @param reindex When given, the statement that makes damaged indexes anew. A damaged table stays
 * as it is.
 */
export async function integrityProblems(
  attempt: Attempt,
  connection: SqlConnection,
  reindex: string | undefined,
): Promise<EngineProblem[]> {
  const found = await attempt(() => integrity(connection));
  let left = found;
  if (found.length > 0 && reindex !== undefined) {
    await attempt(() => unlessDamaged(() => connection.exec(reindex)));
    left = await attempt(() => integrity(connection));
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
