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
  nestedStores,
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
import type { PostgresQueries, PostgresQuery, RangeQuery } from "./queries.ts";

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

/** The names of the statements of a kind. */
type Named<Query> = {
  [Name in keyof PostgresQueries]: PostgresQueries[Name] extends Query ? Name : never;
}[keyof PostgresQueries];

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
      type Row = [key: string, ...EntryRow, isLive: boolean];
      const { rows } = await this.#run<Row>("entries", values);
      const { agree } = this.#connection.clocks;
      for (const [key, value, timestamp, expiresAt, left, revision, longKey, isLive] of rows) {
        const whole = longKey ?? key;
        if (!isLive || !whole.startsWith(prefix)) continue;
        const row: EntryRow = [value, timestamp, expiresAt, left, revision, longKey];
        yield [whole, toEntry(whole, row, agree)];
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      range = rangeAfter(range, last[0]);
    }
  }

  async size(prefix: string): Promise<number> {
    if (isExactRange(prefix)) {
      return await this.#rangeNumber("size", rangeOf(this.#store, prefix));
    }
    let count = 0;
    for await (const page of this.#pages(prefix)) count += page.length;
    return count;
  }

  /** Removes step by step, so that nobody waits for long for rows that are locked. */
  async clear(deep: boolean, prefix: string): Promise<void> {
    if (isExactRange(prefix)) await this.#clear(rangeOf(this.#store, prefix));
    else for await (const page of this.#pages(prefix)) await this.deleteMany(page);
    if (!deep) return;
    for (const store of await this.#nested()) await this.#clear(rangeOf(store, ""));
  }

  async prune(prefix: string): Promise<number> {
    // What has expired under a prefix longer than that is dropped with all that the index can't tell
    // from it.
    const range = rangeOf(this.#store, prefix);
    for (let count = 0;;) {
      const removed = (await this.#runRange("prune", range, STEP)).rowCount ?? 0;
      count += removed;
      if (removed < STEP) return count;
    }
  }

  async byteSize(prefix: string): Promise<number> {
    return await this.#rangeNumber("byteSize", rangeOf(this.#store, prefix));
  }

  async *stores(counted: boolean): AsyncGenerator<FoundStore> {
    for (const store of [this.#store, ...await this.#nested()]) {
      const dbname = store === this.#store ? "" : nestedName(this.#store, store);
      if (dbname !== undefined) {
        yield { dbname, usage: counted ? await this.#usage(store) : undefined };
      }
    }
  }

  async #usage(store: string): Promise<StoreUsage> {
    const { rows: [[entries, bytes, lastWrite]] } = await this.#runRange<(string | null)[]>(
      "usage",
      rangeOf(store, ""),
    );
    const counts = { entries: Number(entries), bytes: Number(bytes) };
    return lastWrite === null ? counts : { ...counts, lastWrite: Number(lastWrite) };
  }

  async #nested(): Promise<string[]> {
    const { rows } = await this.#run<[store: string]>("stores", nestedStores(this.#store));
    return rows.map(([store]) => store);
  }

  async #clear([store, first, end]: PostgresRange): Promise<void> {
    for (let from = first;;) {
      const { rows: [next] } = await this.#run<[key: string]>("step", [store, from, end, STEP]);
      await this.#runRange("clear", [store, from, next?.[0] ?? end]);
      if (next === undefined) return;
      [from] = next;
    }
  }

  async *#pages(prefix: string): AsyncGenerator<string[]> {
    let range = rangeOf(this.#store, prefix);
    while (true) {
      const { rows: page } = await this.#run<KeyRow>("keys", [...range, PAGE_KEYS]);
      const keys: string[] = [];
      for (const [key, longKey, isLive] of page) {
        const whole = longKey ?? key;
        if (isLive && whole.startsWith(prefix)) keys.push(whole);
      }
      yield keys;
      if (page.length < PAGE_KEYS) return;
      range = rangeAfter(range, page[PAGE_KEYS - 1][0]);
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

  #run<Row>(query: Named<PostgresQuery>, values: PostgresValue[]): Promise<ClientResult<Row>> {
    return this.#connection.run(this.#connection.queries[query], values);
  }

  #runRange<Row>(
    query: Named<RangeQuery>,
    range: PostgresRange,
    ...values: PostgresValue[]
  ): Promise<ClientResult<Row>> {
    return this.#connection.runRange(this.#connection.queries[query], range, values);
  }

  async #count(query: Named<PostgresQuery>, values: PostgresValue[]): Promise<number> {
    return (await this.#run(query, values)).rowCount ?? 0;
  }

  async #rangeNumber(query: Named<RangeQuery>, range: PostgresRange): Promise<number> {
    const { rows: [[number]] } = await this.#runRange<[string]>(query, range);
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
