/** The command line's surroundings: its arguments, and what it reads from and writes to. */
import process from "node:process";
import type { Writable } from "node:stream";
import { writeAll } from "./files.ts";

/** The arguments of the program. */
export function programArguments(): string[] {
  return Deno.args;
}

/** Ends the program. */
export function exit(code: number): never {
  Deno.exit(code);
}

/** What comes in. */
export function standardInput(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return Deno.stdin.readable;
}

/** Writes all bytes to the standard output. */
export function writeOutput(bytes: Uint8Array): Promise<void> {
  return writeAll(Deno.stdout, bytes);
}

/** Where messages go, as libraries for terminals take it. */
export function standardError(): Writable & { isTTY?: boolean } {
  return process.stderr;
}

/** Whether a person types what comes in. */
export function isInputTerminal(): boolean {
  return Deno.stdin.isTerminal();
}

/** Whether a person reads the messages. */
export function isErrorTerminal(): boolean {
  return Deno.stderr.isTerminal();
}
