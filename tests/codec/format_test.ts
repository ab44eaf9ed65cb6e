/** The first byte of stored bytes says what they are: proof of the table for all pairs. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Codec, DecodeError, encode, LAYERS } from "../../codec/mod.ts";
import type { CompressorName } from "../../codec/mod.ts";

const COMPRESSORS: CompressorName[] = ["zstd", "lz4", "gzip", "zlib", "brotli"];

function layerNames(byte: number): string[] {
  return LAYERS.filter(({ firstBytes }) => firstBytes.includes(byte)).map(({ name }) => name);
}

Deno.test("no two layers share a first byte", () => {
  for (const one of LAYERS) {
    assert(one.firstBytes.length > 0, one.name);
    for (const other of LAYERS) {
      if (one === other) continue;
      const shared = one.firstBytes.filter((byte) => other.firstBytes.includes(byte));
      assertEquals(shared, [], `${one.name} and ${other.name}`);
    }
  }
});

Deno.test("base64 of a layer begins with a letter of the base64 layer, whatever follows", () => {
  const letters = new Set<string>();
  for (const { kind, firstBytes } of LAYERS) {
    if (kind === "base64" || kind === "versions") continue;
    for (const first of firstBytes) {
      for (let second = 0; second < 256; second++) {
        for (const bytes of [[first], [first, second], [first, second, 0xff]]) {
          const letter = new Uint8Array(bytes).toBase64()[0];
          assertEquals(layerNames(letter.charCodeAt(0)), ["base64"]);
          letters.add(letter);
        }
      }
    }
  }
  const base64 = LAYERS.find(({ name }) => name === "base64");
  assertEquals([...letters].sort(), [...String.fromCharCode(...base64?.firstBytes ?? [])].sort());
  assertEquals([...letters].sort().join(""), "/ABHIKLMNOWZbdewz");
});

Deno.test("every text of JSON begins as the json layer says", () => {
  for (const value of ["", "x", 0, -1, 123, 4.5, 5, 6, 7, 8, 9, true, false, null, [], {}]) {
    assertEquals(layerNames(JSON.stringify(value).charCodeAt(0)), ["json"], String(value));
  }
});

Deno.test("what each part writes begins with its own layer", async () => {
  const value = Array.from({ length: 100 }, (_, i) => ({ i, name: `name ${i % 7}` }));
  const first = async (options: ConstructorParameters<typeof Codec>[0], of: unknown = value) => {
    const bytes = await new Codec(options).encode(of);
    return layerNames(bytes[0]).join();
  };
  assertEquals(await first({}), "json");
  assertEquals(await first({}, new Map([[1, 2]])), "json");
  assertEquals(await first({}, new Uint8Array(3)), "bytes");
  assertEquals(await first({ serializer: "json" }), "json");
  assertEquals(await first({ serializer: "msgpack" }), "msgpack");
  assertEquals(await first({ serializer: "v8" }), "v8");
  const serializer = {
    name: "mine",
    serialize: () => new Uint8Array([1, 2, 3]),
    deserialize: () => value,
  };
  assertEquals(await first({ serializer }), "custom serializer");
  const compress = {
    name: "half",
    compress: (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2),
    decompress: (bytes: Uint8Array) => bytes,
  };
  assertEquals(await first({ compress }), "custom compressor");
  for (const compress of COMPRESSORS) {
    for (const serializer of ["hashstash", "msgpack", "v8"] as const) {
      assertEquals(await first({ serializer, compress }), compress);
      assertEquals(await first({ serializer, compress, b64: true }), "base64");
      assertEquals(await first({ serializer, b64: true }), "base64");
    }
  }
});

Deno.test("compressed layers begin with their magic numbers", async () => {
  const content = new Uint8Array(1_000);
  for (const compress of COMPRESSORS) {
    const magic = LAYERS.find(({ name }) => name === compress)?.magic ?? [];
    assert(magic.length > 0);
    assertEquals([...(await encode(content, { compress })).subarray(0, magic.length)], [...magic]);
  }
});

Deno.test("bytes that are none of the layers are an error, never a guess", async () => {
  const codec = new Codec();
  await assertRejects(async () => await codec.decode(new Uint8Array()), DecodeError);
  let unknown = 0;
  for (let first = 0; first < 256; first++) {
    if (layerNames(first).length > 0) continue;
    unknown++;
    const bytes = new Uint8Array([first, 0x61, 0x62, 0x63]);
    await assertRejects(async () => await codec.decode(bytes), DecodeError, "known formats");
  }
  assertEquals(unknown, 256 - LAYERS.flatMap(({ firstBytes }) => firstBytes).length);
  const versions = new TextEncoder().encode('V{"version":1}\n1');
  await assertRejects(async () => await codec.decode(versions), DecodeError, "versions");
});
