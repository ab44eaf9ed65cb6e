/** Looking at everything that a store keeps. */
import { DecodeError } from "../codec/errors.ts";
import { decodeKey } from "../codec/key.ts";
import type { Store } from "../engines/complete.ts";
import type { EngineProblem } from "../engines/engine.ts";
import { EngineError, safeDecodeKey } from "../engines/errors.ts";
import type { StoredEntry } from "./header.ts";
import type { StashCheck, StashProblem } from "./types.ts";

/** Who decodes values: a handle. */
interface Reader {
  read(entry: Pick<StoredEntry, "value">, text: string): unknown;
}

/** What the engine, and what stands around it, finds, and what can't be decoded. */
export async function checkStore(reader: Reader, store: Store, fix: boolean): Promise<StashCheck> {
  const { checked, problems: found } = await store.check({ fix });
  const problems: StashProblem[] = found.map(withDecodedKey);
  problems.push(...await undecodable(reader, store, fix, found));
  const isOk = ({ kind, fixed }: StashProblem) => fixed || kind === "unknown" || kind === "foreign";
  return { ok: problems.every(isOk), checked, problems };
}

/** Decodes every value; those that can't be and are not known yet. */
async function undecodable(
  reader: Reader,
  store: Store,
  fix: boolean,
  known: readonly EngineProblem[],
): Promise<StashProblem[]> {
  const knownKeys = new Set(known.map((problem) => problem.key));
  const problems: StashProblem[] = [];
  try {
    for await (const text of store.keys()) {
      if (knownKeys.has(text)) continue;
      const problem = await problemOf(reader, store, fix, text);
      if (problem !== undefined) problems.push(problem);
    }
  } catch (error) {
    // A store that is too damaged to be listed: what the engine has found must not be lost.
    const isOfStore = error instanceof EngineError || error instanceof DecodeError;
    if (!isOfStore || !known.some(({ kind }) => kind === "damaged")) throw error;
  }
  return problems;
}

/** What is wrong with the entry under a key; what is damaged goes, with `fix`. */
async function problemOf(
  reader: Reader,
  store: Store,
  fix: boolean,
  text: string,
): Promise<StashProblem | undefined> {
  try {
    decodeKey(text);
    const entry = await store.getValue(text);
    if (entry !== undefined) await reader.read(entry, text);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // What can't be judged here may be healthy elsewhere: it stays.
    const fixed = fix && error.kind === "damaged" && await store.delete(text);
    return { kind: error.kind, key: safeDecodeKey(text), detail: error.message, fixed };
  }
}

function withDecodedKey(problem: EngineProblem): StashProblem {
  return problem.key === undefined ? problem : { ...problem, key: safeDecodeKey(problem.key) };
}
