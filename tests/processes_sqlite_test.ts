import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";
import { DRIVERS } from "./_sqlite_drivers.ts";

for (const driver of DRIVERS) {
  processTests("sqlite", { driver }, `sqlite (${driver})`);
  killTests("sqlite", { driver }, { label: `sqlite (${driver})` });
}
