/** The commands on single entries: ls, get, set, rm. */
import {
  type Command,
  FAILED,
  numberOption,
  OK,
  onlyPositionals,
  orEmpty,
  stashOf,
  UsageError,
  YES,
} from "./command.ts";
import {
  KEY_OPTIONS,
  keyOf,
  print,
  printJSON,
  show,
  showKey,
  VALUE_OPTIONS,
  valueOf,
  warn,
} from "./io.ts";
import { toTaggedJSON } from "./json.ts";

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
    limit: { type: "string", short: "l", value: "N", help: "At most N keys" },
    long: { type: "boolean", help: "Also when each entry ends" },
  },
  async run(invocation) {
    const limit = numberOption(invocation, "limit") ?? Infinity;
    const [prefix] = onlyPositionals(invocation.positionals, 1);
    await using stash = await orEmpty(stashOf(invocation));
    let listed = 0;
    for await (const key of stash.keys()) {
      if (listed >= limit) break;
      if (prefix !== undefined && !(typeof key === "string" && key.startsWith(prefix))) continue;
      listed++;
      const expiresAt = invocation.values.long ? await stash.expiresAt(key) : undefined;
      const ends = expiresAt === undefined || expiresAt === Infinity ? undefined : expiresAt;
      if (invocation.json) {
        const text = stash.encodeKey(key);
        await printJSON(invocation.values.long ? { key: text, expiresAt: ends } : text);
      } else {
        const end = ends === undefined ? "forever" : new Date(ends).toISOString();
        await print(invocation.values.long ? `${end.padEnd(24)}  ${showKey(key)}` : showKey(key));
      }
    }
    return OK;
  },
};

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
  },
  async run(invocation) {
    const [text, argument] = onlyPositionals(invocation.positionals, 2);
    const key = await keyOf(text, invocation);
    const ttl = numberOption(invocation, "ttl");
    await using stash = stashOf(invocation);
    const value = await valueOf(argument, invocation);
    await stash.set(key, value, ttl === undefined ? undefined : { ttl });
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
