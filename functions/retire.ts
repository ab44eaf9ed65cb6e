/** Which stores are functions', and doing away with those of sources and versions that have been replaced. */
import { parseFunctionName } from "../store/function_names.ts";
import type { Handle } from "../store/handle.ts";
import { RESERVED_DBNAMES } from "../store/options.ts";
import { functionNamesIn, hasContent } from "../store/stores.ts";

/** What a store can have without having results. */
const OF_ITSELF = [RESERVED_DBNAMES.leases, RESERVED_DBNAMES.use, RESERVED_DBNAMES.function];

const KEY = "function";
const VALUE = new TextEncoder().encode("true");

/**
 * Sees to it that the store of a function is known as that: to be awaited before the function's
 * result is stored.
 */
export async function markFunction(handle: Handle): Promise<void> {
  if (handle.bypass?.isDown) return;
  try {
    const marks = await handle.side(RESERVED_DBNAMES.function);
    if (await marks.has(KEY)) return;
    // Once, by whichever of several first calls: who is killed while it is written leaves none, and
    // the next one tidies up as it writes it. Later nobody writes here any more.
    await marks.compareAndSet(KEY, undefined, { value: VALUE, timestamp: Date.now() });
  } catch {
    // Where this can't be written the result can't either, and that is told.
  }
}

/**
 * Removes the stores that other sources and versions of a function's name have beside its own, with
 * all that is inside them; how many had anything in them. Runs of theirs store nothing any more.
 *
 * @param parent The stash that the function was given to.
 * @param own Where its results are.
 * @throws {TypeError} When the function has no name, or the engine can't tell what stores there are.
 */
export async function retire(parent: Handle, own: Handle, isNamed: boolean): Promise<number> {
  const name = nameOf(own)?.name;
  if (!isNamed && name === "anonymous") {
    throw new TypeError(
      "Cannot retire the earlier sources of a function without a name: other such functions can't be " +
        'told from them; give it a name ({ name: "…" })',
    );
  }
  return await parent.run("retire", async (store) => {
    if (store.supports.stores !== true) {
      throw new TypeError(
        `Cannot retire: the engine "${parent.engine}" does not tell which stores there are; ` +
          "give it the method stores, or clear what is out of use",
      );
    }
    const all = await functionNamesIn(store);
    const others = all.filter((other) =>
      parseFunctionName(other)?.name === name && other !== segmentOf(own)
    );
    let retired = 0;
    for (const other of others) {
      const handle = parent.sub(other, {}, "function");
      try {
        if (
          await handle.run(
            "retire",
            (store) => hasContent(store, OF_ITSELF),
          )
        ) retired++;
        // Also where nothing is yet: what is being computed is not to be stored.
        await handle.clear(true);
      } finally {
        await handle.close();
      }
    }
    return retired;
  });
}

function nameOf(handle: Handle) {
  return parseFunctionName(segmentOf(handle));
}

function segmentOf({ options: { dbname } }: Handle): string {
  return dbname.slice(dbname.lastIndexOf("/") + 1);
}
