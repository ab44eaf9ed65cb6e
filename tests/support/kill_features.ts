/**
 * What the process that is killed at a system call does with what is built on entries: limits, tags,
 * results of functions, deadlines and histories that are loaded. Step by step, for it and for its
 * judge.
 */
import { HashStash, type HashStashOptions, type StashedFunction } from "../../mod.ts";

/** The most entries of the stash with limits. */
export const MOST = 8;

/** The tags that are used. */
export const TAGS = ["one", "two"];

/** The key whose history is loaded. */
export const LOADED = "loaded";

/** How long a lease lasts, ms: the judge waits for those of the killed. */
const LEASE = 200;

/** The stashes, all of one name, and a function. */
export class Features implements AsyncDisposable {
  readonly tagged: HashStash<string, string>;
  readonly limited: HashStash<string, string>;
  readonly history: HashStash<string, string>;
  readonly shout: StashedFunction<[text: string], string>;

  constructor(options: HashStashOptions) {
    this.tagged = new HashStash(options);
    this.limited = new HashStash({ ...options, dbname: "limited", maxEntries: MOST });
    this.history = new HashStash({ ...options, dbname: "history", appendMode: true });
    const shout = (text: string) => text.toUpperCase();
    this.shout = this.tagged.stashedResult(shout, { name: "shout", lease: LEASE });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stash of [this.tagged, this.limited, this.history]) await stash.close();
  }
}

/** What is there once steps have been acknowledged. */
export interface Left {
  /** By their keys, those with tags. */
  tagged: Map<string, { value: string; tags: string[] }>;
  /** What has been stored under limits, and may have been evicted. */
  limited: Map<string, string>;
  /** The versions of the key whose history is loaded. */
  history: string[];
  /** What the function has been called with. */
  called: Set<string>;
}

/** One call, and what it changes of what is there. */
export interface FeatureStep {
  run(features: Features): Promise<unknown>;
  leave?(left: Left): void;
}

/** The steps of a round; each round has values of its own. */
export function featureSteps(round: number): FeatureStep[] {
  const tag = (key: string, tags: string[], length = 100): FeatureStep => {
    const value = `${round} ${key} ${tags} `.padEnd(length, "-");
    return {
      run: ({ tagged }) => tagged.set(key, value, { tags }),
      leave: ({ tagged }) => void tagged.set(key, { value, tags }),
    };
  };
  const limit = (from: number, count: number): FeatureStep => {
    const pairs = Array.from({ length: count }, (_, i): [string, string] => {
      return [`${round} ${from + i}`, `limited ${from + i}`];
    });
    return {
      run: ({ limited }) => count === 1 ? limited.set(...pairs[0]) : limited.setMany(pairs),
      leave: ({ limited }) => pairs.forEach(([key, value]) => limited.set(key, value)),
    };
  };
  const history = [1, 2, 3].map((version) => `${round}, version ${version}`);
  return [
    tag("a", ["one"]),
    tag("b", ["one", "two"]),
    limit(0, 6),
    limit(6, 1),
    limit(7, 4),
    // Larger than what DiskCache keeps in its table.
    tag("c", ["two"], 80_000),
    {
      run: ({ shout }) => shout(`round ${round}`),
      leave: ({ called }) => void called.add(`round ${round}`),
    },
    {
      run: ({ tagged }) => tagged.invalidate({ tags: TAGS }),
      leave: ({ tagged }) => tagged.clear(),
    },
    tag("b", ["two"]),
    {
      run: ({ history }) => history.set(LOADED, `${round}, set`),
      leave: (left) => void (left.history = [...left.history, `${round}, set`]),
    },
    {
      run: async ({ history: stash }) => {
        const key = stash.encodeKey(LOADED);
        const values = await Promise.all(history.map((text) => stash.encodeValue(text)));
        return await stash.load(values.map((value, i) => ({ key, value, version: i + 1 })));
      },
      leave: (left) => void (left.history = history),
    },
    { run: ({ tagged }) => tagged.set("short", "gone", { ttl: 1 }) },
    { run: ({ tagged }) => tagged.prune() },
  ];
}
