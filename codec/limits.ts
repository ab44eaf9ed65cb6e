/** How much one stored value may decode to. */
import type { Compressor } from "./custom.ts";
import { DecodeError } from "./errors.ts";

/** What a reader of stored bytes goes by. */
export interface ReadLimits {
  /** The custom compressor to prefer, when the bytes name it. */
  readonly compressor?: Compressor;
  /** What the content may take, bytes. */
  readonly maxValueBytes: number;
}

/** 1 GiB. */
const DEFAULT_MAX_VALUE_BYTES = 2 ** 30;

/**
 * Checks the option `maxValueBytes`.
 *
 * @throws {TypeError} When it is no number.
 * @throws {RangeError} When it is not a positive integer or `Infinity`.
 */
export function maxValueBytesOf(option: unknown = DEFAULT_MAX_VALUE_BYTES): number {
  if (typeof option !== "number") {
    throw new TypeError(`Expected a number as maxValueBytes, got ${typeof option}`);
  }
  if (option === Infinity || (Number.isInteger(option) && option > 0)) return option;
  throw new RangeError(
    `Expected a positive integer or Infinity as maxValueBytes, got ${String(option)}`,
  );
}

/**
 * Refuses content that is too long, before it is made.
 *
 * @param what The bytes as in messages.
 */
export function checkLength(what: string, length: number, { maxValueBytes }: ReadLimits): void {
  if (length > maxValueBytes) throw tooLong(what, { maxValueBytes });
}

/** The error of content that is too long. */
export function tooLong(
  what: string,
  { maxValueBytes }: Pick<ReadLimits, "maxValueBytes">,
): DecodeError {
  return new DecodeError(
    `Cannot decode ${what}: the content is longer than maxValueBytes, ${maxValueBytes} bytes`,
    // A reader with another limit may read it.
    { kind: "unknown" },
  );
}
