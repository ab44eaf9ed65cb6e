/** Entries of text, as engines take and give them. */
import type { Store } from "../../engines/complete.ts";
import type { Engine, Entry, NewEntry } from "../../engines/engine.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An entry of text or bytes, set now. */
export function entryOf(value: string | Uint8Array, expiresAt?: number): NewEntry {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return { value: bytes, timestamp: Date.now(), ...(expiresAt === undefined ? {} : { expiresAt }) };
}

/** The text of an entry; `undefined` for none. */
export function textOf(entry: Entry | undefined): string | undefined {
  return entry && decoder.decode(entry.value);
}

/** The text under a key; `undefined` for none. */
export async function textAt(engine: Engine, key: string): Promise<string | undefined> {
  return textOf(await engine.get(key));
}

/** All keys, sorted. */
export async function keysOf(engine: Engine, prefix?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of engine.keys(prefix)) keys.push(key);
  return keys.sort();
}

/** An entry of text, and its key. */
export function pair(key: string, text: string, expiresAt?: number): [string, NewEntry] {
  return [key, entryOf(text, expiresAt)];
}

/** The entries of keys that are all there, as `deleteUnchanged` takes them. */
export async function statesOf(engine: Store, keys: string[]): Promise<[string, Entry][]> {
  return (await engine.getMany(keys)).map((entry, i) => [keys[i], entry!]);
}
