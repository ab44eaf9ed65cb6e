/** Looking at everything that a store keeps. */
import { DecodeError } from "../codec/errors.ts";
import { decodeKey } from "../codec/key.ts";
import type { Store } from "../engines/complete.ts";
import type { EngineCheck, EngineProblem } from "../engines/engine.ts";
import { EngineError, safeDecodeKey } from "../engines/errors.ts";
import { Turns } from "../platform/timers.ts";
import type { StoredEntry } from "./header.ts";
import { checkBoolean, checkNames, checkSignal, typeOf } from "./options.ts";
import type { CheckOptions, StashCheck, StashProblem } from "./types.ts";
import { parseSideKey } from "./versions.ts";

/** Who decodes values: a handle. */
interface Reader {
  read(entry: Pick<StoredEntry, "value">, text: string): unknown;
}

/**
 * Checks the options of `check`.
 *
 * @throws {TypeError} When one is unknown or something else than it should be.
 */
export function checkCheck(options: CheckOptions): CheckOptions {
  checkNames(options, ["fix", "signal", "onEntry"]);
  const { signal, onEntry } = options;
  checkSignal(signal);
  if (onEntry !== undefined && typeof onEntry !== "function") {
    throw new TypeError(`Expected onEntry to be a function, got ${typeOf(onEntry)}`);
  }
  return { fix: checkBoolean(options, "fix"), signal, onEntry };
}

/**
 * What the engine, and what stands around it, finds, and what can't be decoded.
 *
 * @param earlier In append mode, where the versions before the latest are.
 */
export async function checkStore(
  reader: Reader,
  store: Store,
  options: CheckOptions,
  earlier?: Store,
): Promise<StashCheck> {
  // The earlier versions first: what is damaged among them must not be in the way of the orphans.
  const ofEarlier = earlier && await checkEntries(reader, earlier, options, keyOfVersion);
  const { checked, problems, isCut } = await checkEntries(reader, store, options);
  const all = problems.map(withDecodedKey);
  if (ofEarlier !== undefined) all.push(...ofEarlier.problems.map(ofVersion));
  const isOk = ({ kind, fixed }: StashProblem) => fixed || kind === "unknown" || kind === "foreign";
  const isInterrupted = isCut || ofEarlier?.isCut === true;
  return {
    ok: !isInterrupted && all.every(isOk),
    checked: checked + (ofEarlier?.checked ?? 0),
    problems: all,
    ...(isInterrupted ? { interrupted: true } : {}),
  };
}

/** What was found in one store. */
interface Found extends EngineCheck {
  /** Whether the signal was aborted with work left. */
  readonly isCut: boolean;
}

/**
 * The same for one store, with keys as they are stored.
 *
 * @param keyOf The stash's key of a stored one.
 */
async function checkEntries(
  reader: Reader,
  store: Store,
  options: CheckOptions,
  keyOf = (text: string) => text,
): Promise<Found> {
  const { fix = false, signal } = options;
  const { checked, problems } = await store.check({ fix, signal });
  // Whether the engine has looked at everything then, it does not say.
  if (signal?.aborted) return { checked, problems, isCut: true };
  const more = await undecodable(reader, store, options, keyOf, problems);
  return { checked, problems: [...problems, ...more.problems], isCut: more.isCut };
}

/** Decodes every value; those that can't be and are not known yet. */
async function undecodable(
  reader: Reader,
  store: Store,
  { fix = false, signal, onEntry }: CheckOptions,
  keyOf: (text: string) => string,
  known: readonly EngineProblem[],
): Promise<Pick<Found, "problems" | "isCut">> {
  const knownKeys = new Set(known.map((problem) => problem.key));
  const problems: EngineProblem[] = [];
  const turns = new Turns();
  try {
    for await (const text of store.keys()) {
      if (turns.due()) await turns.next();
      if (signal?.aborted) return { problems, isCut: true };
      if (!knownKeys.has(text)) {
        const problem = await problemOf(reader, store, fix, keyOf, text);
        if (problem !== undefined) problems.push(problem);
      }
      onEntry?.();
    }
  } catch (error) {
    // A store that is too damaged to be listed: what the engine has found must not be lost.
    const isOfStore = error instanceof EngineError || error instanceof DecodeError;
    if (!isOfStore || !known.some(({ kind }) => kind === "damaged")) throw error;
  }
  return { problems, isCut: false };
}

/** What is wrong with the entry under a key; what is damaged goes, with `fix`. */
async function problemOf(
  reader: Reader,
  store: Store,
  fix: boolean,
  keyOf: (text: string) => string,
  text: string,
): Promise<EngineProblem | undefined> {
  try {
    const key = keyOf(text);
    decodeKey(key);
    const entry = await store.getValue(text);
    if (entry !== undefined) await reader.read(entry, key);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // What can't be judged here may be healthy elsewhere: it stays.
    const fixed = fix && error.kind === "damaged" && await store.delete(text);
    return { kind: error.kind, key: text, detail: error.message, fixed };
  }
}

function keyOfVersion(text: string): string {
  return parseSideKey(text)?.key ?? text;
}

/** A problem of an earlier version, under the key that it is a version of. */
function ofVersion(problem: EngineProblem): StashProblem {
  const parsed = problem.key === undefined ? undefined : parseSideKey(problem.key);
  if (parsed === undefined) return withDecodedKey(problem);
  const detail = `Version ${parsed.version}: ${problem.detail}`;
  return withDecodedKey({ ...problem, key: parsed.key, detail });
}

function withDecodedKey(problem: EngineProblem): StashProblem {
  return problem.key === undefined ? problem : { ...problem, key: safeDecodeKey(problem.key) };
}
