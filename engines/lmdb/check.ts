/** What `check` does: it looks at the pages of the file, then at all entries of a store. */
import type { EngineCheck, EngineProblem } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { isDamage } from "./environment.ts";
import { inspectFile } from "./file.ts";
import { RecordError, textOfLmdbKey, unpackRecord } from "./format.ts";
import type { LmdbStore, RawEntry } from "./store.ts";

/** Checks a store and the data file that it is in. */
export async function checkStore(
  file: string,
  store: LmdbStore,
  fix: boolean,
  signal?: AbortSignal,
): Promise<EngineCheck> {
  const fault = await inspectFile(file, Infinity);
  if (fault !== undefined) {
    // To read on could end the process.
    const detail = `${file} cannot be used: ${fault.detail}`;
    return { checked: 0, problems: [{ kind: "damaged", detail, fixed: false }] };
  }
  const problems: EngineProblem[] = [];
  let checked = 0;
  try {
    for await (const raw of store.lookedUp()) {
      if (signal?.aborted) break;
      checked++;
      const problem = await checkEntry(store, raw, fix);
      if (problem !== undefined) problems.push(problem);
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    const detail = `${file} is damaged, the rest of it can't be read: ${messageOf(error)}`;
    problems.push({ kind: "damaged", detail, fixed: false });
  }
  return { checked, problems };
}

async function checkEntry(
  store: LmdbStore,
  raw: RawEntry & { isFound: boolean },
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
      fixed: fix && await store.write(() => store.remove(raw.key, raw.version), {
        entries: 1,
        removed: () => raw.value.length,
      }),
    };
  }
  if (!raw.isFound) {
    const detail = "it can't be found by its key: a page above it is damaged";
    return { kind: "damaged", key, detail, fixed: false };
  }
  if (expiresAt !== Infinity && !store.isIndexed(expiresAt, raw.key)) {
    // Prune and another set may both have been here since the entry was read.
    if (store.stateOf(raw.key)?.version !== raw.version) return undefined;
    if (fix) await store.write(() => store.index(expiresAt, raw.key), { entries: 1 });
    return { kind: "orphan", key, detail: "its deadline is not in the index", fixed: fix };
  }
  return undefined;
}
