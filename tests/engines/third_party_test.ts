/**
 * The engine of docs/engines.md, as the page has it: it passes the contract, and a stash calls the
 * methods that it has.
 */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  complete,
  type Engine,
  type EngineCheckOptions,
  engineContract,
  type EngineFactory,
} from "../../engines/mod.ts";
import { memory } from "../../engines/memory/mod.ts";
import { DecodeError, EngineError, HashStash } from "../../mod.ts";
import { outputOf, ROOT } from "../../dev/run.ts";

/** What the page's first program exports. */
interface JsonFileModule {
  JsonFile: new (path: string) => Engine;
  jsonFile: EngineFactory;
}

const page = await Deno.readTextFile(new URL("../../docs/engines.md", import.meta.url));
const [source, ...programs] = Array.from(
  page.matchAll(/^```ts.*\n([^]*?)^```$/gm),
  ([, code]) => code,
);
const folder = await Deno.makeTempDir();
const file = join(folder, "json_file.ts");
await Deno.writeTextFile(file, source);
const { JsonFile, jsonFile }: JsonFileModule = await import(pathToFileURL(file).href);

Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

Deno.test("the page's engine has fewer than 100 lines, and its programs compile", async () => {
  assertLess(source.trimEnd().split("\n").length, 100);
  assertEquals(programs.length, 2);
  const files = programs.map((_, i) => join(folder, `program_${i}.ts`));
  for (const [i, program] of programs.entries()) await Deno.writeTextFile(files[i], program);
  const args = ["check", "--config", join(ROOT, "deno.json"), ...files];
  const { success, stderr } = await outputOf(args);
  assert(success, stderr);
});

// It makes parts of an engine object that supports prefixes: what a stash makes of the object, too.
const contract = engineContract({
  create: (location) => jsonFile({ rootDir: folder, ...location }, {}),
});
for (const { name, fn } of contract) Deno.test(`the page's engine ${name}`, fn);

/** The case of the contract that is about methods with a prefix, on an engine alone. */
async function keepsToPrefixes(engine: Engine): Promise<void> {
  const cases = engineContract({ create: () => engine })
    .filter(({ name }) => name.startsWith("reaches no key without the prefix"));
  assertEquals(cases.length, 1);
  await cases[0].fn();
}

Deno.test("the page's engine keeps to prefixes", async () => {
  const calls: string[] = [];
  await keepsToPrefixes(counting(new JsonFile(join(folder, "alone.json")), calls));
  for (const method of ["size", "clear", "check", "byteSize"]) {
    assert(calls.some((call) => call.startsWith(`${method} [`) && call.includes("a:b:")), method);
  }
});

for (const method of ["size", "clear", "prune", "check", "byteSize"] as const) {
  Deno.test(`the contract notices a ${method} that goes beyond its prefix`, async () => {
    const engine = new JsonFile(join(folder, `broken_${method}.json`));
    const broken = new Proxy(engine, {
      get(target, name) {
        if (name === "prune") return () => method === "prune" ? 2 : 0;
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const beyond = {
          size: () => target.size(),
          clear: () => target.clear(),
          check: ({ fix }: EngineCheckOptions) => target.check!({ fix }),
          byteSize: () => target.byteSize!(),
          prune: undefined,
        };
        return name === method ? beyond[method] : value.bind(target);
      },
    });
    await assertRejects(
      () => keepsToPrefixes(broken),
      Error,
      method === "check" ? "looked" : method,
    );
  });
}

/** An engine with a method counted by the arguments that it is called with. */
function counting(engine: Engine, calls: string[]): Engine {
  return new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (typeof name === "string") calls.push(`${name} ${JSON.stringify(args)}`);
        return value.apply(target, args);
      };
    },
  });
}

/** What of these methods was called, in their order, as `counting` notes it. */
function callsOf(calls: string[], ...methods: string[]): string[] {
  // Whether an invalidation of tags is under way is asked of a store beside it.
  return calls.splice(0)
    .filter((call) => methods.includes(call.split(" ")[0]) && !call.includes("/.tags:"));
}

Deno.test("a stash calls the methods that a third party's engine has: made by a factory", async () => {
  const calls: string[] = [];
  const counted: EngineFactory = (location) => counting(jsonFile(location, {}), calls);
  await using stash = new HashStash({ name: "counted", engine: counted, rootDir: folder });
  await stash.update({ a: 1, b: 2, c: 3 });
  await stash.delete("c");
  callsOf(calls);
  assertEquals(await stash.size(), 2);
  assertEquals(callsOf(calls, "size", "keys", "get"), ["size [null]"]);
  const bytes = await stash.byteSize();
  assert(bytes > 0 && bytes < 100, `${bytes} bytes`);
  assertEquals(callsOf(calls, "byteSize", "entries", "keys"), ["byteSize [null]"]);
  assertEquals((await stash.check({ fix: true })).checked, 2);
  assertEquals(callsOf(calls, "check"), ['check [{"fix":true}]']);
  await stash.clear();
  assertEquals(callsOf(calls, "clear", "delete", "deleteMany"), ["clear [false]"]);
  await stash.clear({ deep: true });
  assertEquals(callsOf(calls, "clear", "delete", "deleteMany"), ["clear [true]"]);
  assertEquals(await stash.size(), 0);
});

Deno.test("a stash calls the methods that a third party's engine has: an object", async () => {
  const calls: string[] = [];
  const engine = counting(new JsonFile(join(folder, "counted.json")), calls);
  await using stash = new HashStash({ name: "n", engine });
  await using inside = stash.sub("in");
  await using other = new HashStash({ name: "o", engine });
  for (const each of [stash, inside, other]) await each.set("a", 1);
  callsOf(calls);
  assertEquals(await stash.size(), 1);
  assertEquals(callsOf(calls, "size", "keys", "get"), ['size ["n:main:"]']);
  assert(await inside.byteSize() > 0);
  assertEquals(callsOf(calls, "byteSize", "entries"), ['byteSize ["n:main/in:"]']);
  assertEquals((await stash.check({ fix: false })).checked, 1);
  assertEquals(callsOf(calls, "check"), ['check [{"fix":false,"prefix":"n:main:"}]']);
  await stash.clear({ deep: true });
  const cleared = ['clear [false,"n:main:"]', 'clear [false,"n:main/"]'];
  assertEquals(callsOf(calls, "clear", "delete", "deleteMany"), cleared);
  assertEquals([await stash.size(), await inside.size(), await other.size()], [0, 0, 1]);
});

Deno.test("what complete() makes is an engine, also of one that keeps texts", async () => {
  const makes: Record<string, EngineFactory> = {
    once: (location) => complete(memory(location)),
    twice: (location) => complete(complete(memory(location))),
    page: (location) => jsonFile(location, {}),
  };
  for (const [name, engine] of Object.entries(makes)) {
    await using stash = new HashStash({ name: `complete_${name}`, engine, rootDir: folder });
    await stash.set("a", { text: "one" });
    await stash.setMany([["b", 2], ["c", "three"]]);
    assertEquals(await stash.get("a"), { text: "one" });
    assertEquals(await stash.getMany(["c", "a", "none"]), ["three", { text: "one" }, undefined]);
    assertEquals(await stash.getOrSet("d", () => 4), 4);
    assertEquals(await stash.get("d"), 4);
  }
});

Deno.test("damage in the page's engine is told, found and removed", async () => {
  const rootDir = await Deno.makeTempDir({ dir: folder });
  const options = { name: "damaged", engine: jsonFile, rootDir };
  const path = join(rootDir, "damaged.json");
  {
    await using stash = new HashStash(options);
    await stash.update({ good: 1, bad: 2 });
  }
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace('"base64":"Mg=="', '"base64":"M"'));
  {
    await using stash = new HashStash(options);
    const error = await assertRejects(() => stash.get("bad"), DecodeError, "not base64");
    assertEquals([error.engine, error.key], ["jsonFile", "bad"]);
    assertEquals(await stash.get("good"), 1);
    const problem = {
      kind: "damaged",
      key: "bad",
      detail: "Its value is not base64",
      fixed: true,
    } as const;
    assertEquals((await stash.check({ fix: true })).problems, [problem]);
    assertEquals(await stash.toMap(), new Map([["good", 1]]));
  }
  await Deno.writeTextFile(path, "[");
  await using stash = new HashStash(options);
  const message = `Cannot open engine "jsonFile": ${path} is damaged`;
  const error = await assertRejects(() => stash.get("good"), EngineError, message);
  assertEquals([error.operation, error.cause instanceof SyntaxError], ["open", true]);
});
