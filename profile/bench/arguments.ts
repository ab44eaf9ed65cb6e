import process from "node:process";
import { parseArgs } from "node:util";
import type { ProfileOptions } from "../plan.ts";

/** Options of a profile as text: for the help of who reads them. */
export const ARGUMENTS = `\
  --engine memory,sqlite       default: all
  --serializer json,v8         default: hashstash
  --compress false,zstd,lz4    default: false,zstd
  --b64 false,true             default: false,true
  --size 1000,100000           bytes of JSON; default: 1000,10000,100000
  --operation write,read       default: all
  --iterations 10              default: 5
  --redis redis://HOST:PORT    default: redis://127.0.0.1:6379
  --postgres postgres://…      default: $DATABASE_URL`;

const NAMES = [
  "engine",
  "serializer",
  "compress",
  "b64",
  "size",
  "operation",
  "iterations",
  "redis",
  "postgres",
];

/**
 * The options of a profile given on a command line as `--size 1000,2000` or in the environment as
 * `HASHSTASH_BENCH_SIZE`; what is given nowhere is absent. Their values are checked by who uses
 * them.
 *
 * @throws {TypeError} On an argument that is none of them, nor among `others`.
 */
export function profileArguments(
  args: string[],
  others: string[] = [],
): { options: ProfileOptions; rest: Record<string, string>; positionals: string[] } {
  const known = [...NAMES, ...others];
  const { values, positionals } = parseArgs({
    args,
    options: Object.fromEntries(known.map((name) => [name, { type: "string" as const }])),
    allowPositionals: true,
  });
  const given = (name: string): string[] | undefined => {
    const text = values[name] ?? process.env[`HASHSTASH_BENCH_${name.toUpperCase()}`];
    return text === undefined || text === "" ? undefined : String(text).split(",");
  };
  const urls = ["redis", "postgres"].map((name) => [name, given(name)?.join()] as const)
    .filter(([, url]) => url !== undefined)
    .map(([name, url]) => [name, { url }]);
  const options = {
    engine: given("engine"),
    serializer: given("serializer"),
    compress: given("compress")?.map(parseFlag),
    b64: given("b64")?.map(parseFlag),
    size: given("size")?.map(Number),
    operation: given("operation"),
    iterations: given("iterations")?.map(Number)[0],
    engineOptions: urls.length === 0 ? undefined : Object.fromEntries(urls),
  } as ProfileOptions;
  const rest = Object.fromEntries(
    others.flatMap((name) => values[name] === undefined ? [] : [[name, String(values[name])]]),
  );
  return { options, rest, positionals };
}

/** `true` and `false` as such, any other text as itself. */
function parseFlag(text: string): string | boolean {
  return text === "true" || text === "false" ? text === "true" : text;
}
