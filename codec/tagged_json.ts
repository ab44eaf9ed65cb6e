/** JSON that people and commands read and write, without the losses of `JSON.parse` and `stringify`. */
import { looksRich, RICH } from "./plain.ts";
import { deserialize, serialize } from "./serializer.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `JSON.parse` with the third argument of its reviver, which TypeScript does not know yet. */
const parseWithSource = JSON.parse as (
  text: string,
  reviver: (name: string, part: unknown, context: { source: string }) => unknown,
) => unknown;

/** Where JavaScript may not have the number that is written: long digits, exponents, `-0`. */
const UNSURE = /\d{16}|\d[eE]|-0/;
/** What Python writes for floats that JSON does not have. */
const NOT_FINITE = /NaN|Infinity/;
/** The same outside of strings; strings are matched whole, so that nothing in them is. */
const STRING_OR_NOT_FINITE = /"[^"\\]*(?:\\.[^"\\]*)*"|NaN|-?Infinity/g;

/**
 * The value of JSON text. Integers that JavaScript's numbers do not have become bigints. `NaN`,
 * `Infinity` and `-Infinity` are read too: Python's `json` writes them.
 *
 * @throws {SyntaxError} When it is not JSON.
 * @throws {RangeError} When it has a number that is too large, such as `1e400`.
 */
export function parseJSON(text: string): unknown {
  const notFinite = NOT_FINITE.test(text);
  if (!notFinite && !UNSURE.test(text)) return JSON.parse(text);
  // A string that the text does not have.
  const mark = crypto.randomUUID();
  const marked = notFinite
    ? text.replace(STRING_OR_NOT_FINITE, (part) => part[0] === '"' ? part : `"${mark}${part}"`)
    : text;
  return parseWithSource(marked, (_name, part, { source }) => {
    if (typeof part === "number") return exactNumber(part, source);
    const isMarked = typeof part === "string" && part.startsWith(mark);
    return isMarked ? Number(part.slice(mark.length)) : part;
  });
}

function exactNumber(number: number, source: string): number | bigint {
  if (!Number.isFinite(number)) throw new RangeError(`${source} is too large for a number`);
  const isExact = !/^-?\d+$/.test(source) || number === 0 || String(number) === source;
  return isExact ? number : BigInt(source);
}

/** A value as JSON text that keeps every type: plain values are plain JSON, others are tagged. */
export async function toTaggedJSON(value: unknown): Promise<string> {
  if (!(value instanceof Uint8Array)) return decoder.decode(await serialize(value));
  // Bytes are the one value that the serializer does not write as text, unless they are part of
  // another value: so they are written as the item of an array, and then taken out of it.
  const tree: { [RICH]: [unknown] } = JSON.parse(await toTaggedJSON([value]));
  const [tagged] = tree[RICH];
  return JSON.stringify({ [RICH]: tagged });
}

/** The value of what `parseJSON` made of plain or tagged JSON. */
export async function fromTaggedJSON(json: unknown): Promise<unknown> {
  const isTagged = typeof json === "object" && json !== null && looksRich(json);
  return isTagged ? await deserialize(encoder.encode(JSON.stringify(json, tagNumber))) : json;
}

/** Tags the numbers that JSON does not have, for `JSON.stringify`. */
function tagNumber(_name: string, part: unknown): unknown {
  if (typeof part === "bigint") return { $bigint: String(part) };
  if (Object.is(part, -0)) return { $: "-0" };
  return typeof part === "number" && !Number.isFinite(part) ? { $: String(part) } : part;
}
