import type { Codec } from "../codec/mod.ts";
import type { CompleteEngine } from "../engines/_derived.ts";
import type { Awaitable, Entry, NewEntry } from "../engines/engine.ts";
import type { HashStash, StashStats, Version } from "./hash_stash.ts";
import type { CheckedOptions } from "./options.ts";

/** What the modules of this folder need of a stash, and nobody else. */
export interface Internals {
  readonly options: CheckedOptions;
  readonly codec: Codec;
  readonly stats: StashStats;
  /** A store that the stash keeps for itself, opened. */
  space(name: string): Promise<CompleteEngine>;
  /** Closes the child when the stash is closed. */
  adopt(child: HashStash): void;
  /** A name for one key of this store in this process. */
  identity(text: string): string;
  /** Runs an operation on the opened store; `close` waits for it. */
  run<T>(operation: string, body: (store: CompleteEngine) => Awaitable<T>): Promise<T>;
  /** `get` by the canonical text of the key. */
  get(text: string, defaultValue: unknown): Promise<unknown>;
  /** The value of an entry. */
  read(entry: Pick<Entry, "value">, text: string): Awaitable<unknown>;
  /** The value of an entry with its version. */
  version(entry: Entry, text: string): Promise<Version<unknown>>;
  /** The entries with the canonical texts of their keys. */
  entries(): AsyncIterable<[string, Entry]>;
  /** Stores if the entry is still as `expected`; whether it did. In append mode as a new version. */
  replace(
    store: CompleteEngine,
    text: string,
    expected: Entry | undefined,
    next: NewEntry,
  ): Promise<boolean>;
}

/** The internals of a stash: for the modules of this folder. */
export let internalsOf: (stash: HashStash) => Internals;

/** Called once, by the class itself: only its own code reaches its private parts. */
export function shareInternals(access: (stash: HashStash) => Internals): void {
  internalsOf = access;
}
