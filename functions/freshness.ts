/** How long a result is kept, until when it is fresh, and what to do when it is not. */
import type { Entry, NewEntry } from "../engines/engine.ts";
import { freshUntil, opened, withHeader } from "../store/header.ts";
import { checkTags, deadline } from "../store/options.ts";
import type { KeepOptions } from "./computation.ts";
import type { Job } from "./job.ts";

/**
 * The entry in which the result of a job is kept; `undefined`: it is not.
 *
 * @param bytes The stored bytes of the value.
 * @param said What the function itself said of it.
 * @param tagging Its tags, and the number of the last invalidation before it was made.
 * @throws {TypeError | RangeError} When a function among the options gives what makes no sense.
 */
export function keeping(
  { target, options, args }: Job,
  value: unknown,
  bytes: Uint8Array,
  said: KeepOptions,
  { tags, seq }: Tagging,
): NewEntry | undefined {
  const { ttl, jitter, staleFor, refreshAhead } = options;
  const lasts = said.ttl ?? (typeof ttl === "function" ? ttl(value, ...args) : ttl);
  // A deadline that is past is no mistake: the result is for its callers, and not kept.
  if (said.store === false || lasts !== undefined && lasts < 0) return undefined;
  const timestamp = Date.now();
  const expiresAt = said.ttl === undefined ? options.expiresAt : undefined;
  let end = deadline({ ttl: lasts, expiresAt }, target.options.ttl, timestamp);
  const tagged = tags.length === 0 ? {} : { tags, seq };
  if (end === undefined) {
    return { value: tags.length === 0 ? bytes : withHeader(bytes, tagged), timestamp };
  }
  if (end < timestamp) return undefined;
  if (jitter > 0) end = Math.ceil(end - Math.random() * Math.min(jitter, end - timestamp));
  const until = end + staleFor;
  if (until <= timestamp) return undefined;
  const header = {
    ...tagged,
    stale: staleFor > 0 ? staleFor : undefined,
    // What part of its time has passed is not to be had of every engine.
    timestamp: refreshAhead === undefined ? undefined : timestamp,
  };
  const isPlain = Object.values(header).every((field) => field === undefined);
  return { value: isPlain ? bytes : withHeader(bytes, header), expiresAt: until, timestamp };
}

/** What a result can be invalidated by. */
export interface Tagging {
  readonly tags: readonly string[];
  /** The number of the last invalidation before the result was made. */
  readonly seq: number;
}

/**
 * The tags of a result: those of the options, and those that the function itself said.
 *
 * @throws {TypeError | RangeError} When a function among the options gives what are no tags.
 */
export function tagsOf({ options, args }: Job, value: unknown, said: KeepOptions): string[] {
  const { tags } = options;
  const own = checkTags(typeof tags === "function" ? tags(value, ...args) : tags) ?? [];
  return checkTags([...own, ...said.tags ?? []])!;
}

/** Whether a result is within its `ttl`. */
export function isFresh(entry: Entry): boolean {
  return Date.now() < freshUntil(entry);
}

/** How long ago its `ttl` ended, ms. */
export function staleSince(entry: Entry): number {
  return Date.now() - freshUntil(entry);
}

/** Whether a newer one than this, which is fresh, is to be made already. */
export function isAhead({ options, target }: Job, entry: Entry): boolean {
  const { refreshAhead, ttl = target.options.ttl } = options;
  const end = freshUntil(entry);
  if (refreshAhead === undefined || end === Infinity) return false;
  const made = opened(entry).header?.timestamp ?? entry.timestamp ??
    (typeof ttl === "number" ? end - ttl : Infinity);
  return Date.now() >= made + refreshAhead * (end - made);
}

/** Whether a refresh of it failed so short a time ago that none is tried. */
export function isSpared(entry: Entry): boolean {
  const { retry } = opened(entry).header ?? {};
  return retry !== undefined && Date.now() < retry;
}
