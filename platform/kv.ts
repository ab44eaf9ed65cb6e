/**
 * Deno KV: what is used of it, written out. Its types are Deno's own, which programs on other
 * runtimes don't have; the library that opens such databases there has the same methods.
 */
import { deno } from "./runtime.ts";

/** A part of a key. */
export type KvKeyPart = Uint8Array | string | number | bigint | boolean;
/** A key: parts, in whose order keys are listed. */
export type KvKey = readonly KvKeyPart[];

/** What is under a key. */
export interface KvEntry {
  key: KvKey;
  value: unknown;
  versionstamp: string;
}

/** What is under a key, or that nothing is. */
export type KvEntryMaybe = KvEntry | { key: KvKey; value: null; versionstamp: null };

/** Which keys to list. */
export type KvRange =
  | { prefix: KvKey; start?: KvKey; end?: KvKey }
  | { start: KvKey; end: KvKey };

/** How to list them. */
export interface KvListOptions {
  limit?: number;
  reverse?: boolean;
  batchSize?: number;
  consistency?: KvConsistency;
}

/** How new what is read must be: `"strong"`, the newest, or `"eventual"`. */
export type KvConsistency = "strong" | "eventual";

/** Whether changes took effect. */
export type KvCommit = { ok: true; versionstamp: string } | { ok: false };

/** Changes that take effect together, or not at all. */
export interface KvOperation {
  /** Only if the entry is still in this state. */
  check(...checks: { key: KvKey; versionstamp: string | null }[]): this;
  set(key: KvKey, value: unknown, options?: { expireIn?: number }): this;
  delete(key: KvKey): this;
  commit(): Promise<KvCommit>;
}

/**
 * An open Deno KV database, as `Deno.openKv` and the library `npm:@deno/kv` give it: not by the type
 * that it has on Deno, which programs on other runtimes don't know.
 */
export interface Kv {
  /** What is under a key. */
  get(...args: never[]): Promise<unknown>;
  /** What is under several keys. */
  getMany(...args: never[]): Promise<unknown>;
  /** All in a range. */
  list(...args: never[]): AsyncIterable<unknown>;
  /** Begins changes. */
  atomic(): unknown;
  /** What is under keys, now and after each change. */
  watch(...args: never[]): ReadableStream<unknown>;
  /** Closes the database. */
  close(): void;
}

/** The same, as it is used. */
export interface KvDatabase extends Kv {
  /** What is under a key. */
  get(key: KvKey, options?: { consistency?: KvConsistency }): Promise<KvEntryMaybe>;
  /** What is under several keys, at one moment. */
  getMany(
    keys: readonly KvKey[],
    options?: { consistency?: KvConsistency },
  ): Promise<KvEntryMaybe[]>;
  /** All in a range. */
  list(range: KvRange, options?: KvListOptions): AsyncIterableIterator<KvEntry>;
  /** Begins changes. */
  atomic(): KvOperation;
  /** What is under keys, now and after each change. */
  watch(keys: readonly KvKey[]): ReadableStream<KvEntryMaybe[]>;
  /** Closes the database. */
  close(): void;
}

/** Opens a database: a file, `":memory:"`, a server; without a path the runtime's own. */
export type OpenKv = (path?: string) => Promise<KvDatabase>;

/** The runtime's own `openKv`; `undefined` where it has none. */
export function nativeOpenKv(): OpenKv | undefined {
  return deno?.openKv as OpenKv | undefined;
}
