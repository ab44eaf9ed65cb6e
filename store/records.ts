/** A stash as rows: what is stored, flat, one row per item, ready to be a table. */
import type { ArqueroTable } from "./arquero.ts";
import { loadLibrary } from "../platform/library.ts";
import { decodeKey } from "../codec/key.ts";
import type { Handle } from "./handle.ts";
import { dumpStore } from "./transfer.ts";
import type { Version } from "./types.ts";
import { isPlainObject } from "./pairs.ts";
import { checkNames, typeOf } from "./options.ts";

/** Which rows, and of what columns. */
export interface RecordsOptions {
  /** Whether nested objects become columns with dotted names (`other.age`); `true` by default. */
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
 * `_value` when it is no object. A column of a value whose own name is one of these stands under
 * `_value.` and that name.
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
  checkNames(options, ["flatten", "withMetadata", "allVersions"]);
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
    for (const columns of columnsOf(value, flatten)) {
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
  for await (const record of dumpStore(handle, (keys) => Promise.resolve(keys))) {
    const { key: text, version, timestamp = 0 } = record;
    yield [decodeKey(text), { version, timestamp, value: await handle.read(record, text) }];
  }
}

/** Which pairs `query` yields; a predicate that is absent accepts all. */
export interface QueryPredicates<K, V> {
  /** Whether it wants a key. */
  key?: (key: K) => boolean | PromiseLike<boolean>;
  /** Whether it wants a value. */
  value?: (value: V) => boolean | PromiseLike<boolean>;
}

/** @throws {TypeError} When they are no predicates. */
export function checkPredicates(predicates: object): void {
  checkNames(predicates, ["key", "value"]);
  for (const [name, predicate] of Object.entries(predicates)) {
    if (predicate !== undefined && typeof predicate !== "function") {
      throw new TypeError(`Expected ${name} to be a predicate, got ${typeOf(predicate)}`);
    }
  }
}

const RESERVED = /^_(key|value|version|timestamp|arg\d+)$/;

/** The columns of a value: one row, or one for each item of a list. */
function* columnsOf(value: unknown, flatten: boolean): Generator<StashRecord> {
  for (const item of Array.isArray(value) ? value : [value]) {
    if (!isPlainObject(item)) {
      yield { _value: item };
      continue;
    }
    const row: StashRecord = {};
    addColumns(row, item, flatten, "", new Set());
    if (Object.keys(row).length > 0) yield row;
  }
}

function addColumns(
  row: StashRecord,
  object: object,
  flatten: boolean,
  prefix: string,
  around: Set<object>,
): void {
  around.add(object);
  for (const [name, value] of Object.entries(object)) {
    const column = prefix + name;
    // An object that contains itself has no end of columns: where it comes again, it stays as it
    // is.
    if (flatten && isPlainObject(value) && Object.keys(value).length > 0 && !around.has(value)) {
      addColumns(row, value, flatten, `${column}.`, around);
    } else {
      // Not by assignment: "__proto__" is a name like any other.
      Object.defineProperty(row, RESERVED.test(column) ? `_value.${column}` : column, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }
  around.delete(object);
}

const loadTable = loadLibrary<{ makeTable(columns: Map<string, unknown[]>): ArqueroTable }>(
  "table",
  new URL("./table", import.meta.url),
);

/** `stash.table`. */
export async function recordsTable(records: AsyncIterable<StashRecord>): Promise<ArqueroTable> {
  const columns = new Map<string, unknown[]>();
  let length = 0;
  for await (const row of records) {
    for (const [name, value] of Object.entries(row)) {
      let column = columns.get(name);
      if (column === undefined) columns.set(name, column = []);
      // Rows before that had no such column.
      column.length = length;
      column.push(value);
    }
    length++;
  }
  for (const column of columns.values()) column.length = length;
  return (await loadTable()).makeTable(columns);
}
