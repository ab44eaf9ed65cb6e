/**
 * One Redis string per entry: the Redis key is `name:dbname:key`, the value is the stored bytes and nothing else, so that `redis-cli
 * GET my_cache:main:my_key` shows what a stash without compression holds. `:` and `%` in the names are percent-encoded: no
 * two stores share a beginning of their keys.
 *
 * Deadlines are Redis' own (`PXAT`), kept by the server's clock. When a value was set is not kept. What survives a crash or
 * a restart of the server, and whether entries are evicted when its memory is full, is up to its settings (`appendonly`,
 * `save`, `maxmemory-policy`). Needs Redis 6.2, Valkey, or what speaks like them and runs Lua scripts.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import type {
  Engine,
  EngineCheck,
  EngineFactory,
  EngineLocation,
  EngineProblem,
  Entry,
  NewEntry,
} from "./engine.ts";
import { type RedisAddress, redisAddress } from "./_redis_address.ts";
import {
  connect,
  type RedisArgument,
  type RedisCommand,
  type RedisConnection,
} from "./_redis_connection.ts";
import type { Hold } from "./_shared.ts";
import { engineError } from "./_failures.ts";
import { foreignError, isWrongType, type RedisOperation } from "./_redis_errors.ts";

/** How many keys, and how many bytes of values, go into one batch: a server does nothing else meanwhile. */
const BATCH_KEYS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;
/** How many keys are read at once while nothing is known of their values' sizes. */
const FIRST_READ = 128;
/** Redis' limit for a string. */
const MAX_BYTES = 512 * 1024 * 1024;
/** How many keys the server looks at in one step of a scan. */
const SCAN_COUNT = 1_000;
/** What `PEXPIRETIME` and `PTTL` say of a key without a deadline, and of no key. */
const FOREVER = -1;
const ABSENT = -2;

/**
 * KEYS: the key. ARGV: what is expected: its deadline as `PEXPIRETIME` tells it (`""`: no entry; `"any"`) and its value; what comes in its
 * place: value and deadline (`""`: none), or nothing.
 */
const COMPARE_AND_SET = `
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if value then return 0 end
elseif value ~= ARGV[2] then
  return 0
elseif ARGV[1] ~= 'any' and redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[1]) then
  return 0
end
if #ARGV == 2 then
  redis.call('UNLINK', KEYS[1])
elseif ARGV[4] == '' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
end
return 1`;

/**
 * KEYS: many keys. ARGV: the command that tells the deadline of one; Redis has none for many. The answer is packed as
 * doubles: as an array of numbers it would take as long again to send and read.
 */
const DEADLINES = `
local call, keys, deadlines = redis.call, KEYS, {}
for i = 1, #keys do deadlines[i] = call(ARGV[1], keys[i]) end
return struct.pack('<' .. string.rep('d', #keys), unpack(deadlines))`;

/** A state of an entry: its bytes and its deadline in Redis' words. */
interface RedisEntry extends Entry {
  readonly value: Buffer;
  readonly revision: string;
}

type Found = RedisEntry | Error | undefined;

/** A `get` that waits for others to go with it. */
interface WaitingGet {
  readonly key: string;
  resolve(entry: Entry | undefined): void;
  reject(error: unknown): void;
}

class RedisEngine implements Engine {
  readonly name = "redis";
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #address: RedisAddress;
  /** What all Redis keys of this store begin with, and what those of the stores nested in it match. */
  readonly #prefix: string;
  readonly #nested: string;
  #hold: Hold<RedisConnection> | undefined;
  /** How many `get`s, or batches of them, are under way. */
  #gets = 0;
  #waiting: WaitingGet[] = [];
  #readSize = FIRST_READ;

  constructor(location: EngineLocation, address: RedisAddress) {
    this.path = address.path;
    this.#address = address;
    const store = `${segment(location.name)}:${segment(location.dbname)}`;
    this.#prefix = `${store}:`;
    this.#nested = `${glob(store)}/*:*`;
  }

  async open(): Promise<void> {
    this.#hold ??= await connect(this.#address);
  }

  async close(): Promise<void> {
    const hold = this.#hold;
    this.#hold = undefined;
    await hold?.release();
  }

  get(key: string): Promise<Entry | undefined> {
    // Alone it goes at once. Those that come while others are under way go together, in the end of this turn.
    if (this.#gets === 0) return this.#counted(this.#get("get", key));
    return new Promise((resolve, reject) => {
      const count = this.#waiting.push({ key, resolve, reject });
      if (count === 1) process.nextTick(() => this.#counted(this.#getWaiting()));
    });
  }

  async has(key: string): Promise<boolean> {
    const name = this.#prefix + key;
    return Number(await this.#connection.run("has", ({ client }) => client.exists(name))) === 1;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    const name = this.#prefix + key;
    const value = this.#valueOf("set", entry);
    const { expiresAt } = entry;
    await this.#connection.run(
      "set",
      ({ client }) =>
        expiresAt === undefined
          ? client.set(name, value)
          : client.set(name, value, "PXAT", toRedisDeadline(expiresAt)),
    );
  }

  async delete(key: string): Promise<boolean> {
    const name = this.#prefix + key;
    return Number(await this.#connection.run("delete", ({ client }) => client.unlink(name))) === 1;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    const name = this.#prefix + key;
    // Only an entry of this engine is a state of it.
    const args: RedisArgument[] = expected === undefined
      ? ["", ""]
      : [(expected as RedisEntry).revision, bufferOf(expected.value)];
    if (next !== undefined) {
      const { expiresAt } = next;
      args.push(this.#valueOf("compareAndSet", next));
      args.push(expiresAt === undefined ? "" : toRedisDeadline(expiresAt));
    }
    try {
      const done = await this.#connection.run(
        "compareAndSet",
        ({ client }) => client.eval(COMPARE_AND_SET, 1, name, ...args),
      );
      return Number(done) === 1;
    } catch (error) {
      throw this.#wrongType(error, key) ?? error;
    }
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    const entries: (Entry | undefined)[] = [];
    for await (const batch of this.#read("getMany", keys)) {
      for (const found of batch) entries.push(entryOf(found));
    }
    return entries;
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    const { isCluster } = this.#connection;
    for (const batch of batches([...new Map(pairs)])) {
      const commands: RedisCommand[] = [];
      // MSET takes half the time of as many SETs, but no deadlines, and in a cluster not keys of several servers.
      const mset: RedisCommand = ["mset"];
      for (const [key, entry] of batch) {
        const name = this.#prefix + key;
        const value = this.#valueOf("setMany", entry);
        const { expiresAt } = entry;
        if (expiresAt !== undefined) {
          commands.push(["set", name, value, "PXAT", toRedisDeadline(expiresAt)]);
        } else if (isCluster) commands.push(["set", name, value]);
        else mset.push(name, value);
      }
      if (mset.length > 1) commands.push(mset);
      await this.#all("setMany", commands.map((command) => [command]));
    }
  }

  async deleteMany(keys: string[]): Promise<number> {
    let count = 0;
    const names = [...new Set(keys)].map((key) => this.#prefix + key);
    for (let i = 0; i < names.length; i += BATCH_KEYS) {
      count += await this.#unlink("deleteMany", names.slice(i, i + BATCH_KEYS));
    }
    return count;
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const names of this.#scan("keys", glob(this.#prefix + prefix) + "*")) {
      for (const name of names) {
        const key = this.#keyOf(name);
        if (key !== undefined) yield key;
      }
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    for await (const names of this.#scan("entries", glob(this.#prefix + prefix) + "*")) {
      const keys = names.map((name) => this.#keyOf(name)).filter((key) => key !== undefined);
      let i = 0;
      for await (const batch of this.#read("entries", keys)) {
        for (const found of batch) {
          const key = keys[i++];
          const entry = entryOf(found);
          if (entry !== undefined) yield [key, entry];
        }
      }
    }
  }

  async size(): Promise<number> {
    let count = 0;
    for await (const names of this.#scan("size", glob(this.#prefix) + "*")) {
      count += names.filter((name) => this.#keyOf(name) !== undefined).length;
    }
    return count;
  }

  async clear(deep = false): Promise<void> {
    for (const pattern of [`${glob(this.#prefix)}*`, ...deep ? [this.#nested] : []]) {
      for await (const names of this.#scan("clear", pattern)) await this.#unlink("clear", names);
    }
  }

  /** Finds what another program put among the entries; fixing it deletes it. */
  async check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    const problems: EngineProblem[] = [];
    let checked = 0;
    for await (const names of this.#scan("check", glob(this.#prefix) + "*")) {
      const types = await this.#all("check", names.map((name) => [["type", name]]));
      const foreign: Buffer[] = [];
      for (const [i, name] of names.entries()) {
        if (types[i] === "none") continue;
        checked++;
        const key = this.#keyOf(name);
        if (types[i] === "string" && key !== undefined) continue;
        foreign.push(name);
        const what = types[i] === "string" ? "is no text" : `holds a ${types[i]}, not a string`;
        const detail = `The Redis key ${JSON.stringify(String(name))} ${what}: it is no entry`;
        problems.push({ kind: "foreign", key, detail, fixed: fix });
      }
      if (fix) await this.#unlink("check", foreign);
    }
    return { checked, problems };
  }

  /** The server's memory for keys and values, its own overhead for each included. */
  async byteSize(): Promise<number> {
    let bytes = 0;
    for await (const names of this.#scan("byteSize", glob(this.#prefix) + "*")) {
      const sizes = await this.#all("byteSize", names.map((name) => [["memory", "USAGE", name]]));
      for (const size of sizes) bytes += Number(size);
    }
    return bytes;
  }

  get #connection(): RedisConnection {
    if (this.#hold === undefined) throw new Error("The engine is not open");
    return this.#hold.resource;
  }

  /** Sends commands; their answers, when none of them failed. */
  async #all(operation: RedisOperation, groups: RedisCommand[][]): Promise<unknown[]> {
    const replies = await this.#connection.send(operation, groups);
    for (const reply of replies) {
      if (reply instanceof Error) throw this.#connection.error(operation, reply);
    }
    return replies;
  }

  /** What an error of a command on this key means, if that is what holds no string. */
  #wrongType(error: unknown, key: string): Error | undefined {
    return isWrongType(error) ? foreignError(this.#prefix + key, key) : undefined;
  }

  /** The value in the form that ioredis sends as it is. */
  #valueOf(operation: RedisOperation, { value }: NewEntry): Buffer {
    if (value.byteLength <= MAX_BYTES) return bufferOf(value);
    const because = `a value of ${value.byteLength} bytes is too large: Redis takes ${MAX_BYTES}`;
    throw engineError(this.name, operation, because, undefined);
  }

  async #unlink(operation: RedisOperation, names: RedisArgument[]): Promise<number> {
    if (names.length === 0) return 0;
    const groups: RedisCommand[][] = this.#connection.isCluster
      ? names.map((name) => [["unlink", name]])
      : [[["unlink", ...names]]];
    const counts = await this.#all(operation, groups);
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  #counted<T>(work: Promise<T>): Promise<T> {
    this.#gets++;
    const done = () => void this.#gets--;
    work.then(done, done);
    return work;
  }

  async #getWaiting(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    let i = 0;
    try {
      for await (const batch of this.#read("get", waiting.map(({ key }) => key))) {
        for (const found of batch) {
          const { resolve, reject } = waiting[i++];
          if (found instanceof Error) reject(found);
          else resolve(found);
        }
      }
    } catch (error) {
      for (const { reject } of waiting.slice(i)) reject(error);
    }
  }

  async #get(operation: RedisOperation, key: string): Promise<Entry | undefined> {
    return entryOf(await this.#find(operation, key));
  }

  /** Reads one entry, in one round trip. */
  async #find(operation: RedisOperation, key: string): Promise<Found> {
    try {
      const [value, deadline] = await this.#connection.read(operation, this.#prefix + key);
      return this.#found(value, deadline);
    } catch (error) {
      const foreign = this.#wrongType(error, key);
      if (foreign !== undefined) return foreign;
      throw error;
    }
  }

  /** Reads entries in the order of the keys, in batches of a bounded number and, as far as sizes can be foreseen, of bounded bytes. */
  async *#read(operation: RedisOperation, keys: string[]): AsyncGenerator<Found[]> {
    for (let i = 0; i < keys.length;) {
      const batch = keys.slice(i, i + this.#readSize);
      i += batch.length;
      const found = await this.#findAll(operation, batch);
      let bytes = 1;
      for (const entry of found) if (isEntry(entry)) bytes += entry.value.byteLength;
      const fitting = Math.floor(BATCH_BYTES / (bytes / batch.length));
      this.#readSize = Math.max(1, Math.min(fitting, BATCH_KEYS));
      yield found;
    }
  }

  async #findAll(operation: RedisOperation, keys: string[]): Promise<Found[]> {
    if (keys.length === 1 || this.#connection.isCluster) {
      return await Promise.all(keys.map((key) => this.#find(operation, key)));
    }
    const names = keys.map((key) => this.#prefix + key);
    const [values, packed] = await this.#all(operation, [[
      ["mgetBuffer", ...names],
      ["evalBuffer", DEADLINES, names.length, ...names, this.#connection.deadlineCommand],
    ]]) as [(Buffer | null)[], Buffer];
    const found: Found[] = [];
    for (const [i, key] of keys.entries()) {
      const value = values[i];
      const time = packed.readDoubleLE(8 * i);
      // MGET tells nothing of what is no string, but something is there: GET will say what is wrong with it.
      const isOdd = value === null && time !== ABSENT;
      found.push(isOdd ? await this.#find(operation, key) : this.#found(value, time));
    }
    return found;
  }

  #found(value: Buffer | null, deadline: unknown): RedisEntry | undefined {
    const time = Number(deadline);
    // It may have gone after its value was read.
    if (value === null || time === ABSENT) return undefined;
    const exact = this.#connection.deadlineCommand === "pexpiretime";
    const revision = exact ? String(time) : "any";
    if (time === FOREVER) return { value, revision };
    return { value, revision, expiresAt: exact ? time + 1 : Date.now() + time };
  }

  /** The Redis keys that match, each once: a scan itself may come by a key twice while the server resizes its table. */
  async *#scan(operation: RedisOperation, pattern: string): AsyncGenerator<Buffer[]> {
    const connection = this.#connection;
    const seen = new Set<string>();
    for (const server of await connection.masters(operation)) {
      let cursor = "0";
      do {
        const step = ["MATCH", pattern, "COUNT", SCAN_COUNT] as const;
        const [next, names] = await connection.run(
          operation,
          () => server.scanBuffer(cursor, ...step),
        );
        cursor = String(next);
        yield names.filter((name) => seen.size < seen.add(name.toString("latin1")).size);
      } while (cursor !== "0");
    }
  }

  /** The key in a Redis key; `undefined` when it is not UTF-8, and so of another program. */
  #keyOf(name: Buffer): string | undefined {
    const text = name.toString();
    const isText = !text.includes("\ufffd") || name.equals(Buffer.from(text));
    return isText ? text.slice(this.#prefix.length) : undefined;
  }
}

/** A part of a Redis key that ends where the next ":" stands. */
function segment(name: string): string {
  return name.replace(/[%:]/g, encodeURIComponent);
}

/** A pattern that matches the text and nothing else. */
function glob(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}

/** Redis drops a key after the millisecond of its deadline, an entry is gone in it. */
function toRedisDeadline(expiresAt: number): number {
  return Math.max(1, Math.min(Math.ceil(expiresAt) - 1, Number.MAX_SAFE_INTEGER));
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function isEntry(found: Found): found is RedisEntry {
  return found !== undefined && !(found instanceof Error);
}

function entryOf(found: Found): Entry | undefined {
  if (found instanceof Error) throw found;
  return found;
}

function* batches(pairs: [string, NewEntry][]): Generator<[string, NewEntry][]> {
  let batch: [string, NewEntry][] = [];
  let bytes = 0;
  for (const pair of pairs) {
    const size = pair[1].value.byteLength;
    if (batch.length > 0 && (batch.length === BATCH_KEYS || bytes + size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(pair);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** Makes the engine "redis"; connects to nothing yet. */
export const createEngine: EngineFactory = (location, options) =>
  new RedisEngine(location, redisAddress(options));
