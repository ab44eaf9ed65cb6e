import type { Store } from "../complete.ts";
import type { Entry, Guard } from "../engine.ts";
import { delay } from "../../platform/timers.ts";
import {
  bounded,
  type Case,
  claim,
  entry,
  keysOf,
  same,
  type Scope,
  text,
  until,
} from "./support.ts";

const CALLERS = 12;
const ROUNDS = 5;

/** Opens a store and one beside it, whose entries guard those of the first. */
async function openBoth(scope: Scope): Promise<{ store: Store; side: Store }> {
  return { store: await scope.open(), side: await scope.open("main/side") };
}

/** A case about guards, for the engines that obey them. */
function guardCase(name: string, run: (scope: Scope) => Promise<void>): Case {
  return {
    name: `${name}, if it supports guards`,
    async run(scope) {
      const store = await scope.open("probe");
      if (store.supports.guard === true) await run(scope);
    },
  };
}

/** A guard on an entry as it is now. */
async function guardOn(side: Store, key = "guard"): Promise<Guard> {
  const expected = await side.get(key);
  if (expected === undefined) throw new Error(`The entry of the guard is absent`);
  return { engine: side, key, expected };
}

/** What happens to an entry, after which a guard on it must not hold. */
const CHANGES: Record<string, (side: Store) => Promise<void>> = {
  "was changed": async (side) => await side.set("guard", entry("other")),
  async "was changed by compareAndSet"(side) {
    await side.compareAndSet("guard", await side.get("guard"), entry("other"));
  },
  "was removed": async (side) => void await side.delete("guard"),
  async "was removed by compareAndSet"(side) {
    await side.compareAndSet("guard", await side.get("guard"), undefined);
  },
  "was cleared away": async (side) => await side.clear(),
  "has expired": async (side) => await side.set("guard", entry("mine", Date.now() - 1)),
  async "was set anew with the same bytes and another deadline"(side) {
    await side.set("guard", entry("mine", Date.now() + 7_200_000));
  },
  async "was removed and set again with the same bytes and another deadline"(side) {
    await side.delete("guard");
    await side.set("guard", entry("mine", Date.now() + 7_200_000));
  },
};

/** `compareAndSet` with a guard. */
export const GUARD_CASES: Case[] = [
  guardCase("changes an entry while the guard holds", async (scope) => {
    const { store, side } = await openBoth(scope);
    await side.set("guard", entry("mine", Date.now() + 3_600_000));
    const guard = await guardOn(side);
    const cas = (expected: Entry | undefined, value?: string) =>
      store.compareAndSet("key", expected, value === undefined ? value : entry(value), guard);
    same(await cas(undefined), true, "expecting nothing, storing nothing");
    same(await cas(undefined, "one"), true, "expecting nothing");
    same(text(await store.get("key")), "one", "get after the first");
    const one = await store.get("key");
    same(await cas(undefined, "no"), false, "expecting nothing, where an entry is");
    same(await cas(undefined), false, "expecting nothing, storing nothing, where an entry is");
    same(await cas(one, "two"), true, "expecting the entry");
    same(await cas(one, "no"), false, "expecting the entry before");
    same(await cas(one), false, "removing the entry before");
    same(text(await store.get("key")), "two", "get after the second");
    same(await cas(await store.get("key")), true, "removing the entry");
    same(await store.has("key"), false, "has");
    const expired = entry("gone", Date.now() - 1);
    same(
      await store.compareAndSet("key", undefined, expired, guard),
      true,
      "storing an expired one",
    );
    same(await cas(undefined, "three"), true, "expecting nothing, where an entry has expired");
    same(text(await store.get("key")), "three", "get at the end");
    same(text(await side.get("guard")), "mine", "the entry of the guard");
    same(await side.size(), 1, "size of the guard's store");
  }),
  guardCase("keeps what a guarded compareAndSet stores", async (scope) => {
    const { store, side } = await openBoth(scope);
    await side.set("guard", entry("x".repeat(300_000)));
    const guard = await guardOn(side);
    const expiresAt = Date.now() + 3_600_001;
    const large = "large ".repeat(100_000);
    for (const [key, value] of [["small", "value"], ["large", large], ["k".repeat(3_000), "v"]]) {
      const what = `of ${key.slice(0, 20)}`;
      same(await store.compareAndSet(key, undefined, entry(value, expiresAt), guard), true, what);
      const found = await store.get(key);
      same(text(found), value, `value ${what}`);
      same(found?.expiresAt, expiresAt, `deadline ${what}`);
      same(await store.compareAndSet(key, found, entry(`${value}!`), guard), true, what);
      same(text(await store.get(key)), `${value}!`, `value ${what}, after the second`);
    }
    await side.set("guard", entry("other"));
    const found = await store.get("large");
    same(await store.compareAndSet("large", found, entry(large), guard), false, "after a change");
    same(await store.compareAndSet("more", undefined, entry(large), guard), false, "likewise");
    same(text(await store.get("large")), `${large}!`, "the large value after that");
    same(await store.size(), 3, "size");
    same((await store.check({ fix: false })).problems.length, 0, "problems");
  }),
  guardCase("changes nothing when the guard does not hold", async (scope) => {
    const { store, side } = await openBoth(scope);
    for (const [what, change] of Object.entries(CHANGES)) {
      await store.set("key", entry("before"));
      await side.set("guard", entry("mine", Date.now() + 3_600_000));
      const guard = await guardOn(side);
      const before = await store.get("key");
      await change(side);
      const cas = (key: string, expected: Entry | undefined, value?: string) =>
        store.compareAndSet(key, expected, value === undefined ? value : entry(value), guard);
      const after = `where the guard's entry ${what}`;
      same(await cas("key", before, "after"), false, `replacing ${after}`);
      same(await cas("key", before), false, `removing ${after}`);
      same(await cas("new", undefined, "after"), false, `creating ${after}`);
      same(await cas("new", undefined), false, `expecting nothing, storing nothing, ${after}`);
      same(text(await store.get("key")), "before", `get ${after}`);
      same(await store.has("new"), false, `has ${after}`);
      same(
        await store.compareAndSet("key", before, entry("after")),
        true,
        `without guard ${after}`,
      );
    }
  }),
  guardCase("changes nothing when the guard's entry has expired", async (scope) => {
    const { store, side } = await openBoth(scope);
    let expiresAt: number;
    let guard: Guard;
    for (let ms = 150;; ms *= 4) {
      expiresAt = Date.now() + ms;
      await side.set("guard", entry("mine", expiresAt));
      const expected = await side.get("guard");
      if (expected !== undefined) {
        guard = { engine: side, key: "guard", expected };
        const before = await store.compareAndSet("before", undefined, entry("value"), guard);
        if (before) break;
      }
      // A machine may be so slow that it has gone already.
      claim(Date.now() >= expiresAt, "the guard did not hold before its deadline");
    }
    await until(expiresAt);
    const after = store.compareAndSet("after", undefined, entry("value"), guard);
    same(await after, false, "in the millisecond of its deadline");
    same(await keysOf(store), ["before"], "keys");
  }),
  guardCase("takes the guards of get, getMany and entries, on any key", async (scope) => {
    const { store, side } = await openBoth(scope);
    const keys = ["", "guard", "é/\u{10ffff}", "k".repeat(3_000)];
    for (const [i, key] of keys.entries()) {
      await side.set(key, entry(`guard ${i}`));
      const read: Record<string, () => Promise<Entry | undefined>> = {
        get: async () => await side.get(key),
        getMany: async () => (await side.getMany([key]))[0],
        async entries() {
          for await (const [found, guard] of side.entries()) if (found === key) return guard;
        },
      };
      for (const [method, fn] of Object.entries(read)) {
        const expected = await fn();
        if (expected === undefined) throw new Error(`${method}: the entry of the guard is absent`);
        const guard = { engine: side, key, expected };
        const own = `${method} ${i}`;
        const done = await store.compareAndSet(own, undefined, entry("value"), guard);
        same(done, true, `with the entry of ${method}, key ${i}`);
      }
      const guard = await guardOn(side, key);
      await side.delete(key);
      const done = await store.compareAndSet(`gone ${i}`, undefined, entry("value"), guard);
      same(done, false, `after the guard's entry was removed, key ${i}`);
    }
    same(await store.size(), 3 * keys.length, "size");
  }),
  guardCase("takes a guard in the store itself", async (scope) => {
    const handles = [await scope.open(), await scope.open()];
    for (const [i, side] of handles.entries()) {
      await side.set("guard", entry("mine"));
      const guard = await guardOn(side);
      const created = handles[0].compareAndSet(`key ${i}`, undefined, entry("value"), guard);
      same(await bounded("a guard in the store itself", created), true, "while it holds");
      const own = handles[0].compareAndSet("guard", guard.expected, entry("other"), guard);
      same(await bounded("a guard on the entry itself", own), true, "on the entry itself");
      const late = handles[0].compareAndSet(`late ${i}`, undefined, entry("value"), guard);
      same(await bounded("a guard in the store itself", late), false, "when it does not hold");
    }
    same(await keysOf(handles[1]), ["guard", "key 0", "key 1"], "keys");
  }),
  guardCase("stores nothing once the guard's entry was removed", async (scope) => {
    const { store, side } = await openBoth(scope);
    const stores = [store, await scope.open()];
    const sides = [side, await scope.open("main/side")];
    for (let round = 0; round < ROUNDS; round++) {
      await side.set("guard", entry(`round ${round}`));
      const guards = await Promise.all(sides.map((side) => guardOn(side)));
      const work = Array.from({ length: CALLERS }, async (_, i) => {
        // Some before, some at the same time, some after.
        if (i % 3 > 0) await delay(i % 4);
        const key = `${round} ${i}`;
        return await stores[i % 2].compareAndSet(key, undefined, entry("v"), guards[i % 2]);
      });
      const removed = await sides[1].compareAndSet("guard", guards[1].expected, undefined);
      same(removed, true, "removing the guard's entry");
      const keys = await keysOf(store, `${round} `);
      const did = await bounded("guarded writes", Promise.all(work));
      same(await keysOf(store, `${round} `), keys, "keys, and those right after the removal");
      same(did.filter((did) => did).length, keys.length, "writers that were told they wrote");
    }
  }),
  guardCase("keeps two stores that guard each other from waiting for ever", async (scope) => {
    const { store, side } = await openBoth(scope);
    await store.set("guard", entry("mine"));
    await side.set("guard", entry("mine"));
    const guards = [await guardOn(side), await guardOn(store)];
    const work = Array.from({ length: 2 * CALLERS }, async (_, i) => {
      const own = i % 2 === 0 ? store : side;
      return await own.compareAndSet(`key ${i}`, undefined, entry("value"), guards[i % 2]);
    });
    const did = await bounded("writes with crossed guards", Promise.all(work));
    claim(did.every((did) => did), "a write with a guard that holds was not done");
    same(await store.size() + await side.size(), 2 * CALLERS + 2, "size of both");
  }),
];
