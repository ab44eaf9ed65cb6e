/** The commands on single entries: ls, get, set, rm. */
import { toTaggedJSON } from "../codec/tagged_json.ts";
import { DecodeError, type HashStash } from "../mod.ts";
import { showKey } from "../store/show.ts";
import {
  type Command,
  FAILED,
  numberOption,
  OK,
  onlyPositionals,
  orEmpty,
  stashOf,
  tagOption,
  tagsOf,
  UsageError,
  YES,
} from "./command.ts";
import { KEY_OPTIONS, keyOf, print, printJSON, show, VALUE_OPTIONS, valueOf, warn } from "./io.ts";

const ABSENT = Symbol("absent");

/** Lists keys. */
export const ls: Command = {
  name: "ls",
  usage: "[PREFIX]",
  summary: "Lists the keys",
  details:
    "With a PREFIX, the text keys that begin with it. With --json, a key's canonical text a line:\n" +
    "what --json-key takes, and what export writes.",
  options: {
    prefix: { type: "string", value: "PREFIX", help: "The same as the argument" },
    ...tagOption("Only entries with the tag"),
    limit: { type: "string", short: "l", value: "N", help: "At most N keys" },
    long: { type: "boolean", help: "Also when each entry ends, and its tags" },
  },
  async run(invocation) {
    const limit = numberOption(invocation, "limit") ?? Infinity;
    const [argument] = onlyPositionals(invocation.positionals, 1);
    const option = invocation.values.prefix as string | undefined;
    if (argument !== undefined && option !== undefined) {
      throw new UsageError("Expected PREFIX or --prefix, got both");
    }
    const [tag, another] = tagsOf(invocation) ?? [];
    if (another !== undefined) throw new UsageError("Expected one --tag, got several");
    await using stash = await orEmpty(stashOf(invocation));
    let listed = 0;
    for await (const key of stash.keys({ prefix: argument ?? option, tag })) {
      if (listed >= limit) break;
      listed++;
      await (invocation.values.long ? listLong : list)(stash, key, invocation.json);
    }
    return OK;
  },
};

async function list(stash: HashStash, key: unknown, json: boolean): Promise<void> {
  if (json) await printJSON(stash.encodeKey(key));
  else await print(showKey(key));
}

async function listLong(stash: HashStash, key: unknown, json: boolean): Promise<void> {
  const { expiresAt, tags } = await factsOf(stash, key);
  if (json) {
    const shown = tags.length === 0 ? undefined : tags;
    await printJSON({ key: stash.encodeKey(key), expiresAt, tags: shown });
  } else {
    const end = expiresAt === undefined ? "forever" : new Date(expiresAt).toISOString();
    const shown = tags.length === 0 ? "" : `  [${tags.map(showKey).join(", ")}]`;
    await print(`${end.padEnd(24)}  ${showKey(key)}${shown}`);
  }
}

async function factsOf(
  stash: HashStash,
  key: unknown,
): Promise<{ expiresAt?: number; tags: string[] }> {
  try {
    return await stash.entry(key) ?? { tags: [] };
  } catch (error) {
    // A value that can't be read is listed too.
    if (!(error instanceof DecodeError)) throw error;
    const expiresAt = await stash.expiresAt(key);
    return { expiresAt: expiresAt === Infinity ? undefined : expiresAt, tags: [] };
  }
}

/** Prints a value. */
export const get: Command = {
  name: "get",
  usage: "KEY",
  summary: "Prints a value; status 1 when it is absent",
  details:
    "Text and bytes are printed as they are, plain data as JSON. With --json every type is kept, tagged where\n" +
    "JSON lacks it.",
  options: {
    ...KEY_OPTIONS,
    all: { type: "boolean", short: "a", help: "Every version, oldest first (append mode)" },
  },
  async run(invocation) {
    const [text] = onlyPositionals(invocation.positionals, 1);
    const key = await keyOf(text, invocation);
    await using stash = await orEmpty(stashOf(invocation));
    const values = invocation.values.all
      ? await stash.getAll(key)
      : [await stash.get(key, ABSENT)].filter((value) => value !== ABSENT);
    if (values.length === 0) {
      warn(`hashstash get: no key ${showKey(key)} in stash "${stash.name}"`);
      return FAILED;
    }
    for (const value of values) {
      if (invocation.json) await print(await toTaggedJSON(value));
      else await show(value);
    }
    return OK;
  },
};

/** Stores a value. */
export const set: Command = {
  name: "set",
  usage: "KEY [VALUE | - | --file FILE]",
  summary: "Stores a value: JSON, or with --text or --binary as it is",
  details: "The value is an argument, a file, or (with - or without any) the standard input.",
  options: {
    ...KEY_OPTIONS,
    ...VALUE_OPTIONS,
    ttl: { type: "string", value: "MS", help: "How long it lives, ms" },
    ...tagOption("A tag of the entry, for invalidate; may be given several times"),
  },
  async run(invocation) {
    const [text, argument] = onlyPositionals(invocation.positionals, 2);
    const key = await keyOf(text, invocation);
    const ttl = numberOption(invocation, "ttl");
    const tags = tagsOf(invocation);
    await using stash = stashOf(invocation);
    const value = await valueOf(argument, invocation);
    await stash.set(key, value, { ttl, tags });
    if (invocation.json) await printJSON({ key: stash.encodeKey(key) });
    return OK;
  },
};

/** Removes keys. */
export const rm: Command = {
  name: "rm",
  usage: "KEY...",
  summary: "Removes keys; status 1 when none of them was there",
  details:
    "It does not ask: what is named is meant. --yes is taken, for scripts that always give it.",
  options: { ...KEY_OPTIONS, ...YES },
  async run(invocation) {
    if (invocation.positionals.length === 0) throw new UsageError("Expected a KEY");
    const keys = await Promise.all(
      invocation.positionals.map((text) => keyOf(text, invocation)),
    );
    await using stash = await orEmpty(stashOf(invocation));
    const removed = await stash.deleteMany(keys);
    if (invocation.json) await printJSON({ removed });
    else if (removed < keys.length) {
      warn(`hashstash rm: ${keys.length - removed} not found`);
    }
    return removed === 0 ? FAILED : OK;
  },
};
