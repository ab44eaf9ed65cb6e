import type { EngineCheck, EngineProblem } from "../engine.ts";
import { messageOf } from "../errors.ts";
import type { DatabaseHandle } from "./database.ts";
import { Turns } from "../../platform/timers.ts";
import type { SqlConnection, SqlValue } from "./driver.ts";
import type { EntryTable } from "./store.ts";
import { unlessDamaged } from "./transaction.ts";

/** How many rows are looked at without a break. */
const PAGE = 500;

/** What SQLite says of rows that `oddRows` names. */
const OF_A_ROW = /^CHECK constraint failed/;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Looks at the file, the table, and what other programs may have put into it. */
export async function checkTable(
  database: DatabaseHandle<EntryTable>,
  fix: boolean,
): Promise<EngineCheck> {
  const rows = await oddRows(database, fix);
  const reindex = (table: EntryTable) => table.reindex();
  const pages = await integrityProblems(database, fix ? reindex : undefined);
  const count = await database.run((table) => unlessDamaged(() => table.count()));
  return {
    checked: typeof count === "number" ? count : 0,
    problems: [...pages.filter(({ detail }) => !OF_A_ROW.test(detail)), ...rows],
  };
}

/** The rows that can't be an entry. */
async function oddRows(
  database: DatabaseHandle<EntryTable>,
  fix: boolean,
): Promise<EngineProblem[]> {
  const problems: EngineProblem[] = [];
  const turns = new Turns();
  for (let after: SqlValue = -Infinity;;) {
    const rows: SqlValue[][] | Error = await database.run((table) =>
      unlessDamaged(() => table.odd(after, PAGE))
    );
    // Which rows are on a damaged page nobody can tell.
    if (rows instanceof Error) return problems;
    for (const row of rows) {
      const [, bytes, fault] = row;
      const key = textOf(bytes);
      const detail = fault ?? (key === undefined ? "Its key is not UTF-8" : undefined);
      if (detail === undefined) continue;
      // What has been set meanwhile is no problem any more.
      if (fix && !await database.remove((table) => table.removeOdd(row))) continue;
      problems.push({
        kind: "damaged",
        ...(key === undefined ? {} : { key }),
        detail: String(detail),
        fixed: fix,
      });
    }
    if (rows.length < PAGE) return problems;
    after = rows[PAGE - 1][0];
    if (turns.due()) await turns.next();
  }
}

/** The text that bytes are in UTF-8; `undefined` when they are not. */
export function textOf(bytes: SqlValue): string | undefined {
  try {
    return bytes instanceof Uint8Array ? decoder.decode(bytes) : undefined;
  } catch {
    return undefined;
  }
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
    await database.remove((table) => tryToReindex(() => reindex(table)));
    left = await look();
  }
  return found.map((detail) => ({ kind: "damaged", detail, fixed: !left.includes(detail) }));
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
