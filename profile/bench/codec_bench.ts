/**
 * Every serializer and compressor beside bare JSON, and key text beside `JSON.stringify`.
 *
 *     deno bench -A profile/bench/codec_bench.ts
 *     deno bench -A profile/bench/codec_bench.ts -- msgpack zstd
 */
import { Codec, type CodecOptions, decodeKey, encodeKey } from "../../codec/mod.ts";
import { generateData } from "../data.ts";

const CODECS: Record<string, CodecOptions> = {
  hashstash: {},
  json: { serializer: "json" },
  msgpack: { serializer: "msgpack" },
  v8: { serializer: "v8" },
  base64: { b64: true },
  zstd: { compress: "zstd" },
  lz4: { compress: "lz4" },
  gzip: { compress: "gzip" },
  zlib: { compress: "zlib" },
  brotli: { compress: "brotli" },
  "zstd + base64": { compress: "zstd", b64: true },
};

const KEYS: Record<string, unknown> = {
  text: "user:1234:profile",
  number: 1234,
  "argument list": ["user", 1234, true, null],
  object: { user: 1234, page: { size: 10, from: 20 }, tags: ["a", "b"] },
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const chosen = Object.keys(CODECS).filter((name) =>
  Deno.args.length === 0 || Deno.args.includes(name)
);

for (const size of [1_000, 10_000, 100_000]) {
  const value = generateData(size);
  const json = encoder.encode(JSON.stringify(value));
  const encoding = `encode ${size / 1_000} KB`;
  const decoding = `decode ${size / 1_000} KB`;
  Deno.bench({
    name: "bare JSON",
    group: encoding,
    baseline: true,
    fn: () => void encoder.encode(JSON.stringify(value)),
  });
  Deno.bench({
    name: "bare JSON",
    group: decoding,
    baseline: true,
    fn: () => void JSON.parse(decoder.decode(json)),
  });
  for (const name of chosen) {
    const codec = new Codec(CODECS[name]);
    // The first call loads the libraries; from then on there are no promises at these sizes.
    const stored = await codec.encode(value);
    await codec.decode(stored);
    Deno.bench({ name, group: encoding, fn: () => void codec.encode(value) });
    Deno.bench({ name, group: decoding, fn: () => void codec.decode(stored) });
  }
}

for (const [name, key] of Object.entries(KEYS)) {
  const text = encodeKey(key);
  const json = JSON.stringify(key);
  const group = `key: ${name}`;
  Deno.bench({ name: "JSON.stringify", group, baseline: true, fn: () => void JSON.stringify(key) });
  Deno.bench({ name: "encodeKey", group, fn: () => void encodeKey(key) });
  Deno.bench({ name: "JSON.parse", group, fn: () => void JSON.parse(json) });
  Deno.bench({ name: "decodeKey", group, fn: () => void decodeKey(text) });
}
