/**
 * The computations under way in this process, by the store and the key of their results: what
 * writes or removes a key tells them that they have been overtaken, and what they bring is not
 * stored.
 */
const places = new Map<string, Map<string, Set<Run>>>();

/** A computation under way. */
export interface Run {
  /** Somebody has decided otherwise since it began. */
  overtaken(): void;
}

/** Makes a run known until what is returned is called. */
export function registerRun(place: string, key: string, run: Run): () => void {
  let keys = places.get(place);
  if (keys === undefined) places.set(place, keys = new Map());
  let runs = keys.get(key);
  if (runs === undefined) keys.set(key, runs = new Set());
  runs.add(run);
  return () => {
    runs.delete(run);
    if (runs.size > 0 || keys.get(key) !== runs) return;
    keys.delete(key);
    if (keys.size === 0 && places.get(place) === keys) places.delete(place);
  };
}

/** Whether any computation is under way: without one, there is nobody to tell. */
export function hasRuns(): boolean {
  return places.size > 0;
}

/** Tells the runs of all stores that are meant. */
export function overtakeRunsOf(isMeant: (place: string) => boolean): void {
  for (const place of [...places.keys()]) if (isMeant(place)) overtakeRuns(place);
}

/** Tells the runs of a key, of those that are meant, or of all keys of the store. */
export function overtakeRuns(place: string, key: string | ((key: string) => boolean) = all): void {
  const keys = places.get(place);
  if (keys === undefined) return;
  const told = typeof key === "string"
    ? [keys.get(key) ?? []]
    : Array.from(keys).filter(([of]) => key(of)).map(([, runs]) => runs);
  for (const runs of told) for (const run of [...runs]) run.overtaken();
}

const all = () => true;
