/** The stand-ins in dev/ do what the packages of JSR do: `deno task test:jsr` runs this on those. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { concat } from "@std/bytes";
import { decodeBase64, decodeHex, encodeBase64, encodeHex } from "@std/encoding";
import { ensureDir, ensureDirSync, walk, walkSync } from "@std/fs";
import { escape } from "@std/html";
import * as path from "@std/path";
import { shuffle } from "@std/random";
import { DelimiterStream } from "@std/streams";

Deno.test("stand-ins: bytes", () => {
  assertEquals(concat([]), new Uint8Array());
  assertEquals(concat([new Uint8Array([1, 2]), new Uint8Array([3])]), new Uint8Array([1, 2, 3]));
});

Deno.test("stand-ins: encoding", () => {
  assertEquals(encodeHex(new Uint8Array([0, 171]).subarray(1)), "ab");
  assertEquals(encodeHex("é"), "c3a9");
  assertEquals(decodeHex("00aB"), new Uint8Array([0, 171]));
  assertThrows(() => decodeHex("abc"), RangeError, "divisible by 2");
  assertThrows(() => decodeHex("0g"), TypeError, "Invalid character (g)");

  assertEquals(encodeBase64(new Uint8Array([65, 251, 255]).subarray(1)), "+/8=");
  assertEquals(encodeBase64("A"), "QQ==");
  for (const text of ["QQ==", "QQ", "QR=="]) assertEquals(decodeBase64(text), new Uint8Array([65]));
  assertThrows(() => decodeBase64("Q Q="), TypeError);
  assertThrows(() => decodeBase64("QUJDR"), RangeError);
});

Deno.test("stand-ins: fs", async () => {
  const root = await Deno.makeTempDir();
  try {
    const deep = path.join(root, "a", "b");
    await ensureDir(deep);
    await ensureDir(path.toFileUrl(deep));
    ensureDirSync(path.join(root, "c"));
    const file = path.join(deep, "x.txt");
    await Deno.writeTextFile(file, "");
    await assertRejects(() => ensureDir(file), Error, "expected 'dir', got 'file'");
    assertThrows(() => ensureDirSync(file), Error, "expected 'dir', got 'file'");

    const relative = (entries: { path: string }[]) =>
      entries.map((entry) => path.relative(root, entry.path).replaceAll("\\", "/")).sort();
    const all = ["", "a", "a/b", "a/b/x.txt", "c"];
    assertEquals(relative(await Array.fromAsync(walk(root))), all);
    assertEquals(relative([...walkSync(path.toFileUrl(root))]), all);
    assertEquals(relative(await Array.fromAsync(walk(root, { maxDepth: 1 }))), ["", "a", "c"]);
    assertEquals(relative([...walkSync(root, { includeDirs: false })]), ["a/b/x.txt"]);
    assertEquals(relative([...walkSync(root, { exts: ["txt"] })]), ["a/b/x.txt"]);
    assertEquals(relative([...walkSync(root, { match: [/[\\/]b$/] })]), ["a/b"]);
    assertEquals(relative([...walkSync(root, { skip: [/[\\/]a$/] })]), ["", "c"]);
    const absent = walk(path.join(root, "none"));
    await assertRejects(async () => await Array.fromAsync(absent), Deno.errors.NotFound);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("stand-ins: html", () => {
  assertEquals(escape(`<a href="x">'&amp;'`), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39;");
});

Deno.test("stand-ins: path", () => {
  const file = path.resolve("some", "..", "folder", "name.tar.gz");
  assertEquals(path.basename(file), "name.tar.gz");
  assertEquals(path.basename(path.toFileUrl(file), ".gz"), "name.tar");
  assertEquals(path.extname(file), ".gz");
  assertEquals(path.relative(path.resolve("."), file), path.join("folder", "name.tar.gz"));
  assertEquals(path.dirname(file), path.resolve("folder"));
  assertEquals(path.fromFileUrl(path.toFileUrl(file)), file);
  assertEquals([path.isAbsolute(file), path.isAbsolute("folder")], [true, false]);
  assertThrows(() => path.toFileUrl("folder"), TypeError, "must be absolute");
  assertThrows(() => path.fromFileUrl("https://example.com/x"), TypeError);
});

Deno.test("stand-ins: random", () => {
  const items = [1, 2, 3, 4];
  assertEquals(shuffle(items, { prng: () => 0 }), [2, 3, 4, 1]);
  assertEquals(items, [1, 2, 3, 4]);
  assertEquals(shuffle(items).sort(), items);
});

Deno.test("stand-ins: streams", async () => {
  const pieces = ReadableStream.from(["a", "b,c", ",", ",d"]).pipeThrough(new TextEncoderStream());
  const parts = pieces.pipeThrough(new DelimiterStream(new TextEncoder().encode(",")))
    .pipeThrough(new TextDecoderStream());
  assertEquals((await Array.fromAsync(parts)).join("|"), "ab|c|d");
});
