/**
 * `deno task test:jsr`: the whole suite against the real JSR packages instead of this folder's
 * stand-ins, sqlite's contract on `@db/sqlite` too. Run it before a release, on a machine that
 * reaches JSR.
 */
import { join } from "node:path";
import { deno, ROOT } from "./run.ts";
import config from "../deno.json" with { type: "json" };

const CONFIG = "deno.jsr.json";
const { workspace: _standIns, ...published } = config;
await Deno.writeTextFile(
  join(ROOT, CONFIG),
  JSON.stringify({ ...published, lock: false }, undefined, 2),
);

const packages = Object.values(config.imports).filter((specifier) => specifier.startsWith("jsr:"));
if (!await deno(["cache", "--config", CONFIG, ...packages, "jsr:@db/sqlite@^0.13"])) {
  console.error(
    "Cannot run the tests against JSR: this machine does not reach it, or a package is missing there " +
      "(see above). `deno task test` runs them against the stand-ins in dev/",
  );
  Deno.exit(1);
}
// Before the tests: one in which a native library is loaded would have to unload it.
const preload = "--preload=./tests/support/sqlite_drivers.ts";
const test = ["test", "-A", "--parallel", "--config", CONFIG, preload, ...Deno.args];
Deno.exit(await deno(test) ? 0 : 1);
