/** Looking for damage in a store of the pairtree engine, and removing it. */
import { errorCode } from "../../platform/errors.ts";
import { isAbsent } from "../../platform/files.ts";
import { whileBusy } from "../../platform/retry.ts";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { isReadOnly } from "../file_failures.ts";
import { verify } from "./files.ts";
import { Damage, keyOf } from "./format.ts";
import { folderOf, keyAt, placeOf } from "./names.ts";
import { type Found, type PairtreeStore, remove } from "./store.ts";

/** What may be so for one file alone: it is named, and the others are looked at. */
const UNREADABLE = ["EACCES", "EPERM", "EIO", "ESTALE"];

/** Looks at every entry, and at what killed processes left; removes what is damaged when asked. */
export async function checkStore(
  store: PairtreeStore,
  fix: boolean,
  signal?: AbortSignal,
): Promise<EngineCheck> {
  const problems: EngineProblem[] = [];
  let checked = 0;
  for (const digit of store.temporaries()) {
    const problem = await locked(store, digit, fix, () => leftover(store, digit, fix));
    if (problem !== undefined) problems.push(problem);
  }
  for (const folder of store.folders()) {
    for (const name of store.names(folder)) {
      if (folderOf(name) === undefined) continue;
      if (signal?.aborted) return { checked, problems };
      checked++;
      const problem = await look(store, store.at({ folder, name }), fix);
      if (problem !== undefined) problems.push(problem);
    }
  }
  return { checked, problems };
}

/**
 * Does something under a lock; without one where nothing is to be mended and this process may not
 * write: then it can't take one, and a store that others don't write to either can be checked.
 */
async function locked<T>(
  store: PairtreeStore,
  digit: string,
  fix: boolean,
  action: () => T,
): Promise<T> {
  try {
    return await store.locked(digit, action);
  } catch (error) {
    if (fix || !isReadOnly(error)) throw error;
    return action();
  }
}

/** What a killed process left of a write, of those whose lock we hold: nobody else is writing. */
function leftover(store: PairtreeStore, digit: string, fix: boolean): EngineProblem | undefined {
  const path = store.temporaryOf(digit);
  if (isAbsent(path)) return undefined;
  if (fix) remove(path);
  return { kind: "leftover", detail: `${path}: a write that did not end`, fixed: fix };
}

/** What is wrong with a file that has the name of an entry. */
async function look(
  store: PairtreeStore,
  file: Found,
  fix: boolean,
): Promise<EngineProblem | undefined> {
  const found = await whileBusy(() => problemOf(file));
  if (found === undefined || !fix) return found;
  return await store.locked(file.folder, async () => {
    // Somebody may have set it anew.
    const still = await problemOf(file);
    if (still === undefined || still.kind === "unknown") return still;
    remove(file.path);
    return { ...still, fixed: true };
  });
}

async function problemOf({ folder, name, path }: Found): Promise<EngineProblem | undefined> {
  const key = keyAt(folder, name) ?? undefined;
  const problem = (kind: EngineProblem["kind"], what: string): EngineProblem => {
    return { kind, key, detail: `${path}: ${what}`, fixed: false };
  };
  if (folderOf(name) !== folder) return problem("orphan", "it belongs in another folder");
  if (keyAt(folder, name) === undefined) return problem("damaged", "its name is not that of a key");
  try {
    const header = await verify(path);
    if (placeOf(keyOf(header)).name === name) return undefined;
    return problem("damaged", "its key belongs to another");
  } catch (error) {
    if (error instanceof Damage) return problem("damaged", error.message);
    const code = errorCode(error) ?? "";
    if (code === "ENOENT") return undefined;
    if (UNREADABLE.includes(code)) {
      return problem("unknown", `it can't be read: ${messageOf(error)}`);
    }
    throw error;
  }
}
