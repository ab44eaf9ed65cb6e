/** The commands, in the order in which `--help` lists them. */
import type { Command } from "./command.ts";
import { check, clear, prune, stats } from "./maintenance.ts";
import { get, ls, rm, set } from "./entries.ts";
import { profile } from "./profile.ts";
import { copy, exportEntries, importEntries } from "./transfer.ts";

/** The commands. */
export const COMMANDS: readonly Command[] = [
  ls,
  get,
  set,
  rm,
  clear,
  stats,
  copy,
  exportEntries,
  importEntries,
  check,
  prune,
  profile,
];
