/** Looking at everything that a stash has stored. */
import { decodeKey } from "../codec/mod.ts";
import { DecodeError } from "../codec/errors.ts";
import type { CompleteEngine } from "../engines/complete.ts";
import type { EngineProblem } from "../engines/engine.ts";
import { safeDecodeKey } from "./guard.ts";
import type { Session } from "./handle.ts";
import { checkVersions } from "./versions.ts";
import type { StashCheck, StashProblem } from "./types.ts";

/** What the engine finds, what can't be decoded, and in append mode what belongs to no key. */
export async function checkStash(
  session: Session,
  store: CompleteEngine,
  fix: boolean,
): Promise<StashCheck> {
  const found = await store.check({ fix });
  const problems: StashProblem[] = found.problems.map(withDecodedKey);
  problems.push(...await undecodable(session, store, fix, found.problems));
  let checked = found.checked;
  if (session.options.appendMode) {
    const archive = await session.archive();
    for (const report of [await archive.check({ fix }), await checkVersions(store, archive, fix)]) {
      problems.push(...report.problems.map(withDecodedKey));
    }
    checked += await archive.size();
  }
  return { ok: problems.every((problem) => problem.fixed), checked, problems };
}

/** Decodes every value; those that can't be and the engine has not found already. */
async function undecodable(
  session: Session,
  store: CompleteEngine,
  fix: boolean,
  known: readonly EngineProblem[],
): Promise<StashProblem[]> {
  const knownKeys = new Set(known.map((problem) => problem.key));
  const problems: StashProblem[] = [];
  for await (const text of store.keys()) {
    if (knownKeys.has(text)) continue;
    try {
      decodeKey(text);
      const entry = await store.getValue(text);
      if (entry !== undefined) await session.read(entry, text);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const fixed = fix && await store.delete(text);
      problems.push({
        kind: "undecodable",
        key: safeDecodeKey(text),
        detail: error.message,
        fixed,
      });
    }
  }
  return problems;
}

function withDecodedKey(problem: EngineProblem): StashProblem {
  return problem.key === undefined ? problem : { ...problem, key: safeDecodeKey(problem.key) };
}
