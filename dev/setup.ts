/** `deno task setup`: installs what the tests need, on Debian and its kin; elsewhere says what. */
import { howToGet, installTools, missingTools } from "./tools.ts";

const missing = await installTools(await missingTools());
if (missing.length > 0) {
  console.error(["Cannot install these from here:", ...howToGet(missing)].join("\n"));
  Deno.exit(1);
}
console.log("All that the tests need is there");
