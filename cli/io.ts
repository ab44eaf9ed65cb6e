/** What the commands read and print. */
import { DelimiterStream } from "@std/streams/delimiter-stream";
import { decodeKey, deserialize, serialize } from "../mod.ts";
import { isPlain } from "../codec/plain.ts";
import { readFile } from "../platform/files.ts";
import { inspect } from "../platform/system.ts";
import { standardInput, writeOutput } from "../platform/terminal.ts";
import { type Invocation, type Option, UsageError } from "./command.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Writes a line to the standard output. */
export async function print(line: string): Promise<void> {
  await writeOutput(encoder.encode(`${line}\n`));
}

/** Writes a line of JSON to the standard output. */
export async function printJSON(value: unknown): Promise<void> {
  await print(JSON.stringify(value));
}

/** A value as JSON text that keeps every type: plain values are plain JSON, others are tagged. */
export async function toTaggedJSON(value: unknown): Promise<string> {
  if (!(value instanceof Uint8Array)) return decoder.decode(await serialize(value));
  // Bytes are the one value that the serializer does not write as text, unless they are part of
  // another value: so they are written as the item of an array, and then taken out of it.
  const [[tag, [tagged]]] = Object.entries(JSON.parse(await toTaggedJSON([value]))) as [
    [string, [unknown]],
  ];
  return JSON.stringify({ [tag]: tagged });
}

/** The value of what `toTaggedJSON` made. */
export async function fromTaggedJSON(text: string): Promise<unknown> {
  return await deserialize(encoder.encode(text));
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
export function keyOf(text: string | undefined, { values }: Invocation): unknown {
  if (text === undefined) throw new UsageError("Expected a KEY");
  if (!values["json-key"]) return text;
  const key = parseJSON(text, "KEY");
  return typeof key === "string" ? decodeKey(key) : key;
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
  const bytes = argument !== undefined && argument !== "-"
    ? encoder.encode(argument)
    : file !== undefined
    ? await readFile(String(file))
    : await new Response(standardInput()).bytes();
  if (values.binary) return bytes;
  const text = decoder.decode(bytes);
  return values.text ? text : parseJSON(text, "VALUE");
}

function parseJSON(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const hint = what === "VALUE" ? ": pass --text for text or --binary for bytes" : "";
    throw new UsageError(`${what} is not JSON${hint}`, { cause });
  }
}

const NEWLINE = encoder.encode("\n");

/**
 * The lines of UTF-8 text, without their ends; at most one line in memory. Not `TextLineStream`:
 * its time grows with the square of a line's length, and an entry is a line.
 */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  for await (const line of stream.pipeThrough(new DelimiterStream(NEWLINE))) {
    yield decoder.decode(line);
  }
}
