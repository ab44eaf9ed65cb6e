/**
 * Splits JSON objects into their members without parsing what is in them: each value keeps the text
 * that it has in the file. That is faster than `JSON.parse`, can pause between two members, and
 * rounds no integers.
 */

/** The length of the longest text that there is. */
export const LONGEST = 2 ** 29 - 24;

/** A text is not the JSON that it should be. */
export class JsonDamage extends SyntaxError {
  /** Where in the text. */
  readonly position: number;

  constructor(message: string, position: number) {
    super(`${message} at character ${position}`);
    this.position = position;
  }
}

/** Where a member of an object lies in its text. */
export interface Member {
  readonly key: string;
  /** Where its key begins. */
  readonly start: number;
  /** Where its value begins. */
  readonly value: number;
  /** Where its value ends. */
  readonly end: number;
}

const QUOTE = 0x22, COMMA = 0x2c, COLON = 0x3a, BACKSLASH = 0x5c;
const PLUS = 0x2b, POINT = 0x2e, SMALL_E = 0x65, LARGE_E = 0x45;
const MINUS = 0x2d, ZERO = 0x30, NINE = 0x39;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
/** A number or a word, also those of Python's that are not JSON: NaN and the infinities. */
const SCALAR = /[-+.\w]+/y;

/**
 * The members of the object that a text is. Values are only searched for their end: whether they
 * are JSON is not known before they are parsed.
 *
 * @throws {JsonDamage} When the text is not an object, or breaks off.
 */
export function* members(text: string): Generator<Member> {
  let at = skipSpace(text, 0);
  if (at === text.length) throw new JsonDamage("it is empty", at);
  if (text.charCodeAt(at) !== OPEN_BRACE) throw new JsonDamage("it is not a JSON object", at);
  at = skipSpace(text, at + 1);
  if (text.charCodeAt(at) !== CLOSE_BRACE) {
    for (;;) {
      const member = memberAt(text, at);
      at = skipSpace(text, member.end);
      const next = text.charCodeAt(at);
      if (next !== COMMA && next !== CLOSE_BRACE) throw unexpected(text, at, "a comma");
      yield member;
      if (next === CLOSE_BRACE) break;
      at = skipSpace(text, at + 1);
    }
  }
  at = skipSpace(text, at + 1);
  if (at < text.length) throw new JsonDamage("it goes on after its end", at);
}

/**
 * The members of a damaged object that can be told: up to the damage, and from the next line on
 * that begins as those that we write do. Each line is looked at once, however many are damaged.
 */
export function* salvage(text: string): Generator<Member> {
  for (let start = text.indexOf("{") + 1; start < text.length;) {
    const next = text.indexOf('\n"', start);
    const end = next < 0 ? text.length : next;
    const lines = text.slice(start, end);
    try {
      for (let at = skipSpace(lines, 0); at < lines.length; at = skipSpace(lines, at + 1)) {
        const member = memberAt(lines, at);
        at = skipSpace(lines, member.end);
        const after = lines.charCodeAt(at);
        if (after !== COMMA && after !== CLOSE_BRACE) throw unexpected(lines, at, "a comma");
        yield {
          key: member.key,
          start: start + member.start,
          value: start + member.value,
          end: start + member.end,
        };
      }
    } catch (error) {
      if (!(error instanceof JsonDamage)) throw error;
    }
    start = end + 1;
  }
}

/** What parsers of other languages may stumble over in a JSON text. */
export interface Survey {
  /** How deep arrays and objects are nested. */
  readonly depth: number;
  /** The numbers with an exponent or more than 18 characters. */
  readonly numbers: string[];
}

/** Looks through a text that is JSON. */
export function survey(text: string): Survey {
  const numbers: string[] = [];
  let depth = 0, deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = skipString(text, at) - 1;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > deepest) deepest = depth;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const start = at;
      let isLong = false;
      for (let next = code;; next = text.charCodeAt(++at)) {
        if (next === SMALL_E || next === LARGE_E) isLong = true;
        else if (
          !(next >= ZERO && next <= NINE || next === POINT || next === MINUS || next === PLUS)
        ) break;
      }
      if (isLong || at - start > 18) numbers.push(text.slice(start, at));
      at--;
    }
  }
  return { depth: deepest, numbers };
}

function memberAt(text: string, start: number): Member {
  if (text.charCodeAt(start) !== QUOTE) throw unexpected(text, start, "a key");
  const keyEnd = skipString(text, start);
  const colon = skipSpace(text, keyEnd);
  if (text.charCodeAt(colon) !== COLON) throw unexpected(text, colon, "a colon");
  const value = skipSpace(text, colon + 1);
  return { key: parseKey(text, start, keyEnd), start, value, end: skipValue(text, value) };
}

function parseKey(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end - 1);
  if (!plain.includes("\\")) return plain;
  try {
    return JSON.parse(text.slice(start, end));
  } catch {
    throw new JsonDamage("it has a key that is not a JSON string", start);
  }
}

function skipSpace(text: string, at: number): number {
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at++;
  }
}

/** The end of the value that begins here. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    return skipScalar(text, at);
  }
  for (let depth = 0; at < text.length;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = skipString(text, at);
      continue;
    }
    at++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return at;
  }
  throw new JsonDamage("it breaks off inside a value", text.length);
}

function skipScalar(text: string, at: number): number {
  SCALAR.lastIndex = at;
  if (!SCALAR.test(text)) throw unexpected(text, at, "a value");
  return SCALAR.lastIndex;
}

/** The end of the string that begins here. */
function skipString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes--;
    if ((end - escapes) % 2 === 0) return end + 1;
  }
  throw new JsonDamage("it breaks off inside a string", text.length);
}

function unexpected(text: string, at: number, expected: string): JsonDamage {
  if (at >= text.length) return new JsonDamage("it breaks off", at);
  return new JsonDamage(`it has ${JSON.stringify(text[at])} instead of ${expected}`, at);
}
