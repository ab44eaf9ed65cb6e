/** What the tests of the adapters share. */
import type { EngineName } from "../../engines/mod.ts";
import { encodeKey, type HashStash } from "../../mod.ts";
import { TestBed } from "./bed.ts";

/** Waits so many ms. */
export const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds, 10 s at most. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !await holds();) {
    if (Date.now() > end) throw new Error(`Waited 10 s for: ${holds}`);
    await later(5);
  }
}

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

/** Puts an entry there whose value can't be read. */
export async function damage(bed: TestBed, stash: HashStash, key: unknown): Promise<void> {
  const { name, dbname } = stash;
  const engine = await bed.open({}, { name, dbname });
  await engine.set(encodeKey(key), { value: new TextEncoder().encode("{"), timestamp: 0 });
}
