import type { Awaitable } from "../platform/awaitable.ts";
import { LibraryError } from "../platform/library.ts";

/** What an error about stored bytes knows besides its message. */
export interface DecodeErrorOptions extends ErrorOptions {
  /** The engine that held the bytes. */
  engine?: string;
  /**
   * The key under which they were stored: the key itself, or its canonical text below the stash.
   */
  key?: unknown;
  /** Why the bytes can't be read; `"damaged"` by default. */
  kind?: DecodeErrorKind;
}

/**
 * Why stored bytes can't be read: a checksum, length or layer of ours is broken (`"damaged"`); they
 * are whole, and need a class, serializer, compressor, newer version or higher `maxValueBytes` than
 * this reader has (`"unknown"`); or another program wrote them (`"foreign"`). What was cut off has
 * lost its checksum: it counts as damaged where it begins with all of a mark of ours, or with one of
 * `[{"`, and as another program's elsewhere. Only what is damaged is ever removed by `check`.
 */
export type DecodeErrorKind = "damaged" | "unknown" | "foreign";

/**
 * Stored bytes are damaged, truncated, or name a class that is not registered. It is never a silent
 * miss: the entry is there, and it cannot be read.
 *
 * @example
 * ```ts
 * import { decode, DecodeError } from "@hashstash/hashstash/codec";
 *
 * try {
 *   await decode(new Uint8Array([0x28, 0xb5, 0x2f, 0xfd])); // a zstd frame without its end
 * } catch (error) {
 *   console.log(error instanceof DecodeError); // true
 * }
 * ```
 */
export class DecodeError extends Error {
  /** `"DecodeError"`. */
  override readonly name = "DecodeError";
  /** The engine that held the bytes, when known. */
  readonly engine?: string;
  /** The key under which they were stored, when known. */
  readonly key?: unknown;
  /** Why they can't be read. */
  readonly kind: DecodeErrorKind;

  /**
   * Makes the error.
   *
   * @param message What is wrong with the bytes.
   * @param options The cause, the engine and the key.
   */
  constructor(message: string, options: DecodeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.engine = options.engine;
    this.key = options.key;
    this.kind = options.kind ?? "damaged";
  }
}

/**
 * Runs a decoder. When it throws or rejects, the error becomes the cause of a `DecodeError` with
 * the message.
 */
export function attempt<T>(
  message: string,
  decode: () => Awaitable<T>,
  kind?: DecodeErrorKind,
): Awaitable<T> {
  const fail = (cause: unknown): never => {
    // A library that cannot be loaded says nothing about the bytes.
    if (cause instanceof DecodeError || cause instanceof LibraryError) throw cause;
    throw new DecodeError(message, { cause, kind });
  };
  try {
    const result = decode();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (cause) {
    return fail(cause);
  }
}

/** The error of bytes that nothing of ours begins like. */
export function unknownFormat(): DecodeError {
  return new DecodeError("Cannot decode value: its bytes are none of the known formats", {
    kind: "foreign",
  });
}
