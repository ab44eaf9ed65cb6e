/** The command that measures engines and codecs. */
import { extname } from "@std/path";
import { ENGINE_NAMES } from "../engines/registry.ts";
import { isErrorTerminal } from "../platform/terminal.ts";
import type { ProfileOptions } from "../profile/mod.ts";
import {
  type Command,
  FAILED,
  type Invocation,
  numberOption,
  OK,
  onlyPositionals,
  type Option,
  setting,
  stashOf,
  urlFor,
  UsageError,
  usageErrorOf,
} from "./command.ts";
import { print, printJSON, writeTo } from "./io.ts";

/** How a result can be written: what the name of the file ends in says it. */
const FORMATS = [".csv", ".html", ".json", ".svg"];

const list = (help: string): Option => ({ type: "string", value: "LIST", help });

/** Measures engines and codecs. */
export const profile: Command = {
  name: "profile",
  usage: "",
  summary: "Measures engines and codecs, and says which suit",
  details:
    "In temporary stashes that vanish. Lists are separated by commas: --engine pairtree,sqlite --compress false,zstd.\n" +
    "The file's ending says what is written: .csv, .html, .json or .svg.",
  options: {
    engine: { ...list("Which engines; by default all"), short: "e" },
    serializer: list("Which serializers; by default hashstash"),
    compress: list("Which compressors; false is without. By default false,zstd"),
    b64: list("Whether as base64; by default false,true"),
    size: list("Of how many bytes of JSON; by default 1000,10000,100000"),
    operation: list("Which operations (write, read, …); by default all"),
    iterations: { type: "string", short: "i", value: "N", help: "How often each is timed; 5" },
    redis: { type: "string", value: "URL", help: "The redis server; --url, $HASHSTASH_URL" },
    postgres: {
      type: "string",
      value: "URL",
      help: "The postgres server; --url, $HASHSTASH_URL, $DATABASE_URL",
    },
    output: { type: "string", short: "o", value: "FILE", help: "Also writes the result to a file" },
    quiet: { type: "boolean", short: "q", help: "Shows no progress" },
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const { values } = invocation;
    const output = values.output as string | undefined;
    const format = output && extname(output);
    if (format !== undefined && !FORMATS.includes(format)) {
      throw new UsageError(`Expected --output to end in ${FORMATS.join(", ")}`);
    }
    const options = profileOptions(invocation);
    // It only says below which root the temporary stashes are.
    const { root, name, dbname } = values;
    await using stash = stashOf({ ...invocation, values: { root, name, dbname } });
    const result = await stash.profile(options).catch((error) => {
      throw usageErrorOf(error);
    });
    if (output !== undefined) {
      const text = format === ".csv"
        ? result.toCSV()
        : format === ".html"
        ? await result.toHTML()
        : format === ".svg"
        ? await result.toSVG()
        : JSON.stringify(result);
      await writeTo(output, [text]);
    }
    if (invocation.json) await printJSON(result);
    else await print(String(result));
    return result.rows.length === 0 ? FAILED : OK;
  },
};

/** The options of `stash.profile`, as `deno task profile` reads them from its command line too. */
function profileOptions(invocation: Invocation): ProfileOptions {
  const { values } = invocation;
  const listOf = (name: string) => {
    const text = values[name];
    return text === undefined ? undefined : String(text).split(",");
  };
  const engine = listOf("engine") ?? ENGINE_NAMES;
  for (const name of engine) {
    if ((ENGINE_NAMES as string[]).includes(name)) continue;
    throw new UsageError(`Unknown engine "${name}", expected some of: ${ENGINE_NAMES.join(", ")}`);
  }
  const urlOf = (engine: "redis" | "postgres") =>
    values[engine] ?? urlFor(engine, values.url as string | undefined) ??
      urlFor(engine, setting("HASHSTASH_URL"));
  const [redis, postgres] = [urlOf("redis"), urlOf("postgres")];
  return {
    engine: engine as ProfileOptions["engine"],
    serializer: listOf("serializer") as ProfileOptions["serializer"],
    compress: listOf("compress")?.map((name) =>
      name === "true" || name === "false" ? name === "true" : name
    ) as ProfileOptions["compress"],
    b64: listOf("b64")?.map(flagOf),
    size: listOf("size")?.map(Number),
    operation: listOf("operation") as ProfileOptions["operation"],
    iterations: numberOption(invocation, "iterations", 1),
    engineOptions: {
      ...(redis === undefined ? {} : { redis: { url: redis } }),
      ...(postgres === undefined ? {} : { postgres: { url: postgres } }),
      // Only shelve has places that are no files: temporary stashes have files of their own.
      ...(values.path === undefined ? {} : { shelve: { path: values.path } }),
    },
    progress: !values.quiet && isErrorTerminal(),
  };
}

function flagOf(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new UsageError(`Expected --b64 to be of true and false, got "${text}"`);
}
