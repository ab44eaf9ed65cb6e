/** The keys that the commands read in JSON. */
import { RICH } from "../codec/plain.ts";
import { fromTaggedJSON, parseJSON } from "../codec/tagged_json.ts";
import { decodeKey, encodeKey } from "../mod.ts";

/** What the text of every key that is not a string begins with. */
const MARK = "\u0001";

/**
 * The canonical text of a key that another program has written, in whatever way it spells JSON:
 * `["caf\u00e9"]`, `1.0`, `{"b": 1, "a": 2}`.
 *
 * @throws {SyntaxError} When what follows the mark is not JSON.
 * @throws {DecodeError} When its tags are none of ours.
 */
export async function canonicalKey(text: string): Promise<string> {
  if (!text.startsWith(MARK)) return encodeKey(text);
  const tree = parseJSON(text.slice(MARK.length));
  // Only the program that has registered the class writes such a key, and knows its text.
  if (isCanonical(text) || text.includes('"$class":')) return text;
  return encodeKey(await fromTaggedJSON({ [RICH]: tree }));
}

function isCanonical(text: string): boolean {
  try {
    decodeKey(text);
    return true;
  } catch {
    return false;
  }
}
