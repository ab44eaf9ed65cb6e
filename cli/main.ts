/**
 * The command line: `deno run -A --unstable-kv jsr:@hashstash/hashstash/cli COMMAND`, or installed
 * with `deno install -g -A --unstable-kv -n hashstash jsr:@hashstash/hashstash/cli`. Only the engine
 * shelve needs `--unstable-kv`.
 *
 * Exit status 0: done; 1: absent, damaged or failed; 2: used wrongly; 130 and 143: a long command was
 * ended by Ctrl-C or SIGTERM.
 *
 * @example
 * ```sh
 * hashstash set greeting '"hello"' --name demo --engine sqlite
 * hashstash get greeting --name demo --engine sqlite
 * hashstash copy --name demo --engine sqlite --to-engine lmdb
 * ```
 *
 * @module
 */
import { DecodeError, EngineError, KeyNotFoundError } from "../mod.ts";
import { errorCode, isPermissionDenied } from "../platform/errors.ts";
import { LibraryError } from "../platform/library.ts";
import { inspect } from "../platform/system.ts";
import { exit, programArguments } from "../platform/terminal.ts";
import {
  type Command,
  COMMON_OPTIONS,
  FAILED,
  OK,
  type Option,
  parse,
  stashOptionsOf,
  USAGE,
  UsageError,
} from "./command.ts";
import { get, ls, rm, set } from "./entries.ts";
import { isSystemCode, output, print, ReaderGone, warn } from "./io.ts";
import { check, clear, invalidate, prune, stats, stores } from "./maintenance.ts";
import { profile } from "./profile.ts";
import { serve } from "./serve.ts";
import { copy, exportEntries, importEntries } from "./transfer.ts";

/** The commands, in the order in which `--help` lists them. */
const COMMANDS: readonly Command[] = [
  ls,
  get,
  set,
  rm,
  clear,
  invalidate,
  stats,
  stores,
  copy,
  exportEntries,
  importEntries,
  check,
  prune,
  profile,
  serve,
];

function helpOf(command: Command): string {
  const own = command.options ?? {};
  return [
    `${command.summary}\n`,
    `Usage: hashstash ${command.name} ${command.usage}`.trimEnd(),
    ...(command.details ? ["", command.details] : []),
    ...(Object.keys(own).length > 0 ? ["", "Options:", describe(own)] : []),
    "",
    "Which stash:",
    describe(stashOptionsOf(command)),
    "",
    "Common:",
    describe(COMMON_OPTIONS),
  ].join("\n");
}

function describe(options: Record<string, Option>): string {
  const rows = Object.entries(options).map(([name, { short, value, help }]) =>
    [`${short ? `-${short}, ` : "    "}--${name}${value ? ` ${value}` : ""}`, help] as const
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`).join("\n");
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    "A cache over many storage engines.\n",
    "Usage: hashstash COMMAND [OPTIONS]\n",
    "Commands:",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "\nhashstash COMMAND --help says more, --version prints the version.",
    "Exit status: 0 done, 1 absent, damaged or failed, 2 used wrongly, 130 ended by Ctrl-C,",
    "143 by SIGTERM.",
  ].join("\n");
}

/** Of the package; a test compares it with deno.json's. */
const VERSION = "0.1.0";

/**
 * Runs the command line.
 *
 * @param args What follows the program's name.
 * @returns The exit status.
 */
export async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((command) => command.name === name);
  try {
    const status = command ? await runCommand(command, rest) : await runWithout(name);
    await output.flush();
    return status;
  } catch (error) {
    // Whoever reads the output has enough of it: nothing has failed.
    if (error instanceof ReaderGone) return OK;
    // What was printed before it failed is still wanted, if it can be written.
    await output.flush().catch(() => undefined);
    return report(error, command);
  }
}

/** What the program does without a command. */
async function runWithout(name: string | undefined): Promise<number> {
  switch (name) {
    case "--version":
    case "-V":
      await print(`hashstash ${VERSION}`);
      return OK;
    case undefined:
    case "--help":
    case "-h":
    case "help":
      await print(overview());
      return name === undefined ? USAGE : OK;
    default: {
      const names = COMMANDS.map(({ name }) => name).join(", ");
      throw new UsageError(`unknown command "${name}", expected one of: ${names}`);
    }
  }
}

async function runCommand(command: Command, args: string[]): Promise<number> {
  const invocation = parse(command, args);
  if (!invocation.values.help) return await command.run(invocation);
  await print(helpOf(command));
  return OK;
}

function report(error: unknown, command?: Command): number {
  const program = command === undefined ? "hashstash" : `hashstash ${command.name}`;
  // Anything unexpected is a fault of this program: its stack says where.
  warn(`${program}: ${isExpected(error) ? error.message : inspect(error)}`);
  if (!(error instanceof UsageError)) return FAILED;
  if (command !== undefined) {
    const named: string[] = command.usage.match(/--[\w-]+/g) ?? [];
    const options = Object.keys(command.options ?? {})
      .flatMap((name) => named.includes(`--${name}`) ? [] : [`[--${name}]`]);
    warn(["Usage:", program, command.usage, ...options].filter((part) => part !== "").join(" "));
  }
  return USAGE;
}

const EXPECTED = [
  UsageError,
  EngineError,
  DecodeError,
  KeyNotFoundError,
  LibraryError,
  TypeError,
  RangeError,
];

/** Whether an error's message tells the user what is wrong. */
function isExpected(error: unknown): error is Error {
  return EXPECTED.some((kind) => error instanceof kind) ||
    isSystemCode(errorCode(error)) || isPermissionDenied(error);
}

if (import.meta.main) exit(await main(programArguments()));
