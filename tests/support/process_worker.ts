/**
 * A process of the shared tests. It reads orders from standard input, a line of JSON each, and
 * answers each with a line of JSON: `{ place, name, job, worker, times }` opens the store, does the
 * job, closes the store.
 */
import { JOBS } from "./process_jobs.ts";
import { openEngine, type Store } from "./bed.ts";
import { linesOf } from "./child.ts";

function answer(value: unknown): void {
  console.log(JSON.stringify(value));
}

answer("ready");
for await (const line of linesOf(Deno.stdin.readable)) {
  const { place, name, job, worker, times } = JSON.parse(line);
  try {
    const stores: Store[] = [];
    const open = async (dbname: string) => {
      const store = await openEngine(place, { name, dbname });
      stores.push(store);
      return store;
    };
    try {
      const result = await JOBS[job as keyof typeof JOBS](await open("main"), worker, times, open);
      answer({ result: result ?? null });
    } finally {
      for (const store of stores) await store.close();
    }
  } catch (error) {
    answer({ error: error instanceof Error ? error.stack ?? error.message : String(error) });
  }
}
