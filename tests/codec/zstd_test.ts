/** zstd data that is whole and yet wrong, and data of several frames. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as zlib from "node:zlib";
import { decode, DecodeError, encode } from "../../codec/mod.ts";
import type { CompressorName } from "../../codec/mod.ts";
import { framesOf } from "../../codec/compressors/zstd_frames.ts";
import { seal } from "../../codec/seal.ts";

const MIB = 1024 * 1024;
const RAW = 0;
const RLE = 1;
const COMPRESSED = 2;
const RESERVED = 3;

function block(type: number, size: number, body: number[], last = false): number[] {
  const header = size << 3 | type << 1 | (last ? 1 : 0);
  return [header & 255, header >> 8 & 255, header >> 16, ...body];
}

/** A frame of a window of 16 MiB, without the size of its content, of these blocks. */
function frame(...blocks: number[][]): Uint8Array {
  return new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70, ...blocks.flat()]);
}

/** 128 KiB of one byte. */
const LONG_BLOCK = block(RLE, 128 * 1024, [7]);
const END = block(RAW, 1, [7], true);

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("a sealed frame that breaks after much output is a DecodeError", async () => {
  const garbage = [1, 2, 3, 4, 5, 6, 7, 8];
  const good = frame(LONG_BLOCK, LONG_BLOCK, LONG_BLOCK, END);
  const length = 3 * 128 * 1024 + 1;
  assertEquals((await decode(seal({ frame: good, length }))).length, length);
  for (
    const broken of [
      frame(LONG_BLOCK, block(RESERVED, 3, [1, 2, 3], true)),
      frame(LONG_BLOCK, LONG_BLOCK, block(COMPRESSED, 8, garbage, true)),
      frame(LONG_BLOCK, LONG_BLOCK, LONG_BLOCK, block(COMPRESSED, 8, garbage), END),
      frame(LONG_BLOCK, LONG_BLOCK, LONG_BLOCK),
      joined(good, frame(block(COMPRESSED, 8, garbage, true))),
      joined(good, frame(LONG_BLOCK, block(COMPRESSED, 8, garbage, true))),
      joined(good, new Uint8Array(garbage)),
      joined(good, new Uint8Array([0x28])),
      // The same with a checksum that does not fit the content.
      joined(good, new Uint8Array([1, 2, 3, 4])).with(4, 4),
    ]
  ) {
    for (const claimed of [length, length + 8, 128 * 1024 * 3, 300_000, 64 * MIB]) {
      await assertRejects(() => decode(seal({ frame: broken, length: claimed })), DecodeError);
    }
  }
});

Deno.test("a flipped bit that a right seal encloses is a DecodeError or harmless, and never ends the program", async () => {
  const content = new Uint8Array(700_000).map((_, i) => i % 251 ^ i >> 9 ^ i * i >> 7);
  for (const compress of ["zstd", "gzip", "zlib", "brotli", "lz4"] satisfies CompressorName[]) {
    const encoded = await encode(content, { compress });
    const sealed = encoded.subarray(0, encoded.length - 16);
    let errors = 0;
    for (let i = 0; i < 150; i++) {
      const at = 4 + (i * 7_919 + 31 * i * i) % (sealed.length - 4);
      const changed = sealed.slice();
      changed[at] ^= 1 << i % 8;
      try {
        assertEquals(
          (await decode(seal({ frame: changed, length: content.length }))).length,
          700_000,
        );
      } catch (error) {
        assert(error instanceof DecodeError, String(error));
        errors++;
      }
    }
    assert(errors > 0, compress);
  }
});

Deno.test("long content is in frames that zstd reads, and that are found", async () => {
  const content = new Uint8Array(9 * MIB).map((_, i) => i % 251 ^ i >> 9);
  const encoded = await encode(content, { compress: "zstd" });
  const frames = framesOf(encoded);
  assertEquals(frames.map(({ dictionary }) => dictionary), [false, false, false]);
  const parts = frames.map(({ bytes }) => zlib.zstdDecompressSync(bytes));
  assertEquals(parts.map(({ length }) => length), [4 * MIB, 4 * MIB, MIB]);
  const back = await decode(encoded);
  assert(back.length === content.length && back.every((byte, i) => byte === content[i]));
});

Deno.test("frames end where they say, and nothing else is taken for them", () => {
  const skippable = new Uint8Array([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const one = frame(LONG_BLOCK, END);
  const two = new Uint8Array(zlib.zstdCompressSync(new Uint8Array(100)));
  const whole = joined(skippable, one, two, skippable);
  assertEquals(framesOf(whole).map(({ bytes }) => bytes), [one, two]);
  assertEquals(framesOf(new Uint8Array()), []);
  for (let length = 1; length < whole.length; length++) {
    const ends = [skippable.length, skippable.length + one.length, whole.length - skippable.length];
    if (ends.includes(length)) continue;
    assertThrows(() => framesOf(whole.subarray(0, length)), Error, "", String(length));
  }
});
