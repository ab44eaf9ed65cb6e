/** A stash as rows: what is stored, flat, one row per item, ready to be a table. */
import type { ArqueroTable } from "./arquero.ts";
import { loadLibrary } from "../platform/library.ts";
import type { Handle } from "./handle.ts";
import { checkSelection, keyOf, type SelectOptions } from "./selection.ts";
import { dumpStore } from "./transfer.ts";
import type { Version } from "./types.ts";
import { rowsOfValue } from "./flatten.ts";
import { checkBoolean, checkNames, typeOf } from "./options.ts";

/** Which rows, and of what columns. */
export interface RecordsOptions {
  /**
   * Whether nested objects become columns with dotted names (`other.age`); `true` by default. They
   * stay as they are where they contain themselves, below 32 levels or names of 1,000 characters,
   * where one of their columns would have the name of another (`{ "a.b": 1, a: { b: 2 } }`), and where one of more than 100 columns
   * comes again in a value.
   */
  flatten?: boolean;
  /** Whether rows have `_version` and `_timestamp` (ms since the epoch); `false` by default. */
  withMetadata?: boolean;
  /**
   * Whether there are rows of every version of a key rather than of the latest; `false` by default.
   */
  allVersions?: boolean;
}

/**
 * One row: `_key` (of a function's stash `_arg1` … `_argN`), then the columns of the value,
 * `_value` when it is not an object. A column of a value whose own name is one of these, or of this
 * form already, stands under `_value.` and that name.
 */
export type StashRecord = Record<string, unknown>;

/**
 * The rows of a stash: `await` gives an array, `for await` one after the other without the whole in
 * memory. Each time the stash is read anew.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory", name: "people" });
 * await stash.set("john", { age: 30, home: { city: "Leeds" } });
 * console.log(await stash.records()); // [{ _key: "john", age: 30, "home.city": "Leeds" }]
 * ```
 */
export interface StashRecords extends AsyncIterable<StashRecord>, PromiseLike<StashRecord[]> {
  /** The rows, one after the other. */
  [Symbol.asyncIterator](): AsyncGenerator<StashRecord, void, void>;
}

/** `stash.records`. */
export function recordsOf(handle: Handle, options: RecordsOptions = {}): StashRecords {
  const names = ["flatten", "withMetadata", "allVersions"] as const;
  checkNames(options, names);
  for (const name of names) checkBoolean(options, name);
  const rows = () => rowsOf(handle, options);
  return {
    [Symbol.asyncIterator]: rows,
    then: (onResolved, onRejected) => Array.fromAsync(rows()).then(onResolved, onRejected),
  };
}

async function* rowsOf(
  handle: Handle,
  { withMetadata = false, flatten = true, allVersions = false }: RecordsOptions,
): AsyncGenerator<StashRecord, void, void> {
  for await (const [key, stored] of allVersions ? everyVersion(handle) : latest(handle)) {
    const { version, timestamp, value } = stored;
    const keyColumns: StashRecord = handle.kind === "function" && Array.isArray(key)
      ? Object.fromEntries(key.map((arg, i) => [`_arg${i + 1}`, arg]))
      : { _key: key };
    const metadata = withMetadata ? { _version: version, _timestamp: timestamp } : undefined;
    for (const columns of rowsOfValue(value, flatten)) {
      yield { ...keyColumns, ...metadata, ...columns };
    }
  }
}

async function* latest(handle: Handle): AsyncGenerator<[unknown, Version<unknown>]> {
  for await (const [text, key, entry] of handle.entries("records")) {
    yield [key, await handle.version(entry, text)];
  }
}

async function* everyVersion(handle: Handle): AsyncGenerator<[unknown, Version<unknown>]> {
  for await (const record of dumpStore(handle)) {
    const { key: text, version, timestamp = 0 } = record;
    const key = keyOf(text);
    if (key === undefined) continue;
    yield [key.key, { version, timestamp, value: await handle.read(record, text) }];
  }
}

/** Which pairs `query` yields; a predicate that is absent accepts all. */
export interface QueryPredicates<K, V> extends SelectOptions {
  /** Whether it wants a key. */
  key?: (key: K) => boolean | PromiseLike<boolean>;
  /** Whether it wants a value. */
  value?: (value: V) => boolean | PromiseLike<boolean>;
}

/** @throws {TypeError} When they are no predicates. */
export function checkPredicates(predicates: QueryPredicates<never, never>): SelectOptions {
  checkNames(predicates, ["key", "value", "prefix", "tag"]);
  const { prefix, tag, ...functions } = predicates;
  for (const [name, predicate] of Object.entries(functions)) {
    if (predicate !== undefined && typeof predicate !== "function") {
      throw new TypeError(`Expected ${name} to be a predicate, got ${typeOf(predicate)}`);
    }
  }
  return checkSelection({ prefix, tag });
}

const loadTable = loadLibrary<{ makeTable(columns: Map<string, TableColumn>): ArqueroTable }>(
  "table",
  new URL("./table", import.meta.url),
);

/** A column of a table, as Arquero takes it. */
export interface TableColumn extends Iterable<unknown> {
  /** How many rows it has. */
  readonly length: number;
  /** The cell of a row. */
  at(row: number): unknown;
}

/** A column of which most rows have no cell: it holds those that have. */
class SparseColumn implements TableColumn {
  readonly #cells: Map<number, unknown>;

  constructor(cells: Map<number, unknown>, readonly length: number) {
    this.#cells = cells;
  }

  at(row: number): unknown {
    return this.#cells.get(row);
  }

  *[Symbol.iterator](): Generator<unknown> {
    for (let row = 0; row < this.length; row++) yield this.#cells.get(row);
  }
}

/** So many times fewer cells than rows, and an array would be mostly empty. */
const SPARSE = 8;

/** The cells of a column, while the rows come. */
class Cells {
  readonly #values: unknown[] = [];
  /** Their rows, from the first row on that has none. */
  #rows: number[] | undefined;

  add(row: number, value: unknown): void {
    if (this.#rows === undefined && this.#values.length < row) {
      this.#rows = Array.from(this.#values.keys());
    }
    this.#rows?.push(row);
    this.#values.push(value);
  }

  column(length: number): TableColumn {
    if (this.#rows === undefined && this.#values.length === length) return this.#values;
    const cells = this.#values.map((value, i) => [this.#rows?.[i] ?? i, value] as const);
    if (cells.length * SPARSE < length) return new SparseColumn(new Map(cells), length);
    const column: unknown[] = Array(length).fill(undefined);
    for (const [row, value] of cells) column[row] = value;
    return column;
  }
}

/** `stash.table`. */
export async function recordsTable(records: AsyncIterable<StashRecord>): Promise<ArqueroTable> {
  // Not arrays as long as the table from the start: names that are keys make a column for each row.
  const cells = new Map<string, Cells>();
  let length = 0;
  for await (const row of records) {
    for (const [name, value] of Object.entries(row)) {
      let column = cells.get(name);
      if (column === undefined) cells.set(name, column = new Cells());
      column.add(length, value);
    }
    length++;
  }
  const columns = new Map<string, TableColumn>();
  for (const [name, column] of cells) columns.set(name, column.column(length));
  return (await loadTable()).makeTable(columns);
}
