import { each, groupsOf } from "../each.ts";
import type { EngineProblem } from "../engine.ts";
import type { KvClient } from "./client.ts";
import {
  AT_ONCE,
  CHUNK,
  type ChunkPlace,
  type Chunks,
  generationTime,
  isPointer,
  type KeyId,
  newGeneration,
  optional,
  type StoredRecord,
  type StoreKeys,
  unpackChunks,
  unpackRecord,
} from "./format.ts";
import type { KvEntry, KvKey, KvOperation } from "../../platform/kv.ts";

/** Chunks in a commit of nothing else; Deno KV takes 819,200 bytes. */
const CHUNKS_PER_COMMIT = 12;
/** Chunks in the commit that also stores the entry: half a megabyte takes no other one. */
const CHUNKS_AT_LAST = 8;
/** Old chunks that the commit removes which replaces them; the others go in commits after it. */
const REMOVED_AT_ONCE = 150;
/** KV keys in a commit that only deletes: they may be 2 KB each. */
const DELETES_PER_COMMIT = 350;
/** How many chunks are believed to be there when a record says so: 4 MB. */
const BELIEVED = 64;
/** Deno KV's limit of keys in one read. */
export const KEYS_PER_READ = 10;

/** A state of an entry, or of the pointer to its chunks. */
export interface Revision {
  readonly versionstamp: string | null;
  readonly chunks?: Chunks;
}

/** Whether and how to remove what no entry names. */
export interface SweepOptions {
  readonly fix: boolean;
  /**
   * Only what was written before this time, ms since the epoch: a write that goes on has chunks
   * without an entry too.
   */
  readonly before: number;
}

/** The values that are too large for Deno KV. */
export class ChunkStore {
  readonly #client: KvClient;
  readonly #keys: StoreKeys;

  constructor(client: KvClient, keys: StoreKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  /**
   * A record's content, or its first `size` bytes and some more; `undefined` when it is not all
   * there, or not any more.
   *
   * @param versionstamp The commit that stored the record.
   */
  async load(
    id: KeyId,
    record: StoredRecord,
    versionstamp: string,
    size = record.size,
  ): Promise<Uint8Array | undefined> {
    if (record.content !== undefined) return record.content;
    if (record.chunks === undefined) return undefined;
    const { generation } = record.chunks;
    const count = Math.ceil(size / CHUNK);
    if (count > BELIEVED) {
      // Memory is not taken because a record says so.
      const { versionstamp } = await this.#client.get(this.#keys.chunk(id, generation, count - 1));
      if (versionstamp === null) return undefined;
    }
    const content = new Uint8Array(Math.min(record.size, count * CHUNK));
    let whole = true;
    await each(groupsOf(this.#chunkKeys(id, record.chunks, count), KEYS_PER_READ), async (keys) => {
      for (const { key, value, versionstamp: stored } of await this.#client.getMany(keys)) {
        const offset = Number(key.at(-1)) * CHUNK;
        const expected = Math.min(CHUNK, record.size - offset);
        if (
          value instanceof Uint8Array && value.byteLength === expected &&
          (generation !== AT_ONCE || stored === versionstamp)
        ) content.set(value, offset);
        else whole = false;
      }
    });
    return whole ? content : undefined;
  }

  /** Stores content: the last chunks with the operation, those before them at once. */
  async store(
    operation: KvOperation,
    id: KeyId,
    content: Uint8Array,
    options: { expireIn?: number },
    expiresAt?: number,
  ): Promise<Chunks> {
    const count = Math.ceil(content.byteLength / CHUNK);
    const last = Math.max(0, count - CHUNKS_AT_LAST);
    const chunks = { generation: last > 0 ? newGeneration() : AT_ONCE, count, expiresAt };
    const keys = this.#chunkKeys(id, chunks);
    const put = (operation: KvOperation, from: number, to: number) => {
      for (let i = from; i < to; i++) {
        operation.set(keys[i], content.subarray(i * CHUNK, (i + 1) * CHUNK), options);
      }
    };
    for (let i = 0; i < last; i += CHUNKS_PER_COMMIT) {
      const early = this.#client.atomic();
      put(early, i, Math.min(i + CHUNKS_PER_COMMIT, last));
      if (i === 0) early.set(this.#keys.mark, true);
      const stored = await this.#client.commit(early);
      // `sweep` takes the first chunk first: who has lost it must not store an entry.
      if (i === 0 && stored.ok) {
        operation.check({ key: keys[0], versionstamp: stored.versionstamp });
      }
    }
    put(operation, last, count);
    return chunks;
  }

  /**
   * Removes the chunks that an entry had, as far as `next` doesn't take their place, and sets the
   * pointer, with the operation; returns how to remove those that it can't take.
   */
  replace(
    operation: KvOperation,
    id: KeyId,
    old: Chunks | undefined,
    next?: Chunks,
    options?: { expireIn?: number },
  ): () => Promise<void> {
    const pointer = this.#keys.pointer(id);
    if (next === undefined) {
      if (old !== undefined) operation.delete(pointer);
    } else if (!isPointedAt(old, next)) {
      operation.set(pointer, next, options).set(this.#keys.mark, true);
    }
    const kept = next?.generation === old?.generation ? next?.count : 0;
    const gone = old === undefined ? [] : this.#chunkKeys(id, old).slice(kept);
    for (const key of gone.slice(0, REMOVED_AT_ONCE)) operation.delete(key);
    return () => this.#delete(gone.slice(REMOVED_AT_ONCE));
  }

  /** Removes what `store` stored for an operation that did not take effect. */
  async withdraw(id: KeyId, chunks: Chunks): Promise<void> {
    await this.#delete(this.#chunkKeys(id, chunks, Math.max(0, chunks.count - CHUNKS_AT_LAST)));
  }

  /** Where the pointer says that an entry's chunks are. */
  async pointer(id: KeyId): Promise<Revision> {
    const { value, versionstamp } = await this.#client.get(this.#keys.pointer(id));
    return { versionstamp, chunks: optional(() => unpackChunks(value)) };
  }

  /**
   * Finds chunks that no entry names: a killed writer leaves them, when its value was very large.
   */
  async sweep({ fix, before }: SweepOptions): Promise<EngineProblem[]> {
    const problems: EngineProblem[] = [];
    let place: ChunkPlace | undefined;
    let write = "";
    let keys: KvKey[] = [];
    const settle = async () => {
      const problem = place && await this.#checkOwner(place, keys, fix);
      if (problem !== undefined) problems.push(problem);
      keys = [];
    };
    for await (const { key } of this.#client.list(this.#keys.chunks(), { batchSize: 20 })) {
      const { id, generation } = this.#keys.placeOf(key);
      const belongsTo = [...id, generation].join();
      if (write !== belongsTo) {
        await settle();
        write = belongsTo;
        place = generationTime(generation) < before ? { id, generation } : undefined;
      }
      keys.push(key);
    }
    await settle();
    return problems;
  }

  /** Whether a pointer is one that no entry needs. */
  async checkPointer(
    { key, value }: KvEntry,
    fix: boolean,
  ): Promise<EngineProblem | undefined> {
    const { generation = "none" } = optional(() => unpackChunks(value)) ?? {};
    return await this.#checkOwner({ id: this.#keys.idOf(key), generation }, [key], fix);
  }

  /**
   * Removes everything but the chunks of entries that are stored meanwhile, and the mark if there
   * are none.
   */
  async clear(): Promise<void> {
    const { key, versionstamp } = await this.#client.get(this.#keys.mark);
    if (versionstamp === null) return;
    for await (const found of this.#client.list(this.#keys.entries())) {
      if (isPointer(found.key)) await this.checkPointer(found, true);
    }
    await this.sweep({ fix: true, before: Infinity });
    for (const range of [this.#keys.entries(), this.#keys.chunks()]) {
      const { value: left } = await this.#client.list(range, { limit: 1 }).next();
      if (left !== undefined) return;
    }
    // Who stores chunks from here on sets the mark again, and the check fails.
    await this.#client.commit(this.#client.atomic().check({ key, versionstamp }).delete(key));
  }

  /** What is wrong with chunks, or a pointer to them, if the entry has others or none. */
  async #checkOwner(
    { id, generation }: ChunkPlace,
    keys: KvKey[],
    fix: boolean,
  ): Promise<EngineProblem | undefined> {
    const owner = await this.#owner(id);
    if (owner.chunks?.generation === generation) return undefined;
    const fixed = fix && await this.#removeOrphan(id, owner, keys);
    // It has been taken up meanwhile.
    if (fix && !fixed) return undefined;
    const detail = `${keys.length} pieces of a write that was not finished`;
    return { kind: "orphan", key: id.length === 1 ? id[0] : undefined, detail, fixed };
  }

  /** The state of the entry that chunks would belong to. */
  async #owner(id: KeyId): Promise<Revision> {
    const { value, versionstamp } = await this.#client.get(this.#keys.entry(id));
    return { versionstamp, chunks: optional(() => unpackRecord(value))?.chunks };
  }

  async #removeOrphan(id: KeyId, owner: Revision, keys: KvKey[]): Promise<boolean> {
    const operation = this.#client.atomic();
    operation.check({ key: this.#keys.entry(id), versionstamp: owner.versionstamp });
    for (const key of keys.slice(0, DELETES_PER_COMMIT)) operation.delete(key);
    const { ok } = await this.#client.commit(operation);
    if (ok) await this.#delete(keys.slice(DELETES_PER_COMMIT));
    return ok;
  }

  async #delete(keys: KvKey[]): Promise<void> {
    for (const group of groupsOf(keys, DELETES_PER_COMMIT)) {
      const operation = this.#client.atomic();
      for (const key of group) operation.delete(key);
      await this.#client.commit(operation);
    }
  }

  #chunkKeys(id: KeyId, { generation, count }: Chunks, first = count): KvKey[] {
    return Array.from({ length: first }, (_, i) => this.#keys.chunk(id, generation, i));
  }
}

/** Whether the pointer to the old chunks also points to the next ones, for as long. */
function isPointedAt(old: Chunks | undefined, next: Chunks): boolean {
  return old?.generation === next.generation && old.count === next.count &&
    old.expiresAt === undefined && next.expiresAt === undefined;
}
