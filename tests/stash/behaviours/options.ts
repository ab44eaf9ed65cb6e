/** Section 4 of the acceptance cases: options, and stashes made from stashes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { HashStash } from "../../../mod.ts";
import { pathToFileURL } from "node:url";
import { hasServer } from "../../support/bed.ts";
import type { Behaviour } from "./mod.ts";

export const OPTIONS: readonly Behaviour[] = [
  ["56, 58, 60: the options are properties", async (bed) => {
    await using stash = bed.stash({ name: "my_cache" });
    assertEquals(stash.engine, bed.engine);
    assertEquals([stash.name, stash.dbname, stash.serializer], ["my_cache", "main", "hashstash"]);
    assertEquals(stash.appendMode, false);
    const before = stash.path;
    await stash.open();
    assertEquals(stash.path, before);
    if (hasServer(bed.engine)) assert(before.startsWith(`${bed.engine}://`), before);
    else if (bed.engine !== "memory") assert(before.startsWith(bed.root), before);
  }],
  ["59: a root may be a file URL", async (bed) => {
    const { rootDir: _, ...options } = bed.options();
    await using one = new HashStash({ ...options, rootDir: bed.root });
    await one.set("k", 1);
    if (bed.engine === "memory") return;
    await using other = new HashStash({ ...options, rootDir: pathToFileURL(bed.root) });
    assertEquals(await other.get("k"), 1);
  }],
  ["61: toJSON and fromJSON", async (bed) => {
    await using stash = bed.stash({ appendMode: true, ttl: 60_000, dbname: "a/b" });
    await stash.set("k", 1);
    const json = JSON.parse(JSON.stringify(stash.toJSON()));
    for (
      const name of [
        "name",
        "dbname",
        "engine",
        "rootDir",
        "compress",
        "b64",
        "serializer",
        "appendMode",
      ]
    ) {
      assert(name in json || (hasServer(bed.engine) && name === "rootDir"), name);
    }
    await using equal = HashStash.fromJSON(json);
    assertEquals(equal.toJSON(), stash.toJSON());
    assertEquals(await equal.get("k"), 1);
    await stash.clear();
  }],
  ["62: clear: true empties it when it is opened", async (bed) => {
    const options = bed.options();
    {
      await using stash = new HashStash(options);
      await stash.set("k", 1);
    }
    await using again = new HashStash({ ...options, clear: true });
    assertEquals(await again.size(), 0);
    await again.set("k", 2);
    assertEquals(await again.get("k"), 2);
  }],
  ["63: a stash inside is apart", async (bed) => {
    await using stash = bed.stash();
    await using inner = stash.sub("inner");
    await using innermost = inner.sub("innermost");
    await stash.set("k", "outer");
    await inner.set("k", "inner");
    await innermost.set("k", "innermost");
    assertEquals(await stash.get("k"), "outer");
    assertEquals([await stash.size(), await inner.size(), await innermost.size()], [1, 1, 1]);
    await stash.clear();
    assertEquals([await stash.size(), await inner.get("k"), await innermost.get("k")], [
      0,
      "inner",
      "innermost",
    ]);
    await stash.set("k", 1);
    await inner.clear({ deep: true });
    assertEquals([await stash.size(), await inner.size(), await innermost.size()], [1, 0, 0]);
    await inner.set("k", 2);
    await stash.clear({ deep: true });
    assertEquals([await stash.size(), await inner.size()], [0, 0]);
  }],
  ["64: a temporary stash leaves nothing behind", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", 1);
    const folders = async () =>
      (await Array.fromAsync(Deno.readDir(bed.root))).map(({ name }) => name).sort();
    const before = await folders();
    let gone: HashStash | undefined;
    const thrown = await assertRejects(async () => {
      await using tmp = stash.tmp();
      gone = tmp;
      assertEquals(tmp.engine, stash.engine);
      await tmp.set("k", 2);
      assertEquals(await tmp.size(), 1);
      throw new SyntaxError("in the body");
    }, SyntaxError);
    assertEquals(thrown.message, "in the body");
    {
      await using tmp = stash.tmp();
      await using inside = tmp.sub("inside");
      await inside.set("k", 3);
    }
    assertEquals(await stash.get("k"), 1);
    assertEquals(await folders(), before);
    await using again = new HashStash({
      ...bed.options(),
      name: gone?.name,
      rootDir: gone?.toJSON().rootDir,
    });
    assertEquals(await again.size(), 0);
    await again.clear();
    if (gone && bed.engine !== "memory" && !hasServer(bed.engine)) {
      await again.close();
      await Deno.remove(String(gone.toJSON().rootDir), { recursive: true });
    }
  }],
  ["65, 118: two handles on one store, each closed on its own", async (bed) => {
    const options = bed.options();
    const one = new HashStash(options);
    await using other = new HashStash(options);
    await one.set("k", 1);
    assertEquals(await other.get("k"), 1);
    await other.set("k", 2);
    assertEquals(await one.get("k"), 2);
    await one.close();
    assertEquals(await other.get("k"), 2);
    await other.set("k", 3);
    assertEquals(await other.get("k"), 3);
  }],
  ["66: a name never leaves the root", async (bed) => {
    for (const name of ["../x", "..", ".", "a/b", "a\\b", "CON", "x".repeat(300), "C:"]) {
      await using stash = bed.stash({ name, dbname: "in/side" });
      await stash.set("k", name);
      assertEquals(await stash.get("k"), name);
      if (bed.engine !== "memory" && !hasServer(bed.engine)) {
        assert(stash.path.startsWith(bed.root));
      }
      await stash.clear();
    }
    for (const name of ["", "a\u0000b", 1, null]) {
      assertThrows(() => bed.stash({ name: name as string }), TypeError, "name");
    }
  }],
  ["a ttl ends entries, also after reopening", async (bed) => {
    const options = bed.options({ ttl: 40 });
    await using stash = new HashStash(options);
    await stash.set("short", 1);
    await stash.set("long", 2, { ttl: Infinity });
    await stash.set("past", 3, { expiresAt: Date.now() - 1 });
    await stash.set("at", 4, { expiresAt: Date.now() + 100_000 });
    assertEquals(await stash.has("past"), false);
    await using again = new HashStash({ ...options, ttl: Infinity });
    await new Promise((resolve) => setTimeout(resolve, 60));
    for (const handle of [stash, again]) {
      assertEquals(await handle.get("short", "gone"), "gone");
      assertEquals(await handle.get("long"), 2);
      assertEquals(await handle.get("at"), 4);
      assertEquals(await handle.size(), 2);
      assertEquals((await Array.fromAsync(handle.keys())).sort(), ["at", "long"]);
    }
    for (const options of [{ ttl: -1 }, { ttl: NaN }, { expiresAt: NaN }]) {
      await assertRejects(() => stash.set("k", 1, options), RangeError);
    }
    await assertRejects(() => stash.set("k", 1, { ttl: "5" as never }), TypeError);
    await assertRejects(() => stash.set("k", 1, { ttl: 1, expiresAt: 1 }), TypeError);
  }],
];
