import { DecodeError } from "../codec/errors.ts";
import type { Awaitable, Engine, EngineCheck, EngineProblem, Entry, NewEntry } from "./engine.ts";
import { Turns } from "../platform/timers.ts";

/** An engine with every method of the interface. */
export type CompleteEngine = Required<Engine>;

/** How many calls a derived batch keeps in flight. */
const IN_FLIGHT = 32;
/** How many entries a derived iteration reads at once. */
const PAGE = 128;

/** Adds to an engine the optional methods that it lacks, made of those it has. */
export function complete(engine: Engine): CompleteEngine {
  const get = (key: string) => engine.get(key);
  const remove = (key: string) => engine.delete(key);
  const getMany = (keys: string[]) => engine.getMany?.(keys) ?? each(keys, get);
  const entries = (prefix?: string) => engine.entries?.(prefix) ?? pages(prefix);

  async function* pages(prefix?: string): AsyncGenerator<[string, Entry]> {
    let page: string[] = [];
    for await (const key of engine.keys(prefix)) {
      if (page.push(key) < PAGE) continue;
      yield* read(page);
      page = [];
    }
    yield* read(page);
  }

  async function* read(page: string[]): AsyncGenerator<[string, Entry]> {
    const found = await getMany(page);
    for (const [i, entry] of found.entries()) {
      if (entry !== undefined) yield [page[i], entry];
    }
  }

  async function has(key: string): Promise<boolean> {
    return await engine.get(key) !== undefined;
  }

  async function setMany(pairs: [string, NewEntry][]): Promise<void> {
    // In flight together, the earlier pair of a key could land last.
    await each([...new Map(pairs)], ([key, entry]) => engine.set(key, entry));
  }

  async function deleteMany(keys: string[]): Promise<number> {
    const removed = await each([...new Set(keys)], remove);
    return removed.filter((was) => was).length;
  }

  async function check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    const problems: EngineProblem[] = [];
    let checked = 0;
    for await (const key of engine.keys()) {
      checked++;
      try {
        await engine.get(key);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        if (fix) await engine.delete(key);
        problems.push({ kind: "damaged", key, detail: error.message, fixed: fix });
      }
    }
    return { checked, problems };
  }

  async function byteSize(): Promise<number> {
    const encoder = new TextEncoder();
    let bytes = 0;
    for await (const [key, { value }] of entries()) {
      bytes += encoder.encode(key).byteLength + value.byteLength;
    }
    return bytes;
  }

  return {
    name: engine.name,
    get path() {
      return engine.path;
    },
    get supports() {
      return engine.supports;
    },
    get evictions() {
      return engine.evictions ?? 0;
    },
    open: () => engine.open(),
    close: () => engine.close(),
    get,
    set: (key, entry) => engine.set(key, entry),
    delete: remove,
    compareAndSet: (key, expected, next) => engine.compareAndSet(key, expected, next),
    keys: (prefix) => engine.keys(prefix),
    size: () => engine.size(),
    clear: (deep) => engine.clear(deep),
    has: (key) => engine.has?.(key) ?? has(key),
    getMany,
    getValue: (key) => engine.getValue === undefined ? engine.get(key) : engine.getValue(key),
    getValues: (keys) => engine.getValues === undefined ? getMany(keys) : engine.getValues(keys),
    setMany: (pairs) => engine.setMany === undefined ? setMany(pairs) : engine.setMany(pairs),
    deleteMany: (keys) => engine.deleteMany?.(keys) ?? deleteMany(keys),
    entries,
    prune: () => engine.prune?.() ?? 0,
    check: (options) => engine.check?.(options) ?? check(options),
    byteSize: () => engine.byteSize?.() ?? byteSize(),
  };
}

/** Calls `fn` with each item, a bounded number in flight; results in the order of the items. */
export async function each<T, R>(
  items: readonly T[],
  fn: (item: T, index: number) => Awaitable<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const turns = new Turns();
  let next = 0;
  async function work(): Promise<void> {
    while (next < items.length) {
      if (turns.due()) {
        await turns.next();
        continue;
      }
      const i = next++;
      const result = fn(items[i], i);
      // A synchronous engine answers at once: a turn of the event loop for each would cost more
      // than the answer.
      results[i] = result instanceof Promise ? await result : result;
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, items.length) }, work));
  } finally {
    next = items.length;
  }
  return results;
}
