/**
 * What JSR scores a package by, as its registry computes it when a version is published; 17 points
 * in all. And the package's page: README, and where its links lead.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { outputOf, ROOT } from "../../dev/run.ts";
import config from "../../deno.json" with { type: "json" };

const readText = (file: string) => Deno.readTextFile(join(ROOT, file));

/** A publication that stops before the upload. */
const dryRun = outputOf(["publish", "--dry-run", "--allow-dirty", "--no-check"]);

/** What is said of a document by `deno doc --json`, whose library JSR uses too. */
interface Doc {
  readonly module_doc?: { readonly doc?: string };
  readonly symbols: readonly { readonly name: string; readonly declarations: Declaration[] }[];
}

interface Declaration {
  readonly kind: string;
  readonly declarationKind: string;
  readonly jsDoc?: object;
  readonly def?: { readonly hasBody?: boolean };
}

/** The documentation of each entry point. */
async function docs(): Promise<Map<string, Doc>> {
  const { success, stdout, stderr } = await outputOf(
    ["doc", "--json", ...Object.values(config.exports)],
  );
  assert(success, stderr);
  const { nodes } = JSON.parse(stdout) as { nodes: Record<string, Doc> };
  return new Map(
    Object.entries(config.exports).map(([entry, file]) => {
      return [entry, nodes[pathToFileURL(join(ROOT, file)).href]];
    }),
  );
}

/** Which exported symbols JSR counts, each of its overloads, and whether it is documented. */
function countedSymbols(entry: string, { symbols }: Doc): [name: string, isDocumented: boolean][] {
  return symbols.flatMap(({ name, declarations }) => {
    const counted = declarations.filter(({ declarationKind }) => declarationKind !== "private");
    const hasOverloads = counted.length > 1 && counted.every(({ kind }) => kind === "function");
    return counted.filter(({ def }) => !(hasOverloads && def?.hasBody))
      .map(({ jsDoc }): [string, boolean] => [`${entry} ${name}`, jsDoc !== undefined]);
  });
}

Deno.test("JSR's score: all 17 points, of which the site's settings and CI make four", async () => {
  const readme = await readText("README.md");
  const entries = await docs();
  const undocumentedEntries = [...entries].filter(([, { module_doc }]) => !module_doc?.doc)
    .map(([entry]) => entry);
  const symbols = [...entries].flatMap(([entry, doc]) => countedSymbols(entry, doc));
  const undocumented = symbols.filter(([, isDocumented]) => !isDocumented).map(([name]) => name);
  assertEquals({ undocumentedEntries, undocumented }, {
    undocumentedEntries: [],
    undocumented: [],
  });
  const share = 1 - undocumented.length / symbols.length;
  // What JSR counts as slow types, `deno publish` refuses.
  const { success } = await dryRun;
  const publishing = await readText(".github/workflows/publish.yml");
  const points = {
    "a README or a module doc of the main entry point": 2,
    "an example in it": readme.includes("```") ? 1 : 0,
    "a module doc of every entry point": undocumentedEntries.length === 0 ? 1 : 0,
    "at least 80 % of the exported symbols documented": Math.floor(Math.min(share / 0.8, 1) * 5),
    "no slow types": success ? 5 : 0,
    // Made by `deno publish` in GitHub's CI when it may have an identity's token.
    "provenance": /id-token: write/.test(publishing) && /run: deno publish$/m.test(publishing)
      ? 1
      : 0,
    "a description, set on the site": 1,
    "one runtime that it is compatible with, set on the site": 1,
    "two of them": 1,
  };
  const sum = Object.values(points).reduce((sum, more) => sum + more);
  // JSR gives 18 and takes 17 for all of them.
  assertEquals(sum, 18, JSON.stringify(points));
});

Deno.test("JSR's page: each link in README leads to a file that is published, and a heading of it", async () => {
  const listed = await dryRun;
  assert(listed.success, listed.stderr);
  const root = pathToFileURL(join(ROOT, "/")).href;
  const published = new Set(
    Array.from(
      listed.stderr.matchAll(/^ +(file:\/\/\S+) \(/gm),
      ([, url]) => url.slice(root.length),
    ),
  );
  const readme = await readText("README.md");
  const links = Array.from(readme.matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link);
  const broken: string[] = [];
  for (const link of links.filter((link) => !/^https:/.test(link))) {
    // JSR resolves what is relative from the root of the package, or of its repository.
    const [file, heading] = link.split("#");
    if (file !== "" && !published.has(file)) broken.push(link);
    else if (heading && !headings(await readText(file || "README.md")).has(heading)) {
      broken.push(link);
    }
  }
  assertEquals(broken, []);
  assert(links.length > 20);
});

/** The anchors of a page's headings. */
function headings(page: string): Set<string> {
  return new Set(Array.from(page.matchAll(/^#+ (.*)$/gm), ([, heading]) => {
    return heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
  }));
}
