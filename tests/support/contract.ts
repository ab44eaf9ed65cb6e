/** Runs the contract on one of our engines, in a root folder of its own. */
import { engineContract } from "../../engines/contract/mod.ts";
import { type EngineName, makeEngine, type Setup, TestBed } from "./bed.ts";

/**
 * Registers a test for each case of the contract. `label` tells several setups of one engine apart,
 * and `rename` gives the stores of the cases other names.
 */
export function contractTests(
  name: EngineName,
  setup?: Setup,
  label: string = name,
  rename = (name: string) => name,
): void {
  let bed: TestBed;
  Deno.test.beforeAll(async () => {
    bed = await TestBed.create(name, setup);
  });
  Deno.test.afterAll(() => bed[Symbol.asyncDispose]());
  const cases = engineContract({
    create: ({ name, dbname }) => makeEngine(bed.place, { name: rename(name), dbname }),
  });
  for (const { name: claim, fn } of cases) {
    Deno.test({ name: `${label} ${claim}`, fn, sanitizeOps: true, sanitizeResources: true });
  }
}
