import type { Store } from "../complete.ts";
import { bounded, type Case, claim, entry, keysOf, modify, same, text } from "./support.ts";

const COUNT = 300;

async function fill(engine: Store): Promise<string[]> {
  const keys = Array.from({ length: COUNT }, (_, i) => `key ${i}`);
  await engine.setMany(keys.map((key) => [key, entry(key)]));
  return keys;
}

function once(seen: string[], untouched: string[], what: string): void {
  const counts = new Map<string, number>();
  for (const key of seen) counts.set(key, (counts.get(key) ?? 0) + 1);
  const wrong = untouched.filter((key) => counts.get(key) !== 1);
  claim(
    wrong.length === 0,
    `${what}: ${wrong.length} untouched keys not seen once, as ${wrong[0]}`,
  );
}

/** Iterators: lazy, without locks, whatever happens meanwhile. */
export const ITERATION: Case[] = [
  {
    name: "yields each untouched key once while others are set and deleted",
    async run(scope) {
      const engine = await scope.open();
      const keys = await fill(engine);
      const touched = new Set(keys.filter((_, i) => i % 3 === 0));
      const queue = [...touched];
      const seen: string[] = [];
      for await (const key of engine.keys()) {
        seen.push(key);
        const next = queue.pop();
        if (next !== undefined) await engine.delete(next);
        await engine.set(`new ${seen.length}`, entry("new"));
        await engine.set(keys[0], entry("again"));
        claim(seen.length <= 4 * COUNT, "keys does not end");
      }
      once(seen, keys.filter((key) => !touched.has(key)), "keys");
    },
  },
  {
    name: "yields each untouched entry once while others are set and deleted",
    async run(scope) {
      const engine = await scope.open();
      const other = await scope.open();
      const keys = await fill(engine);
      const seen: string[] = [];
      for await (const [key, found] of engine.entries()) {
        seen.push(key);
        if (key.startsWith("key")) same(text(found), key, "the value of an entry");
        if (seen.length % 10 > 0) continue;
        await other.set(`new ${seen.length}`, entry("new"));
        await modify(other, "counter", (text) => `${text ?? ""}+`);
        claim(seen.length <= 4 * COUNT, "entries does not end");
      }
      once(seen, keys, "entries");
    },
  },
  {
    name: "may delete each key as it comes",
    async run(scope) {
      const engine = await scope.open();
      const keys = await fill(engine);
      const seen: string[] = [];
      for await (const key of engine.keys()) {
        seen.push(key);
        await engine.delete(key);
      }
      same(seen.sort(), keys.sort(), "keys seen");
      same(await engine.size(), 0, "size");
    },
  },
  {
    name: "runs two iterations at once",
    async run(scope) {
      const engine = await scope.open();
      const keys = await fill(engine);
      const seen: string[] = [];
      const second = engine.keys();
      for await (const key of engine.keys()) {
        seen.push(key);
        if (seen.length === 10) same(await keysOf(engine), keys.toSorted(), "the inner iteration");
      }
      same(seen.sort(), keys.toSorted(), "the outer iteration");
      let count = 0;
      for await (const _ of second) count++;
      same(count, COUNT, "an iteration begun late");
    },
  },
  {
    name: "holds nothing for an iterator that was left",
    async run(scope) {
      const engine = await scope.open();
      const other = await scope.open();
      await fill(engine);
      for await (const _ of engine.keys()) break;
      for await (const _ of engine.entries()) break;
      // Not even told to end, as when a consumer awaits something that never comes.
      const forgotten = [
        asynchronous(engine.keys()),
        asynchronous(engine.entries()),
      ];
      for (const iterator of forgotten) await iterator.next();
      await bounded("set after an abandoned iterator", other.set("key 1", entry("set")));
      const write = modify(engine, "counter", (text) => `${text ?? ""}+`);
      await bounded("compareAndSet after an abandoned iterator", write);
      await bounded("clear after an abandoned iterator", other.clear());
      same(await engine.size(), 0, "size");
      await bounded("close with an abandoned iterator", scope.close(engine));
      same(await other.size(), 0, "size by another handle");
    },
  },
];

function asynchronous<T>(iterable: Iterable<T> | AsyncIterable<T>): { next(): unknown } {
  return Symbol.asyncIterator in iterable
    ? iterable[Symbol.asyncIterator]()
    : iterable[Symbol.iterator]();
}
