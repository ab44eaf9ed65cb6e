import { typeOf } from "../store/options.ts";

/** What `map` goes over: lists of arguments, taken a few at a time. */
export interface MapInput {
  /** How many there are, where that is known before the end. */
  readonly length: number | undefined;
  /** The next ones, at most `count`, none at the end; fewer rather than waiting for more. */
  take(count: number): Promise<unknown[][]>;
  /** Leaves the rest. */
  close(): Promise<void>;
}

/**
 * The argument lists: each object, with the further arguments at its place in `options`.
 *
 * @throws {TypeError} When they can't be iterated.
 * @throws {RangeError} When there are not as many of the one as of the other.
 */
export function mapInput(objects: unknown, options: unknown): MapInput {
  if (options !== undefined) return withOptions(objects, options);
  if (isIterable(objects, Symbol.iterator)) return syncInput(objects, lengthOf(objects));
  if (isIterable(objects, Symbol.asyncIterator)) return asyncInput(objects);
  throw new TypeError(`Expected an iterable or async iterable of objects, got ${typeOf(objects)}`);
}

function withOptions(objects: unknown, options: unknown): MapInput {
  if (!Array.isArray(options) || !options.every(Array.isArray)) {
    throw new TypeError("Expected options to be an array of arrays of further arguments");
  }
  if (!isIterable(objects, Symbol.iterator)) {
    throw new TypeError(
      `Expected an iterable of objects, as options are counted first, got ${typeOf(objects)}`,
    );
  }
  const lists: unknown[][] = [];
  for (const object of objects) {
    if (lists.length === options.length) throw unequal(options.length, "more");
    lists.push([object, ...options[lists.length]]);
  }
  if (lists.length < options.length) throw unequal(options.length, lists.length);
  return syncInput(lists, lists.length, (list) => list as unknown[]);
}

function unequal(options: number, objects: number | string): RangeError {
  return new RangeError(`Expected options for each object, got ${options} for ${objects} objects`);
}

function syncInput(
  objects: Iterable<unknown>,
  length: number | undefined,
  argsOf: (object: unknown) => unknown[] = (object) => [object],
): MapInput {
  const iterator = objects[Symbol.iterator]();
  return {
    length,
    take(count) {
      const lists: unknown[][] = [];
      while (lists.length < count) {
        const { done, value } = iterator.next();
        if (done) break;
        lists.push(argsOf(value));
      }
      return Promise.resolve(lists);
    },
    close: () => Promise.resolve(void iterator.return?.()),
  };
}

function asyncInput(objects: AsyncIterable<unknown>): MapInput {
  const iterator = objects[Symbol.asyncIterator]();
  return {
    length: undefined,
    async take() {
      const { done, value } = await iterator.next();
      return done ? [] : [[value]];
    },
    async close() {
      await iterator.return?.();
    },
  };
}

function lengthOf(objects: Iterable<unknown>): number | undefined {
  if (Array.isArray(objects) || (ArrayBuffer.isView(objects) && "length" in objects)) {
    return objects.length as number;
  }
  return objects instanceof Set || objects instanceof Map ? objects.size : undefined;
}

function isIterable(
  value: unknown,
  symbol: typeof Symbol.iterator,
): value is Iterable<unknown>;
function isIterable(
  value: unknown,
  symbol: typeof Symbol.asyncIterator,
): value is AsyncIterable<unknown>;
function isIterable(value: unknown, symbol: symbol): boolean {
  return value !== undefined && value !== null &&
    typeof Reflect.get(Object(value), symbol) === "function";
}
