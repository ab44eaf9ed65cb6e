/**
 * A service for Deno Deploy, or any server: what is expensive is computed once for all instances
 * and kept in Deno KV; what is asked for often is answered from each instance's memory.
 *
 *     deno run --unstable-kv --allow-net=127.0.0.1:8000 examples/deploy.ts 8000
 *
 *     GET    /factors/360   the prime factors, and whether they were kept or have been computed
 *     DELETE /factors/360   forgets them, in all instances
 *     GET    /stats         hits and misses of this instance
 *
 * On Deno Deploy it is the entry point of an app as it is, without flags and arguments, once a KV
 * database is assigned to the app; docs/deployment.md says how, and what else there is to use. In a
 * project of your own the import is "@hashstash/hashstash".
 */
import { HashStash } from "../mod.ts";

type Factors = { number: number; factors: number[] };

const stash = new HashStash<string, Factors>({
  name: "factors",
  engine: "shelve",
  // The database of the app and its branch; on another machine Deno's own of this program.
  engineOptions: { path: "default" },
  // In front of it: this instance's memory. Others hear of a change, and after 5 s look anew.
  near: { ttl: 5_000, maxEntries: 10_000 },
  ttl: 24 * 60 * 60 * 1_000,
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
  if (pathname === "/stats") return Response.json(stash.stats());
  const digits = /^\/factors\/(\d{1,15})$/.exec(pathname)?.[1];
  if (digits === undefined) return Response.json({ error: "Try /factors/360" }, { status: 404 });
  if (request.method === "DELETE") {
    return new Response(null, { status: await stash.delete(digits) ? 204 : 404 });
  }
  // Single flight: a thousand requests at once for one number compute it once, in all instances.
  let from = "kept";
  const factors = await stash.getOrSet(digits, () => {
    from = "computed";
    return factorize(Number(digits));
  });
  return Response.json(factors, { headers: { "x-from": from } });
}

// Without a port, on Deno Deploy, the address is the platform's choice.
const [port] = Deno.args;
const address = port === undefined ? {} : { hostname: "127.0.0.1", port: Number(port) };
const server = Deno.serve(address, answer);

// Deno Deploy tells an instance that its time has come, and ends it 5 s later.
Deno.addSignalListener("SIGINT", async () => {
  await server.shutdown();
  await stash.close();
  Deno.exit();
});
