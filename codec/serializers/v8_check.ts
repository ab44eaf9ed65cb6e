import { DecodeError, unknownFormat } from "../errors.ts";
import { MAX_DEPTH } from "../refusal.ts";

/** The first version of the format that has these types as they are today. */
const FIRST_VERSION = 13;

const code = (character: string) => character.charCodeAt(0);

/** What follows a token. */
enum Kind {
  unknown,
  nothing,
  eightBytes,
  integer,
  reference,
  text,
  bigint,
  regexp,
  open,
  close,
}

const KINDS: Kind[] = new Array(256).fill(Kind.unknown);
for (
  const [characters, kind] of [
    ["_0TF", Kind.nothing],
    ["ND", Kind.eightBytes],
    ["IU", Kind.integer],
    ["^", Kind.reference],
    ['"c', Kind.text],
    ["Z", Kind.bigint],
    ["R", Kind.regexp],
    ["Aao;'", Kind.open],
    ["$@{:,", Kind.close],
  ] as const
) {
  for (const character of characters) KINDS[code(character)] = kind;
}

const PADDING = 0;
const DENSE_ARRAY = code("A");
const HOLEY_ARRAY = code("a");
const OBJECT = code("o");
const DOUBLE = code("N");
const INT = code("I");
/** What ends an object, by what begins it. */
const ENDS: number[] = [];
for (const [begin, end] of ["A$", "a@", "o{", ";:", "',"]) ENDS[code(begin)] = code(end);

interface OpenObject {
  readonly begin: number;
  /** Values so far; names count. */
  values: number;
  /** The items that an array says it has. */
  readonly length: number;
}

/**
 * Checks that bytes are one whole structured clone of the types that we write. V8 takes the length
 * of an array at its word: 62 bytes made it take 1.3 GB, and end the program where there is less.
 *
 * @throws {DecodeError} When they are not.
 */
export function checkStructuredClone(bytes: Uint8Array): void {
  const open: OpenObject[] = [];
  let parent: OpenObject | undefined;
  let at = 1;

  const skip = (length: number): void => {
    at += length;
  };
  /** Reads a number of at most 35 bits, seven in a byte. */
  const number = (): number => {
    let value = 0;
    for (let factor = 1; factor < 2 ** 35; factor *= 128) {
      if (at >= bytes.length) throw damaged();
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw damaged();
  };

  // Images of JPEG and text of UTF-16 begin with the same byte.
  if (!(bytes[1] >= FIRST_VERSION && bytes[1] < 128)) throw unknownFormat();
  at = 2;
  do {
    while (bytes[at] === PADDING) at++;
    if (at >= bytes.length) throw damaged();
    const token = bytes[at++];
    const kind = KINDS[token];
    if (kind === Kind.close) {
      if (parent === undefined || ENDS[parent.begin] !== token) throw damaged();
      const isArray = parent.begin === DENSE_ARRAY || parent.begin === HOLEY_ARRAY;
      if (!isComplete(parent, number()) || (isArray && number() !== parent.length)) throw damaged();
      open.pop();
      parent = open.at(-1);
      continue;
    }
    if (parent !== undefined) {
      const isName = parent.values++ % 2 === 0;
      if (isName && parent.begin === OBJECT) {
        if (kind !== Kind.integer && kind !== Kind.text && token !== DOUBLE) throw damaged();
      } else if (isName && parent.begin === HOLEY_ARRAY) {
        // Ours have no holes. The lowest bit of the index is the sign.
        if (token !== INT || number() !== parent.values - 1) throw damaged();
        continue;
      }
    }
    switch (kind) {
      case Kind.unknown:
        throw damaged();
      case Kind.nothing:
        break;
      case Kind.eightBytes:
        skip(8);
        break;
      case Kind.integer:
      case Kind.reference:
        number();
        break;
      case Kind.text:
        skip(number());
        break;
      case Kind.bigint:
        // The lowest bit is the sign.
        skip(Math.floor(number() / 2));
        break;
      case Kind.regexp: {
        while (bytes[at] === PADDING) at++;
        if (KINDS[bytes[at++]] !== Kind.text) throw damaged();
        skip(number());
        number();
        break;
      }
      case Kind.open: {
        const length = token === DENSE_ARRAY || token === HOLEY_ARRAY ? number() : 0;
        parent = { begin: token, values: 0, length };
        if (open.push(parent) > MAX_DEPTH + 1) throw damaged();
        break;
      }
    }
    if (at > bytes.length) throw damaged();
  } while (parent !== undefined);
  if (at !== bytes.length) throw damaged();
}

/** Whether an object that ends has what it says: so many properties, items or values. */
function isComplete({ begin, values, length }: OpenObject, count: number): boolean {
  switch (begin) {
    case DENSE_ARRAY:
      return count === 0 && values === length;
    case HOLEY_ARRAY:
      return count === length && values === 2 * length;
    case OBJECT:
      return values === 2 * count;
    default:
      return values === count;
  }
}

function damaged(): DecodeError {
  return new DecodeError("Cannot decode value: its V8 structured clone is damaged");
}
