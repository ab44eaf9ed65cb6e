/**
 * A local stand-in for the functions of `jsr:@std/assert` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
import { inspect, isDeepStrictEqual } from "node:util";

/** Thrown by every function here when its claim does not hold. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

function failure(claim: string, msg?: string): AssertionError {
  return new AssertionError(msg === undefined ? claim : `${claim}: ${msg}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 10, maxArrayLength: 50, maxStringLength: 2_000 });
}

/** Claims that `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg || "Expected a truthy value");
}

/** Claims that the two are deeply equal (`NaN` equals itself, `-0` does not equal `0`). */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw failure(
    `Values are not equal\n  actual: ${show(actual)}\nexpected: ${show(expected)}\n`,
    msg,
  );
}

/** Claims that the two are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!isDeepStrictEqual(actual, expected)) return;
  throw failure(`Expected values that differ, both are ${show(actual)}`, msg);
}

/** Claims that the two are the same by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  throw failure(
    `Values are not the same\n  actual: ${show(actual)}\nexpected: ${show(expected)}\n`,
    msg,
  );
}

/**
 * Claims that the two numbers differ by no more than `tolerance`: by default a ten-millionth of
 * `expected`.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = Number.isFinite(expected) ? Math.abs(expected) * 1e-7 : 1e-7,
  msg?: string,
): void {
  if (Object.is(actual, expected) || Math.abs(actual - expected) <= tolerance) return;
  throw failure(`Expected ${expected}, give or take ${tolerance}, got ${actual}`, msg);
}

/** Claims that `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    throw failure(`Expected ${show(actual)} to contain ${show(expected)}`, msg);
  }
}

/** Claims that `actual` matches the pattern. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) throw failure(`Expected ${show(actual)} to match ${expected}`, msg);
}

// deno-lint-ignore no-explicit-any -- the signature upstream has
type Constructor<T> = abstract new (...args: any[]) => T;

/** Claims that `actual` is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Constructor<T>,
  msg?: string,
): asserts actual is T {
  if (!(actual instanceof expectedType)) {
    throw failure(`Expected an instance of ${expectedType.name}, got ${show(actual)}`, msg);
  }
}

/** Claims that `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw failure(`Expected ${show(actual)} > ${show(expected)}`, msg);
}

/** Claims that `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw failure(`Expected ${show(actual)} >= ${show(expected)}`, msg);
}

/** Claims that `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw failure(`Expected ${show(actual)} < ${show(expected)}`, msg);
}

/** Claims that `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) throw failure(`Expected ${show(actual)} <= ${show(expected)}`, msg);
}

/** Always fails. */
export function fail(msg?: string): never {
  throw failure("Failed", msg);
}

type ErrorClass<E extends Error> = new (...args: never[]) => E;

function checkError<E extends Error>(
  error: unknown,
  ErrorClass?: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E {
  if (!(error instanceof Error)) throw failure(`A non-Error was thrown: ${show(error)}`, msg);
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw failure(`Expected a ${ErrorClass.name}, got ${error.name}: ${error.message}`, msg);
  }
  if (msgIncludes !== undefined && !error.message.includes(msgIncludes)) {
    throw failure(`Expected a message with ${show(msgIncludes)}, got ${show(error.message)}`, msg);
  }
  return error as E;
}

/** Claims that `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Claims that `fn` throws an error of the class, its message containing `msgIncludes`. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  try {
    fn();
  } catch (error) {
    if (typeof classOrMsg !== "function") return error;
    return checkError(error, classOrMsg, msgIncludes, note);
  }
  throw failure("Expected the function to throw", note);
}

/** Claims that `fn` rejects; resolves with what it rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Claims that `fn` rejects with an error of the class, its message containing `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw failure(`The function threw before it returned a promise: ${error}`, note);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrMsg !== "function") return error;
    return checkError(error, classOrMsg, msgIncludes, note);
  }
  throw failure("Expected the promise to reject", note);
}
