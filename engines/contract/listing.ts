import { complete, type Store } from "../complete.ts";
import type { FoundStore } from "../engine.ts";
import { type Case, claim, entry, same } from "./support.ts";

/** Dbnames inside another one that file systems, SQL, patterns or separators would not keep as they are. */
const NAMES = [
  ...["sub", "sub2", "sub/deep", "other", "Sub", "S~b", "f~0123456789@1", "a:b", "a%3Ab", "a%b"],
  ...["*", "?", "[x]", "é", "\u{10ffff}", "..", "con", "'\"", "*/", "\\", "x+", "\ufeffbom", " "],
  "x".repeat(230),
  `deep~/${"y".repeat(250)}/z`,
];

/** The stores that it tells of and that have entries, by name. */
async function found(store: Store, counted: boolean): Promise<Map<string, FoundStore>> {
  const all = new Map<string, FoundStore>();
  for await (const one of store.stores(counted)) {
    claim(!all.has(one.dbname), `stores yields ${JSON.stringify(one.dbname)} twice`);
    same(one.usage !== undefined, counted, `whether ${JSON.stringify(one.dbname)} is counted`);
    all.set(one.dbname, one);
  }
  return all;
}

/** Those of them that have entries, sorted. */
function filled(all: Map<string, FoundStore>): string[] {
  return [...all.values()].filter(({ usage }) => (usage?.entries ?? 0) > 0)
    .map(({ dbname }) => dbname).sort();
}

/** What `stores` tells. */
export const LISTING: Case[] = [
  {
    name: "says what it holds",
    async run(scope) {
      const store = await scope.open();
      const usage = async () => (await found(store, true)).get("")?.usage;
      same((await usage())?.entries, 0, "entries of a new store");
      same((await usage())?.bytes, 0, "bytes of a new store");
      await store.set("probe", entry("value"));
      // What a decorator writes with each value.
      const more = ((await usage())?.bytes ?? 0) - 10;
      await store.delete("probe");
      const big = crypto.randomUUID().repeat(3_000);
      const before = Date.now() - 1_000;
      await store.setMany([["key", entry("one")], ["é", entry(new Uint8Array([0, 255]))]]);
      await store.set("big", entry(big));
      await store.set("k".repeat(3_000), entry("of a long key"));
      await store.set("ending", entry("value", Date.now() + 3_600_000));
      await store.set("ended", entry("value", Date.now() - 1));
      const { entries, bytes, lastWrite } = await usage() ?? {};
      same(entries, 5, "entries");
      same(bytes, 6 + 4 + 3 + big.length + 3_013 + 11 + 5 * more, "bytes");
      claim(
        lastWrite === undefined || lastWrite > before && lastWrite <= Date.now() + 1_000,
        `lastWrite is ${lastWrite}`,
      );
      await store.set("key", entry("twenty-four"));
      await store.deleteMany(["big", "ending"]);
      same((await usage())?.entries, 3, "entries after a set and a delete");
      same((await usage())?.bytes, 14 + 4 + 3_013 + 3 * more, "bytes after a set and a delete");
      await store.clear();
      same((await usage())?.bytes, 0, "bytes after clear");
      same((await found(store, false)).has(""), true, "whether it names itself");
    },
  },
  {
    name: "tells of the stores nested in it that nobody has open, if it supports that",
    async run(scope) {
      const main = await scope.open();
      if (main.supports.stores !== true) return;
      for (const [i, dbname] of NAMES.entries()) {
        const nested = await scope.open(`main/${dbname}`);
        await nested.set("key", entry(`${i}`.padStart(100)));
        if (i % 2 === 0) await scope.close(nested);
      }
      for (const dbname of ["main2", "mai", "other", "other/main", "main:x", "main+"]) {
        await (await scope.open(dbname)).set("key", entry("beside"));
      }
      await (await scope.open("main/sub", "x")).set("key", entry("of another name"));
      const all = await found(main, true);
      const more = all.get("sub")!.usage!.bytes - 103;
      same(filled(all), [...NAMES].sort(), "names");
      for (const dbname of NAMES) {
        const { entries, bytes } = all.get(dbname)?.usage ?? {};
        same([entries, bytes], [1, 103 + more], `what ${JSON.stringify(dbname)} holds`);
      }
      const names = [...(await found(main, false)).keys()];
      for (const name of NAMES) {
        claim(names.includes(name), `${JSON.stringify(name)} is missing where nothing is counted`);
      }
      const sub = await scope.open("main/sub");
      same(filled(await found(sub, true)), ["", "deep"], "names in main/sub");
      const odd = await scope.open("main/deep~");
      same(filled(await found(odd, true)), [NAMES.at(-1)!.slice(6)], "names in main/deep~");
      await sub.clear(true);
      const left = NAMES.filter((name) => name !== "sub" && name !== "sub/deep");
      same(filled(await found(main, true)), left.sort(), "names after clear of main/sub");
    },
  },
  {
    name: "has parts that tell of those nested in them",
    async run(scope) {
      const store = await scope.open();
      const engine = scope.engineOf(store);
      const nestedKey = (rest: string): [string, string] | undefined => {
        const end = rest.indexOf(":");
        return end < 0 ? undefined : [rest.slice(0, end), rest.slice(end + 1)];
      };
      const part = complete(engine, { prefix: "a:", nestedPrefix: "a/", nestedKey });
      await part.open();
      try {
        same(part.supports.stores, true, "supports.stores of a part");
        const keys = ["a:own", "a/b:1", "a/b:22", "a/b/c:é", "a/odd", "b:1", "ab:1"];
        await store.setMany(keys.map((key) => [key, entry("value")]));
        const all = await found(part, true);
        same(filled(all), ["", "b", "b/c"], "names");
        same(all.get("")?.usage?.bytes, 8, "bytes of the part");
        same(all.get("b")?.usage?.entries, 2, "entries of b");
        same(all.get("b")?.usage?.bytes, 13, "bytes of b");
        same(all.get("b/c")?.usage?.bytes, 7, "bytes of b/c");
        same([...(await found(part, false)).keys()].sort(), ["", "b", "b/c"], "names alone");
      } finally {
        await part.close();
      }
    },
  },
];
