/** What the inspector's pages say of a store, as a browser without scripts gets them. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { memory } from "../../engines/memory/mod.ts";
import { type EngineFactory, HashStash, registerClass } from "../../mod.ts";
import {
  type Asker,
  changeOn,
  inspect,
  keysOn,
  linkOn,
  pageOf,
  send,
} from "../support/inspection.ts";
import { testOnEngines, testOnMemory } from "../support/on_engines.ts";

/** The labels of all pages, one list after the other. */
async function pagesOf(ask: Asker, path: string): Promise<string[][]> {
  const pages: string[][] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const page = await pageOf(ask, next);
    pages.push(keysOn(page));
    next = linkOn(page, "next");
  }
  return pages;
}

const keyAddress = (stash: HashStash, key: unknown) =>
  `/?key=${encodeURIComponent(stash.encodeKey(key))}`;

testOnEngines("inspector", {
  "lists each key once, a page at a time": async (stash) => {
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    await stash.setMany(keys.map((key) => [key, key] as const));
    const ask = inspect(stash);
    const pages = await pagesOf(ask, "/");
    assertEquals(pages.map(({ length }) => length), [50, 50, 20]);
    assertEquals(pages.flat().sort(), keys.toSorted());
  },

  "lists by prefix and by tag, and shows what is known of an entry": async (stash) => {
    const ttl = 3 * 3_600_000 + 30_000;
    await stash.set("user:1", { name: "Ada" }, { tags: ["eu", "a&b"], ttl });
    await stash.set("user:2", { name: "Grace" });
    await stash.set("other", 1, { tags: ["eu"] });
    const ask = inspect(stash);
    assertEquals((await pagesOf(ask, "/?prefix=user:"))[0].sort(), ["user:1", "user:2"]);
    assertEquals((await pagesOf(ask, "/?tag=eu"))[0].sort(), ["other", "user:1"]);
    assertEquals(await pagesOf(ask, "/?tag=eu&prefix=user:"), [["user:1"]]);
    const page = await pageOf(ask, "/?key=user:1");
    assertStringIncludes(page, "in 3 h");
    assertStringIncludes(page, "a&amp;b");
    assertStringIncludes(page, "Ada");
  },

  "shows the stores inside, functions too, and makes none": async (stash) => {
    await stash.set("k", "v");
    await using inside = stash.sub("deep/er");
    await inside.set("in", { here: true });
    const named = stash.stashedResult((x: number) => x + 1, { name: "add", tags: ["sums"] });
    const byItsSource = stash.stashedResult(function twice(x: number) {
      return 2 * x;
    });
    assertEquals([await named(1), await byItsSource(4)], [2, 8]);
    const ask = inspect(stash, { write: true });
    const stores = await pageOf(ask, "/stores");
    const links = [...stores.matchAll(/href="\.\/(\?store=[^"]*)"[^>]*title="([^"]*)"/g)];
    assertEquals(links.map(([, , title]) => title.split(",")[0].replace(/~\w+/, "")), [
      "main (stash)",
      "main/add (function)",
      "main/deep/er (stash)",
      "main/twice (function)",
    ]);
    const listed = await Promise.all(links.map(async ([, link]) => await pagesOf(ask, `/${link}`)));
    assertEquals(listed, [[["k"]], [["[ 1 ]"]], [["in"]], [["[ 4 ]"]]]);
    // A function has its tags in common with its stash.
    assertEquals(await pagesOf(ask, "/?store=main/add&tag=sums"), [["[ 1 ]"]]);
    const key = encodeURIComponent(stash.encodeKey([1]));
    const page = await pageOf(ask, `/?store=main/add&key=${key}`);
    assertEquals((await send(ask, "delete", changeOn(page))).status, 200);
    assertEquals(await named.peek(1), undefined);
    await pageOf(ask, "/?store=main/none", 404);
    assertEquals((await stash.stores()).length, 3);
  },

  "edits and deletes, and keeps deadline and tags": async (stash) => {
    await stash.set("k", { a: 1, at: new Date(0) }, { ttl: 60_000, tags: ["t"] });
    const deadline = await stash.expiresAt("k");
    const ask = inspect(stash, { write: true });
    const page = await pageOf(ask, "/?key=k");
    const [, text] = /<textarea[^>]*>\n([^<]*)</.exec(page)!;
    const json = text.replaceAll("&quot;", '"').replace('"a": 1', '"a": 12345678901234567890');
    assertEquals((await send(ask, "set", { ...changeOn(page), json })).status, 200);
    assertEquals(await stash.get("k"), { a: 12345678901234567890n, at: new Date(0) });
    assertEquals(await stash.expiresAt("k"), deadline);
    assertEquals((await stash.entry("k"))?.tags, ["t"]);
    const again = changeOn(await pageOf(ask, "/?key=k"));
    for (const json of ["", "{", "undefined", "AAAA", '{"$rich":{"$nothing":1}}']) {
      const response = await send(ask, "set", { ...again, json });
      assertEquals([json, response.status], [json, 400]);
      assertStringIncludes(await response.text(), "not JSON");
    }
    assertEquals((await send(ask, "delete", again)).status, 200);
    assertEquals(await stash.has("k"), false);
    await pageOf(ask, "/?key=k", 404);
  },

  "edits what may get stale, and keeps its times": async (stash, bed) => {
    const times = { ttl: 60_000, staleWhileRevalidate: 3_600_000 };
    await using hasOwn = bed.stash({ name: "limited", ttl: 1_000_000 });
    for (const own of [stash, hasOwn]) {
      const named = own.stashedResult((x: number) => x + 1, { name: "stale", ...times });
      await named(1);
      await own.getOrSet([1], () => 2, times);
      const ask = inspect(own, { write: true });
      for (const [store, of] of [["main/stale", named.stash], ["main", own]] as const) {
        const before = (await of.entry([1]))!;
        const key = encodeURIComponent(own.encodeKey([1]));
        const page = await pageOf(ask, `/?store=${store}&key=${key}`);
        assertEquals((await send(ask, "set", { ...changeOn(page), json: "9" })).status, 200);
        const { value, expiresAt, freshUntil } = (await of.entry([1]))!;
        assertEquals([value, expiresAt, freshUntil], [9, before.expiresAt, before.freshUntil]);
      }
    }
  },

  "shows and hands out bytes as they are stored": async (_, bed) => {
    await using stash = bed.stash({ name: "zipped", compress: "zstd", serializer: "json" });
    await stash.set("k", "x".repeat(5_000));
    const ask = inspect(stash);
    const stored = await (await ask("/bytes?key=k")).bytes();
    assertEquals([...stored], [...await stash.encodeValue("x".repeat(5_000))]);
    assertStringIncludes(await pageOf(ask, "/?key=k&view=bytes"), "28 b5 2f fd");
    assertStringIncludes(await pageOf(ask, "/?key=k"), "zstd");
  },

  "shows what can't be decoded by its bytes": async (stash) => {
    const good = (await stash.encodeValue("x".repeat(2_000))).slice();
    good[good.length - 1] ^= 1;
    await stash.load([{ key: "damaged", value: good, version: 1 }]);
    await stash.load([{ key: "foreign", value: Uint8Array.of(0x99, 1, 2), version: 1 }]);
    const ask = inspect(stash, { write: true });
    for (const key of ["damaged", "foreign"]) {
      const page = await pageOf(ask, `/?key=${key}`);
      assertStringIncludes(page, "Cannot read entry");
      assertStringIncludes(page, "stored bytes show what is there");
      assertStringIncludes(await pageOf(ask, `/?key=${key}&view=bytes`), "00000000  ");
      assertEquals((await send(ask, "set", { ...changeOn(page), json: "1" })).status, 502);
      assertEquals((await send(ask, "delete", changeOn(page))).status, 200);
      assertEquals(await stash.has(key), false);
    }
    assertStringIncludes(await pageOf(ask, "/?find=x&in=values"), "0 entries read");
  },

  "goes on when the store changes under the page": async (stash) => {
    await stash.setMany(Array.from({ length: 100 }, (_, i) => [`k${i}`, i] as const));
    const ask = inspect(stash);
    const page = await pageOf(ask, "/");
    const [gone, ...stay] = keysOn(page);
    await stash.delete(gone);
    await stash.set("new", 1);
    const [, list] = /list=([\w-]+)/.exec(page)!;
    const again = await pageOf(ask, `/?store=main&list=${list}`);
    assertEquals(keysOn(again), [gone, ...stay]);
    assertStringIncludes(again, "gone meanwhile");
    const rest = await pagesOf(ask, linkOn(page, "next")!);
    const once = new Set([...stay, ...rest.flat()]);
    once.delete("new");
    assertEquals(once.size, 99);
    await stash.clear();
    assertEquals(await pagesOf(ask, "/"), [[]]);
  },
});

testOnMemory("inspector: versions stand side by side with what differs", async (stash) => {
  for (let i = 1; i <= 60; i++) await stash.set("k", { same: true, n: i, list: ["a", "b"] });
  const ask = inspect(stash, { write: true });
  const page = await pageOf(ask, "/?key=k&view=versions");
  assertStringIncludes(page, "1 of 8 lines differ");
  assertMatch(
    page,
    /<td class="gone">\s*&quot;n&quot;: 59,<\/td><td class="come">\s*&quot;n&quot;: 60,/,
  );
  assertStringIncludes(page, "The latest 50 of 60");
  const other = await pageOf(ask, "/?key=k&view=versions&left=20&right=30");
  assertMatch(other, /n&quot;: 20,<.*n&quot;: 30,</s);
  // One that is not there is none to compare: the latest are.
  assertStringIncludes(await pageOf(ask, "/?key=k&view=versions&left=999"), "Version 59");
  assertEquals((await send(ask, "set", { ...changeOn(page), json: "1" })).status, 200);
  assertEquals((await stash.getAll("k")).length, 61);
}, { appendMode: true });

class Point {
  constructor(readonly x: number) {}
  get computed() {
    throw new Error("No code of a value runs");
  }
}
registerClass(Point, {
  name: "InspectedPoint",
  toJSON: ({ x }) => ({ x }),
  fromJSON: ({ x }) => new Point(x),
});

testOnMemory("inspector: every type of value is shown", async (stash) => {
  const cycle: Record<string, unknown> = { name: "round" };
  cycle.self = cycle;
  const shown: [value: unknown, text: string][] = [
    ["text\nof lines", "text\nof lines"],
    ["", "Text, 0 characters"],
    [0, ">0<"],
    [-0, ">-0<"],
    [NaN, ">NaN<"],
    [-Infinity, ">-Infinity<"],
    [12n, ">12n<"],
    [true, ">true<"],
    [null, ">null<"],
    [undefined, ">undefined<"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), ">invalid<"],
    [/a<b/g, "/a&lt;b/g"],
    [new URL("https://example.org/?a=1&b"), "https://example.org/?a=1&amp;b"],
    [new Map<unknown, unknown>([["5", "a"], [5, "b"], [{ k: 1 }, "c"]]), "pair 3"],
    [new Set(["member"]), "member"],
    [new RangeError("too far", { cause: "reason" }), "reason"],
    [new AggregateError([new Error("inner")], "many"), "inner"],
    [new Uint8Array([1, 0xab]), "00000000  01 ab"],
    [new TextEncoder().encode("plain text"), `<pre class="text">plain text</pre>`],
    [new Float64Array([1]), "Float64Array, 8 B"],
    [new Uint8Array([2]).buffer, "ArrayBuffer, 1 B"],
    [new DataView(new ArrayBuffer(3)), "DataView, 3 B"],
    [{ part: new Uint16Array([1]) }, "01 00"],
    // deno-lint-ignore no-sparse-arrays -- it is what is stored
    [[1, , 3], "1 (a hole)"],
    [Object.assign(Object.create(null), { bare: 1 }), "Object without prototype"],
    [cycle, "the same as $"],
    [new Point(7), `<span class="type">Point</span>`],
    [JSON.parse('{"__proto__":{"polluted":1}}'), "__proto__"],
    [Array.from({ length: 1_000 }, (_, i) => i), "… 800 more"],
    [{ a: "x".repeat(1_000) }, "1,000 characters"],
    [[], "empty"],
  ];
  const ask = inspect(stash);
  for (const [i, [value, text]] of shown.entries()) {
    await stash.set(i, value);
    assertStringIncludes(await pageOf(ask, keyAddress(stash, i)), text, String(i));
  }
  let deep: unknown = 1;
  for (let i = 0; i < 300; i++) deep = [deep];
  await stash.set("deep", deep);
  assertStringIncludes(await pageOf(ask, "/?key=deep"), "deeper than is shown");
  await stash.set("wide", Array.from({ length: 190 }, () => Array(190).fill(1)));
  const wide = await pageOf(ask, "/?key=wide");
  assert(wide.length < 500_000, `${wide.length} characters`);
});

testOnMemory("inspector: keys of every kind and length have an address", async (stash) => {
  const keys = [
    "",
    " ",
    "a/b?c=d&e#f%20",
    "..",
    "__proto__",
    "\u0000\r\n\t",
    "\ud800",
    "\u202egnp.exe",
    "ключ 🔑",
    "x".repeat(10_000),
    "ж".repeat(10_000),
    7,
    null,
    ["a", { b: 1n }],
    new Date(0),
  ];
  const ask = inspect(stash, { write: true });
  for (const [i, key] of keys.entries()) await stash.set(key, `value ${i}`);
  const list = await pageOf(ask, "/");
  assert(!list.includes("\u202e") && !list.includes("\0"));
  const links = [...list.matchAll(/<a class="row" href="\.\/([^"]*)"/g)];
  assertEquals(links.length, keys.length);
  const seen: string[] = [];
  for (const [, link] of links) {
    const page = await pageOf(ask, `/${link.replaceAll("&amp;", "&")}`);
    seen.push(/value \d+/.exec(page)![0]);
    assert(keys.some((key) => stash.encodeKey(key) === changeOn(page).key));
  }
  assertEquals(seen.sort(), keys.map((_, i) => `value ${i}`).sort());
});

testOnMemory("inspector: an address that is made up has a clear answer", async (stash) => {
  await stash.setMany(Array.from({ length: 60 }, (_, i) => [`k${i}`, i] as const));
  const ask = inspect(stash);
  const [, list] = /list=([\w-]+)/.exec(await pageOf(ask, "/"))!;
  const of = (rest: string) => `/?store=main&list=${list}&${rest}`;
  const wrong: [path: string, status: number, message: string][] = [
    ["/?page=2", 400, "begin with the first"],
    ["/?page=0", 400, "from 1 on"],
    ["/?page=-1", 400, "from 1 on"],
    ["/?page=1.5", 400, "whole number"],
    ["/?page=NaN", 400, "whole number"],
    ["/?page=99999999999999999999", 400, "whole number"],
    ["/?view=x", 400, "one of value, bytes, versions"],
    ["/?in=x", 400, "one of keys, values"],
    ["/?key64=!", 400, "not complete"],
    ["/?key64=_w", 400, "not complete"],
    ["/?key=%01nonsense", 400, "Cannot decode key"],
    ["/?list=made-up", 410, "no longer kept"],
    [of("page=4"), 404, "in turn"],
    [of("prefix=other"), 410, "no longer kept"],
    ["/?key=absent", 404, "not there"],
    ["/nothing", 404, "nothing at this address"],
  ];
  for (const [path, status, message] of wrong) {
    assertStringIncludes(await pageOf(ask, path, status), message, path);
  }
  assertEquals(keysOn(await pageOf(ask, of("page=2"))).length, 10);
  assertStringIncludes(await pageOf(ask, of("page=3"), 404), "ends with page 2");
  // An entry is shown whatever has become of the list beside it.
  const page = await pageOf(ask, "/?list=made-up&key=k1");
  assertStringIncludes(page, "no longer kept");
  await stash.set("bytes", new Uint8Array(10_000));
  assertStringIncludes(await pageOf(ask, "/?key=bytes&from=20000"), "There is no byte 20,000");
  assertStringIncludes(await pageOf(ask, "/?key=bytes&from=8192"), "00002000  00");
});

testOnMemory(
  "inspector: a search says what it has cost, and goes on when asked to",
  async (stash) => {
    await stash.setMany(Array.from({ length: 45_000 }, (_, i) => [`key ${i}`, { n: i }] as const));
    const ask = inspect(stash);
    const first = await pageOf(ask, "/?find=KEY+44999");
    assertStringIncludes(first, "20,000 keys looked at; there are more");
    assertStringIncludes(first, "Nothing found so far");
    const second = await pageOf(ask, linkOn(first, "next")!);
    assertStringIncludes(second, "40,000 keys looked at");
    const third = await pageOf(ask, linkOn(second, "next")!);
    assertStringIncludes(third, "45,000 keys looked at; that is all");
    assertEquals(keysOn(third), ["key 44999"]);
    const values = await pageOf(ask, "/?find=%22n%22:199&in=values&prefix=key+19");
    assertStringIncludes(values, "entries read");
    assert(keysOn(values).includes("key 1990"));
    assert(
      (await pageOf(ask, "/?find=nothing")).includes("A beginning or a tag costs what it finds"),
    );
  },
);

Deno.test("inspector: the first page reads one page of keys, however many there are", async () => {
  const taken: string[] = [];
  const counts: string[] = [];
  const engine: EngineFactory = (location, options) => {
    const inner = memory(location, options);
    return new Proxy(inner, {
      get(target, name) {
        const member = Reflect.get(target, name, target);
        if (name === "size" || name === "stores") {
          return (...args: unknown[]) => {
            counts.push(name);
            return Reflect.apply(member, target, args);
          };
        }
        if (name !== "keys") return typeof member === "function" ? member.bind(target) : member;
        return async function* (prefix?: string) {
          for await (const key of target.keys(prefix)) {
            taken.push(key);
            yield key;
          }
        };
      },
    });
  };
  await using stash = new HashStash({ engine, name: crypto.randomUUID() });
  await stash.setMany(Array.from({ length: 30_000 }, (_, i) => [`k${i}`, i] as const));
  taken.length = counts.length = 0;
  const ask = inspect(stash);
  const page = await pageOf(ask, "/");
  assertEquals(keysOn(page).length, 50);
  assert(taken.length < 100, `${taken.length} keys`);
  assertEquals(keysOn(await pageOf(ask, linkOn(page, "next")!)).length, 50);
  assert(taken.length < 200, `${taken.length} keys`);
  assertEquals(counts, []);
});

Deno.test("inspector: who uses the stash does not wait while its stores are counted", async () => {
  const gate = Promise.withResolvers<void>();
  const engine: EngineFactory = (location, options) => {
    const inner = memory(location, options);
    const stores = inner.stores!.bind(inner);
    return Object.assign(inner, {
      async *stores(counted: boolean) {
        await gate.promise;
        yield* stores(counted);
      },
    });
  };
  await using stash = new HashStash({ engine, name: crypto.randomUUID() });
  const ask = inspect(stash);
  const counts = Promise.all([pageOf(ask, "/stores"), pageOf(ask, "/stores")]);
  await stash.set("k", 1);
  assertEquals(keysOn(await pageOf(ask, "/")), ["k"]);
  gate.resolve();
  const [one, two] = await counts;
  assertStringIncludes(one, "1 · ");
  assertEquals(one, two);
});

Deno.test("inspector: what another writes while an entry is being changed stays", async () => {
  let between: (() => void) | undefined;
  const engine: EngineFactory = (location, options) => {
    const inner = memory(location, options);
    const get = inner.get.bind(inner);
    return Object.assign(inner, {
      get(key: string) {
        const found = get(key);
        const write = between;
        between = undefined;
        write?.();
        return found;
      },
    });
  };
  const name = crypto.randomUUID();
  await using stash = new HashStash({ engine, name });
  // Not decoded: it is to be deleted where its value can't be shown, too.
  const foreign = { key: stash.encodeKey("k"), value: Uint8Array.of(0x99, 1, 2), version: 1 };
  const ask = inspect(stash, { write: true });
  const other = memory({ name, dbname: "main" }, {});
  await other.open?.();
  const entry = { value: await stash.encodeValue("another's"), timestamp: Date.now() };
  const writes = () => void other.set(foreign.key, entry);
  const removes = () => void other.delete(foreign.key);
  const store = async (isForeign: boolean) =>
    isForeign ? await stash.load([foreign]) : await stash.set("k", 1);
  for (
    const [action, isForeign] of [["delete", false], ["delete", true], ["set", false]] as const
  ) {
    for (const [meanwhile, left] of [[writes, "another's"], [removes, undefined]] as const) {
      await store(isForeign);
      const change = { ...changeOn(await pageOf(ask, "/?key=k")), json: "2" };
      between = meanwhile;
      const response = await send(ask, action, change);
      assertEquals([action, response.status], [action, 409]);
      assertStringIncludes(await response.text(), "changed or gone");
      assertEquals([action, await stash.get("k")], [action, left]);
    }
  }
  assertEquals(stash.stats().deletes, 0);
  await other.close?.();
});

testOnMemory("inspector: the results of one function can be looked into", async (stash) => {
  const square = stash.stashedResult((x: number) => x * x, { name: "square", tags: ["sums"] });
  assertEquals(await square(3), 9);
  const ask = inspect(square.stash);
  assertEquals(await pagesOf(ask, "/?tag=sums"), [["[ 3 ]"]]);
  assertStringIncludes(await pageOf(ask, "/stores"), 'title="main/square (function)');
  await pageOf(ask, "/?store=main", 404);
});

Deno.test("inspector: an engine given as an object is closed by its stash alone", async () => {
  const engine = memory({ name: crypto.randomUUID(), dbname: "main" }, {});
  await using stash = new HashStash({ engine, name: "one", dbname: "main" });
  await using other = new HashStash({ engine, name: "two", dbname: "main" });
  await stash.set("k", 1);
  const ask = inspect(stash);
  assertStringIncludes(await pageOf(ask, "/stores"), "1 · ");
  assertEquals(keysOn(await pageOf(ask, "/")), ["k"]);
  await stash.close();
  await other.set("k", 2);
  assertEquals(await other.get("k"), 2);
});

Deno.test("inspector: closing the stash ends what it shows", async () => {
  const stash = new HashStash({ engine: "memory", name: crypto.randomUUID() });
  await stash.set("k", 1);
  const ask = inspect(stash);
  const unread = await ask("/events");
  const read = (await ask("/events")).body!.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await read.read()).value, "retry: 3000\n\n");
  await stash.close();
  assertEquals((await read.read()).done, true);
  assertEquals(await unread.text(), "retry: 3000\n\n");
  assertEquals([(await ask("/events")).status, (await ask("/")).status], [503, 502]);

  const never = new HashStash({ engine: "memory", name: crypto.randomUUID() });
  await never.close();
  assertEquals((await inspect(never)("/events")).status, 503);
});

testOnMemory("inspector: what is looked at counts neither as used nor as read", async (stash) => {
  await stash.set("a", 1);
  await stash.set("b", 2);
  const seen: string[] = [];
  for (const type of ["hit", "miss"]) stash.events.addEventListener(type, () => seen.push(type));
  const ask = inspect(stash);
  for (const path of ["/", "/?key=a", "/?find=1&in=values"]) await pageOf(ask, path);
  await pageOf(ask, "/?key=none", 404);
  assertEquals([seen, stash.stats().hits], [[], 0]);
  await stash.set("c", 3);
  assertEquals([await stash.has("a"), await stash.has("b")], [false, true]);
}, { maxEntries: 2, evict: "lru" });

testOnMemory("inspector: a change is seen at once by the stash, and as its own", async (stash) => {
  await stash.setMany({ k: 1, gone: 1 });
  assertEquals(await stash.getMany(["k", "gone"]), [1, 1]);
  const types: string[] = [];
  for (const type of ["set", "delete"]) stash.events.addEventListener(type, () => types.push(type));
  const ask = inspect(stash, { write: true });
  const page = await pageOf(ask, "/?key=k");
  assertEquals((await send(ask, "set", { ...changeOn(page), json: "2" })).status, 200);
  const other = await pageOf(ask, "/?key=gone");
  assertEquals((await send(ask, "delete", changeOn(other))).status, 200);
  assertEquals(await stash.getMany(["k", "gone"]), [2, undefined]);
  assertEquals(types, ["set", "delete"]);
}, { near: true });

testOnMemory("inspector: metrics are Prometheus's text", async (stash) => {
  await stash.set("k", "v");
  await stash.get("k");
  await stash.get("none");
  await using inside = stash.sub('quoted"\\');
  await inside.set("a", 1);
  const ask = inspect(stash);
  await pageOf(ask, "/?key=k"); // Is no hit.
  const response = await ask("/metrics");
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const labels = `{engine="memory",name="${stash.name}",dbname="main"`;
  for (
    const line of [
      "# TYPE hashstash_hits_total counter",
      `hashstash_hits_total${labels}} 1`,
      `hashstash_misses_total${labels}} 1`,
      `hashstash_sets_total${labels}} 1`,
      "# TYPE hashstash_store_entries gauge",
      `hashstash_store_entries${labels},kind="stash"} 1`,
      `hashstash_store_entries{engine="memory",name="${stash.name}",dbname="main/quoted\\"\\\\",kind="stash"} 1`,
    ]
  ) assertStringIncludes(text, `\n${line}\n`, line);
  for (const line of text.trim().split("\n")) {
    assertMatch(line, /^(# (HELP|TYPE) \w+ .+|\w+\{(\w+="(\\.|[^"\\])*",?)+\} [\d.e+]+)$/);
  }
  // A scrape soon after is told what was counted then.
  await stash.set("another", 1);
  assertStringIncludes(
    await pageOf(ask, "/metrics"),
    `hashstash_store_entries${labels},kind="stash"} 1`,
  );
  assertEquals(text.includes("hashstash_limit"), false);
});

testOnMemory(
  "inspector: metrics say how full a stash with limits is, at each scrape",
  async (stash) => {
    await using limited = new HashStash({
      engine: "memory",
      name: stash.name,
      maxEntries: 3,
      maxBytes: 1_000,
    });
    const ask = inspect(limited);
    const labels = `{engine="memory",name="${stash.name}",dbname="main"}`;
    for (const [i, entries] of [1, 2, 3, 3].entries()) {
      await limited.set(`k${i}`, 1);
      const text = await pageOf(ask, "/metrics");
      assertStringIncludes(text, `\nhashstash_limited_entries${labels} ${entries}\n`);
      assertStringIncludes(text, `\nhashstash_limited_bytes${labels} ${3 * entries}\n`);
      assertStringIncludes(text, `\nhashstash_limit_entries${labels} 3\n`);
      assertStringIncludes(text, `\nhashstash_limit_bytes${labels} 1000\n`);
    }
  },
);

testOnMemory(
  "inspector: events are told as they happen, and none are kept for nobody",
  async (stash) => {
    const ask = inspect(stash);
    const response = await ask("/events");
    assertEquals(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    assertEquals((await reader.read()).value, "retry: 3000\n\n");
    const tell = (type: string, detail: object) =>
      stash.events.dispatchEvent(new CustomEvent(type, { detail: { dbname: "main", ...detail } }));
    await stash.set("real", 1);
    await stash.get("real");
    tell("error", { key: ["<b>", 1], error: new Error("no\n\ndata: forged") });
    for (let i = 0; i < 100; i++) tell("error", { key: i });
    const { value } = await reader.read();
    assertEquals(value!.split("\n").length, 3, "one message, whatever is in it");
    const { events, more } = JSON.parse(value!.slice("data: ".length));
    assertEquals([events.length, more], [40, 63]);
    const told = events.map(({ type, key }: { type: string; key: string }) => `${type} ${key}`);
    assertEquals(told.slice(0, 3), ["set real", "hit real", 'error [ "<b>", 1 ]']);
    await reader.cancel();
  },
);

testOnMemory("inspector: a stash that is closed is said to be", async (stash) => {
  const ask = inspect(stash);
  await pageOf(ask, "/");
  await pageOf(ask, "/stores");
  await stash.close();
  for (const path of ["/", "/?key=a", "/stores"]) {
    assertStringIncludes(await pageOf(ask, path, 502), "is closed", path);
  }
});
