/**
 * A process is killed on its way into a system call that changes something on the disk, one such
 * call after another: what was acknowledged to it is there, what was under way is there or not, and
 * after the next writer nothing is left that belongs to no entry. `HASHSTASH_SOAK_SECONDS` (`deno
 * task soak`) makes it longer than the seconds per engine of the ordinary run. Needs strace.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { shuffle } from "@std/random/shuffle";
import { type EngineName, TestBed } from "../support/bed.ts";
import { KEPT_IN_FILES, LOG, stepsOf } from "../support/kill_steps.ts";
import { type CallSite, callSites, runUntil, straceError } from "../support/strace.ts";

const seconds = Number(Deno.env.get("HASHSTASH_SOAK_SECONDS") ?? 1.5);
const WORKER = new URL("../support/kill_steps_worker.ts", import.meta.url).href;

/** A store, and what has been acknowledged of it. */
class Target {
  readonly #bed: TestBed;
  readonly #name: string;
  readonly #values = new Map<string, string | undefined>();
  #log: string[] = [];
  #files: Set<string> | undefined;

  constructor(bed: TestBed, name: string, like?: Target) {
    this.#bed = bed;
    this.#name = name;
    if (like !== undefined) this.#files = like.#files;
  }

  /** The program that works on it. */
  command(round: number): string[] {
    const options = JSON.stringify([this.#bed.options({ name: this.#name }), round]);
    const flags = ["-A", "--quiet", "--no-check", "--no-code-cache", "--unstable-kv"];
    return [Deno.execPath(), "run", ...flags, WORKER, options];
  }

  /** Has a process killed on its way through a round, and judges what it has left; whether it was. */
  async killAt(site: CallSite, round: number): Promise<boolean> {
    const { lines, isKilled } = await runUntil(site, this.command(round));
    try {
      await this.judge(round, lines.length);
    } catch (error) {
      const where = `killed at ${site.call} ${site.n}, store ${this.#name}, round ${round}`;
      throw new Error(`${this.#bed.engine}: ${where}, ${lines.length} steps acknowledged`, {
        cause: error,
      });
    }
    return isKilled;
  }

  /** Judges what a process has left that did so many steps of a round, and was killed or ended. */
  async judge(round: number, acknowledged: number): Promise<void> {
    const options = this.#bed.options({ name: this.#name });
    await using stash = this.#bed.stash<string, string>(options);
    await using history = this.#bed.stash<string, string>({
      ...options,
      dbname: "history",
      appendMode: true,
    });
    const steps = stepsOf(round);
    for (const { call, leaves } of steps.slice(0, acknowledged)) {
      if (call === "append") this.#log.push(leaves[0][1]!);
      else for (const [key, value] of leaves) this.#values.set(key, value);
    }
    const under = steps.at(acknowledged);
    const next = new Map(under?.leaves);
    const log = await history.getAll(LOG);
    if (under?.call === "append" && log.length > this.#log.length) this.#log.push(next.get(LOG)!);
    assertEquals(log, this.#log, "versions");
    for (const key of new Set([...this.#values.keys(), ...next.keys()])) {
      if (key === LOG) continue;
      const value = await stash.get(key);
      const isNew = next.has(key) && value === next.get(key);
      assert(isNew || value === this.#values.get(key), `${key} is ${value?.slice(0, 20)}`);
      this.#values.set(key, value);
    }
    const there = [...this.#values].flatMap(([key, value]) => value === undefined ? [] : [key]);
    assertEquals((await Array.fromAsync(stash.keys())).sort(), there.sort());

    // The next writer, of all the stores that there are: a delete takes leases away.
    await stash.set("next", `written after round ${round}`);
    await stash.delete("next");
    this.#log.push(`written after round ${round}`);
    await history.set(LOG, this.#log.at(-1)!);
    for (const one of [stash, history]) assertEquals((await one.check()).problems, []);
    await stash.close();
    await history.close();
    const files = await filesOf(join(this.#bed.root, this.#name));
    if (this.#files === undefined) this.#files = new Set(files);
    const debris = files.filter((file) => !this.#files!.has(file));
    assertEquals(debris, [], "debris");
  }
}

/**
 * The files in a folder, but for those of entries: of pairtree's and DiskCache's, `check` says when
 * one is nobody's. A database that was killed keeps its log until it is closed by
 * the last who uses it.
 */
async function filesOf(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory && /^[0-9a-f]{2}$/.test(name)) continue;
    if (isDirectory) files.push(...(await filesOf(path)).map((file) => join(name, file)));
    else if (!/-(wal|shm)$/.test(name) && !folder.endsWith(".locks")) files.push(name);
  }
  return files;
}

async function killAtCalls(engine: EngineName): Promise<void> {
  await using bed = await TestBed.create(engine);
  let round = 0;
  // First on nothing, then on what is there: two stories, with system calls of their own.
  const lasting = new Target(bed, "lasting");
  const sites: { site: CallSite; isFresh: boolean }[] = [];
  for (const isFresh of [true, false]) {
    const found = await callSites(lasting.command(++round), bed.root);
    assertEquals(found.lines.length, stepsOf(round).length);
    await lasting.judge(round, found.lines.length);
    sites.push(...found.sites.map((site) => ({ site, isFresh })));
  }
  assertGreater(sites.length, 20);
  let kills = 0;
  let tried = 0;
  for (const end = performance.now() + 1_000 * seconds; performance.now() < end;) {
    for (const { site, isFresh } of shuffle(sites)) {
      if (performance.now() >= end && kills > 2) break;
      tried++;
      round++;
      const target = isFresh ? new Target(bed, `fresh_${round}`, lasting) : lasting;
      if (await target.killAt(site, round)) kills++;
    }
  }
  assertGreater(kills, 2);
  console.log(
    `${engine}: ${kills} kills in ${tried} runs at ${sites.length} system calls, 0 lost, 0 debris`,
  );
}

const obstacle = await straceError();
if (obstacle !== undefined) console.log(`NOBODY IS KILLED AT SYSTEM CALLS: ${obstacle}`);
for (const engine of obstacle === undefined ? KEPT_IN_FILES : []) {
  Deno.test(`soak: ${engine}: who is killed at a system call loses and leaves nothing`, async () => {
    await killAtCalls(engine);
  });
}

// Of so few among so many, the rounds above meet one in fifty runs.
Deno.test("soak: lmdb: who is killed at a file beside a new data file leaves it as it was", async () => {
  if (obstacle !== undefined) return;
  await using bed = await TestBed.create("lmdb");
  const first = new Target(bed, "first");
  const { sites, lines } = await callSites(
    first.command(1),
    join(bed.root, "first", "lmdb", "data.mdb."),
  );
  await first.judge(1, lines.length);
  // To lock it, the lock's file is opened some fifty times.
  const changes = sites.filter(({ call }) => call !== "openat");
  assertGreater(changes.length, 1);
  for (const [index, site] of changes.entries()) {
    const target = new Target(bed, `store_${index}`, first);
    assert(await target.killAt(site, index + 2));
  }
});
