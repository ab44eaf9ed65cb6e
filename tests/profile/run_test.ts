import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type Engine, HashStash } from "../../mod.ts";
import { memory as createEngine } from "../../engines/memory/mod.ts";
import { TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";
import { OPERATIONS, type ProfileJSON, type ProfileRow } from "../../profile/mod.ts";

/** A stash in a folder of its own; at the end nothing else may be in there. */
async function withStash(
  body: (stash: HashStash, rootDir: string) => Promise<void>,
  engine: "memory" | "pairtree" = "pairtree",
): Promise<void> {
  await using bed = await TestBed.create(engine);
  await using stash = bed.stash({ name: "profiled" });
  await stash.set("mine", { a: 1 });
  const before = tree(bed.root);
  await body(stash, bed.root);
  assertEquals(tree(bed.root), before, "nothing is left behind");
  assertEquals(await stash.size(), 1);
  assertEquals(await stash.get("mine"), { a: 1 });
}

function tree(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? [path, ...tree(path)] : [path];
  }).sort();
}

const timed = (row: ProfileRow) => row.error === undefined;

Deno.test("stash.profile: a row per engine, codec, size, operation and iteration", () =>
  withStash(async (stash) => {
    const profile = await stash.profile({
      engine: ["pairtree", "memory"],
      compress: [true, false],
      b64: [true, false],
      size: [1_000, 10_000],
      iterations: 2,
    });
    assertEquals(profile.rows.length, 2 * 4 * 2 * OPERATIONS.length * 2);
    const cases = profile.rows.map((row) =>
      [row.engine, row.compress, row.b64, row.size, row.operation, row.iteration].join()
    );
    assertEquals(new Set(cases).size, cases.length, "no row twice");
    for (const row of profile.rows) {
      assertEquals(row.error, undefined);
      assertEquals(row.serializer, "hashstash");
      assert(row.time > 0 && Number.isFinite(row.time), `time is ${row.time}`);
      assertEquals(row.ratio, row.storedSize / row.rawSize);
      assertEquals(row.rate, 1 / row.time);
      if (!row.operation.endsWith("key")) {
        assert(Math.abs(row.rawSize / row.size - 1) < 0.1, `${row.rawSize} of ${row.size} bytes`);
      }
    }
    const stored = (encoding: string) =>
      profile.rows.find((row) => row.encoding === encoding && row.operation === "write")!.ratio;
    assertEquals(stored("raw"), 1);
    assert(stored("zstd") < 0.8 && stored("b64") > 1.3 && stored("zstd+b64") > stored("zstd"));
    const serialized = profile.rows.filter(({ operation }) => operation === "serialize");
    assert(
      serialized.every(({ ratio }) => ratio === 1),
      "serialize neither compresses nor encodes",
    );
    assertEquals(stash.stats().sets, 1, "the stash itself was not touched");
  }));

Deno.test({
  name: "stash.profile: the default is every engine, and codec of the stash; all is closed again",
  sanitizeOps: true,
  sanitizeResources: true,
  fn: () =>
    withStash(async (stash) => {
      const profile = await stash.profile({
        size: 500,
        iterations: 1,
        operation: ["write", "read"],
      });
      assertEquals(
        [...new Set(profile.rows.map(({ engine }) => engine))].sort(),
        [
          "diskcache",
          "lmdb",
          "memory",
          "pairtree",
          "pickledb",
          "postgres",
          "redis",
          "shelve",
          "sqlite",
        ],
      );
      assertEquals(
        [...new Set(profile.rows.map(({ encoding }) => encoding))].sort(),
        ["b64", "raw", "zstd", "zstd+b64"],
      );
      assertEquals([...new Set(profile.rows.map(({ operation }) => operation))], ["write", "read"]);
      const engines = ["memory", "pairtree", "sqlite", "shelve", "pickledb", "diskcache", "lmdb"];
      assertEquals(
        profile.rows.filter(timed).filter(({ engine }) => engines.includes(engine)).length,
        engines.length * 4 * 2,
      );
    }),
});

Deno.test("stash.profile: an engine that can't run here is a row that says why", () =>
  withStash(async (stash) => {
    const profile = await stash.profile({
      engine: ["redis", "memory"],
      engineOptions: { redis: { url: "redis://127.0.0.1:1" } },
      compress: false,
      b64: false,
      size: 1_000,
      iterations: 2,
    });
    const [broken, ...others] = profile.rows.filter((row) => !timed(row));
    assertEquals(others, []);
    assertEquals([broken.engine, broken.size, broken.time], ["redis", 1_000, NaN]);
    assertMatch(broken.error!, /127\.0\.0\.1:1/);
    assertEquals(profile.rows.filter(timed).length, OPERATIONS.length * 2);
    assertEquals(profile.best().engine, "memory");
    assertStringIncludes(String(profile), "Could not run redis: ");
  }));

Deno.test("stash.profile: an engine that fails in the middle is a row too", () =>
  withStash(async (stash) => {
    let writes = 0;
    const engine = wrap("fragile", {
      set: () => {
        if (++writes > 30) throw new Error("the disk is full");
      },
    });
    const profile = await stash.profile({
      engine: ["memory", engine],
      compress: false,
      b64: false,
      size: 1_000,
      operation: ["write", "read"],
      iterations: 3,
    });
    const broken = profile.rows.filter((row) => !timed(row));
    assertEquals(broken.map((row) => [row.engine, row.operation]), [["fragile", "write"]]);
    assertMatch(broken[0].error!, /the disk is full/);
    const reads = profile.rows.filter(timed).filter(({ engine }) => engine === "fragile");
    assertEquals(reads.map(({ operation }) => operation), ["read", "read", "read"]);
  }));

Deno.test("stash.profile: a slow engine is found slow, in two runs alike", () =>
  withStash(async (stash) => {
    const slow = wrap("slow", { get: () => sleep(8), set: () => sleep(8) });
    const slower = wrap("slower", { get: () => sleep(50), set: () => sleep(50) });
    const rankings: string[][] = [];
    for (let run = 0; run < 2; run++) {
      const profile = await stash.profile({
        engine: [slower, "memory", slow],
        compress: false,
        b64: false,
        size: 1_000,
        operation: ["write", "read"],
        iterations: 3,
      });
      for (const operation of ["read", "write"] as const) {
        const best = profile.best({ operation });
        rankings.push(best.ranking.map(({ engine }) => engine));
        assertEquals(best.ranking.slice(1).map(({ sure }) => sure), [true, true]);
        assert(best.nextEngine!.factor > 10, `only ${best.nextEngine!.factor} times as slow`);
        assertStringIncludes(best.verdict, "The next engine, slow with raw, costs ");
      }
    }
    assertEquals(rankings, Array(4).fill(["memory", "slow", "slower"]));
  }, "memory"));

Deno.test("stash.profile: without permissions, what needs none runs and the rest says what it needs", async () => {
  const program = `
    import { HashStash } from "./mod.ts";
    const stash = new HashStash({ engine: "memory" });
    const profile = await stash.profile({
      engine: ["pairtree", "memory"], compress: false, b64: false, size: 500, iterations: 1,
    });
    console.log(JSON.stringify(profile));
  `;
  const { stdout, stderr, success } = await runScript(program, [
    "--quiet",
    "--no-prompt",
    "--allow-read",
  ]);
  assert(success, stderr);
  const { rows }: ProfileJSON = JSON.parse(stdout);
  const [broken, ...others] = rows.filter(({ error }) => error);
  assertEquals(others, []);
  assertEquals(broken.engine, "pairtree");
  assertMatch(String(broken.error), /--allow-env/);
  assertEquals(rows.filter(({ engine }) => engine === "memory").length, OPERATIONS.length);
});

Deno.test("stash.profile: a stash on an engine object profiles that one too", () =>
  withStash(async (_, rootDir) => {
    const engine = wrap("mine", {});
    await using stash = new HashStash({ engine, rootDir });
    await stash.set("a", 1);
    const profile = await stash.profile({
      size: 300,
      iterations: 1,
      operation: "read",
      compress: false,
      b64: false,
      engineOptions: { redis: { url: "redis://127.0.0.1:1" } },
    });
    assertEquals(profile.rows.filter(timed)[0].engine, "mine");
    assertEquals(engine.size(), 1, "nothing of another stash");
  }));

Deno.test("stash.profile: the caller's data, and a sample of the stash's own", () =>
  withStash(async (stash) => {
    const sizes: number[] = [];
    const given = await stash.profile({
      engine: "memory",
      compress: true,
      b64: false,
      size: 2_000,
      iterations: 1,
      data: (size) => {
        sizes.push(size);
        return new Map([["text", "a".repeat(size)]]);
      },
    });
    assert(sizes.length > 0 && sizes.every((size) => size === 2_000));
    const write = given.rows.find(({ operation }) => operation === "write")!;
    assert(write.rawSize > 2_000 && write.ratio < 0.1, JSON.stringify(write));

    await using own = stash.tmp<string, string>({ engine: "memory" });
    for (let i = 0; i < 50; i++) await own.set(`key ${i}`, "x".repeat(300));
    const entries = await own.profile({
      engine: "memory",
      compress: false,
      b64: false,
      iterations: 1,
      data: "entries",
    });
    assertEquals([...new Set(entries.rows.map(({ size }) => size))], [302]);
    assertEquals(await own.size(), 50);
    await own.clear();
    await assertRejects(
      () => own.profile({ engine: "memory", data: "entries" }),
      RangeError,
      "Cannot profile the entries of a stash that is empty",
    );
  }));

Deno.test("stash.profile: data that a serializer refuses is a row that says so", () =>
  withStash(async (stash) => {
    const profile = await stash.profile({
      engine: "memory",
      serializer: ["json", "hashstash"],
      compress: false,
      b64: false,
      size: 1_000,
      iterations: 1,
      data: () => new Map([[1, 2]]),
    });
    const broken = profile.rows.filter((row) => !timed(row));
    assertEquals(broken.map(({ serializer }) => serializer), ["json"]);
    assertEquals(profile.rows.filter(timed).length, OPERATIONS.length);
  }));

Deno.test("stash.profile: aborted in the middle, it rejects with the reason", () =>
  withStash(async (stash) => {
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 50);
    const started = performance.now();
    const error = await assertRejects(() =>
      stash.profile({
        engine: ["pairtree", "memory"],
        iterations: 10_000,
        signal: controller.signal,
      })
    );
    assertEquals(error, reason);
    assert(performance.now() - started < 30_000);
    const late = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => stash.profile({ signal: late })), reason);
  }));

Deno.test("stash.profile: options that make no sense are refused before anything runs", () =>
  withStash(async (stash) => {
    const refuse = async (options: object, type: typeof TypeError, message: string) => {
      await assertRejects(() => stash.profile(options), type, message);
    };
    await refuse({ engine: "mysql" }, TypeError, 'Unknown engine "mysql"');
    await refuse({ serializer: ["yaml"] }, TypeError, 'Unknown serializer "yaml"');
    await refuse({ operation: "delete" }, TypeError, 'Unknown operation "delete", expected one of');
    await refuse({ iterations: 0 }, RangeError, "integers from 1 on, got 0");
    await refuse({ size: [1_000, NaN] }, RangeError, "integers from 1 on, got NaN");
    await refuse({ engine: [] }, RangeError, "at least one engine");
    await refuse({ data: "entrys" }, TypeError, 'or "entries", got "entrys"');
    await refuse({ data: [1, 2] }, TypeError, "Expected data to be a function of the size");
    await refuse({ signal: 5 }, TypeError, "Expected signal to be an AbortSignal, got number");
    await refuse({ progress: 5 }, TypeError, "Expected progress to be a boolean, got number");
  }));

Deno.test("stash.profile: progress in lines where there is no terminal", async () => {
  const program = `
    import { HashStash } from "./mod.ts";
    await using stash = new HashStash({ engine: "memory" });
    const options = { engine: "memory", compress: false, b64: false, size: 1000, iterations: 4 };
    await stash.profile(options);
    console.error("quiet until here");
    await stash.profile({ ...options, progress: true });
  `;
  const { stderr, success } = await runScript(program, ["-A", "--quiet"]);
  const lines = stderr.trimEnd().split("\n");
  assert(success, lines.join("\n"));
  assertEquals(lines[0], "quiet until here");
  assertMatch(lines[1], /^profile: 1 of 40 \(2 %\) memory raw/);
  assertMatch(lines.at(-1)!, /^profile: 40 of 40 \(100 %\)/);
});

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The memory engine under another name, with something that happens before it reads or writes. */
function wrap(
  name: string,
  before: { get?: () => void | Promise<void>; set?: () => void | Promise<void> },
): Engine {
  const inner = createEngine({ name: crypto.randomUUID(), dbname: "main" }, {});
  return {
    name,
    path: inner.path,
    supports: inner.supports,
    open: () => inner.open(),
    close: () => inner.close(),
    get: async (key) => {
      await before.get?.();
      return await inner.get(key);
    },
    set: async (key, entry) => {
      await before.set?.();
      await inner.set(key, entry);
    },
    delete: (key) => inner.delete(key),
    compareAndSet: (key, expected, next) => inner.compareAndSet(key, expected, next),
    keys: (prefix) => inner.keys(prefix),
    size: () => inner.size(),
    clear: (deep) => inner.clear(deep),
  };
}
