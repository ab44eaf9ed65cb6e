/**
 * Long content: turns for the event loop, bounded memory, and the permissions that a codec asks
 * for.
 */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import * as zlib from "node:zlib";
import { Codec, decode, DecodeError, encode } from "../../codec/mod.ts";
import type { CompressorName } from "../../codec/mod.ts";
import { sealGzip } from "../../codec/gzip_seal.ts";
import { seal, type Sealed } from "../../codec/seal.ts";
import { runScript } from "../support/child.ts";

const COMPRESSORS: CompressorName[] = ["zstd", "lz4", "gzip", "zlib", "brotli"];
const MIB = 1024 * 1024;

/** Bytes that compress to about a half, and are as hard to compress as JSON text. */
function content(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let noise = 1;
  for (let i = 0; i < length; i++) {
    noise = Math.imul(noise, 1_664_525) + 1_013_904_223 | 0;
    bytes[i] = 97 + (noise >>> 28) + (i & 1);
  }
  return bytes;
}

/** How many turns the event loop had while the work was under way. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let going = true;
  const count = () => {
    turns++;
    if (going) setImmediate(count);
  };
  setImmediate(count);
  await work();
  going = false;
  return turns;
}

Deno.test({
  name: "compressing and decompressing long content lets the event loop have its turn",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const long = content(96 * MIB);
    for (const compress of COMPRESSORS) {
      // A turn is due every 8 ms, and these two decompress a megabyte in less than one.
      const isFast = compress === "zstd" || compress === "lz4";
      const bytes = isFast ? long : long.subarray(0, 24 * MIB);
      let encoded = bytes;
      const turns = await turnsDuring(async () => encoded = await encode(bytes, { compress }));
      assertGreater(turns, 2, `${compress} compressing`);
      let back = encoded;
      const more = await turnsDuring(async () => back = await decode(encoded));
      assertGreater(more, 2, `${compress} decompressing`);
      assertEquals(back.length, bytes.length);
      assert(back.every((byte, i) => byte === bytes[i]), compress);
    }
  },
});

Deno.test("content around the limits of one piece comes back", async () => {
  for (
    const length of [
      1,
      63,
      64 * 1024,
      256 * 1024 - 1,
      256 * 1024,
      256 * 1024 + 1,
      512 * 1024,
      512 * 1024 + 1,
    ]
  ) {
    const bytes = content(length);
    const zeros = new Uint8Array(length);
    for (const compress of COMPRESSORS) {
      for (const given of [bytes, zeros]) {
        const back = await decode(await encode(given, { compress }));
        assert(
          back.length === length && back.every((byte, i) => byte === given[i]),
          `${compress} ${length}`,
        );
      }
    }
  }
});

Deno.test("many long values at once", async () => {
  const codec = new Codec({ compress: "gzip" });
  const values = Array.from({ length: 8 }, (_, i) => ({ i, text: String(i).repeat(600_000) }));
  const stored = await Promise.all(values.map((value) => codec.encode(value)));
  assertEquals(await Promise.all(stored.map((bytes) => codec.decode(bytes))), values);
});

Deno.test("a frame whose seal lies about the length is refused, whatever it holds", async () => {
  const frames: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["zstd", zlib.zstdCompressSync],
    ["gzip", zlib.gzipSync],
    ["zlib", zlib.deflateSync],
    [
      "brotli",
      (bytes) => new Uint8Array([0xce, 0xb2, 0xcf, 0x81, ...zlib.brotliCompressSync(bytes)]),
    ],
  ];
  for (const length of [1_000, 3 * MIB]) {
    for (const [name, compress] of frames) {
      const frame = new Uint8Array(compress(new Uint8Array(length)));
      const sealed = (given: Sealed) => name === "gzip" ? sealGzip(given) : seal(given);
      assertEquals((await decode(sealed({ frame, length }))).length, length, name);
      for (const claimed of [0, 1, length - 1, length + 1, 2 * length, 2 ** 30 + 1, 2 ** 32 - 1]) {
        const what = `${name} of ${length} that claims ${claimed}`;
        await assertRejects(
          () => decode(sealed({ frame, length: claimed })),
          DecodeError,
          "",
          what,
        );
      }
      for (const cut of [frame.subarray(0, frame.length >> 1), frame.subarray(0, 12)]) {
        const what = `${name} of ${length} that is cut off`;
        await assertRejects(() => decode(sealed({ frame: cut, length })), DecodeError, "", what);
      }
    }
  }
  const lz4 = await encode(new Uint8Array(300_000), { compress: "lz4" });
  const frame = lz4.subarray(0, lz4.length - 16);
  for (const claimed of [0, 1, 299_999, 300_001, 2 ** 30 + 1]) {
    await assertRejects(
      () => decode(seal({ frame, length: claimed })),
      DecodeError,
      "",
      `lz4 that claims ${claimed}`,
    );
  }
});

/** Runs a script that has `Codec` in a process of its own, with these permissions. */
async function run(
  script: string,
  ...permissions: string[]
): Promise<{ ok: boolean; text: string }> {
  const { success, stdout, stderr } = await runScript(
    `import { Codec } from "./codec/mod.ts";\n${script}`,
    ["--no-prompt", ...permissions],
  );
  return { ok: success, text: success ? stdout : stderr };
}

function roundTrips(options: string): string {
  return `
    const value = { text: "a".repeat(1000), when: new Date(0) }, plain = { text: value.text };
    for (const of of [value, plain]) {
      const codec = new Codec(${options});
      console.log(JSON.stringify(await codec.decode(await codec.encode(of))).length);
    }`;
}

Deno.test("a codec asks for no permission, but for reading its library with lz4", async () => {
  for (
    const options of [
      "{}",
      '{ serializer: "v8", compress: "zstd" }',
      '{ compress: "gzip", b64: true }',
      '{ compress: "zlib" }',
      '{ compress: "brotli" }',
      '{ serializer: "msgpack" }',
    ]
  ) {
    const { ok, text } = await run(roundTrips(options));
    assert(ok, text);
    assertEquals(text.trim(), "1045\n1011", options);
  }
  const options = '{ compress: "lz4" }';
  const refused = await run(roundTrips(options));
  assert(!refused.ok && refused.text.includes("--allow-read"), refused.text);
  const allowed = await run(roundTrips(options), "--allow-read");
  assert(allowed.ok, allowed.text);
  assertEquals(allowed.text.trim(), "1045\n1011", options);
});
