/** The command that measures engines and codecs. */
import { extname } from "@std/path";
import { writeFile } from "../platform/files.ts";
import { isErrorTerminal } from "../platform/terminal.ts";
import {
  type Command,
  FAILED,
  numberOption,
  OK,
  onlyPositionals,
  stashOf,
  UsageError,
} from "./command.ts";
import { print, printJSON } from "./io.ts";

/** How a result can be written: what the name of the file ends in says it. */
const FORMATS = [".csv", ".html", ".json", ".svg"];

/** Measures engines and codecs. */
export const profile: Command = {
  name: "profile",
  usage: "",
  summary: "Measures engines and codecs, and says which suit",
  details:
    "In temporary stashes that vanish. Lists are separated by commas: --engines pairtree,sqlite --compressors none,zstd.\n" +
    "The file's ending says what is written: .csv, .html, .json or .svg.",
  options: {
    engines: { type: "string", value: "LIST", help: "Which engines; by default the stash's own" },
    serializers: { type: "string", value: "LIST", help: "Which serializers" },
    compressors: { type: "string", value: "LIST", help: "Which compressors; none is without" },
    base64: { type: "string", value: "LIST", help: "true, false or both" },
    sizes: { type: "string", value: "LIST", help: "Of how many bytes of JSON" },
    iterations: { type: "string", short: "i", value: "N", help: "How often each case is measured" },
    output: { type: "string", short: "o", value: "FILE", help: "Also writes the result to a file" },
    quiet: { type: "boolean", short: "q", help: "Shows no progress" },
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const { values } = invocation;
    const list = (name: string) => (values[name] as string | undefined)?.split(",");
    const output = values.output as string | undefined;
    const format = output && extname(output);
    if (format !== undefined && !FORMATS.includes(format)) {
      throw new UsageError(`Expected --output to end in ${FORMATS.join(", ")}`);
    }
    await using stash = stashOf(invocation);
    const result = await stash.profile({
      engine: list("engines") as ["memory"] | undefined,
      serializer: list("serializers") as ["json"] | undefined,
      compress: list("compressors")?.map((name) => name === "none" ? false : name) as [false],
      b64: list("base64")?.map((text) => text === "true"),
      size: list("sizes")?.map(Number),
      iterations: numberOption(invocation, "iterations", 1),
      progress: !values.quiet && isErrorTerminal(),
    });
    if (output !== undefined) {
      const text = format === ".csv"
        ? result.toCSV()
        : format === ".html"
        ? await result.toHTML()
        : format === ".svg"
        ? await result.toSVG()
        : JSON.stringify(result);
      await writeFile(output, text);
    }
    if (invocation.json) await printJSON(result);
    else await print(String(result));
    return result.rows.length === 0 ? FAILED : OK;
  },
};
