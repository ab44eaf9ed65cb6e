import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";

processTests("shelve");
killTests("shelve");
