/** Stored text and keys for a person, without the tricks that such text can play. */
import { inspect, type InspectOptions } from "../platform/system.ts";

/** Nothing is left out. */
export const INSPECT: InspectOptions = {
  depth: Infinity,
  iterableLimit: Infinity,
  strAbbreviateSize: Infinity,
};

/** What a terminal obeys instead of showing it, and what ends a line or turns the order of text. */
const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text from the store for a person: what could play tricks is written as escapes. */
export function showText(text: string): string {
  return text.replace(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A key for a person: text as it is, or as a JSON string where it would not be seen or would look
 * like something else; anything else as the runtime's console shows it.
 */
export function showKey(key: unknown): string {
  if (typeof key !== "string") {
    return showText(inspect(key, { ...INSPECT, compact: true, breakLength: Infinity }));
  }
  const isSeen = key !== "" && key[0] !== '"' && key.search(CONTROLS) < 0;
  return isSeen ? key : showText(JSON.stringify(key));
}
