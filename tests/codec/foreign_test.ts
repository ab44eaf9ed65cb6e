/** Compressed data that other programs wrote, and other programs that read ours. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as zlib from "node:zlib";
import { Codec, decode, DecodeError, Decoder, encode } from "../../codec/mod.ts";
import { sealGzip } from "../../codec/gzip_seal.ts";

const utf8 = new TextEncoder();
const codec = new Codec();

const WRITERS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => new Uint8Array(zlib.gzipSync(bytes)),
  "gzip of two members": (bytes) =>
    new Uint8Array([
      ...zlib.gzipSync(bytes.subarray(0, bytes.length >> 1)),
      ...zlib.gzipSync(bytes.subarray(bytes.length >> 1)),
    ]),
  "gzip with zeros behind it": (bytes) => new Uint8Array([...zlib.gzipSync(bytes), 0, 0, 0]),
  zlib: (bytes) => new Uint8Array(zlib.deflateSync(bytes)),
  "zlib of level 9": (bytes) => new Uint8Array(zlib.deflateSync(bytes, { level: 9 })),
  "zlib of level 1": (bytes) => new Uint8Array(zlib.deflateSync(bytes, { level: 1 })),
  zstd: (bytes) => new Uint8Array(zlib.zstdCompressSync(bytes)),
  "zstd of two frames": (bytes) =>
    new Uint8Array([
      ...zlib.zstdCompressSync(bytes.subarray(0, bytes.length >> 1)),
      ...zlib.zstdCompressSync(bytes.subarray(bytes.length >> 1)),
    ]),
};

/** JSON, short and long, as other programs write it. */
const VALUES: [string, unknown][] = [
  ['{"a": [1, 2.5, "x"], "b": null}', { a: [1, 2.5, "x"], b: null }],
  ["123", 123],
  ['\n  {"a": 1}\n', { a: 1 }],
  ["[9007199254740993]", [9007199254740993n]],
  [JSON.stringify("é".repeat(400_000)), "é".repeat(400_000)],
];

Deno.test("the value is read where complete data of others holds JSON", async () => {
  for (const [text, value] of VALUES) {
    for (const [name, write] of Object.entries(WRITERS)) {
      assertEquals(
        await codec.decode(write(utf8.encode(text))),
        value,
        `${name} ${text.slice(0, 20)}`,
      );
    }
    const b64 = utf8.encode(WRITERS.gzip(utf8.encode(text)).toBase64());
    assertEquals(await codec.decode(b64), value);
  }
});

Deno.test("other complete data of others is read as the bytes that it is", async () => {
  const noise = new Uint8Array(300_000).map((_, i) => Math.imul(i + 7, 2_654_435_761) >>> 13).with(
    0,
    0x89,
  );
  const contents = ["hello", "true story", "[1, 2", "5 apples", "", "Vx", "<html>"].map((text) =>
    utf8.encode(text)
  );
  for (
    const content of [...contents, noise, new Uint8Array([0xff, 0xd8, 0xff]), new Uint8Array(5)]
  ) {
    for (const [name, write] of Object.entries(WRITERS)) {
      const stored = write(content);
      const back = await codec.decode(stored);
      assertEquals(back, stored, name);
      assert(back !== stored);
      assertEquals(await decode(stored), content, `${name} through a Decoder`);
      // The same bytes as a value, or encoded, come back as ever.
      assertEquals(await codec.decode(await codec.encode(stored)), stored);
      assertEquals(await decode(await encode(stored)), stored);
    }
  }
});

Deno.test("our own data that has lost its seal gives its value, or an error that says why", async () => {
  for (const compress of ["zlib", "zstd"] as const) {
    for (const serializer of ["hashstash", "json", "msgpack", "v8"] as const) {
      const value = { list: new Array(100).fill("text") };
      const stored = await new Codec({ compress, serializer }).encode(value);
      assertEquals(await codec.decode(stored.subarray(0, -16)), value, `${compress} ${serializer}`);
    }
    const bytes = new Uint8Array(500);
    const stored = await new Codec({ compress }).encode(bytes);
    assertEquals(await codec.decode(stored.subarray(0, -16)), bytes);
    const rich = utf8.encode(`{"$rich":{"$class":["Nobody",1]},"more":"${"x".repeat(99)}"}`.replace(
      `,"more":"${"x".repeat(99)}"`,
      "",
    ));
    await assertRejects(
      async () => await codec.decode(WRITERS[compress](rich)),
      DecodeError,
      "Nobody",
    );
  }
});

Deno.test("data of others that is damaged, cut off or has more behind it is an error", async () => {
  const content = utf8.encode(JSON.stringify({ text: "to be, or not to be, ".repeat(30) }));
  for (const [name, write] of Object.entries(WRITERS)) {
    if (name.includes("zeros")) continue;
    const stored = write(content);
    const twoParts = name.includes(" of two ");
    for (let length = 2; length < stored.length; length++) {
      // Where the first of two parts ends it is complete.
      if (twoParts && stored[length] === stored[0] && stored[length + 1] === stored[1]) continue;
      await assertRejects(
        async () => await codec.decode(stored.subarray(0, length)),
        DecodeError,
        "",
        `${name} cut off after ${length}`,
      );
    }
    for (const tail of [[1], [1, 2, 3, 4, 5, 6, 7, 8], [0x28, 0xb5, 0x2f, 0xfd]]) {
      await assertRejects(
        async () => await codec.decode(new Uint8Array([...stored, ...tail])),
        DecodeError,
        "",
        name,
      );
    }
  }
  for (const text of ["xyz", "x", "x^ray", "x\u009c"]) {
    await assertRejects(async () => await codec.decode(utf8.encode(text)), DecodeError);
  }
});

Deno.test("data of others is refused beyond maxValueBytes, long before it is whole", async () => {
  const content = new Uint8Array(64 * 1024 * 1024).fill(0x20);
  for (const [name, write] of Object.entries(WRITERS)) {
    if (/two|behind|level/.test(name)) continue;
    const stored = write(content);
    for (const maxValueBytes of [1_000, 10_000_000]) {
      const start = performance.now();
      for (const reader of [new Codec({ maxValueBytes }), new Decoder({ maxValueBytes })]) {
        await assertRejects(async () => await reader.decode(stored), DecodeError, "maxValueBytes");
      }
      assert(performance.now() - start < 10_000, name);
    }
  }
});

Deno.test("zstd data that needs a dictionary is read as bytes", async () => {
  const frame = new Uint8Array(zlib.zstdCompressSync(utf8.encode("[1]")));
  // The descriptor says that the dictionary's number takes a byte: behind it, and the window's byte
  // where there is one.
  const at = (frame[4] & 0x20) !== 0 ? 5 : 6;
  const stored = new Uint8Array([...frame.subarray(0, at), 7, ...frame.subarray(at)]);
  stored[4] |= 1;
  assertEquals(await codec.decode(stored), stored);
  await assertRejects(() => decode(stored), DecodeError, "dictionary");
});

Deno.test("what we compress is read by the tools of its format", async () => {
  const value = { text: "to be, or not to be, ".repeat(500) };
  const json = JSON.stringify(value);
  for (const text of [json, JSON.stringify("long".repeat(200_000))]) {
    const stored = await new Codec({ compress: "gzip" }).encode(JSON.parse(text));
    assertEquals(new TextDecoder().decode(zlib.gunzipSync(stored)), text);
    const stream = new Blob([new Uint8Array(stored)]).stream();
    const response = new Response(stream.pipeThrough(new DecompressionStream("gzip")));
    assertEquals(await response.text(), text);
    const file = await Deno.makeTempFile({ suffix: ".gz" });
    try {
      await Deno.writeFile(file, stored);
      const tool = await new Deno.Command("gzip", { args: ["-dc", file] }).output();
      assertEquals(new TextDecoder().decode(tool.stderr), "", "no warning");
      assertEquals(new TextDecoder().decode(tool.stdout), text);
      assert((await new Deno.Command("gzip", { args: ["-t", file] }).output()).success);
      const script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
      const python = await new Deno.Command("python3", { args: ["-c", script, file] }).output();
      assertEquals(new TextDecoder().decode(python.stdout), text);
    } finally {
      await Deno.remove(file);
    }
  }
  const zstd = await new Codec({ compress: "zstd" }).encode(value);
  assertEquals(new TextDecoder().decode(zlib.zstdDecompressSync(zstd)), json);
  const deflated = await new Codec({ compress: "zlib" }).encode(value);
  assertEquals(new TextDecoder().decode(zlib.inflateSync(deflated)), json);
});

Deno.test("the seal of gzip stands in its header, and encloses all other bytes", async () => {
  const frame = new Uint8Array(zlib.gzipSync(new Uint8Array(100)));
  const sealed = sealGzip({ frame, length: 100 });
  assertEquals(sealed.length, frame.length + 14);
  assertEquals(sealed.subarray(10, 16), new Uint8Array([12, 0, 0x48, 0x53, 8, 0]));
  assertEquals(await decode(sealed), new Uint8Array(100));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const damaged = sealed.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    await assertRejects(() => decode(damaged), DecodeError, "", `bit ${bit}`);
  }
});

Deno.test("a DecodeError says whether bytes are ours and damaged, or another program's", async () => {
  const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
  const foreign: Record<string, Uint8Array> = {
    "an image of JPEG": new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46]),
    "sound of MP3": new Uint8Array([0xff, 0xfb, 0x90, 0x64, 0, 0]),
    "UTF-16": new Uint8Array([0xff, 0xfe, 0x68, 0, 0x69, 0]),
    "nothing but a byte": new Uint8Array([0xff]),
    "text like zlib's": utf8.encode("xylophone"),
    "text like zstd's": utf8.encode("(hello)"),
    "text like brotli's": utf8.encode("Γειά σου"),
    "text like gzip's": new Uint8Array([0x1f, 0x61, 0x62, 0x63]),
    "bytes like lz4's": new Uint8Array([4, 5, 6]),
    "bytes like a custom serializer's": new Uint8Array([2, 1, 1]),
    "bytes like a custom compressor's": new Uint8Array([3, 1, 1]),
    "a name of no text": new Uint8Array([2, 1, 0xff, 5]),
    "text of Latin-1": latin1("tr\xe9s bien"),
    "words that are base64": utf8.encode("week"),
    "such of JSON's first letter": utf8.encode("exit"),
    "such that is UTF-8 too": utf8.encode("expo"),
    "such of a string's": utf8.encode("Info"),
    "such of a number's": utf8.encode("NULL"),
    "text of Latin-1 that begins as base64": latin1("Gr\xfc\xdfe"),
  };
  for (const [name, bytes] of Object.entries(foreign)) {
    const error = await assertRejects(async () => await codec.decode(bytes), DecodeError, "", name);
    assertEquals(error.kind, "foreign", `${name}: ${error.message}`);
  }

  const own = {
    name: "own of foreign_test",
    serialize: (value: unknown) => utf8.encode(JSON.stringify(value)),
    deserialize: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)),
    compress: (bytes: Uint8Array) => bytes.subarray(0, 100),
    decompress: () => new Uint8Array(),
  };
  const value = { text: "to be, or not to be, ".repeat(30), list: new Set([1]) };
  for (
    const options of [
      ...(["zstd", "lz4", "gzip", "zlib", "brotli", own] as const).map((compress) => ({
        compress,
      })),
      ...(["hashstash", "json", "msgpack", "v8", own] as const).map((serializer) => ({
        serializer,
      })),
    ]
  ) {
    const what = JSON.stringify(options);
    const stored = await new Codec(options).encode("serializer" in options ? { a: "é" } : value);
    // Cut off; flipped where that is noticed.
    const half = stored.subarray(0, stored.length >> 1);
    const cut = await assertRejects(async () => await codec.decode(half), DecodeError, "", what);
    assertEquals(cut.kind, "damaged", `${what} cut off: ${cut.message}`);
    if (!("compress" in options)) continue;
    for (const at of [0, 1, stored.length - 1]) {
      const flipped = stored.with(at, stored[at] ^ 4);
      const error = await assertRejects(async () => await codec.decode(flipped), DecodeError);
      assertEquals(error.kind, "damaged", `${what} flipped at ${at}: ${error.message}`);
    }
  }
});
