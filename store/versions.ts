/**
 * Append mode: every version of a key. The latest stands under the key itself, in an envelope that
 * says which version it is; the ones before it stand in a store beside, one entry each.
 *
 * Appending copies the latest to that store and then replaces it with one `compareAndSet`: two
 * writes, at the thousandth version as at the first. A version never changes, so it does no harm
 * that several writers copy the same one, and a crash between the two writes leaves only a copy
 * that the next append makes again. A series (the life of a key from its first set to its delete)
 * has an identifier of its own, so that a new life never meets the remains of an earlier one.
 */
import { DecodeError } from "../codec/errors.ts";
import type { EngineProblem, Entry, NewEntry } from "../engines/engine.ts";
import type { CompleteEngine } from "../engines/complete.ts";
import { backoff } from "./backoff.ts";

/** First byte of the envelope, `V`: its place in the table of layers is in codec/format.ts. */
const ENVELOPE = 0x56;
const NEWLINE = 0x0a;
/** Versions read at once: bounds memory, and amortises round trips. */
const BATCH = 256;

/** What the envelope says of a version. */
export interface VersionHeader {
  /** From 1. */
  readonly version: number;
  /** Which life of the key. */
  readonly series: string;
  /** When it was set, ms since the epoch. */
  readonly timestamp: number;
}

/** A stored version: its header, when it has one, and the stored bytes of its value. */
export interface StoredVersion {
  readonly header?: VersionHeader;
  readonly value: Uint8Array;
}

/** Takes the envelope off, when there is one. */
export function openEnvelope(stored: Uint8Array): StoredVersion {
  if (stored[0] !== ENVELOPE) return { value: stored };
  const end = stored.indexOf(NEWLINE);
  if (end === -1) throw new DecodeError("The header of its version has no end");
  try {
    const header = JSON.parse(new TextDecoder().decode(stored.subarray(1, end)));
    if (!Number.isSafeInteger(header.version) || typeof header.series !== "string") {
      throw new TypeError("version or series is missing");
    }
    return { header, value: stored.subarray(end + 1) };
  } catch (cause) {
    throw new DecodeError("The header of its version is damaged", { cause });
  }
}

function seal(header: VersionHeader, value: Uint8Array): Uint8Array {
  const line = new TextEncoder().encode(`V${JSON.stringify(header)}\n`);
  const sealed = new Uint8Array(line.length + value.length);
  sealed.set(line);
  sealed.set(value, line.length);
  return sealed;
}

/** The key of an earlier version in the store beside. */
function archiveKey(key: string, series: string, version: number): string {
  return `${series}/${version}/${key}`;
}

function parseArchiveKey(text: string): { series: string; version: number; key: string } {
  const [series, version] = text.split("/", 2);
  return {
    series,
    version: Number(version),
    key: text.slice(series.length + version.length + 2),
  };
}

/** The entry that makes `entry` the version after `head`, and the copy of `head` to be kept. */
function nextVersion(key: string, head: Entry | undefined, entry: NewEntry): {
  next: NewEntry;
  archive?: [string, NewEntry];
} {
  if (head === undefined) {
    const series = crypto.randomUUID().slice(0, 8) + Date.now().toString(36);
    const header = { version: 1, series, timestamp: entry.timestamp };
    return { next: { ...entry, value: seal(header, entry.value) } };
  }
  // A value that was set without append mode is the first of its series.
  const current = openEnvelope(head.value);
  const before = current.header ??
    {
      version: 1,
      series: crypto.randomUUID().slice(0, 8) + Date.now().toString(36),
      timestamp: head.timestamp ?? entry.timestamp,
    };
  const header = {
    version: before.version + 1,
    series: before.series,
    timestamp: Math.max(entry.timestamp, before.timestamp),
  };
  return {
    next: { ...entry, value: seal(header, entry.value) },
    archive: [archiveKey(key, before.series, before.version), {
      value: seal(before, current.value),
      expiresAt: head.expiresAt,
      timestamp: before.timestamp,
    }],
  };
}

/** Replaces `head`, in the state it was read, by `entry` as the next version; whether it did. */
export async function appendTo(
  head: Entry | undefined,
  store: CompleteEngine,
  archive: CompleteEngine,
  key: string,
  entry: NewEntry,
): Promise<boolean> {
  const { next, archive: copy } = nextVersion(key, head, entry);
  if (copy) await archive.set(...copy);
  return await store.compareAndSet(key, head, next);
}

/** Adds a version; two writes. */
export async function append(
  store: CompleteEngine,
  archive: CompleteEngine,
  key: string,
  entry: NewEntry,
): Promise<void> {
  for (let attempt = 0;; attempt++) {
    const head = await store.get(key);
    if (await appendTo(head, store, archive, key, entry)) return;
    await backoff(attempt);
  }
}

/** The earlier versions of the key whose latest is `head`, oldest first; a batch at a time. */
export async function* earlierVersions(
  archive: CompleteEngine,
  key: string,
  head: VersionHeader,
): AsyncGenerator<Entry> {
  for (let first = 1; first < head.version; first += BATCH) {
    for (const entry of await archive.getMany(archiveKeys(key, head, first))) {
      if (entry) yield entry;
    }
  }
}

function archiveKeys(key: string, head: VersionHeader, first: number): string[] {
  const length = Math.min(BATCH, head.version - first);
  return Array.from({ length }, (_, i) => archiveKey(key, head.series, first + i));
}

/** Removes the earlier versions of a key that has been removed. */
export async function removeEarlier(
  archive: CompleteEngine,
  key: string,
  head: VersionHeader,
): Promise<void> {
  for (let first = 1; first < head.version; first += BATCH) {
    await archive.deleteMany(archiveKeys(key, head, first));
  }
}

/** Finds (and removes, with `fix`) versions whose key is gone or lives another life. */
export async function checkVersions(
  store: CompleteEngine,
  archive: CompleteEngine,
  fix: boolean,
): Promise<{ checked: number; problems: EngineProblem[] }> {
  const problems: EngineProblem[] = [];
  let checked = 0;
  for await (const text of archive.keys()) {
    checked++;
    const { series, version, key } = parseArchiveKey(text);
    let head: Entry | undefined;
    try {
      head = await store.get(key);
      const header = head && openEnvelope(head.value).header;
      // A copy of the latest itself is an append under way, or one that was cut off and is made
      // again.
      if (header?.series === series && version <= header.version) continue;
    } catch (error) {
      // The check of the entries names the damaged one; its earlier versions are still good.
      if (error instanceof DecodeError) continue;
      throw error;
    }
    const fixed = fix && await archive.delete(text);
    problems.push({
      kind: "orphan",
      key,
      detail: `Version ${version} of a key that is gone`,
      fixed,
    });
  }
  return { checked, problems };
}
