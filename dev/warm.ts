/**
 * Fetches the packages that programs load while they run, if they are not there yet: a test that
 * judges what a program prints, or how little it may do, must not meet a download.
 */
import config from "../deno.json" with { type: "json" };

for (const specifier of Object.values(config.imports)) {
  // What can't be fetched or loaded here the tests that need it will say.
  if (specifier.startsWith("npm:")) await import(specifier).catch(() => undefined);
}
