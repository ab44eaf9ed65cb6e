/**
 * What a stored result is for a caller: a value, something to fall back on, or nothing.
 */
import type { Entry, EntryValue } from "../engines/engine.ts";
import { ABSENT, type Handle } from "../store/handle.ts";
import { openHeader, type StoredEntry } from "../store/header.ts";
import { since } from "../store/telemetry.ts";
import { isAhead, isFresh, isSpared, staleSince } from "./freshness.ts";
import type { Job } from "./job.ts";

/** What is read, or `ABSENT` while the store fails and is done without. */
export function orAbsent<T>(job: Job, read: () => Promise<T>): Promise<T | typeof ABSENT> {
  const { bypass } = job.target;
  return bypass === undefined ? read() : bypass.read(job, read, ABSENT);
}

/** A result whose `ttl` has ended, to fall back on when there is no newer one. */
export class Stale {
  readonly entry: Entry;
  /** Whether it is served when the run fails, and not only when it is late. */
  readonly isForErrors: boolean;
  /** How long looking it up took, ms, where that is known. */
  readonly ms: number | undefined;

  constructor(entry: Entry, isForErrors: boolean, ms?: number) {
    this.entry = entry;
    this.isForErrors = isForErrors;
    this.ms = ms;
  }
}

/** What is there for a caller of the job: a value, something to fall back on, or `ABSENT`. */
export type Found = { readonly value: unknown; readonly isDue: boolean } | Stale | typeof ABSENT;

/**
 * What a stored result is for a caller of the job, and whether it is due for a refresh.
 *
 * @param begin When the caller began to look it up; 0: that is not to be told.
 */
export async function serve(job: Job, entry: Entry, begin = 0): Promise<Found> {
  const { staleWhileRevalidate, staleIfError, softTimeout } = job.options;
  const age = staleSince(entry);
  if (age < 0) return { value: await hit(job, entry, begin), isDue: isDue(job, entry) };
  if (age < (staleWhileRevalidate ?? 0)) {
    return { value: await hit(job, entry, begin), isDue: !isSpared(entry) };
  }
  if (age < (staleIfError ?? 0)) {
    return isSpared(entry)
      ? { value: await hit(job, entry, begin), isDue: false }
      : new Stale(entry, true, elapsed(begin));
  }
  // Who says nothing of how old a result may be takes what is stored rather than wait for long.
  const isUnbounded = staleWhileRevalidate === undefined && staleIfError === undefined;
  if (softTimeout !== undefined && isUnbounded) return new Stale(entry, false, elapsed(begin));
  job.target.watch.tell("expire", job.text);
  return ABSENT;
}

function isDue(job: Job, entry: Entry): boolean {
  return isAhead(job, entry) && !isSpared(entry);
}

/** The value of a stored result, counted as one that was there. */
export async function hit(
  { target, text }: Pick<Job, "target" | "text">,
  entry: Entry,
  begin = 0,
  ms?: number,
): Promise<unknown> {
  const value = await target.read(entry, text);
  target.stats.hits++;
  const type = staleSince(entry) < 0 ? "hit" : "stale";
  target.watch.looked(type, text, ms ?? elapsed(begin), entry.value.length);
  return value;
}

/** There is nothing that can be served. */
export function missed({ target, text }: Job, ms?: number): void {
  target.stats.misses++;
  target.watch.looked("miss", text, ms);
}

/** How long it has been, ms; `undefined`: that is not to be told. */
export function elapsed(begin: number): number | undefined {
  return begin === 0 ? undefined : since(begin);
}

/** For callers who take a stale result for absent: of most entries the value alone tells. */
export async function readFresh(target: Handle, entry: EntryValue, text: string): Promise<unknown> {
  const { header } = "header" in entry ? entry as StoredEntry : openHeader(entry.value);
  if (header?.stale === undefined) return await target.read(entry, text);
  const whole = await target.run("get", (store) => target.servedEntry(store, text), true);
  if (whole !== undefined && isFresh(whole)) return await target.read(whole, text);
  if (whole !== undefined) target.watch.tell("expire", text);
  return ABSENT;
}
