/** What docs/invalidation.md says beside what tests/stash/tags_test.ts has. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WorkerProcess } from "../support/child.ts";
import { PERSISTENT, TestBed } from "../support/bed.ts";
import { testOnEngines } from "../support/on_engines.ts";

testOnEngines("invalidation", {
  async "what has been invalidated is not served as a stale result either"(stash) {
    let isDown = false;
    const f = stash.stashedResult((id: number) => {
      if (isDown) throw new Error("down");
      return `of ${id}`;
    }, { name: "f", ttl: 0, staleIfError: 3_600_000, retryAfter: 0, tags: ["t"] });
    await f(1);
    isDown = true;
    assertEquals(await f(1), "of 1");
    await stash.invalidate({ tags: ["t"] });
    await assertRejects(() => f(1), Error, "down");
    const get = (key: string) =>
      stash.getOrSet(key, () => {
        if (isDown) throw new Error("down");
        return key;
      }, { ttl: 0, staleIfError: 3_600_000, retryAfter: 0 });
    isDown = false;
    await get("a:1");
    isDown = true;
    assertEquals(await get("a:1"), "a:1");
    await stash.invalidate({ prefix: "a:" });
    await assertRejects(() => get("a:1"), Error, "down");
  },

  async "a refresh in the background that began before is not kept"(stash) {
    let source = "old";
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let runs = 0;
    const f = stash.stashedResult(async () => {
      const read = source;
      if (++runs === 2) {
        begun.resolve();
        await gate.promise;
      }
      return read;
    }, { name: "f", ttl: 0, staleWhileRevalidate: 3_600_000, tags: ["t"] });
    await f();
    assertEquals(await f(), "old", "served while it is refreshed");
    await begun.promise;
    source = "new";
    await stash.invalidate({ tags: ["t"] });
    const after = f();
    gate.resolve();
    assertEquals(await after, "new");
    assertEquals(await f.peek(), "new");
  },

  async "an entry has the tags that it was stored with"(stash) {
    const load = (tag: string) =>
      stash.stashedResult((x: number) => x, { name: "f", tags: [tag] })(1);
    await load("earlier");
    await load("later");
    assertEquals(await stash.invalidate({ tags: ["later"] }), 0);
    assertEquals(await stash.invalidate({ tags: ["earlier"] }), 1);
  },
});

for (const engine of PERSISTENT) {
  Deno.test(`invalidation on ${engine}: nothing has to be turned on`, async () => {
    await using bed = await TestBed.create(engine);
    await using reader = bed.stash();
    await using writer = bed.stash({ name: reader.name });
    // It has looked when there were no tags, and asks for none itself.
    assertEquals([await reader.get("k"), await reader.size()], [undefined, 0]);
    await writer.set("k", 1, { tags: ["t"] });
    assertEquals(await reader.get("k"), 1);
    // Only the mark: as where the process that invalidates is killed right after it.
    const side = await bed.open({}, { name: reader.name, dbname: "main/.tags" });
    const number = Date.now() + 1_000;
    const value = new TextEncoder().encode(`${number} ${number}`);
    await side.set("t/t", { value, timestamp: Date.now() });
    assertEquals(await reader.get("k"), undefined);
  });
}

for (const engine of PERSISTENT) {
  Deno.test(`invalidation on ${engine}: by another process, of a run without a lease`, async () => {
    await using bed = await TestBed.create(engine);
    await using stash = bed.stash();
    const options = bed.options({ name: stash.name });
    await using worker = new WorkerProcess("./tags_worker.ts", { options, id: 0 });
    assertEquals(await worker.line(), "ready");
    for (const lock of ["process", false] as const) {
      const gate = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      const run = stash.getOrSet("k", async () => {
        begun.resolve();
        await gate.promise;
        return "old";
      }, { lock, tags: ["t"] });
      await begun.promise;
      await worker.write("invalidate");
      assertEquals(await worker.line(), "done");
      gate.resolve();
      assertEquals([await run, await stash.get("k")], ["old", undefined], `lock: ${lock}`);
    }
  });
}

const REPOSITORY = new URL("../../", import.meta.url);

Deno.test("docs/invalidation.md names tests that there are", async () => {
  const page = await Deno.readTextFile(new URL("docs/invalidation.md", REPOSITORY));
  const named = [...page.matchAll(/"([^"]+)"[^"[]*\[[^\]]+\]\(\.\.\/(tests\/[^)]+)\)/g)];
  assert(named.length >= 10, `${named.length} tests named`);
  for (const [, name, path] of named) {
    const text = await Deno.readTextFile(new URL(path, REPOSITORY));
    assert(text.includes(name.replace(/\s+/g, " ")), `${path} has no test "${name}"`);
  }
});
