import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";

processTests("pairtree");

killTests("pairtree");
