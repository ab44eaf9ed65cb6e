import type { Store } from "../complete.ts";
import type { Entry } from "../engine.ts";
import { bounded, type Case, claim, entry, keysOf, readers, same, text, until } from "./support.ts";

const MANY = 2_500;

/** The entries of keys, which are all there, as `deleteUnchanged` takes them. */
async function statesOf(engine: Store, keys: string[]): Promise<[string, Entry][]> {
  const entries = await engine.getMany(keys);
  return keys.map((key, i) => {
    const found = entries[i];
    if (found === undefined) throw new Error(`getMany: "${key.slice(0, 50)}" is absent`);
    return [key, found];
  });
}

/** `deleteUnchanged`: many entries, each of which goes only in the state that was read. */
export const REMOVAL: Case[] = [
  {
    name: "deleteUnchanged removes what is as it was read, and says which that was",
    async run(scope) {
      const engine = await scope.open();
      const other = await scope.open();
      const unchanged = ["", "as it was", "x".repeat(10_000), "\u{1f511} \u043a\u043b\u044e\u0447"];
      const keys = [...unchanged, "changed", "removed", "made anew", "%2F/\\.."];
      await engine.setMany(keys.map((key) => [key, entry(`value of ${key}`)]));
      await engine.set("never read", entry("value"));
      const states = await statesOf(engine, keys);
      await other.set("changed", entry("another"));
      await other.deleteMany(["removed", "made anew"]);
      await other.set("made anew", entry("another"));
      const removed = await engine.deleteUnchanged(states);
      same(
        removed,
        keys.map((_, i) => i < unchanged.length || i === keys.length - 1),
        "the answers",
      );
      same(await keysOf(other), ["changed", "made anew", "never read"], "keys left");
      same(text(await other.get("changed")), "another", "what was changed");
      same(text(await engine.get("made anew")), "another", "what was made anew");
      same(await engine.size(), 3, "size");
      const again = await engine.deleteUnchanged(states);
      same(again, keys.map(() => false), "the answers when they are gone");
    },
  },
  {
    name: "deleteUnchanged does nothing for an empty list",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry("value"));
      same(await engine.deleteUnchanged([]), [], "the answers");
      same(await keysOf(engine), ["key"], "keys");
    },
  },
  {
    name: "deleteUnchanged removes once what is listed twice",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([["a", entry("1")], ["b", entry("1")], ["c", entry("1")]]);
      const [before, b] = await statesOf(engine, ["a", "b"]);
      await engine.set("a", entry("2"));
      const [now] = await statesOf(engine, ["a"]);
      const removed = await engine.deleteUnchanged([before, now, b, now, b, before]);
      same(removed.length, 6, "the answers");
      claim(!removed[0] && !removed[5], "an earlier state was taken for the present one");
      same([removed[1], removed[3]].filter((did) => did).length, 1, "answers that say true, of a");
      same([removed[2], removed[4]].filter((did) => did).length, 1, "answers that say true, of b");
      same(await keysOf(engine), ["c"], "keys left");
    },
  },
  {
    name: "deleteUnchanged finds nothing whose deadline has passed",
    async run(scope) {
      const engine = await scope.open();
      const end = Date.now() + 300;
      await engine.setMany([
        ["late", entry("value", end)],
        ["timed", entry("value", end + 3_600_000)],
        ["forever", entry("value")],
      ]);
      const keys = ["late", "timed", "forever"];
      const entries = await engine.getMany(keys);
      const [late] = entries;
      // Where the machine is so slow that it has gone already, there is nothing to be tried.
      const states = keys.flatMap((key, i): [string, Entry][] => {
        const found = entries[i];
        return found === undefined ? [] : [[key, found]];
      });
      await until(end + 1);
      const removed = await engine.deleteUnchanged(states);
      same(removed, late === undefined ? [true, true] : [false, true, true], "the answers");
      same(await engine.size(), 0, "size");
    },
  },
  {
    name: "deleteUnchanged takes the entries of get, getMany and entries",
    async run(scope) {
      const engine = await scope.open();
      for (const [method, fn] of Object.entries(readers(engine, "key"))) {
        await engine.set("key", entry("value"));
        const found = await fn();
        if (found === undefined) throw new Error(`${method}: the entry is absent`);
        same(await engine.deleteUnchanged([["key", found]]), [true], `the entry of ${method}`);
        same(await engine.has("key"), false, "has");
      }
    },
  },
  {
    name: `deleteUnchanged takes ${MANY}, of which some have changed`,
    async run(scope) {
      const engine = await scope.open();
      const keys = Array.from({ length: MANY }, (_, i) => `key ${i}`);
      await engine.setMany(keys.map((key) => [key, entry(`value of ${key}`)]));
      const states = await statesOf(engine, keys);
      const isChanged = (i: number) => i % 97 === 5;
      const changed = keys.filter((_, i) => isChanged(i));
      await engine.setMany(changed.map((key) => [key, entry("another")]));
      const removed = await engine.deleteUnchanged(states);
      same(removed, keys.map((_, i) => !isChanged(i)), "the answers");
      same(await keysOf(engine), changed.toSorted(), "keys left");
    },
  },
  {
    name: "deleteUnchanged removes large values",
    async run(scope) {
      const engine = await scope.open();
      const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`);
      const value = (i: number) => "x".repeat(100_000 * i);
      await engine.setMany(keys.map((key, i) => [key, entry(value(i))]));
      const states = await statesOf(engine, keys);
      await engine.set(keys[11], entry(value(10)));
      await engine.set(keys[1], entry("small"));
      const removed = await engine.deleteUnchanged(states);
      same(removed, keys.map((_, i) => i !== 1 && i !== 11), "the answers");
      same(await keysOf(engine), [keys[1], keys[11]], "keys left");
      same(text(await engine.get(keys[11])), value(10), "what was changed");
    },
  },
  {
    name: "tells one of concurrent deleteUnchanged that an entry was there",
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      const keys = Array.from({ length: 150 }, (_, i) => `key ${i}`);
      await handles[0].setMany(keys.map((key) => [key, entry(`value of ${key}`)]));
      const states = await statesOf(handles[0], keys);
      const told = await bounded(
        "concurrent removals",
        Promise.all(Array.from({ length: 4 }, async (_, i) => {
          const own = i < 2 ? states : states.toReversed();
          const removed = await handles[i % 2].deleteUnchanged(own);
          return i < 2 ? removed : removed.toReversed();
        })),
      );
      const counts = keys.map((_, i) => told.filter((removed) => removed[i]).length);
      same(counts, keys.map(() => 1), "answers that say true, of each");
      same(await handles[1].size(), 0, "size");
    },
  },
  {
    name: "loses no set to a concurrent deleteUnchanged",
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      const keys = Array.from({ length: 150 }, (_, i) => `key ${i}`);
      const some = keys.filter((_, i) => i % 10 === 3);
      await handles[0].setMany(keys.map((key) => [key, entry("old")]));
      const states = await statesOf(handles[0], keys);
      const work = some.map(async (key, i) => await handles[i % 2].set(key, entry("new")));
      await bounded(
        "removals beside sets",
        Promise.all([
          handles[0].deleteUnchanged(states),
          ...work,
        ]),
      );
      same(await keysOf(handles[1]), some.toSorted(), "keys left");
      const left = await handles[1].getMany(some);
      same(left.map(text), some.map(() => "new"), "what was set meanwhile");
    },
  },
];
