/**
 * Whether what several processes saw of one key can be told as a story: each operation took effect
 * at one moment between its call and its return. The search of Wing and Gong ("Testing and
 * Verifying Concurrent Objects", 1993), event by event: as each process has one operation under way
 * at most, only few orders are possible at any time.
 */

/** One operation on a key, and what it gave. */
export interface Operation {
  readonly kind: "get" | "has" | "set" | "delete" | "pop" | "setDefault";
  /** What was to be stored. */
  readonly argument?: number;
  /** What it gave; `null` for no value. */
  readonly result: number | boolean | null;
  /** By one clock of the machine, ns. */
  readonly called: number;
  readonly returned: number;
}

/** A value, or `null` for none. */
type State = number | null;

/** What could have happened so far. */
interface Story {
  readonly state: State;
  /** Of the operations under way, those that have taken effect. */
  readonly done: ReadonlySet<Operation>;
}

/** The operation at which every story ends; `undefined`: there is one of all of them. */
export function violation(operations: readonly Operation[]): Operation | undefined {
  const events = operations.flatMap((operation) => [
    { time: operation.called, isReturn: false, operation },
    { time: operation.returned, isReturn: true, operation },
  ]);
  // Of events at one time, calls first: that leaves the most possible.
  events.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
  const open = new Set<Operation>();
  let stories: Story[] = [{ state: null, done: new Set() }];
  for (const { isReturn, operation } of events) {
    if (!isReturn) {
      open.add(operation);
      continue;
    }
    const next = new Map<string, Story>();
    for (const story of stories) {
      for (const { state, done } of untilDone(story, operation, open)) {
        const rest = new Set(done);
        rest.delete(operation);
        const name = JSON.stringify([state, [...open].map((other) => rest.has(other))]);
        next.set(name, { state, done: rest });
      }
    }
    open.delete(operation);
    if (next.size === 0) return operation;
    stories = [...next.values()];
  }
  return undefined;
}

/** The ways to go on until the operation has taken effect. */
function* untilDone(
  story: Story,
  wanted: Operation,
  open: ReadonlySet<Operation>,
): Generator<Story> {
  if (story.done.has(wanted)) {
    yield story;
    return;
  }
  for (const operation of open) {
    if (story.done.has(operation)) continue;
    const state = after(story.state, operation);
    if (state === undefined) continue;
    yield* untilDone({ state, done: new Set(story.done).add(operation) }, wanted, open);
  }
}

/** What is stored after an operation; `undefined`: it can't have given what it gave. */
function after(
  state: State,
  { kind, argument, result }: Operation,
): State | undefined {
  switch (kind) {
    case "get":
      return result === state ? state : undefined;
    case "has":
      return result === (state !== null) ? state : undefined;
    case "set":
      return argument ?? null;
    case "delete":
      return result === (state !== null) ? null : undefined;
    case "pop":
      return result === state ? null : undefined;
    case "setDefault":
      return state === null
        ? result === argument ? argument : undefined
        : result === state
        ? state
        : undefined;
  }
}
