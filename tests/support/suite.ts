/** Suites of claims that are run on every engine and counted. */
import { assertEquals } from "@std/assert";
import { ENGINES, TestBed } from "./bed.ts";

/** Runs each claim as a step on each engine, with what `setUp` makes for it, and says how many hold. */
export function suiteOnEngines<T>(
  subject: string,
  setUp: (bed: TestBed) => T | Promise<T>,
  claims: Record<string, (context: T) => Promise<void>>,
  tearDown: (context: T) => Promise<void>,
): void {
  for (const engine of ENGINES) {
    Deno.test({
      name: `${subject} on ${engine}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn(t) {
        await using bed = await TestBed.create(engine);
        let passed = 0;
        const all = Object.entries(claims);
        for (const [name, claim] of all) {
          const context = await setUp(bed);
          if (await t.step(name, () => claim(context))) passed++;
          await tearDown(context);
        }
        console.log(`${subject} on ${engine}: ${passed} of ${all.length}`);
        assertEquals(passed, all.length);
      },
    });
  }
}
