/** What `check` does: it looks at all entries of a store, at its chunks and at the pointers to them. */
import { DecodeError } from "../../codec/errors.ts";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import { messageOf } from "../errors.ts";
import type { KvEntry } from "../../platform/kv.ts";
import { isDamage } from "./client.ts";
import { isPointer } from "./format.ts";
import type { KvStore } from "./store.ts";

/** How old chunks without an entry must be to be taken for left behind, ms. */
const ORPHAN_AGE = 600_000;

/** Checks a store. */
export async function checkStore(
  store: KvStore,
  fix: boolean,
  signal?: AbortSignal,
): Promise<EngineCheck> {
  const problems: EngineProblem[] = [];
  let checked = 0;
  try {
    for await (const found of store.rows()) {
      if (signal?.aborted) return { checked, problems };
      const isEntry = !isPointer(found.key);
      if (isEntry) checked++;
      const problem = isEntry
        ? await checkEntry(store, found, fix)
        : await store.chunks.checkPointer(found, fix);
      if (problem !== undefined) problems.push(problem);
    }
    problems.push(...await store.chunks.sweep({ fix, before: Date.now() - ORPHAN_AGE }));
  } catch (error) {
    if (!isDamage(error)) throw error;
    // Deno KV gives up on a range where a part of it is damaged.
    const detail = `the database is damaged, the rest of it can't be read: ${messageOf(error)}`;
    problems.push({ kind: "damaged", detail, fixed: false });
  }
  return { checked, problems };
}

async function checkEntry(
  store: KvStore,
  found: KvEntry,
  fix: boolean,
): Promise<EngineProblem | undefined> {
  const id = store.keys.idOf(found.key);
  const key = await store.textOf(found);
  const detail = key === undefined
    ? "the text of its key is lost"
    : await damageOf(store, key, found);
  if (detail === undefined) return undefined;
  const fixed = fix && await store.remove(id, await store.revisionOf(id, found));
  return { kind: "damaged", key: key ?? `${id[0]}…`, detail, fixed };
}

/** What is wrong with an entry, if anything. */
async function damageOf(store: KvStore, key: string, found: KvEntry): Promise<string | undefined> {
  try {
    await store.read(key, found);
    return undefined;
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}
