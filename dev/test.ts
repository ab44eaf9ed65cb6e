/**
 * `deno task test [--install] [ARGUMENTS OF deno test]`: runs the tests.
 *
 * They use real backends and judges: a Redis server, Python's DiskCache, a browser for the plots.
 * What is missing is named, and the tests that need it fail. With `--install`, or in CI, it is
 * installed first, as `deno task setup` does: nobody else's machine is changed unasked.
 */
import { deno } from "./run.ts";
import { howToGet, installTools, missingTools } from "./tools.ts";

const INSTALL = "--install";
const mayInstall = Deno.args.includes(INSTALL) || Deno.env.get("CI") === "true";

let missing = await missingTools();
if (mayInstall) missing = await installTools(missing);
if (missing.length > 0) {
  console.error(
    [
      `Some tests are going to fail: these are missing${
        mayInstall ? " and could not be installed from here" : ""
      }.`,
      ...howToGet(missing),
      ...mayInstall ? [] : ["`deno task setup` installs them where it can"],
    ].join("\n"),
  );
}
await deno(["run", "-A", "--quiet", "dev/warm.ts"]);
const args = Deno.args.filter((arg) => arg !== INSTALL);
Deno.exit(await deno(["test", "-A", "--parallel", ...args]) ? 0 : 1);
