import { contractTests } from "./_contract.ts";
import { DRIVERS, FFI_ERROR } from "./_sqlite_drivers.ts";

if (FFI_ERROR !== undefined) {
  console.log(
    `Driver "@db/sqlite" does not load here, so the contract runs on node:sqlite alone ` +
      `(deno task test:jsr runs it on both): ${FFI_ERROR}`,
  );
}
for (const driver of DRIVERS) contractTests("sqlite", { driver }, `sqlite (${driver})`);
