/** Few bytes that stand for much: reading them costs in proportion to what is stored. */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import * as nodeV8 from "node:v8";
import {
  Codec,
  decode,
  DecodeError,
  decodeKey,
  Decoder,
  deserialize,
  encode,
  encodeKey,
  serialize,
} from "../../codec/mod.ts";
import type { CompressorName } from "../../codec/mod.ts";
import { seal } from "../../codec/seal.ts";
import { runScript } from "../support/child.ts";

const COMPRESSORS: CompressorName[] = ["brotli", "gzip", "zlib", "zstd", "lz4"];
const MIB = 1024 * 1024;
const utf8 = new TextEncoder();

/** Checks that something is done at once; on a busy machine that takes a while. */
async function isQuick(action: () => unknown, what: string): Promise<void> {
  const start = performance.now();
  await action();
  assertLess(performance.now() - start, 5_000, what);
}

/**
 * What a script prints in a process of its own, to which memory is short. It has the codec, and
 * `grown()`: by how many bytes the process has grown since it began.
 */
async function withLittleMemory(script: string): Promise<string> {
  const { stdout, stderr } = await runScript(
    `import { Codec, Decoder, decodeKey, DecodeError, deserialize, encode } from "./codec/mod.ts";
     await new Codec({ compress: "gzip" }).encode("a".repeat(1_000));
     const { rss } = Deno.memoryUsage();
     const grown = () => Deno.memoryUsage().rss - rss;
     ${script}`,
    ["--allow-read", "--v8-flags=--max-old-space-size=200"],
  );
  assertEquals(stderr, "");
  return stdout.trim();
}

/** Each level holds the one below twice. */
function doubled(levels: number): string {
  let text = '{"$id":[1,[]]}';
  for (let i = 1; i < levels; i++) text = `{"$id":[${i + 1},[${text},{"$ref":${i}}]]}`;
  return text;
}

Deno.test("a key has no references, so that its text can't double per level", async () => {
  for (const text of [doubled(22), doubled(60), doubled(900), '[{"$id":[1,[]]},{"$ref":1}]']) {
    await isQuick(() => assertThrows(() => decodeKey(`\u0001${text}`), DecodeError), text);
  }
  // As properties of a user's own they are escaped.
  for (const key of [{ $id: [1, []] }, { $ref: 1 }]) {
    assertEquals(decodeKey(encodeKey(key)), key);
  }
});

Deno.test("keys and JSON of shared parts are written in time, or refused", async () => {
  const shared = (levels: number, width: number) => {
    let value: unknown[] = [1];
    for (let i = 0; i < levels; i++) value = new Array(width).fill(value);
    return value;
  };
  const write = (value: unknown) => [
    () => encodeKey(value),
    () => encodeKey({ b: value, a: new Date(0) }),
  ];
  for (const [levels, width] of [[60, 2], [40, 3], [12, 20], [500, 2]]) {
    const value = shared(levels, width);
    for (const action of write(value)) {
      await isQuick(() => assertThrows(action, TypeError, "shared parts"), `${levels} ${width}`);
    }
    await isQuick(
      () => assertRejects(() => serialize(value, "json"), TypeError, "shared parts"),
      `${levels} ${width}`,
    );
    await isQuick(async () => {
      for (const serializer of ["hashstash", "v8"] as const) {
        let back = await deserialize(await serialize(value, serializer)) as unknown[];
        for (let i = 0; i < levels; i++) back = back[width - 1] as unknown[];
        assertEquals(back, [1]);
      }
    }, `${levels} ${width}`);
  }
  const value = shared(12, 2);
  assertEquals(encodeKey(value), encodeKey(JSON.parse(JSON.stringify(value))));
  assertEquals(await serialize(value, "json"), utf8.encode(JSON.stringify(value)));
});

Deno.test("a long array with holes takes no memory for them", async () => {
  for (const length of [33_000_000, 2 ** 25, 20_000_000, 2 ** 32 - 1]) {
    assertEquals(
      await withLittleMemory(`
        const sparse = '{"$sparse":[${length},[[3,7]]]}';
        const many = \`{"$rich":[\${new Array(20).fill(sparse).join()}]}\`;
        const back = await deserialize(new TextEncoder().encode(many));
        const key = decodeKey(\`\u0001[\${new Array(20).fill(sparse).join()}]\`);
        const right = [...back, ...key].every((array) =>
          array.length === ${length} && Object.keys(array).join() === "3" && array[3] === 7
        );
        console.log(back.length, key.length, right, grown() < 100e6);`),
      "20 20 true true",
    );
  }
  const few = Object.assign(new Array(20), { 3: 1, 5: 2 });
  assertEquals(await deserialize(await serialize(few)), few);
});

Deno.test("an array of a structured clone is as long as its bytes say", async () => {
  const number = (value: number): number[] =>
    value < 128 ? [value] : [value & 127 | 128, ...number(Math.floor(value / 128))];
  const [A, a, end, sparseEnd, I] = Array.from("Aa$@I", (c) => c.charCodeAt(0));
  const holes = (length: number) => [a, ...number(length), sparseEnd, 0, ...number(length)];
  const within = (...items: number[][]) => [
    ...[0xff, 0x0f, A, ...number(items.length)],
    ...items.flat(),
    ...[end, 0, ...number(items.length)],
  ];
  const nested = (levels: number): number[] =>
    levels === 0 ? [] : [A, ...number(100_000), ...nested(levels - 1)];
  for (
    const bytes of [
      within(...new Array(5).fill(holes(33_000_000))),
      within(holes(1)),
      within([A, ...number(2 ** 32 - 1), end, 0, ...number(2 ** 32 - 1)]),
      [0xff, 0x0f, ...nested(900), ...new Array(100_000).fill("_".charCodeAt(0))],
      [0xff, 0x0f, a, 1, I, 4, I, 2, sparseEnd, 1, 1],
      [0xff, 0x0f, a, 2, I, 0, I, 2, sparseEnd, 1, 2],
    ]
  ) {
    await isQuick(
      () => assertRejects(() => deserialize(new Uint8Array(bytes)), DecodeError, "damaged"),
      bytes.slice(0, 9).join(),
    );
  }
  // An older version is not ours.
  const older = new Uint8Array([0xff, 0x0c, "0".charCodeAt(0)]);
  await assertRejects(() => deserialize(older), DecodeError, "none of the known formats");
  // What V8 writes as an array that could have holes.
  const value = { filled: new Array(3).fill({ a: "é" }), list: [1.5, , "\u0416"].fill(2, 1, 2) };
  const stored = await serialize(value, "v8");
  assertEquals(stored, new Uint8Array(nodeV8.serialize(value)));
  assertEquals(await deserialize(stored), value);
});

Deno.test("content is refused beyond maxValueBytes, before the memory is taken", async () => {
  for (const compress of COMPRESSORS) {
    const small = await encode(new Uint8Array(1_000), { compress });
    assertEquals((await new Decoder({ maxValueBytes: 1_000 }).decode(small)).length, 1_000);
    await assertRejects(() => new Decoder({ maxValueBytes: 999 }).decode(small), DecodeError);
    const bomb = await encode(new Uint8Array(128 * MIB), { compress });
    assertLess(bomb.length, MIB);
    assertEquals(
      await withLittleMemory(`
        const bomb = Uint8Array.fromBase64("${bomb.toBase64()}");
        for (const b64 of [false, true]) {
          const stored = b64 ? new TextEncoder().encode(bomb.toBase64()) : bomb;
          const decoder = new Decoder({ maxValueBytes: ${128 * MIB - 1} });
          const error = await decoder.decode(stored).catch((error) => error);
          console.log(error instanceof DecodeError, error.message.includes("maxValueBytes"));
        }
        console.log(grown() < 100e6);`),
      "true true\ntrue true\ntrue",
      compress,
    );
  }
});

Deno.test("maxValueBytes is about every serializer and layer", async () => {
  const value = { text: "x".repeat(1_000) };
  const limited = new Codec({ maxValueBytes: 500 });
  const compress = {
    name: "eights",
    compress: (bytes: Uint8Array) => new Uint8Array(bytes.length >> 3),
    decompress: () => utf8.encode(JSON.stringify(value)),
  };
  const serializer = {
    name: "plain",
    serialize: (value: unknown) => utf8.encode(JSON.stringify(value)),
    deserialize: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)),
  };
  for (
    const options of [
      {},
      { serializer: "json" },
      { serializer: "msgpack" },
      { serializer: "v8" },
      { serializer },
      { compress: true },
      { compress },
      { b64: true },
    ] as const
  ) {
    const stored = await new Codec(options).encode(value);
    const why = JSON.stringify(options);
    await assertRejects(async () => await limited.decode(stored), DecodeError, "500 bytes", why);
    assertEquals(await new Codec({ maxValueBytes: 1_100 }).decode(stored), value);
    assertEquals(await new Codec({ maxValueBytes: Infinity }).decode(stored), value);
  }
  const stored = await limited.encode(new Uint8Array(1_000));
  await assertRejects(async () => await limited.decode(stored), DecodeError, "500 bytes");
  assertEquals(await limited.decode(await limited.encode({ a: 1 })), { a: 1 });
});

Deno.test("the default of maxValueBytes is 1 GiB, and others are checked", async () => {
  assertEquals(new Codec().maxValueBytes, 2 ** 30);
  const frame = (await encode(new Uint8Array(1_000), { compress: "brotli" })).slice(0, -16);
  for (const length of [2 ** 30 + 1, 2 ** 32 - 1]) {
    await assertRejects(() => decode(seal({ frame, length })), DecodeError, "maxValueBytes");
  }
  for (const option of [0, -1, 1.5, NaN, -Infinity]) {
    assertThrows(() => new Codec({ maxValueBytes: option }), RangeError, "maxValueBytes");
    assertThrows(() => new Decoder({ maxValueBytes: option }), RangeError, "maxValueBytes");
  }
  for (const option of ["1", null, 1n, true]) {
    const maxValueBytes = option as unknown as number;
    assertThrows(() => new Codec({ maxValueBytes }), TypeError, "maxValueBytes");
    assertThrows(() => new Decoder({ maxValueBytes }), TypeError, "maxValueBytes");
  }
});

Deno.test("text that no string can hold is a DecodeError", async () => {
  const bytes = new Uint8Array(2 ** 29 + 2).fill(0x61);
  bytes[0] = bytes[bytes.length - 1] = 0x22;
  await assertRejects(() => deserialize(bytes), DecodeError, "longer than a string");
  assert(new Codec().decode(bytes.subarray(0, 3).with(2, 0x22)) === "a");
});
