/** The commands that move entries: copy, export, import. */
import { decodeBase64, encodeBase64 } from "../platform/base64.ts";
import { fromTaggedJSON, parseJSON, toTaggedJSON } from "../codec/tagged_json.ts";
import { DecodeError, type HashStash, type StoredRecord } from "../mod.ts";
import { Turns } from "../platform/timers.ts";
import { checkTags } from "../store/options.ts";
import { keyOf } from "../store/selection.ts";
import { showKey } from "../store/show.ts";
import {
  type Command,
  FAILED,
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
import { Interrupted, type LongRun, longRun, QUIET } from "./long_run.ts";

/** Copies between engines. */
export const copy: Command = {
  name: "copy",
  usage: "[--to-engine ENGINE]",
  summary: "Copies all entries to another stash, of any engine",
  details:
    "Values are copied as they are stored, with deadlines and tags; with --to-append every version, else the latest.\n" +
    "What is not said of the other stash is as in this one. An entry that is there already is replaced, or with\n" +
    "--resume left: a copy that was cut off goes on. Ctrl-C ends it between two entries.",
  options: {
    ...prefixed("to", STASH_OPTIONS),
    resume: { type: "boolean", help: "Leaves out the keys that the other stash has" },
    ...QUIET,
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const named = stashOf(invocation);
    await using to = secondStashOf(invocation, named);
    await using from = await orEmpty(named);
    const copyAll = async (run: LongRun) => {
      const wanted = async (keys: string[]) => {
        if (run.stops()) throw new Stopped();
        if (!invocation.values.resume) return keys;
        const there = await Promise.all(keys.map((key) => to.has(to.decodeKey(key))));
        const missing = keys.filter((_, i) => !there[i]);
        run.step(keys.length - missing.length);
        return missing;
      };
      const copied = await to.load(wholeKeys(from.dump({ wanted }), run));
      if (run.hasStopped) {
        const again = invocation.values.resume
          ? ""
          : "with --resume, which leaves out what is there";
        throw new Interrupted(
          `${run} are in ${to.path}: to go on where it ended, run it again ${again}`.trimEnd(),
        );
      }
      if (invocation.json) await printJSON({ copied });
      else await print(`Copied ${copied} entries to ${to.path}`);
      return OK;
    };
    return await longRun(invocation, "copy", copyAll, () => from.size());
  },
};

/** Ends a listing of which no more is wanted. */
class Stopped extends Error {
  override readonly name = "Stopped";
}

/** The records, counted by key; once the signal is aborted, only the rest of the key that is begun. */
async function* wholeKeys(
  records: AsyncIterable<StoredRecord>,
  run: LongRun,
): AsyncGenerator<StoredRecord> {
  // Between engines that answer at once no signal would be heard.
  const turns = new Turns();
  let key: string | undefined;
  try {
    for await (const record of records) {
      if (turns.due()) await turns.next();
      if (record.key !== key) {
        if (run.stops()) return;
        run.step();
        key = record.key;
      }
      yield record;
    }
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
}

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
    "To the standard output, unless there is a FILE. import reads it, into a stash of any engine.\n" +
    "The FILE is there, or replaced, once all of it is written; Ctrl-C leaves none that is half written.",
  options: QUIET,
  async run(invocation) {
    const [file] = onlyPositionals(invocation.positionals, 1);
    await using stash = await orEmpty(stashOf(invocation));
    const exportAll = async (run: LongRun) => {
      await writeTo(file, exportLines(stash, file, run));
      return OK;
    };
    return await longRun(invocation, "export", exportAll, () => stash.size());
  },
};

async function* exportLines(
  stash: HashStash,
  file: string | undefined,
  run: LongRun,
): AsyncGenerator<string> {
  for await (const record of wholeKeys(stash.dump(), run)) {
    const { value, version, ...rest } = record;
    const facts = JSON.stringify({ ...rest, version: version === 1 ? undefined : version });
    // Put together by hand: parsing the value's text, only to write it again, would cost twice its
    // size.
    yield `${facts.slice(0, -1)},${await valueField(value, stash)}}\n`;
  }
  if (!run.hasStopped) return;
  const left = file === undefined ? "the output ends there" : `${file} is left as it was`;
  throw new Interrupted(`after ${run} ${left}: run it again to export all from the beginning`);
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
    "From the standard input, unless there is a FILE. With --append every version is kept, else the latest.\n" +
    "Ctrl-C keeps what has been read.",
  options: QUIET,
  async run(invocation) {
    const [file] = onlyPositionals(invocation.positionals, 1);
    await using stash = stashOf(invocation);
    const importAll = async (run: LongRun) => {
      const failure: Failure = {};
      const records = importRecords(file, stash, failure, run);
      const isAppending = invocation.values.append === true;
      const imported = await stash.load(
        isAppending ? wholeHistories(records, failure, run) : records,
      );
      if (failure.line !== undefined) {
        const { line, begun } = failure;
        const done = begun === undefined
          ? `the ${imported} entries before it are imported`
          : `${imported} entries before it are imported, and those of the key ` +
            `${shown(begun)} are left out: it may have more versions`;
        warn(`hashstash import: ${line}; ${done}`);
        return FAILED;
      }
      if (run.hasStopped) {
        throw new Interrupted(
          `${imported} entries are imported: run it again with the whole input, which replaces them`,
        );
      }
      if (invocation.json) await printJSON({ imported });
      else await print(`Imported ${imported} entries`);
      return OK;
    };
    return await longRun(invocation, "import", importAll);
  },
};

/** A key by its canonical text, for a person: the text itself where only a class that is unknown here reads it. */
function shown(text: string): string {
  const decoded = keyOf(text);
  return showKey(decoded === undefined ? text : decoded.key);
}

/** What ended an import. */
interface Failure {
  /** The number of the line, and what is wrong with it. */
  line?: string;
  /** The canonical text of the key whose versions were read before it, and left out. */
  begun?: string;
}

/**
 * The records, those of a key once all have come: a history that is cut off, by a signal or by a line
 * that can't be read, would take the place of a whole one.
 */
async function* wholeHistories(
  records: AsyncIterable<StoredRecord>,
  failure: Failure,
  run: LongRun,
): AsyncGenerator<StoredRecord> {
  let history: StoredRecord[] = [];
  for await (const record of records) {
    if (history.length > 0 && history[0].key !== record.key) {
      yield* history;
      history = [];
    }
    history.push(record);
  }
  if (failure.line !== undefined) failure.begun = history.at(0)?.key;
  else if (!run.hasStopped) yield* history;
}

async function* importRecords(
  file: string | undefined,
  stash: HashStash,
  failure: Failure,
  run: LongRun,
): AsyncGenerator<StoredRecord> {
  let number = 0;
  for await (const bytes of linesUntilStopped(file, run)) {
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
    run.step();
    yield record;
  }
}

/** The lines until the run stops, also where it waits for the next one. */
async function* linesUntilStopped(
  file: string | undefined,
  run: LongRun,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const line of linesOf(file, run.signal)) {
      if (run.stops()) return;
      yield line;
    }
  } catch (error) {
    if (!run.stops()) throw error;
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
  if (typeof stored === "string") return decodeBase64(stored);
  if (stored !== undefined) throw new TypeError("its stored bytes are not base64 text");
  return await stash.encodeValue(await fromTaggedJSON(value));
}
