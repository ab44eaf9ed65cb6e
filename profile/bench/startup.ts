/**
 * How long it takes from the start of a process to its first `get`, ms: a program with a stash
 * beside one with the bare driver, and beside one that does nothing. Lowest tenths of child
 * processes that take turns.
 *
 *     deno run -A profile/bench/startup.ts [ENGINE...]
 *
 * Other checkouts of this repository can take part, to compare them: their `mod.ts` in BESIDE.
 *
 *     BESIDE=../before/mod.ts deno run -A profile/bench/startup.ts
 */
import { join, resolve } from "node:path";
import type { PostgresServer } from "../../tests/support/postgres_server.ts";
import type { RedisServer } from "../../tests/support/redis_server.ts";
import { pathToFileURL } from "node:url";

const RUNS = 41;
const CHILD = "--child";

/** Programs that read one key of a backend that is there, and load no more than that takes. */
const BARE: Record<string, (folder: string, url: string) => Promise<unknown>> = {
  memory: () => Promise.resolve(new Map([["key", "1"]]).get("key")),
  pairtree: (folder) => Deno.readFile(join(folder, "key")),
  pickledb: async (folder) => JSON.parse(await Deno.readTextFile(join(folder, "key"))),
  sqlite: readSqlite,
  diskcache: readSqlite,
  lmdb: async (folder) => (await import("lmdb")).open({ path: join(folder, "lmdb") }).get("key"),
  shelve: async (folder) => await (await Deno.openKv(join(folder, "kv"))).get(["key"]),
  redis: async (_folder, url) => {
    const { Redis } = await import("ioredis");
    return await new Redis(url).getBuffer("key");
  },
  postgres: async (_folder, url) => {
    const { default: pg } = await import("pg");
    const client = new pg.Client(url);
    await client.connect();
    return await client.query("SELECT 1");
  },
};

async function readSqlite(folder: string): Promise<unknown> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(join(folder, "bare.db"));
  database.exec("CREATE TABLE IF NOT EXISTS bare (key PRIMARY KEY, value)");
  return database.prepare("SELECT value FROM bare WHERE key = ?").get("key");
}

async function readStash(module: string, engine: string, folder: string, url: string) {
  const { HashStash } = await import(module);
  const engineOptions = url === "" ? {} : { url };
  const rootDir = join(folder, "stash");
  return await new HashStash({ name: "startup", engine, rootDir, engineOptions }).get("key");
}

/** A child: it does one side's part, says so, and ends. */
async function child([side, engine, folder, url]: string[]): Promise<never> {
  if (side === "bare") await BARE[engine](folder, url);
  else if (side !== "nothing") await readStash(side, engine, folder, url);
  await Deno.stdout.write(new Uint8Array([1]));
  Deno.exit();
}

/** ms from the start of a child to its first word. */
export async function untilFirstWord(program: string, args: string[]): Promise<number> {
  const command = new Deno.Command(program, { args, stdout: "piped" });
  const start = performance.now();
  const process = command.spawn();
  const reader = process.stdout.getReader();
  const { done } = await reader.read();
  const ms = performance.now() - start;
  await reader.cancel();
  await process.status;
  if (done) throw new Error(`No word of ${args.join(" ")}`);
  return ms;
}

/** The program of a child of this one, and its arguments. */
const childOf = (args: string[]): [string, string[]] => [
  Deno.execPath(),
  ["run", "-A", "--cached-only", "--unstable-kv", import.meta.filename!, CHILD, ...args],
];

export const lowTenth = (times: number[]) =>
  times.sort((a, b) => a - b)[Math.floor(times.length / 10)];

async function compare(engine: string, sides: string[], folder: string, url = ""): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "key"), "{}");
  const times = sides.map((): number[] => []);
  // The first of each fills the caches of modules, and makes what is read.
  for (let run = -1; run < RUNS; run++) {
    for (const i of sides.keys()) {
      const side = (i + run + 1) % sides.length;
      const ms = await untilFirstWord(...childOf([sides[side], engine, folder, url]));
      if (run >= 0) times[side].push(ms);
    }
  }
  console.log(
    engine.padEnd(10) + times.map((all) => lowTenth(all).toFixed(0).padStart(10)).join(""),
  );
}

/** The server of an engine that has one. */
export async function serverOf(engine: string): Promise<RedisServer | PostgresServer | undefined> {
  // Not at the top: children don't need them.
  if (engine === "redis") {
    return await (await import("../../tests/support/redis_server.ts")).startRedis();
  }
  if (engine === "postgres") {
    return await (await import("../../tests/support/postgres_server.ts")).startPostgres();
  }
}

async function main(chosen: string[]): Promise<void> {
  const beside = Deno.env.get("BESIDE");
  const modules = [new URL("../../mod.ts", import.meta.url).href];
  if (beside !== undefined) modules.unshift(pathToFileURL(resolve(beside)).href);
  const names = beside === undefined ? ["stash"] : ["beside", "stash"];
  const titles = ["nothing", "bare", ...names].map((title) => title.padStart(10));
  console.log(" ".repeat(10) + titles.join(""));
  const root = await Deno.makeTempDir({ prefix: "hashstash_startup_" });
  try {
    for (const engine of Object.keys(BARE)) {
      if (chosen.length > 0 && !chosen.includes(engine)) continue;
      await using server = await serverOf(engine);
      await compare(engine, ["nothing", "bare", ...modules], join(root, engine), server?.url);
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

if (import.meta.main) {
  if (Deno.args[0] === CHILD) await child(Deno.args.slice(1));
  await main(Deno.args);
}
