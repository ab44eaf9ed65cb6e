/**
 * A stash as the profiler sees it: what it needs to make temporary stashes and to time them. The
 * profiler is below the stash, which passes itself.
 */
import type { HashStashOptions } from "../store/options.ts";

/** How a timed stash differs from the one it is made of; what is absent or undefined is the same. */
export type CaseOptions = Pick<
  HashStashOptions,
  "engine" | "serializer" | "compress" | "b64" | "engineOptions"
>;

/** What `profile` takes: any `HashStash` is one. */
export interface ProfiledStash {
  /** The engine's name. */
  readonly engine: string;
  /** The serializer's name. */
  readonly serializer: string;
  /** The compressor's name, or `false`. */
  readonly compress: string | false;
  /** Whether stored bytes are base64 text. */
  readonly b64: boolean;
  /** A stash inside this one, not opened yet. */
  sub(dbname: string, options?: CaseOptions): ProfiledStash;
  /** A stash that removes what it stored when it is closed, not opened yet. */
  tmp(options: CaseOptions & { ttl: number }): ProfiledStash;
  /** Opens the engine. */
  open(): Promise<ProfiledStash>;
  /** Releases what the stash holds. */
  close(): Promise<void>;
  /** Stores a value. */
  set(key: unknown, value: unknown): Promise<void>;
  /** The value, if the key is there. */
  get(key: unknown): Promise<unknown>;
  /** Stores all pairs. */
  setMany(
    pairs: Iterable<readonly [unknown, unknown]> | AsyncIterable<readonly [unknown, unknown]>,
  ): Promise<void>;
  /** Removes many keys. */
  deleteMany(keys: Iterable<unknown>): Promise<unknown>;
  /** All pairs, one after the other. */
  entries(): AsyncIterable<[key: unknown, value: unknown]>;
  /** The canonical text of a key. */
  encodeKey(key: unknown): string;
  /** The key of a canonical text. */
  decodeKey(text: string): unknown;
  /** A value as the bytes that would be stored. */
  encodeValue(value: unknown): Promise<Uint8Array>;
  /** The value in stored bytes. */
  decodeValue(bytes: Uint8Array): Promise<unknown>;
}
