/** What an engine's error knows besides its message. */
export interface EngineErrorOptions extends ErrorOptions {
  /** The engine's name. */
  engine: string;
  /** The operation that failed: `"get"`, `"open"`, … */
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
  /** The operation that failed. */
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
