import type { Buffer } from "node:buffer";
import type { Entry, EntryValue, FoundStore, NewEntry } from "../engine.ts";
import { groupsOf } from "../each.ts";
import { Tally } from "../tally.ts";
import { Together } from "../together.ts";
import {
  isCluster,
  type RedisArgument,
  type RedisCommand,
  type RedisConnection,
} from "./connection.ts";
import { foreignError, isWrongType } from "./errors.ts";
import {
  ABSENT,
  COMPARE_AND_SET,
  type DeadlineCommand,
  DEADLINES,
  DELETE_UNCHANGED,
  fromRedisDeadline,
  GUARDED_COMPARE_AND_SET,
  type RedisDeadline,
  type RedisNames,
  toRedisDeadline,
  toRedisValue,
} from "./format.ts";

/**
 * How many keys, and how many bytes of values, are read or written at once: the server does nothing
 * else meanwhile.
 */
const BATCH_KEYS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;
/** How many keys are read at once while nothing is known of the sizes of their values. */
const FIRST_BATCH = 128;
/** How many keys the server looks at in one step of a scan. */
const SCAN_COUNT = 1_000;
/**
 * How many names of a scan are remembered at least.
 *
 * A scan goes through the buckets of the server's table in an order that holds while the table
 * grows. Only where the table shrinks, to n buckets, does it come again by a key: it goes on at the
 * beginning of the bucket that it is in now, and meets what is left of the names that it has found
 * since: the latest 1/n of all. A table has no fewer buckets than keys. So of a million names one
 * could be found again unnoticed only if the whole database came down to some thirty keys meanwhile.
 */
const REMEMBERED = 32_768;
/** The digit of an answer that says yes. */
const ONE = 0x31;

/** An entry as it was read. */
export interface RedisEntry extends Entry {
  /**
   * Its deadline as the server tells it, or `"any"` when that is no point in time. Its value is the
   * rest of its state.
   */
  readonly revision: string;
}

/** An entry of another store, and the state that it must be in. */
export interface RedisGuard {
  /** Its Redis key. */
  readonly name: string;
  readonly state: RedisArgument[];
}

/** What was found under a key; an `Error` when that is no entry. */
type Found<T> = T | Error | undefined;

/**
 * The entries of one store in a server. Calls about single keys are sent in the order in which they
 * are made, awaited or not, and so are batches of up to 500 keys whose values are small; a server does
 * what it gets in that order. What scans (listings, `size`, `clear`) takes many round trips, and what
 * is called meanwhile comes in between.
 */
export class RedisStore {
  readonly #connection: RedisConnection;
  readonly #names: RedisNames;
  readonly #entries: Together<RedisEntry | undefined>;
  readonly #values: Together<EntryValue | undefined>;
  #batch = FIRST_BATCH;
  /**
   * Whether the last batch of values had some missing. What is missing may be no string, which has to
   * be asked for, and who reads much that is missing is told in one round trip.
   */
  #areMissing = false;

  constructor(connection: RedisConnection, names: RedisNames) {
    this.#connection = connection;
    this.#names = names;
    this.#entries = new Together(
      async (key) => certain(await this.#entry(key)),
      (keys) => this.#all(keys, (batch) => this.#entryBatch(batch)),
    );
    this.#values = new Together(
      async (key) => certain(await this.#value(key)),
      (keys) => this.#all(keys, (batch) => this.#valueBatch(batch)),
    );
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#entries.call(key);
  }

  getValue(key: string): Promise<EntryValue | undefined> {
    return this.#values.call(key);
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return (await this.#all(keys, (batch) => this.#entryBatch(batch))).map(certain);
  }

  async getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    return (await this.#all(keys, (batch) => this.#valueBatch(batch))).map(certain);
  }

  async has(key: string): Promise<boolean> {
    const name = this.#names.of(key);
    return Number(await this.#connection.run((client) => client.exists(name))) === 1;
  }

  async set(key: string, { value, expiresAt }: NewEntry): Promise<void> {
    const name = this.#names.of(key);
    const bytes = toRedisValue(value);
    this.#afterReads();
    await this.#connection.run((client) => {
      if (expiresAt === undefined) return client.set(name, bytes);
      const [how, time] = this.#deadline(expiresAt);
      return how === "PX" ? client.set(name, bytes, how, time) : client.set(name, bytes, how, time);
    });
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    this.#afterReads();
    // Grouped at once: what is called later must not be sent earlier.
    for (const batch of groupsOf([...new Map(pairs)], BATCH_KEYS, BATCH_BYTES, bytesOf)) {
      const commands: RedisCommand[] = [];
      // MSET takes half the time of as many SETs, but no deadlines, and in a cluster not keys of
      // several servers.
      const plain: (string | Buffer)[] = [];
      for (const [key, { value, expiresAt }] of batch) {
        const name = this.#names.of(key);
        const bytes = toRedisValue(value);
        if (expiresAt !== undefined) {
          commands.push(["set", name, bytes, ...this.#deadline(expiresAt)]);
        } else if (this.#connection.isCluster) commands.push(["set", name, bytes]);
        else plain.push(name, bytes);
      }
      if (commands.length === 0) await this.#connection.run((client) => client.mset(...plain));
      else {
        if (plain.length > 0) commands.push(["mset", ...plain]);
        await this.#connection.sendAll(commands.map((command) => [command]));
      }
    }
  }

  async delete(key: string): Promise<boolean> {
    const name = this.#names.of(key);
    this.#afterReads();
    return Number(await this.#connection.run((client) => client.unlink(name))) === 1;
  }

  async deleteMany(keys: string[]): Promise<number> {
    let count = 0;
    this.#afterReads();
    const names = [...new Set(keys)].map((key) => this.#names.of(key));
    for (const batch of groupsOf(names, BATCH_KEYS)) count += await this.#unlink(batch);
    return count;
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const removed: boolean[] = [];
    this.#afterReads();
    for (const batch of groupsOf(entries, BATCH_KEYS, BATCH_BYTES, bytesOf)) {
      const groups = this.#connection.isCluster ? batch.map((entry) => [entry]) : [batch];
      const answers = await this.#connection.sendAll(groups.map((group): RedisCommand[] => [[
        "evalBuffer",
        DELETE_UNCHANGED,
        group.length,
        ...group.map(([key]) => this.#names.of(key)),
        ...group.flatMap(([, expected]) => stateOf(expected)),
      ]])) as Buffer[];
      for (const answer of answers) for (const digit of answer) removed.push(digit === ONE);
    }
    return removed;
  }

  /** @param guard What must hold of another store, and its Redis keys. */
  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: RedisGuard,
  ): Promise<boolean> {
    const name = this.#names.of(key);
    const args: RedisArgument[] = expected === undefined ? ["", ""] : stateOf(expected);
    if (next !== undefined) {
      const { value, expiresAt } = next;
      args.push(toRedisValue(value), ...expiresAt === undefined ? [] : this.#deadline(expiresAt));
    }
    this.#afterReads();
    try {
      const done = await this.#connection.run((client) =>
        guard === undefined
          ? client.eval(COMPARE_AND_SET, 1, name, ...args)
          : client.eval(GUARDED_COMPARE_AND_SET, 2, name, guard.name, ...guard.state, ...args)
      );
      return Number(done) === 1;
    } catch (error) {
      throw isWrongType(error) ? foreignError(name, key) : error;
    }
  }

  /** What must hold for who changes another store while an entry here is in this state. */
  guard(key: string, expected: Entry): RedisGuard {
    return { name: this.#names.of(key), state: stateOf(expected) };
  }

  async *keys(prefix: string): AsyncGenerator<string> {
    for await (const names of this.scan(this.#names.pattern(prefix))) {
      for (const key of this.#keysOf(names)) yield key;
    }
  }

  /**
   * The entries that there are. What another program put among them is told of in the end: it must
   * keep nobody from all the others.
   */
  async *entries(prefix: string): AsyncGenerator<[string, Entry]> {
    let foreign: Error | undefined;
    for await (const names of this.scan(this.#names.pattern(prefix))) {
      const keys = this.#keysOf(names);
      let i = 0;
      for await (const batch of this.#batches(keys, (batch) => this.#entryBatch(batch))) {
        for (const found of batch) {
          const key = keys[i++];
          if (found instanceof Error) foreign ??= found;
          else if (found !== undefined) yield [key, found];
        }
      }
    }
    if (foreign !== undefined) throw foreign;
  }

  async size(prefix: string): Promise<number> {
    let count = 0;
    for await (const names of this.scan(this.#names.pattern(prefix))) {
      count += this.#keysOf(names).length;
    }
    return count;
  }

  async clear(deep: boolean, prefix: string): Promise<void> {
    for (const pattern of [this.#names.pattern(prefix), ...deep ? [this.#names.nested] : []]) {
      for await (const names of this.scan(pattern)) await this.#unlink(names);
    }
  }

  /** The server's memory for keys and values, its own overhead for each included. */
  async byteSize(prefix: string): Promise<number> {
    let bytes = 0;
    for await (const names of this.scan(this.#names.pattern(prefix))) {
      const sizes = await this.#connection.sendAll(
        names.map((name) => [["memory", "USAGE", name]]),
      );
      for (const size of sizes) bytes += Number(size);
    }
    return bytes;
  }

  /** This store and those nested in it, by one scan. */
  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    const tallies = new Map([["", new Tally()]]);
    for await (const names of this.scan(this.#names.family, "string")) {
      const found = names.map((name) => this.#names.placeOf(name));
      const lengths = counted ? await this.#lengths(names) : [];
      for (const [i, place] of found.entries()) {
        if (place === undefined) continue;
        const { dbname, length } = place;
        let tally = tallies.get(dbname);
        if (tally === undefined) tallies.set(dbname, tally = new Tally());
        const bytes = lengths[i];
        if (bytes !== undefined) tally.add(length + bytes);
      }
    }
    for (const [dbname, { usage }] of tallies) yield { dbname, usage: counted ? usage : undefined };
  }

  /** The lengths of values; `undefined` for what has gone. */
  async #lengths(names: Buffer[]): Promise<(number | undefined)[]> {
    if (names.length === 0) return [];
    const answers = await this.#connection.sendAll(
      names.map((name): RedisCommand[] => [["strlen", name], ["exists", name]]),
    );
    return names.map((_, i) =>
      Number(answers[2 * i + 1]) === 1 ? Number(answers[2 * i]) : undefined
    );
  }

  /**
   * The Redis keys that match, each once.
   *
   * @param type Only keys of this type.
   */
  async *scan(pattern: string, type?: "string"): AsyncGenerator<Buffer[]> {
    const connection = this.#connection;
    const latest = new Latest(REMEMBERED);
    for (const server of await connection.masters()) {
      let cursor = "0";
      do {
        const step = ["MATCH", pattern, "COUNT", SCAN_COUNT] as const;
        const [next, names] = await connection.run(() =>
          type === undefined
            ? server.scanBuffer(cursor, ...step)
            : server.callBuffer("SCAN", cursor, ...step, "TYPE", type) as Promise<
              [Buffer, Buffer[]]
            >
        );
        cursor = String(next);
        yield names.filter((name) => latest.add(name.toString("latin1")));
      } while (cursor !== "0");
    }
  }

  /** Removes Redis keys; how many were there. */
  async #unlink(names: RedisArgument[]): Promise<number> {
    if (names.length === 0) return 0;
    const groups: RedisCommand[][] = this.#connection.isCluster
      ? names.map((name) => [["unlink", name]])
      : [[["unlink", ...names]]];
    const counts = await this.#connection.sendAll(groups);
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  /** Reads that wait for each other are sent before what is about to be changed. */
  #afterReads(): void {
    this.#entries.flush();
    this.#values.flush();
  }

  #keysOf(names: Buffer[]): string[] {
    return names.map((name) => this.#names.keyOf(name)).filter((key) => key !== undefined);
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
      this.#batch = Math.max(1, Math.min(fitting, BATCH_KEYS));
      yield all;
    }
  }

  async #entry(key: string): Promise<Found<RedisEntry>> {
    const name = this.#names.of(key);
    try {
      const asked = this.#connection.deadlineCommands;
      const [value, ...times] = await this.#connection.run((client) => {
        // The commands in one write, for half of what a pipeline costs.
        const stream = isCluster(client) ? undefined : client.stream;
        stream?.cork();
        const value = client.getBuffer(name);
        const times = asked.map((command) => client[command](name));
        stream?.uncork();
        return Promise.all([value, ...times]);
      });
      return toEntry(value, asked, times.map(Number));
    } catch (error) {
      return this.#foreign(error, key);
    }
  }

  async #value(key: string): Promise<Found<EntryValue>> {
    const name = this.#names.of(key);
    try {
      const value = await this.#connection.run((client) => client.getBuffer(name));
      return value === null ? undefined : { value };
    } catch (error) {
      return this.#foreign(error, key);
    }
  }

  async #entryBatch(keys: string[]): Promise<Found<RedisEntry>[]> {
    if (this.#isEach(keys)) return await Promise.all(keys.map((key) => this.#entry(key)));
    const names = keys.map((key) => this.#names.of(key));
    const asked = this.#connection.deadlineCommands;
    const [values, ...packed] = await this.#connection.sendAll([[
      ["mgetBuffer", ...names],
      ...asked.map((command): RedisCommand => [
        "evalBuffer",
        DEADLINES,
        names.length,
        ...names,
        command,
      ]),
    ]]) as [(Buffer | null)[], ...Buffer[]];
    const all: Found<RedisEntry>[] = [];
    for (const [i, key] of keys.entries()) {
      const times = packed.map((doubles) => doubles.readDoubleLE(8 * i));
      // MGET tells nothing of what is no string, but something is there: GET will say what is wrong
      // with it.
      const isOdd = values[i] === null && times[0] !== ABSENT;
      all.push(isOdd ? await this.#entry(key) : toEntry(values[i], asked, times));
    }
    return all;
  }

  async #valueBatch(keys: string[]): Promise<Found<EntryValue>[]> {
    if (this.#isEach(keys)) return await Promise.all(keys.map((key) => this.#value(key)));
    const names = keys.map((key) => this.#names.of(key));
    let values: (Buffer | null)[];
    let there: number | undefined;
    if (this.#areMissing) {
      const commands: RedisCommand[] = [["mgetBuffer", ...names], ["exists", ...names]];
      [values, there] = await this.#connection.sendAll([commands]) as [typeof values, number];
    } else values = await this.#connection.run((client) => client.mgetBuffer(names));
    const missing = names.filter((_, i) => values[i] === null);
    this.#areMissing = missing.length > 0;
    const all = values.map((value): Found<EntryValue> => value === null ? undefined : { value });
    if (missing.length === 0) return all;
    there ??= names.length - missing.length +
      await this.#connection.run((client) => client.exists(...missing));
    if (there === names.length - missing.length) return all;
    // As above: there is more than MGET told of.
    for (const [i, key] of keys.entries()) {
      if (all[i] !== undefined) continue;
      const found = await this.#value(key);
      // What has been set since is not what was asked for.
      if (found instanceof Error) all[i] = found;
    }
    return all;
  }

  /**
   * Whether each key is asked for on its own: in a cluster a command is about keys of one server.
   */
  #isEach(keys: string[]): boolean {
    return keys.length === 1 || this.#connection.isCluster;
  }

  #deadline(expiresAt: number): RedisDeadline {
    return toRedisDeadline(expiresAt, this.#connection.clocks.agree);
  }

  #foreign(error: unknown, key: string): Error {
    if (isWrongType(error)) return foreignError(this.#names.of(key), key);
    throw error;
  }
}

/** The latest of many texts. */
class Latest {
  readonly #count: number;
  #older = new Set<string>();
  #newer = new Set<string>();

  /** @param count How many are remembered at least; up to twice as many are. */
  constructor(count: number) {
    this.#count = count;
  }

  /** Adds a text; `false` when it is among those that are remembered. */
  add(text: string): boolean {
    if (this.#newer.has(text) || this.#older.has(text)) return false;
    if (this.#newer.size === this.#count) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(text);
    return true;
  }
}

/** The state of an entry, as the scripts take it. */
function stateOf(entry: Entry): RedisArgument[] {
  // Only an entry of this engine is a state of it.
  return [(entry as RedisEntry).revision, toRedisValue(entry.value)];
}

/** @param times What the commands told of its deadline. */
function toEntry(
  value: Buffer | null,
  commands: readonly DeadlineCommand[],
  times: readonly number[],
): RedisEntry | undefined {
  // It may have gone after its value was read.
  if (value === null || times.includes(ABSENT)) return undefined;
  const revision = commands[0] === "pexpiretime" ? String(times[0]) : "any";
  const last = times.length - 1;
  return { value, revision, expiresAt: fromRedisDeadline(commands[last], times[last]) };
}

function certain<T>(found: Found<T>): T | undefined {
  if (found instanceof Error) throw found;
  return found;
}

function bytesOf([, { value }]: [string, EntryValue]): number {
  return value.byteLength;
}
