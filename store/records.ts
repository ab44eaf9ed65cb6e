/** A stash as rows: what is stored, flat, one row per item, ready to be a table. */
import type { ColumnTable } from "arquero";
import { loadLibrary } from "../platform/library.ts";
import { decodeKey } from "../codec/mod.ts";
import type { HashStash } from "../stash/hash_stash.ts";
import type { Version } from "./types.ts";
import { sessionOf } from "./handle.ts";
import { isFunctionStash } from "../functions/memoize.ts";
import { isPlainObject } from "./pairs.ts";
import { checkNames } from "./options.ts";

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
export class StashRecords implements AsyncIterable<StashRecord>, PromiseLike<StashRecord[]> {
  readonly #stash: HashStash;
  readonly #options: RecordsOptions;

  /**
   * The rows of a stash: what `stash.records` gives.
   *
   * @param stash The stash.
   * @param options Which rows, and of what columns.
   */
  constructor(stash: HashStash, options: RecordsOptions = {}) {
    checkNames(options, ["flatten", "withMetadata", "allVersions"]);
    this.#stash = stash;
    this.#options = options;
  }

  /** The rows, one after the other. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StashRecord, void, void> {
    const { withMetadata = false, flatten = true } = this.#options;
    const isFunction = isFunctionStash(this.#stash);
    for await (const [key, { version, timestamp, value }] of this.#versions()) {
      const keyColumns: StashRecord = isFunction && Array.isArray(key)
        ? Object.fromEntries(key.map((arg, i) => [`_arg${i + 1}`, arg]))
        : { _key: key };
      const metadata = withMetadata ? { _version: version, _timestamp: timestamp } : undefined;
      for (const columns of rowsOf(value, flatten)) {
        yield { ...keyColumns, ...metadata, ...columns };
      }
    }
  }

  /** All rows as an array. */
  then<T = StashRecord[], E = never>(
    onResolved?: ((rows: StashRecord[]) => T | PromiseLike<T>) | null,
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    return Array.fromAsync(this).then(onResolved, onRejected);
  }

  async *#versions(): AsyncGenerator<[unknown, Version<unknown>]> {
    const session = sessionOf(this.#stash);
    if (!this.#options.allVersions) {
      const entries = session.iterate("list records", (store) => store.entries());
      for await (const [text, entry] of entries) {
        yield [decodeKey(text), await session.version(entry, text)];
      }
      return;
    }
    for await (const record of this.#stash.dump()) {
      const { key: text, version, timestamp = 0 } = record;
      yield [decodeKey(text), { version, timestamp, value: await session.read(record, text) }];
    }
  }
}

const RESERVED = /^_(key|value|version|timestamp|arg\d+)$/;

/** The columns of a value: one row, or one for each item of a list. */
function* rowsOf(value: unknown, flatten: boolean): Generator<StashRecord> {
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

const loadTable = loadLibrary<{ makeTable(columns: Map<string, unknown[]>): ColumnTable }>(
  "table",
  new URL("./table", import.meta.url),
);

/** `stash.table`. */
export async function recordsTable(records: AsyncIterable<StashRecord>): Promise<ColumnTable> {
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
