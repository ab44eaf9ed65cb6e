import { brief, quoted } from "./brief.ts";

/**
 * A part of a value or key that cannot be encoded. It gathers where that part is while the
 * recursion unwinds, so that the walk itself keeps no path.
 */
export class Refusal extends Error {
  readonly #steps: string[] = [];

  /** Adds the step that led from the level above: `.name`, `[3]`, … */
  from(step: string): this {
    this.#steps.push(step);
    return this;
  }

  /** Where the part is, from the root `$`; the middle of a long way is left out. */
  get path(): string {
    const steps = this.#steps.toReversed();
    const left = steps.length - 2 * END_STEPS;
    if (left > 0) steps.splice(END_STEPS, left, `…(${left} levels)…`);
    return `$${steps.join("")}`;
  }
}

/** Steps of a long path that a message has at its beginning, and at its end. */
const END_STEPS = 10;

/** Levels of nesting that the recursive walks take: well below what the call stack allows. */
export const MAX_DEPTH = 1_000;

/** Adds the step to a refusal on its way up. Other errors, as of a getter, become refusals. */
export function located(error: unknown, step: string): unknown {
  return isLimit(error) ? error : asRefusal(error).from(step);
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new Refusal(`cannot be read: ${reason}`, { cause: error });
}

/** Whether JavaScript's own limits were met: the call stack, the longest string. */
function isLimit(error: unknown): error is RangeError {
  return error instanceof RangeError &&
    /^(Maximum call stack|Invalid (string|array|typed array) length|Array buffer allocation)/.test(
      error.message,
    );
}

/** The step to an item of an array. */
export function indexStep(index: number): string {
  return `[${index}]`;
}

/** The step to a property. */
export function propertyStep(name: string): string {
  return name === brief(name) && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
    ? `.${name}`
    : `[${quoted(name)}]`;
}

/**
 * The `TypeError` that the user gets when an encoder was stopped by an error.
 *
 * @param failure What could not be done, as in "Cannot serialize value".
 */
export function refusalError(failure: string, error: unknown): TypeError {
  if (isLimit(error)) {
    return new TypeError(`${failure}: it is nested too deeply or too long: ${error.message}`, {
      cause: error,
    });
  }
  const { path, message, cause } = asRefusal(error);
  return new TypeError(`${failure}: ${path} ${message}`, cause === undefined ? {} : { cause });
}

/** The refusal of a value that no serializer takes. */
export function refusalOf(value: unknown): Refusal {
  if (typeof value === "function") {
    return new Refusal(
      value.name ? `is a function (${brief(value.name)}), not data` : "is a function, not data",
    );
  }
  if (typeof value === "symbol") return new Refusal("is a symbol, not data");
  const name = className(value);
  if (/^(Promise|Weak(Map|Set|Ref))$/.test(name)) return new Refusal(`is a ${name}, not data`);
  if (/^(Number|String|Boolean|Symbol|BigInt)$/.test(name)) {
    return new Refusal(`is a boxed primitive (${name}), pass the primitive itself`);
  }
  return new Refusal(`is an instance of ${name}, a class that is not known to registerClass`);
}

function className(value: unknown): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  const name = (prototype as { constructor?: { name?: unknown } } | null)?.constructor?.name;
  return typeof name === "string" && name !== "" ? brief(name) : "an anonymous class";
}

/**
 * The names of an object's own enumerable properties.
 *
 * @throws {Refusal} When it also has enumerable properties named by symbols: they would be lost.
 */
export function ownNames(value: object): string[] {
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) {
      const name = brief(String(symbol));
      throw new Refusal(`has a property named by a symbol, ${name}, that would be lost`);
    }
  }
  return Object.keys(value);
}

/**
 * The indices of the items that an array has, as text, when it has holes; `undefined` when it has
 * none.
 *
 * @throws {Refusal} When it has properties besides its items: they would be lost.
 */
export function holeyIndices(array: unknown[]): string[] | undefined {
  const names = ownNames(array);
  // Indices come first.
  const last = names.at(-1);
  if (last !== undefined && (String(Number(last) >>> 0) !== last || Number(last) >= array.length)) {
    throw new Refusal(`is an array with a property ${quoted(last)}, that would be lost`);
  }
  return names.length === array.length ? undefined : names;
}

/** It inherits what plain objects and arrays do. */
const PROBE: unknown[] = [];

/**
 * Refuses to go on when somebody gave all objects or arrays a `toJSON`: `JSON.stringify` would
 * write what that returns in the place of our own objects.
 */
export function refuseInheritedToJson(): void {
  if (typeof (PROBE as { toJSON?: unknown }).toJSON === "function") {
    throw new Refusal("cannot be written while all arrays inherit a method toJSON");
  }
}
