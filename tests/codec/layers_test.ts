/** Compression and base64: any bytes come back, and damage is found. Acceptance cases 49-53. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  Codec,
  decode,
  DecodeError,
  Decoder,
  encode,
  Encoder,
  hash,
  LAYERS,
} from "../../codec/mod.ts";
import type { CompressorName } from "../../codec/mod.ts";

const COMPRESSORS: CompressorName[] = ["zstd", "lz4", "gzip", "zlib", "brotli"];
const utf8 = new TextEncoder();
const TEXT = JSON.stringify(
  Array.from({ length: 60 }, (_, i) => ({ i, name: `name ${i * 7919 % 100}` })),
);
const SAMPLE = utf8.encode(TEXT);

Deno.test("hash is SHA-256 in hexadecimal, of bytes or of the UTF-8 of a text", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assertEquals(hash("abc"), abc);
  assertEquals(hash(utf8.encode("abc")), abc);
  assertEquals(hash(utf8.encode("xabcx").subarray(1, 4)), abc);
  assertEquals(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assertEquals(hash("é"), hash(new Uint8Array([0xc3, 0xa9])));
});

Deno.test("decode gives back the bytes without being told how they were encoded", async () => {
  const noise = crypto.getRandomValues(new Uint8Array(500));
  const long = new Uint8Array(700_000).map((_, i) => i % 251 ^ i >> 9);
  for (const compress of [false, true, ...COMPRESSORS]) {
    for (const b64 of [false, true]) {
      for (const bytes of [SAMPLE, noise, long, new Uint8Array(), new Uint8Array([0])]) {
        const encoded = await new Encoder({ compress, b64 }).encode(bytes);
        assertEquals(
          new Uint8Array(await new Decoder().decode(encoded)),
          bytes,
          `${compress} ${b64}`,
        );
      }
    }
  }
});

/** What our layers begin with, and the beginnings of these. */
const MARKS = LAYERS.flatMap(({ firstBytes, magic }) =>
  magic === undefined
    ? firstBytes.map((byte) => [byte])
    : magic.map((_, i) => magic.slice(0, i + 1))
);

Deno.test("bytes that look encoded come back as they are", async () => {
  const whole = await encode(SAMPLE, { compress: "zstd" });
  const broken = whole.slice(-16);
  broken[15] ^= 1;
  const seals = [whole.slice(-16), broken];
  const looks = [
    ...await Promise.all(COMPRESSORS.map((compress) => encode(SAMPLE, { compress }))),
    await encode(SAMPLE, { b64: true }),
    ...Array.from({ length: 256 }, (_, first) => new Uint8Array([first, 1, 2])),
    ...await Promise.all(
      Array.from({ length: 256 }, async (_, first) => {
        const sealed = await encode(SAMPLE, { compress: "zstd" });
        sealed[0] = first;
        return sealed;
      }),
    ),
    ...MARKS.flatMap((mark) => [
      new Uint8Array(mark),
      new Uint8Array([...mark, 0x5b, 0x5d]),
      ...seals.map((tail) => new Uint8Array([...mark, ...tail])),
    ]),
    ...seals.map((tail) => new Uint8Array([0x02, 1, 97, ...tail])),
    utf8.encode("Vx"),
    utf8.encode("hello"),
  ];
  for (const bytes of looks) {
    for (const compress of [false, "zstd"] as const) {
      for (const b64 of [false, true]) {
        const encoded = await encode(bytes, { compress, b64 });
        assertEquals(
          new Uint8Array(await decode(encoded)),
          bytes,
          `${bytes[0]} ${compress} ${b64}`,
        );
      }
    }
  }
});

Deno.test("base64 without compression is the JSON text itself", async () => {
  const encoded = await encode(SAMPLE, { b64: true });
  assertEquals(atob(new TextDecoder().decode(encoded)), TEXT);
  const stored = await new Codec({ b64: true }).encode({ a: [1, "x"] });
  assertEquals(atob(new TextDecoder().decode(stored)), '{"a":[1,"x"]}');
});

Deno.test("compressible bytes become fewer, others stay as they are", async () => {
  const noise = crypto.getRandomValues(new Uint8Array(400));
  noise[0] = 0;
  for (const compress of COMPRESSORS) {
    assertLess((await encode(SAMPLE, { compress })).length, SAMPLE.length * 0.6, compress);
    assertEquals(await encode(noise, { compress }), noise, compress);
  }
});

Deno.test("compress: true is zstd, false is none", async () => {
  assertEquals(new Codec({ compress: true }).compress, "zstd");
  assertEquals(new Codec({ compress: false }).compress, false);
  assertEquals(new Codec().compress, false);
  assertEquals(
    await encode(SAMPLE, { compress: true }),
    await encode(SAMPLE, { compress: "zstd" }),
  );
  assertEquals(await encode(SAMPLE, { compress: false }), SAMPLE);
});

Deno.test("compressed bytes cut off anywhere are an error, or all of the content", async () => {
  for (const compress of COMPRESSORS) {
    for (const b64 of [false, true]) {
      const encoded = await encode(SAMPLE, { compress, b64 });
      let whole = 0;
      for (let length = 1; length < encoded.length; length++) {
        try {
          // Without its seal the data is complete, as other programs write it.
          assertEquals(new Uint8Array(await decode(encoded.slice(0, length))), SAMPLE);
          whole++;
        } catch (error) {
          assertInstanceOf(error, DecodeError, `${compress} ${b64} cut off after ${length}`);
        }
      }
      assert(whole <= (compress === "zlib" || compress === "zstd" ? 1 : 0), compress);
      await assertRejects(() => decode(new Uint8Array([...encoded, 0])), DecodeError);
    }
  }
});

Deno.test("every flipped bit in compressed bytes is an error", async () => {
  const codec = new Codec();
  for (const compress of COMPRESSORS) {
    for (const b64 of [false, true]) {
      const stored = await new Codec({ compress, b64 }).encode(JSON.parse(TEXT));
      for (let bit = 0; bit < stored.length * 8; bit++) {
        stored[bit >> 3] ^= 1 << (bit & 7);
        const what = `${compress} ${b64}, byte ${bit >> 3} bit ${bit & 7}`;
        await assertRejects(async () => await codec.decode(stored), DecodeError, "", what);
        if (!b64) await assertRejects(() => decode(stored), DecodeError, "", what);
        stored[bit >> 3] ^= 1 << (bit & 7);
      }
      assertEquals(await codec.decode(stored), JSON.parse(TEXT));
    }
  }
});

Deno.test("long compressed bytes are checked as well", async () => {
  const long = new Uint8Array(2_000_000).map((_, i) => i % 251 ^ i >> 9);
  for (const compress of COMPRESSORS) {
    const encoded = await encode(long, { compress });
    assertEquals(new Uint8Array(await decode(encoded)), long);
    for (const at of [4, 50, encoded.length >> 1, encoded.length - 1]) {
      const damaged = encoded.slice();
      damaged[at] ^= 16;
      await assertRejects(() => decode(damaged), DecodeError, "damaged");
      await assertRejects(() => decode(encoded.slice(0, at)), DecodeError, "damaged");
    }
  }
});

Deno.test("base64 that is no base64 is an error", async () => {
  for (
    const text of [
      "A",
      "AA",
      "AAA",
      "A===",
      "AAAA AAA",
      "AAAA\nAAA",
      "AB==",
      "AAAA====",
      "A\u00e9==",
      "AA-_",
    ]
  ) {
    await assertRejects(() => decode(utf8.encode(text)), DecodeError, "base64", text);
  }
});

Deno.test("encode and decode take bytes and nothing else", async () => {
  await assertRejects(() => encode("text" as unknown as Uint8Array), TypeError, "Uint8Array");
  await assertRejects(() => decode([1, 2] as unknown as Uint8Array), TypeError, "Uint8Array");
});

Deno.test("unknown names are refused at construction, with the valid ones", () => {
  for (const name of ["x", "", "constructor", "ZSTD", null, 1, {}, "none"]) {
    const error = assertThrows(
      () => new Codec({ compress: name as "zstd" }),
      TypeError,
      "Unknown compressor",
    );
    for (const valid of COMPRESSORS) assert(error.message.includes(`"${valid}"`));
    assertThrows(() => new Encoder({ compress: name as "zstd" }), TypeError, '"zstd"');
    const other = assertThrows(
      () => new Codec({ serializer: name as "json" }),
      TypeError,
      "Unknown serializer",
    );
    for (const valid of ["hashstash", "json", "msgpack", "v8"]) {
      assert(other.message.includes(`"${valid}"`));
    }
  }
  assertThrows(() => new Codec({ b64: 1 as unknown as boolean }), TypeError, "b64");
  const { serializer, compress, b64 } = new Codec({
    serializer: undefined,
    compress: undefined,
    b64: undefined,
  });
  assertEquals([serializer, compress, b64], ["hashstash", false, false]);
});
