/** What decides otherwise about a key while its result is computed. */
import type { HashStash } from "../../mod.ts";

type Action = (stash: HashStash, key: unknown, value: unknown) => Promise<unknown>;

/** Those after which the key is absent. */
export const REMOVALS: Record<string, Action> = {
  delete: (stash, key) => stash.delete(key),
  pop: (stash, key) => stash.pop(key),
  clear: (stash) => stash.clear(),
  modify: (stash, key) => stash.modify(key, () => undefined),
  deleteMany: (stash, key) => stash.deleteMany(["another", key]),
  async "set and delete"(stash, key, value) {
    await stash.set(key, value);
    await stash.delete(key);
  },
};

/** Those after which the key has the value. */
export const WRITES: Record<string, Action> = {
  set: (stash, key, value) => stash.set(key, value),
  setMany: (stash, key, value) => stash.setMany([["another", 1], [key, value]]),
  update: (stash, key, value) => stash.update(new Map([[key, value]])),
  "modify to a value": (stash, key, value) => stash.modify(key, () => value),
  async load(stash, key, value) {
    const stored = await stash.encodeValue(value);
    await stash.load([{ key: stash.encodeKey(key), value: stored, version: 1 }]);
  },
  async "delete and setDefault"(stash, key, value) {
    await stash.delete(key);
    await stash.setDefault(key, value);
  },
};

/** All of them. */
export const ACTIONS: Record<string, Action> = { ...REMOVALS, ...WRITES };
