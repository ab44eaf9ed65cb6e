import { type Case, claim, entry, keysOf, pairsOf, same, text } from "./support.ts";

const LONG = "long key ".repeat(1_138);

/** Texts that a file system, a query, a pattern or a protocol might take for something else. */
const KEYS = [
  ...["", " ", "  ", "x", "key", "ke", "keyed", "key ", " key", "key.", "key\n", "key/", "key:"],
  ...["Key", "KEY", "kEY", "ß", "ss", "SS", "ı", "i", "I", "İ"],
  ...["a/b", "a\\b", "a//b", "/a", "a/", "../x", "../../x", "..", ".", ".key", "./x", "~", "~/x"],
  ...["CON", "con", "nul.txt", "aux", "COM1", "C:", "C:\\x", "a:b", "a::b", ":", "a:", ":b"],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "$hashstash", "length", "0", "00"],
  ...[
    "1",
    "1.0",
    "-0",
    "1e3",
    "true",
    "null",
    "undefined",
    "NaN",
    '"quoted"',
    "'",
    "`",
    "{}",
    "[1]",
  ],
  ...[
    "*",
    "?",
    "[a-z]",
    "a*b",
    "a?b",
    "[",
    "]",
    "\\",
    "\\*",
    "{a,b}",
    "^a",
    "a|b",
    "%",
    "_",
    "a%b",
  ],
  ...["%41", "%2F", "&amp;", "a+b", "a b", "#", "a=b", ";", "--", "$(x)", "a,b"],
  ...[
    "\t",
    "\n",
    "\r\n",
    "a\nb",
    "a\rb",
    "\u0001",
    "\u0001[1]",
    "\u0001{}",
    "\u001f",
    "\u007f",
    "\u0080",
  ],
  ...[
    "é",
    "e\u0301",
    "日本語",
    "😀",
    "😀😀",
    "👩‍👧",
    "\u{10ffff}",
    "\uffff",
    "\ue000",
    "\ufeff",
    "\u2028",
  ],
  ...["k".repeat(255), "k".repeat(256), "k".repeat(600), "k".repeat(1_978), "k".repeat(2_048)],
  ...["é".repeat(600), "😀".repeat(600), LONG, `${LONG}1`, `${LONG}2`, LONG.slice(0, -1)],
];

const PREFIXES = [
  ...["", "k", "key", "key ", "K", "a", "a/", "a:", "..", ".", "/", ":", "*", "?", "[", "\\", "%"],
  ...[
    "_",
    "a%",
    "😀",
    "\u0001",
    "\n",
    " ",
    "e",
    "é",
    "k".repeat(256),
    "k".repeat(2_100),
    "no such",
  ],
  ...["\u{10ffff}", "\uffff", LONG.slice(0, 5_000), LONG, `${LONG}1`, "__proto__", "é".repeat(300)],
];

/** Every text is a key, and no two are one. */
export const KEY_CASES: Case[] = [
  {
    name: "takes any text as a key, and no two for one",
    async run(scope) {
      const engine = await scope.open();
      for (const [i, key] of KEYS.entries()) await engine.set(key, entry(`value ${i}`));
      for (const [i, key] of KEYS.entries()) {
        const what = JSON.stringify(key.slice(0, 40));
        same(text(await engine.get(key)), `value ${i}`, `get of ${what}`);
        same(await engine.has(key), true, `has of ${what}`);
      }
      same(await engine.size(), KEYS.length, "size");
      same(await keysOf(engine), KEYS.toSorted(), "keys");
      same(await pairsOf(engine), KEYS.map((key, i) => `${key}=value ${i}`).sort(), "entries");
      const found = await engine.getMany(KEYS);
      same(found.map(text), KEYS.map((_, i) => `value ${i}`), "getMany");
    },
  },
  {
    name: "deletes one key and not the ones that look like it",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany(KEYS.map((key) => [key, entry("value")]));
      const rest = new Set(KEYS);
      for (const [i, key] of KEYS.entries()) {
        if (i % 3 > 0) continue;
        same(await engine.delete(key), true, `delete of ${JSON.stringify(key.slice(0, 40))}`);
        rest.delete(key);
      }
      same(await keysOf(engine), [...rest].sort(), "keys left");
      const odd = [...rest].filter((_, i) => i % 2 > 0);
      same(await engine.deleteMany(odd), odd.length, "deleteMany");
      for (const key of odd) rest.delete(key);
      same(await keysOf(engine), [...rest].sort(), "keys left after deleteMany");
    },
  },
  {
    name: "changes any key by compareAndSet",
    async run(scope) {
      const engine = await scope.open();
      for (const key of KEYS) {
        const what = JSON.stringify(key.slice(0, 40));
        const set = await engine.compareAndSet(key, undefined, entry("one"));
        claim(set, `compareAndSet of the absent ${what} did nothing`);
        const current = await engine.get(key);
        const changed = await engine.compareAndSet(key, current, entry(`two ${key}`));
        claim(changed, `compareAndSet of ${what} did nothing`);
      }
      for (const key of KEYS) same(text(await engine.get(key)), `two ${key}`, "get");
    },
  },
  {
    name: "lists the keys that begin with a text",
    async run(scope) {
      const engine = await scope.open();
      await engine.setMany(KEYS.map((key, i) => [key, entry(`${i}`)]));
      for (const prefix of PREFIXES) {
        const what = `prefix ${JSON.stringify(prefix.slice(0, 40))}`;
        const matching = KEYS.filter((key) => key.startsWith(prefix));
        same(await keysOf(engine, prefix), matching.sort(), `keys with ${what}`);
        const pairs = matching.map((key) => `${key}=${KEYS.indexOf(key)}`);
        same(await pairsOf(engine, prefix), pairs.sort(), `entries with ${what}`);
      }
    },
  },
];
