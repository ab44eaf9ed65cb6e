import { type Case, entry, keysOf, same, text } from "./support.ts";

const MANY = 2_500;

/** Batches, also larger than what a backend takes at once. */
export const BATCHES: Case[] = [
  {
    name: "does nothing for an empty batch",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([]);
      same(await engine.getMany([]), [], "getMany");
      same(await engine.deleteMany([]), 0, "deleteMany");
      same(await engine.size(), 0, "size");
    },
  },
  {
    name: "answers a batch in the order of its keys",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([["b", entry("2")], ["a", entry("1")], ["c", entry("3")]]);
      const found = await engine.getMany(["c", "absent", "a", "c", "b", ""]);
      same(found.map(text), ["3", undefined, "1", "3", "2", undefined], "getMany");
    },
  },
  {
    name: "gives values alone as it gives entries",
    async run(scope) {
      const engine = await scope.open();
      const late = entry("gone", Date.now() - 1);
      await engine.setMany([["a", entry("1")], ["b", entry("2")], ["", entry("")], ["late", late]]);
      const keys = ["b", "absent", "", "a", "late", "b"];
      const texts = ["2", undefined, "", "1", undefined, "2"];
      same((await engine.getValues(keys)).map(text), texts, "getValues");
      same(await engine.getValues([]), [], "getValues of no key");
      for (const [i, key] of keys.entries()) {
        same(text(await engine.getValue(key)), texts[i], `getValue of "${key}"`);
      }
      const together = await Promise.all(keys.map((key) => engine.getValue(key)));
      same(together.map(text), texts, "getValue of all at once");
    },
  },
  {
    name: "lets the later of two pairs with one key win",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry("before"));
      await engine.setMany([
        ["key", entry("first, and longer")],
        ["other", entry("value")],
        ["key", entry("last", Date.now() + 3_600_000)],
        ["none", entry("value")],
        ["none", entry("expired", Date.now() - 1)],
      ]);
      same(text(await engine.get("key")), "last", "get");
      same(await keysOf(engine), ["key", "other"], "keys");
      same(await engine.size(), 2, "size");
    },
  },
  {
    name: "counts each key that it deletes once",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([["a", entry("1")], ["b", entry("2")], ["c", entry("3")]]);
      same(await engine.deleteMany(["a", "absent", "a", "b"]), 2, "deleteMany");
      same(await keysOf(engine), ["c"], "keys left");
    },
  },
  {
    name: `takes batches of ${MANY}`,
    async run(scope) {
      const engine = await scope.open();
      const keys = Array.from({ length: MANY }, (_, i) => `key ${i}`);
      await engine.setMany(keys.map((key) => [key, entry(`value of ${key}`)]));
      same(await engine.size(), MANY, "size");
      const reversed = keys.toReversed();
      const found = await engine.getMany(reversed);
      same(found.map(text), reversed.map((key) => `value of ${key}`), "getMany");
      same((await keysOf(engine)).length, MANY, "keys");
      same(await engine.deleteMany(keys.slice(1)), MANY - 1, "deleteMany");
      same(await keysOf(engine), [keys[0]], "keys left");
    },
  },
  {
    name: "takes a batch of large values",
    async run(scope) {
      const engine = await scope.open();
      const values = Array.from({ length: 12 }, (_, i) => "x".repeat(100_000 * i));
      await engine.setMany(values.map((value, i) => [`key ${i}`, entry(value)]));
      const found = await engine.getMany(values.map((_, i) => `key ${i}`));
      same(found.map(text), values, "getMany");
    },
  },
];
