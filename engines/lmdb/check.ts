import type { EngineCheck, EngineProblem } from "../engine.ts";
import type { LmdbEnvironment } from "./environment.ts";
import { inspectFile } from "./file.ts";
import { RecordError, textOfLmdbKey, unpackRecord } from "./record.ts";
import type { LmdbTable, RawEntry } from "./table.ts";

/**
 * Looks at the pages of the file, then at all entries of a table and at their places in the index.
 */
export async function checkTable(
  environment: LmdbEnvironment,
  table: LmdbTable,
  fix: boolean,
): Promise<EngineCheck> {
  const fault = await inspectFile(environment.file, Infinity);
  if (fault !== undefined) {
    // To read on could end the process.
    const detail = `${environment.file} cannot be used: ${fault.detail}`;
    return { checked: 0, problems: [{ kind: "damaged", detail, fixed: false }] };
  }
  const problems: EngineProblem[] = [];
  let checked = 0;
  for await (const raw of table.raw(undefined)) {
    checked++;
    const problem = await checkEntry(table, raw, fix);
    if (problem !== undefined) problems.push(problem);
  }
  return { checked, problems };
}

async function checkEntry(
  table: LmdbTable,
  raw: RawEntry,
  fix: boolean,
): Promise<EngineProblem | undefined> {
  let key: string | undefined;
  let expiresAt: number;
  try {
    key = textOfLmdbKey(raw.key);
    const record = unpackRecord(raw.key, raw.value);
    expiresAt = record.expiresAt;
    key ??= record.key;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return {
      kind: "damaged",
      key,
      detail: error.message,
      fixed: fix && await table.remove(raw),
    };
  }
  if (expiresAt !== Infinity && !table.isIndexed(expiresAt, raw.key)) {
    // Prune and another set may both have been here since the entry was read.
    if (!table.isCurrent(raw)) return undefined;
    if (fix) await table.index(expiresAt, raw.key);
    return { kind: "orphan", key, detail: "its deadline is not in the index", fixed: fix };
  }
  return undefined;
}
