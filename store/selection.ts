/** Listing a part of a store: the keys that begin with a text, those of entries with a tag. */
import { DecodeError } from "../codec/errors.ts";
import { decodeKey, textPrefixes } from "../codec/key.ts";
import type { Store } from "../engines/complete.ts";
import { mapped } from "../engines/each.ts";
import { type StoredEntry, taggedOf } from "./header.ts";
import { checkNames, checkTags, typeOf } from "./options.ts";
import type { TagSpace } from "./tag_space.ts";

/** Which entries are listed; without either, all. */
export interface SelectOptions {
  /** Only keys that are strings and begin so; an empty one: all string keys. */
  prefix?: string;
  /** Only entries with the tag. */
  tag?: string;
}

/**
 * Checks a selection.
 *
 * @throws {TypeError} When it is none.
 */
export function checkSelection(options: SelectOptions): SelectOptions {
  checkNames(options, ["prefix", "tag"]);
  const { prefix, tag } = options;
  if (prefix !== undefined && typeof prefix !== "string") {
    throw new TypeError(`Expected prefix to be a string, got ${typeOf(prefix)}`);
  }
  if (tag !== undefined) checkTags([tag]);
  return { prefix, tag };
}

/** What `invalidate` is about: one of the two. */
export interface InvalidateOptions {
  /** Names, up to 100: entries that have one of them go. */
  tags?: readonly string[];
  /** Entries go whose key is a string and begins so. */
  prefix?: string;
}

/**
 * Checks what is to be invalidated.
 *
 * @throws {TypeError} When it is not one of the two, or the prefix is empty.
 * @throws {RangeError} When there are more than 100 tags.
 */
export function checkInvalidate(
  options: InvalidateOptions,
): { tags: string[] } | { prefix: string } {
  checkNames(options, ["tags", "prefix"]);
  const { prefix } = options;
  const tags = checkTags(options.tags);
  if (tags !== undefined && prefix !== undefined) {
    throw new TypeError("Expected tags or a prefix to invalidate, got both");
  }
  if (tags !== undefined) return { tags };
  if (typeof prefix !== "string") {
    throw new TypeError(`Expected tags or a prefix to invalidate, got ${typeOf(prefix)}`);
  }
  if (prefix === "") {
    throw new TypeError("Expected a prefix that is not empty: clear() removes all entries");
  }
  return { prefix };
}

/** The key of a canonical text; `undefined` when it is none, as another program wrote it. */
export function keyOf(text: string): { key: unknown } | undefined {
  try {
    return { key: decodeKey(text) };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** Whether the text is that of a string key that begins so. */
export function beginsWith(text: string, prefix: string): boolean {
  const found = keyOf(text);
  return typeof found?.key === "string" && found.key.startsWith(prefix);
}

/** The canonical texts of the keys of a store that are selected. */
export function selectedKeys(
  store: Store,
  { prefix, tag }: SelectOptions,
  space: TagSpace,
  dbname: string,
): Iterable<string> | AsyncIterable<string> {
  if (tag !== undefined) {
    return mapped(entriesWithTag(store, tag, prefix, space, dbname), ([text]) => text);
  }
  return prefix === undefined
    ? store.keys()
    : beginningWith(prefix, (start) => store.keys(start), (text) => text);
}

/** The same with the entries. */
export function selectedEntries(
  store: Store,
  { prefix, tag }: SelectOptions,
  space: TagSpace,
  dbname: string,
): Iterable<[string, StoredEntry]> | AsyncIterable<[string, StoredEntry]> {
  if (tag !== undefined) return entriesWithTag(store, tag, prefix, space, dbname);
  return prefix === undefined
    ? store.entries()
    : beginningWith(prefix, (start) => store.entries(start), ([text]) => text);
}

async function* beginningWith<T>(
  prefix: string,
  list: (start: string) => Iterable<T> | AsyncIterable<T>,
  textOf: (item: T) => string,
): AsyncGenerator<T> {
  for (const start of textPrefixes(prefix)) {
    for await (const item of list(start)) if (beginsWith(textOf(item), prefix)) yield item;
  }
}

async function* entriesWithTag(
  store: Store,
  tag: string,
  prefix: string | undefined,
  space: TagSpace,
  dbname: string,
): AsyncGenerator<[string, StoredEntry]> {
  // As every listing does.
  await space.settle();
  for (const start of prefix === undefined ? [""] : textPrefixes(prefix)) {
    for await (const rows of space.rows(tag, dbname, start)) {
      const texts = rows.map(({ text }) => text)
        .filter((text) => prefix === undefined || beginsWith(text, prefix));
      for (const [i, entry] of (await store.getMany(texts)).entries()) {
        // A row may be older than its entry.
        if (entry !== undefined && taggedOf(entry)?.tags.includes(tag)) yield [texts[i], entry];
      }
    }
  }
}
