/** Results of generator functions: stored as what was yielded, given again as a generator. */
import { Turns } from "../platform/timers.ts";

/** What sort of function it is, as far as its result is concerned. */
export type FunctionKind = "plain" | "generator" | "asyncGenerator";

/**
 * What is stored for a generator: what it yielded, and what it returned if it did.
 *
 * @typeParam T What it yields.
 * @typeParam R What it returns.
 */
export type StoredGenerator<T, R = unknown> = T[] | { yielded: T[]; returned: R };

/** What sort of function it is. */
export function kindOf(fn: object): FunctionKind {
  const tag = Reflect.get(fn, Symbol.toStringTag);
  if (tag === "GeneratorFunction") return "generator";
  return tag === "AsyncGeneratorFunction" ? "asyncGenerator" : "plain";
}

/** Makes a value that nobody else holds: what a generator has yielded it may still change. */
export type Copy = (value: unknown) => unknown;

/** Whether a value is one that nobody can change. */
function isPrimitive(value: unknown): boolean {
  return value === null || typeof value !== "object" && typeof value !== "function";
}

/** A generator that broke off: what it had yielded by then, and what it threw. */
export class BrokenOff extends Error {
  readonly yielded: unknown[];

  constructor(yielded: unknown[], cause: unknown) {
    super("The generator broke off", { cause });
    this.yielded = yielded;
  }
}

/** What is stored of a generator that has ended. */
export function toStored(yielded: unknown[], returned: unknown): StoredGenerator<unknown> {
  return returned === undefined ? yielded : { yielded, returned };
}

/**
 * Runs a generator to its end and gives what is to be stored.
 *
 * @param copy What is kept of a value, as it is when it is yielded.
 * @throws {BrokenOff} When the generator throws, or a value can't be kept.
 */
export async function drain(
  generator: Iterator<unknown> | AsyncIterator<unknown>,
  copy: Copy,
): Promise<StoredGenerator<unknown>> {
  const yielded: unknown[] = [];
  const turns = new Turns();
  let runs = false;
  try {
    for (;;) {
      const next = generator.next();
      runs = false;
      const { done, value } = next instanceof Promise
        ? await next
        : next as IteratorResult<unknown>;
      if (done) return toStored(yielded, value);
      runs = true;
      // Without a turn of the event loop for what can't change: most generators yield such.
      yielded.push(isPrimitive(value) ? value : await copy(value));
      if (turns.due()) await turns.next();
    }
  } catch (error) {
    // What it yielded can't be kept: it has no more to do.
    if (runs) await generator.return?.();
    throw new BrokenOff(yielded, error);
  }
}

/**
 * Yields again what was stored.
 *
 * @throws {TypeError} At once, when that is no result of a generator.
 */
export function replay(stored: unknown): Generator<unknown, unknown, void> {
  const { yielded, returned } = fromStored(stored);
  return (function* () {
    yield* yielded;
    return returned;
  })();
}

/** Yields again what was stored, as an async generator; otherwise as {@linkcode replay}. */
export function replayAsync(stored: unknown): AsyncGenerator<unknown, unknown, void> {
  const { yielded, returned } = fromStored(stored);
  return (async function* () {
    yield* yielded;
    return returned;
  })();
}

/** Yields what there was, then throws as the original did: each caller has values of its own. */
export async function replayBroken(
  { yielded, cause }: BrokenOff,
  copy: Copy,
): Promise<Generator<unknown, never, void>> {
  const own: unknown[] = [];
  for (const value of yielded) own.push(isPrimitive(value) ? value : await copy(value));
  return (function* () {
    yield* own;
    throw cause;
  })();
}

function fromStored(stored: unknown): { yielded: unknown[]; returned: unknown } {
  if (Array.isArray(stored)) return { yielded: stored, returned: undefined };
  if (typeof stored === "object" && stored !== null && "yielded" in stored) {
    const { yielded, returned } = stored as { yielded: unknown; returned?: unknown };
    if (Array.isArray(yielded)) return { yielded, returned };
  }
  // A name outlives an edit that makes a generator of a function.
  throw new TypeError(
    "What is stored under the arguments is no result of a generator: give the function another " +
      "version, or force a new result",
  );
}

/**
 * A promise of an async generator that is one itself: both `await f()` and `for await (… of f())`
 * work.
 */
export function promised<T, R>(
  promise: Promise<AsyncGenerator<T, R, void>>,
): Promise<AsyncGenerator<T, R, void>> & AsyncGenerator<T, R, void> {
  // One that never came to be has ended, as one of the language has that threw: `Array.fromAsync` of
  // V8 calls `return` again and again, without a turn of the event loop, while that rejects.
  const hasEnded = () => promise.then(() => false, () => true);
  const generator: AsyncGenerator<T, R, void> = {
    next: async () => await (await promise).next(),
    return: async (value) => {
      if (await hasEnded()) return { done: true, value: await value };
      return await (await promise).return(value);
    },
    throw: async (error) => {
      if (await hasEnded()) throw error;
      return await (await promise).throw(error);
    },
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => {
      if (!await hasEnded()) await (await promise)[Symbol.asyncDispose]();
    },
  };
  return Object.assign(promise, generator);
}
