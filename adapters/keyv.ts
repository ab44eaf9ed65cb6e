/**
 * A stash as the storage of [Keyv](https://keyv.org): `new Keyv({ store: new KeyvStash(stash) })`.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { KeyvStash } from "@hashstash/hashstash/adapters/keyv";
 * import { Keyv } from "npm:keyv@^6";
 *
 * const stash = new HashStash({ name: "sessions", engine: "memory" });
 * const keyv = new Keyv({ store: new KeyvStash(stash), namespace: "users" });
 * await keyv.set("u1", { name: "John" }, 60_000);
 * console.log(await keyv.get("u1")); // { name: "John" }
 * await keyv.disconnect();
 * ```
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { HashStash, SetOptions } from "../mod.ts";

/** An entry of `setMany`, as Keyv hands it over. */
export interface KeyvStashEntry {
  /** The key, without the namespace. */
  key: string;
  /** What Keyv has made of the value. */
  value: unknown;
  /** Absolute deadline, ms since the epoch; absent: none. */
  expires?: number;
  /** What Keyv 5 says in its place: the lifetime, ms. */
  ttl?: number;
}

const METHODS = [
  "get",
  "getMany",
  "has",
  "hasMany",
  "set",
  "setMany",
  "delete",
  "deleteMany",
  "clear",
  "disconnect",
  "iterator",
];

/**
 * Deadlines lie above, lifetimes below: as a date it is in 2001, as a lifetime 31 years. Keyv 6
 * hands over the one, Keyv 5 the other, and neither says which it is.
 */
const EARLIEST_DEADLINE = 1e12;

/**
 * Keyv's storage interface (version 6, and 5) over a stash. Deadlines are the stash's, exact to the
 * millisecond; a namespace is a stash inside the given one, so clearing it costs what it holds and
 * touches nothing else.
 */
export class KeyvStash extends EventEmitter {
  /** Whose keys are meant; Keyv sets it. */
  namespace?: string;
  /** Tells Keyv that deadlines are absolute and every method is there. */
  readonly capabilities: {
    compatible: true;
    store: "keyvStorage";
    methods: Record<string, { exists: true; methodType: "async" }>;
    expires: true;
  } = {
    compatible: true,
    store: "keyvStorage",
    methods: Object.fromEntries(
      METHODS.map((name) => [name, { exists: true, methodType: "async" }]),
    ),
    expires: true,
  };
  readonly #stash: HashStash;
  readonly #namespaces = new Map<string, HashStash>();

  /**
   * Makes the store.
   *
   * @param stash Where the entries go; `disconnect` closes it.
   */
  constructor(stash: HashStash) {
    super();
    this.#stash = stash;
  }

  /** The stash of the namespace. */
  get #current(): HashStash {
    if (!this.namespace) return this.#stash;
    let stash = this.#namespaces.get(this.namespace);
    if (stash === undefined) {
      stash = this.#stash.sub(encodeURIComponent(this.namespace));
      this.#namespaces.set(this.namespace, stash);
    }
    return stash;
  }

  /** The value, or `undefined`. */
  async get(key: string): Promise<unknown> {
    return await this.#current.get(key);
  }

  /** The values in the order of the keys, `undefined` where absent. */
  async getMany(keys: string[]): Promise<unknown[]> {
    return await this.#current.getMany(keys);
  }

  /**
   * Stores; `expires` is the absolute deadline, ms since the epoch (of Keyv 5 the lifetime, ms).
   */
  async set(key: string, value: unknown, expires?: number): Promise<boolean> {
    await this.#current.set(key, value, lifetime(expires));
    return true;
  }

  /** Stores all; entries with one deadline go in one batch. */
  async setMany(entries: KeyvStashEntry[]): Promise<boolean[]> {
    const stash = this.#current;
    const byDeadline = Map.groupBy(entries, ({ expires, ttl }) => expires ?? ttl);
    for (const [expires, group] of byDeadline) {
      await stash.setMany(group.map(({ key, value }) => [key, value]), lifetime(expires));
    }
    return entries.map(() => true);
  }

  /** Whether the key is there. */
  async has(key: string): Promise<boolean> {
    return await this.#current.has(key);
  }

  /** Whether each key is there. */
  async hasMany(keys: string[]): Promise<boolean[]> {
    const stash = this.#current;
    return await Promise.all(keys.map((key) => stash.has(key)));
  }

  /** Removes; whether it was there. */
  async delete(key: string): Promise<boolean> {
    return await this.#current.delete(key);
  }

  /** Removes all; whether each was there. */
  async deleteMany(keys: string[]): Promise<boolean[]> {
    const stash = this.#current;
    return await Promise.all(keys.map((key) => stash.delete(key)));
  }

  /** Removes the entries of the namespace; without one, those of all. */
  async clear(): Promise<void> {
    await this.#current.clear({ deep: !this.namespace });
  }

  /** The pairs of the namespace. */
  async *iterator(): AsyncGenerator<[string, unknown], void> {
    for await (const [key, value] of this.#current.entries()) yield [String(key), value];
  }

  /** Closes the stash. */
  async disconnect(): Promise<void> {
    for (const stash of this.#namespaces.values()) await stash.close();
    await this.#stash.close();
  }
}

function lifetime(expires: number | undefined): SetOptions {
  if (expires === undefined) return { ttl: Infinity };
  return expires < EARLIEST_DEADLINE ? { ttl: expires } : { expiresAt: expires };
}
