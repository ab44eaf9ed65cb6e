/**
 * Whether what was read was fresh. Every value says when it was made of its source; here a source
 * has another version at each nanosecond, so that this time is the version that was read.
 *
 * The rule: a read must not give a value that a removal is about, when the removal began after the
 * value's source was read, and had ended before the read began. What overlaps may come out either
 * way.
 *
 * - A removal is an invalidation of a tag that the value has, or of a prefix that its key begins
 *   with, or a `delete` of its key.
 * - A run reads its source when it begins. What is set is decided when it is set: at whatever time
 *   before `set` has resolved; where the process was killed before, until its end.
 */

/** Times, ns, by a clock that all processes have in common. */
interface Span {
  readonly called: number;
  readonly returned: number;
}

/** A value, as it is stored. */
export interface Made {
  readonly id: string;
  /** Which process made it: its number, of all that there were. */
  readonly by: number;
  readonly kind: "set" | "run";
  /** When its source was read. */
  readonly at: number;
  readonly store: string;
  readonly key: string;
  readonly tags: readonly string[];
}

/** What a process did. */
export type Act =
  | Span & { readonly kind: "set"; readonly id: string }
  | Span & { readonly kind: "read"; readonly value: Made | null; readonly way: string }
  | Span & { readonly kind: "remove"; readonly about: readonly Subject[] }
  | Span & { readonly kind: "list" };

/** What a removal is about. */
export interface Subject {
  readonly tag?: string;
  readonly store?: string;
  readonly key?: string;
  readonly prefix?: string;
}

/** What was read and should not have been. */
export interface Violation {
  readonly read: Act;
  readonly removal: Act;
}

/** Whether a removal is about a value. */
function isAbout({ tag, store, key, prefix }: Subject, made: Made): boolean {
  if (tag !== undefined) return made.tags.includes(tag);
  if (store !== made.store) return false;
  return prefix === undefined ? key === made.key : made.key.startsWith(prefix);
}

/**
 * The first read against the rule.
 *
 * @param deaths When each process had ended, by its number, where it was killed.
 */
export function staleRead(
  acts: readonly Act[],
  deaths: ReadonlyMap<number, number>,
): Violation | undefined {
  const setAt = new Map<string, number>();
  const removals = new Map<string, { about: Subject; acts: (Act & { kind: "remove" })[] }>();
  for (const act of acts) {
    if (act.kind === "set") setAt.set(act.id, act.returned);
    if (act.kind !== "remove") continue;
    for (const about of act.about) {
      const name = JSON.stringify(about);
      if (!removals.has(name)) removals.set(name, { about, acts: [] });
      removals.get(name)!.acts.push(act);
    }
  }
  // Of those that began from one on, the one that ended first.
  const ordered = Array.from(removals.values(), ({ about, acts }) => {
    acts.sort((a, b) => a.called - b.called);
    const firstToEnd = [...acts];
    for (let i = acts.length - 2; i >= 0; i--) {
      if (firstToEnd[i + 1].returned < firstToEnd[i].returned) firstToEnd[i] = firstToEnd[i + 1];
    }
    return { about, acts, firstToEnd };
  });
  for (const read of acts) {
    if (read.kind !== "read" || read.value === null) continue;
    const { kind, id, by, at } = read.value;
    const since = kind === "run" ? at : setAt.get(id) ?? deaths.get(by) ?? Infinity;
    for (const { about, acts, firstToEnd } of ordered) {
      if (!isAbout(about, read.value)) continue;
      const removal = firstToEnd[firstAfter(acts, since)];
      if (removal !== undefined && removal.returned < read.called) return { read, removal };
    }
  }
}

/** The index of the first that was called after a time. */
function firstAfter(acts: readonly Act[], time: number): number {
  let [low, high] = [0, acts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (acts[middle].called > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
