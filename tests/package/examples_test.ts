/** The examples about functions do what they say. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { outputOf } from "../../dev/run.ts";

async function example(name: string, root: string, ...args: string[]) {
  const output = await outputOf(["run", "-A", `examples/${name}`, ...args], {
    env: { HASHSTASH_DIR: root },
  });
  assertEquals(output.success, true, output.stderr);
  return output;
}

Deno.test("examples: llm_cache.ts asks each question once", async () => {
  const root = await Deno.makeTempDir();
  try {
    const first = (await example("llm_cache.ts", root)).stdout;
    assertStringIncludes(first, "You asked about of hash (5 tokens)");
    assertStringIncludes(first, "The API answered 429: Too many requests, asking again");
    assertStringIncludes(first, "You asked about sky blue\n");
    assertStringIncludes(first, "You asked about old maps");
    assertStringIncludes(first, "2 answers kept, 10 tokens in all");
    assertStringIncludes(first, "Requests to the API in this run: 4\n");
    const second = (await example("llm_cache.ts", root)).stdout;
    assertStringIncludes(second, "You asked about old maps");
    assertStringIncludes(second, "Requests to the API in this run: 0\n");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("examples: parallel_map.ts counts once", async () => {
  const root = await Deno.makeTempDir();
  try {
    const forced = await example("parallel_map.ts", root, "--force");
    assertMatch(forced.stdout, /× as fast on \d+ cores/);
    assertEquals(forced.stdout.match(/148933 primes below 2000000/g)?.length, 3);
    assertStringIncludes(forced.stderr, "countPrimes: 40 of 40 (100 %)");
    const again = await example("parallel_map.ts", root);
    assertStringIncludes(again.stdout, "148933 primes below 2000000");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
