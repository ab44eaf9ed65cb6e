import { join } from "node:path";
import { Codec } from "../codec/codec.ts";
import { textPrefixes } from "../codec/key.ts";
import { toBytes, toBytesTogether } from "../codec/text.ts";
import type { Store } from "../engines/complete.ts";
import { batches, each, groupsOf } from "../engines/each.ts";
import type { Awaitable, Entry, EntryValue, NewEntry, Usage } from "../engines/engine.ts";
import { unreadable } from "../engines/errors.ts";
import { whenReady } from "../platform/awaitable.ts";
import { checkStore } from "./check.ts";
import { backoff, exclusive, Operation, refuseWithin } from "./contention.ts";
import { FrozenValues } from "./frozen.ts";
import {
  freshUntil,
  given,
  hasHeader,
  type Header,
  opened,
  type StoredEntry,
  valueOf,
  withHeader,
} from "./header.ts";
import { revokeLeasesOf } from "./leases.ts";
import {
  checkDeadline,
  type CheckedSetOptions,
  checkOptions,
  checkSetOptions,
  checkTags,
  deadline,
  type HashStashOptions,
  needsRootDir,
  RESERVED_DBNAMES,
  rootDirOf,
  type SetOptions,
  TEMPORARY,
  type TouchOptions,
  withoutFilePath,
} from "./options.ts";
import type { Call } from "./order.ts";
import { since } from "./telemetry.ts";
import { hasRuns, overtakeRuns } from "./runs.ts";
import type { TextPairs } from "./pairs.ts";
import {
  beginsWith,
  keyOf,
  selectedEntries,
  selectedKeys,
  type SelectOptions,
} from "./selection.ts";
import { Session, type SessionSettings } from "./session.ts";
import { type StoreInfo, storesIn } from "./stores.ts";
import type { CheckOptions, StashCheck, StashEntry, Version } from "./types.ts";
import { versionsOf } from "./versions.ts";

/** Entries handed to an engine at once: enough to amortise a transaction or a round trip … */
const BATCH = 500;
/** … and bytes: little enough to hold in memory. */
const BATCH_BYTES = 4_000_000;
/** How many values of a generator are encoded at once: in memory besides those of a batch. */
const ENCODED_AT_ONCE = 4;

/** Told apart from every value that can be stored. */
export const ABSENT: unique symbol = Symbol("absent");

/** What a value is read from. */
type StoredValue = Pick<StoredEntry, "value" | "header" | "given">;

/** What is stored of a value: a text where the engine keeps texts, else bytes. */
type Content = Awaitable<string | Uint8Array>;

/**
 * What a stash does, by the canonical text of a key. `HashStash` is its public face; functions,
 * records and transfers work on it too.
 */
export class Handle extends Session {
  readonly codec: Codec;
  /** Where values come back frozen. */
  readonly #frozen: FrozenValues | undefined;

  /** @throws {TypeError | RangeError} When an option makes no sense. */
  constructor(options: HashStashOptions, settings?: SessionSettings) {
    super(options, settings);
    const { serializer, compress, b64, maxValueBytes, frozen } = this.options;
    this.codec = new Codec({ serializer, compress, b64, maxValueBytes });
    if (frozen) this.#frozen = new FrozenValues();
  }

  /**
   * The canonical texts and the keys. What is under a text that no key has, as another program
   * wrote it, is passed over: `check` names it.
   */
  async *keys(selection: SelectOptions): AsyncGenerator<[text: string, key: unknown]> {
    const { options: { dbname } } = this;
    const texts = this.iterate(
      "keys",
      (store) => selectedKeys(store, selection, this.tagSpace(), dbname),
    );
    for await (const text of texts) {
      const key = keyOf(text);
      if (key !== undefined) yield [text, key.key];
    }
  }

  /** The same with the entries. */
  async *entries(
    operation: string,
    selection: SelectOptions = {},
  ): AsyncGenerator<[string, unknown, StoredEntry]> {
    const { options: { dbname } } = this;
    const entries = this.iterate<[string, StoredEntry]>(
      operation,
      (store) => selectedEntries(store, selection, this.tagSpace(), dbname),
      ([, { value }]) => value.length,
    );
    for await (const [text, entry] of entries) {
      const key = keyOf(text);
      if (key !== undefined) yield [text, key.key, entry];
    }
  }

  /** A handle on a store inside this one, with the same options but for `changes`. */
  sub(dbname: string, changes: HashStashOptions = {}, kind?: Handle["kind"]): Handle {
    this.hasInside = true;
    const options = {
      ...this.#derivedOptions(changes),
      dbname: `${this.options.dbname}/${dbname}`,
    };
    return new Handle(options, { kind, parent: kind === "function" ? this : undefined });
  }

  /** A handle on a store of its own with the same options, removed when it is closed. */
  tmp(changes: HashStashOptions): Handle {
    const name = TEMPORARY + crypto.randomUUID();
    const merged = this.#derivedOptions({ name, ...changes });
    merged.engineOptions = withoutFilePath(merged.engineOptions);
    const checked = checkOptions(merged);
    // In a folder of its parent's root: the permissions are there, and so is the disk that is
    // measured.
    const rootDir = needsRootDir(checked) ? join(rootDirOf(checked)!, name) : name;
    return new Handle({ ...merged, rootDir }, { temporary: true });
  }

  // In one piece, as set is: at a microsecond or two for a read from memory or LMDB, each further
  // promise shows. For the same reason a call enters the order only when it may have to wait, or
  // others for it.
  /**
   * The value under a key, or the default.
   *
   * @param readHeaded Reads an entry with a header in the place of `read`; when it gives `ABSENT`,
   * the entry counts as absent.
   */
  async get(
    text: string,
    defaultValue: unknown,
    readHeaded?: (handle: Handle, entry: EntryValue, text: string) => Awaitable<unknown>,
  ): Promise<unknown> {
    this.enter("get");
    const begin = this.watch.beginGet();
    let call: Call | undefined;
    try {
      if (this.store === undefined || !this.order.isFree(text, "read")) {
        const ahead = this.order.ahead(text, "read");
        call = this.order.enter(text, "read");
        if (ahead !== undefined) await ahead;
        if (this.store === undefined) await this.ensureOpen();
      }
      const kept = this.texts?.getText(text);
      if (kept !== undefined) {
        const value = this.#decode(kept, text);
        this.stats.hits++;
        if (begin !== 0) this.watch.looked("hit", text, since(begin), kept.length);
        return value;
      }
      const found = this.store!.getValue(text);
      if (found instanceof Promise) call ??= this.order.enter(text, "read");
      const entry = found instanceof Promise ? await found : found;
      if (call !== undefined) call = this.#leave(text, call);
      if (entry === undefined) {
        this.stats.misses++;
        if (begin !== 0) this.watch.looked("miss", text, since(begin));
        return defaultValue;
      }
      const decoded = readHeaded !== undefined && hasHeader(entry)
        ? readHeaded(this, entry, text)
        : this.read(entry, text);
      const value = decoded instanceof Promise ? await decoded : decoded;
      if (value === ABSENT) {
        this.stats.misses++;
        if (begin !== 0) this.watch.looked("miss", text, since(begin));
        return defaultValue;
      }
      this.stats.hits++;
      if (begin !== 0) this.watch.looked("hit", text, since(begin), entry.value.length);
      return value;
    } catch (thrown) {
      if (begin !== 0) this.watch.count("get", begin, { thrown });
      throw thrown;
    } finally {
      if (call !== undefined) this.#leave(text, call);
      this.leave();
    }
  }

  /** The entry under a key, with its deadline: to be served, and not to decide anything by. */
  async getEntry(text: string): Promise<Entry | undefined> {
    return await this.onKeys("get", [text], "read", (store) => this.servedEntry(store, text));
  }

  /** The same, of the opened store. */
  servedEntry(store: Store, text: string): Awaitable<Entry | undefined> {
    // A near tier has the whole entry with the value.
    if (this.options.near === undefined) return store.get(text);
    return store.getValue(text) as Awaitable<Entry | undefined>;
  }

  /** The entries under many keys, likewise. */
  servedEntries(store: Store, texts: string[]): Awaitable<(Entry | undefined)[]> {
    if (this.options.near === undefined) return store.getMany(texts);
    return store.getValues(texts) as Awaitable<(Entry | undefined)[]>;
  }

  /**
   * Changes fields of the header of an entry, if it is still as it was read, and nothing else of
   * it: in append mode that makes no version. Whether it did.
   */
  async amend(text: string, entry: StoredEntry, fields: Header): Promise<boolean> {
    const { value, expiresAt, timestamp = Date.now() } = given(entry);
    const next = { value: withHeader(value, fields), expiresAt, timestamp };
    return await this.run("amend", () => this.latest!.compareAndSet(text, entry, next), true);
  }

  /** Stores the value as it is now. */
  async set(text: string, value: unknown, options?: SetOptions): Promise<void> {
    const timestamp = Date.now();
    const expiresAt = deadline(options, this.options.ttl, timestamp);
    const tags = checkTags(options?.tags);
    // Before anything is awaited: the caller may change the value once set has been called.
    const encoding = this.#encode(value, tags);
    if (this.closing !== undefined) {
      await encoding;
      this.refuse("set");
    }
    this.active++;
    const begin = this.watch.beginSet();
    let call: Call | undefined;
    try {
      const isLater = encoding instanceof Promise;
      if (isLater || this.store === undefined || !this.order.isFree(text, "write")) {
        const ahead = this.order.ahead(text, "write");
        call = this.order.enter(text, "write");
        // One that fails before it is its turn is told then: who comes behind it relies on its
        // waiting for those ahead of it.
        if (isLater) encoding.catch(() => undefined);
        if (ahead !== undefined) await ahead;
        if (this.store === undefined) await this.ensureOpen();
      }
      const content = isLater ? await encoding : encoding;
      // The modify around it would find the entry changed, and run its function again, for ever.
      this.refuseInModify(text, "set entry inside the modify of its key");
      const done = typeof content === "string"
        ? this.texts!.setText(text, content, { expiresAt, timestamp })
        : this.store!.set(text, { value: withTags(content, tags), expiresAt, timestamp });
      if (done instanceof Promise) {
        call ??= this.order.enter(text, "write");
        await done;
      }
      if (hasRuns()) overtakeRuns(this.place, text);
      this.stats.sets++;
      if (begin !== 0) this.watch.stored(text, content.length, begin);
    } catch (thrown) {
      if (begin !== 0) this.watch.count("set", begin, { thrown });
      throw thrown;
    } finally {
      if (call !== undefined) this.#leave(text, call);
      this.leave();
    }
  }

  /** Whether the key is there. */
  async has(text: string): Promise<boolean> {
    return await this.onKeys("has", [text], "read", (store) => store.has(text));
  }

  /** When the entry ends, ms since the epoch; `Infinity`: never; `undefined`: it is absent. */
  async expiresAt(text: string): Promise<number | undefined> {
    return await this.onKeys("expiresAt", [text], "read", async (store) => {
      const entry = await store.get(text);
      return entry && (entry.expiresAt ?? Infinity);
    });
  }

  /** The value under a key with what is known of it. */
  async entry(text: string): Promise<StashEntry<unknown> | undefined> {
    const found = await this.onKeys("entry", [text], "read", (store) => store.get(text));
    if (found === undefined) return undefined;
    const { expiresAt } = found;
    const fresh = freshUntil(found);
    const { value, timestamp, version } = await this.version(found, text);
    return {
      value,
      ...(timestamp === 0 ? {} : { timestamp }),
      ...(expiresAt === undefined ? {} : { expiresAt, freshUntil: fresh }),
      stale: Date.now() >= fresh,
      tags: [...opened(found).header?.tags ?? []],
      version,
    };
  }

  /** Moves the deadline of an entry, in append mode of the latest; whether it was there. */
  async touch(text: string, options?: TouchOptions): Promise<boolean> {
    const { ttl } = this.options;
    checkDeadline(options);
    return await this.onKeys("touch", [text], "write", async () => {
      // The modify around it would find the entry changed, and run its function again, for ever.
      this.refuseInModify(text, "touch entry inside the modify of its key");
      for (let attempt = 0;; attempt++) {
        const entry: StoredEntry | undefined = await this.latest!.get(text);
        if (entry === undefined) return false;
        const now = Date.now();
        const fresh = deadline(options, ttl, now);
        // It is kept for as long after its new end as it would have been after the old one.
        const expiresAt = fresh && fresh + (opened(entry).header?.stale ?? 0);
        const next = { value: given(entry).value, expiresAt, timestamp: entry.timestamp ?? now };
        if (await this.latest!.compareAndSet(text, entry, next)) return true;
        await backoff(attempt);
      }
    });
  }

  /** Removes a key; whether it was there. */
  async delete(text: string): Promise<boolean> {
    return await this.onKeys("delete", [text], "write", async (store) => {
      await this.decideOtherwise([text]);
      const deleted = await store.delete(text);
      if (deleted) this.#deleted(text);
      return deleted;
    });
  }

  /**
   * Removes a key in the state in which it is read now; whether nobody changed it meanwhile.
   *
   * @param check Throws where that is not what was to be removed.
   */
  async deleteUnchanged(text: string, check: (entry: StoredEntry) => void): Promise<boolean> {
    return await this.onKeys("delete", [text], "write", async (store) => {
      const entry = await store.get(text);
      if (entry === undefined) return false;
      check(entry);
      await this.decideOtherwise([text]);
      const [deleted] = await store.deleteUnchanged([[text, entry]]);
      if (deleted) this.#deleted(text);
      return deleted;
    });
  }

  /** The stored value, or the default just stored. */
  async setDefault(text: string, value: unknown, options?: SetOptions): Promise<unknown> {
    const { tags, ...times } = checkSetOptions(options);
    const [, encoding] = this.#encoded([text, value]);
    return await this.onKeys("setDefault", [text], "write", async (store) => {
      const bytes = withTags(await encoding, tags);
      for (let attempt = 0;; attempt++) {
        const entry = await store.get(text);
        if (entry !== undefined) {
          this.stats.hits++;
          const value = await this.read(entry, text);
          this.watch.looked("hit", text, undefined, entry.value.length);
          return value;
        }
        const timestamp = Date.now();
        const expiresAt = deadline(times, this.options.ttl, timestamp);
        if (await store.compareAndSet(text, undefined, { value: bytes, expiresAt, timestamp })) {
          if (hasRuns()) overtakeRuns(this.place, text);
          this.stats.misses++;
          this.stats.sets++;
          this.watch.looked("miss", text);
          this.watch.stored(text, bytes.length);
          return this.#frozen === undefined ? value : await this.read({ value: bytes }, text);
        }
        await backoff(attempt);
      }
    });
  }

  /** Removes a key and gives its value to this caller alone; the default when it is absent. */
  async pop(text: string, defaultValue: unknown): Promise<unknown> {
    return await this.onKeys("pop", [text], "write", async (store) => {
      const value = await this.#pop(store, text);
      if (value !== ABSENT) return value;
      this.stats.misses++;
      this.watch.looked("miss", text);
      return defaultValue;
    });
  }

  /** Removes some key and gives it with its value to this caller alone. */
  async popItem(): Promise<[key: unknown, value: unknown] | undefined> {
    // In one step: a `set` that is called after it must not be what it takes.
    return await this.onAll("popItem", async (store) => {
      for await (const text of store.keys()) {
        const key = keyOf(text);
        if (key === undefined) continue;
        const value = await this.#pop(store, text);
        if (value !== ABSENT) return [key.key, value];
      }
    });
  }

  /** Reads, changes and stores a value. */
  async modify(
    text: string,
    fn: (current: unknown) => unknown,
    options?: SetOptions,
  ): Promise<unknown> {
    const checked = checkSetOptions(options);
    return await this.watch.counting("modify", () => this.#modify(text, fn, checked));
  }

  async #modify(
    text: string,
    fn: (current: unknown) => unknown,
    checked: CheckedSetOptions,
  ): Promise<unknown> {
    return await this.run("modify", async (store) => {
      this.refuseInModify(text, "modify entry inside the modify of its key");
      // Only its reads and writes are in the order of calls: the function may take its time.
      return await exclusive(this.place + text, "modify the entry", async (turn) => {
        for (let attempt = 0;; attempt++) {
          // Before the entry: what is invalidated while the function runs has been read by it.
          const seq = checked.tags === undefined ? undefined : await this.tagSpace().clock();
          const entry = await this.order.onKeys([text], "read", () => store.get(text));
          const current = entry && await this.read(entry, text);
          const operation = new Operation(this.place, `modify ${text}`, this);
          turn.waitsFor.add(operation);
          const next = await operation.run(() => fn(current));
          turn.waitsFor.delete(operation);
          if (await this.#modifyOnce(store, text, entry, next, { ...checked, seq })) {
            return this.#frozen === undefined ? next : await this.#asStored(next, text);
          }
          await backoff(attempt);
        }
      });
    });
  }

  /** The values of many keys in their order, `undefined` where absent. */
  async getMany(texts: string[]): Promise<unknown[]> {
    return await this.onKeys("getMany", texts, "read", async (store) => {
      const isWatched = this.watch.wants("hit") || this.watch.wants("miss");
      const values: unknown[] = [];
      for (const group of groupsOf(texts, BATCH)) {
        for (const entry of await this.#contentsOf(store, group)) {
          const text = texts[values.length];
          const value = typeof entry === "string"
            ? this.#decode(entry, text)
            : entry && this.read(entry, text);
          // Most are there at once; to wait for each nevertheless would show in the time of a batch.
          values.push(value instanceof Promise ? await value : value);
          if (entry) this.stats.hits++;
          else this.stats.misses++;
          if (isWatched) {
            const bytes = typeof entry === "string" ? entry.length : entry?.value.length;
            this.watch.looked(entry ? "hit" : "miss", text, undefined, bytes);
          }
        }
      }
      return values;
    });
  }

  /** What is under the keys: texts, where they are kept as such, and the values of entries. */
  #contentsOf(
    store: Store,
    keys: string[],
  ): Awaitable<readonly (string | EntryValue | undefined)[]> {
    const texts = this.texts;
    if (texts === undefined) return store.getValues(keys);
    const contents = keys.map((key): string | EntryValue | undefined => texts.getText(key));
    const others = keys.filter((_, i) => contents[i] === undefined);
    if (others.length === 0) return contents;
    return whenReady(store.getValues(others), (found) => {
      let next = 0;
      return contents.map((content) => content ?? found[next++]);
    });
  }

  /**
   * Stores many pairs of canonical text and value, in batches: what is in memory already as it is
   * now, what comes from a generator as it is when it comes.
   */
  async setMany(source: TextPairs, options?: SetOptions): Promise<void> {
    const checked = checkSetOptions(options);
    if ("snapshot" in source) {
      const pairs = source.snapshot.map(([text, value]): [string, Content] => {
        return [text, handled(this.#encode(value, checked.tags, true))];
      });
      const texts = pairs.map(([text]) => text);
      await this.onKeys(
        "setMany",
        texts,
        "write",
        (store) => this.#setPairs(store, pairs, checked),
      );
    } else {
      const setAll = async (store: Store) => {
        const encoded = this.#encodedInTurn(source.lazy);
        for await (const batch of batches(encoded, BATCH, BATCH_BYTES, sizeOf)) {
          const texts = batch.map(([text]) => text);
          await this.order.onKeys(texts, "write", () => this.#setPairs(store, batch, checked));
        }
      };
      await this.watch.counting("setMany", () => this.run("setMany", setAll));
    }
  }

  /** Removes many keys; how many were there. */
  async deleteMany(texts: string[]): Promise<number> {
    return await this.onKeys("deleteMany", texts, "write", async (store) => {
      let deleted = 0;
      for (const batch of groupsOf(texts, BATCH)) {
        await this.decideOtherwise(batch);
        const there = this.watch.wants("delete") ? await thoseThere(store, batch) : [];
        deleted += await store.deleteMany(batch);
        for (const text of there) this.watch.tell("delete", text);
      }
      this.stats.deletes += deleted;
      return deleted;
    });
  }

  /** Every version of a key, oldest first; without append mode the one there is. */
  async getAll(text: string): Promise<Version<unknown>[]> {
    return await this.onKeys("getAll", [text], "read", async (store) => {
      const head = await store.get(text);
      if (head === undefined) return [];
      const versions = await Array.fromAsync(this.versions(text, head));
      return await Promise.all(versions.map((entry) => this.version(entry, text)));
    });
  }

  /** Every version of a key from its latest one, oldest first, as they are stored. */
  async *versions(text: string, head: Entry): AsyncGenerator<StoredEntry> {
    try {
      yield* versionsOf(text, head, () => this.side(RESERVED_DBNAMES.versions));
    } catch (error) {
      throw unreadable(error, this.engine, text);
    }
  }

  /** A value as it would come from the store. */
  async #asStored(value: unknown, text: string): Promise<unknown> {
    return await this.read({ value: await this.codec.encode(value) }, text);
  }

  /** The value of an entry. */
  read(entry: StoredValue, text: string): Awaitable<unknown> {
    const frozen = this.#frozen;
    if (frozen === undefined) return this.#decode(entry, text);
    const { value: bytes } = entry.given ?? entry;
    return frozen.known(bytes) ??
      whenReady(this.#decode(entry, text), (value) => frozen.made(bytes, value));
  }

  #decode(entry: StoredValue | string, text: string): Awaitable<unknown> {
    try {
      if (typeof entry === "string") return this.codec.decodeText(entry);
      const value = this.codec.decode(valueOf(entry));
      return value instanceof Promise
        ? value.catch((error) => {
          throw unreadable(error, this.engine, text);
        })
        : value;
    } catch (error) {
      throw unreadable(error, this.engine, text);
    }
  }

  /** The value of an entry with its version. */
  async version(entry: StoredEntry, text: string): Promise<Version<unknown>> {
    const value = await this.read(entry, text);
    const { header } = opened(entry);
    return {
      version: header?.version ?? 1,
      timestamp: header?.timestamp ?? entry.timestamp ?? 0,
      value,
    };
  }

  /** Removes all entries, with `deep` also those of the stores inside. */
  async clear(deep: boolean): Promise<void> {
    await this.onAll("clear", (store) => this.clearStore(store, deep));
  }

  /** Removes the entries that have one of the tags, or whose key is a text and begins so. */
  async invalidate(what: { tags: string[] } | { prefix: string }): Promise<number> {
    return await this.onAll("invalidate", async (store) => {
      const removed = "tags" in what
        ? await this.tagSpace().invalidate(what.tags)
        : await this.#removePrefix(store, what.prefix);
      this.stats.deletes += removed;
      this.watch.tell("invalidate", undefined, { count: removed });
      return removed;
    });
  }

  async #removePrefix(store: Store, prefix: string): Promise<number> {
    const isMeant = (text: string) => beginsWith(text, prefix);
    if (hasRuns()) overtakeRuns(this.place, isMeant);
    const leases = await this.knownLeases(store);
    let removed = 0;
    for (const start of textPrefixes(prefix)) {
      if (leases !== undefined) await revokeLeasesOf(leases, start, isMeant);
      for await (const batch of batches(store.keys(start), BATCH)) {
        const texts = batch.filter(isMeant);
        if (texts.length === 0) continue;
        await this.decideOtherwise(texts);
        removed += await store.deleteMany(texts);
      }
    }
    return removed;
  }

  /** Drops what has expired; how many entries. */
  async prune(): Promise<number> {
    return await this.onAll("prune", async (store) => {
      const named = this.expired;
      const pruned = await store.prune();
      const count = pruned - (this.expired - named);
      if (count > 0) this.watch.tell("expire", undefined, { count });
      for (const side of this.others.values()) await (await side).prune();
      await this.pruneLeases(store);
      return pruned;
    });
  }

  /** Looks at everything that is stored. */
  async check(options: CheckOptions): Promise<StashCheck> {
    return await this.onAll("check", async (store) => {
      const { appendMode } = this.options;
      if (options.fix) await this.pruneLeases(store);
      const earlier = appendMode ? await this.side(RESERVED_DBNAMES.versions) : undefined;
      return await checkStore(this, store, options, earlier);
    });
  }

  /** How many entries there are. */
  async size(): Promise<number> {
    return await this.onAll("size", (store) => store.size());
  }

  /** Bytes on disk or in the server. */
  async byteSize(): Promise<number> {
    return await this.onAll("byteSize", (store) => store.byteSize());
  }

  /** How much this store holds, by what is known of it if it has limits. */
  async usage(): Promise<Usage> {
    return await this.onAll("usage", (store) => store.usage());
  }

  /** What this store and those inside it hold. */
  async stores(): Promise<StoreInfo[]> {
    const { kind, options: { dbname } } = this;
    return await this.onAll("stores", (store) => storesIn(store, dbname, kind === "function"));
  }

  async #pop(store: Store, text: string): Promise<unknown> {
    for (let attempt = 0;; attempt++) {
      await this.decideOtherwise([text]);
      const entry = await store.get(text);
      if (entry === undefined) return ABSENT;
      // Decoded before it is removed: a value that can't be read must not be lost.
      const value = await this.read(entry, text);
      if (await store.compareAndSet(text, entry, undefined)) {
        this.stats.hits++;
        this.watch.looked("hit", text, undefined, entry.value.length);
        this.#deleted(text);
        return value;
      }
      await backoff(attempt);
    }
  }

  #deleted(text: string): void {
    this.stats.deletes++;
    this.watch.tell("delete", text);
  }

  /**
   * What is stored of a value, as it is now.
   *
   * @param asText Whether a text is welcome.
   */
  #encode(
    value: unknown,
    tags: readonly string[] | undefined,
    asText = this.texts !== undefined,
  ): Content {
    // Tags stand before the bytes.
    const text = asText && tags === undefined ? this.codec.encodeText(value) : undefined;
    return text ?? this.codec.encode(value);
  }

  #encoded([text, value]: readonly [string, unknown]): [string, Awaitable<Uint8Array>] {
    return [text, handled(this.codec.encode(value))];
  }

  /** Pairs with encoded values: how many bytes one has is known only when it has been encoded. */
  async *#encodedInTurn(
    pairs: AsyncIterable<readonly [string, unknown]>,
  ): AsyncGenerator<[string, Uint8Array]> {
    const begun: [string, Awaitable<Uint8Array>][] = [];
    const first = async (): Promise<[string, Uint8Array]> => {
      const [text, encoding] = begun.shift()!;
      return [text, encoding instanceof Promise ? await encoding : encoding];
    };
    for await (const pair of pairs) {
      begun.push(this.#encoded(pair));
      if (begun.length === ENCODED_AT_ONCE) yield await first();
    }
    while (begun.length > 0) yield await first();
  }

  /** Stores pairs in batches of what an engine takes at once. */
  async #setPairs(
    store: Store,
    pairs: readonly [string, Content][],
    { tags, ...times }: CheckedSetOptions,
  ): Promise<void> {
    const batch: [string, string | Uint8Array][] = [];
    let size = 0;
    // Looked at once for all that is there at once, as looking takes longer than the rest.
    const clock = () => {
      const timestamp = Date.now();
      return { timestamp, expiresAt: deadline(times, this.options.ttl, timestamp) };
    };
    let time = clock();
    const flush = async () => {
      const texts = batch.every(isText) ? this.texts : undefined;
      if (texts !== undefined) {
        for (const [text, content] of batch) texts.setText(text, content as string, time);
      } else {
        const contents = batch.map(([, content]) => content);
        // Who keeps bytes in memory would keep those of the whole batch for the sake of one; a near
        // tier keeps a copy.
        const isKept = !store.supports.persistent;
        const values = isKept ? contents.map(asBytes) : toBytesTogether(contents);
        for (let i = 0; i < batch.length; i++) batch[i][1] = values[i];
        await store.setMany(batch.map(([text], i): [string, NewEntry] => {
          return [text, { value: withTags(values[i], tags), ...time }];
        }));
      }
      if (hasRuns()) { for (const [text] of batch) overtakeRuns(this.place, text); }
      this.stats.sets += batch.length;
      if (this.watch.wants("set")) {
        for (const [text, { length }] of batch) this.watch.stored(text, length);
      }
      batch.length = size = 0;
    };
    for (const [text, encoding] of pairs) {
      this.refuseInModify(text, "set entry inside the modify of its key");
      // Most are there at once; to wait for each nevertheless would show in the time of a batch.
      const content = encoding instanceof Promise ? await encoding : encoding;
      const own = sizeOf([text, content]);
      if (batch.length === BATCH || batch.length > 0 && size + own > BATCH_BYTES) await flush();
      if (batch.length === 0) time = clock();
      batch.push([text, content]);
      size += own;
    }
    if (batch.length > 0) await flush();
  }

  /** Refuses what the function of a modify of the key, however indirectly, does to the same key. */
  refuseInModify(text: string, what: string): void {
    refuseWithin(({ subject }) => subject === `${this.place}modify ${text}`, what);
  }

  /** One try of `modify`; whether the entry was still as it was read. */
  async #modifyOnce(
    store: Store,
    text: string,
    entry: Entry | undefined,
    value: unknown,
    { tags, seq, ...times }: CheckedSetOptions & { readonly seq?: number },
  ): Promise<boolean> {
    if (value === undefined) {
      return await this.order.onKeys([text], "write", async () => {
        // Also of a key that is absent, as `delete` does: who computes it must not store it.
        await this.decideOtherwise([text]);
        if (entry === undefined) return true;
        const isDone = await store.compareAndSet(text, entry, undefined);
        if (isDone) this.#deleted(text);
        return isDone;
      });
    }
    const timestamp = Date.now();
    const { ttl } = this.options;
    const isOwn = times.ttl !== undefined || times.expiresAt !== undefined || ttl !== Infinity;
    const expiresAt = isOwn ? deadline(times, ttl, timestamp) : entry?.expiresAt;
    const before = entry && opened(entry).header;
    const fields: Header = {
      // With the deadline stays what part of its time is that of a stale result.
      stale: expiresAt === entry?.expiresAt ? before?.stale : undefined,
      // All that belongs to its tags stays: whose they are, and since when they have counted.
      ...(tags === undefined
        ? { tags: before?.tags, seq: before?.seq, row: before?.row, space: before?.space }
        : tags.length > 0
        ? { tags, seq }
        : {}),
    };
    const encoded = await this.codec.encode(value);
    const isPlain = Object.values(fields).every((field) => field === undefined);
    const bytes = isPlain ? encoded : withHeader(encoded, fields);
    const next = { value: bytes, expiresAt, timestamp };
    return await this.order.onKeys([text], "write", async () => {
      if (!await store.compareAndSet(text, entry, next)) return false;
      if (hasRuns()) overtakeRuns(this.place, text);
      this.stats.sets++;
      this.watch.stored(text, bytes.length);
      return true;
    });
  }

  /**
   * The options of a handle made from this one: the same but for `changes`; another engine has
   * options of its own.
   */
  #derivedOptions(changes: HashStashOptions): HashStashOptions {
    const { engine } = this.options;
    const same = changes.engine === undefined || changes.engine === engine;
    return {
      ...this.options,
      clear: false,
      ...(same ? {} : { engineOptions: undefined }),
      ...changes,
    };
  }

  #leave(text: string, call: Call): undefined {
    this.order.leave(text, call);
  }
}

/** Stored bytes that say which tags they have; as they are, without any. */
function withTags(bytes: Uint8Array, tags: readonly string[] = []): Uint8Array {
  return tags.length === 0 ? bytes : withHeader(bytes, { tags });
}

/** Those of the keys that are there. */
async function thoseThere(store: Store, texts: readonly string[]): Promise<string[]> {
  const unique = [...new Set(texts)];
  const isThere = await each(unique, (text) => store.has(text));
  return unique.filter((_, i) => isThere[i]);
}

/** One that fails before it is its turn is told then. */
function handled<T>(work: Awaitable<T>): Awaitable<T> {
  if (work instanceof Promise) work.catch(() => undefined);
  return work;
}

function isText([, content]: readonly [string, string | Uint8Array]): boolean {
  return typeof content === "string";
}

function asBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? toBytes(content) : content;
}

function sizeOf([text, value]: readonly [string, string | Uint8Array]): number {
  return text.length + value.length;
}
