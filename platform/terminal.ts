/** The command line's surroundings: its arguments, and what it reads from and writes to. */
import type { Writable } from "node:stream";
import { writeAll } from "./files.ts";
import { nodeProcess } from "./system.ts";

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
  return nodeProcess().stderr;
}

/** Whether a person types what comes in. */
export function isInputTerminal(): boolean {
  return Deno.stdin.isTerminal();
}

/** Whether a person reads the messages. */
export function isErrorTerminal(): boolean {
  return Deno.stderr.isTerminal();
}

/** What a person (Ctrl-C) and a service manager send to end a program. */
export type EndingSignal = "SIGINT" | "SIGTERM";

/** The exit status of a program that a signal ended. */
export function statusOf(signal: EndingSignal): number {
  return 128 + (signal === "SIGINT" ? 2 : 15);
}

/**
 * Tells of the first Ctrl-C or SIGTERM in place of ending the program; the second ends it at once.
 *
 * @returns Disposed of, signals end the program as ever.
 */
export function onEndingSignal(listener: (signal: EndingSignal) => void): Disposable {
  let isFirst = true;
  const hear = (signal: EndingSignal) => {
    if (!isFirst) exit(statusOf(signal));
    isFirst = false;
    listener(signal);
  };
  const signals = (["SIGINT", "SIGTERM"] as const).map((signal) =>
    [signal, () => hear(signal)] as const
  );
  for (const [signal, heard] of signals) nodeProcess().on(signal, heard);
  return {
    [Symbol.dispose]() {
      for (const [signal, heard] of signals) nodeProcess().off(signal, heard);
    },
  };
}
