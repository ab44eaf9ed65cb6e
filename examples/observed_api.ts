/**
 * An HTTP server that tells what its cache does: by events to a listener of its own, and by
 * OpenTelemetry, which Deno has built in.
 *
 *     deno run -A examples/observed_api.ts
 *     OTEL_DENO=true OTEL_EXPORTER_OTLP_PROTOCOL=console deno run -A examples/observed_api.ts
 *
 * The second way, spans and metrics are written to the terminal; with
 * `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318` and without the protocol they go to a
 * collector. The program needs no line of code for that: a request is a span, what it computes is a
 * span `hashstash.compute` below it, and what it asks for of others is one below that.
 */
import { HashStash, type StashEventType } from "../mod.ts";

await using stash = new HashStash({ name: "observed_api", engine: "memory" });

// ---- What is watched ----

const counts: Partial<Record<StashEventType, number>> = {};
for (const type of ["hit", "miss", "compute", "wait", "error"] as const) {
  stash.events.addEventListener(type, () => counts[type] = (counts[type] ?? 0) + 1);
}

stash.events.addEventListener("compute", ({ detail }) => {
  const { key, ms = 0, outcome } = detail;
  if (outcome === "error") console.log(`Failed: ${key} (${detail.error})`);
  else if (ms > 40) console.log(`Slow: ${key}`);
});

// ---- What is served ----

const reports = stash.stashedResult(async (city: string) => {
  if (city === "Atlantis") throw new RangeError("no such city");
  await new Promise((resolve) => setTimeout(resolve, city === "Oslo" ? 60 : 1));
  return { city, sky: "blue" };
}, { name: "reports", ttl: 60_000 });

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
  const city = new URL(request.url).pathname.slice(1);
  try {
    return Response.json(await reports(city));
  } catch {
    return new Response("Not found", { status: 404 });
  }
});

// ---- Who asks ----

async function ask(city: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/${city}`);
  await response.body?.cancel();
}

await Promise.all([ask("Oslo"), ask("Oslo"), ask("Oslo")]);
for (const city of ["Oslo", "Rome", "Rome", "Atlantis"]) await ask(city);

const { hit = 0, miss = 0, compute = 0, wait = 0 } = counts;
console.log(`${hit} hits, ${miss} misses, ${compute} runs, ${wait} waited for another's`);
await server.shutdown();
