/**
 * A hit of a function with kept results, beside a bare `get` of the same entry (the baseline), and
 * in memory beside p-memoize and a memoize like that of `@std/cache`. Those two give every caller
 * the same object and lose it with the process; a stash gives each a copy of its own.
 *
 *     deno bench -A profile/bench/memoize_bench.ts
 */
import pMemoize from "npm:p-memoize@^8.0.0";
import { type EngineName, HashStash } from "../../mod.ts";
import { generateData } from "../data.ts";

const rootDir = Deno.makeTempDirSync({ prefix: "hashstash_memoize_" });
addEventListener("unload", () => Deno.removeSync(rootDir, { recursive: true }));

const ENGINES: EngineName[] = ["memory", "pairtree", "sqlite", "lmdb"];
const SIZES = { "1 kB": 1_000, "10 kB": 10_000 };

/** As `memoize` of `@std/cache`: a Map by the text of the arguments. */
function memoizeInMap<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  const results = new Map<string, R>();
  return (...args) => {
    const key = JSON.stringify(args);
    if (results.has(key)) return results.get(key)!;
    const result = fn(...args);
    results.set(key, result);
    return result;
  };
}

for (const engine of ENGINES) {
  for (const [size, bytes] of Object.entries(SIZES)) {
    const value = generateData(bytes, 1);
    const load = (_id: number, _options: { page: number }) => Promise.resolve(value);
    const stash = new HashStash({ engine, rootDir, name: `memoize ${size}` });
    const kept = stash.stashedResult(load, { name: "load" });
    await kept(1, { page: 2 });
    const group = `hit, ${engine}, ${size}`;
    Deno.bench({
      name: "stash.get",
      group,
      baseline: true,
      fn: async () => void await kept.stash.get([1, { page: 2 }]),
    });
    Deno.bench({ name: "stashedResult", group, fn: async () => void await kept(1, { page: 2 }) });
    if (engine !== "memory") continue;
    const peers = {
      "p-memoize": pMemoize(load, { cacheKey: JSON.stringify }),
      "like @std/cache": memoizeInMap(load),
    };
    for (const [name, peer] of Object.entries(peers)) {
      await peer(1, { page: 2 });
      Deno.bench({ name, group, fn: async () => void await peer(1, { page: 2 }) });
    }
  }
}
