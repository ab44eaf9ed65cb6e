/** What the commands read and print. */
import { decodeKey, deserialize, serialize } from "../mod.ts";
import { type Invocation, type Option, UsageError } from "./command.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Writes all bytes to the standard output: a pipe may take them in parts. */
export async function write(bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += await Deno.stdout.write(bytes.subarray(from));
}

/** Writes a line to the standard output. */
export async function print(line: string): Promise<void> {
  await write(encoder.encode(`${line}\n`));
}

/** Writes a line of JSON to the standard output. */
export async function printJSON(value: unknown): Promise<void> {
  await print(JSON.stringify(value));
}

/** A value as JSON text that keeps every type: plain values are plain JSON, others are tagged. */
export async function toTaggedJSON(value: unknown): Promise<string> {
  if (!(value instanceof Uint8Array)) return decoder.decode(await serialize(value));
  // The one value that the serializer does not write as text, unless it is part of another.
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
 * A value for a person: text and bytes as they are, plain data as JSON, the rest as Deno shows it.
 */
export async function show(value: unknown): Promise<void> {
  if (value instanceof Uint8Array) await write(value);
  else if (typeof value === "string") await print(value);
  else await print(isPlain(value) ? JSON.stringify(value, null, 2) : Deno.inspect(value, INSPECT));
}

const INSPECT = { depth: 20, iterableLimit: 1_000, strAbbreviateSize: 10_000 };

function isPlain(value: unknown): boolean {
  if (value === null || ["boolean", "string"].includes(typeof value)) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isPlain);
  return typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every(isPlain);
}

/** A key as a person reads it: text as it is, anything else as Deno shows it. */
export function showKey(key: unknown): string {
  return typeof key === "string"
    ? key
    : Deno.inspect(key, { compact: true, breakLength: Infinity });
}

/** The options that say how a KEY argument is meant. */
export const KEY_OPTIONS: Record<string, Option> = {
  "json-key": {
    type: "boolean",
    short: "k",
    help: "KEY is JSON, or the text that --json prints for a key",
  },
};

/**
 * The key that an argument means: the text itself, or with `--json-key` what it says as JSON.
 *
 * @throws {UsageError} When it is absent or no JSON.
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
 * The value that argument, file or standard input give: JSON, text or bytes.
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
    ? await Deno.readFile(String(file))
    : await new Response(Deno.stdin.readable).bytes();
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

/** The lines of a stream, without their ends; at most one line in memory. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let parts: string[] = [];
  for await (
    const chunk of stream.pipeThrough(
      new TextDecoderStream() as TransformStream<Uint8Array, string>,
    )
  ) {
    const lines = chunk.split("\n");
    parts.push(lines[0]);
    for (let i = 1; i < lines.length; i++) {
      yield parts.join("");
      parts = [lines[i]];
    }
  }
  const last = parts.join("");
  if (last !== "") yield last;
}
