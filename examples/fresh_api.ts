/**
 * What comes from an HTTP API is kept as long as it is right: forgotten when its source says that it
 * has changed, and served on while the source is down.
 *
 *     deno run -A examples/fresh_api.ts
 *
 * The API is a shop on a local server that this program starts itself, changes and breaks.
 */
import { computation, HashStash } from "../mod.ts";

interface Product {
  id: number;
  name: string;
  price: number;
}

interface Basket {
  user: string;
  products: number[];
  total: number;
}

// ---- The API ----

const products = new Map<string, Product>([
  ["1", { id: 1, name: "Tea", price: 4 }],
  ["2", { id: 2, name: "Cup", price: 9 }],
]);
const baskets = new Map<string, number[]>([["ann", [1, 2]], ["bob", [2]]]);
const stocks = new Map<string, number>([["1", 50], ["2", 8]]);
const stars = new Map<string, number>([["1", 5], ["2", 4], ["3", 3]]);

let isBroken = false;
let requests = 0;
/** What each answer waits for, once it is known. */
let gate = Promise.resolve();

async function answer(request: Request): Promise<Response> {
  requests++;
  const [, what, id] = new URL(request.url).pathname.split("/");
  if (isBroken) return new Response("Out of order", { status: 503 });
  const found = what === "stars"
    ? id.split(",").map((id) => stars.get(id))
    : { products, baskets, stocks }[what]?.get(id);
  const body = JSON.stringify(found);
  await gate;
  return new Response(body, { status: body === undefined ? 404 : 200 });
}

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);

async function ask<T>(path: string): Promise<T> {
  // Aborted when the time that the run may take is over.
  const { signal } = computation() ?? {};
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/${path}`, { signal });
  if (!response.ok) throw new Error(`The shop answered ${response.status}`);
  return await response.json();
}

// ---- What is kept of it ----

await using stash = new HashStash({ name: "fresh_api", engine: "memory" });

const product = stash.stashedResult(
  (id: number) => ask<Product>(`products/${id}`),
  { name: "product", ttl: 3_600_000, tags: ({ id }) => [`product:${id}`] },
);

/** It is wrong as soon as one of its products changes; which those are, only the result says. */
const basket = stash.stashedResult(async (user: string): Promise<Basket> => {
  const inIt = await Promise.all((await ask<number[]>(`baskets/${user}`)).map((id) => product(id)));
  return {
    user,
    products: inIt.map(({ id }) => id),
    total: inIt.reduce((sum, { price }) => sum + price, 0),
  };
}, {
  name: "basket",
  ttl: 3_600_000,
  tags: ({ user, products }) => [`user:${user}`, ...products.map((id) => `product:${id}`)],
});

/** Asked for together: one request for all that are missing. */
const rating = stash.stashedBatch(
  (ids: number[]) => ask<number[]>(`stars/${ids}`),
  { name: "rating", ttl: 3_600_000, tags: (_stars, id) => [`product:${id}`] },
);

/** Asked for at each call, but better an hour old than none. */
const stock = stash.stashedResult(
  (id: number) => ask<number>(`stocks/${id}`),
  { name: "stock", ttl: 0, staleIfError: 3_600_000, timeout: 2_000 },
);

let asked = 0;
function say(line: string): void {
  console.log(`${line} (requests: ${requests - asked})`);
  asked = requests;
}

// ---- Once for all ----

const twenty = <T>(call: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, call));

async function totals(): Promise<string> {
  const calls = [twenty(() => basket("ann")), twenty(() => basket("bob"))];
  const [[ann], [bob]] = await Promise.all(calls);
  return `ann pays ${ann.total}, bob ${bob.total}`;
}

say(`20 times two baskets: ${await totals()}`);

// ---- Invalidated by a tag ----

products.get("1")!.price = 5;
say(`Tea costs more, and nobody knows: ${await totals()}`);
let removed = await stash.invalidate({ tags: ["product:1"] });
say(`${removed} entries with Tea invalidated: ${await totals()}`);

// ---- Also while it is being read ----

await stash.invalidate({ tags: ["product:2"] });
const held = Promise.withResolvers<void>();
gate = held.promise;
const before = product(2);
while (requests === asked) await new Promise((resolve) => setTimeout(resolve, 1));
// The shop has read the old price for its answer, and here it changes.
products.set("2", { id: 2, name: "Cup", price: 7 });
await stash.invalidate({ tags: ["product:2"] });
held.resolve();
const { price } = await before;
say(`Who asked for Cup before it changed gets ${price}; then it is ${(await product(2)).price}`);

// ---- Many in one request ----

const ratings = async () => (await Promise.all([rating(1), rating(2), rating(3)])).join(", ");
say(`Three products have ${await ratings()} stars`);
stars.set("3", 2);
await stash.invalidate({ tags: ["product:3"] });
say(`One is asked for again: ${await ratings()}`);

// ---- By how keys begin ----

for (const page of ["/about", "/help"]) {
  await stash.getOrSet(`page:${page}`, () => `<h1>${page}</h1>`);
}
removed = await stash.invalidate({ prefix: "page:" });
say(`${removed} pages invalidated by their prefix`);

// ---- While the shop is down ----

say(`In stock: ${await stock(1)} Tea, ${await stock(2)} Cup`);
isBroken = true;
const [stale] = await twenty(() => stock(1));
say(`The shop is out of order, asked 20 times: still ${stale} Tea`);
say(`and for 10 s it is not asked again: ${await stock(1)} Tea`);

isBroken = false;
const silence = Promise.withResolvers<void>();
gate = silence.promise;
say(`It does not answer within 2 s: still ${await stock(2)} Cup`);

isBroken = true;
await product.forget(1);
const failure = await product(1).catch((error) => error.message);
say(`What has not been kept can't be served: "${failure}"`);

// ---- And is back ----

isBroken = false;
silence.resolve();
stocks.set("1", 49);
say(`It is back, and asked at once: ${await stock.force(1)} Tea`);
await server.shutdown();
