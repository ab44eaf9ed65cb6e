/** How entries are kept in Deno KV: reading, writing and listing them. */
import { encodeHex } from "@std/encoding/hex";
import { DecodeError } from "../../codec/errors.ts";
import { each, groupsOf } from "../each.ts";
import type { Entry, NewEntry, StoreUsage } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { isExpired } from "../expiry.ts";
import { Tally, utf8Length } from "../tally.ts";
import type {
  KvConsistency,
  KvEntry,
  KvEntryMaybe,
  KvKey,
  KvOperation,
} from "../../platform/kv.ts";
import { ChunkStore, KEYS_PER_READ, type Revision } from "./chunks.ts";
import type { KvClient } from "./client.ts";
import {
  isPointer,
  type KeyId,
  keyId,
  mayBeShortened,
  optional,
  packRecord,
  type StoredRecord,
  type StoreKeys,
  unpackRecord,
} from "./format.ts";

/**
 * Bytes of content that stand in an entry's own value: with its first line it stays below Deno KV's
 * 65,536.
 */
const INLINE = 65_000;
/** Deno KV's limit of changes in one commit. */
const SETS_PER_COMMIT = 1_000;
/** Bytes of keys and values in one commit; Deno KV takes 819,200. */
const BYTES_PER_COMMIT = 700_000;
/** Deadlines further away than this, ms, are not told to Deno KV: it refuses some of them. */
const LONGEST_HINT = 3e12;

/** What was found under an entry's KV key. */
export type Found = KvEntryMaybe;
/** An entry of any store in the database, in the state that it must be in. */
export interface KvGuard {
  readonly key: KvKey;
  readonly versionstamp: string | null;
  readonly expiresAt: number | undefined;
}

/** An entry in a state that was read. */
export interface KvState {
  readonly id: KeyId;
  readonly revision: Revision;
  readonly expiresAt: number | undefined;
}

type Pair = [key: string, entry: NewEntry];

const ABSENT: Revision = { versionstamp: null };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * One store in Deno KV.
 *
 * Content that is too large for Deno KV lies in chunks. Up to half a megabyte of them are stored in
 * the commit that stores the entry, and have its versionstamp. More take several commits: each such
 * write has chunks of its own, a generation, and only then its entry takes the place of the old
 * one. Either way a reader finds all chunks of the entry that it read, or sees that they have gone
 * and reads again. An entry in chunks has a pointer beside it: a write that doesn't read the old
 * entry learns by a check in its commit that there are chunks to remove.
 */
export class KvStore {
  readonly keys: StoreKeys;
  readonly chunks: ChunkStore;
  readonly #client: KvClient;
  /** Whether the store is known to have, or to have had, entries in chunks. */
  #marked = false;

  constructor(client: KvClient, keys: StoreKeys) {
    this.#client = client;
    this.keys = keys;
    this.chunks = new ChunkStore(client, keys);
  }

  /** What is under a key. */
  find(id: KeyId, consistency?: KvConsistency): Promise<Found> {
    return this.#client.get(this.keys.entry(id), consistency);
  }

  /** What is under each of the keys. */
  async findAll(ids: KeyId[], consistency?: KvConsistency): Promise<Found[]> {
    const groups = groupsOf(ids.map((id) => this.keys.entry(id)), KEYS_PER_READ);
    return (await each(groups, (group) => this.#client.getMany(group, consistency))).flat();
  }

  /** The entry that was found; looked for again when its chunks have been replaced meanwhile. */
  async read(key: string, found: Found): Promise<Entry | undefined> {
    const id = this.keys.idOf(found.key);
    let lost: string | undefined;
    for (;;) {
      if (found.versionstamp === null) return undefined;
      const record = unpack(key, found);
      if (isExpired(record)) return undefined;
      const content = record.content ?? await this.chunks.load(id, record, found.versionstamp);
      if (content !== undefined) {
        const { timestamp, expiresAt, chunks, keySize } = record;
        if (keySize !== undefined && textIn(content, keySize) !== key) {
          throw damaged(key, "it belongs to another key");
        }
        const revision: Revision = { versionstamp: found.versionstamp, chunks };
        return { value: content.subarray(keySize ?? 0), timestamp, expiresAt, revision };
      }
      if (lost === found.versionstamp) throw damaged(key, "some of its chunks are missing");
      lost = found.versionstamp;
      found = await this.find(id);
    }
  }

  /** Whether an entry of this database is in its state. */
  async holds(guard: KvGuard): Promise<boolean> {
    const { versionstamp } = await this.#client.get(guard.key);
    return versionstamp === guard.versionstamp && !isExpired(guard);
  }

  /**
   * Stores an entry; with `expected`, only in the place of this state, and with a guard only while
   * that is in its own. Whether it did.
   */
  async write(
    key: string,
    entry: NewEntry,
    expected?: Revision,
    guard?: KvGuard,
  ): Promise<boolean> {
    const id = keyId(key);
    const record = recordOf(key, id, entry);
    const large = record.size > INLINE ? record.content : undefined;
    const ttl = hint(entry.expiresAt);
    // Most entries are small, and so were those before them: without a need, the pointer is not
    // looked for but checked.
    let pointer = expected === undefined && large !== undefined
      ? await this.chunks.pointer(id)
      : ABSENT;
    for (;;) {
      const operation = this.#client.atomic();
      const { versionstamp, chunks: old } = expected ?? pointer;
      const checked = expected === undefined ? this.keys.pointer(id) : this.keys.entry(id);
      operation.check({ key: checked, versionstamp });
      if (guard !== undefined) operation.check(guard);
      const chunks = large &&
        await this.chunks.store(operation, id, large, ttl, entry.expiresAt);
      const removeRest = this.chunks.replace(operation, id, old, chunks, ttl);
      const stored = chunks === undefined ? record : { ...record, content: undefined, chunks };
      operation.set(this.keys.entry(id), packRecord(stored), ttl);
      if (await this.#commit(operation, guard)) {
        await removeRest();
        return true;
      }
      if (chunks !== undefined) await this.chunks.withdraw(id, chunks);
      if (expected !== undefined) return false;
      pointer = await this.chunks.pointer(id);
    }
  }

  async #commit(operation: KvOperation, guard: KvGuard | undefined): Promise<boolean> {
    // Deno KV keeps what has expired for some seconds.
    if (guard !== undefined && isExpired(guard)) return false;
    return (await this.#client.commit(operation)).ok;
  }

  /** Stores entries in as few commits as Deno KV allows. A later pair of the same key wins. */
  async writeMany(pairs: Pair[]): Promise<void> {
    const distinct = [...new Map(pairs)];
    const small = distinct.filter((pair) => this.#bytesOf(pair) <= INLINE);
    const large = distinct.filter((pair) => this.#bytesOf(pair) > INLINE);
    const limit = this.#marked ? this.#client.checksPerCommit : SETS_PER_COMMIT;
    const groups = groupsOf(small, limit, BYTES_PER_COMMIT, (pair) => this.#bytesOf(pair));
    await each(groups, (group) => {
      return this.#client.commitChecked(group, (part) => this.#writeGroup(part));
    });
    await each(large, ([key, entry]) => this.write(key, entry));
  }

  /** About how many bytes an entry takes in a commit. */
  #bytesOf([key, { value }]: Pair): number {
    return value.byteLength + 6 * key.length + this.keys.overhead;
  }

  /** Stores small entries of different keys in one commit. */
  async #writeGroup(group: Pair[]): Promise<void> {
    const marked = this.#marked;
    const operation = this.#client.atomic();
    // One check tells that nothing in the store lies in chunks. Where some does, each entry takes a
    // check.
    if (!marked) operation.check({ key: this.keys.mark, versionstamp: null });
    for (const [key, entry] of group) {
      const id = keyId(key);
      if (marked) operation.check({ key: this.keys.pointer(id), versionstamp: null });
      const value = packRecord(recordOf(key, id, entry));
      operation.set(this.keys.entry(id), value, hint(entry.expiresAt));
    }
    if ((await this.#client.commit(operation)).ok) return;
    this.#marked = true;
    if (marked) await each(group, ([key, entry]) => this.write(key, entry));
    else await this.writeMany(group);
  }

  /** Removes an entry if it is still in this state, and the guard in its own; whether it did. */
  async remove(
    id: KeyId,
    { versionstamp, chunks }: Revision,
    guard?: KvGuard,
  ): Promise<boolean> {
    const key = this.keys.entry(id);
    const operation = this.#client.atomic().check({ key, versionstamp }).delete(key);
    if (guard !== undefined) operation.check(guard);
    const removeRest = this.chunks.replace(operation, id, chunks);
    const ok = await this.#commit(operation, guard);
    if (ok) await removeRest();
    return ok;
  }

  /** Removes an entry, whatever its state; whether a live one was there. */
  async delete(id: KeyId): Promise<boolean> {
    for (;;) {
      const found = await this.find(id);
      if (!isLive(found)) return false;
      if (await this.remove(id, await this.revisionOf(id, found))) return true;
    }
  }

  /** Removes the entries that are still in their state; which of them. */
  async removeUnchanged(states: KvState[]): Promise<boolean[]> {
    const removed = new Array<boolean>(states.length).fill(false);
    const seen = new Set<string>();
    const small: number[] = [];
    const large: number[] = [];
    for (const [i, { id: [text, hash], revision, expiresAt }] of states.entries()) {
      // A commit would find the same one twice as it expects it.
      const state = `${revision.versionstamp} ${hash === undefined ? "" : encodeHex(hash)} ${text}`;
      if (seen.has(state) || isExpired({ expiresAt })) continue;
      seen.add(state);
      (revision.chunks === undefined ? small : large).push(i);
    }
    await each(groupsOf(small, this.#client.checksPerCommit), (group) => {
      return this.#client.commitChecked(group, async (part) => {
        for (const i of await this.#removeSome(states, part)) removed[i] = true;
      });
    });
    await each(large, async (i) => {
      removed[i] = await this.remove(states[i].id, states[i].revision);
    });
    return removed;
  }

  /** Removes those of small entries that are in their state; which. */
  async #removeSome(states: KvState[], chosen: number[]): Promise<number[]> {
    for (let left = chosen;;) {
      const operation = this.#client.atomic();
      for (const i of left) {
        const { id, revision: { versionstamp } } = states[i];
        const key = this.keys.entry(id);
        operation.check({ key, versionstamp }).delete(key);
      }
      if ((await this.#client.commit(operation)).ok) return left;
      // No versionstamp comes twice: each time there are fewer, and in the end there is none.
      const found = await this.findAll(left.map((i) => states[i].id));
      left = left.filter((i, n) => found[n].versionstamp === states[i].revision.versionstamp);
      if (left.length === 0) return [];
    }
  }

  /** Removes entries; how many live ones there were. */
  async deleteMany(ids: KeyId[]): Promise<number> {
    const found = await this.findAll(ids);
    const groups = groupsOf(found.filter(isLive), this.#client.checksPerCommit);
    const counts = await each(
      groups,
      (group) => this.#removeGroup(group, (id) => this.delete(id)),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Removes entries in one commit, or each as `again` does when some have changed or lie in chunks;
   * how many.
   */
  async #removeGroup(
    group: Found[],
    again: (id: KeyId, found: Found) => Promise<boolean>,
  ): Promise<number> {
    const counts = await this.#client.commitChecked(group, (part) => this.#removePart(part, again));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #removePart(
    group: Found[],
    again: (id: KeyId, found: Found) => Promise<boolean>,
  ): Promise<number> {
    const operation = this.#client.atomic();
    let simple = true;
    for (const { key, value, versionstamp } of group) {
      operation.check({ key, versionstamp }).delete(key);
      simple &&= optional(() => unpackRecord(value))?.content !== undefined;
    }
    if (simple && (await this.#client.commit(operation)).ok) return group.length;
    const removed = await each(group, (found) => again(this.keys.idOf(found.key), found));
    return removed.filter((was) => was).length;
  }

  /** Removes the entries that are to go; how many. */
  async removeWhere(doomed: (found: Found) => boolean): Promise<number> {
    let count = 0;
    let group: Found[] = [];
    const remove = async () => {
      count += await this.#removeGroup(group, async (id, found) => {
        return await this.remove(id, await this.revisionOf(id, found));
      });
      group = [];
    };
    for await (const found of this.all()) {
      if (doomed(found) && group.push(found) >= this.#client.checksPerCommit) await remove();
    }
    if (group.length > 0) await remove();
    return count;
  }

  /** Removes all entries, and what belongs to them. */
  async clear(): Promise<void> {
    await this.removeWhere(() => true);
    await this.chunks.clear();
  }

  /** The state in which an entry was found, also one that can't be read. */
  async revisionOf(id: KeyId, { value, versionstamp }: Found): Promise<Revision> {
    const record = optional(() => unpackRecord(value));
    const chunks = record === undefined ? (await this.chunks.pointer(id)).chunks : record.chunks;
    return { versionstamp, chunks };
  }

  /** What it holds. */
  async usage(): Promise<StoreUsage> {
    const tally = new Tally();
    for await (const found of this.live()) {
      const [text] = this.keys.idOf(found.key);
      const record = optional(() => unpackRecord(found.value));
      // A long text is a part of the content.
      const ofKey = record?.keySize === undefined ? utf8Length(text) : 0;
      tally.add(ofKey + (record?.size ?? 0), record?.timestamp);
    }
    return tally.usage;
  }

  /** Its dbname; as the KV keys have it, where nothing tells more. */
  async dbname(): Promise<string> {
    const { dbname, note } = this.keys;
    if (!mayBeShortened(dbname)) return dbname;
    const { value } = await this.#client.get(note);
    return typeof value === "string" ? value : dbname;
  }

  /** Writes its dbname down, for those who look for what they have not opened. */
  async note(dbname: string): Promise<void> {
    const { note } = this.keys;
    if ((await this.#client.get(note)).versionstamp !== null) return;
    try {
      await this.#client.commit(this.#client.atomic().set(note, dbname));
    } catch {
      // Where nothing can be written, nothing is stored whose name would be missed.
    }
  }

  /** The entries that may begin with the prefix, without those past their deadline. */
  async *live(prefix?: string): AsyncGenerator<KvEntry> {
    for await (const found of this.all(prefix)) if (isLive(found)) yield found;
  }

  /** The entries that may begin with the prefix. */
  async *all(prefix?: string): AsyncGenerator<KvEntry> {
    for await (const found of this.rows(prefix)) if (!isPointer(found.key)) yield found;
  }

  /**
   * The entries that may begin with the prefix, and pointers. What is added behind the last one is
   * left out: a consumer that adds an entry for each that it gets would never come to an end.
   */
  async *rows(prefix?: string): AsyncGenerator<KvEntry> {
    const { start, end } = this.keys.entries(prefix);
    const { value: last } = await this.#client.list({ start, end }, { limit: 1, reverse: true })
      .next();
    if (last !== undefined) {
      yield* this.#client.list({ start, end: [...last.key, new Uint8Array()] });
    }
  }

  /** The text of an entry's key; `undefined` when it is lost. */
  async textOf(found: Found): Promise<string | undefined> {
    const id = this.keys.idOf(found.key);
    if (id.length === 1) return id[0];
    // Nothing of this engine lies under such a key.
    if (!(id[1] instanceof Uint8Array)) return undefined;
    const record = optional(() => unpackRecord(found.value));
    if (record?.keySize === undefined) return undefined;
    const content = await this.chunks.load(id, record, found.versionstamp ?? "", record.keySize);
    const text = content && textIn(content, record.keySize);
    if (text === undefined) return undefined;
    const hash = keyId(text)[1];
    return hash !== undefined && encodeHex(hash) === encodeHex(id[1]) ? text : undefined;
  }
}

function recordOf(key: string, id: KeyId, { value, timestamp, expiresAt }: NewEntry): StoredRecord {
  if (id.length === 1) return { timestamp, expiresAt, size: value.byteLength, content: value };
  const text = encoder.encode(key);
  const content = new Uint8Array(text.byteLength + value.byteLength);
  content.set(text);
  content.set(value, text.byteLength);
  const size = content.byteLength;
  return { timestamp, expiresAt, keySize: text.byteLength, size, content };
}

function textIn(content: Uint8Array, keySize: number): string {
  return decoder.decode(content.subarray(0, keySize));
}

/** Reads a record; what is damaged is an error that names the key. */
export function unpack(key: string, found: Found): StoredRecord {
  try {
    return unpackRecord(found.value);
  } catch (cause) {
    throw damaged(key, `its value in Deno KV is damaged (${messageOf(cause)})`, cause);
  }
}

function damaged(key: string, detail: string, cause?: unknown): DecodeError {
  return new DecodeError(`${detail}; check({ fix: true }) removes it`, { key, cause });
}

/** Whether an entry is there that has not expired. One that can't be read is there. */
export function isLive(found: Found): boolean {
  if (found.versionstamp === null) return false;
  const record = optional(() => unpackRecord(found.value));
  return record === undefined || !isExpired(record);
}

/**
 * Deno KV removes what has expired some seconds late, or later: the record has the deadline itself.
 */
function hint(expiresAt: number | undefined): { expireIn?: number } {
  const expireIn = expiresAt === undefined ? Infinity : Math.ceil(expiresAt - Date.now());
  // `npm:@deno/kv` takes only what is more than 0.
  return expireIn > LONGEST_HINT ? {} : { expireIn: Math.max(1, expireIn) };
}
