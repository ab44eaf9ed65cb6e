/** Tests of what holds on every engine. */
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { ENGINES, TestBed } from "./bed.ts";

/** What holds on every engine, by name. */
export type Claims = Record<string, (stash: HashStash, bed: TestBed) => Promise<void>>;

/** Registers a test for each engine, with a step on a new stash for each claim. */
export function testOnEngines(subject: string, claims: Claims): void {
  for (const engine of ENGINES) {
    Deno.test({
      name: `${subject} on ${engine}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn(t) {
        await using bed = await TestBed.create(engine);
        for (const [claim, fn] of Object.entries(claims)) {
          await t.step(claim, async () => {
            await using stash = bed.stash();
            await fn(stash, bed);
          });
        }
      },
    });
  }
}

let counter = 0;

/** Registers a test on a new stash in memory. */
export function testOnMemory(
  name: string,
  fn: (stash: HashStash) => Promise<void>,
  options?: HashStashOptions,
): void {
  Deno.test({
    name,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      const unique = `in_memory_${++counter}`;
      await using stash = new HashStash({ engine: "memory", name: unique, ...options });
      await fn(stash);
    },
  });
}
