/**
 * What the processes of the shared tests do to one store at the same time. Each gives back what its
 * test then judges.
 */
import { shuffle } from "@std/random/shuffle";
import { modify } from "../../engines/contract/support.ts";
import type { NewEntry } from "../../engines/engine.ts";
import type { Store } from "./bed.ts";
import { entryOf, textOf } from "./entries.ts";

/** Which of the processes this is. */
export interface Worker {
  readonly index: number;
  readonly count: number;
}

/** Opens another store of the job's name, for as long as the job goes on. */
type OpenStore = (dbname: string) => Promise<Store>;

type Job = (engine: Store, worker: Worker, times: number, open: OpenStore) => Promise<unknown>;

/** What the job `guard` did and saw. */
export interface Guarded {
  /** The keys that were stored, as `compareAndSet` said. */
  readonly stored: string[];
  /** How often the guard did not hold any more. */
  readonly refused: number;
  /** The keys of each round that were there when the guard had been removed. */
  readonly seen: string[][];
}

/** Values that differ in length and whose bytes are all the same, so that a mixture shows. */
export function evenValue(i: number): Uint8Array {
  return new Uint8Array(1 + (i * 7_919) % 20_000).fill(i % 251);
}

/** Whether the bytes are one of those values. */
function isEven(value: Uint8Array): boolean {
  return value.byteLength > 0 && value.every((byte) => byte === value[0]);
}

/** Whether the first process has not yet set the key that ends a job; throws when it never does. */
async function waiting(engine: Store, key: string, since: number): Promise<boolean> {
  if (Date.now() - since > 60_000) throw new Error(`"${key}" is not there after a minute`);
  return !await engine.has(key);
}

/** The numbers below `length`, in any order. */
function shuffled(length: number): number[] {
  return shuffle(Array.from({ length }, (_, i) => i));
}

/** The jobs, by name. */
export const JOBS = {
  /** Adds 1 to a counter, `times` times. */
  async increment(engine, _worker, times) {
    for (let i = 0; i < times; i++) {
      await modify(engine, "counter", (text) => String(Number(text ?? 0) + 1));
    }
  },

  /** Adds lines to one entry, `times` of them, by several callers at once. */
  async append(engine, { index }, times) {
    let line = 0;
    const call = async () => {
      while (line < times) {
        const own = `${index}:${line++}\n`;
        await modify(engine, "lines", (text) => (text ?? "") + own);
      }
    };
    await Promise.all([call(), call()]);
  },

  /** Sets what is absent; gives what is then there. */
  async agree(engine, { index }, times) {
    const found: string[] = new Array(times);
    for (const i of shuffled(times)) {
      const own = `from ${index}`;
      const did = await engine.compareAndSet(`agree ${i}`, undefined, entryOf(own));
      found[i] = textOf(await engine.get(`agree ${i}`)) ?? "nothing";
      if (did && found[i] !== own) found[i] = `${found[i]} over ${own}`;
    }
    return found;
  },

  /** Takes entries by `get` and `compareAndSet`; gives those it took. */
  async take(engine, _worker, times) {
    const taken: number[] = [];
    for (const i of shuffled(times)) {
      const entry = await engine.get(`take ${i}`);
      if (entry === undefined) continue;
      if (await engine.compareAndSet(`take ${i}`, entry, undefined)) taken.push(i);
    }
    return taken;
  },

  /** Deletes entries, alone and in batches; gives how many were there. */
  async remove(engine, _worker, times) {
    let count = 0;
    const order = shuffled(times);
    for (const i of order.slice(0, times / 2)) if (await engine.delete(`remove ${i}`)) count++;
    const rest = order.slice(times / 2).map((i) => `remove ${i}`);
    return count + await engine.deleteMany(rest);
  },

  /** Sets keys that no other process sets: alone, at once and in batches. */
  async write(engine, { index }, times) {
    const pair = (i: number): [string, NewEntry] => {
      const entry = { value: evenValue(i), timestamp: Date.now() };
      return [`write ${index} ${i}`, entry];
    };
    const all = Array.from({ length: times }, (_, i) => pair(i));
    const third = Math.floor(times / 3);
    for (const [key, entry] of all.slice(0, third)) await engine.set(key, entry);
    await Promise.all(
      all.slice(third, 2 * third).map(async ([key, entry]) => await engine.set(key, entry)),
    );
    await engine.setMany(all.slice(2 * third));
  },

  /** The first process overwrites an entry, the others read it; gives how many reads were torn. */
  async overwrite(engine, { index }, times) {
    let torn = 0, reads = 0;
    if (index === 0) {
      for (let i = 0; i < times; i++) {
        await engine.set("overwrite", { value: evenValue(i), timestamp: Date.now() });
      }
      await engine.set("overwritten", entryOf("yes"));
      return { torn, reads: 1 };
    }
    const since = Date.now();
    while (await waiting(engine, "overwritten", since)) {
      const entries = [await engine.get("overwrite"), ...await engine.getMany(["overwrite"])];
      for (const entry of entries) {
        reads++;
        if (entry === undefined || !isEven(entry.value)) torn++;
      }
      // Readers in a loop would leave the writer no share of a machine with few cores.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { torn, reads };
  },

  /** The first process sets an entry that the others append to; gives how many sets were lost. */
  async contend(engine, { index }, times) {
    if (index > 0) {
      const since = Date.now();
      while (await waiting(engine, "contended", since)) {
        await modify(engine, "contend", (text) => `${text ?? ""}+`.slice(0, 1_000));
      }
      return 0;
    }
    let lost = 0;
    for (let i = 0; i < times; i++) {
      await engine.set("contend", entryOf(`set ${i} `));
      for (let reads = 0; reads < 3; reads++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (!textOf(await engine.get("contend"))?.startsWith(`set ${i} `)) lost++;
      }
    }
    await engine.set("contended", entryOf("yes"));
    return lost;
  },

  /**
   * The first process lists keys while the others set and delete more; gives what it missed or saw
   * twice.
   */
  async list(engine, { index }, times) {
    if (index > 0) {
      const since = Date.now();
      for (let i = 0; await waiting(engine, "listed", since); i++) {
        await engine.set(`list ${index} ${i % 40}`, entryOf("value"));
        await engine.delete(`list ${index} ${(i * 7) % 40}`);
      }
      return [];
    }
    const wrong: string[] = [];
    for (let i = 0; i < times; i++) {
      const counts = new Map<string, number>();
      for await (const key of engine.keys("stay ")) counts.set(key, (counts.get(key) ?? 0) + 1);
      for (let j = 0; j < 100; j++) {
        const count = counts.get(`stay ${j}`) ?? 0;
        if (count !== 1) wrong.push(`stay ${j} seen ${count} times`);
      }
    }
    await engine.set("listed", entryOf("yes"));
    return wrong;
  },

  /**
   * The first process sets an entry and removes it again, `times` times; the others store keys while
   * it is there.
   */
  async guard(engine, { index }, times, open): Promise<Guarded> {
    const side = await open("main/side");
    const stored: string[] = [];
    const seen: string[][] = [];
    let refused = 0;
    for (let round = 0; index === 0 && round < times; round++) {
      await side.set("guard", entryOf(`${round}`));
      await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 10));
      if (round % 2 === 0) await side.delete("guard");
      else await side.compareAndSet("guard", await side.get("guard"), undefined);
      const keys: string[] = [];
      for await (const key of engine.keys(`${round} `)) keys.push(key);
      seen.push(keys);
    }
    if (index === 0) await side.set("done", entryOf("yes"));
    const since = Date.now();
    for (let i = 0; index > 0 && await waiting(side, "done", since); i++) {
      const expected = await side.get("guard");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      if (expected === undefined) continue;
      const key = `${textOf(expected)} ${index} ${i}`;
      const guard = { engine: side, key: "guard", expected };
      if (await engine.compareAndSet(key, undefined, entryOf("value"), guard)) stored.push(key);
      else refused++;
    }
    return { stored, refused, seen };
  },

  /** Adds 1 to a counter in one store while that in another stays as it is, and the reverse. */
  async cross(engine, { index }, times, open) {
    const side = await open("main/side");
    for (let i = 0; i < times; i++) {
      const [own, other] = (index + i) % 2 === 0 ? [engine, side] : [side, engine];
      for (;;) {
        const [current, expected] = [await own.get("counter"), await other.get("counter")];
        if (expected === undefined) throw new Error("The entry of the guard is absent");
        const next = entryOf(String(Number(textOf(current)) + 1));
        const guard = { engine: other, key: "counter", expected };
        if (await own.compareAndSet("counter", current, next, guard)) break;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      }
    }
  },
} satisfies Record<string, Job>;

/** The name of a job. */
export type JobName = keyof typeof JOBS;
