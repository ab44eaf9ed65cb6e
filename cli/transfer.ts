/** The commands that move entries: copy, export, import. */
import { DecodeError, deserialize, type HashStash, type StoredRecord } from "../mod.ts";
import { openFile } from "../platform/files.ts";
import { isErrorTerminal, standardInput, standardOutput } from "../platform/terminal.ts";
import { createProgress, type Progress } from "../store/progress.ts";
import {
  type Command,
  FAILED,
  type Invocation,
  OK,
  onlyPositionals,
  prefixed,
  STASH_OPTIONS,
  stashOf,
  UsageError,
} from "./command.ts";
import { fromTaggedJSON, linesOf, print, printJSON, toTaggedJSON } from "./io.ts";

const PROGRESS = {
  quiet: { type: "boolean", short: "q", help: "Shows no progress" },
} as const;

/** Copies between engines. */
export const copy: Command = {
  name: "copy",
  usage: "--to-engine ENGINE",
  summary: "Copies all entries to another stash, of any engine",
  details:
    "Values are copied as they are stored, with their deadlines; with --to-append every version, else the latest.\n" +
    "What is not said of the other stash is as in this one. An entry that is there already is replaced, or with\n" +
    "--resume left: a copy that was cut off goes on.",
  options: {
    ...prefixed("to", STASH_OPTIONS),
    resume: { type: "boolean", help: "Leaves out the keys that the other stash has" },
    ...PROGRESS,
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    await using from = stashOf(invocation);
    await using to = targetOf(invocation, from);
    const progress = await progressOf(invocation, "copy", await from.size());
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

/** The stash to copy to: like the first, except for what the `--to-` options say. */
function targetOf(invocation: Invocation, from: HashStash): HashStash {
  const { values } = invocation;
  const { rootDir, engine, ...like } = from.toJSON();
  const to = stashOf(invocation, "to-", {
    name: String(values["to-name"] ?? like.name),
    dbname: String(values["to-dbname"] ?? like.dbname),
    rootDir: (values["to-root"] as string | undefined) ?? rootDir,
    engine: (values["to-engine"] ?? engine) as "memory",
  });
  if (
    to.engine === from.engine && to.path === from.path && to.name === from.name &&
    to.dbname === from.dbname
  ) {
    throw new UsageError(
      "The other stash is this one: pass --to-engine, --to-name, --to-root or --to-dbname",
    );
  }
  return to;
}

/** A line of an export. */
interface Line {
  /** The key's canonical text. */
  key: string;
  /** From 1; absent when there is one version only. */
  version?: number;
  /** When it was set, ms since the epoch. */
  timestamp?: number;
  /** Its deadline, ms since the epoch. */
  expiresAt?: number;
  /** The value as JSON, tagged where JSON lacks its type. */
  value?: unknown;
  /** In place of `value` where only the program that stored it can read it: the bytes in base64. */
  stored?: string;
}

/** Writes all entries as lines of JSON. */
export const exportEntries: Command = {
  name: "export",
  usage: "[FILE]",
  summary: "Writes all entries as lines of JSON, with types, deadlines and versions",
  details:
    "To the standard output, unless there is a FILE. import reads it, into a stash of any engine.",
  options: PROGRESS,
  async run(invocation) {
    const [file] = onlyPositionals(invocation.positionals, 1);
    await using stash = stashOf(invocation);
    const progress = await progressOf(invocation, "export", await stash.size());
    const lines = ReadableStream.from(exportLines(stash, progress)).pipeThrough(
      new TextEncoderStream(),
    );
    const output = file === undefined
      ? standardOutput()
      : (await openFile(file, { write: true, create: true, truncate: true })).writable;
    try {
      await lines.pipeTo(output, { preventClose: file === undefined });
    } finally {
      progress?.stop();
    }
    return OK;
  },
};

async function* exportLines(stash: HashStash, progress?: Progress): AsyncGenerator<string> {
  for await (const record of stash.dump()) {
    progress?.tick();
    const { key, version, timestamp, expiresAt } = record;
    const facts = JSON.stringify({
      key,
      version: version === 1 ? undefined : version,
      timestamp,
      expiresAt,
    });
    // Put together by hand: parsing the value's text, only to write it again, would cost twice its
    // size.
    yield `${facts.slice(0, -1)},${await valueField(record)}}\n`;
  }
}

async function valueField({ value }: StoredRecord): Promise<string> {
  try {
    return `"value":${await toTaggedJSON(await deserialize(value))}`;
  } catch (error) {
    // A class or codec that only the program that stored it knows. A damaged value ends here too,
    // and is kept as it is.
    if (!(error instanceof DecodeError)) throw error;
    return `"stored":"${value.toBase64()}"`;
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
    const input = file === undefined ? standardInput() : (await openFile(file)).readable;
    await using stash = stashOf(invocation);
    const progress = await progressOf(invocation, "import");
    const failure: { line?: string } = {};
    try {
      const imported = await stash.load(importRecords(input, stash, failure, progress));
      if (failure.line === undefined) {
        if (invocation.json) await printJSON({ imported });
        else await print(`Imported ${imported} entries`);
        return OK;
      }
      console.error(
        `hashstash import: ${failure.line}; the ${imported} entries before it are imported`,
      );
      return FAILED;
    } finally {
      progress?.stop();
    }
  },
};

async function* importRecords(
  input: ReadableStream<Uint8Array>,
  stash: HashStash,
  failure: { line?: string },
  progress?: Progress,
): AsyncGenerator<StoredRecord> {
  let number = 0;
  for await (const text of linesOf(input)) {
    number++;
    if (text.trim() === "") continue;
    let record: StoredRecord;
    try {
      record = await toRecord(text, stash);
    } catch (error) {
      // What was read so far is stored; the rest is not guessed at.
      failure.line = `line ${number}: ${error instanceof Error ? error.message : error}`;
      return;
    }
    progress?.tick();
    yield record;
  }
}

async function toRecord(text: string, stash: HashStash): Promise<StoredRecord> {
  const line: Line = JSON.parse(text);
  const { key, version = 1, timestamp, expiresAt, stored } = line;
  if (typeof key !== "string") throw new TypeError("it has no key");
  stash.decodeKey(key);
  if (stored !== undefined) {
    return { key, version, timestamp, expiresAt, value: Uint8Array.fromBase64(stored) };
  }
  if (!("value" in line)) throw new TypeError("it has no value");
  const value = await stash.encodeValue(await fromTaggedJSON(JSON.stringify(line.value)));
  return { key, version, timestamp, expiresAt, value };
}

async function progressOf(
  { values }: Invocation,
  label: string,
  total?: number,
): Promise<Progress | undefined> {
  return values.quiet || !isErrorTerminal() ? undefined : await createProgress({ label, total });
}
