/**
 * How long it takes from the call of `set` in one process until another one, which has read the key
 * before and keeps it in its memory, reads the new value: by the bus of redis, postgres and shelve.
 *
 *     deno run -A --unstable-kv profile/bench/near_lag.ts
 */
import { dirname } from "node:path";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { makeDatabase } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";

const TIMES = 300;
const [role] = Deno.args;

/** The time by a clock that all processes of the machine have in common, ms. */
const clock = () => performance.timeOrigin + performance.now();

if (role === undefined) await measure();
else await write(JSON.parse(role));

/** Sets the time again and again. */
async function write(options: HashStashOptions): Promise<void> {
  await using stash = new HashStash<string, number>(options);
  for (let i = 0; i < TIMES; i++) {
    await stash.set("k", clock());
    await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 30));
  }
  await stash.set("k", -1);
}

async function measure(): Promise<void> {
  const redis = await startRedis();
  const database = await makeDatabase();
  const rootDir = await Deno.makeTempDir({ prefix: "hashstash_lag_" });
  const kinds: HashStashOptions[] = [
    { engine: "redis", engineOptions: { url: redis.url } },
    { engine: "postgres", engineOptions: { url: database.url } },
    { engine: "shelve", rootDir },
  ];
  for (const kind of kinds) {
    const options = { ...kind, name: "lag", near: { ttl: 3_600_000 } };
    await using stash = new HashStash<string, number>(options);
    await stash.set("k", 0);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--unstable-kv", "--no-check", import.meta.url, JSON.stringify(options)],
    }).spawn();
    const times: number[] = [];
    let hits = 0;
    for (let last = 0; last !== -1;) {
      const value = await stash.get("k");
      hits++;
      if (value !== undefined && value !== last) {
        last = value;
        if (last > 0) times.push(clock() - last);
      }
      // Not in each turn of the event loop: on a machine that is busy, who never sleeps comes last.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await child.status;
    times.sort((a, b) => a - b);
    const at = (part: number) => `${times[Math.floor(part * (times.length - 1))].toFixed(2)} ms`;
    const seen = `${times.length} of ${TIMES} seen, ${hits} reads`;
    console.log(`${kind.engine}: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} (${seen})`);
  }
  await database[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  await Deno.remove(rootDir, { recursive: true });
  await Deno.remove(dirname(redis.socket), { recursive: true }).catch(() => undefined);
}
