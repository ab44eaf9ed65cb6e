/** What the methods of a stash give back. */

/** Counts of what one handle has done. */
export interface StashStats {
  /** Reads that found a value. */
  hits: number;
  /** Reads that found none. */
  misses: number;
  /** Values stored. */
  sets: number;
  /** Keys removed. */
  deletes: number;
  /** Entries that were dropped to keep within limits, as far as this handle caused it. */
  evictions: number;
  /** Values that came from this process's memory; absent without the option `near`. */
  nearHits?: number;
}

/** One thing that `check` found. */
export interface StashProblem {
  /**
   * What is wrong: `"damaged"` (a checksum, length or layer of ours is broken), `"orphan"` (it
   * belongs to nothing) and `"leftover"` (of a process that was killed) are repaired or removed by
   * `fix`. `"unknown"` (it needs a class or a serializer that this process does not have) and
   * `"foreign"` (another program wrote it) are named, and never removed.
   */
  kind: "damaged" | "orphan" | "leftover" | "unknown" | "foreign";
  /** The key, where one is known. */
  key?: unknown;
  /** What is wrong, for a person. */
  detail: string;
  /** Whether it was repaired or removed. */
  fixed: boolean;
}

/** Options of `check`. */
export interface CheckOptions {
  /** Repairs what can be repaired and removes what can't. */
  fix?: boolean;
  /**
   * Ends it: the answer is what was found until then, with `interrupted`. What was repaired stays
   * so. SQLite's own look at its whole file has no break, and is waited for.
   */
  signal?: AbortSignal;
  /** Called after each entry whose value was decoded: how far it is. */
  onEntry?: () => void;
}

/** What `check` answers. */
export interface StashCheck {
  /** Whether nothing is damaged, orphaned or left over, or all of that was repaired. */
  ok: boolean;
  /** How many things were looked at. */
  checked: number;
  /** What was wrong with some of them. */
  problems: StashProblem[];
  /** Present where the `signal` ended it: nobody knows of the rest, and `ok` is false. */
  interrupted?: true;
}

/**
 * An entry with what is known of it.
 *
 * @typeParam V The type of the value.
 */
export interface StashEntry<V> {
  /** The value. */
  value: V;
  /** When it was set, ms since the epoch; absent where the engine does not keep it (redis). */
  timestamp?: number;
  /** When it leaves the store, ms since the epoch; absent: never. */
  expiresAt?: number;
  /** When its `ttl` ends, ms since the epoch: after that it may be kept as a stale result. */
  freshUntil?: number;
  /** Whether its `ttl` has ended. */
  stale: boolean;
  /** Its tags. */
  tags: string[];
  /** Which version of the key it is, from 1. */
  version: number;
}

/** One version of a key. */
export interface Version<V> {
  /** From 1. */
  version: number;
  /**
   * When it was set, ms since the epoch; 0 where the engine does not keep it outside append mode
   * (redis).
   */
  timestamp: number;
  /** The value. */
  value: V;
}

/**
 * Any list of arguments, to infer one from a function. Of `unknown[]` the compiler would infer that
 * a parameter with a default is `unknown`, as `factor` in `(x: number, factor = 2) => x * factor`.
 */
// deno-lint-ignore no-explicit-any -- see above
export type AnyArguments = any[];
