/** What a command of the command line is, and the options that all of them have. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { HashStash, type HashStashOptions } from "../mod.ts";
import { env } from "../platform/system.ts";
import { isInputTerminal } from "../platform/terminal.ts";

/** Exit status: the command did what it says. */
export const OK = 0;
/** Exit status: what was asked for is absent or damaged, or could not be done. */
export const FAILED = 1;
/** Exit status: the command was called with wrong arguments. */
export const USAGE = 2;

/** The arguments of a command are wrong: exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Options as `parseArgs` takes them. */
type OptionConfigs = NonNullable<ParseArgsConfig["options"]>;

/** An option as `--help` shows it. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** What stands for the value in the help: `MS`. */
  readonly value?: string;
  readonly help: string;
}

/** The parsed command line of a command. */
export interface Invocation {
  readonly positionals: string[];
  readonly values: Record<string, string | boolean | undefined>;
  /** Whether output is for machines. */
  readonly json: boolean;
}

/** A command. */
export interface Command {
  readonly name: string;
  /** What follows the name: `KEY [VALUE]`. */
  readonly usage: string;
  readonly summary: string;
  /** More lines for `--help`. */
  readonly details?: string;
  readonly options?: Record<string, Option>;
  /** Runs it; the exit status. */
  run(invocation: Invocation): Promise<number>;
}

/** The options that say which stash is meant. */
export const STASH_OPTIONS: Record<string, Option> = {
  engine: {
    type: "string",
    short: "e",
    value: "ENGINE",
    help: "The engine; $HASHSTASH_ENGINE, else pairtree",
  },
  name: {
    type: "string",
    short: "n",
    value: "NAME",
    help: "The stash's name; $HASHSTASH_NAME, else unnamed",
  },
  root: {
    type: "string",
    short: "r",
    value: "FOLDER",
    help: "The root folder; $HASHSTASH_DIR, else the cache folder",
  },
  dbname: {
    type: "string",
    short: "d",
    value: "DBNAME",
    help: "The store in the stash; $HASHSTASH_DBNAME, else main",
  },
  path: { type: "string", value: "PATH", help: "An existing store of the engine, wherever it is" },
  url: { type: "string", value: "URL", help: "The redis server; $HASHSTASH_URL" },
  serializer: {
    type: "string",
    value: "NAME",
    help: "For what is stored now: hashstash, json, msgpack, v8",
  },
  compress: {
    type: "string",
    value: "NAME",
    help: "For what is stored now: zstd, lz4, gzip, zlib, brotli",
  },
  b64: { type: "boolean", help: "Stores base64 text" },
  append: { type: "boolean", help: "Append mode: keeps every version of a key" },
};

/** The options of every command. */
export const COMMON_OPTIONS: Record<string, Option> = {
  json: { type: "boolean", help: "Prints JSON, for machines" },
  help: { type: "boolean", short: "h", help: "Prints this" },
};

/** The same options for a second stash (`--to-engine`, …), whose defaults are the first one's. */
export function prefixed(prefix: string, options: Record<string, Option>): Record<string, Option> {
  return Object.fromEntries(
    Object.entries(options).map(([name, { type, value, help }]) =>
      [`${prefix}-${name}`, { type, value, help: help.split(";")[0] }] as const
    ),
  );
}

/** All options of a command. */
export function optionsOf(command: Command): Record<string, Option> {
  return { ...command.options, ...STASH_OPTIONS, ...COMMON_OPTIONS };
}

/**
 * Parses what follows the command's name.
 *
 * @throws {UsageError} When an option is not one of the command's.
 */
export function parse(command: Command, args: string[]): Invocation {
  const options: OptionConfigs = {};
  for (const [name, { type, short }] of Object.entries(optionsOf(command))) {
    options[name] = short === undefined ? { type } : { type, short };
  }
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return {
      positionals,
      values: values as Invocation["values"],
      json: values.json === true,
    };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The arguments, when they are no more than a command takes.
 *
 * @throws {UsageError} When there are more.
 */
export function onlyPositionals(positionals: string[], most: number): string[] {
  if (positionals.length > most) throw new UsageError(`Unexpected argument "${positionals[most]}"`);
  return positionals;
}

/**
 * The stash that the options and HASHSTASH_* variables name.
 *
 * @param prefix `"to-"` for the second stash of a command, which no variables name.
 * @param overrides Options that stand above those of the command line.
 * @throws {UsageError} When no stash can have these options.
 */
export function stashOf(
  { values }: Invocation,
  prefix: "" | "to-" = "",
  overrides: HashStashOptions = {},
): HashStash {
  const text = (name: string) => values[`${prefix}${name}`] as string | undefined;
  const textOrVariable = (name: string) =>
    text(name) ?? (prefix === "" ? env(`HASHSTASH_${name.toUpperCase()}`) : undefined);
  const engineOptions = withoutAbsent({ path: text("path"), url: textOrVariable("url") });
  try {
    return new HashStash(withoutAbsent({
      name: textOrVariable("name"),
      dbname: textOrVariable("dbname"),
      engine: textOrVariable("engine"),
      rootDir: text("root"),
      serializer: text("serializer"),
      compress: text("compress"),
      b64: values[`${prefix}b64`],
      appendMode: values[`${prefix}append`],
      engineOptions,
      ...overrides,
    }) as HashStashOptions);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

function withoutAbsent(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/**
 * The value of an option that takes a number.
 *
 * @throws {UsageError} When it is not a number, or less than `min`.
 */
export function numberOption(
  { values }: Invocation,
  name: string,
  min = 0,
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text === "" || Number.isNaN(number) || number < min) {
    throw new UsageError(`Expected --${name} to be a number of at least ${min}, got "${text}"`);
  }
  return number;
}

/**
 * Whether something may be removed: with `--yes`, or when the person at the terminal agrees.
 *
 * @param what What would be done, as a question without its question mark.
 * @throws {UsageError} When there is neither `--yes` nor a terminal to ask on.
 */
export function confirmed({ values }: Invocation, what: string): boolean {
  if (values.yes) return true;
  if (!isInputTerminal()) {
    throw new UsageError(`${what}: pass --yes to do it without a terminal`);
  }
  return confirm(`${what}?`);
}

/** The option that `confirmed` reads. */
export const YES: Record<string, Option> = {
  yes: { type: "boolean", short: "y", help: "Does not ask" },
};
