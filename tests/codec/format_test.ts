/** The beginning of stored bytes says what they are: proof of the table for all pairs. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Codec, decode, DecodeError, encode, LAYERS } from "../../codec/mod.ts";
import { ENTRY_MARK, PROTECTED_MARK, RAW_MARK } from "../../codec/format.ts";
import type { CompressorName } from "../../codec/mod.ts";

const COMPRESSORS: CompressorName[] = ["zstd", "lz4", "gzip", "zlib", "brotli"];

function layerNames(byte: number): string[] {
  return LAYERS.filter(({ firstBytes }) => firstBytes.includes(byte)).map(({ name }) => name);
}

Deno.test("no bytes can begin as two layers do", () => {
  /** What the layer's bytes can begin with. */
  const beginnings = ({ firstBytes, magic }: (typeof LAYERS)[number]) =>
    magic === undefined ? firstBytes.map((byte) => [byte]) : [magic];
  for (const one of LAYERS) {
    assert(one.firstBytes.length > 0, one.name);
    if (one.magic !== undefined) assertEquals([...one.firstBytes], [one.magic[0]], one.name);
    for (const other of LAYERS) {
      if (one === other) continue;
      for (const a of beginnings(one)) {
        for (const b of beginnings(other)) {
          const length = Math.min(a.length, b.length);
          assert(
            a.slice(0, length).join() !== b.slice(0, length).join(),
            `${one.name} and ${other.name}`,
          );
        }
      }
    }
  }
});

Deno.test("layers share a first byte only where it is the zero of our own marks", () => {
  const marks = [RAW_MARK, PROTECTED_MARK, ENTRY_MARK];
  for (const mark of marks) {
    assertEquals(mark.slice(0, 3), new TextEncoder().encode("\0HS"));
    assertEquals(mark.length, 4);
  }
  for (let byte = 0; byte < 256; byte++) {
    const names = layerNames(byte);
    if (byte === 0) assertEquals(names, ["bytes", "protected", "entry"]);
    else assert(names.length <= 1, names.join());
  }
});

Deno.test("base64 of a layer begins with a letter of the base64 layer, whatever follows", () => {
  const letters = new Set<string>();
  for (const { kind, firstBytes } of LAYERS) {
    if (kind === "base64" || kind === "entry") continue;
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
  assertEquals(
    (await new Codec().encode(new Uint8Array([7, 8]))).join(),
    [...RAW_MARK, 7, 8].join(),
  );
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
    if (first !== 0 && layerNames(first).length > 0) continue;
    unknown++;
    const bytes = new Uint8Array([first, 0x61, 0x62, 0x63]);
    await assertRejects(async () => await codec.decode(bytes), DecodeError, "known formats");
  }
  assertEquals(unknown, 257 - new Set(LAYERS.flatMap(({ firstBytes }) => firstBytes)).size);
});

Deno.test("what other programs begin with a zero, U+0001 or V is none of the layers", async () => {
  const foreign = [
    [0x00],
    [0x00, 0x00, 0x01, 0x00, 0x01, 0x00], // an icon
    [0x00, 0x00, 0x00, 0x18, 0x66, 0x74, 0x79, 0x70], // MP4
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // WebAssembly
    [0x00, 0x01, 0x00, 0x00, 0x00, 0x0c], // TrueType
    RAW_MARK.slice(0, 3),
    [...RAW_MARK.slice(0, 3), 0x00],
    [0x01],
    [0x01, 0x7b, 0x7d],
    [...new TextEncoder().encode('V{"version":1}\n1')],
  ];
  const codec = new Codec();
  for (const begin of foreign) {
    const bytes = new Uint8Array(begin);
    await assertRejects(
      async () => await codec.decode(bytes),
      DecodeError,
      "none of the known formats",
      begin.join(),
    );
    assertEquals(await decode(await encode(bytes)), bytes);
  }
});

Deno.test("a flipped bit in one of our marks is an error", async () => {
  const codec = new Codec();
  const raw = await codec.encode(new Uint8Array([0x7b, 0x7d])); // which would be JSON
  const content = await encode(new Uint8Array([...ENTRY_MARK, 0x7b, 0x7d]));
  assertEquals([...content.subarray(0, 4)], [...PROTECTED_MARK]);
  for (let bit = 0; bit < 32; bit++) {
    const damaged = raw.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    await assertRejects(async () => await codec.decode(damaged), DecodeError, "", `bit ${bit}`);
  }
  for (let bit = 0; bit < content.length * 8; bit++) {
    const damaged = content.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    await assertRejects(() => decode(damaged), DecodeError, "", `bit ${bit}`);
  }
});

Deno.test("an entry with a header is for the store to read", async () => {
  const entry = new Uint8Array([...ENTRY_MARK, 0x7b, 0x7d]);
  await assertRejects(async () => await new Codec().decode(entry), DecodeError, "header");
  await assertRejects(() => decode(entry), DecodeError, "header");
});
