/**
 * Deno KV. Its types are the runtime's own and not narrower ones: the library that opens such
 * databases on other runtimes has the same.
 */

/** An open Deno KV database, as `Deno.openKv` and the library `npm:@deno/kv` give it. */
export type Kv = Deno.Kv;
/** A key: parts, in whose order keys are listed. */
export type KvKey = Deno.KvKey;
/** What is under a key. */
export type KvEntry = Deno.KvEntry<unknown>;
/** What is under a key, or that nothing is. */
export type KvEntryMaybe = Deno.KvEntryMaybe<unknown>;
/** Which keys to list. */
export type KvRange = Deno.KvListSelector;
/** How to list them. */
export type KvListOptions = Deno.KvListOptions;
/** How new what is read must be: `"strong"`, the newest, or `"eventual"`. */
export type KvConsistency = Deno.KvConsistencyLevel;
/** Changes that take effect together, or not at all. */
export type KvOperation = Deno.AtomicOperation;
/** Whether they took effect. */
export type KvCommit = Deno.KvCommitResult | Deno.KvCommitError;
/** Opens a database: a file, `":memory:"`, a server; without a path the runtime's own. */
export type OpenKv = (path?: string) => Promise<Kv>;

/** The runtime's own `openKv`; `undefined` where it has none. */
export function nativeOpenKv(): OpenKv | undefined {
  return Deno.openKv;
}
