/** Which values come back from which serializer. Acceptance cases 36-48. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Codec,
  DecodeError,
  decodeKey,
  deserialize,
  Deserializer,
  encodeKey,
  serialize,
  Serializer,
} from "../../codec/mod.ts";
import type { SerializerName } from "../../codec/mod.ts";
import { toBytesTogether } from "../../codec/text.ts";
import { runScript } from "../support/child.ts";
import { difference } from "../support/same.ts";

const SERIALIZERS: SerializerName[] = ["hashstash", "json", "msgpack", "v8"];
const RICH = SERIALIZERS.filter((name) => name !== "json");
const utf8 = new TextEncoder();

async function text(value: unknown, serializer?: SerializerName): Promise<string> {
  return new TextDecoder().decode(await serialize(value, serializer));
}

async function comesBack(value: unknown, serializers: SerializerName[], what = ""): Promise<void> {
  for (const serializer of serializers) {
    const back = await deserialize(await serialize(value, serializer));
    const found = difference(back, value);
    assert(found === undefined, `${serializer} ${what}: ${found}`);
  }
}

function nested(levels: number, leaf: unknown = 1): unknown {
  let value = leaf;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

Deno.test("JSON values come back from every serializer", async () => {
  const ordered = { z: 1, a: 2, 10: 3, 9: 4, "": 5 };
  for (
    const value of [0, 1.5, -7, 1e300, "", "é😀\u2028\0", true, false, null, [], {}, [1, [2, {
      a: [],
    }]], ordered]
  ) {
    await comesBack(value, SERIALIZERS);
  }
  await comesBack(nested(50), SERIALIZERS);
  await comesBack({ toJSON: 1, then: 2, constructor: "x", hasOwnProperty: null }, SERIALIZERS);
  const many = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, i) => [`key ${i}`, "x".repeat(7_000)]),
  );
  await comesBack(many, SERIALIZERS);
  const mixed = {
    text: Array.from({ length: 1_000_000 }, () => String.fromCharCode(32 + Math.random() * 95))
      .join(""),
    numbers: Array.from({ length: 1_000 }, Math.random),
    objects: Array.from({ length: 100 }, (_, i) => ({ i, inner: { list: [i, String(i)] } })),
  };
  await comesBack(mixed, SERIALIZERS);
});

Deno.test("plain values are plain JSON", async () => {
  for (
    const value of [1, "a", [1, { b: null }], { $Date: 1, $rich: 2 }, JSON.parse('{"__proto__":1}')]
  ) {
    for (const serializer of ["hashstash", "json"] as const) {
      assertEquals(await text(value, serializer), JSON.stringify(value));
    }
  }
});

Deno.test("what JSON lacks comes back from the others, and is refused by json", async () => {
  const view = new Int16Array(new ArrayBuffer(10), 4, 2);
  view.set([1, -2]);
  const shared = [1];
  const circular: Record<string, unknown> = { list: [shared, shared] };
  circular.self = circular;
  const hole = new Array(3);
  hole[1] = undefined;
  const regexp = /a\/b/giu;
  regexp.lastIndex = 2;
  const values: unknown[] = [
    undefined,
    NaN,
    Infinity,
    -Infinity,
    0n,
    -(2n ** 200n),
    new Date(0),
    new Date(NaN),
    new Date(-8.64e15),
    /x/,
    regexp,
    new URL("https://example.org/a?b#c"),
    new Map<unknown, unknown>([[1, "a"], ["1", new Map()], [{ a: 1 }, undefined], [NaN, NaN]]),
    new Set<unknown>([[1, 2], [1, 2], "x", new Set([1n])]),
    new Uint8Array([0, 255]),
    [new Uint8Array([1]), { inside: new Uint8Array() }],
    view,
    new Float64Array([1.5, -0, NaN]),
    new Float16Array([1.5]),
    new BigInt64Array([-1n]),
    new Uint8ClampedArray([300]),
    new ArrayBuffer(5),
    new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
    hole,
    [, , 1, ,],
    new Array(2 ** 32 - 1),
    Object.create(null),
    Object.assign(Object.create(null), { a: { b: Object.create(null) } }),
    { a: undefined },
    [undefined, null],
    circular,
    { a: shared, b: shared },
    [{ $: "undefined" }, { $Date: "x" }, { $$: 1 }, { $$ref: 1 }, { $id: [1, {}] }, undefined],
    { $rich: { $: "NaN" }, b: NaN },
  ];
  for (const [i, value] of values.entries()) {
    await comesBack(value, RICH, `value ${i}`);
    if (value === circular || (value as { b?: unknown })?.b !== shared) {
      await assertRejects(() => serialize(value, "json"), TypeError, "$", `value ${i}`);
    }
  }
  await comesBack(new Map([[circular, circular]]), RICH);
});

Deno.test("every serializer keeps -0, and objects that look like our own", async () => {
  for (const value of [-0, [-0], { a: -0 }, { $rich: -0 }]) await comesBack(value, SERIALIZERS);
  for (const inner of [1, null, [], { $Date: null }, { $: "undefined" }, { $rich: { $rich: 1 } }]) {
    await comesBack({ $rich: inner }, SERIALIZERS);
    await comesBack({ $rich: inner, more: 1 }, SERIALIZERS);
    await comesBack([{ $rich: inner }], SERIALIZERS);
  }
  const python = { __pytype__: "reducer", __py__: "os.system", __args__: ["x"] };
  for (const value of [python, { __py__: "os.getcwd" }, { $class: ["Date", 0] }]) {
    await comesBack(value, SERIALIZERS);
    await comesBack({ value, more: [value] }, RICH);
  }
});

Deno.test("the json serializer writes an object that comes twice as two", async () => {
  const shared = [1];
  assertEquals(await text({ a: shared, b: shared }, "json"), '{"a":[1],"b":[1]}');
});

Deno.test("a Buffer comes back as a Uint8Array", async () => {
  const { Buffer } = await import("node:buffer");
  for (const serializer of RICH) {
    for (const wrap of [(part: unknown) => part, (part: unknown) => [part, { part }]]) {
      const back = await deserialize(await serialize(wrap(Buffer.from("hello")), serializer));
      assertEquals(difference(back, wrap(new Uint8Array(Buffer.from("hello")))), undefined);
    }
  }
});

Deno.test("built-in errors come back with message, cause, errors and own properties", async () => {
  class Code extends Error {}
  const cause = new RangeError("inner", { cause: { code: 1n } });
  const error = Object.assign(new TypeError("outer", { cause }), { code: "E", name: "Mine" });
  const all = new AggregateError([error, cause, "text"], "all");
  const silent = new SyntaxError();
  const changed = new Error("x");
  changed.cause = 1;
  for (
    const value of [error, all, silent, changed, new SuppressedError(1, error, "s"), { error, all }]
  ) {
    await comesBack(value, RICH);
  }
  const back = await deserialize(await serialize(error));
  assertInstanceOf(back, TypeError);
  assert(Error.isError(back));
  assertEquals(back.stack?.split("\n").length, 1, "the stack of another place");
  await assertRejects(() => serialize(new Code("x")), TypeError, "$ is an instance of Code");
});

Deno.test("what is no data is refused, with the path", async () => {
  class Foo {}
  const loop: unknown[] = [];
  loop.push([loop]);
  const bad: [unknown, string][] = [
    [() => 1, "$ is a function"],
    [{ a: [0, 1, function named() {}] }, "$.a[2] is a function (named)"],
    [{ a: { "b c": Symbol("s") } }, '$.a["b c"] is a symbol'],
    [[Promise.resolve()], "$[0] is a Promise"],
    [new Map([[1, new WeakMap()]]), "$.values[0] is a WeakMap"],
    [new Map([[new WeakSet(), 1]]), "$.keys[0] is a WeakSet"],
    [new Set([1, Object(1)]), "$.values[1] is a boxed primitive (Number)"],
    [Object("text"), "$ is a boxed primitive (String)"],
    [{ a: new Foo() }, "$.a is an instance of Foo"],
    [[Object.create({ inherited: 1 })], "$[0] is an instance of"],
    [new (class extends Array {})(), "$ is an instance of"],
    [new (class extends Uint8Array {})(2), "$ is an instance of"],
    [{ [Symbol("hidden")]: 1 }, "$ has a property named by a symbol, Symbol(hidden)"],
    [{ a: { ok: 1n, [Symbol("hidden")]: 1 } }, "$.a has a property named by a symbol"],
    ["a1".match(/1/), '$ is an array with a property "'],
    [Object.assign(new Date(), { more: 1 }), '$ has a property of its own, "more"'],
    [Object.assign(new Map(), { more: 1 }), '$ has a property of its own, "more"'],
    [new Error("x", { cause: () => 1 }), "$.cause is a function"],
    [new ArrayBuffer(8, { maxByteLength: 16 }), "$ is a resizable ArrayBuffer"],
    [detached(), "$ is a Uint16Array on a detached ArrayBuffer"],
    [globalThis.crypto, "$ is an instance of Crypto"],
  ];
  for (const [value, message] of bad) {
    for (const serializer of SERIALIZERS) {
      const error = await assertRejects(() => serialize(value, serializer), TypeError);
      assertStringIncludes(error.message, "Cannot serialize value");
      if (serializer !== "json") assertStringIncludes(error.message, message, serializer);
    }
  }
  for (
    const [value, path] of [[{ a: [loop] }, "$.a[0]"], [{ a: [1n] }, "$.a[0] is bigint"], [[{
      b: undefined,
    }], "$[0].b is undefined"]]
  ) {
    await assertRejects(() => serialize(value, "json"), TypeError, path as string);
  }
});

function detached(): Uint16Array {
  const view = new Uint16Array(4);
  structuredClone(view, { transfer: [view.buffer] });
  return view;
}

Deno.test("__proto__ stays an own property and sets no prototype", async () => {
  const own: object = JSON.parse('{"__proto__":{"polluted":1},"a":[{"__proto__":null}]}');
  for (const value of [own, [own, undefined], { "a": JSON.parse('{"__proto__":1}') }]) {
    await comesBack(value, value === own ? SERIALIZERS : RICH);
  }
  const rich = Object.defineProperty({}, "__proto__", {
    value: new Date(0),
    enumerable: true,
    writable: true,
    configurable: true,
  });
  await comesBack(rich, RICH);
  for (
    const hostile of [
      '{"__proto__":{"polluted":1}}',
      '{"$rich":{"__proto__":{"polluted":1},"x":1}}',
      '{"$rich":{"__proto__":{"$Map":[]},"x":1}}',
      '{"$rich":{"$null":["__proto__",{"polluted":1}]}}',
      '{"$rich":{"$Error":["Error",[],["__proto__",{"polluted":1}]]}}',
      '{"$rich":{"$$__proto__":{"polluted":1}}}',
    ]
  ) {
    const back = await deserialize(utf8.encode(hostile)) as { polluted?: unknown };
    assertEquals(back.polluted, undefined, hostile);
    assertEquals(({} as { polluted?: unknown }).polluted, undefined);
    const prototype: unknown = Object.getPrototypeOf(back);
    assert([Object.prototype, Error.prototype, null].some((known) => known === prototype), hostile);
  }
});

Deno.test("integers that are no numbers are read as exact bigints, wherever they stand", async () => {
  const read = (json: string) => deserialize(utf8.encode(json));
  assertEquals(await read("1152921504606846976"), 2n ** 60n);
  assertEquals(await read("-1152921504606846976"), -(2n ** 60n));
  assertEquals(await read("[1,9007199254740993 , 2]"), [1, 9007199254740993n, 2]);
  assertEquals(await read('{"a":{"b":[123456789012345678901234567890]}}'), {
    a: { b: [123456789012345678901234567890n] },
  });
  for (
    const [json, number] of [
      ["9007199254740991", 2 ** 53 - 1],
      ["9007199254740992", 2 ** 53],
      ["1234567890123456", 1234567890123456],
      ["100000000000000000000", 1e20],
      ["1152921504606847000", 2 ** 60],
      ["0.12345678901234567890", 0.12345678901234568],
      ["12345678901234567890.5", 12345678901234567000],
      ["1.5e10", 1.5e10],
      ["12345678901234567890e3", 1.2345678901234568e22],
      ["-0", -0],
    ] as [string, number][]
  ) {
    assert(Object.is(await read(json), number), json);
    assert(Object.is(await read(`[${json}]`).then((list) => (list as unknown[])[0]), number), json);
  }
  const texts = [
    "1152921504606846976",
    " 1152921504606846976,",
    '\\",1152921504606846976,"',
    "7".repeat(100),
  ];
  assertEquals(await read(JSON.stringify(texts)), texts);
  assertEquals(await read(`{"1152921504606846976":[1152921504606846976]}`), {
    "1152921504606846976": [2n ** 60n],
  });
  // Ids of digits alone stay strings, beside integers that do not.
  assertEquals(await read(`{"id":"1152921504606846976","of":-1152921504606846976}`), {
    id: "1152921504606846976",
    of: -(2n ** 60n),
  });
  for (let shift = 0; shift < 40; shift++) {
    assertEquals(await read(`[${" ".repeat(shift)}12345678901234567]`), [12345678901234567n]);
    // As short as one can be, behind and before numbers that are near its length.
    assertEquals(await read(`[${" ".repeat(shift)}123456789012345,9007199254740993,1.2e10]`), [
      123456789012345,
      9007199254740993n,
      1.2e10,
    ]);
    assertEquals(await read(`["12:34:56${" ".repeat(shift)}1;2",9007199254740993]`), [
      `12:34:56${" ".repeat(shift)}1;2`,
      9007199254740993n,
    ]);
    assertEquals(await read(`["${" ".repeat(shift)}12345678901234567]"]`), [
      `${" ".repeat(shift)}12345678901234567]`,
    ]);
  }
  for (
    const number of [2 ** 53, 2 ** 60, 2 ** 69, 1e20, 1e21, 1e22, -(2 ** 63), 123456789012345680000]
  ) {
    await comesBack([number], SERIALIZERS);
  }
});

Deno.test("deep nesting comes back or is refused, never a crash", async () => {
  for (const levels of [900, 1_100, 10_000]) {
    for (const leaf of [1, new Date(0)]) {
      for (const serializer of RICH) {
        const value = nested(levels, leaf);
        let stored: Uint8Array;
        try {
          stored = await serialize(value, serializer);
        } catch (error) {
          assertInstanceOf(error, TypeError);
          assertStringIncludes(error.message, "nested");
          assert(levels > 1_000, "900 levels are fine");
          continue;
        }
        let back = await deserialize(stored);
        let depth = 0;
        while (typeof back === "object" && back !== null && !(back instanceof Date)) {
          back = Array.isArray(back) ? back[0] : (back as { a: unknown }).a;
          depth++;
        }
        assertEquals([back, depth], [leaf, levels]);
      }
    }
  }
});

Deno.test("damaged or hostile bytes are a DecodeError", async () => {
  const bytes = (...parts: number[]) => new Uint8Array(parts);
  const hostile: (string | Uint8Array)[] = [
    "{",
    "[1,",
    '"abc',
    "nul",
    "1 2",
    '{"a":1}x',
    '{"$rich":{"$nope":1}}',
    '{"$rich":{"$Date":5}}',
    '{"$rich":{"$Date":"yesterday"}}',
    '{"$rich":{"$":"eval"}}',
    '{"$rich":{"$bigint":"1.5"}}',
    '{"$rich":{"$bigint":"0x10"}}',
    '{"$rich":{"$RegExp":["(",""]}}',
    '{"$rich":{"$URL":"no url"}}',
    '{"$rich":{"$Uint8Array":"%%"}}',
    '{"$rich":{"$Int16Array":"AQ=="}}',
    '{"$rich":{"$Map":[1]}}',
    '{"$rich":{"$Set":{}}}',
    '{"$rich":{"$ref":1}}',
    '{"$rich":{"$id":[1,{"$id":[2,{}]}]}}',
    '{"$rich":{"$sparse":[-1,[]]}}',
    '{"$rich":{"$sparse":[2,[[5,1]]]}}',
    '{"$rich":{"$sparse":[1e99,[]]}}',
    '{"$rich":{"$object":["a"]}}',
    '{"$rich":{"$object":[1,2]}}',
    '{"$rich":{"$Error":["Function",[],[]]}}',
    '{"$rich":{"$Error":["Error",["stack",1],[]]}}',
    '{"$rich":{"$class":["Object",{}]}}',
    '{"$rich":{"$class":["constructor",{}]}}',
    `{"$rich":${'{"$Set":['.repeat(100_000)}${"]}".repeat(100_000)}}`,
    bytes(0xff),
    bytes(0xff, 0x0f, 0x6f),
    bytes(0xff, 0xff, 0x01),
    bytes(0xc1),
    bytes(0xc1, 0xc1),
    bytes(0xc1, 0x92, 1),
    bytes(0xc1, 1, 1),
    bytes(0xc1, 0xdd, 0xff, 0xff, 0xff, 0xff, 1),
    bytes(0xc1, 0xdf, 0xff, 0xff, 0xff, 0xff, 1),
    bytes(0xc1, 0xc6, 0xff, 0xff, 0xff, 0xff, 1),
    bytes(0xc1, 0xd4, 0x72, 0x40),
    bytes(0xc1, 0xc7, 3, 0x65, 1, 2, 3),
    bytes(0xc1, 0x81, 1, 1),
    bytes(0xc1, 0x81, 0xa9, ...utf8.encode("__proto__"), 1),
    new Uint8Array(200_000).fill(0x91).with(0, 0xc1),
    bytes(0x22, 0xff, 0x22),
    bytes(0x22, 0xc3, 0x22),
  ];
  for (const stored of hostile) {
    const given = typeof stored === "string" ? utf8.encode(stored) : stored;
    await assertRejects(
      () => deserialize(given),
      DecodeError,
      "",
      typeof stored === "string" ? stored.slice(0, 60) : [...stored.slice(0, 9)].join(),
    );
  }
});

Deno.test("a class that is not registered is named", async () => {
  const stored = utf8.encode('{"$rich":[{"$class":["Account",{}]}]}');
  await assertRejects(() => deserialize(stored), DecodeError, '"Account"');
});

Deno.test("flipped bits in serialized bytes never crash and never leave DecodeError", async () => {
  const value = {
    list: [1, 2.5, "x", null],
    when: new Date(0),
    map: new Map([[1, new Set([2n])]]),
  };
  for (
    const [serializer, of] of [["hashstash", value], ["v8", value], ["msgpack", {
      a: [1, "b", 2.5, new Uint8Array(3)],
    }]] as const
  ) {
    const stored = await serialize(of, serializer);
    let errors = 0;
    for (let bit = 8; bit < stored.length * 8; bit++) {
      const damaged = stored.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      try {
        await deserialize(damaged);
      } catch (error) {
        assertInstanceOf(error, DecodeError);
        errors++;
      }
    }
    assert(errors > 0);
  }
});

Deno.test("values do not change with the stored bytes", async () => {
  const codec = new Codec();
  for (const serializer of RICH) {
    const bytes = new Uint8Array([1, 2, 3]);
    for (const value of [bytes, { bytes }, [new Float64Array([1])]]) {
      const stored = await new Codec({ serializer }).encode(value);
      const kept = stored.slice();
      const back = await codec.decode(stored);
      stored.fill(0x20);
      assertEquals(difference(back, value), undefined);
      const part = back instanceof Uint8Array ? back : (back as { bytes: Uint8Array }).bytes;
      if (part instanceof Uint8Array) {
        part.fill(9);
        assertEquals(difference(await codec.decode(kept), value), undefined);
      }
    }
  }
});

Deno.test("plain values need no promise", () => {
  const codec = new Codec({ compress: true, b64: true });
  const stored = codec.encode({ a: "x".repeat(1_000) });
  assertInstanceOf(stored, Uint8Array);
  assertEquals(codec.decode(stored), { a: "x".repeat(1_000) });
});

Deno.test("Serializer and Deserializer are the functions as classes", async () => {
  for (const name of SERIALIZERS) {
    const serializer = new Serializer(name);
    assertEquals(serializer.name, name);
    assertEquals(await new Deserializer().deserialize(await serializer.serialize({ a: 1 })), {
      a: 1,
    });
  }
  assertEquals(new Serializer().name, "hashstash");
  assert(serialize(1) instanceof Promise && deserialize(utf8.encode("1")) instanceof Promise);
});

/** An object with a property that is not enumerable. */
function withHidden<T extends object>(value: T, name: string, hidden: unknown): T {
  return Object.defineProperty(value, name, { value: hidden, configurable: true, writable: true });
}

Deno.test("what hangs on an array beside its items is refused, with the path", async () => {
  const named = (length: number) => Object.assign(new Array(length).fill(1), { total: 3 });
  for (
    const [value, path, name] of [
      [Object.assign([1, 2], { total: 3 }), "$", '"total"'],
      [{ a: [Object.assign([1, 2], { total: 3 }), new Date(0)] }, "$.a[0]", '"total"'],
      [named(2_000), "$", '"total"'],
      [[named(2_001)], "$[0]", '"total"'],
      [{ rows: named(100_000) }, "$.rows", '"total"'],
      [Object.assign([, 2], { total: 3 }), "$", '"total"'],
      [Object.assign([1], { "-1": 2 }), "$", '"-1"'],
      [Object.assign([1], { "": 2 }), "$", '""'],
      [Object.assign([1, 2, 3], { "1.5": 2 }), "$", '"1.5"'],
      [Object.assign([1], { 4294967295: 2 }), "$", '"4294967295"'],
      [[Object.assign([1], { [Symbol("tag")]: 2 })], "$[0]", "Symbol(tag)"],
      [Object.assign(Object.assign([], { a: 1 }), { b: 2 }), "$", '"b"'],
    ] as [unknown, string, string][]
  ) {
    for (const serializer of SERIALIZERS) {
      const error = await assertRejects(() => serialize(value, serializer), TypeError);
      assertStringIncludes(error.message, `: ${path} `, serializer);
      assertStringIncludes(error.message, name, serializer);
    }
    const error = assertThrows(() => encodeKey(value), TypeError);
    assertStringIncludes(error.message, `: ${path} `);
  }
});

Deno.test("what hangs on bytes or another built-in object is refused, with the path", async () => {
  const { Buffer } = await import("node:buffer");
  const symbol = { [Symbol("tag")]: 1 };
  for (
    const [value, path] of [
      [Object.assign(new Uint8Array(2), { total: 3 }), "$"],
      [Object.assign(new Uint8Array(100_000), { total: 3 }), "$"],
      [Object.assign(Buffer.alloc(1_000), { total: 3 }), "$"],
      [{ a: Object.assign(new Float64Array(3), { total: 3 }) }, "$.a"],
      [[1, Object.assign(new Int16Array(1_000), symbol)], "$[1]"],
      [[Object.assign(new Uint8Array(3), symbol)], "$[0]"],
      [Object.assign(new Date(0), symbol), "$"],
      [[Object.assign(/a/, symbol)], "$[0]"],
      [{ m: Object.assign(new Map(), symbol) }, "$.m"],
      [Object.assign(new URL("a:b"), { total: 3 }), "$"],
    ] as [unknown, string][]
  ) {
    for (const serializer of RICH) {
      await assertRejects(
        () => serialize(value, serializer),
        TypeError,
        `: ${path} has a property`,
      );
    }
    assertThrows(() => encodeKey(value), TypeError, `: ${path} has a property`);
  }
  await comesBack([new Uint8Array(100_000), new Array(5_000).fill(1.5)], RICH);
  assertEquals(await deserialize(await serialize(Buffer.alloc(1_000))), new Uint8Array(1_000));
});

Deno.test("a toJSON or constructor that is not enumerable is not obeyed", async () => {
  const fives = () => 5;
  for (
    const [value, expected] of [
      [withHidden({ a: 1 }, "toJSON", fives), { a: 1 }],
      [[withHidden([1, 2], "toJSON", fives)], [[1, 2]]],
      [{ a: withHidden({ b: "c" }, "toJSON", fives) }, { a: { b: "c" } }],
      [withHidden({ a: 1 }, "constructor", Map), { a: 1 }],
      [withHidden([1], "constructor", Set), [1]],
      [withHidden({ a: 1 }, "toJSON", 1), { a: 1 }],
    ]
  ) {
    for (const serializer of SERIALIZERS) {
      assertEquals(await deserialize(await serialize(value, serializer)), expected, serializer);
    }
    assertEquals(decodeKey(encodeKey(value)), expected);
  }
});

Deno.test("a toJSON that all objects inherit is not obeyed", async () => {
  const { stdout, stderr } = await runScript(
    `import { Codec, encodeKey } from "./codec/mod.ts";
     const shared = [1];
     const values = [{ a: [1] }, [[2]], [shared, shared], [new Date(0)], 7];
     for (const prototype of [Object.prototype, Array.prototype]) {
       const results = [];
       for (const serializer of ["hashstash", "json", "msgpack", "v8"]) {
         const codec = new Codec({ serializer });
         await codec.encode({ load: "the library" });
         for (const value of values) {
           Object.defineProperty(prototype, "toJSON", { value: () => 5, configurable: true });
           let stored;
           try {
             stored = await codec.encode(value);
             encodeKey(value);
           } catch (error) {
             if (!(error instanceof TypeError)) results.push(error);
           }
           delete prototype.toJSON;
           if (stored && JSON.stringify(await codec.decode(stored)) !== JSON.stringify(value)) {
             results.push([serializer, value]);
           }
         }
       }
       console.log(JSON.stringify(results));
     }`,
    ["--allow-read"],
  );
  assertEquals(stderr, "");
  assertEquals(stdout, "[]\n[]\n");
});

Deno.test("a Proxy is read as what it shows, by every serializer", async () => {
  const proxy = <T extends object>(value: T) => new Proxy(value, {});
  for (
    const [value, expected] of [
      [{ user: proxy({ name: "A" }) }, { user: { name: "A" } }],
      [proxy([1, proxy({ a: "b" })]), [1, { a: "b" }]],
      [proxy({ list: proxy(new Array(3_000).fill(1.5)) }), { list: new Array(3_000).fill(1.5) }],
    ]
  ) {
    for (const serializer of SERIALIZERS) {
      assertEquals(await deserialize(await serialize(value, serializer)), expected, serializer);
    }
    assertEquals(decodeKey(encodeKey(value)), expected);
  }
  for (
    const value of [{ user: proxy(new Map()) }, { user: proxy(() => 1) }, {
      user: proxy(new Date()),
    }]
  ) {
    for (const serializer of SERIALIZERS) {
      await assertRejects(() => serialize(value, serializer), TypeError, ": $.user ", serializer);
    }
  }
});

Deno.test("a view whose bytes are gone is refused wherever it stands", async () => {
  const shortened = (make: (buffer: ArrayBuffer) => ArrayBufferView) => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 32 });
    const view = make(buffer);
    buffer.resize(4);
    return view;
  };
  const views = [
    shortened((buffer) => new Uint8Array(buffer, 0, 8)),
    shortened((buffer) => new Uint8Array(buffer, 8)),
    shortened((buffer) => new BigInt64Array(buffer, 8, 1)),
    shortened((buffer) => new DataView(buffer, 0, 8)),
    detached(),
    transferred(new Uint8Array(4)),
  ];
  for (const view of views) {
    for (const serializer of RICH) {
      for (
        const [value, path] of [[view, "$"], [{ a: [1, view] }, "$.a[1]"], [
          new Map([[1, view]]),
          "$.values[0]",
        ]]
      ) {
        await assertRejects(() => serialize(value, serializer), TypeError, `: ${path} is a `);
      }
    }
    assertThrows(() => encodeKey([view]), TypeError, ": $[0] is a ");
  }
  // What follows its buffer is never out of bounds, and has what is left.
  const rest = shortened((buffer) => new Uint8Array(buffer));
  assertEquals(await deserialize(await serialize([rest])), [new Uint8Array(4)]);
});

/** A view whose buffer was transferred. */
function transferred(view: Uint8Array<ArrayBuffer>): Uint8Array {
  structuredClone(view, { transfer: [view.buffer] });
  return view;
}

Deno.test("messages are short, however deep the part and long its name", async () => {
  const name = "n".repeat(100_000);
  for (
    const [value, path] of [
      [nested(2_000, new Date(0)), "…("],
      [nested(900, () => 1), "…(880 levels)…"],
      [{ [name]: () => 1 }, `$["${"n".repeat(80)}…"] is a function`],
      [Object.assign([1], { [name]: 1 }), `"${"n".repeat(80)}…"`],
      [{ a: Object.defineProperty(() => 1, "name", { value: name }) }, "$.a is a function (nn"],
      [{ [Symbol(name)]: 1 }, "Symbol(nn"],
    ] as [unknown, string][]
  ) {
    for (const serializer of SERIALIZERS) {
      const { message } = await assertRejects(() => serialize(value, serializer), TypeError);
      assertStringIncludes(message, path, serializer);
      assert(message.length < 300, message);
    }
    assert(assertThrows(() => encodeKey(value), TypeError).message.length < 300);
  }
  const short = nested(20, () => 1);
  const { message } = await assertRejects(() => serialize(short), TypeError);
  assertStringIncludes(message, `$${".a[0]".repeat(10)} is a function`);
  for (const text of [`{"$rich":{"$${name}":1}}`, `{"$rich":{"$class":["${name}",1]}}`]) {
    const error = await assertRejects(() => deserialize(utf8.encode(text)), DecodeError);
    assert(error.message.length < 300);
  }
});

Deno.test("texts that are encoded together have the bytes of each, of whatever characters", () => {
  const raw = new Uint8Array([0, 0xff]);
  const texts = [
    "a",
    "",
    "é€😀",
    "plain",
    "long ".repeat(1_000),
    "\u{10ffff}b",
    "x".repeat(4_096),
    "日",
  ];
  for (const contents of [texts, [raw, ...texts, raw], texts.toReversed(), [raw], []]) {
    const expected = contents.map((content) =>
      typeof content === "string" ? utf8.encode(content) : content
    );
    assertEquals(toBytesTogether(contents), expected);
  }
});
