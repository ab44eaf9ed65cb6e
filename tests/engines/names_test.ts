import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { encodeSegment } from "../../engines/location.ts";
import { claimNames, compareNames, sharedNames, storeNames } from "../../engines/names.ts";
import { EngineError, HashStash } from "../../mod.ts";
import { hasServer, PERSISTENT, TestBed } from "../support/bed.ts";

const MODE = 0o600;

async function inFolder(fn: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "hashstash_names_" });
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a name that is no file's name keeps 128 bits of its hash", () => {
  for (const text of ["My cache", "a/b", "é".repeat(100), "", "CON", "..", "x".repeat(200)]) {
    assertEquals(/^[A-Za-z0-9_-]{0,40}~[0-9a-f]{32}$/.test(encodeSegment(text)), true, text);
  }
  assertEquals(encodeSegment("my_cache.v2"), "my_cache.v2");
});

Deno.test("names that agree in 48 bits of their hash have places of their own", () => {
  // Found among 30 million: the places of older versions were the same.
  const start = "A name of more than forty characters in all, number ";
  const [one, other] = [`${start}6335796`, `${start}18599664`];
  assertEquals(encodeSegment(one).slice(0, 53), encodeSegment(other).slice(0, 53));
  assertEquals(encodeSegment(one) === encodeSegment(other), false);
});

Deno.test("what hashes stand for in a path is told, part by part", () => {
  const location = { rootDir: "/root", name: "My cache", dbname: "main/A b/c" };
  const folder = join("/root", encodeSegment("My cache"));
  const named = { path: folder, file: join(folder, ".name"), text: "My cache" };
  assertEquals(sharedNames(location, {}), [named]);
  const nested = join(folder, "pairtree", "main+", encodeSegment("A b"));
  assertEquals(storeNames("pairtree", location, {}), [
    named,
    { path: nested, file: `${nested}.name`, text: "A b" },
  ]);
  const given = `/given+/${encodeSegment("A b")}`;
  assertEquals(storeNames("pairtree", location, { path: "/given" }), [
    { path: given, file: `${given}.name`, text: "A b" },
  ]);
  assertEquals(sharedNames(location, { path: "/given" }), []);
  assertEquals(storeNames("pairtree", { ...location, name: "n", dbname: "main" }, {}), []);
});

Deno.test("a place belongs to the name that claimed it first", () =>
  inFolder(async (folder) => {
    const path = join(folder, "new", encodeSegment("A name"));
    const own = [{ path, file: `${path}.name`, text: "A name" }];
    compareNames(own);
    await claimNames(own, MODE);
    await claimNames(own, MODE);
    const taken = [{ ...own[0], text: "Another" }];
    const error = assertThrows(() => compareNames(taken), Error, '"A name"');
    assertEquals(error.message.includes("use another name"), true);
    await assertRejects(() => claimNames(taken, MODE), Error, '"A name"');
    assertEquals(await Deno.readTextFile(`${path}.name`), '"A name"\n');
  }));

Deno.test("of those who claim a place at once one gets it", () =>
  inFolder(async (folder) => {
    const path = join(folder, "place");
    const claims = ["A", "B", "C"].map((text) =>
      claimNames([{ path, file: `${path}.name`, text }], MODE)
    );
    const settled = await Promise.allSettled(claims);
    assertEquals(settled.filter(({ status }) => status === "fulfilled").length, 1);
  }));

Deno.test("a name that a killed process has not written to its end is written anew", () =>
  inFolder(async (folder) => {
    const path = join(folder, "place");
    await Deno.writeTextFile(`${path}.name`, '"A na');
    await claimNames([{ path, file: `${path}.name`, text: "A name" }], MODE);
    assertEquals(await Deno.readTextFile(`${path}.name`), '"A name"\n');
  }));

const NAME = "Reports/2026";

/** The files that keep a name, below a folder. */
async function nameFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) found.push(...await nameFiles(path));
    else if (name.endsWith(".name")) found.push(path);
  }
  return found;
}

for (const engine of PERSISTENT.filter((engine) => !hasServer(engine))) {
  Deno.test(`${engine}: a place that belongs to another name is refused`, async () => {
    await using bed = await TestBed.create(engine);
    const options = bed.options({ name: NAME });
    {
      await using stash = new HashStash(options);
      await stash.set("k", 1);
    }
    {
      await using again = new HashStash(options);
      assertEquals(await again.get("k"), 1);
    }
    const [file, ...more] = await nameFiles(bed.root);
    assertEquals(more, []);
    assertEquals(JSON.parse(await Deno.readTextFile(file)), NAME);
    // As if another name had the same hash.
    await Deno.writeTextFile(file, JSON.stringify("Reports/1998"));
    await using other = new HashStash(options);
    const error = await assertRejects(() => other.get("k"), EngineError, "Reports/1998");
    assertEquals([error.engine, error.operation], [engine, "open"]);
    // A plain name needs no file.
    await using plain = new HashStash({ ...options, name: "reports" });
    await plain.set("k", 1);
    assertEquals((await nameFiles(bed.root)).length, 1);
  });
}
