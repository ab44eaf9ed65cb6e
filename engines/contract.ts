import { ATOMIC } from "./contract/_atomic.ts";
import { BASICS } from "./contract/_basics.ts";
import { BATCHES } from "./contract/_batches.ts";
import { EXPIRY } from "./contract/_expiry.ts";
import { ITERATION } from "./contract/_iteration.ts";
import { KEY_CASES } from "./contract/_keys.ts";
import { STORES } from "./contract/_stores.ts";
import { type ContractHarness, Scope } from "./contract/_support.ts";

export type { ContractHarness, ContractLocation } from "./contract/_support.ts";

/** One thing that every engine must do. */
export interface ContractCase {
  /** What it must do, to follow the engine's name. */
  readonly name: string;
  /** Rejects when it does not. */
  fn(): Promise<void>;
}

/**
 * The cases that any engine must pass, ours or yours, to run in any test runner. They know an engine by its interface alone and
 * read what it promises from `supports`; each works on stores with names of its own and empties them in the end.
 *
 * @param harness How to make the engine for a location.
 *
 * @example
 * ```ts ignore
 * import { engineContract } from "@hashstash/hashstash/engines";
 * import { MyEngine } from "./my_engine.ts";
 *
 * for (const { name, fn } of engineContract({ create: (location) => new MyEngine(location) })) {
 *   Deno.test(`my engine ${name}`, fn);
 * }
 * ```
 */
export function engineContract(harness: ContractHarness): ContractCase[] {
  const cases = [
    ...BASICS,
    ...KEY_CASES,
    ...ATOMIC,
    ...EXPIRY,
    ...BATCHES,
    ...ITERATION,
    ...STORES,
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
        // What is wrong with the engine may break the cleaning up too: the case's own error says more.
        await scope.end().catch((error) => {
          if (!failed) throw error;
        });
      }
    },
  }));
}
