/** What the process that is killed at a system call does, step by step, for it and for its judge. */

import type { EngineName } from "./bed.ts";

/** The engines that keep files. */
export const KEPT_IN_FILES: readonly EngineName[] = [
  "pairtree",
  "sqlite",
  "shelve",
  "pickledb",
  "diskcache",
  "lmdb",
];

/** One call of a stash, and what it is to leave. */
export interface Step {
  readonly call: "set" | "setMany" | "delete" | "deleteMany" | "modify" | "append";
  /** The values afterwards; `undefined`: absent. */
  readonly leaves: readonly (readonly [key: string, value: string | undefined])[];
}

/** The list of versions, which each `append` makes longer. */
export const LOG = "log";

/** Text that no compressor makes small; of this many characters. */
function text(name: string, length: number): string {
  let state = 1;
  for (const character of name) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193);
  let result = `${name}:`;
  while (result.length < length) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x9e3779b9 | 0;
    result += (state >>> 0).toString(36);
  }
  return result;
}

/** The steps of a round. They take long to repeat themselves: each round has values of its own. */
export function stepsOf(round: number): Step[] {
  const value = (key: string, length = 100): [string, string] => [
    key,
    text(`${round} ${key}`, length),
  ];
  return [
    { call: "set", leaves: [value("small")] },
    // Larger than what DiskCache keeps in its table, and than a value of Deno KV.
    { call: "set", leaves: [value("large", 80_000)] },
    { call: "append", leaves: [value(LOG)] },
    { call: "setMany", leaves: [value("one"), value("two", 80_000), value("three")] },
    { call: "modify", leaves: [value("small", 200)] },
    { call: "delete", leaves: [["one", undefined]] },
    { call: "append", leaves: [value(LOG, 300)] },
    { call: "deleteMany", leaves: [["two", undefined], ["three", undefined]] },
    { call: "set", leaves: [value("large", 90_000)] },
  ];
}
