/** What is particular to the postgres engine. */
import { behaviours } from "../stash/behaviours/mod.ts";
import { contractTests } from "../support/contract.ts";
import { killTests } from "../support/kill.ts";
import { processTests } from "../support/processes.ts";
import { stashProcessesTest } from "../support/stash_processes.ts";

contractTests("postgres");
behaviours("postgres");
processTests("postgres");
killTests("postgres");
stashProcessesTest("postgres");
