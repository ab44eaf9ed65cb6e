/** The stores inside another one: their names, and where they are in folders. */
import { join } from "node:path";
import { isNotFound } from "../platform/errors.ts";
import { type FolderEntry, isRealFolder, readFolderSync } from "../platform/files.ts";
import { partAt } from "./names.ts";

/** A store in a folder of nested ones. */
export interface NestedPlace {
  readonly path: string;
  /** Its dbname inside the outer store's; `undefined` when nothing tells what its name stands for. */
  readonly dbname: string | undefined;
}

/**
 * A dbname as it is inside another one: `""` for that one itself, `undefined` for one that is not in
 * it.
 */
export function nameInside(outer: string, dbname: string): string | undefined {
  if (dbname === outer) return "";
  return dbname.startsWith(`${outer}/`) ? dbname.slice(outer.length + 1) : undefined;
}

/**
 * The stores in the folder that `nestedFolder` gives, at any depth. A link leads to something else.
 *
 * @param ending What the names of stores end in, as `storePath` was given it.
 * @param isStore Whether what is at a path is a store; only what `storePath` may give is asked about.
 */
export function* nestedStores(
  folder: string,
  ending: string,
  isStore: (path: string, entry: FolderEntry) => boolean,
): Generator<NestedPlace> {
  yield* storesIn(folder, "");

  function* storesIn(folder: string, outer: string | undefined): Generator<NestedPlace> {
    if (!isRealFolder(folder)) return;
    for (const entry of list(folder)) {
      const { name, isDirectory } = entry;
      const path = join(folder, name);
      if (isDirectory && name.endsWith("+")) {
        const inside = nameIn(outer, path.slice(0, -1));
        yield* storesIn(path, inside && `${inside}/`);
      } else if (name.endsWith(ending) && isStore(path, entry)) {
        yield { path, dbname: nameIn(outer, path.slice(0, path.length - ending.length)) };
      }
    }
  }
}

function nameIn(outer: string | undefined, path: string): string | undefined {
  const part = outer === undefined ? undefined : partAt(path);
  return part === undefined ? undefined : outer + part;
}

/** What is in a folder; nothing when it is gone. */
function list(folder: string): FolderEntry[] {
  try {
    return [...readFolderSync(folder)];
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
