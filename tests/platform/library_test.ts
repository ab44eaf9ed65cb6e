/** Packages that are loaded when they are used. */
import { assertEquals } from "@std/assert";
import { walk } from "@std/fs/walk";
import { ROOT } from "../../dev/run.ts";
import { specifierOf } from "../../platform/library.ts";
import config from "../../deno.json" with { type: "json" };

Deno.test("packages are imported in the versions that the tests have", async () => {
  const imports: Record<string, string> = { ...config.imports, "@deno/kv": "npm:@deno/kv@^0.14.0" };
  const found = new Set<string>();
  for await (
    const { path } of walk(ROOT, { exts: [".ts"], skip: [/\/(tests|dev|node_modules)\//] })
  ) {
    const source = await Deno.readTextFile(path);
    for (const [, name, versions] of source.matchAll(/name: "([^"]+)",\s*versions: "([^"]+)"/g)) {
      assertEquals(specifierOf({ name, versions }), imports[name], path);
      found.add(name);
    }
  }
  assertEquals([...found].sort(), ["@deno/kv", "cli-progress", "lz4-wasm-nodejs", "msgpackr"]);
});
