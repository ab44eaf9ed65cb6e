import { type Case, claim, entry, keysOf, pairsOf, same, sameBytes, text } from "./support.ts";

const KB = 1024;

/** Bytes without a pattern that a store could shorten, the same each time. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = length + 1; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const VALUES: [string, Uint8Array][] = [
  ["no byte", new Uint8Array(0)],
  ["one byte", Uint8Array.of(0)],
  ["all byte values", Uint8Array.from({ length: 256 }, (_, i) => i)],
  ["line ends and spaces", new TextEncoder().encode(" \n a\r\n\n \t")],
  ["text that looks like JSON", new TextEncoder().encode('{"value":"x","expiresAt":0}')],
  ["zeros", new Uint8Array(10 * KB)],
  ["100 KB", noise(100 * KB)],
  ["5 MB", noise(5 * KB * KB)],
];

/** One entry at a time, and what is said of the store. */
export const BASICS: Case[] = [
  {
    name: "describes itself",
    async run(scope) {
      const engine = await scope.open();
      claim(engine.name !== "", "name is empty");
      claim(engine.path !== "", "path is empty");
      same(typeof engine.supports.persistent, "boolean", "supports.persistent");
      same(typeof engine.supports.shared, "boolean", "supports.shared");
      same(engine.evictions, 0, "evictions of a new handle");
    },
  },
  {
    name: "carries calls about one key out in their order, if it says so",
    async run(scope) {
      const engine = await scope.open();
      if (engine.supports.ordered !== true) return;
      for (let i = 0; i < 20; i++) {
        const key = `ordered ${i}`;
        const before = [engine.has(key), engine.getValue(key)];
        const set = engine.set(key, entry("value"));
        same(await Promise.all(before), [false, undefined], "has and getValue before set");
        await set;
        same(await engine.has(key), true, "has after set");
      }
    },
  },
  {
    name: "is empty at first",
    async run(scope) {
      const engine = await scope.open();
      same(await engine.get("absent"), undefined, "get");
      same(await engine.has("absent"), false, "has");
      same(await engine.delete("absent"), false, "delete");
      same(await engine.size(), 0, "size");
      same(await keysOf(engine), [], "keys");
      same(await pairsOf(engine), [], "entries");
    },
  },
  {
    name: "keeps, replaces and deletes an entry",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry("one"));
      same(text(await engine.get("key")), "one", "get after set");
      same(await engine.has("key"), true, "has after set");
      await engine.set("key", entry("two, longer"));
      await engine.set("key", entry("2"));
      same(text(await engine.get("key")), "2", "get after the last set");
      same(await engine.size(), 1, "size after three sets of one key");
      same(await pairsOf(engine), ["key=2"], "entries");
      same(await engine.delete("key"), true, "first delete");
      same(await engine.delete("key"), false, "second delete");
      same(await engine.has("key"), false, "has after delete");
      same(await engine.get("key"), undefined, "get after delete");
      same(await engine.size(), 0, "size after delete");
    },
  },
  {
    name: "clears all entries",
    async run(scope) {
      const engine = await scope.open();
      for (let i = 0; i < 10; i++) await engine.set(`key ${i}`, entry("value"));
      await engine.clear();
      same(await engine.size(), 0, "size");
      same(await keysOf(engine), [], "keys");
      await engine.set("key 1", entry("again"));
      same(await pairsOf(engine), ["key 1=again"], "entries after a set");
    },
  },
  {
    name: "tells when an entry was set, if it keeps that",
    async run(scope) {
      const engine = await scope.open();
      const timestamp = Date.now() - 123_457;
      await engine.set("key", { value: Uint8Array.of(1), timestamp });
      const found = (await engine.get("key"))?.timestamp;
      if (found !== undefined) same(found, timestamp, "timestamp");
    },
  },
  ...VALUES.map(([name, value]) => ({
    name: `keeps bytes as they are: ${name}`,
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry(value));
      sameBytes(await engine.get("key"), value, "get");
      sameBytes((await engine.getMany(["key"]))[0], value, "getMany");
      for await (const [, found] of engine.entries()) sameBytes(found, value, "entries");
    },
  } satisfies Case)),
  {
    name: "keeps the part that a view shows of its buffer",
    async run(scope) {
      const engine = await scope.open();
      const buffer = noise(1_000);
      const view = buffer.subarray(100, 200);
      await engine.set("set", entry(view));
      await engine.setMany([["setMany", entry(view)]]);
      await engine.compareAndSet("compareAndSet", undefined, entry(view));
      const expected = buffer.slice(100, 200);
      for (const key of ["set", "setMany", "compareAndSet"]) {
        sameBytes(await engine.get(key), expected, key);
      }
    },
  },
  {
    name: "leaves bytes that it gave out as they were",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("key", entry(noise(3_000)));
      const before = await engine.get("key");
      for (let i = 0; i < 50; i++) {
        await engine.set("key", entry(new Uint8Array(3_000).fill(i)));
        await engine.get("key");
      }
      await engine.clear();
      sameBytes(before, noise(3_000), "an entry read before");
    },
  },
];
