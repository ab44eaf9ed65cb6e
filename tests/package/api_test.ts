/** The public API is what tests/package/api.txt says. */
import { assertEquals } from "@std/assert";
import { API_FILE, apiText } from "../../dev/api.ts";
import config from "../../deno.json" with { type: "json" };

Deno.test("the public API is the one that was written down", async () => {
  const [now, written] = [await apiText(), await Deno.readTextFile(API_FILE)];
  const gone = without(written, now);
  const added = without(now, written);
  const message = "The public API has changed: if it is meant, `deno task api` writes it down";
  assertEquals({ gone, added }, { gone: [], added: [] }, message);
  assertEquals(now, written, message);
  const entries = now.split("\n").filter((line) => line.startsWith("# "));
  assertEquals(entries, Object.keys(config.exports).map((entry) => `# ${entry}`));
});

/** The paragraphs of a text that another one lacks. */
function without(text: string, other: string): string[] {
  const known = new Set(other.split("\n\n"));
  return text.split("\n\n").filter((paragraph) => !known.has(paragraph));
}
