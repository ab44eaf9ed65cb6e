/**
 * A stash as a driver of [unstorage](https://unstorage.unjs.io):
 * `createStorage({ driver: stashDriver(stash) })`.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { stashDriver } from "@hashstash/hashstash/adapters/unstorage";
 * import { createStorage } from "npm:unstorage@^1.17";
 *
 * const stash = new HashStash({ name: "assets", engine: "memory" });
 * const storage = createStorage({ driver: stashDriver(stash) });
 * await storage.setItem("a:b", { c: 1 });
 * console.log(await storage.getItem("a:b")); // { c: 1 }
 * await storage.dispose();
 * ```
 *
 * @module
 */
import type { HashStash, SetOptions } from "../mod.ts";

/** What unstorage takes for a value. */
export type StorageValue = null | string | number | boolean | object;

/** What unstorage hands over with an operation. */
export interface StashDriverOptions {
  /**
   * How long the entry lives, seconds, as in unstorage's other drivers; without one, or with 0, for
   * the stash's own `ttl`.
   */
  ttl?: number;
  /** The entry's tags, for `invalidate` of the stash: `getInstance()` of the driver. */
  tags?: string[];
}

/** unstorage's driver interface over a stash. */
export interface StashDriver {
  /** `"hashstash"`. */
  readonly name: string;
  /** What the driver can do besides the required. */
  readonly flags: { readonly ttl: true };
  /** The stash. */
  getInstance(): HashStash;
  /** Whether the key is there. */
  hasItem(key: string): Promise<boolean>;
  /** The value as unstorage stored it, or `null`. */
  getItem(key: string): Promise<StorageValue>;
  /** The values of many keys, in one round trip where the engine has one. */
  getItems(items: { key: string }[]): Promise<{ key: string; value: StorageValue }[]>;
  /** The value as it was stored, any serializable one, or `null`. */
  getItemRaw(key: string): Promise<unknown>;
  /** Stores text. */
  setItem(key: string, value: string, options?: StashDriverOptions): Promise<void>;
  /** Stores many texts, each with its own or the common options; of one key the last. */
  setItems(
    items: { key: string; value: string; options?: StashDriverOptions }[],
    common?: StashDriverOptions,
  ): Promise<void>;
  /** Stores any serializable value, binary ones as they are. */
  setItemRaw(key: string, value: unknown, options?: StashDriverOptions): Promise<void>;
  /** Removes the key. */
  removeItem(key: string): Promise<void>;
  /** When the entry ends: `ttl` in seconds from now; `null` when the key is absent. */
  getMeta(key: string): Promise<{ ttl?: number } | null>;
  /** The keys below `base`. */
  getKeys(base?: string): Promise<string[]>;
  /** Removes the keys below `base`. */
  clear(base?: string): Promise<void>;
  /** Closes the stash. */
  dispose(): Promise<void>;
}

/**
 * Makes the driver.
 *
 * @param stash Where the entries go; the storage's `dispose` closes it.
 */
export function stashDriver(stash: HashStash): StashDriver {
  // No lifetime, or one of 0, is none of unstorage's: the stash's own holds. One below has ended.
  const setOptions = ({ ttl, tags }: StashDriverOptions = {}): SetOptions =>
    !ttl ? { tags } : ttl < 0 ? { tags, expiresAt: 0 } : { tags, ttl: ttl * 1_000 };
  const get = async (key: string) => await stash.get(key, null) as StorageValue;
  const set = (key: string, value: unknown, options?: StashDriverOptions) =>
    stash.set(key, value, setOptions(options));
  // Of all keys of a stash only those that are strings are unstorage's.
  const getKeys = (base = "") => Array.fromAsync(stash.keys({ prefix: base })) as Promise<string[]>;
  return {
    name: "hashstash",
    flags: { ttl: true },
    getInstance: () => stash,
    hasItem: (key) => stash.has(key),
    getItem: get,
    async getItems(items) {
      const values = await stash.getMany(items.map(({ key }) => key));
      return items.map(({ key }, i) => ({ key, value: (values[i] ?? null) as StorageValue }));
    },
    getItemRaw: get,
    setItem: set,
    async setItems(items, common) {
      // Of items with one key the last, whatever their lifetimes.
      const latest = new Map(items.map((item) => [item.key, item]));
      const byOptions = Map.groupBy(latest.values(), ({ options }) => {
        const { ttl, tags } = { ...common, ...options };
        return JSON.stringify([String(ttl), tags]);
      });
      for (const group of byOptions.values()) {
        const options = { ...common, ...group[0].options };
        await stash.setMany(group.map(({ key, value }) => [key, value]), setOptions(options));
      }
    },
    setItemRaw: set,
    async removeItem(key) {
      await stash.delete(key);
    },
    async getMeta(key) {
      const expiresAt = await stash.expiresAt(key);
      if (expiresAt === undefined) return null;
      return expiresAt === Infinity ? {} : { ttl: (expiresAt - Date.now()) / 1_000 };
    },
    getKeys,
    async clear(base = "") {
      if (base === "") await stash.clear();
      else await stash.invalidate({ prefix: base });
    },
    dispose: () => stash.close(),
  };
}
