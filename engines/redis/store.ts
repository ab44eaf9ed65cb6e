import type { Buffer } from "node:buffer";
import type { Entry, EntryValue } from "../engine.ts";
import type { RedisConnection } from "./connection.ts";
import { ABSENT, fromRedisDeadline } from "./deadline.ts";
import { foreignError, isWrongType, type RedisOperation } from "./errors.ts";
import type { RedisNames } from "./names.ts";
import { DEADLINES } from "./scripts.ts";
import { Together } from "../together.ts";

/**
 * How many keys are read at once while nothing is known of the sizes of their values, and at most.
 */
const FIRST_BATCH = 128;
const MAX_BATCH = 500;
/**
 * How many bytes of values a batch should not exceed: the server does nothing else while it sends
 * them.
 */
const BATCH_BYTES = 4 * 1024 * 1024;

/** An entry as it was read. */
export interface RedisEntry extends Entry {
  /**
   * Its deadline as the server tells it, or `"any"` when that is no point in time. Its value is the
   * rest of its state.
   */
  readonly revision: string;
}

/** What was found under a key; an `Error` when that is no entry. */
type Found<T> = T | Error | undefined;

/** Reads the entries of one store. */
export class RedisReader {
  readonly #connection: RedisConnection;
  readonly #names: RedisNames;
  readonly #entries: Together<RedisEntry | undefined>;
  readonly #values: Together<EntryValue | undefined>;
  #batch = FIRST_BATCH;

  constructor(connection: RedisConnection, names: RedisNames) {
    this.#connection = connection;
    this.#names = names;
    this.#entries = new Together(
      async (key) => certain(await this.#entry("get", key)),
      (keys) => this.#all(keys, (batch) => this.#entryBatch("get", batch)),
    );
    this.#values = new Together(
      async (key) => certain(await this.#value("get", key)),
      (keys) => this.#all(keys, (batch) => this.#valueBatch("get", batch)),
    );
  }

  /** One entry. */
  get(key: string): Promise<Entry | undefined> {
    return this.#entries.call(key);
  }

  /** One value. */
  getValue(key: string): Promise<EntryValue | undefined> {
    return this.#values.call(key);
  }

  /** Many entries, in the order of the keys. */
  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return (await this.#all(keys, (batch) => this.#entryBatch("getMany", batch))).map(certain);
  }

  /** Many values, in the order of the keys. */
  async getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    return (await this.#all(keys, (batch) => this.#valueBatch("getMany", batch))).map(certain);
  }

  /** The entries that there are, batch by batch. */
  async *entries(keys: string[]): AsyncGenerator<[string, Entry]> {
    let i = 0;
    for await (const batch of this.#batches(keys, (batch) => this.#entryBatch("entries", batch))) {
      for (const found of batch) {
        const key = keys[i++];
        const entry = certain(found);
        if (entry !== undefined) yield [key, entry];
      }
    }
  }

  async #all<T extends EntryValue>(
    keys: string[],
    read: (batch: string[]) => Promise<Found<T>[]>,
  ): Promise<Found<T>[]> {
    const all: Found<T>[] = [];
    for await (const batch of this.#batches(keys, read)) {
      for (const found of batch) all.push(found);
    }
    return all;
  }

  /** Reads in batches, smaller ones after large values. */
  async *#batches<T extends EntryValue>(
    keys: string[],
    read: (batch: string[]) => Promise<Found<T>[]>,
  ): AsyncGenerator<Found<T>[]> {
    for (let i = 0; i < keys.length;) {
      const batch = keys.slice(i, i + this.#batch);
      i += batch.length;
      const all = await read(batch);
      let bytes = 1;
      for (const found of all) {
        if (found !== undefined && !(found instanceof Error)) bytes += found.value.byteLength;
      }
      const fitting = Math.floor(BATCH_BYTES / (bytes / batch.length));
      this.#batch = Math.max(1, Math.min(fitting, MAX_BATCH));
      yield all;
    }
  }

  async #entry(operation: RedisOperation, key: string): Promise<Found<RedisEntry>> {
    try {
      return this.#toEntry(...await this.#connection.read(operation, this.#names.of(key)));
    } catch (error) {
      return this.#foreign(error, key);
    }
  }

  async #value(operation: RedisOperation, key: string): Promise<Found<EntryValue>> {
    try {
      const name = this.#names.of(key);
      const value = await this.#connection.run(operation, ({ client }) => client.getBuffer(name));
      return value === null ? undefined : { value };
    } catch (error) {
      return this.#foreign(error, key);
    }
  }

  async #entryBatch(operation: RedisOperation, keys: string[]): Promise<Found<RedisEntry>[]> {
    if (this.#isEach(keys)) {
      return await Promise.all(keys.map((key) => this.#entry(operation, key)));
    }
    const names = keys.map((key) => this.#names.of(key));
    const [values, packed] = await this.#connection.sendAll(operation, [[
      ["mgetBuffer", ...names],
      ["evalBuffer", DEADLINES, names.length, ...names, this.#connection.deadlineCommand],
    ]]) as [(Buffer | null)[], Buffer];
    const all: Found<RedisEntry>[] = [];
    for (const [i, key] of keys.entries()) {
      const time = packed.readDoubleLE(8 * i);
      // MGET tells nothing of what is no string, but something is there: GET will say what is wrong
      // with it.
      const isOdd = values[i] === null && time !== ABSENT;
      all.push(isOdd ? await this.#entry(operation, key) : this.#toEntry(values[i], time));
    }
    return all;
  }

  async #valueBatch(operation: RedisOperation, keys: string[]): Promise<Found<EntryValue>[]> {
    if (this.#isEach(keys)) {
      return await Promise.all(keys.map((key) => this.#value(operation, key)));
    }
    const names = keys.map((key) => this.#names.of(key));
    const [values, there] = await this.#connection.sendAll(operation, [[
      ["mgetBuffer", ...names],
      ["exists", ...names],
    ]]) as [(Buffer | null)[], number];
    const all = values.map((value): Found<EntryValue> => value === null ? undefined : { value });
    // As above: there is more than MGET told of.
    if (there > values.filter((value) => value !== null).length) {
      for (const [i, key] of keys.entries()) all[i] ??= await this.#value(operation, key);
    }
    return all;
  }

  /**
   * Whether each key is asked for on its own: in a cluster a command is about keys of one server.
   */
  #isEach(keys: string[]): boolean {
    return keys.length === 1 || this.#connection.isCluster;
  }

  #toEntry(value: Buffer | null, time: number): RedisEntry | undefined {
    // It may have gone after its value was read.
    if (value === null || time === ABSENT) return undefined;
    const { deadlineCommand } = this.#connection;
    const revision = deadlineCommand === "pexpiretime" ? String(time) : "any";
    return { value, revision, expiresAt: fromRedisDeadline(deadlineCommand, time) };
  }

  #foreign(error: unknown, key: string): Error {
    if (isWrongType(error)) return foreignError(this.#names.of(key), key);
    throw error;
  }
}

function certain<T>(found: Found<T>): T | undefined {
  if (found instanceof Error) throw found;
  return found;
}
