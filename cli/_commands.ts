/** The commands, in the order in which `--help` lists them. */
import type { Command } from "./_command.ts";
import { check, clear, prune, stats } from "./_maintenance.ts";
import { get, ls, rm, set } from "./_entries.ts";
import { profile } from "./_profile.ts";
import { copy, exportEntries, importEntries } from "./_transfer.ts";

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
