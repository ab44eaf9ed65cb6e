/** The examples about functions and freshness do what they say. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
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

Deno.test("examples: fresh_api.ts serves what is right, and what is there while nothing else is", async () => {
  const root = await Deno.makeTempDir();
  try {
    const { stdout, stderr } = await example("fresh_api.ts", root);
    assertEquals(stdout.trimEnd().split("\n"), [
      "20 times two baskets: ann pays 13, bob 9 (requests: 4)",
      "Tea costs more, and nobody knows: ann pays 13, bob 9 (requests: 0)",
      "2 entries with Tea invalidated: ann pays 14, bob 9 (requests: 2)",
      "Who asked for Cup before it changed gets 9; then it is 7 (requests: 2)",
      "Three products have 5, 4, 3 stars (requests: 1)",
      "One is asked for again: 5, 4, 2 (requests: 1)",
      "2 pages invalidated by their prefix (requests: 0)",
      "In stock: 50 Tea, 8 Cup (requests: 2)",
      "The shop is out of order, asked 20 times: still 50 Tea (requests: 1)",
      "and for 10 s it is not asked again: 50 Tea (requests: 0)",
      "It does not answer within 2 s: still 8 Cup (requests: 1)",
      'What has not been kept can\'t be served: "The shop answered 503" (requests: 1)',
      "It is back, and asked at once: 49 Tea (requests: 1)",
    ]);
    assertEquals(stderr, "");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("examples: observed_api.ts tells of its runs, with spans below its requests", async () => {
  const { stdout, stderr, success } = await outputOf(["run", "-A", "examples/observed_api.ts"], {
    env: { OTEL_DENO: "true", OTEL_EXPORTER_OTLP_PROTOCOL: "console" },
  });
  assertEquals(success, true, stderr);
  assertMatch(stdout, /^Slow: Oslo$/m);
  assertMatch(stdout, /^Failed: Atlantis \(RangeError: no such city\)$/m);
  assertMatch(stdout, /^\d hits, \d misses, 3 runs, \d waited for another's$/m);
  const spans = stderr.split(/^(?=SPAN|METRIC|LOG)/m).filter((part) => part.startsWith("SPAN"));
  const idOf = (span: string) => span.match(/^SPAN .* \[\w+\/(\w+)\]/)?.[1];
  const requests = spans.filter((span) => / Server /.test(span.split("\n")[0])).map(idOf);
  const runs = spans.filter((span) => span.startsWith("SPAN hashstash.compute"));
  assertEquals([requests.length, runs.length], [7, 3]);
  for (const run of runs) assert(requests.includes(run.match(/parent: (\w+)/)?.[1]), run);
});
