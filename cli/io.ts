/** What the commands read and print. */
import { DelimiterStream } from "@std/streams/delimiter-stream";
import { decodeKey } from "../mod.ts";
import { isPlain } from "../codec/plain.ts";
import { readFile } from "../platform/files.ts";
import { inspect } from "../platform/system.ts";
import { standardInput, writeOutput } from "../platform/terminal.ts";
import { type Invocation, type Option, UsageError } from "./command.ts";
import { canonicalKey, parseJSON } from "./json.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Writes a line to the standard output. */
export async function print(line: string): Promise<void> {
  await writeOutput(encoder.encode(`${line}\n`));
}

/** Writes a line of JSON to the standard output. */
export async function printJSON(value: unknown): Promise<void> {
  await print(JSON.stringify(value));
}

/**
 * Prints a value for a person: text and bytes as they are, plain data as JSON, the rest as the
 * runtime's console shows it.
 */
export async function show(value: unknown): Promise<void> {
  if (value instanceof Uint8Array) await writeOutput(value);
  else if (typeof value === "string") await print(value);
  else await print(isPlain(value) ? JSON.stringify(value, null, 2) : inspect(value, INSPECT));
}

const INSPECT = { depth: 20, iterableLimit: 1_000, strAbbreviateSize: 10_000 };

/** A key for a person: text as it is, anything else as the runtime's console shows it. */
export function showKey(key: unknown): string {
  return typeof key === "string" ? key : inspect(key, { compact: true, breakLength: Infinity });
}

/** The options that say how to read a KEY argument. */
export const KEY_OPTIONS: Record<string, Option> = {
  "json-key": {
    type: "boolean",
    short: "k",
    help: "KEY is JSON, or the text that --json prints for a key",
  },
};

/**
 * The key of a KEY argument: the text itself, or with `--json-key` what the text says as JSON.
 *
 * @throws {UsageError} When it is missing, or not JSON.
 */
export async function keyOf(text: string | undefined, { values }: Invocation): Promise<unknown> {
  if (text === undefined) throw new UsageError("Expected a KEY");
  if (!values["json-key"]) return text;
  const key = jsonOf(text, "KEY");
  return typeof key === "string" ? decodeKey(await canonicalKey(key)) : key;
}

/** The options that say what a VALUE is. */
export const VALUE_OPTIONS: Record<string, Option> = {
  text: { type: "boolean", short: "t", help: "The value is text, not JSON" },
  binary: { type: "boolean", help: "The value is bytes, not JSON" },
  file: { type: "string", short: "f", value: "FILE", help: "Reads the value from a file" },
};

/**
 * The value that an argument, a file or the standard input gives: JSON, text or bytes.
 *
 * @throws {UsageError} When it is not JSON, or given twice.
 */
export async function valueOf(
  argument: string | undefined,
  { values }: Invocation,
): Promise<unknown> {
  const { file } = values;
  if (argument !== undefined && file !== undefined) {
    throw new UsageError("Expected VALUE or --file, got both");
  }
  if (argument !== undefined && argument !== "-") {
    if (values.binary) return encoder.encode(argument);
    return values.text ? argument : jsonOf(argument, "VALUE");
  }
  const bytes = file !== undefined
    ? await readFile(String(file))
    : await new Response(standardInput()).bytes();
  if (values.binary) return bytes;
  let text: string;
  try {
    text = decodeText(bytes);
  } catch (cause) {
    throw new UsageError("VALUE is not UTF-8 text: pass --binary for bytes", { cause });
  }
  return values.text ? text : jsonOf(withoutMark(text), "VALUE");
}

function jsonOf(text: string, what: "KEY" | "VALUE"): unknown {
  try {
    return parseJSON(text);
  } catch (cause) {
    if (cause instanceof RangeError) throw new UsageError(`${what}: ${cause.message}`, { cause });
    const hint = what === "VALUE" ? ": pass --text for text or --binary for bytes" : "";
    throw new UsageError(`${what} is not JSON${hint}`, { cause });
  }
}

/**
 * The text of UTF-8 bytes.
 *
 * @throws {TypeError} When they are something else.
 */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The text without the byte order mark that some editors begin JSON files with. */
export function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

const NEWLINE = encoder.encode("\n");

/**
 * The lines of bytes, without their ends; at most one in memory. Not `TextLineStream`: it can't
 * tell in which line there are bytes that are not UTF-8, and its time grows with the square of a
 * line's length.
 */
export function linesOf(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  return stream.pipeThrough(new DelimiterStream(NEWLINE));
}
