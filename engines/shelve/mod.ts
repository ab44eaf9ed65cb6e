/**
 * Entries in Deno KV: a file, memory, Deno's own place, or a KV Connect server.
 *
 * @module
 */
import type {
  Bus,
  Engine,
  EngineCheck,
  EngineCheckOptions,
  EngineLocation,
  EngineSupports,
  Entry,
  EntryValue,
  FoundStore,
  Guard,
  NewEntry,
} from "../engine.ts";
import { each } from "../each.ts";
import { messageOf } from "../errors.ts";
import { builtIn } from "../built_in.ts";
import type { ShelveEngineOptions } from "../engine_options.ts";
import { isExpired } from "../expiry.ts";
import { explainFile } from "../file_failures.ts";
import { guardStore } from "../guard.ts";
import { nameInside } from "../nested.ts";
import { holdNames } from "../names.ts";
import { checkOptionNames, choiceOption, type EngineOptions } from "../options.ts";
import type { FileHold } from "../shared.ts";
import { isPermissionDenied } from "../../platform/errors.ts";
import type { KvConsistency } from "../../platform/kv.ts";
import { busIn } from "./bus.ts";
import { checkStore } from "./check.ts";
import type { Revision } from "./chunks.ts";
import { isBusy, isDamage, type KvClient } from "./client.ts";
import { keyId, StoreKeys } from "./format.ts";
import { type Place, placeOf } from "./address.ts";
import { openPlace } from "./place.ts";
import { isLive, type KvGuard, KvStore, unpack } from "./store.ts";

const ABSENT: Revision = { versionstamp: null };

class ShelveEngine implements Engine {
  readonly name = "shelve";
  readonly path: string;
  readonly supports: EngineSupports;
  readonly #place: Place;
  readonly #location: EngineLocation;
  /** How new the values must be that are read to be served. */
  readonly #consistency: KvConsistency | undefined;
  #hold!: FileHold<KvClient>;
  #store!: KvStore;
  #following: Promise<void> | undefined;

  constructor(location: EngineLocation, place: Place, consistency: KvConsistency | undefined) {
    this.path = place.path;
    const isMemory = place.kind === "memory";
    this.supports = { persistent: !isMemory, shared: !isMemory, guard: true, stores: true };
    this.#place = place;
    this.#location = location;
    // A stash's own stores decide what is valid: what they say is never old.
    this.#consistency = isOwn(location.dbname) ? undefined : consistency;
  }

  async open(): Promise<void> {
    const { kind, path, mode, names } = this.#place;
    if (kind === "file") await holdNames(names, path, mode);
    this.#hold = await openPlace(this.#place, this.#location);
    this.#store = new KvStore(this.#hold.resource, StoreKeys.of(this.#location));
    const { dbname } = this.#location;
    if (this.#store.keys.dbname !== dbname) await this.#store.note(dbname);
  }

  async close(): Promise<void> {
    await this.#hold.release();
  }

  async get(key: string): Promise<Entry | undefined> {
    const store = await this.#current();
    return await store.read(key, await store.find(keyId(key)));
  }

  async has(key: string): Promise<boolean> {
    const store = await this.#current();
    const found = await store.find(keyId(key));
    return found.versionstamp !== null && !isExpired(unpack(key, found));
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const store = await this.#current();
    const found = await store.findAll(keys.map(keyId));
    return await each(keys, (key, i) => store.read(key, found[i]));
  }

  async getValue(key: string): Promise<EntryValue | undefined> {
    const store = await this.#current();
    // Its chunks, and what has replaced it where they have gone, are read as they are now.
    return await store.read(key, await store.find(keyId(key), this.#consistency));
  }

  async getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    const store = await this.#current();
    const found = await store.findAll(keys.map(keyId), this.#consistency);
    return await each(keys, (key, i) => store.read(key, found[i]));
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await (await this.#current()).write(key, entry);
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    await (await this.#current()).writeMany(pairs);
  }

  async delete(key: string): Promise<boolean> {
    return await (await this.#current()).delete(keyId(key));
  }

  async deleteMany(keys: string[]): Promise<number> {
    return await (await this.#current()).deleteMany([...new Set(keys)].map(keyId));
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const states = entries.map(([key, { revision, expiresAt }]) => ({
      id: keyId(key),
      revision: revision as Revision,
      expiresAt,
    }));
    return await (await this.#current()).removeUnchanged(states);
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    const store = await this.#current();
    const id = keyId(key);
    const other = guard && guardStore(ShelveEngine, guard).#kvGuard(guard.key, guard.expected);
    if (expected !== undefined) {
      if (isExpired(expected)) return false;
      const revision = expected.revision as Revision;
      if (next === undefined) return await store.remove(id, revision, other);
      return await store.write(key, next, revision, other);
    }
    if (next === undefined) {
      return !isLive(await store.find(id)) && (other === undefined || await store.holds(other));
    }
    for (let revision = ABSENT;;) {
      if (await store.write(key, next, revision, other)) return true;
      if (other !== undefined && !await store.holds(other)) return false;
      const found = await store.find(id);
      if (isLive(found)) return false;
      // Gone meanwhile, or there but past its deadline.
      revision = await store.revisionOf(id, found);
    }
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    const store = await this.#current();
    for await (const found of store.live(prefix)) {
      const key = await store.textOf(found);
      if (key?.startsWith(prefix)) yield key;
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    const store = await this.#current();
    for await (const found of store.live(prefix)) {
      const key = await store.textOf(found);
      if (!key?.startsWith(prefix)) continue;
      const entry = await store.read(key, found);
      if (entry !== undefined) yield [key, entry];
    }
  }

  async size(): Promise<number> {
    const store = await this.#current();
    let count = 0;
    for await (const _ of store.live()) count++;
    return count;
  }

  async byteSize(): Promise<number> {
    const store = await this.#current();
    return (await store.usage()).bytes;
  }

  async prune(): Promise<number> {
    return await (await this.#current()).removeWhere((found) => !isLive(found));
  }

  async clear(deep = false): Promise<void> {
    const store = await this.#current();
    await store.clear();
    if (!deep) return;
    for await (const nested of this.#nested(store)) await nested.clear();
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    const store = await this.#current();
    yield { dbname: "", usage: counted ? await store.usage() : undefined };
    for await (const nested of this.#nested(store)) {
      const dbname = nameInside(this.#location.dbname, await nested.dbname());
      if (dbname) yield { dbname, usage: counted ? await nested.usage() : undefined };
    }
  }

  /** The stores nested in one: from one to the next, without a look at what lies between. */
  async *#nested({ keys }: KvStore): AsyncGenerator<KvStore> {
    const client = this.#hold.resource;
    let last: StoreKeys | undefined;
    for (;;) {
      const { value } = await client.list(keys.nested(last), { limit: 1 }).next();
      if (value === undefined) return;
      last = StoreKeys.holding(value.key);
      yield new KvStore(client, last);
    }
  }

  async check({ fix, signal }: EngineCheckOptions): Promise<EngineCheck> {
    return await checkStore(await this.#current(), fix, signal);
  }

  bus(): Bus | undefined {
    const { kind } = this.#place;
    if (kind === "memory") return undefined;
    return busIn(this.#hold.resource, this.#location.name, kind === "file" ? "poll" : "watch");
  }

  /** An entry of this store in a state, for another store of the same database. */
  #kvGuard(key: string, { revision, expiresAt }: Entry): KvGuard {
    const { versionstamp } = revision as Revision;
    return { key: this.#store.keys.entry(keyId(key)), versionstamp, expiresAt };
  }

  /** The store in the database that is at the path now. */
  async #current(): Promise<KvStore> {
    if (this.#hold.isOutdated()) {
      const hold = this.#hold;
      this.#following ??= this.open()
        .then(() => hold.release())
        .finally(() => this.#following = undefined);
      await this.#following;
    }
    return this.#store;
  }

  explain(error: unknown): string {
    const { kind, path } = this.#place;
    // The library hangs the stack of its own machine code onto its messages.
    const [message] = messageOf(error).split("\n\nStack backtrace:");
    if (isPermissionDenied(error)) return message;
    const database = kind === "file" ? `"${path}"` : path;
    if (isBusy(error)) {
      return `other processes have kept ${database} locked for too long; end them or try later`;
    }
    if (isDamage(error)) {
      return `${database} is damaged, or no Deno KV database (${message}); restore it from a ` +
        "copy, move it away or use another path";
    }
    if (/read-?only/i.test(message)) {
      return `${database} can only be read here; change its owner or mode to write to it`;
    }
    if (/disk is full/.test(message)) return `the disk of ${database} is full; free some space`;
    if (/unable to open/.test(message)) {
      return `${database} cannot be opened or made; check that it is a file in a folder that may ` +
        "be written";
    }
    return explainFile(error, path) ?? `${message} (${path})`;
  }
}

/**
 * Makes the engine "shelve", for the option `engine` of a stash: then the engine is part of the
 * program, which can be bundled, vendored or run without a network.
 *
 * @param location The root folder and the names.
 * @param engineOptions As in the option `engineOptions` of a stash.
 * @throws {TypeError | RangeError} When an option is unknown or has a wrong value.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 * import { shelve } from "@hashstash/hashstash/engines/shelve";
 *
 * await using stash = new HashStash({
 *   name: "my_cache",
 *   engine: shelve,
 *   engineOptions: { path: ":memory:" },
 * });
 * await stash.set("key", { any: "value" });
 * console.log(stash.engine, await stash.get("key")); // shelve { any: "value" }
 * ```
 */
export function shelve(location: EngineLocation, engineOptions: ShelveEngineOptions = {}): Engine {
  const options: EngineOptions = { ...engineOptions };
  checkOptionNames("shelve", options, ["path", "kv", "mode", "consistency"]);
  const consistency = choiceOption("shelve", options, "consistency", ["strong", "eventual"]);
  return new ShelveEngine(location, placeOf(location, options), consistency);
}

/** Whether a stash keeps this store for itself, inside one of its own: `main/.tags`. */
function isOwn(dbname: string): boolean {
  return /(^|\/)\.[^/]*$/.test(dbname);
}

builtIn("shelve", shelve);

export type {
  /** `engineOptions` of shelve. */
  ShelveEngineOptions,
};
