/**
 * Who is killed at a system call loses nothing that was acknowledged and leaves nothing behind:
 * what was under way is there or not, and after the next writer nothing is left that belongs to no
 * entry. First of plain entries and their versions, then of what is built on them. Needs strace.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { TestBed } from "../support/bed.ts";
import { Features, featureSteps, type Left, LOADED, MOST, TAGS } from "../support/kill_features.ts";
import { KEPT_IN_FILES, LOG, stepsOf } from "../support/kill_steps.ts";
import { killAtCalls, KillTarget } from "../support/kill_target.ts";
import { callSites, straceError } from "../support/strace.ts";

/** A stash of plain entries, and one in append mode inside. */
class Entries extends KillTarget {
  protected readonly worker = "./kill_steps_worker.ts";
  readonly steps = stepsOf(0).length;
  readonly #values = new Map<string, string | undefined>();
  #log: string[] = [];

  protected async look(
    options: HashStashOptions,
    round: number,
    acknowledged: number,
  ): Promise<void> {
    await using stash = new HashStash<string, string>(options);
    await using history = new HashStash<string, string>({
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
  }
}

/** Stashes with tags, limits and a history, and a function. */
class Built extends KillTarget {
  protected readonly worker = "./kill_features_worker.ts";
  readonly steps = featureSteps(0).length;
  #left: Left = { tagged: new Map(), limited: new Map(), history: [], called: new Set() };

  protected async look(
    options: HashStashOptions,
    round: number,
    acknowledged: number,
  ): Promise<void> {
    await using features = new Features(options);
    const { tagged, limited, history, shout } = features;
    const steps = featureSteps(round);
    const left = this.#left;
    for (const { leave } of steps.slice(0, acknowledged)) leave?.(left);
    const next = structuredClone(left);
    steps.at(acknowledged)?.leave?.(next);

    // What was under way is there or not, all of it.
    const values = (left: Left) => [...left.tagged].map(([key, { value }]) => [key, value]).sort();
    const found = (await Array.fromAsync(tagged.entries())).sort();
    if (JSON.stringify(found) === JSON.stringify(values(next))) left.tagged = next.tagged;
    assertEquals(found, values(left), "with tags");
    assertEquals(await tagged.size(), found.length);
    const versions = await history.getAll(LOADED);
    if (JSON.stringify(versions) === JSON.stringify(next.history)) left.history = versions;
    assertEquals(versions, left.history, "history");

    // The others count what a killed one had not told them of as room for as long as it may live.
    const most = MOST + 16 + 1;
    const entries = await Array.fromAsync(limited.entries());
    assert(entries.length <= most, `${entries.length} entries under limits`);
    for (const [key, value] of entries) assertEquals(value, next.limited.get(key), key);

    for (const text of left.called) {
      const results = await Promise.all([shout.peek(text), shout(text)]);
      assertEquals(results, [text.toUpperCase(), text.toUpperCase()]);
    }
    // Should its process have been killed, the lease is waited for.
    const text = `round ${round}`;
    assertEquals(await shout(text), text.toUpperCase());
    left.called.add(text);

    // The next writer, of all the stores that there are.
    for (const tag of TAGS) {
      const keys = [...left.tagged].flatMap(([key, { tags }]) => tags.includes(tag) ? [key] : []);
      assertEquals((await Array.fromAsync(tagged.keys({ tag }))).sort(), keys.sort(), tag);
    }
    assertEquals(await tagged.invalidate({ tags: TAGS }), left.tagged.size);
    left.tagged.clear();
    await tagged.set("next", "written afterwards", { tags: TAGS });
    assertEquals(await tagged.size(), 1);
    await tagged.delete("next");
    await tagged.getOrSet(`next ${round}`, () => "computed");
    await tagged.delete(`next ${round}`);
    await shout.force(text);
    await limited.set("next", "written afterwards");
    left.limited = new Map(await Array.fromAsync(limited.entries()));
    assert(left.limited.has("next"));
    assert(left.limited.size <= most, `${left.limited.size} entries under limits`);
    const { entries: counted, exact } = await limited.usage();
    if (exact) assertEquals(counted, left.limited.size);
    await history.set("next", "1");
    await history.set("next", "2");
    await history.delete("next");
    for (const stash of [tagged, limited, history, shout.stash]) {
      assertEquals((await stash.check()).problems, []);
    }
  }
}

const obstacle = await straceError();
if (obstacle !== undefined) console.log(`NOBODY IS KILLED AT SYSTEM CALLS: ${obstacle}`);
for (const engine of obstacle === undefined ? KEPT_IN_FILES : []) {
  Deno.test(`soak: ${engine}: who is killed at a system call loses and leaves nothing`, async () => {
    await killAtCalls(engine, Entries);
  });
  Deno.test(`soak: ${engine}: nor of tags, limits, results and histories`, async () => {
    await killAtCalls(engine, Built);
  });
}

// Of so few among so many, the rounds above meet one in fifty runs.
Deno.test("soak: lmdb: who is killed at a file beside a new data file leaves it as it was", async () => {
  if (obstacle !== undefined) return;
  await using bed = await TestBed.create("lmdb");
  const first = new Entries(bed, "first");
  const { sites, lines } = await callSites(
    first.command(1),
    join(bed.root, "first", "lmdb", "data.mdb."),
  );
  await first.judge(1, lines.length);
  // To lock it, the lock's file is opened some fifty times.
  const changes = sites.filter(({ call }) => call !== "openat");
  assertGreater(changes.length, 1);
  for (const [index, site] of changes.entries()) {
    const target = new Entries(bed, `store_${index}`, first);
    assert(await target.killAt(site, index + 2));
  }
});
