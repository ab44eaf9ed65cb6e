/** What the commands read and print. */
import { DelimiterStream } from "@std/streams/delimiter-stream";
import { decodeKey } from "../mod.ts";
import { isPlain } from "../codec/plain.ts";
import { parseJSON } from "../codec/tagged_json.ts";
import { errorCode, isNotFound } from "../platform/errors.ts";
import {
  discard,
  giveMode,
  type OpenFile,
  openFile,
  readFile,
  realPath,
  rename,
  stat,
  writeAll,
} from "../platform/files.ts";
import { inspect } from "../platform/system.ts";
import { standardInput, writeOutput } from "../platform/terminal.ts";
import { INSPECT } from "../store/show.ts";
import { type Invocation, type Option, UsageError } from "./command.ts";
import { canonicalKey } from "./json.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Text is handed on in pieces of about this many characters, */
const PIECE = 65_536;
/** or, when it comes slowly, after this many ms: somebody may be reading along. */
const PATIENCE = 100;

/** Text and bytes on their way to a file or to the standard output. */
export class Output {
  readonly #name: string;
  readonly #send: (bytes: Uint8Array) => Promise<void>;
  #text = "";
  #sent = performance.now();

  /**
   * Makes an output.
   *
   * @param name Where it goes, for messages.
   * @param send Writes all bytes.
   */
  constructor(name: string, send: (bytes: Uint8Array) => Promise<void>) {
    this.#name = name;
    this.#send = send;
  }

  /** Writes text, now or together with what follows. */
  async print(text: string): Promise<void> {
    this.#text += text;
    const isDue = this.#text.length >= PIECE || performance.now() - this.#sent >= PATIENCE;
    if (isDue) await this.flush();
  }

  /** Writes bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.flush();
    await this.#write(bytes);
  }

  /** Writes what has been printed and not yet been handed on. */
  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    if (text !== "") await this.#write(encoder.encode(text));
    this.#sent = performance.now();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#send(bytes);
    } catch (error) {
      if (errorCode(error) === "EPIPE") throw new ReaderGone();
      throw named(error, `Cannot write to ${this.#name}`);
    }
  }
}

/** Nobody reads the output any more: `hashstash ls | head -1` has what it wanted. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

/** The standard output. */
export const output: Output = new Output("the standard output", writeOutput);

/** Writes a line to the standard output. */
export async function print(line: string): Promise<void> {
  await output.print(`${line}\n`);
}

/** Writes a line of JSON to the standard output. */
export async function printJSON(value: unknown): Promise<void> {
  await print(JSON.stringify(value));
}

/** Writes a line to the standard error. */
export function warn(line: string): void {
  try {
    console.error(line);
  } catch {
    // It is closed or full: the exit status is left to say it.
  }
}

/** The same error of the system with a message that says what could not be done. */
function named(error: unknown, what: string): unknown {
  const code = errorCode(error);
  if (!(error instanceof Error) || !isSystemCode(code)) return error;
  const reason = error.message.replace(/ \(os error.*/, "");
  return Object.assign(new Error(`${what}: ${reason}`, { cause: error }), { code });
}

/** Whether an error's code is the system's (`ENOSPC`), not one of the runtime's (`ERR_…`). */
export function isSystemCode(code: string | undefined): boolean {
  return /^E[A-Z0-9]+$/.test(code ?? "");
}

/**
 * Writes texts to a file, or to the standard output. The file is there, or what it was before is
 * replaced, once all of it is written.
 */
export async function writeTo(
  path: string | undefined,
  texts: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  if (path === undefined) return await printAll(output, texts);
  const target = await targetOf(path);
  if (target === undefined) return await writeAt(path, path, texts);
  const temporary = `${target.path}.${crypto.randomUUID().slice(0, 8)}.part`;
  try {
    await writeAt(temporary, path, texts, target);
    try {
      await rename(temporary, target.path);
    } catch (error) {
      throw named(error, `Cannot write to ${path}`);
    }
  } catch (error) {
    discard(temporary);
    throw error;
  }
}

/**
 * Which file a path means, and the mode that it has; `undefined` for what can't be replaced by
 * another file: a device, a pipe.
 */
async function targetOf(path: string): Promise<{ path: string; mode?: number } | undefined> {
  try {
    const { isFile, mode } = await stat(path);
    // A link stays one.
    return isFile ? { path: await realPath(path), mode: mode ?? undefined } : undefined;
  } catch (error) {
    if (isNotFound(error)) return { path };
    throw named(error, `Cannot write to ${path}`);
  }
}

/** @param replaced The file whose place it is to take. */
async function writeAt(
  path: string,
  name: string,
  texts: Iterable<string> | AsyncIterable<string>,
  replaced?: { mode?: number },
): Promise<void> {
  const mode = replaced?.mode && replaced.mode & 0o777;
  using file = await openToWrite(path, name, mode);
  if (mode !== undefined) giveMode(path, mode);
  await printAll(new Output(name, (bytes) => writeAll(file, bytes)), texts);
  if (replaced === undefined) return;
  try {
    // Else a power failure could leave an empty file in the place of the one before.
    await file.syncData();
  } catch (error) {
    throw named(error, `Cannot write to ${name}`);
  }
}

async function openToWrite(path: string, name: string, mode?: number): Promise<OpenFile> {
  try {
    // With its mode from the beginning: who opens a file may read it ever after.
    return await openFile(path, { write: true, create: true, truncate: true, mode });
  } catch (error) {
    throw named(error, `Cannot write to ${name}`);
  }
}

async function printAll(
  to: Output,
  texts: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  for await (const text of texts) await to.print(text);
  await to.flush();
}

/** The bytes of a file. */
export async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw named(error, `Cannot read ${path}`);
  }
}

/**
 * Prints a value for a person: text and bytes as they are, plain data as JSON, the rest as the
 * runtime's console shows it.
 */
export async function show(value: unknown): Promise<void> {
  if (value instanceof Uint8Array) await output.write(value);
  else if (typeof value === "string") await print(value);
  else await print(isPlain(value) ? JSON.stringify(value, null, 2) : inspect(value, INSPECT));
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
    ? await bytesOf(String(file))
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
 * The lines of a file or of the standard input as bytes, without their ends; at most one in memory.
 * Not `TextLineStream`: it can't tell in which line there are bytes that are not UTF-8, and its
 * time grows with the square of a line's length.
 *
 * @param signal Ends the wait for more: then it throws the signal's reason.
 */
export async function* linesOf(
  path: string | undefined,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    const stream = path === undefined ? standardInput() : (await openFile(path)).readable;
    yield* stream.pipeThrough(new DelimiterStream(NEWLINE), { signal });
  } catch (error) {
    throw named(error, `Cannot read ${path ?? "the standard input"}`);
  }
}
