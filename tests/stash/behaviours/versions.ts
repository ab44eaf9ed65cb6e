/** Section 7 of the acceptance cases: append mode. */
import { assert, assertEquals } from "@std/assert";
import { HashStash } from "../../../mod.ts";
import type { Behaviour } from "./mod.ts";

export const VERSIONS: readonly Behaviour[] = [
  ["92: keeps every version, the latest first to hand", async (bed) => {
    const options = bed.options({ appendMode: true });
    {
      await using stash = new HashStash(options);
      await stash.set("k", { v: 1 });
      await stash.set("k", new Date(2));
      assertEquals(await stash.get("k"), new Date(2));
      assertEquals(await stash.getAll("k"), [{ v: 1 }, new Date(2)]);
      assertEquals(await stash.getAll("absent"), []);
    }
    await using again = new HashStash(options);
    assertEquals(await again.getAll("k"), [{ v: 1 }, new Date(2)]);
    await again.set("k", 3);
    assertEquals((await again.getAll("k")).length, 3);
  }],
  ["93: versions have numbers and times", async (bed) => {
    await using stash = bed.stash({ appendMode: true });
    const before = Date.now();
    for (let i = 1; i <= 300; i++) await stash.set("k", i);
    const versions = await stash.getAll("k", { withMetadata: true });
    assertEquals(
      versions.map(({ version }) => version),
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
    assertEquals(versions.map(({ value }) => value), Array.from({ length: 300 }, (_, i) => i + 1));
    for (const [i, { timestamp }] of versions.entries()) {
      assert(timestamp >= (versions[i - 1]?.timestamp ?? before) && timestamp <= Date.now());
    }
  }],
  ["94: without append mode there is one version", async (bed) => {
    await using stash = bed.stash();
    await stash.set("k", 1);
    await stash.set("k", 2);
    const [only, ...rest] = await stash.getAll("k", { withMetadata: true });
    assertEquals(rest, []);
    assertEquals([only.version, only.value, typeof only.timestamp], [1, 2, "number"]);
  }],
  ["95: counts keys, yields the latest, deletes all versions", async (bed) => {
    await using stash = bed.stash({ appendMode: true });
    for (let i = 0; i < 3; i++) await stash.setMany([["a", i], ["b", i]]);
    assertEquals(await stash.size(), 2);
    assertEquals(new Map(await Array.fromAsync(stash.entries())), new Map([["a", 2], ["b", 2]]));
    assertEquals(await stash.getMany(["a", "b"]), [2, 2]);
    assertEquals(await stash.delete("a"), true);
    assertEquals(await stash.getAll("a"), []);
    await stash.set("a", "new life");
    assertEquals(await stash.getAll("a"), ["new life"]);
    assertEquals(await stash.pop("b"), 2);
    assertEquals(await stash.getAll("b"), []);
    assertEquals(await stash.modify("a", (value) => `${value}!`), "new life!");
    assertEquals(await stash.getAll("a"), ["new life", "new life!"]);
    assertEquals((await stash.check()).problems, []);
    await stash.clear();
    assertEquals([await stash.size(), (await stash.getAll("a")).length], [0, 0]);
    assertEquals((await stash.check()).problems, []);
  }],
  ["96: concurrent appends are all kept", async (bed) => {
    await using stash = bed.stash({ appendMode: true });
    await using other = new HashStash(
      bed.options({ ...stash.toJSON() as object, rootDir: bed.root }),
    );
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? stash : other).set("k", i)),
    );
    const values = await stash.getAll("k");
    assertEquals(values.length, 40);
    assertEquals(new Set(values).size, 40);
  }],
  ["a key set before append mode is its first version", async (bed) => {
    const options = bed.options();
    {
      await using stash = new HashStash(options);
      await stash.set("k", "plain");
    }
    await using appending = new HashStash({ ...options, appendMode: true });
    await appending.set("k", "second");
    assertEquals(await appending.getAll("k"), ["plain", "second"]);
    await using plain = new HashStash(options);
    assertEquals(await plain.get("k"), "second");
  }],
];
