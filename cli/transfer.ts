/** The commands that move entries: copy, export, import. */
import { encodeBase64 } from "@std/encoding/base64";
import { fromTaggedJSON, parseJSON, toTaggedJSON } from "../codec/tagged_json.ts";
import { DecodeError, type HashStash, type StoredRecord } from "../mod.ts";
import { isErrorTerminal } from "../platform/terminal.ts";
import { checkTags } from "../store/options.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import {
  type Command,
  FAILED,
  type Invocation,
  OK,
  onlyPositionals,
  orEmpty,
  prefixed,
  secondStashOf,
  STASH_OPTIONS,
  stashOf,
} from "./command.ts";
import { decodeText, linesOf, print, printJSON, warn, withoutMark, writeTo } from "./io.ts";
import { canonicalKey } from "./json.ts";

const PROGRESS = {
  quiet: { type: "boolean", short: "q", help: "Shows no progress" },
} as const;

/** Copies between engines. */
export const copy: Command = {
  name: "copy",
  usage: "[--to-engine ENGINE]",
  summary: "Copies all entries to another stash, of any engine",
  details:
    "Values are copied as they are stored, with deadlines and tags; with --to-append every version, else the latest.\n" +
    "What is not said of the other stash is as in this one. An entry that is there already is replaced, or with\n" +
    "--resume left: a copy that was cut off goes on.",
  options: {
    ...prefixed("to", STASH_OPTIONS),
    resume: { type: "boolean", help: "Leaves out the keys that the other stash has" },
    ...PROGRESS,
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const named = stashOf(invocation);
    await using to = secondStashOf(invocation, named);
    await using from = await orEmpty(named);
    const progress = await progressOf(invocation, "copy", () => from.size());
    const wanted = async (keys: string[]) => {
      progress?.tick(keys.length);
      if (!invocation.values.resume) return keys;
      const there = await Promise.all(keys.map((key) => to.has(to.decodeKey(key))));
      return keys.filter((_, i) => !there[i]);
    };
    try {
      const copied = await to.load(from.dump({ wanted }));
      if (invocation.json) await printJSON({ copied });
      else await print(`Copied ${copied} entries to ${to.path}`);
    } finally {
      progress?.stop();
    }
    return OK;
  },
};

/** A line of an export: a record, with its value as JSON. */
interface Line extends Omit<StoredRecord, "value" | "version"> {
  /** From 1; absent when there is one version only. */
  version?: number;
  /** The value as JSON, tagged where JSON lacks its type. */
  value?: unknown;
  /** In place of `value` where only the program that stored it can read it: the bytes in base64. */
  stored?: string;
}

/** Writes all entries as lines of JSON. */
export const exportEntries: Command = {
  name: "export",
  usage: "[FILE]",
  summary: "Writes all entries as lines of JSON, with types, deadlines, versions and tags",
  details:
    "To the standard output, unless there is a FILE. import reads it, into a stash of any engine.",
  options: PROGRESS,
  async run(invocation) {
    const [file] = onlyPositionals(invocation.positionals, 1);
    await using stash = await orEmpty(stashOf(invocation));
    const progress = await progressOf(invocation, "export", () => stash.size());
    try {
      await writeTo(file, exportLines(stash, progress));
    } finally {
      progress?.stop();
    }
    return OK;
  },
};

async function* exportLines(stash: HashStash, progress?: Progress): AsyncGenerator<string> {
  for await (const record of stash.dump()) {
    progress?.tick();
    const { value, version, ...rest } = record;
    const facts = JSON.stringify({ ...rest, version: version === 1 ? undefined : version });
    // Put together by hand: parsing the value's text, only to write it again, would cost twice its
    // size.
    yield `${facts.slice(0, -1)},${await valueField(value, stash)}}\n`;
  }
}

async function valueField(value: Uint8Array, stash: HashStash): Promise<string> {
  try {
    return `"value":${await toTaggedJSON(await stash.decodeValue(value))}`;
  } catch (error) {
    // A class or codec that only the program that stored it knows. A damaged value ends here too,
    // and is kept as it is.
    if (!(error instanceof DecodeError)) throw error;
    return `"stored":"${encodeBase64(value)}"`;
  }
}

/** Reads what export wrote. */
export const importEntries: Command = {
  name: "import",
  usage: "[FILE]",
  summary: "Reads what export wrote; entries of the same keys are replaced",
  details:
    "From the standard input, unless there is a FILE. With --append every version is kept, else the latest.",
  options: PROGRESS,
  async run(invocation) {
    const [file] = onlyPositionals(invocation.positionals, 1);
    await using stash = stashOf(invocation);
    const progress = await progressOf(invocation, "import");
    const failure: { line?: string } = {};
    try {
      const imported = await stash.load(importRecords(file, stash, failure, progress));
      if (failure.line === undefined) {
        if (invocation.json) await printJSON({ imported });
        else await print(`Imported ${imported} entries`);
        return OK;
      }
      warn(
        `hashstash import: ${failure.line}; the ${imported} entries before it are imported`,
      );
      return FAILED;
    } finally {
      progress?.stop();
    }
  },
};

async function* importRecords(
  file: string | undefined,
  stash: HashStash,
  failure: { line?: string },
  progress?: Progress,
): AsyncGenerator<StoredRecord> {
  let number = 0;
  for await (const bytes of linesOf(file)) {
    number++;
    let record: StoredRecord;
    try {
      const text = decodeText(bytes);
      const line = number === 1 ? withoutMark(text) : text;
      if (line.trim() === "") continue;
      record = await toRecord(parseJSON(line), stash);
    } catch (error) {
      // What was read so far is stored; the rest is not guessed at.
      failure.line = `line ${number}: ${error instanceof Error ? error.message : error}`;
      return;
    }
    progress?.tick();
    yield record;
  }
}

/** The fields of a line. */
const FIELDS = ["key", "version", "timestamp", "expiresAt", "stale", "tags", "value", "stored"];

async function toRecord(line: unknown, stash: HashStash): Promise<StoredRecord> {
  if (!isObject(line)) throw new TypeError("it is not a JSON object");
  for (const name of Object.keys(line)) {
    if (FIELDS.includes(name)) continue;
    throw new TypeError(`unknown field "${name}", expected some of: ${FIELDS.join(", ")}`);
  }
  if (typeof line.key !== "string") throw new TypeError("it has no key that is a string");
  const version = numberIn(line, "version") ?? 1;
  if (!Number.isInteger(version) || version < 1) throw new TypeError("its version is not a count");
  const timestamp = numberIn(line, "timestamp");
  if (timestamp === Infinity) throw new TypeError("its timestamp is not finite");
  const expiresAt = numberIn(line, "expiresAt") ?? Infinity;
  const stale = numberIn(line, "stale");
  if (stale === Infinity) throw new TypeError("its stale time is not finite");
  return {
    key: await canonicalKey(line.key),
    version,
    timestamp: timestamp && Math.floor(timestamp),
    // What no clock reaches is no deadline.
    expiresAt: expiresAt < Number.MAX_SAFE_INTEGER ? Math.ceil(expiresAt) : undefined,
    stale,
    tags: checkTags(line.tags ?? undefined),
    value: await valueIn(line, stash),
  };
}

function isObject(line: unknown): line is { [_ in keyof Line]: unknown } {
  return typeof line === "object" && line !== null && !Array.isArray(line);
}

/** A field that is a number; `null`, as Python writes `None`, is the same as none. */
function numberIn(line: { [_ in keyof Line]: unknown }, name: keyof Line): number | undefined {
  const field = line[name];
  if (field === undefined || field === null) return undefined;
  const number = typeof field === "bigint" ? Number(field) : field;
  if (typeof number !== "number" || !(number >= 0)) {
    throw new TypeError(`its ${name} is not a number from 0 on`);
  }
  return number;
}

async function valueIn(
  { value, stored }: { [_ in keyof Line]: unknown },
  stash: HashStash,
): Promise<Uint8Array> {
  if (value === undefined && stored === undefined) throw new TypeError("it has no value");
  if (value !== undefined && stored !== undefined) {
    throw new TypeError("it has a value twice: value and stored");
  }
  if (typeof stored === "string") return Uint8Array.fromBase64(stored);
  if (stored !== undefined) throw new TypeError("its stored bytes are not base64 text");
  return await stash.encodeValue(await fromTaggedJSON(value));
}

/** @param total Counts the steps: called only when progress is shown, for it reads a whole store. */
async function progressOf(
  { values }: Invocation,
  label: string,
  total?: () => Promise<number>,
): Promise<Progress | undefined> {
  if (values.quiet || !isErrorTerminal()) return undefined;
  return await createProgress({ label, total: await total?.() });
}
