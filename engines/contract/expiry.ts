import { type Case, claim, entry, keysOf, pairsOf, same, text, until } from "./support.ts";
import { delay } from "../../platform/timers.ts";

/** The latest time that a Date can hold, ms since the epoch. */
const LAST_DATE = 8.64e15;

/** Deadlines: exact for the reader, whatever the backend does. */
export const EXPIRY: Case[] = [
  {
    name: "keeps deadlines to the millisecond",
    async run(scope) {
      const engine = await scope.open();
      const soon = Date.now() + 60_000;
      const deadlines = [soon + 1, soon + 999, soon + 1_000, soon + 12_345_678, LAST_DATE];
      for (const expiresAt of deadlines) {
        await engine.set("set", entry("value", expiresAt));
        same((await engine.get("set"))?.expiresAt, expiresAt, "deadline by get");
        await engine.setMany([["setMany", entry("value", expiresAt)]]);
        const [found] = await engine.getMany(["setMany"]);
        same(found?.expiresAt, expiresAt, "deadline by getMany");
        for await (const [, { expiresAt: found }] of engine.entries()) {
          same(found, expiresAt, "deadline by entries");
        }
      }
      await engine.set("set", entry("value"));
      same((await engine.get("set"))?.expiresAt, undefined, "deadline after a set without one");
    },
  },
  {
    name: "has nothing whose deadline has passed",
    async run(scope) {
      const engine = await scope.open();
      await engine.set("live", entry("value", Date.now() + 3_600_000));
      await engine.set("forever", entry("value"));
      const now = Date.now();
      const late = ["late", "later", "latest"];
      await engine.set("late", entry("gone", now));
      await engine.setMany([["later", entry("gone", now - 1)], ["latest", entry("gone", 1)]]);
      for (const key of late) {
        same(await engine.get(key), undefined, `get of ${key}`);
        same(await engine.has(key), false, `has of ${key}`);
      }
      same(await engine.size(), 2, "size");
      same(await keysOf(engine), ["forever", "live"], "keys");
      same(await keysOf(engine, "l"), ["live"], "keys by prefix");
      same(await pairsOf(engine), ["forever=value", "live=value"], "entries");
      const found = await engine.getMany([...late, "live"]);
      same(found.map(text), [undefined, undefined, undefined, "value"], "getMany");
      same(await engine.delete("late"), false, "delete");
      same(await engine.deleteMany(["later", "live"]), 1, "deleteMany");
    },
  },
  {
    name: "replaces an entry by one that has expired",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([["set", entry("value")], ["compareAndSet", entry("value")]]);
      await engine.set("set", entry("gone", Date.now() - 1));
      same(await engine.has("set"), false, "has after set");
      const current = await engine.get("compareAndSet");
      const set = await engine.compareAndSet(
        "compareAndSet",
        current,
        entry("gone", Date.now() - 1),
      );
      same(set, true, "compareAndSet");
      same(await engine.has("compareAndSet"), false, "has after compareAndSet");
      same(await engine.size(), 0, "size");
      await engine.set("set", entry("back"));
      same(text(await engine.get("set")), "back", "get after another set");
    },
  },
  {
    name: "takes an expired entry for absent in compareAndSet",
    async run(scope) {
      const engine = await scope.open();
      const expiresAt = Date.now() + 30;
      await engine.set("key", entry("old", expiresAt));
      await engine.set("other", entry("old", expiresAt));
      const old = await engine.get("key");
      await until(expiresAt);
      if (old !== undefined) {
        same(await engine.compareAndSet("key", old, entry("no")), false, "expecting what expired");
        same(await engine.compareAndSet("key", old, undefined), false, "removing what expired");
      }
      same(await engine.compareAndSet("key", undefined, entry("new")), true, "expecting nothing");
      same(text(await engine.get("key")), "new", "get");
      same(await engine.size(), 1, "size");
    },
  },
  {
    name: "lets an entry go in the millisecond of its deadline",
    async run(scope) {
      const engine = await scope.open();
      for (let round = 0; round < 3; round++) {
        const expiresAt = Date.now() + 40 + round;
        await engine.set("key", entry("value", expiresAt));
        await engine.set("later", entry("value", expiresAt + 3_600_000));
        const seen: Record<string, () => Promise<boolean>> = {
          get: async () => await engine.get("key") !== undefined,
          has: async () => await engine.has("key"),
          size: async () => await engine.size() === 2,
          keys: async () => (await keysOf(engine)).includes("key"),
          getMany: async () => (await engine.getMany(["key"]))[0] !== undefined,
        };
        for (let after = 0; after < 2;) {
          for (const [method, there] of Object.entries(seen)) {
            const before = Date.now();
            if (await there()) {
              claim(before < expiresAt, `${method} still had it ${before - expiresAt} ms late`);
            } else {
              const early = expiresAt - Date.now();
              claim(early <= 0, `${method} had it no more ${early} ms early`);
            }
          }
          if (Date.now() >= expiresAt) after++;
          await delay(1);
        }
      }
    },
  },
  {
    name: "prunes what has expired and nothing else",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany([["live", entry("value", Date.now() + 3_600_000)], [
        "forever",
        entry("v"),
      ]]);
      const late = Date.now() - 1;
      for (let i = 0; i < 20; i++) await engine.set(`late ${i}`, entry("gone", late));
      const count = await engine.prune();
      claim(count >= 0 && count <= 20, `prune says it dropped ${count} of 20`);
      same(await engine.prune(), 0, "a second prune");
      same(await keysOf(engine), ["forever", "live"], "keys");
    },
  },
];
