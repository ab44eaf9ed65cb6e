/** What a command of the command line is, and the options that all of them have. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { nestedFolder } from "../engines/mod.ts";
import { HashStash, type HashStashOptions } from "../mod.ts";
import { isNotFound } from "../platform/errors.ts";
import { stat } from "../platform/files.ts";
import { env } from "../platform/system.ts";
import { isInputTerminal } from "../platform/terminal.ts";
import { checkTags } from "../store/options.ts";

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
  /** Whether it may be given several times. */
  readonly multiple?: boolean;
  /** What stands for the value in the help: `MS`. */
  readonly value?: string;
  readonly help: string;
}

/** The parsed command line of a command. */
export interface Invocation {
  readonly positionals: string[];
  readonly values: Record<string, string | boolean | string[] | undefined>;
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
  url: {
    type: "string",
    value: "URL",
    help: "The redis or postgres server; $HASHSTASH_URL, for postgres else $DATABASE_URL",
  },
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

/** The options that say which stash is meant, but for those that mean something else here. */
export function stashOptionsOf({ options = {} }: Command): Record<string, Option> {
  return Object.fromEntries(
    Object.entries(STASH_OPTIONS).filter(([name]) => !Object.hasOwn(options, name)),
  );
}

/** All options of a command. */
export function optionsOf(command: Command): Record<string, Option> {
  return { ...command.options, ...stashOptionsOf(command), ...COMMON_OPTIONS };
}

/**
 * Parses what follows the command's name.
 *
 * @throws {UsageError} When an option is not one of the command's.
 */
export function parse(command: Command, args: string[]): Invocation {
  const options: OptionConfigs = {};
  for (const [name, { type, short, multiple = false }] of Object.entries(optionsOf(command))) {
    options[name] = short === undefined ? { type, multiple } : { type, short, multiple };
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

/** The options that say where an engine's store is, and the engines that have them. */
const PLACES: Record<"path" | "url", readonly string[]> = {
  path: ["sqlite", "shelve", "pickledb", "diskcache", "lmdb"],
  url: ["redis", "postgres"],
};

/** Engines whose stores are files and folders. */
const FILES: readonly string[] = ["pairtree", ...PLACES.path];
/** What shelve takes in place of a path. */
const NO_FILE = /^(:memory:|default|https?:.*)$/;

/** What a command line leaves unsaid of a stash. */
interface Defaults {
  readonly name?: string;
  readonly dbname?: string;
  readonly engine: string;
  readonly rootDir?: string;
  /** By option: those that the engine doesn't have don't count. */
  readonly place: { readonly path?: string; readonly url?: string };
}

/** A variable of the environment; one that is set to nothing is as one that is not set. */
export function setting(variable: string): string | undefined {
  return env(variable) || undefined;
}

/**
 * The stash that the options and HASHSTASH_* variables name.
 *
 * @throws {UsageError} When no stash can have these options.
 */
export function stashOf(invocation: Invocation): HashStash {
  const engine = setting("HASHSTASH_ENGINE") ?? "pairtree";
  return makeStash(invocation, "", {
    name: setting("HASHSTASH_NAME"),
    dbname: setting("HASHSTASH_DBNAME"),
    engine,
    place: { url: urlFor(String(invocation.values.engine ?? engine), setting("HASHSTASH_URL")) },
  });
}

/** A URL, if it is one for this engine: of postgres by its beginning, else of redis. */
export function urlFor(engine: string, url: string | undefined): string | undefined {
  return (engine === "postgres") === /^postgres(ql)?:/.test(url ?? "") ? url : undefined;
}

/**
 * The stash that the `--to-` options name. What they leave unsaid is as in the first stash: the
 * server and the path too, where the engine is the same and no other root is given.
 *
 * @throws {UsageError} When no stash can have these options, or it is the first one.
 */
export function secondStashOf(invocation: Invocation, first: HashStash): HashStash {
  const { engine, name, dbname, rootDir, engineOptions } = first.toJSON();
  const toEngine = invocation.values["to-engine"] ?? engine;
  const url = urlFor(String(toEngine), setting("HASHSTASH_URL"));
  const place = { url, ...(toEngine === engine ? engineOptions : {}) } as Defaults["place"];
  const second = makeStash(invocation, "to-", {
    name,
    dbname,
    engine,
    rootDir,
    place: invocation.values["to-root"] === undefined ? place : { url: place.url },
  });
  // On other engines the path tells stores of different names apart, or they are one store.
  const holdsManyNames = ["memory", "redis", "shelve", "postgres"].includes(engine);
  if (
    second.engine === engine && second.path === first.path && second.dbname === dbname &&
    (second.name === name || !holdsManyNames)
  ) {
    const options = ["engine", "name", "root", "dbname", "path"].map((name) => `--to-${name}`);
    throw new UsageError(`The other stash is this one: pass one of ${options.join(", ")}`);
  }
  return second;
}

function makeStash(
  { values }: Invocation,
  prefix: "" | "to-",
  { place, ...defaults }: Defaults,
): HashStash {
  const text = (name: string) => values[`${prefix}${name}`] as string | undefined;
  const engine = text("engine") ?? defaults.engine;
  const engineOptions: Record<string, string | undefined> = {};
  for (const [option, engines] of Object.entries(PLACES)) {
    if (engines.includes(engine)) engineOptions[option] = text(option) ?? place[option as "path"];
    else if (text(option) !== undefined) {
      throw new UsageError(
        `--${prefix}${option} is for ${engines.join(", ")}, not for the engine "${engine}"`,
      );
    }
  }
  try {
    const stash = new HashStash(withoutAbsent({
      name: text("name") ?? defaults.name,
      dbname: text("dbname") ?? defaults.dbname,
      engine,
      rootDir: text("root") ?? defaults.rootDir,
      serializer: text("serializer"),
      compress: text("compress"),
      b64: values[`${prefix}b64`],
      appendMode: values[`${prefix}append`],
      engineOptions: withoutAbsent(engineOptions),
    }) as HashStashOptions);
    // What is wrong with a path or URL shows only when it is asked for.
    void stash.path;
    return stash;
  } catch (error) {
    throw usageErrorOf(error);
  }
}

/**
 * The stash itself, or an empty one in memory when nothing is at its path: to look for something
 * must not make the folders and files that opening an engine makes.
 *
 * @param deep Whether what is asked is about the stashes inside it too: these can be there though it
 * is not.
 */
export async function orEmpty(stash: HashStash, { deep = false } = {}): Promise<HashStash> {
  const { name, dbname, engine, path } = stash;
  if (!FILES.includes(engine) || NO_FILE.test(path)) return stash;
  const inside = deep ? [nestedFolder(path), nestedFolder(path, ".json")] : [];
  for (const place of [path, ...inside]) {
    try {
      await stat(place);
      return stash;
    } catch (error) {
      // Whatever else is wrong with it, the engine says better.
      if (!isNotFound(error)) return stash;
    }
  }
  return new HashStash({ engine: "memory", name, dbname, rootDir: crypto.randomUUID() });
}

/** What is thrown for arguments that are wrong, as an error about how the command was called. */
export function usageErrorOf(error: unknown): unknown {
  const isArguments = error instanceof TypeError || error instanceof RangeError;
  return isArguments ? new UsageError(error.message, { cause: error }) : error;
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

/** An option that names tags. */
export function tagOption(help: string): Record<string, Option> {
  return { tag: { type: "string", multiple: true, value: "TAG", help } };
}

/**
 * The tags that `tagOption` was given; `undefined` without any.
 *
 * @throws {UsageError} When one is empty, or there are more than 100.
 */
export function tagsOf({ values }: Invocation): string[] | undefined {
  try {
    return checkTags(values.tag);
  } catch (error) {
    throw usageErrorOf(error);
  }
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
