/** Runs the contract on one of our engines, in a root folder of its own. */
import { type EngineName, loadEngine } from "../engines/registry.ts";
import { engineContract } from "../engines/contract.ts";

/** Registers a test for each case of the contract. */
export function contractTests(name: EngineName, options: Record<string, unknown> = {}): void {
  const root = Deno.makeTempDirSync({ prefix: `hashstash_${name}_` });
  const harness = {
    async create(location: { name: string; dbname: string }) {
      const createEngine = await loadEngine(name);
      return createEngine({ rootDir: root, ...location }, options);
    },
  };
  for (const { name: claim, fn } of engineContract(harness)) {
    Deno.test({ name: `${name} ${claim}`, fn, sanitizeOps: true, sanitizeResources: true });
  }
  Deno.test.afterAll(() => Deno.remove(root, { recursive: true }));
}
