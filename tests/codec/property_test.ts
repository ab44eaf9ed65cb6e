/** Random values and keys through every codec. */
import { assert, assertEquals } from "@std/assert";
import {
  Codec,
  decode,
  decodeKey,
  encode,
  encodeKey,
  LAYERS,
  registerClass,
} from "../../codec/mod.ts";
import type { CompressorName, SerializerName } from "../../codec/mod.ts";
import { Point, RandomValues, testSeed } from "../support/random.ts";
import { difference } from "../support/same.ts";

registerClass(Point, {
  toJSON: ({ x, y }) => ({ x, y }),
  fromJSON: ({ x, y }) => new Point(x, y),
});

const CASES = 10_000;
const SERIALIZERS: SerializerName[] = ["hashstash", "msgpack", "v8", "json"];
const COMPRESSORS: (false | CompressorName)[] = [false, "zstd", "lz4", "gzip", "zlib", "brotli"];

const CODECS = SERIALIZERS.flatMap((serializer) =>
  COMPRESSORS.flatMap((compress) =>
    [false, true].map((b64) => new Codec({ serializer, compress, b64 }))
  )
);

function describe(codec: Codec): string {
  return `${codec.serializer}, ${codec.compress}, ${codec.b64 ? "base64" : "binary"}`;
}

/** The value from another codec's decoder, which is told nothing. */
async function roundTrip(codec: Codec, other: Codec, value: unknown): Promise<unknown> {
  const stored = await codec.encode(value);
  const untouched = stored.slice();
  const back = await other.decode(stored);
  assertEquals(stored, untouched, "decoding changed the stored bytes");
  return back;
}

Deno.test("random values come back exactly, from every codec to every other", async () => {
  const seed = testSeed();
  for (let i = 0; i < CASES; i++) {
    const random = new RandomValues(seed + i, { references: true });
    const value = random.value();
    for (const serializer of SERIALIZERS.slice(0, 3)) {
      const codec = random.pick(CODECS.filter((codec) => codec.serializer === serializer));
      const found = difference(await roundTrip(codec, random.pick(CODECS), value), value);
      assert(found === undefined, `seed ${seed + i}, ${describe(codec)}: ${found}`);
    }
  }
});

Deno.test("random JSON values come back exactly, and are plain JSON without layers", async () => {
  const seed = testSeed();
  const bare = new Codec();
  for (let i = 0; i < CASES; i++) {
    const random = new RandomValues(seed + i, { plain: true });
    const value = random.value();
    const codec = random.pick(CODECS);
    const found = difference(await roundTrip(codec, random.pick(CODECS), value), value);
    assert(found === undefined, `seed ${seed + i}, ${describe(codec)}: ${found}`);
    const text = new TextDecoder().decode(await bare.encode(value));
    if (!text.startsWith('{"$rich":')) assertEquals(text, JSON.stringify(value));
  }
});

Deno.test("the json serializer takes what comes back exactly and refuses everything else", async () => {
  const seed = testSeed();
  const json = new Codec({ serializer: "json" });
  let taken = 0;
  let refused = 0;
  for (let i = 0; i < CASES; i++) {
    const value = new RandomValues(seed + i).value();
    let stored: Uint8Array;
    try {
      stored = await json.encode(value);
    } catch (error) {
      assert(error instanceof TypeError && error.message.includes("$"), String(error));
      refused++;
      continue;
    }
    taken++;
    const found = difference(await json.decode(stored), value);
    assert(found === undefined, `seed ${seed + i}: ${found}`);
  }
  assert(taken > 0 && refused > 0);
});

Deno.test("random keys: reversible, canonical, well-formed", () => {
  const seed = testSeed();
  for (let i = 0; i < CASES; i++) {
    const key = new RandomValues(seed + i).value();
    const text = encodeKey(key);
    assert(text.isWellFormed() && !text.includes("\0"), `seed ${seed + i}`);
    const back = decodeKey(text);
    assertEquals(encodeKey(back), text, `seed ${seed + i}`);
    assertEquals(encodeKey(shuffled(key, new RandomValues(i))), text, `seed ${seed + i}`);
  }
});

Deno.test("any text decodes to the key of that text, or is damaged", () => {
  const seed = testSeed();
  for (let i = 0; i < CASES; i++) {
    const random = new RandomValues(seed + i);
    const text = encodeKey(random.value());
    const at = random.below(text.length);
    const changed = text.slice(0, at) + random.pick(['"', "$", "1", "a", "[", ""]) +
      text.slice(at + 1);
    if (!changed.isWellFormed()) continue;
    let key: unknown;
    try {
      key = decodeKey(changed);
    } catch (error) {
      assertEquals((error as Error).name, "DecodeError");
      continue;
    }
    // How an instance is encoded is its class's matter.
    if (!changed.includes('"$class"')) assertEquals(encodeKey(key), changed, `seed ${seed + i}`);
  }
});

/** What our layers begin with. */
const BEGINNINGS = LAYERS.map(({ firstBytes, magic }) => magic ?? firstBytes);

Deno.test("random bytes come back from every encoder", async () => {
  const seed = testSeed();
  for (let i = 0; i < 2_000; i++) {
    const random = new RandomValues(seed + i);
    let bytes = random.bytes(random.pick([2, 40, 400]));
    if (random.next() < 0.3) bytes = new Uint8Array(400).fill(random.below(256));
    if (random.next() < 0.3) bytes = new Uint8Array([...random.pick(BEGINNINGS), ...bytes]);
    const layers = { compress: random.pick(COMPRESSORS), b64: random.next() < 0.5 };
    // What is encoded already may be encoded again.
    for (let times = 0; times < 3; times++) {
      const encoded = await encode(bytes, layers);
      assertEquals(new Uint8Array(await decode(encoded)), bytes, `seed ${seed + i}`);
      bytes = new Uint8Array(encoded);
    }
  }
});

/** An equal key in another order of properties, Sets and Maps. */
function shuffled(key: unknown, random: RandomValues): unknown {
  const prototype: unknown = typeof key === "object" && key !== null && Object.getPrototypeOf(key);
  const mixed = <T>(items: Iterable<T>) =>
    Array.from(items, (item) => ({ item, at: random.next() })).sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  if (Object.is(key, -0)) return 0;
  if (prototype === Object.prototype) {
    const entries = mixed(Object.entries(key as object));
    return Object.fromEntries(entries.map(([name, value]) => [name, shuffled(value, random)]));
  }
  if (prototype === Set.prototype) {
    return new Set(mixed(key as Set<unknown>).map((item) => shuffled(item, random)));
  }
  if (prototype === Map.prototype) {
    const pairs = mixed(key as Map<unknown, unknown>);
    return new Map(pairs.map(([k, v]) => [shuffled(k, random), shuffled(v, random)]));
  }
  return key;
}
