/** A value as rows with columns: one row, or one for each item of a list. */
import { isPlainObject } from "./pairs.ts";

type Row = Record<string, unknown>;

/** The names that a row has beside the columns of its value, and what is made of such a column. */
const RESERVED = /^(_value\.)*_(key|value|version|timestamp|arg\d+)$/;

/** How deep objects become columns: a name has so many parts at most, whatever is stored … */
const MAX_LEVELS = 32;
/** … and so many characters before its last part. */
const MAX_PREFIX = 1_000;
/** How many columns an object may have that comes again in one value, to be columns there as well. */
const MAX_REPEATED_COLUMNS = 100;
/** How many columns the items of a list that come again in it may have in all. */
const MAX_REPEATED_CELLS = 1_000_000;

/**
 * The rows of a value, each with its columns.
 *
 * A few bytes can hold references that double from level to level, or a list with a length of
 * billions: what is made of a value stays in proportion to what is stored.
 */
export function* rowsOfValue(value: unknown, flatten: boolean): Generator<Row> {
  const flattener = new Flattener(flatten);
  if (!Array.isArray(value)) {
    yield* flattener.row(value);
    return;
  }
  // A hole is not an item.
  let next = 0;
  while (next < value.length && next in value) yield* flattener.row(value[next++]);
  if (next === value.length) return;
  for (const name of Object.keys(value)) {
    const index = Number(name);
    if (Number.isInteger(index) && index >= next) yield* flattener.row(value[index]);
  }
}

/** One property of an object. */
interface Part {
  /** Its column when it stays as it is. */
  readonly column: string;
  readonly value: unknown;
  /** The columns of an object that doesn't stay as it is. */
  columns?: [name: string, value: unknown][];
}

class Flattener {
  readonly #flatten: boolean;
  /** Objects of the value whose columns have been made. */
  readonly #met = new Set<object>();
  /** Those that the current one is in. */
  readonly #around = new Set<object>();
  #repeatedCells = 0;

  constructor(flatten: boolean) {
    this.#flatten = flatten;
  }

  /** The row of an item; none of an empty object. */
  *row(item: unknown): Generator<Row> {
    if (!isPlainObject(item)) {
      yield { _value: item };
      return;
    }
    const isRepeated = this.#met.has(item);
    if (isRepeated && this.#repeatedCells >= MAX_REPEATED_CELLS) {
      yield { _value: item };
      return;
    }
    let row: Row = {};
    const firstMet: object[] = [];
    if (!this.#add(row, item, "", 0, firstMet)) {
      // Anew, as if nothing of it had been met.
      for (const object of firstMet) this.#met.delete(object);
      this.#around.clear();
      row = {};
      for (const [name, value] of this.#columns(item, "", 0)) setColumn(row, name, value);
    }
    const width = Object.keys(row).length;
    if (isRepeated) this.#repeatedCells += width;
    if (width > 0) yield row;
  }

  /** Adds the columns of an object; whether no two have one name, which is nearly always so. */
  #add(row: Row, object: object, prefix: string, level: number, firstMet: object[]): boolean {
    this.#around.add(object);
    if (!this.#met.has(object)) {
      this.#met.add(object);
      firstMet.push(object);
    }
    for (const [name, value] of Object.entries(object)) {
      const column = columnOf(name, prefix, level);
      if (this.#becomesColumns(value, prefix + name, level + 1)) {
        if (!this.#add(row, value, `${prefix}${name}.`, level + 1, firstMet)) return false;
      } else if (Object.hasOwn(row, column)) return false;
      else setColumn(row, column, value);
    }
    this.#around.delete(object);
    return true;
  }

  /** The columns of an object, where objects stay as they are so that no two have one name. */
  #columns(object: object, prefix: string, level: number): [string, unknown][] {
    this.#around.add(object);
    this.#met.add(object);
    const parts = Object.entries(object).map(([name, value]): Part => ({
      column: columnOf(name, prefix, level),
      value,
      columns: this.#becomesColumns(value, prefix + name, level + 1)
        ? this.#columns(value, `${prefix}${name}.`, level + 1)
        : undefined,
    }));
    this.#around.delete(object);
    keepApart(parts);
    return parts.flatMap(({ column, value, columns }) => columns ?? [[column, value]]);
  }

  #becomesColumns(value: unknown, path: string, level: number): value is object {
    return this.#flatten && typeof value === "object" && level < MAX_LEVELS &&
      path.length < MAX_PREFIX && isPlainObject(value) &&
      // Where an object that contains itself comes again, it stays as it is.
      !this.#around.has(value) && Object.keys(value).length > 0 &&
      (!this.#met.has(value) || widthOf(value, level, new Map()) <= MAX_REPEATED_COLUMNS);
  }
}

/** The column of a property that stays as it is. */
function columnOf(name: string, prefix: string, level: number): string {
  return level === 0 && RESERVED.test(name) ? `_value.${name}` : prefix + name;
}

function setColumn(row: Row, name: string, value: unknown): void {
  if (name === "__proto__") {
    // Not by assignment: it is a name like any other.
    Object.defineProperty(row, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else row[name] = value;
}

/** Has the objects stay as they are of which a column has the name of another. */
function keepApart(parts: Part[]): void {
  if (!parts.some(({ columns }) => columns !== undefined)) return;
  for (;;) {
    const names = new Map<string, number>();
    for (const { column, columns } of parts) {
      for (const [name] of columns ?? [[column]]) names.set(name, (names.get(name) ?? 0) + 1);
    }
    const clashing = parts.filter(({ columns }) => columns?.some(([name]) => names.get(name)! > 1));
    if (clashing.length === 0) return;
    for (const part of clashing) part.columns = undefined;
  }
}

/** About how many columns an object has; more than are asked about is as good as any number. */
function widthOf(object: object, level: number, known: Map<object, number>): number {
  const before = known.get(object);
  if (before !== undefined) return before;
  // For an object that contains itself.
  known.set(object, 1);
  let width = 0;
  for (const value of Object.values(object)) {
    width += level + 1 < MAX_LEVELS && isPlainObject(value) ? widthOf(value, level + 1, known) : 1;
    if (width > MAX_REPEATED_COLUMNS) break;
  }
  known.set(object, Math.max(width, 1));
  return Math.max(width, 1);
}
