/** Values of compressed data that another program wrote. */
import type { Awaitable } from "../platform/awaitable.ts";
import type { CustomSerializer } from "./custom.ts";
import { DecodeError } from "./errors.ts";
import { layerOf } from "./format.ts";
import type { Foreign } from "./pack.ts";
import { isIntact } from "./seal.ts";
import { RICH } from "./plain.ts";
import { deserializeContent } from "./serializers/mod.ts";

/** What JSON may have in front. */
const SPACE = [0x20, 0x09, 0x0a, 0x0d];
const RICH_START = new TextEncoder().encode(`{"${RICH}":`);

/**
 * The value in the content, where there is one (JSON, or what we write ourselves: our own data
 * whose seal was cut off is complete too); else the bytes as they are stored.
 */
export function foreignValue(
  { content }: Foreign,
  stored: Uint8Array,
  own: CustomSerializer | undefined,
): Awaitable<unknown> {
  const asStored = () => new Uint8Array(stored);
  if (content === undefined) return asStored();
  let start = 0;
  while (SPACE.includes(content[start])) start++;
  const text = content.subarray(start);
  const layer = layerOf(text);
  if (layer?.kind !== "content" || (start > 0 && layer.name !== "json")) return asStored();
  const otherwise = (error: unknown) => {
    // What is ours for sure says itself why it can't be read.
    if (!(error instanceof DecodeError) || isOurs(text)) throw error;
    return asStored();
  };
  try {
    const value = deserializeContent(text, layer, own);
    return value instanceof Promise ? value.catch(otherwise) : value;
  } catch (error) {
    return otherwise(error);
  }
}

/** Whether content without a seal of its own is ours for sure. */
export function isOurs(content: Uint8Array): boolean {
  return isIntact(content) || RICH_START.every((byte, i) => content[i] === byte);
}
