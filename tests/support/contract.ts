/** Runs the contract on one of our engines, in a root folder of its own. */
import { engineContract } from "../../engines/contract/mod.ts";
import { type EngineName, loadEngine } from "../../engines/registry.ts";
import { type Setup, startSite } from "./setup.ts";

/**
 * Registers a test for each case of the contract. `label` tells several setups of one engine apart.
 */
export function contractTests(name: EngineName, setup: Setup = {}, label: string = name): void {
  let site: Awaited<ReturnType<typeof startSite>>;
  Deno.test.beforeAll(async () => {
    site = await startSite(name, setup);
  });
  Deno.test.afterAll(async () => await site[Symbol.asyncDispose]());
  const cases = engineContract({
    async create(location) {
      const createEngine = await loadEngine(name);
      return createEngine({ rootDir: site.rootDir, ...location }, site.options);
    },
  });
  for (const { name: claim, fn } of cases) {
    Deno.test({ name: `${label} ${claim}`, fn, sanitizeOps: true, sanitizeResources: true });
  }
}
