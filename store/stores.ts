/** What a stash and the stores inside it hold. */
import type { Store } from "../engines/complete.ts";
import type { FoundStore } from "../engines/engine.ts";
import { RESERVED_DBNAMES } from "./options.ts";

/** A store and what it holds: one of those that `stores()` lists. */
export interface StoreInfo {
  /** Its dbname: `"main"`, `"main/sub"`, … */
  dbname: string;
  /** `"function"`: the results of a function; `"stash"`: any other store. */
  kind: "stash" | "function";
  /** How many live entries it has: in append mode, keys. */
  entries: number;
  /**
   * Bytes of their keys and values as they are stored, in append mode those of all versions: what
   * the codec made of them, without what the engine needs besides.
   */
  bytes: number;
  /**
   * When the latest of the entries was set, ms since the epoch; absent where there are none, or the
   * engine keeps no times (redis).
   */
  lastWrite?: number;
}

/** Where a store is, seen from an outer one. */
interface Place {
  /** The dbname inside the outer one, without the side store. */
  readonly inside: string;
  /** The side store that it is, `""` for none. */
  readonly side: string;
}

const RESERVED: ReadonlySet<string> = new Set(Object.values(RESERVED_DBNAMES));

/** What is under a reserved name, and all in it, is kept by a stash for itself. */
function placeOf({ dbname }: FoundStore): Place {
  const parts = dbname.split("/");
  const i = parts.findIndex((part) => RESERVED.has(part));
  if (i < 0) return { inside: dbname, side: "" };
  return { inside: parts.slice(0, i).join("/"), side: parts.slice(i).join("/") };
}

/**
 * The store itself, and those inside it that have entries, by their names.
 *
 * @param dbname The store's own.
 * @param isFunction Whether it is known to be a function's.
 */
export async function storesIn(
  store: Store,
  dbname: string,
  isFunction: boolean,
): Promise<StoreInfo[]> {
  const found = new Map<string, StoreInfo>();
  for await (const one of store.stores(true)) {
    const { inside, side } = placeOf(one);
    const { entries = 0, bytes = 0, lastWrite } = one.usage ?? {};
    let info = found.get(inside);
    if (info === undefined) {
      const whole = inside === "" ? dbname : `${dbname}/${inside}`;
      const kind = inside === "" && isFunction ? "function" : "stash";
      found.set(inside, info = { dbname: whole, kind, entries: 0, bytes: 0 });
    }
    if (side === RESERVED_DBNAMES.function && entries > 0) info.kind = "function";
    if (side === "") info.entries = entries;
    if (side === "" && lastWrite !== undefined) info.lastWrite = lastWrite;
    if (side === "" || side === RESERVED_DBNAMES.versions) info.bytes += bytes;
  }
  return [...found.values()]
    .filter((info) => info.dbname === dbname || info.entries > 0)
    .sort((a, b) => a.dbname < b.dbname ? -1 : 1);
}

/**
 * What kind of store is inside a store under a name; `undefined` when none is. Counts nothing.
 *
 * @param inside Its dbname inside the store.
 */
export async function kindOfStore(
  store: Store,
  inside: string,
): Promise<StoreInfo["kind"] | undefined> {
  let isThere = false;
  for await (const one of store.stores(false)) {
    const place = placeOf(one);
    if (place.inside !== inside) continue;
    if (place.side === RESERVED_DBNAMES.function) return "function";
    if (place.side === "") isThere = true;
  }
  return isThere ? "stash" : undefined;
}

/** The names of the stores of functions that are right inside a store, with entries or without. */
export async function functionNamesIn(store: Store): Promise<string[]> {
  const names = new Set<string>();
  for await (const one of store.stores(false)) {
    const { inside, side } = placeOf(one);
    const [name, ...deeper] = inside.split("/");
    if (name === "" || deeper.length > 0) continue;
    if (side === RESERVED_DBNAMES.function) names.add(name);
  }
  return [...names];
}

/** Whether a store has anything that is not there for its own sake: entries, errors, versions, … */
export async function hasContent(store: Store, ofItself: readonly string[]): Promise<boolean> {
  for await (const one of store.stores(true)) {
    if (!ofItself.includes(placeOf(one).side) && (one.usage?.entries ?? 0) > 0) return true;
  }
  return false;
}
