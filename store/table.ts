import { ColumnTable } from "arquero";
import { isPlain } from "../codec/plain.ts";
import { toTree } from "../codec/tree.ts";
import type { ArqueroTable, ArqueroValue } from "./arquero.ts";
import { isPlainObject } from "./pairs.ts";
import type { TableColumn } from "./records.ts";

/** An Arquero table of these columns. */
export function makeTable(columns: Map<string, TableColumn>): ArqueroTable {
  // `Object.fromEntries`: "__proto__" is a name like any other.
  return new StashTable(Object.fromEntries(columns), [...columns.keys()]) as ArqueroTable;
}

type Formats = Record<string, (value: ArqueroValue) => ArqueroValue>;

/**
 * Arquero's table, which writes each cell that can be stored: Arquero's own throws on columns of
 * several types or with missing cells, on bigints, and writes objects as `[object Object]`.
 */
class StashTable extends ColumnTable {
  override toCSV(options: Parameters<ColumnTable["toCSV"]>[0] = {}): string {
    return super.toCSV({ ...options, format: this.#formats(textOf, options.format) });
  }

  override toJSON(options: Parameters<ColumnTable["toJSON"]>[0] = {}): string {
    const { columns, format: own, ...rest } = options;
    const names = typeof columns === "function" ? columns(this) : columns ?? this.columnNames();
    const formats = this.#formats(jsonOf, own as Formats | undefined);
    if (rest.type === "columns") return super.toJSON({ ...rest, columns: names, format: formats });
    // Arquero puts quotes around names and no more.
    const escaped = names.map((name) => JSON.stringify(name).slice(1, -1));
    const under = <T>(valueOf: (name: string) => T): Record<string, T> =>
      Object.fromEntries(names.map((name, i) => [escaped[i], valueOf(name)]));
    const table = this.create({ data: under((name) => this.column(name)!), names: escaped });
    return super.toJSON.call(table, {
      ...rest,
      format: under((name) => formats[name]),
    });
  }

  override toHTML(options: Parameters<ColumnTable["toHTML"]>[0] = {}): string {
    const format = { ...this.#objectFormats(), ...options.format };
    return super.toHTML({ ...options, format });
  }

  override toMarkdown(options: Parameters<ColumnTable["toMarkdown"]>[0] = {}): string {
    const format = { ...this.#objectFormats(), ...options.format };
    return super.toMarkdown({ ...options, format });
  }

  override toArrow(
    options: Parameters<ColumnTable["toArrow"]>[0] = {},
  ): ReturnType<ColumnTable["toArrow"]> {
    return super.toArrow.call(this.#forArrow(options.types), options);
  }

  override toArrowIPC(options: Parameters<ColumnTable["toArrowIPC"]>[0] = {}): Uint8Array {
    return super.toArrowIPC.call(this.#forArrow(options.types), options);
  }

  /** A way to write each column, unless the caller has one. */
  #formats(write: (value: unknown) => unknown, own: Formats = {}): Formats {
    return { ...Object.fromEntries(this.columnNames().map((name) => [name, write])), ...own };
  }

  /** For columns in which Arquero's way, which is good for numbers, would write objects. */
  #objectFormats(): Formats {
    const names = this.columnNames().filter((name) =>
      [...this.#cells(name)].some((value) => isObject(value) || typeof value === "bigint")
    );
    return Object.fromEntries(names.map((name) => [name, shortText]));
  }

  #cells(name: string): Iterable<unknown> {
    return this.column(name) as unknown as TableColumn;
  }

  /** The same table with columns that Arrow can hold. */
  #forArrow(types: object = {}): this {
    const data = this.columnNames().map((name) => [
      name,
      // A type that the caller gives is what the column has.
      Object.hasOwn(types, name) ? [...this.#cells(name)] : arrowCells(this.#cells(name)),
    ]);
    return this.create({ data: Object.fromEntries(data), names: [...this.columnNames()] });
  }
}

/** An object that is no date, which Arquero knows how to write. */
function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !(value instanceof Date);
}

/** The cell as text where it is an object: JSON, as it is stored. */
function textOf(value: unknown): unknown {
  return isObject(value) ? JSON.stringify(treeOf(value)) : value;
}

/** What JSON has for the cell. */
function jsonOf(value: unknown): unknown {
  if (value === undefined) return null;
  return isObject(value) || typeof value === "bigint" ? treeOf(value) : value;
}

const SHORT = 30;

function shortText(value: unknown): string {
  const text = String(value instanceof Date ? value.toISOString() : textOf(value));
  return text.length > SHORT ? `${text.slice(0, SHORT - 2)}\u2026` : text;
}

function treeOf(value: unknown): unknown {
  return isPlain(value) ? value : toTree(value);
}

/** The cells, as text where Arrow has no one type for all of them. */
function arrowCells(cells: Iterable<unknown>): ArrayLike<unknown> {
  if (ArrayBuffer.isView(cells)) return cells as unknown as ArrayLike<unknown>;
  // Not with holes: Arrow would skip them.
  const values = Array.from(cells);
  if (values.every(isTree) && isUniform(values)) return values;
  if (values.every(isIntegerOrNothing)) {
    return values.map((value) => typeof value === "number" ? BigInt(value) : value);
  }
  return values.map((value) => value === undefined || value === null ? value : wordsOf(value));
}

function wordsOf(value: unknown): string {
  const isValid = value instanceof Date && !Number.isNaN(value.getTime());
  return isValid ? value.toISOString() : String(textOf(value));
}

function isIntegerOrNothing(value: unknown): boolean {
  return value === undefined || value === null || Number.isSafeInteger(value) || isInt64(value);
}

/** Whether Arrow has one type for all values. */
function isUniform(values: unknown[]): boolean {
  const there = values.filter((value) => value !== undefined && value !== null);
  const [first] = there;
  switch (typeof first) {
    case "undefined":
      return true;
    case "number":
    case "string":
    case "boolean":
      return there.every((value) => typeof value === typeof first);
    case "bigint":
      return there.every(isInt64);
  }
  if (first instanceof Date) {
    return there.every((value) => value instanceof Date && !Number.isNaN(value.getTime()));
  }
  if (Array.isArray(first)) {
    const lists = there.filter(isDense);
    // Of empty lists alone nothing says what they are lists of.
    return lists.length === there.length && lists.some((list) => list.length > 0) &&
      isUniform(lists.flat());
  }
  if (isNumbers(first)) {
    return there.every((value) => isNumbers(value) && value.constructor === first.constructor) &&
      there.some((value) => (value as typeof first).length > 0);
  }
  const objects = there.filter(isPlainObject) as Record<string, unknown>[];
  if (objects.length < there.length) return false;
  const names = objects.flatMap((object) => Object.keys(object));
  const columns = new Set(names);
  // Names that are keys would make columns that are mostly empty.
  return columns.size > 0 && columns.size <= MAX_FIELDS &&
    columns.size * objects.length <= SPARSE * names.length &&
    !columns.has("__proto__") &&
    [...columns].every((name) => isUniform(objects.map((object) => object[name])));
}

/** So many times fewer values than places, and objects are no struct. */
const SPARSE = 8;
/** How many fields a struct has at most: each costs some kilobytes, however few the rows. */
const MAX_FIELDS = 100;
/** How deep lists and objects are Arrow's own. */
const MAX_LEVELS = 32;

/**
 * Whether a cell has no object twice, and is not too deep: written out at each of its places, a few
 * bytes could become gigabytes.
 */
function isTree(cell: unknown): boolean {
  const seen = new Set<object>();
  const walk = (value: unknown, levels: number): boolean => {
    if (typeof value !== "object" || value === null) return true;
    if (levels === 0 || seen.has(value)) return false;
    seen.add(value);
    return !Array.isArray(value) && !isPlainObject(value) ||
      Object.values(value).every((part) => walk(part, levels - 1));
  };
  return walk(cell, MAX_LEVELS);
}

function isInt64(value: unknown): boolean {
  return typeof value === "bigint" && BigInt.asIntN(64, value) === value;
}

function isNumbers(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** Whether a value is a list without holes. */
function isDense(value: unknown): value is unknown[] {
  return Array.isArray(value) && Object.keys(value).length === value.length;
}
