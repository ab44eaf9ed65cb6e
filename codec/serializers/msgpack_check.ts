import { MAX_DEPTH } from "../refusal.ts";
import { DecodeError } from "../errors.ts";

/** `__proto__` as the name of a property, which the library would read as another name. */
const PROTO = Array.from("__proto__", (character) => character.charCodeAt(0));

/**
 * Checks that bytes are one whole MessagePack value of the types that we write. The library would
 * take lengths at their word, and look up classes for its extensions.
 *
 * @throws {DecodeError} When they are not.
 */
export function checkMessagePack(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  /**
   * For each open container: how many values are still to come, and whether every other one is a
   * name.
   */
  const open: { left: number; map: boolean }[] = [];
  let at = 0;

  /** Reads a big-endian length. */
  const length = (size: number): number => {
    const from = at;
    at += size;
    if (at > bytes.length) throw damaged();
    if (size === 1) return bytes[from];
    return size === 2 ? view.getUint16(from) : view.getUint32(from);
  };

  do {
    if (at >= bytes.length) throw damaged();
    const parent = open.at(-1);
    const isName = parent !== undefined && parent.map && parent.left % 2 === 0;
    if (parent !== undefined) parent.left--;
    const token = bytes[at++];
    const kind = token < 0x80 || token >= 0xe0
      ? "int"
      : token < 0x90
      ? "map"
      : token < 0xa0
      ? "array"
      : token < 0xc0
      ? "text"
      : KINDS[token - 0xc0];
    if (kind === undefined || (isName && kind !== "text")) throw damaged();
    let left = 0;
    switch (kind) {
      case "map":
        left = 2 * (token < 0x90 ? token & 15 : length(token === 0xde ? 2 : 4));
        break;
      case "array":
        left = token < 0xa0 ? token & 15 : length(token === 0xdc ? 2 : 4);
        break;
      case "text": {
        const size = token < 0xc0 ? token & 31 : length(1 << (token - 0xd9));
        if (isName && size === PROTO.length && PROTO.every((byte, i) => bytes[at + i] === byte)) {
          throw damaged();
        }
        at += size;
        break;
      }
      case "bytes": {
        const size = length(1 << (token - 0xc4));
        at += size;
        break;
      }
      case "int":
        break;
      default:
        at += kind;
    }
    // Every value takes a byte at least.
    if (left > bytes.length - at) throw damaged();
    if (left > 0 && open.push({ left, map: kind === "map" }) > MAX_DEPTH + 1) throw damaged();
    while (open.length > 0 && open[open.length - 1].left === 0) open.pop();
  } while (open.length > 0);
  if (at !== bytes.length) throw damaged();
}

/**
 * What the tokens 0xC0-0xDF are: a number is how many bytes follow, `undefined` what we don't
 * write.
 */
const KINDS: ("int" | "map" | "array" | "text" | "bytes" | number | undefined)[] = [
  ...["int", undefined, "int", "int", "bytes", "bytes", "bytes"] as const,
  ...[undefined, undefined, undefined, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8] as const,
  ...[undefined, undefined, undefined, undefined, undefined] as const,
  ...["text", "text", "text", "array", "array", "map", "map"] as const,
];

function damaged(): DecodeError {
  return new DecodeError("Cannot decode value: its MessagePack is damaged");
}
