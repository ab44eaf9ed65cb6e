/** The leases of a stash or of a function, as another process sees and makes them. */
import type { HashStash } from "../../mod.ts";
import type { NewEntry } from "../../engines/engine.ts";
import { RESERVED_DBNAMES } from "../../store/options.ts";
import type { Store, TestBed } from "./bed.ts";
import { entryOf } from "./entries.ts";

/** The side store of leases; closed with the bed. */
export async function leasesOf(
  bed: TestBed,
  { name, dbname }: Pick<HashStash, "name" | "dbname">,
): Promise<Store> {
  return await bed.open({}, { name, dbname: `${dbname}/${RESERVED_DBNAMES.leases}` });
}

/** What is under `l/KEY`. */
export function leaseOf(state: { token: string; ms: number; storing?: boolean }): NewEntry {
  return entryOf(JSON.stringify(state));
}

/** What is under `b/TOKEN`, for so many ms. */
export function beatOf(ms: number): NewEntry {
  return entryOf("1", Date.now() + ms);
}
