/**
 * One Redis string per entry: the Redis key is `name:dbname:key`, the value is the stored bytes and
 * nothing else, so that `redis-cli GET my_cache:main:my_key` shows what a stash without compression
 * holds. `:` and `%` in the names are percent-encoded: no two stores share a beginning of their
 * keys.
 *
 * Deadlines are Redis' own (`PXAT`), kept by the server's clock. When a value was set is not kept.
 * What survives a crash or a restart of the server, and whether entries are evicted when its memory
 * is full, is up to its settings (`appendonly`, `save`, `maxmemory-policy`). Needs Redis 6.2,
 * Valkey, or what speaks like them and runs Lua scripts.
 */
import { Buffer } from "node:buffer";
import type {
  Engine,
  EngineCheck,
  EngineFactory,
  EngineLocation,
  EngineProblem,
  Entry,
  EntryValue,
  NewEntry,
} from "../engine.ts";
import { engineError } from "../errors.ts";
import { type RedisAddress, redisAddress } from "./address.ts";
import {
  connect,
  type RedisArgument,
  type RedisCommand,
  type RedisConnection,
} from "./connection.ts";
import { toRedisDeadline } from "./deadline.ts";
import { foreignError, isWrongType, type RedisOperation } from "./errors.ts";
import { RedisNames } from "./names.ts";
import { type RedisEntry, RedisReader } from "./reader.ts";
import { COMPARE_AND_SET } from "./scripts.ts";
import type { Hold } from "../shared.ts";

/**
 * How many keys, and how many bytes of values, are written at once: the server does nothing else
 * meanwhile.
 */
const BATCH_KEYS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;
/** How many keys the server looks at in one step of a scan. */
const SCAN_COUNT = 1_000;
/** Redis' limit for a string. */
const MAX_BYTES = 512 * 1024 * 1024;

/** A handle's use of its connection. */
interface Use {
  readonly hold: Hold<RedisConnection>;
  readonly reader: RedisReader;
}

class RedisEngine implements Engine {
  readonly name = "redis";
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #address: RedisAddress;
  readonly #names: RedisNames;
  #use: Use | undefined;

  constructor(location: EngineLocation, address: RedisAddress) {
    this.path = address.path;
    this.#address = address;
    this.#names = new RedisNames(location);
  }

  async open(): Promise<void> {
    if (this.#use !== undefined) return;
    const hold = await connect(this.#address);
    this.#use = { hold, reader: new RedisReader(hold.resource, this.#names) };
  }

  async close(): Promise<void> {
    const use = this.#use;
    this.#use = undefined;
    await use?.hold.release();
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#open.reader.get(key);
  }

  getValue(key: string): Promise<EntryValue | undefined> {
    return this.#open.reader.getValue(key);
  }

  getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return this.#open.reader.getMany(keys);
  }

  getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    return this.#open.reader.getValues(keys);
  }

  async has(key: string): Promise<boolean> {
    const name = this.#names.of(key);
    return Number(await this.#connection.run("has", ({ client }) => client.exists(name))) === 1;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    const name = this.#names.of(key);
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
    const name = this.#names.of(key);
    return Number(await this.#connection.run("delete", ({ client }) => client.unlink(name))) === 1;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    const name = this.#names.of(key);
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
      throw isWrongType(error) ? foreignError(name, key) : error;
    }
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    const { isCluster } = this.#connection;
    for (const batch of batches([...new Map(pairs)])) {
      const commands: RedisCommand[] = [];
      // MSET takes half the time of as many SETs, but no deadlines, and in a cluster not keys of
      // several servers.
      const plain: (string | Buffer)[] = [];
      for (const [key, entry] of batch) {
        const name = this.#names.of(key);
        const value = this.#valueOf("setMany", entry);
        const { expiresAt } = entry;
        if (expiresAt !== undefined) {
          commands.push(["set", name, value, "PXAT", toRedisDeadline(expiresAt)]);
        } else if (isCluster) commands.push(["set", name, value]);
        else plain.push(name, value);
      }
      if (commands.length === 0) {
        await this.#connection.run("setMany", ({ client }) => client.mset(...plain));
      } else {
        if (plain.length > 0) commands.push(["mset", ...plain]);
        await this.#connection.sendAll("setMany", commands.map((command) => [command]));
      }
    }
  }

  async deleteMany(keys: string[]): Promise<number> {
    let count = 0;
    const names = [...new Set(keys)].map((key) => this.#names.of(key));
    for (let i = 0; i < names.length; i += BATCH_KEYS) {
      count += await this.#unlink("deleteMany", names.slice(i, i + BATCH_KEYS));
    }
    return count;
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const names of this.#scan("keys", this.#names.pattern(prefix))) {
      for (const name of names) {
        const key = this.#names.keyOf(name);
        if (key !== undefined) yield key;
      }
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    for await (const names of this.#scan("entries", this.#names.pattern(prefix))) {
      const keys = names.map((name) => this.#names.keyOf(name)).filter((key) => key !== undefined);
      yield* this.#open.reader.entries(keys);
    }
  }

  async size(): Promise<number> {
    let count = 0;
    for await (const names of this.#scan("size", this.#names.pattern())) {
      count += names.filter((name) => this.#names.keyOf(name) !== undefined).length;
    }
    return count;
  }

  async clear(deep = false): Promise<void> {
    for (const pattern of [this.#names.pattern(), ...deep ? [this.#names.nested] : []]) {
      for await (const names of this.#scan("clear", pattern)) await this.#unlink("clear", names);
    }
  }

  /** Finds what another program put among the entries; fixing it deletes it. */
  async check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    const problems: EngineProblem[] = [];
    let checked = 0;
    for await (const names of this.#scan("check", this.#names.pattern())) {
      const types = await this.#connection.sendAll("check", names.map((name) => [["type", name]]));
      const foreign: Buffer[] = [];
      for (const [i, name] of names.entries()) {
        if (types[i] === "none") continue;
        checked++;
        const key = this.#names.keyOf(name);
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
    for await (const names of this.#scan("byteSize", this.#names.pattern())) {
      const sizes = await this.#connection.sendAll(
        "byteSize",
        names.map((name) => [["memory", "USAGE", name]]),
      );
      for (const size of sizes) bytes += Number(size);
    }
    return bytes;
  }

  get #open(): Use {
    if (this.#use === undefined) throw new Error("the engine is not open");
    return this.#use;
  }

  get #connection(): RedisConnection {
    return this.#open.hold.resource;
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
    const counts = await this.#connection.sendAll(operation, groups);
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  /**
   * The Redis keys that match, each once: a scan itself may come by a key twice while the server
   * resizes its table.
   */
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
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
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
export const redis: EngineFactory = (location, options) =>
  new RedisEngine(location, redisAddress(options));
