/**
 * Random values from a seed, for property tests; a failing case is repeated with
 * HASHSTASH_TEST_SEED.
 */

/** What `registerClass` is told about in the property tests. */
export class Point {
  constructor(readonly x: unknown, readonly y: unknown) {}
}

const NAMES = [
  ..."a b c x y __proto__ constructor toJSON then length 0 1 10 $ $$ $x $Date $$Date $rich $id $ref"
    .split(" "),
  ..."$Map $class $undefined $bigint $object $null $sparse $Error $Uint8Array hasOwnProperty".split(
    " ",
  ),
  "",
  " ",
  "\u0001",
  "\0",
  "\ud800",
  "é😀",
  '"\\',
  "1152921504606846976",
];
const TEXTS = [
  ...NAMES,
  "undefined",
  "NaN",
  "2026-01-01T00:00:00.000Z",
  "AQI=",
  "line\nline\r\t",
  "1152921504606846976, 1152921504606846976",
  "x".repeat(300),
  "0123456789".repeat(20),
  "\u2028\ufeff",
  '{"$rich":{"$":"undefined"}}',
];
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e21,
  1e20,
  -1e-7,
  2 ** 53,
  2 ** 60,
  -(2 ** 63),
  2 ** 31,
  2 ** 32,
  255,
  65536,
  NaN,
  Infinity,
  -Infinity,
  5e-324,
  1.7976931348623157e308,
  1234567890123456,
];
const VIEWS = [
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float16Array,
  Float32Array,
  Float64Array,
];
const ERRORS = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
];

/** Makes random values; the same seed makes the same ones. */
export class RandomValues {
  #state: number;
  /** Objects of the value at hand, to be referred to again. */
  #pool: object[] = [];
  /** Only values of JSON. */
  readonly #plain: boolean;
  /** With shared references and cycles. */
  readonly #references: boolean;

  constructor(seed: number, options: { plain?: boolean; references?: boolean } = {}) {
    this.#state = seed;
    this.#plain = options.plain ?? false;
    this.#references = options.references ?? false;
  }

  /** A number from 0 to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** One of these. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  /** Bytes, often empty or few. */
  bytes(most = 24): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: this.below(most + 1) }, () => this.below(256));
  }

  /** A text. */
  text(): string {
    if (this.below(3) > 0) return this.pick(TEXTS);
    return Array.from({ length: this.below(12) }, () => {
      const end = this.pick([0x20, 0x80, 0x800, 0x10000]);
      return String.fromCharCode(this.below(end));
    }).join("");
  }

  /** A value that refers to no part of an earlier one. */
  value(): unknown {
    this.#pool = [];
    return this.#value(this.below(5));
  }

  #value(depth: number): unknown {
    if (this.#references && this.#pool.length > 0 && this.below(8) === 0) {
      return this.pick(this.#pool);
    }
    return depth > 0 && this.below(3) > 0 ? this.#container(depth - 1) : this.#leaf();
  }

  #leaf(): unknown {
    const kind = this.below(this.#plain ? 4 : 16);
    switch (kind) {
      case 0:
        return this.text();
      case 1: {
        const number = this.below(3) === 0 ? this.pick(NUMBERS) : this.below(1000);
        if (!this.#plain) return number;
        return Number.isFinite(number) && !Object.is(number, -0) ? number : 7.25;
      }
      case 2:
        return this.next() < 0.5;
      case 3:
        return null;
      case 4:
      case 5:
        return undefined;
      case 6:
        return BigInt(this.below(1e9)) ** BigInt(this.below(6)) * (this.next() < 0.5 ? 1n : -1n);
      case 7:
        return this.#keep(new Date(this.pick([0, NaN, 8.64e15, -8.64e15, this.below(2 ** 41)])));
      case 8: {
        const regexp = new RegExp(
          this.pick(["a", "", "[a]\\/", "\\n(?<x>y)", "é"]),
          this.pick(["", "g", "imsuy", "dgv"]),
        );
        if (regexp.global && this.below(4) === 0) regexp.lastIndex = 3;
        return this.#keep(regexp);
      }
      case 9:
        return this.#keep(
          new URL(this.pick(["http://a/b?c#d", "mailto:x@y", "https://é.example/ä"])),
        );
      case 10:
        return this.#keep(this.bytes());
      case 11: {
        const View = this.pick(VIEWS);
        const bytes = new Uint8Array(8 * this.below(5) + 8).map(() => this.below(256));
        // At an offset, so that the rest of the buffer must not come along.
        return this.#keep(
          new View(bytes.buffer, 8, this.below((bytes.length - 8) / View.BYTES_PER_ELEMENT + 1)),
        );
      }
      case 12:
        return this.#keep(this.bytes().buffer);
      case 13:
        return this.#keep(new DataView(this.bytes().buffer));
      case 14:
        return this.pick(NUMBERS);
      default:
        return this.#plain ? 0 : this.#keep(Object.create(null));
    }
  }

  #keep<T extends object>(object: T): T {
    this.#pool.push(object);
    return object;
  }

  #container(depth: number): unknown {
    const kind = this.below(this.#plain ? 2 : 8);
    switch (kind) {
      case 0: {
        const array: unknown[] = this.#keep([]);
        this.#times(() => array.push(this.#value(depth)));
        return array;
      }
      case 1:
      case 2:
        return this.#properties(this.#keep({}), depth);
      case 3: {
        const array: unknown[] = this.#keep([]);
        this.#times(() => array[this.below(8)] = this.#value(depth));
        array.length += this.below(3);
        return array;
      }
      case 4:
        return this.#properties(this.#keep(Object.create(null)), depth);
      case 5: {
        const map = this.#keep(new Map<unknown, unknown>());
        this.#times(() => map.set(this.#value(depth), this.#value(depth)));
        return map;
      }
      case 6: {
        const set = this.#keep(new Set<unknown>());
        this.#times(() => set.add(this.#value(depth)));
        return set;
      }
      default:
        return this.below(3) === 0 ? this.#instance(depth) : this.#error(depth);
    }
  }

  /** Instances can't be part of a cycle, so that nothing in them may refer to what is around. */
  #instance(depth: number): Point {
    const around = this.#pool;
    this.#pool = [];
    const point = new Point(this.#value(depth), this.#value(depth));
    this.#pool = around;
    return this.#keep(point);
  }

  #error(depth: number): Error {
    const options = this.next() < 0.5 ? { cause: this.#value(depth) } : undefined;
    const errors = this.below(4) === 0 ? [this.#value(depth)] : undefined;
    const error = errors === undefined
      ? new (this.pick(ERRORS))(this.text(), options)
      : new AggregateError(errors, this.text(), options);
    this.#keep(error);
    return this.next() < 0.5 ? error : this.#properties(error, depth);
  }

  #properties<T extends object>(object: T, depth: number): T {
    this.#times(() => {
      const name = this.pick(NAMES);
      if (object instanceof Error && (name === "toJSON" || name === "stack")) return;
      Object.defineProperty(object, name, {
        value: this.#value(depth),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    });
    return object;
  }

  #times(action: () => void): void {
    for (let left = this.below(5); left > 0; left--) action();
  }
}

/**
 * The seed of this run: from HASHSTASH_TEST_SEED, else a new one. It is printed, for a failure to
 * be repeated.
 */
export function testSeed(): number {
  const given = Deno.env.get("HASHSTASH_TEST_SEED");
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  console.log(`HASHSTASH_TEST_SEED=${seed}`);
  return seed;
}
