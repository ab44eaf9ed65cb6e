import { DecodeError } from "../../codec/errors.ts";
import { groupsOf } from "../each.ts";
import type { Entry, EntryValue, FoundStore, NewEntry, StoreUsage } from "../engine.ts";
import { Together } from "../together.ts";
import type { ClientResult } from "./client.ts";
import type { PostgresConnection } from "./connection.ts";
import {
  type EntryRow,
  isExactRange,
  type KeyRow,
  nestedName,
  nestedRange,
  type PostgresKey,
  type PostgresRange,
  type PostgresValue,
  rangeAfter,
  rangeOf,
  toArray,
  toBytes,
  toDeadline,
  toEntry,
  toKey,
  toTime,
  toValue,
  type ValueColumn,
} from "./format.ts";
import type { PostgresQueries } from "./queries.ts";

/** How many entries one statement writes, reads or removes. */
const BATCH_KEYS = 5_000;
/**
 * How many bytes of values one statement writes or lists. What is read by its keys may be more: its
 * size is not known before.
 */
const BATCH_BYTES = 8 * 1024 * 1024;
/** How many keys are listed at once. */
const PAGE_KEYS = 1_000;
/** How many entries are, unless their values are large. */
const PAGE_ENTRIES = 500;
/** How many rows one statement removes: some 50 ms. */
const STEP = 10_000;

/** An entry of another store, and the state that it must be in: store, key, revision. */
export type PostgresGuard = [store: string, key: string, revision: string];

/** The entries of one store in a table. */
export class PostgresStore {
  readonly #connection: PostgresConnection;
  readonly #store: string;
  readonly #entries: Together<Entry | undefined>;
  readonly #values: Together<EntryValue | undefined>;

  constructor(connection: PostgresConnection, store: string) {
    this.#connection = connection;
    this.#store = store;
    this.#entries = new Together((key) => this.#entry(key), (keys) => this.#entryBatch(keys));
    this.#values = new Together((key) => this.#value(key), (keys) => this.#valueBatch(keys));
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#entries.call(key);
  }

  getValue(key: string): Promise<EntryValue | undefined> {
    return this.#values.call(key);
  }

  async getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return (await this.#entryBatch(keys)).map(certain);
  }

  async getValues(keys: string[]): Promise<(EntryValue | undefined)[]> {
    return (await this.#valueBatch(keys)).map(certain);
  }

  async has(key: string): Promise<boolean> {
    return await this.#count("has", [this.#store, toKey(key).key]) > 0;
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.#run("set", this.#row(key, entry));
  }

  async setMany(pairs: [string, NewEntry][]): Promise<void> {
    for (const batch of [...batchesOf([...new Map(pairs)])]) {
      const keys = batch.map(([key]) => toKey(key));
      const deadlines = batch.map(([, entry]) => this.#deadline(entry));
      await this.#run("setMany", [
        this.#store,
        toArray("text", keys.map(({ key }) => key)),
        toArray("text", keys.map(({ longKey }) => longKey)),
        toArray("bytea", batch.map(([, { value }]) => toBytes(value))),
        toArray("bigint", batch.map(([, { timestamp }]) => toTime(timestamp))),
        toArray("bigint", deadlines.map(([point]) => point)),
        toArray("bigint", deadlines.map(([, left]) => left)),
      ]);
    }
  }

  async delete(key: string): Promise<boolean> {
    return await this.#count("delete", [this.#store, toKey(key).key]) > 0;
  }

  async deleteMany(keys: string[]): Promise<number> {
    let count = 0;
    for (const batch of groupsOf([...new Set(keys)], BATCH_KEYS)) {
      const columns = batch.map((key) => toKey(key).key);
      count += await this.#count("deleteMany", [this.#store, toArray("text", columns)]);
    }
    return count;
  }

  async deleteUnchanged(entries: [key: string, expected: Entry][]): Promise<boolean[]> {
    const removed: boolean[] = [];
    for (const batch of groupsOf(entries, BATCH_KEYS)) {
      const { rows } = await this.#run<[place: number]>("deleteUnchanged", [
        this.#store,
        toArray("text", batch.map(([key]) => toKey(key).key)),
        // Only an entry of this engine is a state of it.
        toArray("text", batch.map(([, { revision }]) => revision as string)),
      ]);
      const places = new Set(rows.map(([place]) => Number(place)));
      for (const i of batch.keys()) removed.push(places.has(i + 1));
    }
    return removed;
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: PostgresGuard,
  ): Promise<boolean> {
    // Only an entry of this engine is a state of it.
    const revision = expected === undefined ? [] : [expected.revision as string];
    const action = next === undefined
      ? expected === undefined ? "isAbsent" : "remove"
      : expected === undefined
      ? "add"
      : "replace";
    const row = next === undefined ? [this.#store, toKey(key).key] : this.#row(key, next);
    const values = [...row, ...revision, ...guard ?? []];
    return await this.#count(guard === undefined ? action : `${action}Guarded`, values) === 1;
  }

  /** What must hold for who changes another store while an entry here is in this state. */
  guard(key: string, expected: Entry): PostgresGuard {
    return [this.#store, toKey(key).key, expected.revision as string];
  }

  async *keys(prefix: string): AsyncGenerator<string> {
    for await (const page of this.#pages(prefix)) yield* page;
  }

  async *entries(prefix: string): AsyncGenerator<[string, Entry]> {
    let range = rangeOf(this.#store, prefix);
    while (true) {
      const values = [...range, PAGE_ENTRIES, BATCH_BYTES];
      const { rows } = await this.#run<[key: string, ...EntryRow]>("entries", values);
      const { agree } = this.#connection.clocks;
      for (const [key, ...row] of rows) {
        const whole = row[5] ?? key;
        if (whole.startsWith(prefix)) yield [whole, toEntry(whole, row, agree)];
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      range = rangeAfter(range, this.#store, last[0]);
    }
  }

  async size(prefix: string): Promise<number> {
    if (isExactRange(prefix)) {
      return await this.#number("size", [...rangeOf(this.#store, prefix), this.#store]);
    }
    let count = 0;
    for await (const page of this.#pages(prefix)) count += page.length;
    return count;
  }

  /** Removes step by step, so that nobody waits for long for rows that are locked. */
  async clear(deep: boolean, prefix: string): Promise<void> {
    if (isExactRange(prefix)) await this.#clear(rangeOf(this.#store, prefix));
    else for await (const page of this.#pages(prefix)) await this.deleteMany(page);
    if (deep) await this.#clear(nestedRange(this.#store));
  }

  async prune(prefix: string): Promise<number> {
    // What has expired under a prefix longer than that is dropped with all that the index can't tell
    // from it.
    const range = rangeOf(this.#store, prefix);
    for (let count = 0;;) {
      const removed = await this.#count("prune", [...range, this.#store, STEP]);
      count += removed;
      if (removed < STEP) return count;
    }
  }

  async byteSize(prefix: string): Promise<number> {
    return await this.#number("byteSize", rangeOf(this.#store, prefix));
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    const [from, , to] = nestedRange(this.#store);
    const { rows } = await this.#run<[store: string]>("stores", [from, to]);
    for (const store of [this.#store, ...rows.map(([store]) => store)]) {
      const dbname = store === this.#store ? "" : nestedName(this.#store, store);
      if (dbname !== undefined) {
        yield { dbname, usage: counted ? await this.#usage(store) : undefined };
      }
    }
  }

  async #usage(store: string): Promise<StoreUsage> {
    const { rows: [[entries, bytes, lastWrite]] } = await this.#run<(string | null)[]>(
      "usage",
      rangeOf(store, ""),
    );
    const counts = { entries: Number(entries), bytes: Number(bytes) };
    return lastWrite === null ? counts : { ...counts, lastWrite: Number(lastWrite) };
  }

  async #clear(range: PostgresRange): Promise<void> {
    const [, , toStore, toKey] = range;
    for (let [fromStore, fromKey] = range;;) {
      const range = [fromStore, fromKey, toStore, toKey, STEP];
      const { rows: [next] } = await this.#run<[store: string, key: string]>("step", range);
      await this.#run("clear", [fromStore, fromKey, ...next ?? [toStore, toKey]]);
      if (next === undefined) return;
      [fromStore, fromKey] = next;
    }
  }

  async *#pages(prefix: string): AsyncGenerator<string[]> {
    let range = rangeOf(this.#store, prefix);
    while (true) {
      const { rows: page } = await this.#run<KeyRow>("keys", [...range, PAGE_KEYS]);
      const keys = page.map(([key, longKey]) => longKey ?? key);
      yield isExactRange(prefix) ? keys : keys.filter((key) => key.startsWith(prefix));
      if (page.length < PAGE_KEYS) return;
      range = rangeAfter(range, this.#store, page[PAGE_KEYS - 1][0]);
    }
  }

  async #entry(key: string): Promise<Entry | undefined> {
    const { key: column } = toKey(key);
    const { rows: [row] } = await this.#run<EntryRow>("get", [this.#store, column]);
    if (row === undefined) return undefined;
    checkLongKey(key, row[5]);
    return toEntry(key, row, this.#connection.clocks.agree);
  }

  async #value(key: string): Promise<EntryValue | undefined> {
    const { key: column } = toKey(key);
    type ValueRow = [value: ValueColumn, longKey: string | null];
    const { rows: [row] } = await this.#run<ValueRow>("getValue", [this.#store, column]);
    if (row === undefined) return undefined;
    const [value, longKey] = row;
    checkLongKey(key, longKey);
    return { value: toValue(key, value) };
  }

  #entryBatch(keys: string[]): Promise<(Entry | Error | undefined)[]> {
    const { agree } = this.#connection.clocks;
    return this.#batch<Entry, [string, ...EntryRow]>("getMany", keys, (key, [, ...row]) => {
      checkLongKey(key, row[5]);
      return toEntry(key, row, agree);
    });
  }

  #valueBatch(keys: string[]): Promise<(EntryValue | Error | undefined)[]> {
    return this.#batch<EntryValue, [string, ValueColumn, string | null]>(
      "getValues",
      keys,
      (key, [, value, longKey]) => {
        checkLongKey(key, longKey);
        return { value: toValue(key, value) };
      },
    );
  }

  /** Reads many; an error about one key keeps nobody from the others. */
  async #batch<T, Row extends [string, ...unknown[]]>(
    query: "getMany" | "getValues",
    keys: string[],
    read: (key: string, row: Row) => T,
  ): Promise<(T | Error | undefined)[]> {
    const all: (T | Error | undefined)[] = [];
    for (const batch of groupsOf(keys, BATCH_KEYS)) {
      const columns = batch.map((key) => toKey(key).key);
      const values = [this.#store, toArray("text", [...new Set(columns)])];
      const { rows } = await this.#run<Row>(query, values);
      const found = new Map(rows.map((row) => [row[0], row]));
      for (const [i, key] of batch.entries()) {
        const row = found.get(columns[i]);
        try {
          all.push(row && read(key, row));
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          all.push(error);
        }
      }
    }
    return all;
  }

  #row(key: string, entry: NewEntry): PostgresValue[] {
    const { key: column, longKey }: PostgresKey = toKey(key);
    return [
      this.#store,
      column,
      longKey,
      toBytes(entry.value),
      toTime(entry.timestamp),
      ...this.#deadline(entry),
    ];
  }

  #deadline(entry: NewEntry): [number | null, number | null] {
    return entry.expiresAt === undefined
      ? [null, null]
      : toDeadline(entry, this.#connection.clocks.agree);
  }

  #run<Row>(query: keyof PostgresQueries, values: PostgresValue[]): Promise<ClientResult<Row>> {
    return this.#connection.run(this.#connection.queries[query], values);
  }

  async #count(query: keyof PostgresQueries, values: PostgresValue[]): Promise<number> {
    return (await this.#run(query, values)).rowCount ?? 0;
  }

  async #number(query: keyof PostgresQueries, values: PostgresValue[]): Promise<number> {
    const { rows: [[number]] } = await this.#run<[string]>(query, values);
    return Number(number);
  }
}

/** A row of another key that has the same hash, or that was not made by this engine. */
function checkLongKey(key: string, longKey: string | null): void {
  if (longKey === null || longKey === key) return;
  throw new DecodeError("its row in the table is that of another key", { key });
}

function certain<T>(found: T | Error | undefined): T | undefined {
  if (found instanceof Error) throw found;
  return found;
}

function* batchesOf(pairs: [string, NewEntry][]): Generator<[string, NewEntry][]> {
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
