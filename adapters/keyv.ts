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
import { DecodeError, type HashStash, type SetOptions } from "../mod.ts";
import { segmentOf } from "./segment.ts";

/** An entry of `setMany`, as Keyv hands it over. */
export interface KeyvStashEntry {
  /** The key, without the namespace. */
  key: string;
  /** What Keyv has made of the value. */
  value: unknown;
  /** Absolute deadline, ms since the epoch; absent: the stash's own `ttl`. */
  expires?: number;
  /** What Keyv 5 says in its place: the lifetime, ms. */
  ttl?: number;
}

/** What Keyv keeps for a value when it does not serialize. */
export interface KeyvStashValue<Value> {
  /** The value. */
  value?: Value;
  /** Absolute deadline, ms since the epoch. */
  expires?: number;
}

/** The methods that Keyv 6 asks for. */
export type KeyvStashMethod =
  | "get"
  | "getMany"
  | "has"
  | "hasMany"
  | "set"
  | "setMany"
  | "delete"
  | "deleteMany"
  | "clear"
  | "disconnect"
  | "iterator";

/** What a store says of itself to Keyv 6. */
export interface KeyvStashCapabilities {
  /** It is a store. */
  compatible: true;
  /** Of the sort that has every method. */
  store: "keyvStorage";
  /** The methods. */
  methods: Record<KeyvStashMethod, { exists: true; methodType: "async" }>;
  /** Deadlines are absolute. */
  expires: true;
}

/** What hears an event. */
export type KeyvStashListener = (...args: unknown[]) => void;

const METHOD = { exists: true, methodType: "async" } as const;

/**
 * Deadlines lie above, lifetimes below: as a date it is in 2001, as a lifetime 31 years. Used only
 * where no Keyv has shown which of the two it hands over.
 */
const EARLIEST_DEADLINE = 1e12;

/**
 * Keyv's storage interface (version 6, and 5) over a stash. Deadlines are the stash's, exact to the
 * millisecond; what Keyv gives none is kept for the stash's own `ttl`. A namespace is a stash inside
 * the given one, so clearing it costs what it holds and touches nothing else.
 */
export class KeyvStash extends EventEmitter {
  /** Whose keys are meant; Keyv sets it. */
  namespace?: string;
  readonly #stash: HashStash;
  readonly #namespaces = new Map<string, HashStash>();
  readonly #opts: Record<string, unknown> = { dialect: "sqlite", url: "" };
  readonly #underWay = new Set<Promise<unknown>>();
  /** The Keyv in front, once it has looked at what only its version looks at. */
  #version: 5 | 6 | undefined;

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
   * Tells Keyv 6 that deadlines are absolute and every method is there. Keyv 5 does not look here:
   * whoever does is handed a Keyv 6's answers.
   */
  get capabilities(): KeyvStashCapabilities {
    this.#version = 6;
    return {
      compatible: true,
      store: "keyvStorage",
      methods: {
        get: METHOD,
        getMany: METHOD,
        has: METHOD,
        hasMany: METHOD,
        set: METHOD,
        setMany: METHOD,
        delete: METHOD,
        deleteMany: METHOD,
        clear: METHOD,
        disconnect: METHOD,
        iterator: METHOD,
      },
      expires: true,
    };
  }

  /**
   * What Keyv 5 looks at to see whether a store can be iterated: it knows the names of some, of
   * which this is one. Keyv 6 does not look here: whoever does hands over lifetimes.
   */
  get opts(): Record<string, unknown> {
    this.#version ??= 5;
    return this.#opts;
  }

  /** The stash of the namespace. */
  get #current(): HashStash {
    if (!this.namespace) return this.#stash;
    let stash = this.#namespaces.get(this.namespace);
    if (stash === undefined) {
      stash = this.#stash.sub(segmentOf(this.namespace));
      this.#namespaces.set(this.namespace, stash);
    }
    return stash;
  }

  /** What Keyv stored: text, or with its serialization off an object; `undefined` when absent. */
  async get<Value>(key: string): Promise<string | KeyvStashValue<Value> | undefined>;
  /** As Keyv 5 types it. */
  async get<Value>(key: string): Promise<Value | undefined>;
  async get(key: string): Promise<unknown> {
    return await this.#current.get(key);
  }

  /** The same for many keys, in their order. */
  async getMany<Value>(keys: string[]): Promise<(string | KeyvStashValue<Value> | undefined)[]>;
  /** As Keyv 5 types it. */
  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  async getMany(keys: string[]): Promise<unknown[]> {
    return await this.#current.getMany(keys);
  }

  /**
   * Stores; `undefined` is absence to Keyv, and removes.
   *
   * @param key The key, without the namespace.
   * @param value What Keyv has made of the value.
   * @param expires The absolute deadline, ms since the epoch (of Keyv 5 the lifetime, ms); one that
   * is past: the entry is removed. Without it the stash's own `ttl` holds.
   * @returns `true`.
   */
  async set(key: string, value: unknown, expires?: number): Promise<boolean> {
    if (value === undefined) await this.#current.delete(key);
    else await this.#current.set(key, value, this.#lifetime(expires));
    return true;
  }

  /**
   * Stores all; of entries with one key the last. Those with one deadline go in one batch.
   *
   * @returns `true` for each.
   */
  async setMany(entries: KeyvStashEntry[]): Promise<boolean[]>;
  /** As Keyv 5 types it. */
  async setMany(entries: KeyvStashEntry[]): Promise<void>;
  async setMany(entries: KeyvStashEntry[]): Promise<boolean[] | void> {
    return await this.#inSteps(() => this.#setMany(this.#current, entries));
  }

  async #setMany(stash: HashStash, entries: KeyvStashEntry[]): Promise<boolean[]> {
    const latest = new Map(entries.map((entry) => [entry.key, entry]));
    const removed = [...latest.values()].filter(({ value }) => value === undefined);
    if (removed.length > 0) await stash.deleteMany(removed.map(({ key }) => key));
    for (const { key } of removed) latest.delete(key);
    const byDeadline = Map.groupBy(
      latest.values(),
      ({ expires, ttl }) => JSON.stringify(this.#lifetime(expires, ttl)),
    );
    for (const group of byDeadline.values()) {
      const [{ expires, ttl }] = group;
      await stash.setMany(
        group.map(({ key, value }) => [key, value]),
        this.#lifetime(expires, ttl),
      );
    }
    return entries.map(() => true);
  }

  /** Whether the key is there. */
  async has(key: string): Promise<boolean> {
    return await this.#current.has(key);
  }

  /** Whether each key is there: in one batch, where the engine has one. */
  async hasMany(keys: string[]): Promise<boolean[]> {
    return await areThere(this.#current, keys);
  }

  /** Removes; whether it was there. */
  async delete(key: string): Promise<boolean> {
    return await this.#current.delete(key);
  }

  /**
   * Removes all, in one batch where the engine has one.
   *
   * @returns Whether each was there; to Keyv 5, whether all were.
   */
  async deleteMany(keys: string[]): Promise<boolean[]>;
  /** As Keyv 5 types it. */
  async deleteMany(keys: string[]): Promise<boolean>;
  async deleteMany(keys: string[]): Promise<boolean[] | boolean> {
    return await this.#inSteps(() => this.#deleteMany(this.#current, keys));
  }

  async #deleteMany(stash: HashStash, keys: string[]): Promise<boolean[] | boolean> {
    const unique = [...new Set(keys)];
    const found = await areThere(stash, unique);
    const there = new Map(unique.map((key, i) => [key, found[i]]));
    await stash.deleteMany(unique);
    // A key that comes twice was there for the first only, as with one delete after the other.
    const deleted = keys.map((key) => {
      const found = there.get(key) === true;
      there.set(key, false);
      return found;
    });
    return this.#version === 5 ? deleted.every(Boolean) : deleted;
  }

  /**
   * Removes the entries of the namespace; without one, those of the stash itself: other namespaces,
   * stashes inside it and the results of its functions stay.
   */
  async clear(): Promise<void> {
    await this.#current.clear();
  }

  /** The pairs of the namespace, those with keys that Keyv can have stored. */
  async *iterator<Value>(): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    for await (const [key, value] of this.#current.entries({ prefix: "" })) {
      yield [key as string, value as Awaited<Value>];
    }
  }

  /** Waits for the operations under way and closes the stash. */
  async disconnect(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    for (const stash of this.#namespaces.values()) await stash.close();
    await this.#stash.close();
  }

  // Narrower than Node's types, as Keyv 6 wants an emitter.
  /** Who hears an event. */
  override listeners(event: string | symbol): KeyvStashListener[] {
    return super.listeners(event) as KeyvStashListener[];
  }

  /** Who hears an event, with the wrappers of those who hear it once. */
  override rawListeners(event: string | symbol): KeyvStashListener[] {
    return super.rawListeners(event) as KeyvStashListener[];
  }

  /** Runs what is several operations of the stash, between which it must not be closed. */
  async #inSteps<T>(run: () => Promise<T>): Promise<T> {
    const running = run();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  #lifetime(expires: number | undefined, ttl?: number): SetOptions | undefined {
    const isLifetime = expires === undefined || this.#version === 5 ||
      this.#version === undefined && expires < EARLIEST_DEADLINE;
    const time = expires ?? ttl;
    // Keyv hands over what it was given: what is no number says nothing.
    if (typeof time !== "number" || Number.isNaN(time)) return undefined;
    if (!isLifetime) return { expiresAt: Math.max(0, time) };
    return time < 0 ? { expiresAt: 0 } : { ttl: time };
  }
}

/** Whether each key is there, also with a value that can't be read. */
async function areThere(stash: HashStash, keys: string[]): Promise<boolean[]> {
  try {
    return (await stash.getMany(keys)).map((value) => value !== undefined);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  // Only now: one after the other costs a round trip each.
  const there: boolean[] = [];
  for (const key of keys) there.push(await stash.has(key));
  return there;
}
