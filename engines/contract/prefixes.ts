import { complete } from "../complete.ts";
import type { Engine } from "../engine.ts";
import { type Case, claim, entry, keysOf, pairsOf, same, text } from "./support.ts";

/** Beginnings of keys, some of which others begin with, or that a pattern would take for others. */
const PREFIXES = [
  ...["a", "a:", "a:b:", "A:", "a%", "a_", "a*", "a?", "[a]", "a\\", "b:", ":", " ", "\u0001"],
  ...["é", "e", "\u{10ffff}", "\uffff", "../", "__proto__", "x".repeat(300), "x".repeat(2_100)],
];

/** What the methods say of a part of an engine. */
async function measure(engine: Engine, prefix: string): Promise<[string, number | undefined][]> {
  const check = await engine.check?.({ fix: true, prefix });
  return [
    ["size", await engine.size(prefix)],
    ["things looked at by check", check?.checked],
    ["problems found by check", check?.problems.length],
    ["byteSize", await engine.byteSize?.(prefix)],
  ];
}

/** Methods that are about the keys with a prefix, and the parts of an engine that rest on them. */
export const PREFIX_CASES: Case[] = [
  {
    name: "reaches no key without the prefix, if it supports prefixes",
    async run(scope) {
      const store = await scope.open();
      const engine = scope.engineOf(store);
      if (engine.supports.prefix !== true) return;
      const keys = PREFIXES.flatMap((prefix) => [`${prefix}1`, `${prefix}2`]);
      await store.setMany(keys.map((key) => [key, entry(`value of ${key}`)]));
      const left = new Set(keys);
      for (const prefix of PREFIXES) {
        const what = `of ${JSON.stringify(prefix.slice(0, 40))}`;
        const own = [...left].filter((key) => key.startsWith(prefix));
        same(await engine.size(prefix), own.length, `size ${what}`);
        const before = await measure(engine, prefix);
        await store.set("other", entry("x".repeat(50_000)));
        await store.set("old", entry("gone", Date.now() - 1));
        for (const [i, [method, number]] of (await measure(engine, prefix)).entries()) {
          same(number, before[i][1], `${method} ${what}, after a set without the prefix`);
        }
        await store.set(`${prefix}expired`, entry("gone", Date.now() - 1));
        const pruned = await engine.prune?.(prefix) ?? 0;
        claim(pruned <= 1, `prune ${what} says it dropped ${pruned} of 1`);
        same(await store.size(), left.size + 1, `size of all after prune ${what}`);
        await engine.clear(false, prefix);
        for (const key of own) left.delete(key);
        same(await keysOf(store), [...left, "other"].sort(), `keys after clear ${what}`);
      }
      same(await engine.size(""), left.size + 1, "size of the prefix that all keys have");
      await engine.clear(false, "");
      same(await store.size(), 0, "size after clear of that");
    },
  },
  {
    name: "has parts that are stores of their own",
    async run(scope) {
      const store = await scope.open();
      const engine = scope.engineOf(store);
      const prefixes = ["a:", "a:b:", "A:", "a%", "é"];
      const parts = prefixes.map((prefix) => complete(engine, { prefix }));
      for (const part of parts) await part.open();
      try {
        await store.set("a", entry("beside"));
        for (const [i, part] of parts.entries()) {
          await part.setMany([["", entry("no key")], ["key", entry(`${i}`)]]);
          await part.set("big", entry("x".repeat(20_000)));
          same(await part.delete("big"), true, `delete in ${prefixes[i]}`);
          const made = await part.compareAndSet(`own ${i}`, undefined, entry("value"));
          same(made, true, `compareAndSet in ${prefixes[i]}`);
        }
        const pairs = (i: number) => ["=no key", `key=${i}`, `own ${i}=value`];
        const nested = ["b:=no key", "b:key=1", "b:own 1=value"];
        for (const [i, part] of parts.entries()) {
          const what = `of the part ${prefixes[i]}`;
          const expected = [...pairs(i), ...i === 0 ? nested : []].sort();
          same(await pairsOf(part), expected, `entries ${what}`);
          same(await pairsOf(part, "ke"), [`key=${i}`], `entries by prefix ${what}`);
          same(await part.size(), expected.length, `size ${what}`);
          same(text(await part.get("key")), `${i}`, `get ${what}`);
          same((await part.check({ fix: true })).problems.length, 0, `problems ${what}`);
          claim(await part.byteSize() > 0, `byteSize ${what} is 0`);
          await part.prune();
        }
        const all = 1 + 3 * parts.length;
        same(await store.size(), all, "size of the whole");
        await parts[1].clear();
        same(await pairsOf(parts[0]), pairs(0), "entries of a: after clear of a:b:");
        await parts[2].clear();
        await parts[3].clear();
        same(await store.size(), all - 9, "size of the whole after three parts were cleared");
        same(text(await store.get("a")), "beside", "the entry beside");
      } finally {
        for (const part of parts) await part.close();
      }
    },
  },
];
