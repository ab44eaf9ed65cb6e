/** The command line's surroundings: its arguments, and what it reads from and writes to. */
import type { Writable } from "node:stream";
import { writeAll } from "./files.ts";
import { deno } from "./runtime.ts";
import { builtinModule, nodeProcess } from "./system.ts";

/** The arguments of the program. */
export function programArguments(): string[] {
  return deno ? deno.args : nodeProcess().argv.slice(2);
}

/** Ends the program. */
export function exit(code: number): never {
  return deno ? deno.exit(code) : nodeProcess().exit(code);
}

/** What comes in. */
export function standardInput(): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (deno) return deno.stdin.readable;
  const { Readable } = builtinModule("node:stream");
  return Readable.toWeb(nodeProcess().stdin) as ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Writes all bytes to the standard output. */
export function writeOutput(bytes: Uint8Array): Promise<void> {
  if (deno) return writeAll(deno.stdout, bytes);
  return new Promise((resolve, reject) =>
    nodeProcess().stdout.write(bytes, (error) => error ? reject(error) : resolve())
  );
}

/** Where messages go, as libraries for terminals take it. */
export function standardError(): Writable & { isTTY?: boolean } {
  return nodeProcess().stderr;
}

/** Whether a person types what comes in. */
export function isInputTerminal(): boolean {
  return isTerminal(0);
}

/** Whether a person reads the messages. */
export function isErrorTerminal(): boolean {
  return isTerminal(2);
}

function isTerminal(fd: number): boolean {
  return builtinModule("node:tty").isatty(fd);
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
