import type { Entry } from "../engine.ts";
import { bounded, type Case, entry, modify, readers, same, text } from "./support.ts";

const CALLERS = 50;

/** `compareAndSet`, and what concurrent callers may rely on. */
export const ATOMIC: Case[] = [
  {
    name: "compareAndSet writes only over the state that is expected",
    async run(scope) {
      const engine = await scope.open();
      const cas = (expected: Entry | undefined, value: string) =>
        engine.compareAndSet("key", expected, entry(value));
      same(await cas(undefined, "one"), true, "expecting nothing, where nothing is");
      same(await cas(undefined, "no"), false, "expecting nothing, where an entry is");
      same(text(await engine.get("key")), "one", "get after the first");
      const one = await engine.get("key");
      same(await cas(one, "two"), true, "expecting the entry");
      same(await cas(one, "no"), false, "expecting the entry before");
      same(text(await engine.get("key")), "two", "get after the second");
      const two = await engine.get("key");
      await engine.delete("key");
      same(await cas(two, "no"), false, "expecting a deleted entry");
      same(await engine.has("key"), false, "has after all that");
      same(await cas(undefined, "three"), true, "expecting nothing, after a delete");
      same(text(await engine.get("key")), "three", "get at the end");
    },
  },
  {
    name: "compareAndSet removes only the state that is expected",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry("one"));
      const one = await engine.get("key");
      await engine.set("key", entry("two"));
      same(await engine.compareAndSet("key", one, undefined), false, "expecting the entry before");
      const two = await engine.get("key");
      same(await engine.compareAndSet("key", two, undefined), true, "expecting the entry");
      same(await engine.has("key"), false, "has");
      same(await engine.size(), 0, "size");
      same(await engine.compareAndSet("key", two, undefined), false, "expecting a removed entry");
    },
  },
  {
    name: "compareAndSet takes the entries of get, getMany and entries",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry("0"));
      for (const [method, fn] of Object.entries(readers(engine, "key"))) {
        const set = await engine.compareAndSet("key", await fn(), entry(method));
        same(set, true, `compareAndSet with the entry of ${method}`);
        same(text(await engine.get("key")), method, "get");
      }
    },
  },
  {
    name: "compareAndSet keeps deadline and time of the new entry",
    async run(scope) {
      const engine = await scope.open();
      const expiresAt = Date.now() + 3_600_001;
      await engine.compareAndSet("key", undefined, entry("one", expiresAt));
      const one = await engine.get("key");
      same(one?.expiresAt, expiresAt, "deadline");
      await engine.compareAndSet("key", one, entry("two"));
      same((await engine.get("key"))?.expiresAt, undefined, "deadline of the next entry");
    },
  },
  {
    name: `loses none of ${CALLERS} concurrent increments`,
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      const work = Array.from(
        { length: CALLERS },
        (_, i) => modify(handles[i % 2], "counter", (text) => String(Number(text ?? 0) + 1)),
      );
      await bounded("concurrent increments", Promise.all(work));
      same(text(await handles[0].get("counter")), String(CALLERS), "the counter");
    },
  },
  {
    name: "lets one of concurrent writers create an entry",
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      const won = await Promise.all(Array.from(
        { length: 20 },
        async (_, i) => await handles[i % 2].compareAndSet("key", undefined, entry(`${i}`)),
      ));
      same(won.filter((did) => did).length, 1, "writers that were told they wrote");
      same(text(await handles[1].get("key")), String(won.indexOf(true)), "the entry");
    },
  },
  {
    name: "tells one of concurrent deletes that the entry was there",
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      const keys = Array.from({ length: 10 }, (_, i) => `key ${i}`);
      await handles[0].setMany(keys.map((key) => [key, entry("value")]));
      const told = await Promise.all(
        Array.from({ length: 10 * keys.length }, async (_, i) => {
          return await handles[i % 2].delete(keys[i % keys.length]);
        }),
      );
      same(told.filter((was) => was).length, keys.length, "deletes that say true");
      same(await handles[0].size(), 0, "size");
    },
  },
  {
    name: "loses no set to a concurrent compareAndSet",
    async run(scope) {
      const handles = [await scope.open(), await scope.open()];
      for (let round = 0; round < 5; round++) {
        const key = `key ${round}`;
        await handles[0].set(key, entry("old"));
        const appends = Array.from(
          { length: 12 },
          (_, i) => modify(handles[i % 2], key, (text) => `${text}+`),
        );
        await bounded(
          "concurrent writes",
          Promise.all([...appends, handles[1].set(key, entry("new"))]),
        );
        same(
          text(await handles[0].get(key))?.replace(/\++$/, ""),
          "new",
          "what the appends follow",
        );
      }
    },
  },
];
