/** Changes of bytes, as damage and malice make them. */
import type { RandomValues } from "../support/random.ts";

/** Bytes that mean something in many formats. */
const BYTES = [0, 1, 2, 3, 0x1f, 0x22, 0x24, 0x28, 0x5b, 0x78, 0x7f, 0x80, 0xc1, 0xdd, 0xff];
/** Numbers at the limits of their types, and such as make something large. */
const NUMBERS = [0, 1, 255, 65_535, 2 ** 20, 2 ** 25, 33_000_000, 2 ** 30, 2 ** 31, 2 ** 32 - 1];
/** What stands in text, and what it may become. */
const WORDS = [
  ...["$rich", "$id", "$ref", "$sparse", "$Map", "$Set", "$Date", "$Error", "$class", "$null"],
  ...["$", "$$", "$bigint", "$Uint8Array", "$object", "__proto__", "toJSON", "length", "null"],
  ...["[[", "]]", "{", "}", ",", ":", '"', "1e999", "-0", "NaN", "\\ud800"],
  ...NUMBERS.map(String),
];
const encoder = new TextEncoder();

/** The bytes with one to a few changes. */
export function mutated(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  random: RandomValues,
): Uint8Array {
  let changed = new Uint8Array(bytes);
  for (let left = 1 + random.below(random.pick([1, 3, 8])); left > 0; left--) {
    changed = changedOnce(changed, others, random);
  }
  return changed;
}

function changedOnce(
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array[],
  random: RandomValues,
): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.below(random.pick([2, 8, 64])));
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) bytes[at] ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(BYTES);
      return bytes;
    case 2:
      return bytes.slice(0, at);
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    case 4:
      return joined(bytes.subarray(0, end), bytes.subarray(at));
    case 5:
      return joined(bytes.subarray(0, at), random.bytes(8), bytes.subarray(at));
    case 6: {
      const value = random.pick(NUMBERS);
      const number = random.below(3) === 0
        ? sevenBits(value)
        : fourBytes(value, random.below(2) === 0);
      return joined(bytes.subarray(0, at), number, bytes.subarray(at + random.pick([1, 4])));
    }
    case 7: {
      const word = encoder.encode(random.pick(WORDS));
      return joined(bytes.subarray(0, at), word, bytes.subarray(random.pick([at, end])));
    }
    default: {
      const other = random.pick(others);
      const from = random.below(other.length + 1);
      return joined(
        bytes.subarray(0, at),
        other.subarray(from, from + random.below(64)),
        bytes.subarray(end),
      );
    }
  }
}

function fourBytes(value: number, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, littleEndian);
  return bytes;
}

/** A number with seven bits in a byte, as V8 writes it. */
function sevenBits(value: number): Uint8Array {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return new Uint8Array([...bytes, value]);
}

/** Bytes one after the other. */
export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
