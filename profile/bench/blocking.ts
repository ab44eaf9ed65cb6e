/**
 * The longest time for which `set` and `get` of a value of 1, 16 and 64 MiB keep the event loop to
 * themselves, ms: a timer asks every millisecond, and the longest pause between two answers is
 * what a server's other requests wait for. Beside it, what `JSON.stringify` and `JSON.parse` of
 * the same value take, which nothing can divide. The least of three.
 *
 *     deno run -A --unstable-kv profile/bench/blocking.ts [ENGINE...]
 */
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { startPostgres } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { generateData } from "../data.ts";
import { chosenEngines } from "./bare/cases.ts";

const MIB = 2 ** 20;
const SIZES = [1, 16, 64];
const TIMES = 3;

/** Records as programs keep them, in a list of about so many bytes of JSON. */
function valueOf(mebibytes: number): unknown {
  return Array.from({ length: mebibytes * 10 }, (_, i) => generateData(MIB / 10, i + 1));
}

/** Does something; ms of the longest time in which no timer had its turn. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await work();
  } finally {
    look();
    clearInterval(timer);
  }
  return longest;
}

/** The least of a few: what else the machine does makes it longer. */
async function least(measure: () => number | Promise<number>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < TIMES; i++) least = Math.min(least, await measure());
  return least;
}

function timed(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function row(name: string, times: readonly number[]): void {
  console.log(name.padEnd(24) + times.map((ms) => ms.toFixed(0).padStart(9)).join(""));
}

async function measure(
  name: string,
  options: HashStashOptions,
  values: readonly unknown[],
): Promise<void> {
  await using stash = new HashStash({ name: "blocking", ...options });
  const times: number[] = [];
  for (const [i, value] of values.entries()) {
    await stash.set(`size ${i}`, value);
    times.push(await least(() => longestPause(() => stash.set(`size ${i}`, value))));
    times.push(await least(() => longestPause(() => stash.get(`size ${i}`))));
  }
  row(name, times);
}

const titles = SIZES.flatMap((size) => [`set ${size}`, `get ${size}`]);
console.log("MiB".padEnd(24) + titles.map((title) => title.padStart(9)).join(""));
const values = SIZES.map(valueOf);
row(
  "JSON alone",
  (await Promise.all(values.map(async (value) => {
    const text = JSON.stringify(value);
    return [
      await least(() => timed(() => JSON.stringify(value))),
      await least(() => timed(() => JSON.parse(text))),
    ];
  }))).flat(),
);
const rootDir = await Deno.makeTempDir({ prefix: "hashstash_blocking_" });
try {
  for (const engine of chosenEngines(Deno.args)) {
    const server = engine === "redis"
      ? await startRedis()
      : engine === "postgres"
      ? await startPostgres()
      : undefined;
    try {
      const engineOptions = server === undefined ? {} : { url: server.url };
      await measure(engine, { engine, rootDir, engineOptions }, values);
    } finally {
      await server?.[Symbol.asyncDispose]();
    }
  }
  for (const compress of ["zstd", "lz4", "gzip"] as const) {
    await measure(`memory, ${compress}`, { engine: "memory", dbname: compress, compress }, values);
  }
  await measure("memory, v8", { engine: "memory", dbname: "v8", serializer: "v8" }, values);
} finally {
  await Deno.remove(rootDir, { recursive: true });
}
