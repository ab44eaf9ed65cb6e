/**
 * A process is killed on its way into a system call that changes something on the disk, one such
 * call after another, and what it has left is judged. `HASHSTASH_SOAK_SECONDS` (`deno task soak`)
 * makes it longer than the seconds per engine of the ordinary run.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { shuffle } from "@std/random/shuffle";
import type { HashStashOptions } from "../../mod.ts";
import { type EngineName, TestBed } from "./bed.ts";
import { type CallSite, callSites, runUntil } from "./strace.ts";

const seconds = Number(Deno.env.get("HASHSTASH_SOAK_SECONDS") ?? 1.5);

/** The stashes of one name, and what has been acknowledged of them. */
export abstract class KillTarget {
  readonly #bed: TestBed;
  readonly #name: string;
  #files: Set<string> | undefined;

  /** @param like One that has been judged: this may have the same files and no others. */
  constructor(bed: TestBed, name: string, like?: KillTarget) {
    this.#bed = bed;
    this.#name = name;
    if (like !== undefined) this.#files = like.#files;
  }

  /**
   * The file of the program that works on them, beside this one. It is given `[options, round]` as
   * JSON, and says on standard output, a line for each, how many steps have been acknowledged.
   */
  protected abstract readonly worker: string;

  /** How many steps a round has. */
  abstract readonly steps: number;

  /**
   * Judges what a process has left that did so many steps of a round, and was killed or ended; then
   * writes to each store, as the next writer removes what it has left of a write.
   */
  protected abstract look(
    options: HashStashOptions,
    round: number,
    acknowledged: number,
  ): Promise<void>;

  /** The program that works on them. */
  command(round: number): string[] {
    const options = JSON.stringify([this.#options, round]);
    const flags = ["-A", "--quiet", "--no-check", "--no-code-cache", "--unstable-kv"];
    return [Deno.execPath(), "run", ...flags, new URL(this.worker, import.meta.url).href, options];
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

  /** Judges what a process has left, and the files. */
  async judge(round: number, acknowledged: number): Promise<void> {
    await this.look(this.#options, round, acknowledged);
    const files = await filesOf(join(this.#bed.root, this.#name));
    if (this.#files === undefined) this.#files = new Set(files);
    const debris = files.filter((file) => !this.#files!.has(file));
    assertEquals(debris, [], "debris");
  }

  get #options(): HashStashOptions {
    return this.#bed.options({ name: this.#name });
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

/** Kills at all calls in any order, as many as there is time for. */
export async function killAtCalls(
  engine: EngineName,
  Target: new (bed: TestBed, name: string, like?: KillTarget) => KillTarget,
): Promise<void> {
  await using bed = await TestBed.create(engine);
  let round = 0;
  // First on nothing, then on what is there: two stories, with system calls of their own.
  const lasting = new Target(bed, "lasting");
  const sites: { site: CallSite; isFresh: boolean }[] = [];
  for (const isFresh of [true, false]) {
    const found = await callSites(lasting.command(++round), bed.root);
    assertEquals(found.lines.length, lasting.steps);
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
