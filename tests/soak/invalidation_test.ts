/**
 * Four processes store, read and invalidate at random; some are stopped for a while, some are
 * killed, and others take their places. Nothing that was invalidated before a read began is read: the rule is in freshness.ts.
 * `HASHSTASH_SOAK_SECONDS` (`deno task soak`) makes it longer than the seconds per engine of the
 * ordinary run.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { WorkerProcess } from "../support/child.ts";
import { machineClock } from "../support/machine_clock.ts";
import { type Act, type Made, staleRead } from "./freshness.ts";

const PROCESSES = 4;
const TAGS = ["r", "s", "t"];
const seconds = Number(Deno.env.get("HASHSTASH_SOAK_SECONDS") ?? 1.5);
/** How often a process is stopped or killed, ms, about. */
const EVERY = 500;
/** For how long, ms: longer than a lease lasts. */
const STOPPED = 400;

Deno.test("the judge of freshness finds what was invalidated before it was read", () => {
  const made: Made = {
    id: "1",
    by: 1,
    kind: "run",
    at: 10,
    store: "stash",
    key: "a:1",
    tags: ["t"],
  };
  const read = (called: number, value = made): Act => {
    return { kind: "read", way: "get", called, returned: called + 5, value };
  };
  const removal: Act = { kind: "remove", called: 20, returned: 30, about: [{ tag: "t" }] };
  const stale = read(31);
  assertEquals(staleRead([removal, stale], new Map()), { read: stale, removal });
  assertEquals(staleRead([removal, read(29)], new Map()), undefined);
  assertEquals(staleRead([removal, read(31, { ...made, at: 20 })], new Map()), undefined);
  assertEquals(staleRead([removal, read(31, { ...made, tags: ["u"] })], new Map()), undefined);
  // One that was called later may end first.
  const slow: Act = { ...removal, called: 15, returned: 90 };
  assertEquals(staleRead([slow, removal, stale], new Map())?.removal, removal);
  const byPrefix: Act = { ...removal, about: [{ store: "stash", prefix: "a:" }] };
  assertEquals(staleRead([byPrefix, stale], new Map())?.removal, byPrefix);
  const ofOther: Act = {
    ...removal,
    about: [{ store: "f", prefix: "a:" }, { store: "f", key: "a:1" }],
  };
  assertEquals(staleRead([ofOther, stale], new Map()), undefined);
  const byDelete: Act = { ...removal, about: [{ store: "stash", key: "a:1" }] };
  const set: Act = { kind: "set", id: "1", called: 9, returned: 12 };
  const ofSet = read(31, { ...made, kind: "set" });
  assertEquals(staleRead([set, byDelete, ofSet], new Map())?.removal, byDelete);
  assertEquals(staleRead([{ ...set, returned: 25 }, byDelete, ofSet], new Map()), undefined);
  assertEquals(staleRead([byDelete, ofSet], new Map([[1, 25]])), undefined);
  assertEquals(staleRead([byDelete, ofSet], new Map([[1, 15]]))?.removal, byDelete);
});

for (const engine of PERSISTENT) {
  Deno.test(`soak: ${engine}: what was invalidated is read by no process`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash<string, Made>();
    const f = stash.stashedResult((key: string): Made => {
      throw new Error(`${key} is only looked at`);
    }, { name: "f" });
    const seed = Math.floor(Math.random() * 1e9);
    const clock = machineClock();
    const acts: Act[] = [];
    const deaths = new Map<number, number>();
    await using stack = new AsyncDisposableStack();
    let count = 0;
    const start = async () => {
      const by = ++count;
      const worker = stack.use(
        new WorkerProcess("./invalidation_worker.ts", [
          bed.options({ name: stash.name }),
          by,
          seed,
        ]),
      );
      assertEquals(await worker.line(), "ready");
      const reading = (async () => {
        for await (const line of worker.lines) acts.push(JSON.parse(line));
      })();
      const ended = Promise.all([reading, worker.status]).then(([, status]) => status);
      return { by, worker, ended };
    };
    const running = await Promise.all(Array.from({ length: PROCESSES }, start));
    const end = performance.now() + 1_000 * seconds;
    let [kills, stops] = [0, 0];
    while (performance.now() < end || stops === 0) {
      await new Promise((resolve) => setTimeout(resolve, EVERY * (0.5 + Math.random())));
      const i = Math.floor(Math.random() * PROCESSES);
      const { by, worker, ended } = running[i];
      if (kills > stops) {
        stops++;
        worker.stop();
        await new Promise((resolve) => setTimeout(resolve, STOPPED));
        worker.resume();
        continue;
      }
      worker.kill();
      await ended;
      deaths.set(by, clock.after());
      kills++;
      running[i] = await start();
    }
    // Longer than what a killed one holds lasts; then each has done something more.
    await new Promise((resolve) => setTimeout(resolve, 400));
    for (const { worker } of running) await worker.endInput();
    for (const { ended } of running) assertEquals((await ended).success, true);
    // Until what was stored for a short time has ended: the rest stays as it is.
    await new Promise((resolve) => setTimeout(resolve, 100));

    const keys = {
      stash: await Array.fromAsync(stash.keys()),
      f: await Array.fromAsync(f.stash.keys()),
    };
    const reads = async (store: string, get: (key: string) => Promise<Made | undefined>) => {
      const there: string[] = [];
      for (const key of ["a:1", "a:2", "b:1", "b:2"]) {
        const called = clock.before();
        const value = await get(key);
        acts.push({
          kind: "read",
          way: "at the end",
          called,
          returned: clock.after(),
          value: value ?? null,
        });
        if (value !== undefined) assertEquals([value.store, value.key], [store, key]);
        if (value !== undefined) there.push(key);
      }
      return there;
    };
    assertEquals(keys.stash.toSorted(), await reads("stash", (key) => stash.get(key)));
    assertEquals(keys.f.map(([key]) => key).toSorted(), await reads("f", f.peek));
    assertEquals(await stash.size(), keys.stash.length);
    assertEquals(await f.stash.size(), keys.f.length);
    for (const key of keys.stash) assertEquals(await stash.has(key), true);

    const violation = staleRead(acts, deaths);
    assertEquals(violation, undefined, `seed ${seed}`);
    await stash.invalidate({ tags: TAGS });
    for (const value of await Array.fromAsync(stash.values())) assertEquals(value.tags, []);
    for (const value of await Array.fromAsync(f.stash.values())) assertEquals(value.tags, []);
    for (const one of [stash, f.stash]) assertEquals((await one.check()).problems, []);
    const removals = acts.filter(({ kind }) => kind === "remove").length;
    assertGreater(removals, 10);
    console.log(
      `${engine}: ${acts.length} operations, ${removals} of them removals, ${kills} kills, ` +
        `${stops} stops, 0 violations`,
    );
  });
}
