/**
 * What is encoded or decoded is what was there at the call, though a library is loaded first, a
 * part of the user's own takes its time, or long content takes several turns of the event loop.
 */
import { assert, assertEquals } from "@std/assert";
import { Codec, decode, encode, Serializer } from "../../codec/mod.ts";
import type { CompressorName, CustomSerializer } from "../../codec/mod.ts";
import { runScript } from "../support/child.ts";

/** What a script prints that does this first in its process. */
async function firstInProcess(script: string): Promise<string> {
  const { stdout, stderr } = await runScript(
    `import { Codec, decode, encode, Serializer, Deserializer } from "./codec/mod.ts";
     const value = { list: [1, 2], text: "before" };
     const change = () => {
       value.list.push(() => {});
       value.text = new Date(0);
       value.self = value;
     };
     const show = (back) => console.log(JSON.stringify(back));
     ${script}`,
    ["--allow-read"],
  );
  assertEquals(stderr, "");
  return stdout.trim();
}

const BEFORE = '{"list":[1,2],"text":"before"}';

Deno.test("the first msgpack value of a process is stored as it was at the call", async () => {
  assertEquals(
    await firstInProcess(`
      const codec = new Codec({ serializer: "msgpack" });
      const stored = codec.encode(value);
      change();
      const bytes = await stored;
      if (bytes[0] !== 0xc1) throw new Error("no MessagePack");
      show(await codec.decode(bytes));`),
    BEFORE,
  );
});

Deno.test("so are the first values of a Serializer, with layers, and several at once", async () => {
  assertEquals(
    await firstInProcess(`
      const bytes = new Uint8Array([1, 2]);
      const all = [
        new Serializer("msgpack").serialize(value),
        new Codec({ serializer: "msgpack", compress: "lz4", b64: true }).encode({ value }),
        new Serializer("msgpack").serialize({ bytes }),
      ];
      change();
      bytes.fill(9);
      const [one, two, three] = await Promise.all(all);
      show(await new Deserializer().deserialize(one));
      show((await new Codec().decode(two)).value);
      show([...(await new Deserializer().deserialize(three)).bytes]);`),
    `${BEFORE}\n${BEFORE}\n[1,2]`,
  );
});

Deno.test("the first bytes through lz4 are those of the call, encoding and decoding", async () => {
  assertEquals(
    await firstInProcess(`
      const bytes = new Uint8Array(1_000).fill(7);
      const encoding = encode(bytes, { compress: "lz4" });
      bytes.fill(8);
      show((await decode(await encoding)).every((byte) => byte === 7));`),
    "true",
  );
  const stored = await encode(new Uint8Array(1_000).fill(7), { compress: "lz4" });
  const packed = await new Codec({ serializer: "msgpack" }).encode({ a: "b" });
  assertEquals(
    await firstInProcess(`
      const stored = Uint8Array.fromHex("${stored.toHex()}");
      const packed = Uint8Array.fromHex("${packed.toHex()}");
      const decoding = [decode(stored), new Codec().decode(packed)];
      stored.fill(0xff);
      packed.fill(0xff);
      const [bytes, unpacked] = await Promise.all(decoding);
      show([bytes.every((byte) => byte === 7), unpacked]);`),
    '[true,{"a":"b"}]',
  );
});

Deno.test("long bytes that change while they are compressed or decompressed don't matter", async () => {
  const long = () => new Uint8Array(3_000_000).map((_, i) => i % 251 ^ i >> 9);
  for (const compress of ["zstd", "lz4", "gzip", "zlib", "brotli"] satisfies CompressorName[]) {
    const bytes = long();
    const encoding = encode(bytes, { compress });
    bytes.fill(1);
    const encoded = await encoding;
    const decoding = decode(encoded);
    encoded.fill(1);
    const back = await decoding;
    const expected = long();
    assert(back.length === expected.length && back.every((byte, i) => byte === expected[i]));
  }
});

/** A serializer that reads the value a few turns after it was called. */
function slow(name: string, calls: unknown[] = []): CustomSerializer {
  return {
    name,
    serialize: async (value) => {
      calls.push(value);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return new TextEncoder().encode(JSON.stringify(value));
    },
    deserialize: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  };
}

Deno.test("a serializer that answers with a promise gets a value that nobody changes", async () => {
  const codec = new Codec({ serializer: slow("slow") });
  for (let times = 0; times < 3; times++) {
    const value = { list: [1], more: { a: "b" } };
    const encoding = codec.encode(value);
    value.list.push(2);
    value.more.a = "c";
    assertEquals(await codec.decode(await encoding), { list: [1], more: { a: "b" } });
  }
  const serializer = new Serializer(slow("slow too"));
  const list = [1, 2];
  const serializing = serializer.serialize(list);
  list.length = 0;
  assertEquals(await new Codec({ serializer: slow("slow too") }).decode(await serializing), [1, 2]);
});

Deno.test("what hashstash refuses goes to such a serializer as it is", async () => {
  class Account {
    constructor(readonly id: number) {}
  }
  const calls: unknown[] = [];
  const codec = new Codec({ serializer: slow("slow accounts", calls) });
  const account = new Account(1);
  const stored = await codec.encode(account);
  await codec.encode(account);
  assert(calls.every((value) => value === account));
  assertEquals(await codec.decode(stored), { id: 1 });
});
