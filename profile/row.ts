/** What is timed, in the order of a value's way into the store and back. */
export const OPERATIONS = [
  "encode key",
  "decode key",
  "serialize",
  "deserialize",
  "encode value",
  "decode value",
  "write",
  "read",
] as const;

/**
 * What a row times:
 *
 * - `encode key`, `decode key`: the key to its canonical text and back;
 * - `serialize`, `deserialize`: the value to the serializer's bytes and back;
 * - `encode value`, `decode value`: the same with compression and base64, as stored;
 * - `write`: `set` of a new key; `read`: `get` of a key that is there, both with all of the above.
 */
export type Operation = typeof OPERATIONS[number];

/** One timing: an engine, a codec, a size of data, an operation, an iteration. */
export interface ProfileRow {
  /** The engine's name. */
  engine: string;
  /** The serializer's name. */
  serializer: string;
  /** The compressor's name, or `false`. */
  compress: string | false;
  /** Whether stored bytes are base64 text. */
  b64: boolean;
  /** Compression and base64 in one word: `"raw"`, `"zstd"`, `"b64"`, `"zstd+b64"`. */
  encoding: string;
  /** What was timed. */
  operation: Operation;
  /** The size of data that was asked for, bytes of JSON. */
  size: number;
  /** Bytes of what went in, as JSON: the value, or the key in the operations on keys. */
  rawSize: number;
  /** Bytes of what came out: serialized, encoded, or the key's canonical text. */
  storedSize: number;
  /** `storedSize / rawSize`. */
  ratio: number;
  /** From 1. */
  iteration: number;
  /**
   * Seconds per operation, the mean over a sample of operations; `NaN` in a row with an `error`.
   */
  time: number;
  /** Operations per second. */
  rate: number;
  /** MB (10^6 bytes) of `rawSize` per second. */
  speed: number;
  /** Why this case could not run here; absent when it did. */
  error?: string;
}

/** Which codec a row is about. */
export type RowCodec = Pick<ProfileRow, "serializer" | "compress" | "b64" | "encoding">;

/** The columns of a row, in their order in tables and files. */
export const COLUMNS = [
  "engine",
  "serializer",
  "compress",
  "b64",
  "encoding",
  "operation",
  "size",
  "rawSize",
  "storedSize",
  "ratio",
  "iteration",
  "time",
  "rate",
  "speed",
  "error",
] as const satisfies (keyof ProfileRow)[];

/** What a row says of a case before it is timed. */
export type RowCase =
  & RowCodec
  & Pick<ProfileRow, "engine" | "operation" | "size" | "rawSize" | "storedSize" | "iteration">;

/** The row of a case that took `time` seconds per operation. */
export function timedRow(of: RowCase, time: number): ProfileRow {
  const { iteration, ...rest } = of;
  return {
    ...rest,
    ratio: of.storedSize / of.rawSize,
    iteration,
    time,
    rate: 1 / time,
    speed: of.rawSize / 1e6 / time,
  };
}

/** What is known of a case that could not run. */
export type FailedCase = RowCodec & Pick<ProfileRow, "engine" | "operation" | "size">;

/** The row that says why a case could not run. */
export function failedRow(
  { engine, serializer, compress, b64, encoding, operation, size }: FailedCase,
  error: unknown,
): ProfileRow {
  const of = { engine, serializer, compress, b64, encoding, operation, size };
  const row = timedRow({ ...of, rawSize: NaN, storedSize: NaN, iteration: 1 }, NaN);
  row.error = error instanceof Error ? error.message : String(error);
  return row;
}

/** `"raw"`, `"zstd"`, `"b64"`, `"zstd+b64"`. */
export function encodingName(compress: string | false, b64: boolean): string {
  return [compress || "", b64 ? "b64" : ""].filter(Boolean).join("+") || "raw";
}

/**
 * The name of a row's codec in tables and charts: the encoding, with the serializer in front when
 * the rows have several.
 */
export function codecName(row: RowCodec, withSerializer: boolean): string {
  return withSerializer ? `${row.serializer} ${row.encoding}` : row.encoding;
}

/** Whether the rows have more than one serializer. */
export function hasSerializers(rows: readonly RowCodec[]): boolean {
  return new Set(rows.map(({ serializer }) => serializer)).size > 1;
}
