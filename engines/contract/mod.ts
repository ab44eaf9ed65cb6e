import { ATOMIC } from "./atomic.ts";
import { BASICS } from "./basics.ts";
import { BATCHES } from "./batches.ts";
import { BUS_CASES } from "./bus.ts";
import { EXPIRY } from "./expiry.ts";
import { GUARD_CASES } from "./guards.ts";
import { ITERATION } from "./iteration.ts";
import { KEY_CASES } from "./keys.ts";
import { LISTING } from "./listing.ts";
import { PREFIX_CASES } from "./prefixes.ts";
import { REMOVAL } from "./removal.ts";
import { STORES } from "./stores.ts";
import { type ContractHarness, Scope } from "./support.ts";

export type { ContractHarness, ContractLocation } from "./support.ts";

/** One thing that every engine must do. */
export interface ContractCase {
  /** What it must do, to follow the engine's name. */
  readonly name: string;
  /** Rejects when it does not. */
  fn(): Promise<void>;
}

/**
 * The cases that any engine must pass, ours or yours, to run in any test runner. They know an
 * engine by its interface alone and read what it promises from `supports`; each works on stores
 * with names of its own and empties them in the end.
 *
 * @param harness How to make the engine for a location.
 *
 * @example An engine on a Map, and its proof
 * ```ts
 * import { type Engine, engineContract, type Entry } from "@hashstash/hashstash/engines";
 *
 * const stores = new Map<string, Map<string, Entry>>();
 *
 * function mapEngine({ name, dbname }: { name: string; dbname: string }): Engine {
 *   const path = `map:${encodeURIComponent(name)}/${dbname}`;
 *   const store = stores.get(path) ?? new Map<string, Entry>();
 *   stores.set(path, store);
 *   const get = (key: string) => {
 *     const entry = store.get(key);
 *     return entry?.expiresAt !== undefined && Date.now() >= entry.expiresAt ? undefined : entry;
 *   };
 *   const engine: Engine = {
 *     name: "map",
 *     path,
 *     supports: { persistent: false, shared: false },
 *     open: () => {},
 *     close: () => {},
 *     get,
 *     set: (key, entry) => void store.set(key, { ...entry, revision: Symbol() }),
 *     delete: (key) => get(key) !== undefined && store.delete(key),
 *     compareAndSet(key, expected, next) {
 *       if (get(key)?.revision !== expected?.revision) return false;
 *       if (next === undefined) store.delete(key);
 *       else engine.set(key, next);
 *       return true;
 *     },
 *     keys: (prefix = "") => [...store.keys()].filter((key) => key.startsWith(prefix) && get(key)),
 *     size: () => [...store.keys()].filter(get).length,
 *     clear(deep) {
 *       store.clear();
 *       for (const [other, entries] of stores) {
 *         if (deep && other.startsWith(`${path}/`)) entries.clear();
 *       }
 *     },
 *   };
 *   return engine;
 * }
 *
 * // In a test file: Deno.test(`map ${name}`, fn)
 * for (const { fn } of engineContract({ create: mapEngine })) await fn();
 * ```
 */
export function engineContract(harness: ContractHarness): ContractCase[] {
  const cases = [
    ...BASICS,
    ...KEY_CASES,
    ...ATOMIC,
    ...GUARD_CASES,
    ...EXPIRY,
    ...BATCHES,
    ...REMOVAL,
    ...ITERATION,
    ...STORES,
    ...LISTING,
    ...PREFIX_CASES,
    ...BUS_CASES,
  ];
  return cases.map(({ name, run }) => ({
    name,
    async fn() {
      const scope = new Scope(harness);
      let failed = true;
      try {
        await run(scope);
        failed = false;
      } finally {
        // What is wrong with the engine may break the cleaning up too: the case's own error says
        // more.
        await scope.end().catch((error) => {
          if (!failed) throw error;
        });
      }
    },
  }));
}
