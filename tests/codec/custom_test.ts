/** Serializers, compressors and classes of the user's own. Acceptance cases 47. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  Codec,
  decode,
  DecodeError,
  Decoder,
  deserialize,
  Deserializer,
  encode,
  registerClass,
  serialize,
  Serializer,
} from "../../codec/mod.ts";
import type { Compressor, CustomSerializer } from "../../codec/mod.ts";
import { RAW_MARK } from "../../codec/format.ts";
import { runScript } from "../support/child.ts";
import { difference } from "../support/same.ts";

const utf8 = new TextEncoder();

function reversing(name: string): CustomSerializer {
  return {
    name,
    serialize: (value) => utf8.encode([...JSON.stringify(value)].reverse().join("")),
    deserialize: (bytes) => JSON.parse([...new TextDecoder().decode(bytes)].reverse().join("")),
  };
}

/** Runs of one byte, with promises. */
function runs(name: string): Compressor {
  return {
    name,
    compress: async (bytes) => {
      await Promise.resolve();
      const out: number[] = [];
      for (const byte of bytes) {
        if (out.at(-1) === byte && out[out.length - 2] < 255) out[out.length - 2]++;
        else out.push(1, byte);
      }
      return new Uint8Array(out);
    },
    decompress: async (bytes) => {
      await Promise.resolve();
      const out: number[] = [];
      for (let i = 0; i < bytes.length; i += 2) out.push(...new Array(bytes[i]).fill(bytes[i + 1]));
      return new Uint8Array(out);
    },
  };
}

Deno.test("custom serializers and compressors, alone and together, with promises or without", async () => {
  const value = { text: "a".repeat(500), list: [1, 2] };
  const serializer = reversing("reversing é");
  const compress = runs("runs");
  for (const options of [{ serializer }, { compress }, { serializer, compress }]) {
    for (const b64 of [false, true]) {
      const codec = new Codec({ ...options, b64 });
      const stored = await codec.encode(value);
      assertEquals(await codec.decode(stored), value);
      assertEquals(await new Codec().decode(stored), value, "known in the process");
    }
  }
  const { serializer: name, compress: other } = new Codec({ serializer, compress });
  assertEquals([name, other], ["reversing é", "runs"]);
  assertEquals(await deserialize(await serialize(value, serializer)), value);
  const bytes = new Uint8Array(500);
  assertEquals(await decode(await encode(bytes, { compress })), bytes);
});

Deno.test("the bytes of an unknown serializer or compressor name it", async () => {
  const script = `
    import { Codec } from "./codec/mod.ts";
    const serializer = { name: "elsewhere", serialize: () => new Uint8Array([7]), deserialize: () => "seven" };
    const compress = { name: "nowhere", compress: () => new Uint8Array([1]), decompress: (bytes) => bytes };
    const value = new Uint8Array(496);
    console.log((await new Codec({ serializer }).encode(1)).toHex());
    console.log((await new Codec({ compress }).encode(value)).toHex());
  `;
  const { stdout } = await runScript(script, []);
  const [one, two] = stdout.trim().split("\n").map(Uint8Array.fromHex);
  await assertRejects(() => deserialize(one), DecodeError, '"elsewhere"');
  await assertRejects(async () => await new Codec().decode(two), DecodeError, '"nowhere"');
  // Any handle that has it in its options reads it.
  const serializer = {
    name: "elsewhere",
    serialize: () => utf8.encode("x"),
    deserialize: (bytes: Uint8Array) => bytes[0],
  };
  assertEquals(await new Deserializer(serializer).deserialize(one), 7);
  const compress = {
    name: "nowhere",
    compress: (bytes: Uint8Array) => bytes,
    decompress: () => new Uint8Array([...RAW_MARK, ...new Uint8Array(496)]),
  };
  assertEquals(await new Codec({ compress }).decode(two), new Uint8Array(496));
  assertEquals((await new Decoder({ compress }).decode(two)).length, 500);
});

Deno.test("a handle's own part goes before another of the same name", async () => {
  const one = { ...reversing("twice"), deserialize: () => "one" };
  const two = { ...reversing("twice"), deserialize: () => "two" };
  const first = new Codec({ serializer: one });
  const second = new Codec({ serializer: two });
  const stored = await first.encode(1);
  assertEquals([await first.decode(stored), await second.decode(stored)], ["one", "two"]);
});

Deno.test("damage in custom bytes is found", async () => {
  const codec = new Codec({ serializer: reversing("fragile"), compress: runs("frail") });
  for (const value of [{ a: "b" }, "a".repeat(300)]) {
    const stored = await codec.encode(value);
    for (let bit = 0; bit < stored.length * 8; bit++) {
      const damaged = stored.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      await assertRejects(async () => await codec.decode(damaged), DecodeError, "", `bit ${bit}`);
    }
    for (let length = 0; length < stored.length; length++) {
      await assertRejects(async () => await codec.decode(stored.slice(0, length)), DecodeError);
    }
  }
});

Deno.test("custom parts that fail say so", async () => {
  const codec = new Codec({
    serializer: {
      ...reversing("fails"),
      deserialize: () => {
        throw new Error("no");
      },
    },
  });
  const error = await assertRejects(
    async () => await codec.decode(await codec.encode(1)),
    DecodeError,
    '"fails" failed',
  );
  assertInstanceOf(error.cause, Error);
  const text = { ...reversing("text"), serialize: () => "text" as unknown as Uint8Array };
  await assertRejects(
    async () => await new Codec({ serializer: text }).encode(1),
    TypeError,
    '"text" gave no Uint8Array',
  );
  const short = { ...runs("short"), decompress: () => new Uint8Array(3) };
  const shortCodec = new Codec({ compress: short });
  const stored = await shortCodec.encode("a".repeat(100));
  await assertRejects(async () => await shortCodec.decode(stored), DecodeError, "another length");
});

Deno.test("a Serializer can stand where its name can", async () => {
  const codec = new Codec({ serializer: new Serializer("msgpack") });
  assertEquals(codec.serializer, "msgpack");
  assertEquals((await codec.encode([1]))[0], 0xc1);
  const own = new Codec({ serializer: new Serializer(reversing("own")) });
  assertEquals(own.serializer, "own");
  assertEquals(await own.decode(await own.encode([1, 2])), [1, 2]);
});

Deno.test("custom names are checked", () => {
  for (const name of ["", "json", "hashstash", "x".repeat(256), "\ud800", 1, undefined]) {
    assertThrows(() => new Codec({ serializer: reversing(name as string) }), TypeError, "name");
  }
  assertThrows(() => new Codec({ compress: runs("zstd") }), TypeError, "built-in");
  const missing = { name: "x", serialize: () => new Uint8Array() } as unknown as CustomSerializer;
  assertThrows(
    () => new Codec({ serializer: missing }),
    TypeError,
    "name, serialize and deserialize",
  );
});

Deno.test("instances of registered classes come back, with every serializer but json", async () => {
  class Money {
    #cents: bigint;
    constructor(cents: bigint, readonly at: Date) {
      this.#cents = cents;
    }
    toJSON(): unknown {
      return { cents: this.#cents, at: this.at };
    }
    static fromJSON({ cents, at }: { cents: bigint; at: Date }): Money {
      return new Money(cents, at);
    }
    get cents(): bigint {
      return this.#cents;
    }
  }
  class Special extends Money {}
  const money = new Money(5n, new Date(0));
  await assertRejects(() => serialize(money), TypeError, "instance of Money");
  registerClass(Money);
  for (const serializer of ["hashstash", "msgpack", "v8"] as const) {
    const back = await deserialize(await serialize([money, { again: money }], serializer));
    assert(Array.isArray(back));
    assertInstanceOf(back[0], Money);
    assertEquals(back[0].cents, 5n);
    assertEquals(difference(back[0].at, money.at), undefined);
    assert(back[1].again === back[0]);
  }
  await assertRejects(
    () => serialize(new Special(1n, new Date())),
    TypeError,
    "instance of Special",
  );
  await assertRejects(() => serialize(money, "json"), TypeError, "$");
});

Deno.test("registerClass takes names and functions, and errors and subclasses of built-in classes", async () => {
  class HttpError extends Error {
    constructor(readonly status: number) {
      super(`HTTP ${status}`);
    }
  }
  registerClass(HttpError, {
    toJSON: ({ status }) => status,
    fromJSON: (status) => new HttpError(status),
  });
  const error = await deserialize(await serialize({ error: new HttpError(404) })) as {
    error: unknown;
  };
  assertInstanceOf(error.error, HttpError);
  assertEquals(error.error.message, "HTTP 404");

  class Tags extends Set<string> {}
  registerClass(Tags, {
    name: "my.Tags",
    toJSON: (tags) => [...tags],
    fromJSON: (list) => new Tags(list),
  });
  const stored = await serialize(new Tags(["a"]));
  assertEquals(new TextDecoder().decode(stored), '{"$rich":{"$class":["my.Tags",["a"]]}}');
  assertInstanceOf(await deserialize(stored), Tags);

  class Once {
    private constructor(readonly id: number) {}
    static readonly one = new Once(1);
  }
  registerClass(Once, { toJSON: ({ id }) => id, fromJSON: () => Once.one });
  assert(await deserialize(await serialize(Once.one)) === Once.one);
});

Deno.test("registerClass refuses what it can't use", () => {
  class Plain {}
  assertThrows(() => registerClass(Plain), TypeError, "toJSON");
  assertThrows(() => registerClass(Plain, { toJSON: () => 1 }), TypeError, "fromJSON");
  assertThrows(
    () => registerClass(class {}, { toJSON: () => 1, fromJSON: () => ({}) }),
    TypeError,
    "name",
  );
  assertThrows(() => registerClass({} as typeof Plain), TypeError, "expected a class");
  for (const options of [null, "Plain"]) {
    assertThrows(
      () => registerClass(Plain, options as unknown as object),
      TypeError,
      'class "Plain": expected an object of options',
    );
  }
  const both = { toJSON: () => 1, fromJSON: () => new Plain() };
  registerClass(Plain, { ...both, name: "codec-test-plain" });
  registerClass(Plain, { ...both, name: "codec-test-plain" });
  class Other {}
  assertThrows(
    () => registerClass(Other, { ...both, name: "codec-test-plain" }),
    TypeError,
    "another class",
  );
});

Deno.test("a cycle through an instance is refused, and fromJSON that throws is a DecodeError", async () => {
  class Node {
    parent: unknown;
  }
  registerClass(Node, {
    name: "codec-test-node",
    toJSON: (node) => ({ parent: node.parent }),
    fromJSON: () => {
      throw new Error("no");
    },
  });
  const node = new Node();
  node.parent = { node };
  await assertRejects(
    () => serialize({ list: [node] }),
    TypeError,
    "$.list[0].parent.node is part of a cycle",
  );
  const error = await assertRejects(
    async () => deserialize(await serialize(new Node())),
    DecodeError,
    "fromJSON",
  );
  assertInstanceOf(error.cause, Error);
});
