/**
 * What a failing engine tells the caller: `EngineError` or `DecodeError` with engine, operation and
 * key.
 */
import { DecodeError } from "../codec/errors.ts";
import { decodeKey } from "../codec/mod.ts";
import type { CompleteEngine } from "../engines/complete.ts";
import type { Awaitable } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import { showKey } from "./errors.ts";

/** Bytes under this key that can't be decoded, with engine and key in the error. */
export function unreadable(error: unknown, engine: string, key: unknown): unknown {
  if (!(error instanceof DecodeError)) return error;
  const message = `Cannot read entry ${showKey(key)} in engine "${engine}": ${error.message}`;
  return new DecodeError(message, { cause: error, engine, key });
}

/**
 * The same engine, whose errors say what was being done. Errors of arguments (`TypeError`,
 * `RangeError`) and the engine's own `EngineError`s pass as they are.
 */
export function guard(engine: CompleteEngine): CompleteEngine {
  const { name } = engine;
  const explain = (error: unknown, operation: string, key?: string): unknown => {
    if (error instanceof DecodeError) {
      return key === undefined ? error : unreadable(error, name, safeDecodeKey(key));
    }
    if (
      error instanceof EngineError || error instanceof TypeError || error instanceof RangeError
    ) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new EngineError(`Cannot ${operation} in engine "${name}": ${reason}`, {
      cause: error,
      engine: name,
      operation,
    });
  };
  function call<T>(operation: string, body: () => Awaitable<T>, key?: string): Awaitable<T> {
    try {
      const result = body();
      return result instanceof Promise
        ? result.catch((error) => {
          throw explain(error, operation, key);
        })
        : result;
    } catch (error) {
      throw explain(error, operation, key);
    }
  }
  async function* iterate<T>(
    operation: string,
    items: () => Iterable<T> | AsyncIterable<T>,
  ): AsyncGenerator<T> {
    let iterator: Iterator<T> | AsyncIterator<T>;
    try {
      const iterable = items();
      iterator = Symbol.asyncIterator in iterable
        ? iterable[Symbol.asyncIterator]()
        : iterable[Symbol.iterator]();
    } catch (error) {
      throw explain(error, operation);
    }
    // By hand, so that an error of the consumer is not taken for one of the engine.
    let ended = false;
    try {
      while (true) {
        let result: IteratorResult<T>;
        try {
          result = await iterator.next();
        } catch (error) {
          ended = true;
          throw explain(error, operation);
        }
        if (result.done) {
          ended = true;
          return;
        }
        yield result.value;
      }
    } finally {
      if (!ended) await iterator.return?.();
    }
  }
  return {
    get name() {
      return engine.name;
    },
    get path() {
      return engine.path;
    },
    get supports() {
      return engine.supports;
    },
    get evictions() {
      return engine.evictions;
    },
    open: () => call("open", () => engine.open()),
    close: () => call("close", () => engine.close()),
    get: (key) => call("get entry", () => engine.get(key), key),
    set: (key, entry) => call("set entry", () => engine.set(key, entry), key),
    delete: (key) => call("delete entry", () => engine.delete(key), key),
    compareAndSet: (key, expected, next) =>
      call("set entry", () => engine.compareAndSet(key, expected, next), key),
    keys: (prefix) => iterate("list keys", () => engine.keys(prefix)),
    size: () => call("count entries", () => engine.size()),
    clear: (deep) => call("clear", () => engine.clear(deep)),
    has: (key) => call("look up entry", () => engine.has(key), key),
    getMany: (keys) => call("get entries", () => engine.getMany(keys)),
    // As `call`, without a function to be made for each read.
    getValue(key) {
      try {
        const found = engine.getValue(key);
        return found instanceof Promise
          ? found.catch((error) => {
            throw explain(error, "get entry", key);
          })
          : found;
      } catch (error) {
        throw explain(error, "get entry", key);
      }
    },
    getValues: (keys) => call("get entries", () => engine.getValues(keys)),
    setMany: (pairs) => call("set entries", () => engine.setMany(pairs)),
    deleteMany: (keys) => call("delete entries", () => engine.deleteMany(keys)),
    entries: (prefix) => iterate("list entries", () => engine.entries(prefix)),
    prune: () => call("prune", () => engine.prune()),
    check: (options) => call("check", () => engine.check(options)),
    byteSize: () => call("measure", () => engine.byteSize()),
  };
}

/** The key of a text, or the text itself when it is damaged too. */
export function safeDecodeKey(text: string): unknown {
  try {
    return decodeKey(text);
  } catch (error) {
    if (error instanceof DecodeError) return text;
    throw error;
  }
}
