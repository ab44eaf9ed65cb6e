/** What the tests of the adapters share. */
import type { EngineName } from "../../engines/mod.ts";
import { TestBed } from "./bed.ts";

/** Waits so many ms. */
export const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Registers a test on an engine in memory, one of files and one of tables. */
export function onEngines(name: string, run: (bed: TestBed) => Promise<void>): void {
  for (const engine of ["memory", "pairtree", "sqlite"] satisfies EngineName[]) {
    Deno.test({
      name: `${name} on ${engine}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn() {
        await using bed = await TestBed.create(engine);
        await run(bed);
      },
    });
  }
}
