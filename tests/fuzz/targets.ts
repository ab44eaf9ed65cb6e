/** What is fuzzed: each layer of the stored format, its seal broken or right, and key texts. */
import {
  Codec,
  type CodecOptions,
  DecodeError,
  decodeKey,
  Decoder,
  encodeKey,
  registerClass,
} from "../../codec/mod.ts";
import { PROTECTED_MARK } from "../../codec/format.ts";
import { sealGzip } from "../../codec/gzip_seal.ts";
import { seal } from "../../codec/seal.ts";
import { openHeader, withHeader } from "../../store/header.ts";
import { Point, RandomValues } from "../support/random.ts";
import { joined } from "./mutate.ts";

/** Something that reads bytes of which it can trust none. */
export interface Target {
  readonly name: string;
  /** Bytes that it reads, to be changed. */
  readonly seeds: readonly Uint8Array[];
  /** Reads bytes; it gives a value or throws what `allows` knows. */
  read(bytes: Uint8Array): unknown;
  /** Whether an error is one that the documentation names. */
  allows(error: unknown): boolean;
}

/** What decoding may take in here, bytes. */
const MAX_VALUE_BYTES = 32 * 1024 * 1024;

const codec = new Codec({ maxValueBytes: MAX_VALUE_BYTES });
const decoder = new Decoder({ maxValueBytes: MAX_VALUE_BYTES });
const utf8 = new TextEncoder();
const lenient = new TextDecoder();

const isDecodeError = (error: unknown) => error instanceof DecodeError;

registerClass(Point, {
  name: "fuzz-point",
  toJSON: ({ x, y }) => ({ x, y }),
  fromJSON: ({ x, y }) => new Point(x, y),
});

const serializer = {
  name: "fuzz",
  serialize: (value: unknown) => utf8.encode(String(value)),
  deserialize: (bytes: Uint8Array) => lenient.decode(bytes),
};
const compress = {
  name: "halves",
  compress: (bytes: Uint8Array) => bytes.filter((_, i) => i % 2 === 0),
  decompress: (bytes: Uint8Array) => joined(bytes, bytes),
};

/** Random values of every sort, and some that have been trouble. */
function values(count: number): unknown[] {
  const shared = [1, "a"];
  return [
    { a: 1 },
    [shared, shared],
    Object.assign(new Array(20), { 3: 1 }),
    new Map<unknown, unknown>([[1, new Set([2n])]]),
    { list: new Array(50).fill({ text: "to be, or not to be" }) },
    new Array(3).fill(1.5),
    ...Array.from(
      { length: count },
      (_, seed) => new RandomValues(seed, { references: true }).value(),
    ),
  ];
}

async function stored(options: CodecOptions, of: unknown[] = values(40)): Promise<Uint8Array[]> {
  const writer = new Codec(options);
  return await Promise.all(of.map((value) => writer.encode(value)));
}

/** Reads bytes by both ways there are, and a third time within tight limits. */
async function readBothWays(bytes: Uint8Array): Promise<void> {
  const outcomes = await Promise.allSettled([
    (async () => await codec.decode(bytes))(),
    decoder.decode(bytes),
    (async () => await new Codec({ maxValueBytes: 100 }).decode(bytes))(),
  ]);
  const failures = outcomes.map((outcome) =>
    outcome.status === "rejected" ? { error: outcome.reason } : undefined
  );
  const unexpected = failures.find((failure) => failure && !isDecodeError(failure.error));
  if (unexpected !== undefined) throw unexpected.error;
  if (failures[0] !== undefined) throw failures[0].error;
}

function layer(
  name: string,
  seeds: Uint8Array[],
  wrap?: (bytes: Uint8Array) => Uint8Array,
): Target {
  return {
    name,
    seeds,
    read: (bytes) => readBothWays(wrap === undefined ? bytes : wrap(bytes)),
    allows: isDecodeError,
  };
}

/** A frame behind the length of its content, to be changed together: as a hostile seal says it. */
function withLength(frame: Uint8Array, length: number): Uint8Array {
  const bytes = joined(new Uint8Array(4), frame);
  new DataView(bytes.buffer).setUint32(0, length, true);
  return bytes;
}

function sealedAs(name: string, bytes: Uint8Array): Uint8Array {
  const whole = bytes.length < 4 ? new Uint8Array(4) : bytes;
  const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
  const frame = whole.subarray(4);
  return name === "gzip" && frame.length >= 10
    ? sealGzip({ frame, length })
    : seal({ frame, length });
}

/** All targets. */
export async function targets(): Promise<Target[]> {
  const long = { text: Array.from({ length: 60_000 }, (_, i) => i * i % 977).join() };
  const compressible = [...values(10), { list: new Array(200).fill("text") }, long];
  const found: Target[] = [
    layer("json", await stored({}, values(80))),
    layer("bytes", await stored({}, [new Uint8Array(5), new Uint8Array(300)])),
    layer("msgpack", await stored({ serializer: "msgpack" })),
    layer("v8", await stored({ serializer: "v8" })),
    layer("custom serializer", await stored({ serializer }, ["a", 1, { b: 2 }])),
    layer("base64", await stored({ b64: true })),
    layer("base64 of zstd", await stored({ b64: true, compress: "zstd" }, compressible)),
    layer(
      "protected, sealed",
      [utf8.encode("Vx"), new Uint8Array([0xff, 1])],
      (bytes) => seal({ frame: joined(PROTECTED_MARK, bytes), length: bytes.length }),
    ),
    layer(
      "custom serializer, sealed",
      [new Uint8Array([4, ...utf8.encode("fuzz"), 1, 2])],
      (bytes) => seal({ frame: joined(new Uint8Array([2]), bytes), length: bytes.length }),
    ),
    layer(
      "custom compressor, sealed",
      [new Uint8Array([6, ...utf8.encode("halves"), 1, 2])],
      (bytes) => seal({ frame: joined(new Uint8Array([3]), bytes), length: 4 }),
    ),
  ];
  new Codec({ compress });
  for (const name of ["zstd", "gzip", "zlib", "lz4", "brotli"] as const) {
    const sealed = await stored({ compress: name }, compressible);
    found.push(layer(name, sealed));
    const contents = await stored({}, compressible);
    const frames = sealed.map((bytes) =>
      name === "gzip"
        ? joined(bytes.subarray(0, 10).map((byte, i) => i === 3 ? 0 : byte), bytes.subarray(24))
        : bytes.slice(0, -16)
    );
    const compressed = frames.map((_, i) => i).filter((i) => sealed[i].length < contents[i].length);
    found.push(
      layer(
        `${name}, sealed`,
        compressed.map((i) => withLength(frames[i], contents[i].length)),
        (bytes) => sealedAs(name, bytes),
      ),
      // Without a seal: as others write it, where it is complete.
      layer(`${name} of others`, compressed.map((i) => frames[i])),
    );
  }
  found.push({
    name: "key text",
    seeds: values(100).flatMap((value) => {
      try {
        return [utf8.encode(encodeKey(value))];
      } catch {
        return []; // A cycle: no key.
      }
    }),
    read: (bytes) => decodeKey(`\u0001${lenient.decode(bytes.subarray(1))}`),
    allows: isDecodeError,
  }, {
    name: "entry header",
    seeds: [
      withHeader(utf8.encode("[1]"), { version: 3, series: "a", timestamp: 5 }),
      withHeader(utf8.encode("{}"), { timestamp: 1.5 }),
    ],
    read: (bytes) => openHeader(bytes),
    allows: isDecodeError,
  });
  return found;
}
