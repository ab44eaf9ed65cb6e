import { type Case, claim, entry, keysOf, pairsOf, same, text } from "./support.ts";

/** Name and dbname of stores that must not meet. */
const APART: [string, string][] = [
  ...["main", "main2", "Main", "other", "main/sub", "main/sub2", "main/sub/deep", "other/sub"].map(
    (dbname): [string, string] => ["", dbname],
  ),
  ...["main:sub", "main+", "main.sub", "*", "main*", "m?in", "[main]", "main%", "m_in", "..", "é"]
    .map(
      (dbname): [string, string] => ["", dbname],
    ),
  ...["x", "X", ":main", ":sub", "*", "?", "%", "_", "/x", "~", "é", "e\u0301", ".db", "\\"].map(
    (suffix): [string, string] => [suffix, "main"],
  ),
  [":sub", "x"],
  ["", "sub:x"],
  ["/main", "sub"],
];

/** Handles, reopening, and the borders between stores. */
export const STORES: Case[] = [
  {
    name: "has after reopening what it had before",
    async run(scope) {
      const first = await scope.open();
      // What does not persist lives as long as a handle on it does, at least.
      const holder = first.supports.persistent ? undefined : await scope.open();
      const expiresAt = Date.now() + 3_600_000;
      const big = "x".repeat(200_000);
      await first.setMany([["key", entry("value")], ["big", entry(big)], ["deleted", entry("no")]]);
      await first.set("expiring", entry("value", expiresAt));
      await first.set("expired", entry("value", Date.now() - 1));
      await first.delete("deleted");
      await scope.close(first);
      const second = await scope.open();
      same(await keysOf(second), ["big", "expiring", "key"], "keys");
      same(text(await second.get("key")), "value", "get");
      same(text(await second.get("big")), big, "get of a large value");
      same((await second.get("expiring"))?.expiresAt, expiresAt, "deadline");
      same(await second.size(), 3, "size");
      if (holder !== undefined) same(await holder.size(), 3, "size by the handle that was open");
    },
  },
  {
    name: "lets two handles see each other's writes, each closed on its own",
    async run(scope) {
      const first = await scope.open();
      const second = await scope.open();
      await first.set("key", entry("first"));
      same(text(await second.get("key")), "first", "get by the other handle");
      await second.set("key", entry("second"));
      same(text(await first.get("key")), "second", "get after the other handle's set");
      same(await second.delete("key"), true, "delete by the other handle");
      same(await first.has("key"), false, "has after the other handle's delete");
      await first.setMany([["a", entry("1")], ["b", entry("2")]]);
      await scope.close(first);
      same(await pairsOf(second), ["a=1", "b=2"], "entries after the first handle was closed");
      await second.set("c", entry("3"));
      same(await second.size(), 3, "size");
    },
  },
  {
    name: "keeps stores of other names and dbnames apart",
    async run(scope) {
      const stores = [];
      for (const [suffix, dbname] of APART) stores.push(await scope.open(dbname, suffix));
      for (const [i, store] of stores.entries()) {
        await store.setMany([["key", entry(`${i}`)], [`own ${i}`, entry("value")]]);
      }
      for (const [i, store] of stores.entries()) {
        const what = `in ${JSON.stringify(APART[i])}`;
        same(await pairsOf(store), [`key=${i}`, `own ${i}=value`], `entries ${what}`);
        same(await store.size(), 2, `size ${what}`);
        same(await store.has(`own ${i + 1}`), false, `has of another store's key ${what}`);
      }
      for (const [i, store] of stores.entries()) {
        const what = `after clear of ${JSON.stringify(APART[i])}`;
        await store.clear();
        same(await store.size(), 0, `size ${what}`);
        for (const [j, other] of stores.entries()) {
          if (j > i) same(await other.size(), 2, `size of ${JSON.stringify(APART[j])} ${what}`);
        }
      }
    },
  },
  {
    name: "clears the stores nested in it when asked, and no others",
    async run(scope) {
      const nested = ["main/sub", "main/sub/deep", "main/other"];
      const beside = ["main2", "mai", "other", "other/main", "main2/sub"];
      const main = await scope.open();
      const open = new Map([["main", main]]);
      for (const dbname of [...nested, ...beside]) open.set(dbname, await scope.open(dbname));
      const namesake = await scope.open("main/sub", "x");
      const fill = async () => {
        for (const store of open.values()) await store.set("key", entry("value"));
        await namesake.set("key", entry("value"));
      };
      await fill();
      await main.clear();
      same(await main.size(), 0, "size after clear");
      for (const dbname of [...nested, ...beside]) {
        same(await open.get(dbname)?.size(), 1, `size of ${dbname} after clear of main`);
      }
      await fill();
      await main.clear(true);
      for (const dbname of ["main", ...nested]) {
        same(await open.get(dbname)?.size(), 0, `size of ${dbname} after clear(true) of main`);
      }
      for (const dbname of beside) {
        same(await open.get(dbname)?.size(), 1, `size of ${dbname} after clear(true) of main`);
      }
      same(await namesake.size(), 1, "size of main/sub of another name");
      await fill();
      await open.get("main/sub")?.clear(true);
      for (const [dbname, store] of open) {
        const cleared = dbname === "main/sub" || dbname === "main/sub/deep";
        same(await store.size(), cleared ? 0 : 1, `size of ${dbname} after clear of main/sub`);
      }
    },
  },
  {
    name: "clears nested stores that no handle is open on",
    async run(scope) {
      const main = await scope.open();
      const nested = await scope.open("main/sub/deep");
      await nested.set("key", entry("value"));
      await scope.close(nested);
      await main.clear(true);
      same(await (await scope.open("main/sub/deep")).size(), 0, "size of the nested store");
    },
  },
  {
    name: "finds nothing wrong with a healthy store, and takes nothing from it",
    async run(scope) {
      const engine = await scope.open();
      const nested = await scope.open("main/sub");
      await nested.set("key", entry("value"));
      const keys = Array.from({ length: 50 }, (_, i) => `key ${i}`);
      await engine.setMany(keys.map((key, i) => [key, entry(key.repeat(i * 100))]));
      await engine.set("big", entry("x".repeat(300_000)));
      await engine.set("big", entry("y".repeat(300_000)));
      await engine.set("expiring", entry("value", Date.now() + 3_600_000));
      await engine.set("expired", entry("value", Date.now() - 1));
      await engine.deleteMany(keys.slice(40));
      for (const fix of [false, true]) {
        const { checked, problems } = await engine.check({ fix });
        const found = problems.map(({ kind, detail }) => `${kind}: ${detail}`).join("; ");
        same(found, "", `problems found with fix: ${fix}`);
        claim(checked >= 42, `check says it looked at ${checked} things, there are 42 entries`);
      }
      const left = [...keys.slice(0, 40), "big", "expiring"];
      same(await keysOf(engine), left.sort(), "keys after check");
      same(await nested.size(), 1, "size of a nested store after check");
    },
  },
  {
    name: "tells how many bytes it takes",
    async run(scope) {
      const engine = await scope.open();
      for (let i = 0; i < 5; i++) {
        await engine.set(`key ${i}`, entry(crypto.randomUUID().repeat(500)));
      }
      const bytes = await engine.byteSize();
      claim(Number.isSafeInteger(bytes) && bytes > 0, `byteSize is ${bytes} after writes`);
    },
  },
];
