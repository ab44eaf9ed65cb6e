/**
 * An Arquero table as this package's types name it. Arquero's own types would bring the whole of
 * it to every program that only checks its types, adds this package or caches it; what is declared
 * here is the part that programs use, and every Arquero table is one.
 */

/**
 * What cells hold and expressions compute: only the caller knows, and nothing checks it, as in
 * Arquero's own types.
 */
// deno-lint-ignore no-explicit-any -- `unknown` would refuse `(row) => row.age > 3`
export type ArqueroValue = any;

/** A function of a row. Arquero reads its source, so that it can use nothing from around it. */
export type ArqueroFunction = (row: ArqueroValue, parameters: ArqueroValue) => ArqueroValue;

/** A function of a row of each of two tables. */
export type ArqueroFunction2 = (
  left: ArqueroValue,
  right: ArqueroValue,
  parameters: ArqueroValue,
) => ArqueroValue;

/** What is computed from the rows: a function of a row, `op.mean("age")`, a text of either. */
export type ArqueroExpression = ArqueroFunction | { toString(): string };

/** A column: its name, its place, new names or expressions by name, or Arquero's `not(…)`. */
export type ArqueroColumn =
  | string
  | number
  | Record<string, ArqueroExpression>
  | ArqueroFunction;

/** One column or several. */
export type ArqueroColumns = ArqueroColumn | ArqueroColumn[];

/** Which rows of two tables belong together: columns of both, or a function of two rows. */
export type ArqueroJoinOn =
  | string
  | number
  | (string | number | ArqueroFunction | (string | number | ArqueroFunction)[])[]
  | ArqueroFunction2
  | null;

/** What a join keeps: columns of the left and the right table, or expressions of two rows. */
export type ArqueroJoinValues =
  | ArqueroColumns[]
  | Record<string, ArqueroFunction2 | { toString(): string }>;

/** How a join names columns of both tables that are called alike, and which rows it keeps. */
export interface ArqueroJoinOptions {
  /** Whether rows of the left table are kept that have no partner. */
  left?: boolean;
  /** Whether rows of the right table are kept that have no partner. */
  right?: boolean;
  /** What is put behind the names. Default: `["_1", "_2"]`. */
  suffix?: string[];
}

/** Which rows and columns are written, and how. */
export interface ArqueroWriteOptions {
  /** The most rows. Default: all. */
  limit?: number;
  /** How many rows are left out at the start. */
  offset?: number;
  /** Which columns. Default: all. */
  columns?: string[] | ((table: ArqueroValue) => string[]);
  /** What is written for values, by column: functions of a value, or options of Arquero. */
  format?: Record<string, object | ((value: ArqueroValue) => ArqueroValue)>;
}

/**
 * A table of [Arquero](https://idl.uw.edu/arquero/api/table): columns by name, and verbs that each
 * give a new table. Its documentation has what the verbs take; the types here are no narrower.
 *
 * For a function that is typed with Arquero's own class: `table as ColumnTable`. Other tables are
 * taken of either type.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory", name: "pets" });
 * await stash.set("cats", [{ name: "Tom", age: 3 }, { name: "Kit", age: 5 }]);
 * const table = await stash.table();
 * console.log(table.filter((row) => row.age > 3).array("name")); // ["Kit"]
 * ```
 */
export interface ArqueroTable extends Iterable<object> {
  /** How many rows there are, without those filtered away. */
  numRows(): number;
  /** How many rows there are, with those filtered away. */
  totalRows(): number;
  /** The same as `numRows()`. */
  readonly size: number;
  /** How many columns there are. */
  numCols(): number;
  /** The columns' names. */
  columnNames(filter?: (name: string, index: number, names: string[]) => boolean): string[];
  /** The name of the column at a place. */
  columnName(index: number): string;
  /** The place of a column; -1 when there is none of this name. */
  columnIndex(name: string): number;
  /** A column as it is kept, unfiltered and unordered. */
  column(name: string): ArqueroValue;
  /** The column at a place. */
  columnAt(index: number): ArqueroValue;
  /** The values of a column, in an array or one of the typed arrays. */
  array(name: string, constructor?: ArqueroValue): ArqueroValue;
  /** The values of a column, one after the other. */
  values(name: string): Iterator<ArqueroValue>;
  /** One value. */
  get(name: string, row?: number): ArqueroValue;
  /** A function that gives a column's value in a row. */
  getter(name: string): (row: number) => ArqueroValue;
  /** A row as an object. */
  object(row?: number): object;
  /** The rows as objects. */
  objects(options?: {
    limit?: number;
    offset?: number;
    columns?: ArqueroColumns;
    grouped?: "map" | "entries" | "object" | boolean;
  }): object[];
  /** The places of the rows, as ordered and filtered. */
  indices(order?: boolean): Uint32Array;
  /** Calls a function for each row. */
  scan(
    fn: (row?: number, data?: ArqueroValue, stop?: () => void) => void,
    order?: boolean,
    limit?: number,
    offset?: number,
  ): void;
  /** Prints the table on the console. */
  print(options?: number | { limit?: number; offset?: number; columns?: ArqueroColumns }): this;
  /** A table of its own that has just these rows. */
  reify(indices?: number[]): this;
  /** Values that expressions can use; without any, those set before. */
  params(values?: Record<string, ArqueroValue>): this | Record<string, ArqueroValue>;
  /** Whether rows are filtered away. */
  isFiltered(): boolean;
  /** Whether rows are in groups. */
  isGrouped(): boolean;
  /** Whether rows are in an order. */
  isOrdered(): boolean;

  /** Only the rows of which something holds. */
  filter(criteria: ArqueroExpression): this;
  /** Only the rows from a place to another, of each group. */
  slice(start?: number, end?: number): this;
  /** A random choice of rows. */
  sample(
    size: number | ArqueroExpression,
    options?: { replace?: boolean; shuffle?: boolean; weight?: string | ArqueroFunction },
  ): this;
  /** Only the first of rows that have the same values. */
  dedupe(...keys: ArqueroColumns[]): this;
  /** Only these columns, in this order. */
  select(...columns: ArqueroColumns[]): this;
  /** ArqueroColumns under other names. */
  rename(...columns: ArqueroColumns[]): this;
  /** ArqueroColumns at another place. */
  relocate(
    columns: ArqueroColumns,
    options: { before?: ArqueroColumns; after?: ArqueroColumns },
  ): this;
  /** More columns, computed from each row. */
  derive(
    values: Record<string, ArqueroExpression>,
    options?: { drop?: boolean; before?: ArqueroColumns; after?: ArqueroColumns },
  ): this;
  /** ArqueroColumns of other tables with as many rows. */
  assign(...tables: object[]): this;
  /** Values in place of those that are missing. */
  impute(values: Record<string, ArqueroExpression>, options?: { expand?: ArqueroColumns }): this;

  /** The rows in groups by what they have in these columns. */
  groupby(...keys: ArqueroColumns[]): this;
  /** Without groups. */
  ungroup(): this;
  /** The rows in an order. */
  orderby(...keys: (ArqueroColumns | ArqueroExpression)[]): this;
  /** Without an order. */
  unorder(): this;
  /** A row for each group, of what is computed from it. */
  rollup(values?: Record<string, ArqueroExpression>): this;
  /** How many rows each group has. */
  count(options?: { as?: string }): this;

  /** ArqueroColumns as rows of a key and a value. */
  fold(values: ArqueroColumns, options?: { as?: string[] }): this;
  /** Rows of a key and a value as columns. */
  pivot(
    keys: ArqueroColumns,
    values: ArqueroColumns,
    options?: { limit?: number; keySeparator?: string; valueSeparator?: string; sort?: boolean },
  ): this;
  /** Lists as a column for each item. */
  spread(values: ArqueroColumns, options?: { drop?: boolean; limit?: number; as?: string[] }): this;
  /** Lists as a row for each item. */
  unroll(
    values: ArqueroColumns,
    options?: { limit?: number; index?: boolean | string; drop?: ArqueroColumns },
  ): this;

  /** With the columns of another table's rows that belong to these; rows without one are left out. */
  join(
    other: object | string,
    on?: ArqueroJoinOn,
    values?: ArqueroJoinValues,
    options?: ArqueroJoinOptions,
  ): this;
  /** As `join`, with all rows of this table. */
  join_left(
    other: object | string,
    on?: ArqueroJoinOn,
    values?: ArqueroJoinValues,
    options?: ArqueroJoinOptions,
  ): this;
  /** As `join`, with all rows of the other table. */
  join_right(
    other: object | string,
    on?: ArqueroJoinOn,
    values?: ArqueroJoinValues,
    options?: ArqueroJoinOptions,
  ): this;
  /** As `join`, with all rows of both. */
  join_full(
    other: object | string,
    on?: ArqueroJoinOn,
    values?: ArqueroJoinValues,
    options?: ArqueroJoinOptions,
  ): this;
  /** Every row of this table with every row of the other. */
  cross(other: object | string, values?: ArqueroJoinValues, options?: ArqueroJoinOptions): this;
  /** The rows that have a partner in the other table. */
  semijoin(other: object | string, on?: ArqueroJoinOn): this;
  /** The rows that have no partner in the other table. */
  antijoin(other: object | string, on?: ArqueroJoinOn): this;
  /** With these columns of the last row of another table that belongs to each. */
  lookup(other: object | string, on?: ArqueroJoinOn, ...values: ArqueroValue[]): this;
  /** The rows of all tables. */
  concat(...tables: (object | string | (object | string)[])[]): this;
  /** The rows of all tables, those that are alike once. */
  union(...tables: (object | string | (object | string)[])[]): this;
  /** The rows that are in all tables. */
  intersect(...tables: (object | string | (object | string)[])[]): this;
  /** The rows that are in none of the other tables. */
  except(...tables: (object | string | (object | string)[])[]): this;

  /** The table as CSV. */
  toCSV(options?: ArqueroWriteOptions & { delimiter?: string; header?: boolean }): string;
  /** The table as JSON. */
  toJSON(options?: ArqueroWriteOptions & { type?: "columns" | "rows" | "ndjson" | null }): string;
  /** The table as HTML. */
  toHTML(options?: ArqueroWriteOptions): string;
  /** The table as Markdown. */
  toMarkdown(options?: ArqueroWriteOptions): string;
  /** The table as an Arrow table of the package `@uwdata/flechette`. */
  toArrow(
    options?: Omit<ArqueroWriteOptions, "format"> & { types?: Record<string, ArqueroValue> },
  ): ArqueroValue;
  /** The table as bytes of Arrow's format. */
  toArrowIPC(
    options?: Omit<ArqueroWriteOptions, "format"> & {
      types?: Record<string, ArqueroValue>;
      format?: "stream" | "file";
    },
  ): Uint8Array;
}
