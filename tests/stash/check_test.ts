/** What `check` removes and what it never does; whose entries it may touch. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { complete } from "../../engines/complete.ts";
import { memory } from "../../engines/memory/mod.ts";
import { Codec, DecodeError, encodeKey, HashStash, registerClass } from "../../mod.ts";
import { TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";
import { testOnEngines } from "../support/on_engines.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

class Known {
  readonly x = 1;
  toJSON() {
    return { x: this.x };
  }
  static fromJSON() {
    return new Known();
  }
}
registerClass(Known, { name: "Known" });

/** An instance of a class that no process has registered. */
async function unknownInstance(): Promise<Uint8Array> {
  const bytes = await new Codec().encode(new Known());
  const text = new TextDecoder().decode(bytes);
  assert(text.includes('"Known"'), text);
  return utf8(text.replace('"Known"', '"Knowm"'));
}

/** What a process with a serializer of its own wrote: here nobody has it. */
const { stdout } = await runScript(
  `
  import { Codec } from "./codec/mod.ts";
  const serializer = { name: "mine", serialize: () => new Uint8Array([7]), deserialize: () => 7 };
  console.log((await new Codec({ serializer }).encode(1)).toHex());
`,
  [],
);
const customBytes = Uint8Array.fromHex(stdout.trim());

/** Puts bytes under a key as another program, or another process, would. */
async function put(stash: HashStash, bed: TestBed, key: unknown, value: Uint8Array): Promise<void> {
  const { name } = stash;
  const engine = await bed.open({}, { name });
  await engine.set(encodeKey(key), { value, timestamp: Date.now() });
}

testOnEngines("check", {
  "names what it does not know, and never removes it": async (stash, bed) => {
    await put(stash, bed, "instance", await unknownInstance());
    await put(stash, bed, "custom", customBytes);
    await stash.set("healthy", 1);
    for (const fix of [false, true]) {
      const { ok, problems } = await stash.check({ fix });
      assertEquals(
        problems.map(({ kind, key, fixed }) => `${kind} ${key} ${fixed}`).sort(),
        ["unknown custom false", "unknown instance false"],
      );
      assertEquals(ok, true);
    }
    assertEquals(await stash.size(), 3);
    await assertRejects(() => stash.get("instance"), DecodeError, "Knowm");
  },
  "names what another program wrote, and never removes it": async (stash, bed) => {
    const foreign: Record<string, string | number[]> = {
      words: "hello",
      image: "\x89PNG\r\n",
      flags: "true or not",
      zero: "\0\0ab",
      // Each begins as a layer of ours does, in its first byte alone.
      jpeg: [0xff, 0xd8, 0xff, 0xe0, 0, 16],
      utf16: [0xff, 0xfe, 0x68, 0],
      zlib: "xylophone",
      zstd: "(hello)",
      brotli: "Γειά σου",
      base64: "Info",
      latin1: [0x74, 0x72, 0xe9, 0x73],
    };
    for (const [key, bytes] of Object.entries(foreign)) {
      await put(stash, bed, key, typeof bytes === "string" ? utf8(bytes) : new Uint8Array(bytes));
    }
    for (const fix of [false, true]) {
      const { ok, problems } = await stash.check({ fix });
      assertEquals(
        problems.map(({ kind, key, fixed }) => `${kind} ${key} ${fixed}`).sort(),
        Object.keys(foreign).map((key) => `foreign ${key} false`).sort(),
      );
      assertEquals(ok, true);
    }
    assertEquals(await stash.size(), Object.keys(foreign).length);
  },
  "removes nothing that only this reader can't read": async (stash, bed) => {
    await stash.set("long", "x".repeat(10_000));
    const throwing = {
      name: `throwing ${stash.engine}`,
      serialize: () => new Uint8Array([1]),
      deserialize: () => {
        throw new Error("not today");
      },
    };
    await put(stash, bed, "custom", await new Codec({ serializer: throwing }).encode(1));
    const later = utf8('{"$rich":{"$of a later version":[1]}}');
    await put(stash, bed, "tag", later);
    const reader = bed.stash({ name: stash.name, maxValueBytes: 1_000 });
    const { problems } = await reader.check({ fix: true });
    assertEquals(
      problems.map(({ kind, key, fixed }) => `${kind} ${key} ${fixed}`).sort(),
      ["unknown custom false", "unknown long false", "unknown tag false"],
    );
    assertEquals(await stash.get("long"), "x".repeat(10_000));
    assertEquals(await stash.size(), 3);
  },
  "removes what is damaged, when asked": async (stash, bed) => {
    const sealed = await new Codec({ compress: "zlib" }).encode("x".repeat(10_000));
    sealed[sealed.length >> 1] ^= 1;
    await put(stash, bed, "flipped", sealed);
    await put(stash, bed, "cut", utf8('{"half": [1, 2'));
    await stash.set("healthy", 1);
    const before = await stash.check();
    assertEquals(before.problems.map(({ kind, key }) => `${kind} ${key}`).sort(), [
      "damaged cut",
      "damaged flipped",
    ]);
    assertEquals(before.ok, false);
    const after = await stash.check({ fix: true });
    assertEquals([after.ok, after.problems.map(({ fixed }) => fixed)], [true, [true, true]]);
    assertEquals(await stash.toMap(), new Map([["healthy", 1]]));
  },
});

Deno.test("check: a stash on an engine object touches nothing of another stash on it", async () => {
  const inner = complete(memory({ name: crypto.randomUUID(), dbname: "main" }, {}));
  const engine = {
    ...wrap(inner),
    // An engine whose own check and prune know no prefix.
    check: ({ fix }: { fix: boolean }) => inner.check({ fix }),
  };
  await using a = new HashStash({ engine, name: "a" });
  await using b = new HashStash({ engine, name: "b" });
  await a.set("k", 1);
  await b.set("k", 1, { ttl: 5 });
  await inner.set("b:main:bad", { value: utf8("{"), timestamp: 0 });
  await inner.set("a:main:bad", { value: utf8("{"), timestamp: 0 });
  assertEquals((await a.check({ fix: true })).problems.map(({ key }) => key), ["bad"]);
  assertEquals(await inner.has("b:main:bad"), true);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(await a.prune(), 0);
  assertEquals(await a.size(), 1);
});

Deno.test("check: a pickledb file that is broken as a whole is named, and mended when asked", async () => {
  await using bed = await TestBed.create("pickledb");
  const options = bed.options();
  {
    await using stash = new HashStash(options);
    await stash.setMany({ a: 1, b: 2 });
  }
  await using stash = new HashStash(options);
  for (const broken of ['{"a": 1, "b": ', "", "not JSON"]) {
    await Deno.writeTextFile(stash.path, broken);
    const { ok, problems } = await stash.check();
    assertEquals([ok, problems.map(({ kind }) => kind)], [false, ["damaged"]], broken);
  }
  assertEquals((await stash.check({ fix: true })).ok, true);
  await stash.set("c", 3);
  assertEquals(await stash.get("c"), 3);
});

function wrap(engine: ReturnType<typeof complete>) {
  return {
    name: "object",
    path: "object:",
    supports: { persistent: false, shared: false },
    open: () => engine.open(),
    close: () => engine.close(),
    get: (key: string) => engine.get(key),
    set: (...args: Parameters<typeof engine.set>) => engine.set(...args),
    delete: (key: string) => engine.delete(key),
    compareAndSet: (...args: Parameters<typeof engine.compareAndSet>) =>
      engine.compareAndSet(...args),
    keys: (prefix?: string) => engine.keys(prefix),
    size: () => engine.size(),
    clear: (deep?: boolean) => engine.clear(deep),
  };
}

testOnEngines("check that is ended by its signal", {
  "answers with what was found until then": async (stash) => {
    const keys = Array.from({ length: 10 }, (_, i) => `key ${i}`);
    await stash.setMany(keys.map((key) => [key, 1] as const));
    for (const [ended, entries] of [[0, 0], [3, 3], [10, 10], [undefined, 10]] as const) {
      const ending = new AbortController();
      let seen = 0;
      if (ended === 0) ending.abort();
      const onEntry = () => {
        if (++seen === ended) ending.abort();
      };
      const { ok, problems, interrupted } = await stash.check({ signal: ending.signal, onEntry });
      // With the last one nothing is left to end.
      const isWhole = entries === 10;
      assertEquals(
        [seen, ok, problems, interrupted],
        [entries, isWhole, [], isWhole ? undefined : true],
      );
    }
    assertEquals(await stash.size(), 10);
  },
  "looks at no more entries": async (stash, bed) => {
    await put(stash, bed, "damaged", new Uint8Array([0xff, 0x00, 0x12]));
    const { problems, interrupted } = await stash.check({ signal: AbortSignal.abort(), fix: true });
    assertEquals([problems.filter(({ fixed }) => fixed), interrupted], [[], true]);
  },
  "refuses options that are none": async (stash) => {
    await assertRejects(
      () => stash.check({ signal: 1 as never }),
      TypeError,
      "Expected signal to be an AbortSignal",
    );
    await assertRejects(
      () => stash.check({ onEntry: 1 as never }),
      TypeError,
      "Expected onEntry to be a function",
    );
    await assertRejects(() => stash.check({ fixes: true } as never), TypeError, "Unknown option");
  },
});
