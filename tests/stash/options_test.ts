import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { outputOf, ROOT_URL } from "../../dev/run.ts";
import { ENGINE_NAMES } from "../../engines/mod.ts";
import { DecodeError, HashStash, type HashStashOptions } from "../../mod.ts";

function messageOf(options: object): string {
  return (assertThrows(() => new HashStash(options as HashStashOptions), TypeError)).message;
}

Deno.test("48: unknown names are refused at construction, with the valid ones", () => {
  const engine = messageOf({ engine: "leveldb" });
  for (const name of ENGINE_NAMES) assertStringIncludes(engine, name);
  const serializer = messageOf({ serializer: "pickle" });
  for (const name of ["hashstash", "json", "msgpack", "v8"]) assertStringIncludes(serializer, name);
  const compress = messageOf({ compress: "lzma" });
  for (const name of ["zstd", "lz4", "gzip", "zlib", "brotli"]) {
    assertStringIncludes(compress, name);
  }
  assertStringIncludes(messageOf({ compression: true }), "compress");
});

Deno.test("bad options are refused at construction", () => {
  for (
    const options of [
      { name: "" },
      { name: 1 },
      { dbname: "" },
      { dbname: "a//b" },
      { rootDir: "" },
      { rootDir: 1 },
      { rootDir: new URL("https://example.com/") },
      { b64: "yes" },
      { clear: 1 },
      { appendMode: "no" },
      { ttl: "1" },
      { engineOptions: [] },
      { engineOptions: 1 },
      { engine: {} },
      { engine: null, name: null },
    ]
  ) messageOf(options);
  assertThrows(() => new HashStash({ ttl: -1 }), RangeError, "ttl");
  assertThrows(() => new HashStash({ ttl: NaN }), RangeError, "ttl");
  assertThrows(() => new HashStash(7 as never), TypeError, "number");
});

Deno.test("55: the defaults", () => {
  const stash = new HashStash();
  assertEquals(
    [stash.name, stash.dbname, stash.engine, stash.serializer, stash.compress, stash.b64],
    ["unnamed", "main", "pairtree", "hashstash", false, false],
  );
  assertEquals(new HashStash({ compress: true }).compress, "zstd");
  assertEquals(new HashStash("named", { engine: "memory" }).name, "named");
});

Deno.test("55: the default root is $HASHSTASH_DIR, else below the cache folder", async () => {
  const code = `import { HashStash } from ${JSON.stringify(new URL("mod.ts", ROOT_URL).href)};
    console.log(new HashStash().path);`;
  const pathWith = async (env: Record<string, string>) => {
    const { stdout, success } = await outputOf(["eval", "--no-lock", code], {
      env: { HASHSTASH_DIR: "", XDG_CACHE_HOME: "", ...env },
    });
    assert(success);
    return stdout.trim();
  };
  assert((await pathWith({ HASHSTASH_DIR: "/own/place" })).startsWith("/own/place/unnamed/"));
  if (Deno.build.os === "windows") return;
  assert((await pathWith({ XDG_CACHE_HOME: "/xdg" })).startsWith("/xdg/hashstash/unnamed/"));
  const ofHome = await pathWith({ HOME: "/users/someone" });
  assert(/^\/users\/someone\/(\.cache|Library\/Caches)\/hashstash\/unnamed\//.test(ofHome), ofHome);
});

Deno.test("engine options are checked when the stash is opened", async () => {
  const misspelt: Record<string, unknown> = { maxEntires: 1 };
  const stash = new HashStash({ engine: "memory", engineOptions: misspelt });
  await assertRejects(() => stash.open(), TypeError, "maxEntries");
  await assertRejects(
    () => new HashStash({ engine: "memory", engineOptions: { maxBytes: -1 } }).get("k"),
    RangeError,
  );
  await stash.close();
});

Deno.test("memory drops the least recently used, and stats count it", async () => {
  await using stash = new HashStash<string, number>({
    name: "limited",
    engine: "memory",
    engineOptions: { maxEntries: 2 },
  });
  await stash.set("a", 1);
  await stash.set("b", 2);
  await stash.get("a");
  await stash.set("c", 3);
  assertEquals([...(await stash.toMap()).keys()].sort(), ["a", "c"]);
  assertEquals(stash.stats().evictions, 1);
});

Deno.test("maxValueBytes bounds what a read may take, also below the stash", async () => {
  const value = "x".repeat(10_000);
  const options = { name: "bounded", engine: "memory", compress: "brotli" } as const;
  await using stash = new HashStash({ ...options, maxValueBytes: 10_001 });
  await stash.set("k", value);
  await assertRejects(() => stash.get("k"), DecodeError, "maxValueBytes");
  await assertRejects(() => stash.toMap(), DecodeError, "maxValueBytes");
  await using inner = stash.sub("inner");
  await inner.set("k", value);
  await assertRejects(() => inner.get("k"), DecodeError, "maxValueBytes");
  await using again = HashStash.fromJSON(JSON.stringify(stash));
  await assertRejects(() => again.get("k"), DecodeError, "maxValueBytes");
  await using unbounded = new HashStash({ ...options, maxValueBytes: Infinity });
  await using unboundedAgain = HashStash.fromJSON(JSON.stringify(unbounded));
  assertEquals(await unboundedAgain.get("k"), value);
  await using wide = new HashStash(options);
  assertEquals(await wide.get("k"), value);
  assertThrows(() => new HashStash({ maxValueBytes: 0 }), RangeError, "maxValueBytes");
  assertThrows(() => new HashStash({ maxValueBytes: "1" as never }), TypeError, "maxValueBytes");
});
