/**
 * The command line: `deno run -A jsr:@hashstash/hashstash/cli COMMAND`, or installed with
 * `deno install -g -A -n hashstash jsr:@hashstash/hashstash/cli`.
 *
 * Exit status 0: done; 1: absent, damaged or failed; 2: used wrongly.
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
import { isNotFound } from "../platform/errors.ts";
import { inspect } from "../platform/system.ts";
import { exit, programArguments } from "../platform/terminal.ts";
import {
  type Command,
  COMMON_OPTIONS,
  FAILED,
  OK,
  type Option,
  parse,
  STASH_OPTIONS,
  USAGE,
  UsageError,
} from "./command.ts";
import { get, ls, rm, set } from "./entries.ts";
import { check, clear, prune, stats } from "./maintenance.ts";
import { profile } from "./profile.ts";
import { copy, exportEntries, importEntries } from "./transfer.ts";

/** The commands, in the order in which `--help` lists them. */
const COMMANDS: readonly Command[] = [
  ls,
  get,
  set,
  rm,
  clear,
  stats,
  copy,
  exportEntries,
  importEntries,
  check,
  prune,
  profile,
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
    describe(STASH_OPTIONS),
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
    "\nhashstash COMMAND --help says more. Exit status: 0 done, 1 absent, damaged or failed, 2 used wrongly.",
  ].join("\n");
}

/**
 * Runs the command line.
 *
 * @param args What follows the program's name.
 * @returns The exit status.
 */
export async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    console.log(overview());
    return name === undefined ? USAGE : OK;
  }
  const command = COMMANDS.find((command) => command.name === name);
  if (command === undefined) {
    const names = COMMANDS.map(({ name }) => name).join(", ");
    console.error(`hashstash: unknown command "${name}", expected one of: ${names}`);
    return USAGE;
  }
  try {
    const invocation = parse(command, rest);
    if (invocation.values.help) {
      console.log(helpOf(command));
      return OK;
    }
    return await command.run(invocation);
  } catch (error) {
    return report(command, error);
  }
}

function report(command: Command, error: unknown): number {
  if (error instanceof UsageError) {
    const options = Object.keys(command.options ?? {}).map((name) => `[--${name}]`).join(" ");
    console.error(`hashstash ${command.name}: ${error.message}`);
    console.error(`Usage: hashstash ${command.name} ${command.usage} ${options}`.trimEnd());
    return USAGE;
  }
  // Anything else is a fault of this program: its stack says where.
  console.error(`hashstash ${command.name}: ${isExpected(error) ? error.message : inspect(error)}`);
  return FAILED;
}

/** Whether an error tells the user what is wrong. */
function isExpected(error: unknown): error is Error {
  return [EngineError, DecodeError, KeyNotFoundError, TypeError, RangeError].some((kind) =>
    error instanceof kind
  ) || isNotFound(error);
}

if (import.meta.main) exit(await main(programArguments()));
