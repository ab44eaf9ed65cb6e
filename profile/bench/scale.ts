/**
 * What operations take in a store of 10,000 entries and in one of 1,000,000, and the most memory of
 * the process while all is listed and cleared. Every other group of a thousand entries has a tag of
 * its own; deadlines there are none.
 *
 *     deno run -A profile/bench/scale.ts [ENGINE...]
 *
 * By `ENTRIES=1000,10000` stores of other sizes. On Linux, as it asks there for the peak of memory.
 */
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { startPostgres } from "../../tests/support/postgres_server.ts";
import { startRedis } from "../../tests/support/redis_server.ts";
import { chosenEngines } from "./bare/cases.ts";

const ENTRIES = (Deno.env.get("ENTRIES") ?? "10000,1000000").split(",").map(Number);
const DEFAULT_ENGINES = ["sqlite", "lmdb", "pairtree", "redis", "postgres"];
/** Entries of a group: of one prefix, and in every other one of one tag. */
const GROUP = 1_000;
const ROUNDS = 3;
const SINGLES = 1_000;

/** What one process measures. */
interface Part {
  readonly options: HashStashOptions;
  readonly entries: number;
  /** Whether the store has to be filled by who measures, as it lives and dies with the process. */
  readonly isEmpty: boolean;
}

/** What was measured, and the figure. */
type Figures = Record<string, string>;

const keyOf = (i: number) => `${Math.floor(i / GROUP)}:${i}`;
const valueOf = (i: number) => ({ number: i, text: "some text ".repeat(5) });

const [role] = Deno.args;
if (role?.startsWith("{")) await measurePart(JSON.parse(role));
else await main();

async function main(): Promise<void> {
  const engines = chosenEngines(Deno.args.length === 0 ? DEFAULT_ENGINES : Deno.args);
  for (const engine of engines) {
    const rootDir = await Deno.makeTempDir({ prefix: "hashstash_scale_" });
    try {
      await using server = engine === "redis"
        ? await startRedis()
        : engine === "postgres"
        ? await startPostgres()
        : undefined;
      const engineOptions = server === undefined ? {} : { url: server.url, timeout: 60_000 };
      const columns: Figures[] = [];
      for (const entries of ENTRIES) {
        const options = { name: `scale_${entries}`, engine, rootDir, engineOptions };
        const isEmpty = engine === "memory";
        const start = performance.now();
        if (!isEmpty) {
          await using stash = new HashStash(options);
          await fill(stash, entries);
        }
        const fillTime = (performance.now() - start) / entries * 1_000;
        const figures = await runPart({ options, entries, isEmpty });
        columns.push({ "fill, µs each": isEmpty ? "-" : fillTime.toFixed(1), ...figures });
      }
      console.log(`\n${engine.padEnd(28)}${ENTRIES.map((n) => String(n).padStart(12)).join("")}`);
      for (const name of Object.keys(columns[0])) {
        const figures = columns.map((column) => column[name].padStart(12));
        console.log(`${name.padEnd(28)}${figures.join("")}`);
      }
    } finally {
      await Deno.remove(rootDir, { recursive: true });
    }
  }
}

/** Measures in a process of its own, whose memory nothing else has used. */
async function runPart(part: Part): Promise<Figures> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", import.meta.url].concat(
      JSON.stringify(part),
    ),
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("The process that measures has failed");
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function fill(stash: HashStash, entries: number): Promise<void> {
  for (let begin = 0; begin < entries; begin += GROUP) {
    const group = begin / GROUP;
    const pairs = Array.from(
      { length: GROUP },
      (_, i): [string, unknown] => [keyOf(begin + i), valueOf(begin + i)],
    );
    await stash.setMany(pairs, group % 2 === 0 ? { tags: [`tag ${group}`] } : {});
  }
}

async function measurePart({ options, entries, isEmpty }: Part): Promise<void> {
  await using stash = new HashStash(options);
  if (isEmpty) await fill(stash, entries);
  const figures: Figures = {};
  const groups = entries / GROUP;
  /** Groups that nothing has been asked of yet, first with tags and then without. */
  const tagged = shuffled(groups).filter((group) => group % 2 === 0);
  const plain = shuffled(groups).filter((group) => group % 2 === 1);
  const singles = Array.from({ length: SINGLES }, () => {
    const group = plain[Math.floor(Math.random() * plain.length)];
    return group * GROUP + Math.floor(Math.random() * GROUP);
  });
  figures["get, µs"] = await median(singles, (i) => stash.get(keyOf(i)));
  figures["set, µs"] = await median(singles, (i) => stash.set(keyOf(i), valueOf(i + 1)));
  figures["size(), ms"] = await lowest(() => expect(stash.size(), entries));
  figures["keys({ prefix }), ms"] = await lowest(async () => {
    await expect(count(stash.keys({ prefix: `${plain[0]}:` })), GROUP);
  });
  // The first one waits, so that whoever goes by having seen none looks again.
  await stash.invalidate({ tags: ["no such tag"] });
  let left = entries;
  figures["invalidate({ tags }), ms"] = await lowest(async () => {
    await expect(stash.invalidate({ tags: [`tag ${tagged.pop()}`] }), GROUP);
    left -= GROUP;
  });
  figures["invalidate({ prefix }), ms"] = await lowest(async () => {
    await expect(stash.invalidate({ prefix: `${plain.pop()}:` }), GROUP);
    left -= GROUP;
  });

  const perEntry = (ms: string) => (Number(ms) / left * 1_000).toFixed(2);
  const measured = async (name: string, work: () => Promise<string>) => {
    (globalThis as { gc?: () => void }).gc?.();
    await Deno.writeTextFile("/proc/self/clear_refs", "5");
    figures[`${name}, µs each`] = perEntry(await work());
    figures[`${name}, memory, MB`] = ((await peak()) / 1e6).toFixed(0);
  };
  await measured("keys()", () => lowest(() => expect(count(stash.keys()), left)));
  await measured("clear()", () => lowest(() => stash.clear(), 1));
  await expect(stash.size(), 0);
  console.log(JSON.stringify(figures));
}

/**
 * The most memory that the process has had since its peak was forgotten, bytes, without the pages of
 * files: LMDB's is mapped whole, and of it stays in memory what there is room for.
 */
async function peak(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status");
  const bytes = (name: string) =>
    1_024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return bytes("VmHWM") - bytes("RssFile");
}

async function count(all: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of all) count++;
  return count;
}

async function expect(found: Promise<number>, wanted: number): Promise<void> {
  if (await found !== wanted) throw new Error(`${await found} instead of ${wanted}`);
}

/** The median of single calls, µs. */
async function median(all: number[], call: (i: number) => Promise<unknown>): Promise<string> {
  const times: number[] = [];
  for (const i of all) {
    const start = performance.now();
    await call(i);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return (times[times.length >> 1] * 1_000).toFixed(0);
}

/** The lowest of some rounds, ms: what else the machine does makes the others slower. */
async function lowest(work: () => Promise<unknown>, rounds = ROUNDS): Promise<string> {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
  }
  return best.toFixed(1);
}

function shuffled(count: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}
