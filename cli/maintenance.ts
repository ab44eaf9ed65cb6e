/** The commands on whole stashes: clear, invalidate, stats, stores, check, prune. */
import { batches } from "../engines/each.ts";
import { DecodeError, EngineError, type HashStash } from "../mod.ts";
import { checkInvalidate } from "../store/selection.ts";
import { showKey, showText } from "../store/show.ts";
import {
  type Command,
  confirmed,
  FAILED,
  OK,
  onlyPositionals,
  orEmpty,
  stashOf,
  tagOption,
  tagsOf,
  UsageError,
  usageErrorOf,
  YES,
} from "./command.ts";
import { print, printJSON } from "./io.ts";
import { Interrupted, type LongRun, longRun, QUIET } from "./long_run.ts";

/**
 * Engines that remove one entry after the other, or part by part, in any case: there it can be shown,
 * and be interrupted. The others do it at once, all or nothing.
 */
const ONE_BY_ONE: readonly string[] = ["pairtree", "diskcache", "redis", "shelve"];
/** How many are removed together. */
const REMOVED_AT_ONCE = 500;

/** Removes all entries. */
export const clear: Command = {
  name: "clear",
  usage: "[--yes]",
  summary: "Removes all entries of the stash; asks first",
  details: `Ctrl-C ends it between two entries in ${ONE_BY_ONE.join(", ")}.\n` +
    "Elsewhere, and in the stashes inside it, a store's entries are removed all at once.",
  options: {
    ...YES,
    ...QUIET,
    deep: { type: "boolean", help: "Also those of the stashes inside it" },
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const deep = invocation.values.deep === true;
    const named = stashOf(invocation);
    await using stash = await orEmpty(named, { deep });
    // How many the stashes inside it have, nothing tells.
    const removed = deep ? undefined : await stash.size();
    const entries = deep
      ? "all entries, those of the stashes inside it too,"
      : `${removed} entries`;
    const what = `Remove ${entries} of stash "${named.name}" in ${named.path}`;
    if (!confirmed(invocation, what)) return FAILED;
    const clearAll = async (run: LongRun) => {
      if (ONE_BY_ONE.includes(stash.engine)) await removeEach(stash, run);
      if (run.stops()) {
        throw new Interrupted(`${run} are removed: run it again to remove the rest`);
      }
      // Also what is damaged and what the stash keeps for itself.
      await stash.clear({ deep });
      if (invocation.json) await printJSON(deep ? { deep } : { removed });
      else await print(`Removed ${deep ? "all entries" : entries}`);
      return OK;
    };
    return await longRun(
      invocation,
      "clear",
      clearAll,
      removed === undefined ? undefined : () => Promise.resolve(removed),
    );
  },
};

/** Removes the entries that can be listed, until the signal is aborted. */
async function removeEach(stash: HashStash, run: LongRun): Promise<void> {
  try {
    for await (const keys of batches(stash.keys(), REMOVED_AT_ONCE)) {
      if (run.stops()) return;
      run.step(await stash.deleteMany(keys));
    }
  } catch (error) {
    // Damage: clear, which comes next, needs no list, or says what is wrong.
    if (!(error instanceof DecodeError || error instanceof EngineError)) throw error;
  }
}

/** Removes what has a tag, or begins with a prefix. */
export const invalidate: Command = {
  name: "invalidate",
  usage: "--tag TAG... | --prefix PREFIX",
  summary: "Removes the entries that have a tag, or whose keys begin with a prefix",
  details:
    "With --tag those of the stash and of its functions, with --prefix the text keys of the stash. When it ends,\n" +
    "no process is served one of them any more, and a result that was being computed is not kept. It does not ask:\n" +
    "what is named is meant.",
  options: {
    ...tagOption("Entries with the tag; given several times, with one of the tags"),
    prefix: { type: "string", value: "PREFIX", help: "Entries whose key is text that begins so" },
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const what = {
      tags: tagsOf(invocation),
      prefix: invocation.values.prefix as string | undefined,
    };
    if (what.tags === undefined && what.prefix === undefined) {
      throw new UsageError("Expected --tag or --prefix");
    }
    try {
      checkInvalidate(what);
    } catch (error) {
      throw usageErrorOf(error);
    }
    // Functions of the stash can have results though it has no entries of its own.
    await using stash = await orEmpty(stashOf(invocation), { deep: what.tags !== undefined });
    const removed = await stash.invalidate(what);
    if (invocation.json) await printJSON({ removed });
    else await print(`Removed ${removed} entries`);
    return OK;
  },
};

/** Describes the stash. */
export const stats: Command = {
  name: "stats",
  usage: "",
  summary: "Says where the stash is, how many entries it has and how large it is",
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const { name, dbname, engine, path } = stashOf(invocation);
    await using stash = await orEmpty(stashOf(invocation));
    const facts = {
      name,
      dbname,
      engine,
      path,
      entries: await stash.size(),
      bytes: await stash.byteSize(),
    };
    if (invocation.json) await printJSON(facts);
    else {
      for (const [name, value] of Object.entries(facts)) await print(`${name.padEnd(8)} ${value}`);
    }
    return OK;
  },
};

/** Lists what is inside. */
export const stores: Command = {
  name: "stores",
  usage: "",
  summary: "Lists the stash and all stores inside it, with what they hold",
  details:
    "Stashes inside it and the results of functions, also those that no program has open, if they have\n" +
    "entries. Bytes are those of keys and values, as they are stored. Looks at every entry.",
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const named = stashOf(invocation);
    await using stash = await orEmpty(named, { deep: true });
    const found = await stash.stores();
    if (invocation.json) await printJSON(found);
    else {
      const rows = found.map(({ dbname, kind, entries, bytes, lastWrite }) => [
        showText(dbname),
        kind,
        String(entries),
        String(bytes),
        lastWrite === undefined ? "" : new Date(lastWrite).toISOString(),
      ]);
      await printTable(["dbname", "kind", "entries", "bytes", "last write"], rows, [2, 3]);
    }
    return OK;
  },
};

/** Prints aligned columns below their titles; those with numbers to the right. */
async function printTable(
  titles: string[],
  rows: string[][],
  numbers: readonly number[],
): Promise<void> {
  const all = [titles, ...rows];
  const widths = titles.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  for (const row of all) {
    const cells = row.map((cell, i) =>
      numbers.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
    );
    await print(cells.join("  ").trimEnd());
  }
}

/** Looks for damage. */
export const check: Command = {
  name: "check",
  usage: "",
  summary: "Looks for damaged entries and leftovers; status 1 when some remain",
  details: "Ctrl-C ends it with what was found until then; what --fix has repaired stays so.",
  options: {
    fix: {
      type: "boolean",
      help: "Repairs what can be repaired and removes what can't; asks first",
    },
    ...YES,
    ...QUIET,
  },
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    const fix = invocation.values.fix === true;
    const named = stashOf(invocation);
    await using stash = await orEmpty(named);
    const what = `Repair stash "${named.name}" in ${named.path}, removing what can't be read`;
    if (fix && !confirmed(invocation, what)) return FAILED;
    const checkAll = async (run: LongRun) => {
      const onEntry = () => run.step();
      const { ok, checked, problems, interrupted } = await stash.check({
        fix,
        signal: run.signal,
        onEntry,
      });
      if (invocation.json) {
        await printJSON({
          ok,
          checked,
          interrupted,
          problems: problems.map((problem) => ({
            ...problem,
            key: problem.key === undefined ? undefined : stash.encodeKey(problem.key),
          })),
        });
      } else {
        for (const { kind, key, detail, fixed } of problems) {
          const where = key === undefined ? "" : ` ${showKey(key)}`;
          await print(`${fixed ? "fixed" : "found"}  ${kind}${where}: ${showText(detail)}`);
        }
        if (!interrupted) await print(`${checked} checked, ${problems.length} problems`);
      }
      if (interrupted) {
        throw new Interrupted(
          `${run} are checked, ${problems.length} problems: run it again to check all of them`,
        );
      }
      return ok ? OK : FAILED;
    };
    // In append mode the earlier versions are looked at too, which nobody has counted.
    const isAppending = invocation.values.append === true;
    return await longRun(
      invocation,
      "check",
      checkAll,
      isAppending ? undefined : () => stash.size(),
    );
  },
};

/** Drops what has expired. */
export const prune: Command = {
  name: "prune",
  usage: "",
  summary: "Drops what has expired",
  async run(invocation) {
    onlyPositionals(invocation.positionals, 0);
    await using stash = await orEmpty(stashOf(invocation));
    const pruned = await stash.prune();
    if (invocation.json) await printJSON({ pruned });
    else await print(`Dropped ${pruned} entries`);
    return OK;
  },
};
