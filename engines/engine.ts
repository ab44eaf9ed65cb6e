import type { Awaitable } from "../platform/awaitable.ts";

export type {
  /** A value, or a promise of it. */
  Awaitable,
};

/** What an engine is handed to keep under one key. */
export interface NewEntry {
  /**
   * The stored bytes. The engine may keep this array: the caller does not write to it again. Those of
   * a batch may lie in one buffer, if the engine is `persistent`.
   */
  readonly value: Uint8Array;
  /**
   * Absolute deadline, ms since the epoch: from that millisecond on the entry is absent. Absent:
   * forever.
   */
  readonly expiresAt?: number;
  /** When the value was set, ms since the epoch. */
  readonly timestamp: number;
  /**
   * The entry's only tag, for engines whose backend has such a thing; the stash itself does not ask
   * for it again.
   */
  readonly tag?: string;
}

/** What an engine has under one key. */
export interface Entry {
  /** The stored bytes. The reader does not write to them. */
  readonly value: Uint8Array;
  /** Absolute deadline, ms since the epoch; absent when the entry stays forever. */
  readonly expiresAt?: number;
  /** When the value was set, ms since the epoch; absent where the backend does not keep it. */
  readonly timestamp?: number;
  /**
   * The engine's own mark of this state of the entry, given back to `compareAndSet`: a version
   * stamp, the raw bytes, … Nobody else looks into it.
   */
  readonly revision: unknown;
}

/** The part of an entry that most readers want. */
export type EntryValue = Pick<Entry, "value">;

/** What the engine, as configured, promises. */
export interface EngineSupports {
  /** Entries outlive the process. */
  readonly persistent: boolean;
  /** Several processes can use the store at once. */
  readonly shared: boolean;
  /**
   * `size`, `clear`, `prune`, `check` and `byteSize` take a prefix and reach no key without it. One
   * engine object can then serve many stashes at full speed. Default: false, and what concerns only
   * a part of the keys is made of `keys`, `get` and `delete`.
   */
  readonly prefix?: boolean;
  /**
   * `compareAndSet` obeys its guard in the same step. Default: false, and results are fenced by
   * several steps.
   */
  readonly guard?: boolean;
  /**
   * `stores` tells of the stores nested in this one too. Default: false, and it tells of this one
   * alone.
   */
  readonly stores?: boolean;
  /**
   * Calls about one key are carried out in the order in which they were made, awaited or not.
   * Default: false, and who needs an order waits for each.
   */
  readonly ordered?: boolean;
  /**
   * Some values are stored in a form of the backend's own, so that `stores` counts other bytes than
   * were handed over. Default: false.
   */
  readonly ownForm?: boolean;
  /**
   * The `timestamp` of some entries is when all of them were last written: they were set then or
   * before. Default: false.
   */
  readonly fileTimes?: boolean;
}

/** What must hold of another store of the same engine at the moment of a `compareAndSet`. */
export interface Guard {
  /** The other store, opened: an engine of the same kind, root and name. */
  readonly engine: Engine;
  /** A key there. */
  readonly key: string;
  /**
   * The state that its entry must be in: an `Entry` that the other store returned. Some engines
   * can't tell it from one that was set anew with the same bytes and deadline: give entries that
   * guard something of their own.
   */
  readonly expected: Entry;
}

/**
 * Carries short messages between the processes that use a store, so that what one of them keeps of
 * it in its memory (the option `near`) follows what another writes within milliseconds. What gets
 * lost on the way does no lasting harm, as such memory is trusted for a limited time only.
 */
export interface Bus {
  /**
   * Sends a message to all who subscribe, in this process and in others. It says which keys have
   * changed and never what they hold, and is up to 7,000 bytes of UTF-8 long; a bus may
   * refuse more.
   */
  publish(message: string): Awaitable<void>;
  /**
   * Gives each message from now on to `onMessage`, in any order, also those that this process has
   * sent. Resolves once none is missed any more. When some may have been missed (a connection was
   * lost), it calls `onGap` as soon as none is missed again.
   *
   * @returns Ends the subscription.
   */
  subscribe(
    onMessage: (message: string) => void,
    onGap: () => void,
  ): Awaitable<() => Awaitable<void>>;
}

/** The operations of an engine, as `EngineError.operation` names them. */
export type EngineOperation =
  | "open"
  | "close"
  | "get"
  | "set"
  | "delete"
  | "compareAndSet"
  | "keys"
  | "size"
  | "clear"
  | "has"
  | "getMany"
  | "getValue"
  | "getValues"
  | "setMany"
  | "deleteMany"
  | "deleteUnchanged"
  | "entries"
  | "prune"
  | "check"
  | "byteSize"
  | "stores";

/** What a store holds. */
export interface StoreUsage {
  /** How many live entries. */
  readonly entries: number;
  /**
   * Bytes of their keys (in UTF-8) and values, as they are stored: neither headers nor indexes nor
   * unused space of files count.
   */
  readonly bytes: number;
  /** When the latest of them was set, ms since the epoch; absent where the backend keeps no times. */
  readonly lastWrite?: number;
}

/** How much a store holds, counted or as whoever keeps count of it knows. */
export interface Usage {
  /** How many entries. */
  readonly entries: number;
  /** Bytes of their keys (in UTF-8) and values, as they are stored; absent where they aren't counted. */
  readonly bytes?: number;
  /** Whether that is known to be what a count would find; `false`: an estimate. */
  readonly exact: boolean;
}

/** A store that `stores` found. */
export interface FoundStore {
  /** Its dbname inside the engine's, as `sub` takes it; `""` for the engine's own store. */
  readonly dbname: string;
  /** What it holds, if that was asked for. */
  readonly usage?: StoreUsage;
}

/** One thing that `check` found. */
export interface EngineProblem {
  /**
   * What is wrong: `"damaged"` (a checksum, length or layer of ours is broken), `"orphan"` and
   * `"leftover"` are repaired or removed when asked. `"unknown"` (it needs a class or a serializer
   * that this process does not have) and `"foreign"` (another program wrote it) are named, and
   * never removed.
   */
  readonly kind: "damaged" | "orphan" | "leftover" | "unknown" | "foreign";
  /** The canonical text of the key, where one is known. */
  readonly key?: string;
  /** What is wrong, for a person. */
  readonly detail: string;
  /** Whether it was repaired or removed. */
  readonly fixed: boolean;
}

/** What `check` is asked. */
export interface EngineCheckOptions {
  /** Whether to repair what can be repaired, and remove what can't. */
  readonly fix: boolean;
  /** Only entries whose key begins so: where `supports.prefix` says that it counts. */
  readonly prefix?: string;
  /**
   * Once it is aborted nobody waits for the rest: what was found so far is the answer. An engine
   * that takes no notice is waited for.
   */
  readonly signal?: AbortSignal;
}

/** What `check` answers. */
export interface EngineCheck {
  /** How many things were looked at. */
  readonly checked: number;
  /** What is wrong with some of them. */
  readonly problems: EngineProblem[];
}

/**
 * A storage engine: one flat store of bytes under strings, for one (root folder, name, dbname).
 *
 * Keys are any well-formed Unicode strings without NUL, empty and very long ones included. An
 * expired entry is absent from every method. Two handles on one location see each other's changes,
 * in one process at once, in several as soon as the call that made them has resolved.
 *
 * Only the methods without a question mark are required: a stash makes the others of them. It calls
 * them only after `open` has resolved and before `close`, possibly several at the same time, and
 * takes plain values as well as promises, so that a synchronous backend costs no turn of the event
 * loop.
 *
 * An engine throws what its backend throws: the stash makes an `EngineError` of it, with engine,
 * operation and what `explain` says; also of a `TypeError`, which a mistake or a `fetch` that
 * reaches no server throws. Two errors are the engine's own to throw: `DecodeError` for stored bytes
 * that are damaged (never a miss), and, of what stores values, `RangeError` for one that it can't
 * take. Others that are meant for the caller come from `explain`.
 *
 * `set` (and `delete`, `compareAndSet`, the batches) resolve once other processes can see the
 * change and a crash of this process cannot lose it. No lock is held between calls, nor while a
 * consumer of `keys` or `entries` thinks.
 */
export interface Engine {
  /** The engine's name, as in `stash.engine`. */
  readonly name: string;
  /** Where the data lives: a path, or a URL without credentials. */
  readonly path: string;
  /** What this engine, as configured, promises. */
  readonly supports: EngineSupports;
  /** How many entries this handle dropped to keep within its limits. */
  readonly evictions?: number;

  /** Opens the store, making it when absent. */
  open(): Awaitable<void>;
  /** Releases what this handle holds; other handles on the store go on. */
  close(): Awaitable<void>;

  /** The entry, or `undefined`. */
  get(key: string): Awaitable<Entry | undefined>;
  /** Stores, replacing what was there. */
  set(key: string, entry: NewEntry): Awaitable<void>;
  /**
   * Removes; says whether a live entry was there. Of concurrent deletes of one entry exactly one
   * says true.
   */
  delete(key: string): Awaitable<boolean>;
  /**
   * Stores `next` (or removes the entry, when `next` is undefined) if the entry is still in the
   * state `expected`, atomically across processes: an `Entry` that this engine returned, or
   * `undefined` for absent. Returns whether it did. Everything atomic in the stash rests on this.
   *
   * With a guard, only if that holds too, in the same atomic step: no change of either entry comes
   * between. Only asked of engines whose `supports.guard` is true.
   */
  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Awaitable<boolean>;
  /**
   * The keys that begin with `prefix` (default: all), in any order, each that is not touched
   * meanwhile exactly once. Lazy: neither the whole store in memory nor the event loop blocked for
   * long.
   */
  keys(prefix?: string): Iterable<string> | AsyncIterable<string>;
  /** How many live entries there are. */
  size(prefix?: string): Awaitable<number>;
  /**
   * Removes all entries of this store. With `deep` also those of the stores nested in it, whether
   * or not anybody has them open: of the same root and name, with a dbname that begins with this
   * one's and `/`.
   */
  clear(deep?: boolean, prefix?: string): Awaitable<void>;

  /**
   * What an error of the backend means and what to do about it, to follow "Cannot get entry in
   * engine "redis": ", without a full stop; or an error to be thrown as it is. Default: the error's
   * own message.
   */
  explain?(error: unknown, operation: EngineOperation, key?: string): string | Error | undefined;

  /**
   * Has the listener told of each entry that this handle drops by itself: to keep within its limits,
   * or as it finds that the deadline has passed. Called once, before `open`; the listener neither
   * throws nor calls the engine. Default: nobody is told which entries those were.
   */
  watchDrops?(listener: DropListener): void;

  /** Whether the key is there. Default: `get`. */
  has?(key: string): Awaitable<boolean>;
  /** Entries in the order of the keys. Default: `get` of each. */
  getMany?(keys: string[]): Awaitable<(Entry | undefined)[]>;
  /**
   * As `get`, for who wants the value alone: an engine whose deadlines cost extra need not ask for
   * them. Default: `get`.
   */
  getValue?(key: string): Awaitable<EntryValue | undefined>;
  /**
   * The value as the text that `setText` was given, where it is kept as such; `undefined` where it
   * is not, or the entry is absent: then `getValue` is asked. Only with `setText`, for engines that
   * keep texts in memory.
   */
  getText?(key: string): string | undefined;
  /**
   * As `set` of the text in UTF-8. All other methods give its bytes. Only with `getText`: to make
   * the bytes, and a text of them again, takes longer than to keep the text.
   */
  setText?(key: string, text: string, times: Omit<NewEntry, "value" | "tag">): void;
  /** As `getMany`, for who wants the values alone. Default: `getMany`. */
  getValues?(keys: string[]): Awaitable<(EntryValue | undefined)[]>;
  /**
   * Stores all, in one round trip or transaction where there is one. A later pair of the same key
   * wins. Default: `set` of each.
   */
  setMany?(pairs: [string, NewEntry][]): Awaitable<void>;
  /** Removes all; the number that were there. Default: `delete` of each. */
  deleteMany?(keys: string[]): Awaitable<number>;
  /**
   * Removes those entries that are still in the state that was read, in few round trips or
   * transactions. Each is one atomic step, as `compareAndSet(key, expected, undefined)` is, and all
   * of them together need not be.
   *
   * @returns Of each, in their order, whether it was removed; of an entry that is there twice, one.
   * Default: `compareAndSet` of each.
   */
  deleteUnchanged?(entries: [key: string, expected: Entry][]): Awaitable<boolean[]>;
  /** As `keys`, with the entries. Default: `keys` and `getMany` in batches. */
  entries?(prefix?: string): Iterable<[string, Entry]> | AsyncIterable<[string, Entry]>;
  /** Drops what has expired; how many. Default: nothing is kept after its deadline, 0. */
  prune?(prefix?: string): Awaitable<number>;
  /**
   * Looks at everything in the store: damaged entries, leftovers of crashes, orphans; repairs them
   * when asked. Default: reads every entry.
   */
  check?(options: EngineCheckOptions): Awaitable<EngineCheck>;
  /** Bytes on disk or in the server. Default: the sum of keys and values. */
  byteSize?(prefix?: string): Awaitable<number>;
  /**
   * This store and those nested in it (as for `clear`), whether or not anybody has them open: each
   * once, in any order. Of those without entries any may be left out, and so may those whose names
   * nothing tells. Opens none for longer than it takes. Default: this store alone, or of a part of an
   * engine what the keys tell.
   *
   * @param counted Whether to say what they hold, which may cost a walk over all entries.
   */
  stores?(counted: boolean): Iterable<FoundStore> | AsyncIterable<FoundStore>;

  /**
   * What carries messages between the processes that use this engine's name and root, for as long
   * as the engine is open; the same object each time, and for all engines of that name that share a
   * connection. Nothing is connected until somebody subscribes. Default: none, and the memory of
   * other processes follows a write by time alone.
   */
  bus?(): Bus | undefined;
}

/** Told of an entry that an engine dropped by itself, and why. */
export type DropListener = (key: string, why: "evict" | "expire") => void;

/** Where an engine keeps the store that it is made for. */
export interface EngineLocation {
  /** The root folder, absolute; absent: the default one (`defaultRootDir()` of `./engines`). */
  readonly rootDir?: string;
  /** The stash's name. */
  readonly name: string;
  /** The store inside it; `/` nests. */
  readonly dbname: string;
}

/**
 * Makes an engine for a location; opens nothing. `options` are the stash's `engineOptions`, checked
 * here, with a `TypeError` or `RangeError`. The function's own name is what `stash.engine` says.
 *
 * @typeParam Options What `engineOptions` takes.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import type { EngineFactory } from "@hashstash/hashstash/engines";
 * import { memory } from "@hashstash/hashstash/engines/memory";
 *
 * // Every stash of this program keeps a thousand entries at most.
 * const small: EngineFactory = (location) => memory(location, { maxEntries: 1_000 });
 *
 * await using stash = new HashStash({ name: "small", engine: small });
 * await stash.set("key", "value");
 * console.log(stash.engine, await stash.get("key")); // small value
 * ```
 */
export type EngineFactory<Options extends object = Record<string, unknown>> = (
  location: EngineLocation,
  options: Options,
) => Engine;
