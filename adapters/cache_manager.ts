/**
 * A stash as a store of [cache-manager](https://cacheable.org/docs/cache-manager), through the
 * `KeyvAdapter` that it brings.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { CacheManagerStash } from "@hashstash/hashstash/adapters/cache-manager";
 * import { createCache, KeyvAdapter } from "npm:cache-manager@^7";
 * import { Keyv } from "npm:keyv@^5";
 *
 * const stash = new HashStash({ name: "pages", engine: "memory" });
 * const store = new Keyv({ store: new KeyvAdapter(new CacheManagerStash(stash)) });
 * const cache = createCache({ stores: [store] });
 * console.log(await cache.wrap("answer", () => 42, 60_000)); // 42
 * await cache.disconnect();
 * ```
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { HashStash, SetOptions } from "../mod.ts";

/** cache-manager's store interface over a stash. */
export class CacheManagerStash extends EventEmitter {
  /** `"hashstash"`. */
  readonly name = "hashstash";
  readonly #stash: HashStash;

  /**
   * Makes the store.
   *
   * @param stash Where the entries go; `disconnect` closes it.
   */
  constructor(stash: HashStash) {
    super();
    this.#stash = stash;
  }

  /**
   * Whether a value is worth storing: anything but `undefined`, which cache-manager takes for
   * absent.
   */
  isCacheable(value: unknown): boolean {
    return value !== undefined;
  }

  /** The value, or `undefined`. */
  async get(key: string): Promise<unknown> {
    return await this.#stash.get(key);
  }

  /** The values in the order of the keys, `undefined` where absent. */
  async mget(...keys: string[]): Promise<unknown[]> {
    return await this.#stash.getMany(keys);
  }

  /** Stores for `ttl` ms; without one, for the stash's own. */
  async set(key: string, value: unknown, ttl?: number): Promise<void> {
    await this.#stash.set(key, value, lifetime(ttl));
  }

  /** Stores all pairs of an object. */
  async mset(data: Record<string, unknown>, ttl?: number): Promise<void> {
    await this.#stash.setMany(data, lifetime(ttl));
  }

  /** Removes the key. */
  async del(key: string): Promise<void> {
    await this.#stash.delete(key);
  }

  /** Removes the keys. */
  async mdel(...keys: string[]): Promise<void> {
    await this.#stash.deleteMany(keys);
  }

  /**
   * How long the entry still lives, ms: -1 when forever, -2 when it is absent, as Redis says it.
   */
  async ttl(key: string): Promise<number> {
    const expiresAt = await this.#stash.expiresAt(key);
    if (expiresAt === undefined) return -2;
    return expiresAt === Infinity ? -1 : expiresAt - Date.now();
  }

  /** All keys that are strings, as cache-manager's are. */
  async keys(): Promise<string[]> {
    return await Array.fromAsync(this.#stash.keys({ prefix: "" })) as string[];
  }

  /** Removes all entries. */
  async reset(): Promise<void> {
    await this.#stash.clear();
  }

  /** Closes the stash. */
  async disconnect(): Promise<void> {
    await this.#stash.close();
  }
}

/** cache-manager says 0 where it means no end; a lifetime below has ended already. */
function lifetime(ttl: number | undefined): SetOptions | undefined {
  if (ttl === undefined) return undefined;
  return ttl < 0 ? { expiresAt: 0 } : { ttl: ttl === 0 ? Infinity : ttl };
}
