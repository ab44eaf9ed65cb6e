import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";

processTests("lmdb");
killTests("lmdb");
