/**
 * Every engine beside its bare backend: what a stash costs over the backend and JSON.
 *
 *     deno bench -A profile/bench/engines_bench.ts
 *     deno bench -A profile/bench/engines_bench.ts -- pairtree sqlite
 */
import { chosenEngines, openCases } from "./bare/cases.ts";

const root = Deno.makeTempDirSync({ prefix: "hashstash_bench_" });
addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));

for (const engine of chosenEngines(Deno.args)) {
  const { cases } = await openCases(engine, root);
  for (const { name: group, bare, stash } of cases) {
    Deno.bench({
      name: "backend + JSON",
      group,
      baseline: true,
      fn: async () => void await bare(),
    });
    Deno.bench({ name: "stash", group, fn: async () => void await stash() });
  }
}
