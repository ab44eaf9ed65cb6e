import { DecodeError } from "../codec/errors.ts";
import { decodeKey } from "../codec/key.ts";
import { inspect } from "../platform/system.ts";
import type { EngineOperation } from "./engine.ts";

/** What an engine's error knows besides its message. */
export interface EngineErrorOptions extends ErrorOptions {
  /** The engine's name. */
  engine: string;
  /** The name of the method that failed: `"get"`, `"open"`, … */
  operation: string;
}

/**
 * A backend failed: no permission, disk full, server down, a file that is not ours. Its message
 * says what was being done and what to do; `cause` is the backend's own error.
 *
 * @example
 * ```ts
 * import { EngineError } from "@hashstash/hashstash/engines";
 *
 * const error = new EngineError('Cannot open engine "redis": no server', {
 *   engine: "redis",
 *   operation: "open",
 * });
 * console.log(error.operation); // "open"
 * ```
 */
export class EngineError extends Error {
  /** `"EngineError"`. */
  override readonly name = "EngineError";
  /** The engine's name. */
  readonly engine: string;
  /** The name of the method that failed. */
  readonly operation: string;

  /**
   * Makes the error.
   *
   * @param message What failed and what to do about it.
   * @param options The engine, the operation and the cause.
   */
  constructor(message: string, options: EngineErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.engine = options.engine;
    this.operation = options.operation;
  }
}

/** The caller used an engine as one must not: no failure of its backend. */
export class UsageError extends TypeError {}

/** What an operation does and where, for messages. */
const DOING: Record<EngineOperation, string> = {
  open: "open",
  close: "close",
  get: "get entry in",
  getMany: "get entries in",
  getValue: "get entry in",
  getValues: "get entries in",
  has: "look for entry in",
  set: "set entry in",
  setMany: "set entries in",
  delete: "delete entry in",
  deleteMany: "delete entries in",
  deleteUnchanged: "delete entries in",
  compareAndSet: "change entry in",
  keys: "list keys of",
  entries: "list entries of",
  size: "count entries in",
  clear: "clear",
  prune: "prune",
  check: "check",
  byteSize: "measure",
  stores: "list stores of",
};

/** Operations that change something. `check` of a server names what it finds, and mends nothing. */
const CHANGES: readonly EngineOperation[] = [
  "set",
  "setMany",
  "delete",
  "deleteMany",
  "deleteUnchanged",
  "compareAndSet",
  "clear",
  "prune",
];

/** Why an operation got no answer from a server, and what that means for what it was to change. */
export function withoutAnswer(operation: EngineOperation, because: string): string {
  if (!CHANGES.includes(operation)) return because;
  return `${because}; whether the change was made is not known`;
}

/** The error for an operation that the backend failed: `Cannot get entry in engine "redis": …`. */
export function engineError(
  engine: string,
  operation: EngineOperation,
  because: string,
  cause: unknown,
): EngineError {
  const message = `Cannot ${DOING[operation]} engine "${engine}": ${because}`;
  return new EngineError(message, { engine, operation, cause });
}

/** What an error says, without a full stop at the end. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

/** Bytes under a key that can't be decoded: the same error with engine and key in it. */
export function unreadable(error: unknown, engine: string, keyText: string): unknown {
  if (!(error instanceof DecodeError)) return error;
  const key = safeDecodeKey(keyText);
  const message = `Cannot read entry ${showKey(key)} in engine "${engine}": ${error.message}`;
  return new DecodeError(message, { cause: error, engine, key, kind: error.kind });
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

/** The key as a person can recognise it in a message: at most 80 characters. */
export function showKey(key: unknown): string {
  const text = inspect(key, { depth: 3, strAbbreviateSize: 80, compact: true });
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
