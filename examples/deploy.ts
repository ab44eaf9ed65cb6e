/**
 * A service for Deno Deploy, or any server: what is expensive is computed once for all instances
 * and kept in Deno KV; what is asked for often is answered from each instance's memory.
 *
 *     deno run --unstable-kv --allow-net=127.0.0.1:8000 examples/deploy.ts
 *
 *     GET    /factors/360   the prime factors, and where they came from
 *     DELETE /factors/360   forgets them
 *     GET    /stats         hits and misses of this instance
 */
import { HashStash } from "../mod.ts";

type Factors = { number: number; factors: number[] };

/** In front: this instance's memory, for a few seconds, of bounded size. */
const near = new HashStash<string, Factors>({
  name: "factors",
  engine: "memory",
  ttl: 5_000,
  engineOptions: { maxEntries: 10_000 },
});

/** Behind: Deno's own KV, shared by all instances. */
const far = new HashStash<string, Factors>({
  name: "factors",
  engine: "shelve",
  ttl: 24 * 60 * 60 * 1_000,
  engineOptions: { path: "default" },
});

function factorize(number: number): Factors {
  const factors: number[] = [];
  let rest = number;
  for (let factor = 2; factor * factor <= rest; factor++) {
    for (; rest % factor === 0; rest /= factor) factors.push(factor);
  }
  if (rest > 1) factors.push(rest);
  return { number, factors };
}

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/stats") return Response.json({ near: near.stats(), far: far.stats() });
  const digits = /^\/factors\/(\d{1,15})$/.exec(pathname)?.[1];
  if (digits === undefined) return Response.json({ error: "Try /factors/360" }, { status: 404 });
  if (request.method === "DELETE") {
    const known = await far.delete(digits);
    await near.delete(digits);
    return new Response(null, { status: known ? 204 : 404 });
  }
  // Single flight on both levels: a thousand requests at once for one number compute it once.
  let from = "memory";
  const factors = await near.getOrSet(digits, () => {
    from = "kv";
    return far.getOrSet(digits, () => {
      from = "computed";
      return factorize(Number(digits));
    });
  });
  return Response.json(factors, { headers: { "x-from": from } });
}

const port = Number(Deno.args[0] ?? 8000);
Deno.serve({ port, hostname: "127.0.0.1" }, answer);
