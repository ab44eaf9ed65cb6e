import { stashProcessesTest } from "./_stash_processes.ts";

stashProcessesTest("pickledb");
